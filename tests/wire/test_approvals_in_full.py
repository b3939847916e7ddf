"""A yes taken back, a seat lent, a call edited before it is agreed to (P3, P4)."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.crash.command import Ran, command

from house import House, house, said

RULES = """\
api: lockkeep/v1
policy: pay
owner: lead
applies_to: {everywhere: true}
tools:
  shop.read: {allow: anyone}
  shop.pay:
    allow: anyone
    ask:
      - {name: large, when: amount > 5 EUR, from: [lead], edit: [amount]}
      - {name: huge, when: amount > 50 EUR, from: [lead, finance], edit: [amount]}
    deny:
      - {name: odd, when: amount == 7 EUR, say: Never seven.}
"""
PAY = {"id": "p1", "amount_minor": 900, "currency": "EUR"}


async def asked(home: House, **changes: Any) -> dict[str, Any]:
    facts = said(await home.call("shop.pay", {**PAY, **changes}))
    assert facts["status"] == "pending_approval", facts
    return facts


async def cli(home: House, folder: Path, by: str, *words: str) -> Ran:
    environ = {
        "LOCKKEEP_DATA": str(folder / "data"),
        "LOCKKEEP_TOKEN": await home.token(by, None),
        "PATH": "",
    }
    return await command(environ, *words)


def digest(home: House, approval: str) -> str:
    row = home.store.read.one("approval_get", id=approval)
    assert row is not None
    return row["bound"][:16]


async def ended(home: House, approval: str) -> dict[str, Any]:
    """What `lockkeep_wait` says once nothing waits for people any more."""
    with anyio.fail_after(10):
        while True:
            facts = said(await home.call("lockkeep_wait", {"approval_id": approval, "max_wait_s": 1}))
            if facts.get("status") not in ("pending_approval", "unknown"):
                return facts


@pytest.mark.promise("P3")
async def test_a_yes_is_taken_back_until_the_call_has_run(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        waiting = (await asked(home, amount_minor=6000))["approval_id"]
        await home.vote(waiting, "bo")
        taken = await cli(
            home, tmp_path, "bo", "approvals", "withdraw", waiting, "--reason", "too much", "--json"
        )
        await home.vote(waiting, "dee")
        row = home.store.read.one("approval_get", id=waiting)
        assert row is not None
        assert (taken.code, row["state"], home.shop.effects) == (0, "pending", [])
        await home.vote(waiting, "cy")  # somebody else of the group
        await ended(home, waiting)
        late = await cli(home, tmp_path, "cy", "approvals", "withdraw", waiting)

        assert (len(home.shop.effects), late.code) == (1, 1)
        assert "already consumed" in late.err


@pytest.mark.promise("P3")
async def test_after_enough_people_agreed_a_yes_taken_back_ends_it(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        waiting = (await asked(home))["approval_id"]
        await home.throw("tool:shop.pay", mode="pause")
        await home.vote(waiting, "bo")
        taken = await cli(home, tmp_path, "bo", "approvals", "withdraw", waiting, "--json")
        await home.lift("tool:shop.pay", by="cy")
        facts = await ended(home, waiting)

        assert (taken.data["state"], facts["status"], home.shop.effects) == ("revoked", "cancelled", [])


async def test_whoever_may_stop_calls_calls_off_what_waits(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        waiting = (await asked(home))["approval_id"]
        off = await cli(
            home, tmp_path, "olga", "approvals", "revoke", waiting, "--reason", "wrong day", "--json"
        )
        facts = await ended(home, waiting)

        assert (off.code, facts["status"]) == (0, "cancelled")
        assert "wrong day" in facts["reason"]


# -- standing in ----------------------------------------------------------------------------------------------------


async def lend(home: House, folder: Path, who: str, to: str, *more: str) -> Ran:
    day = (home.clock() + timedelta(days=2)).date().isoformat()
    return await cli(home, folder, who, "approvals", "delegate", "--to", to, "--until", day, *more)


@pytest.mark.promise("P4")
async def test_a_stand_in_decides_in_the_place_of_who_asked_them_to(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        waiting = (await asked(home))["approval_id"]
        refused = await home.vote(waiting, "dee")
        await lend(home, tmp_path, "bo", "dee", "--group", "lead", "--reason", "holidays")
        await home.vote(waiting, "dee")
        await ended(home, waiting)

        assert (type(refused).__name__, len(home.shop.effects)) == ("Refusal", 1)
        assert home.sound()


@pytest.mark.promise("P4")
async def test_one_person_fills_one_place_with_their_own_seat_and_a_lent_one(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        waiting = (await asked(home, amount_minor=6000))["approval_id"]
        await lend(home, tmp_path, "bo", "dee")
        await home.vote(waiting, "dee")
        row = home.store.read.one("approval_get", id=waiting)

        assert row is not None
        assert (row["state"], home.shop.effects) == ("pending", [])


@pytest.mark.promise("P4")
@pytest.mark.parametrize(("who", "to"), [("ana", "bo"), ("olga", "bo")])
async def test_a_stand_in_of_the_requester_or_of_the_agents_owner_agrees_to_nothing_of_theirs(
    tmp_path: Path, who: str, to: str
) -> None:
    async with house(tmp_path, rules=RULES) as home:
        waiting = (await asked(home))["approval_id"]
        await lend(home, tmp_path, who, to)
        voted = await home.vote(waiting, to)

        assert type(voted).__name__ == "Refusal"
        assert home.shop.effects == []


@pytest.mark.promise("P4")
async def test_a_seat_is_lent_once_in_time_and_never_more_than_one_has(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        waiting = (await asked(home))["approval_id"]
        foreign = await lend(home, tmp_path, "dee", "ana", "--group", "lead")
        alone = await lend(home, tmp_path, "dee", "dee")
        await lend(home, tmp_path, "bo", "dee")
        await lend(home, tmp_path, "dee", "ana")  # bo's seat does not go on to ana
        chained = await home.vote(waiting, "ana")
        listed = await cli(home, tmp_path, "bo", "approvals", "delegations", "--json")
        back = await cli(home, tmp_path, "bo", "approvals", "undelegate", str(listed.data[-1]["id"]))
        late = await home.vote(waiting, "dee")

        assert (foreign.code, alone.code, back.code) == (2, 2, 0)
        assert [type(each).__name__ for each in (chained, late)] == ["Refusal", "Refusal"]


@pytest.mark.promise("P4")
async def test_after_its_day_a_stand_in_is_nobody(tmp_path: Path) -> None:
    async with house(
        tmp_path, rules=RULES.replace("from: [lead], edit", "from: [lead], expires: 7 days, edit")
    ) as home:
        waiting = (await asked(home))["approval_id"]
        await lend(home, tmp_path, "bo", "dee")
        home.clock.ahead = timedelta(days=3)
        voted = await home.vote(waiting, "dee")

        assert type(voted).__name__ == "Refusal"


# -- edit before approve --------------------------------------------------------------------------------------------


@pytest.mark.promise("P3", "P4")
async def test_an_edited_call_is_another_one_that_its_editor_does_not_agree_to(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        waiting = (await asked(home, amount_minor=9000))["approval_id"]
        ran = await cli(home, tmp_path, "bo", "approvals", "edit", waiting, "--digest", digest(home, waiting), "--set", "amount=8 EUR", "--json")  # fmt: skip
        assert ran.code == 0, ran.err
        with anyio.fail_after(5):
            while (row := home.store.read.one("call_get", id=ran.data["call"])) is None:
                await anyio.sleep(0.02)
        own = await home.vote(row["approval"], "bo")
        old = await home.vote(waiting, "cy", shown=digest(home, waiting))
        await home.vote(row["approval"], "cy")
        facts = said(result := await home.call("lockkeep_wait", {"approval_id": waiting, "max_wait_s": 5}))

        assert [type(each).__name__ for each in (own, old)] == ["Refusal", "Refusal"]
        assert home.shop.effects == [("pay", {"id": "p1", "amount_minor": 800, "currency": "EUR"})]
        assert facts["applied"] is True
        assert result.meta is not None
        assert "amount_minor: 9000 → 800" in result.meta["lockkeep/call"]["edited"]
        assert (row["user"], row["agent"]) == ("ana", "robot")


@pytest.mark.promise("P3")
async def test_an_edit_that_needs_nobody_any_more_runs_and_one_the_rules_refuse_does_not(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, rules=RULES) as home:
        small, seven = (await asked(home))["approval_id"], (await asked(home, id="p2"))["approval_id"]
        for waiting, amount in ((small, "4 EUR"), (seven, "7 EUR")):
            await cli(home, tmp_path, "bo", "approvals", "edit", waiting, "--digest", digest(home, waiting), "--set", f"amount={amount}")  # fmt: skip
        fine, refused = await ended(home, small), await ended(home, seven)

        assert (fine["applied"], refused["reason"]) == (True, "Never seven.")
        assert home.shop.effects == [("pay", {"id": "p1", "amount_minor": 400, "currency": "EUR"})]


@pytest.mark.promise("P4")
@pytest.mark.parametrize(
    ("by", "change", "why"),
    [
        ("ana", "amount=8 EUR", "nobody agrees to their own call"),
        ("olga", "amount=8 EUR", "nor to one of their own agent"),
        ("dee", "amount=8 EUR", "none of the groups"),
        ("bo", "id=p9", "not id"),
        ("bo", "currency=USD", "not currency"),
        ("bo", "amount_minor=900", "nothing would be changed"),
        ("bo", "amount=8 USD", "not currency"),
    ],
)
async def test_who_may_not_edit_or_not_that_changes_nothing(
    tmp_path: Path, by: str, change: str, why: str
) -> None:
    async with house(tmp_path, rules=RULES) as home:
        waiting = (await asked(home))["approval_id"]
        ran = await cli(
            home,
            tmp_path,
            by,
            "approvals",
            "edit",
            waiting,
            "--digest",
            digest(home, waiting),
            "--set",
            change,
        )
        row = home.store.read.one("approval_get", id=waiting)

        assert row is not None
        assert (ran.code, row["state"]) == (1, "pending")
        assert why in ran.err


@pytest.mark.promise("P3")
async def test_the_same_call_again_waits_for_what_became_of_the_edited_one(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        waiting = (await asked(home, amount_minor=9000))["approval_id"]
        await cli(
            home,
            tmp_path,
            "bo",
            "approvals",
            "edit",
            waiting,
            "--digest",
            digest(home, waiting),
            "--set",
            "amount=4 EUR",
        )
        await ended(home, waiting)
        again = said(await home.call("shop.pay", {**PAY, "amount_minor": 9000}))

        assert again["applied"] is True
        assert len(home.shop.effects) == 1
