"""Whom an ask asks and how: persons behind fields, managers, escalation, reasons, facts that must not move (P2, P3, P4)."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from house import PEOPLE, House, house, said
from lockkeep.ledger import approvals
from lockkeep.ledger.approvals import Refusal, Voted
from lockkeep.model import moment

ASK = """\
api: lockkeep/v1
policy: pay
owner: lead
applies_to: {{everywhere: true}}
read:
  thing: shop.read(id)
tools:
  shop.read: {{allow: anyone}}
  shop.pay:
    allow: anyone
    ask: {asking}
"""
KNOWN = PEOPLE.replace(
    "  bo: {groups: [lead]}", "  bo: {groups: [lead], accounts: ['shop:rep_7'], manager: dee}"
)
PAY = {"id": "p1", "amount_minor": 500, "currency": "EUR"}


def ask(asking: str) -> str:
    return ASK.format(asking=asking)


async def parked(home: House, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
    return said(await home.call("shop.pay", arguments or PAY))


async def until_done(home: House, facts: dict[str, Any]) -> dict[str, Any]:
    return said(await home.call("lockkeep.wait", {"approval_id": facts["approval_id"], "max_wait_s": 10}))


@pytest.mark.promise("P4")
async def test_the_person_behind_a_field_of_a_look_up_is_asked_and_nobody_else(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ask("{from: [person:thing.owner]}"), people=KNOWN) as home:
        home.shop.things["p1"] = {"id": "p1", "owner": "rep_7"}
        facts = await parked(home)
        refused, taken = (
            await home.vote(facts["approval_id"], "cy"),
            await home.vote(facts["approval_id"], "bo"),
        )

    assert facts["approvers"] == ["user:bo"]
    assert isinstance(refused, Refusal)
    assert isinstance(taken, Voted)


async def test_a_manager_is_asked_in_the_place_of_the_person(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ask("{from: [manager-of:thing.owner]}"), people=KNOWN) as home:
        home.shop.things["p1"] = {"id": "p1", "owner": "rep_7"}
        facts = await parked(home)
        await home.vote(facts["approval_id"], "dee")
        done = await until_done(home, facts)

    assert (facts["approvers"], done["applied"]) == (["user:dee"], True)


@pytest.mark.parametrize("thing", [{"id": "p1", "owner": "rep_8"}, {"id": "p1"}])
async def test_an_account_of_nobody_is_refused_unless_there_is_a_next_step(
    tmp_path: Path, thing: dict[str, Any]
) -> None:
    more = "{from: [person:thing.owner], escalate: [{after: 4h, to: [finance]}]}"
    async with house(tmp_path, rules=ask("{from: [person:thing.owner]}"), people=KNOWN) as home:
        home.shop.things["p1"] = thing
        refused = await parked(home)
        await home.rules(rules=ask(more))
        asked = await parked(home)

    assert (refused["code"], asked["status"], asked["approvers"]) == (
        "policy.no_approver",
        "pending_approval",
        ["finance"],
    )


async def test_after_its_time_more_people_may_fill_the_place_and_the_step_is_on_record(
    tmp_path: Path,
) -> None:
    asking = "{from: [lead], expires: 8h, escalate: [{after: 1h, to: [finance]}]}"
    async with house(tmp_path, rules=ask(asking)) as home:
        facts = await parked(home)
        early = await home.vote(facts["approval_id"], "dee")
        home.clock.ahead = timedelta(hours=1, minutes=1)
        with anyio.fail_after(20):
            while "approval.escalated" not in [each["type"] for each in home.audit()]:
                await anyio.sleep(0.05)
        late = await home.vote(facts["approval_id"], "dee")

    assert isinstance(early, Refusal)
    assert late == Voted("approved")


async def test_a_reason_is_wanted_where_the_rule_says_so(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ask("{from: [lead], reason: required}")) as home:
        facts = await parked(home)
        rules = home.gateway.in_force.current
        assert rules is not None
        row = approvals.find(home.store.read, facts["approval_id"])
        wordless = await home.store.write(
            lambda tx: approvals.vote(
                tx, row["id"], rules.people.persons["cy"], "approve", shown=row["bound"], reason="  ", channel="test",
                now=home.clock(), people=rules.people.persons, owner=None,
            )
        )  # fmt: skip
        taken = await home.vote(facts["approval_id"], "cy")

    assert isinstance(wordless, Refusal)
    assert "reason" in wordless.reason
    assert taken == Voted("approved")


@pytest.mark.promise("P3")
async def test_a_fact_that_moved_while_people_thought_asks_them_again(tmp_path: Path) -> None:
    asking = "{when: amount > 1 EUR, from: [lead], recheck: [thing.owner]}"
    async with house(tmp_path, rules=ask(asking)) as home:
        home.shop.things["p1"] = {"id": "p1", "owner": "ana"}
        facts = await parked(home)
        home.shop.things["p1"] = {"id": "p1", "owner": "bo"}
        await home.vote(facts["approval_id"], "cy")
        with anyio.fail_after(20):
            while "approval.void" not in [each["type"] for each in home.audit()]:
                await anyio.sleep(0.02)
        again = said(await home.call("lockkeep.wait", {"approval_id": facts["approval_id"], "max_wait_s": 0}))
        before = list(home.shop.effects)
        await home.vote(again["approval_id"], "cy")
        done = await until_done(home, again)

    assert (before, again["approval_id"] != facts["approval_id"], done["applied"]) == ([], True, True)


async def test_a_fact_nobody_rechecks_may_move(tmp_path: Path) -> None:
    asking = "{when: has(thing.owner), from: [lead]}"
    async with house(tmp_path, rules=ask(asking)) as home:
        home.shop.things["p1"] = {"id": "p1", "owner": "ana"}
        facts = await parked(home)
        home.shop.things["p1"] = {"id": "p1", "owner": "bo"}
        await home.vote(facts["approval_id"], "cy")
        done = await until_done(home, facts)

    assert done["applied"] is True


async def test_expiry_counts_the_working_hours_of_those_who_are_asked(tmp_path: Path) -> None:
    people = PEOPLE.replace("  lead:\n", "  lead: {hours: mon-fri 08:00-18:00, tz: Europe/Berlin}\n", 1)
    async with house(tmp_path, rules=ask("{from: [lead], expires: 20h}"), people=people) as home:
        facts = await parked(home)
        await home.rules(rules=ask("{from: [lead], expires: 20h, clock: always}"))
        always = await parked(home, {**PAY, "id": "p2"})
        asked = home.clock()

    wait, plain = moment(facts["expires_at"]) - asked, moment(always["expires_at"]) - asked
    assert plain < timedelta(hours=20, minutes=1)
    assert timedelta(hours=30) < wait < timedelta(days=6)  # two working days of ten hours


async def test_a_look_up_that_fails_may_ask_instead_of_refusing_and_never_allows(tmp_path: Path) -> None:
    text = ask('{when: "thing.id != id", from: [lead]}').replace(
        "thing: shop.read(id)", "thing: {call: shop.read, with: {id: = id}, on_error: {from: [finance]}}"
    )

    async def broken(name: str, arguments: Any) -> None:
        if name == "read":
            raise RuntimeError("down")

    async with house(tmp_path, rules=text) as home:
        fine = await parked(home)
        home.shop.behave = broken
        facts = await parked(home, {**PAY, "id": "p2"})

    assert fine["applied"] is True
    assert (facts["status"], facts["approvers"]) == ("pending_approval", ["finance"])
    assert "could not be read" in facts["reason"]


async def test_only_the_place_of_somebody_unknown_is_filled_by_the_next_step(tmp_path: Path) -> None:
    asking = "{from: [person:thing.owner, finance], escalate: [{after: 4h, to: [lead]}]}"
    async with house(tmp_path, rules=ask(asking), people=KNOWN) as home:
        home.shop.things |= {"p1": {"id": "p1", "owner": "rep_7"}, "p2": {"id": "p2", "owner": "nobody"}}
        known, unknown = await parked(home), await parked(home, {**PAY, "id": "p2"})

    assert (known["approvers"], unknown["approvers"]) == (["user:bo", "finance"], ["lead", "finance"])
