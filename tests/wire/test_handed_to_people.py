"""`people`: the agent stops, nothing is sent, and the case is on record for the groups that take over (P1)."""

from pathlib import Path
from typing import Any

import pytest

from house import house, said, text
from lockkeep.ledger import calls

HAND = """\
api: lockkeep/v1
policy: pay
owner: lead
applies_to: {everywhere: true}
read:
  thing: shop.read(id)
tools:
  shop.read: {allow: anyone}
  shop.pay:
    allow: anyone
    deny:
      - {name: too-much, when: amount > 5000 EUR}
    people:
      - {name: frozen, when: "default(thing.frozen, false)", to: [finance], say: "{id} is frozen.", fix: Wait for finance.}
      - {name: large, when: amount > 1000 EUR, to: [lead]}
    ask:
      - {name: high, when: amount > 100 EUR, from: [lead]}
"""


def pay(euros: int, thing: str = "p1") -> dict[str, Any]:
    return {"id": thing, "amount_minor": euros * 100, "currency": "EUR"}


@pytest.mark.promise("P1")
async def test_the_agent_is_told_who_takes_over_and_nothing_is_sent(tmp_path: Path) -> None:
    async with house(tmp_path, rules=HAND) as home:
        home.shop.things["p1"] = {"id": "p1", "frozen": True}
        result = await home.call("shop.pay", pay(1))

        states, sound, last = home.states(), home.sound(), home.audit()[-1]

    facts = said(result)
    assert result.is_error
    assert (facts["status"], facts["to"], facts["reason"], facts["rule"], facts["fix"]) == (
        "diverted", ["finance"], "p1 is frozen.", "pay/shop.pay/frozen", "Wait for finance.",
    )  # fmt: skip
    assert text(result).splitlines()[0] == "DIVERTED rule=pay/shop.pay/frozen retry=no"
    assert home.shop.effects == []
    assert (states, sound) == (["diverted"], True)
    assert (last["type"], last["to"], last["rules"]) == (
        "call.diverted",
        ["finance"],
        ["pay/shop.pay/allow", "pay/shop.pay/frozen"],
    )


async def test_deny_beats_people_and_people_beat_ask(tmp_path: Path) -> None:
    async with house(tmp_path, rules=HAND) as home:
        found = [
            said(await home.call("shop.pay", pay(euros, f"p{euros}"))) for euros in (50, 500, 2000, 6000)
        ]

    assert found[0]["applied"] is True
    assert [each["status"] for each in found[1:]] == ["pending_approval", "diverted", "denied"]


async def test_both_rules_groups_are_named_once_each(tmp_path: Path) -> None:
    async with house(tmp_path, rules=HAND) as home:
        home.shop.things["p1"] = {"id": "p1", "frozen": True}
        facts = said(await home.call("shop.pay", pay(2000)))

    assert facts["to"] == ["finance", "lead"]


async def test_asking_again_hands_the_same_case_over_once(tmp_path: Path) -> None:
    async with house(tmp_path, rules=HAND) as home:
        first = said(await home.call("shop.pay", pay(2000)))
        again = said(await home.call("shop.pay", pay(2000)))
        status = said(await home.call("lockkeep.status", {"id": first["call_id"]}))
        assert home.states() == ["diverted"]

    assert again["call_id"] == first["call_id"]
    assert status["outcome"] == {"status": "diverted", "to": ["lead"], "reason": first["reason"]}


async def test_a_parked_call_is_handed_over_when_the_rules_came_to_want_it(tmp_path: Path) -> None:
    async with house(tmp_path, rules=HAND) as home:
        parked = said(await home.call("shop.pay", pay(500)))
        await home.rules(rules=HAND.replace("1000 EUR", "200 EUR"))
        await home.vote(parked["approval_id"], "cy")
        facts = said(
            await home.call("lockkeep.wait", {"approval_id": parked["approval_id"], "max_wait_s": 10})
        )
        row = calls.find(home.store.read, parked["call_id"])

    assert (facts["status"], row["state"]) == ("diverted", "diverted")
    assert home.shop.effects == []
