"""Rules, tool, roles, facts, groups and stand-ins change between the yes and the run: it runs as agreed, or not (A5, V6)."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from house import GATEWAY, PEOPLE, House, house
from lockkeep.ledger import delegations
from waiting import RULES, asked, paid, row, states, until
from wire.test_approvals import graver

Change = Callable[[House], Awaitable[None]]
Ends = tuple[list[str], list[str], list[int]]
RUNS: Ends = (["succeeded"], ["consumed"], [900])
UNASKED: Ends = (["succeeded"], ["void"], [900])
DENIED: Ends = (["denied"], ["void"], [])
AGAIN: Ends = (["pending_approval"], ["void", "pending"], [])


def rules(old: str, new: str) -> Change:
    async def change(home: House) -> None:
        assert old in RULES
        await home.rules(rules=RULES.replace(old, new))

    return change


def people(old: str, new: str) -> Change:
    async def change(home: House) -> None:
        assert old in PEOPLE
        await home.rules(people=PEOPLE.replace(old, new))

    return change


def thing(**fields: object) -> Change:
    async def change(home: House) -> None:
        home.shop.things["p1"] = {"id": "p1", "owner": "x", **fields}

    return change


def lent(who: str, to: str) -> Change:
    async def change(home: House) -> None:
        current = home.gateway.in_force.current
        assert current is not None
        everybody, now = current.people.persons, home.clock()
        await home.store.write(
            lambda tx: delegations.lend(
                tx, everybody[who], to, groups=[], starts=now, ends=now + timedelta(days=1), reason="r", people=everybody, now=now
            )
        )  # fmt: skip

    return change


async def owner(home: House) -> None:
    await home.rules(gateway=GATEWAY.replace("robot: {owner: olga}", "robot: {owner: bo}"))


async def tool(home: House) -> None:
    home.shop.tools = [
        each.model_copy(update={"meta": {"lockkeep/effect": graver(each)}}) if each.name == "pay" else each
        for each in home.shop.tools
    ]
    await home.gateway.supervisor.restart("shop")
    await home.accept("shop")


CASES: tuple[tuple[str, Change, Ends], ...] = (
    ("the agent's owner", owner, AGAIN),
    ("a rule about something else", rules("shop.write: {allow: anyone}", "shop.write: {allow: [lead]}"), RUNS),
    ("the value of the rule", rules("amount > 5 EUR", "amount > 6 EUR"), AGAIN),
    ("the rule asks no more", rules("amount > 5 EUR", "amount > 10 EUR"), UNASKED),
    ("the rule now refuses it", rules("amount == 7 EUR", "amount == 9 EUR"), DENIED),
    ("who is asked", rules("amount > 5 EUR, from: [lead]", "amount > 5 EUR, from: [finance]"), AGAIN),
    ("the tool", tool, AGAIN),
    ("the requester's role", people("ana: {groups: [staff]}", "ana: {groups: []}"), DENIED),
    ("somebody else's role", people("dee: {groups: [finance]}", "dee: {groups: [finance, staff]}"), RUNS),
    ("a fact that is checked again", thing(owner="y"), AGAIN),
    ("a fact that asks others, too", thing(frozen=True), AGAIN),
    ("a fact that matters to no rule", thing(value_minor=5), RUNS),
    ("the voter's group", people("bo: {groups: [lead]}", "bo: {groups: [staff]}"), AGAIN),
    ("the voter is gone", people("  bo: {groups: [lead]}\n", ""), AGAIN),
    ("the requester lends their seat to the voter", lent("ana", "bo"), AGAIN),
    ("the voter lends their own seat", lent("bo", "dee"), RUNS),
)  # fmt: skip


@pytest.mark.promise("P3", "P4")
@pytest.mark.parametrize(
    ("change", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
async def test_what_moved_after_the_vote_runs_as_agreed_or_asks_again_or_is_refused(
    tmp_path: Path, change: Change, expected: Ends
) -> None:
    async with house(tmp_path, rules=RULES) as home:
        home.shop.things["p1"] = {"id": "p1", "owner": "x"}
        approval = await asked(home)
        await home.throw(mode="pause")  # the agreed call waits
        await home.vote(approval, "bo")
        await change(home)
        newest = home.store.read.one("generation_newest")
        assert newest is not None
        with anyio.fail_after(10):
            while (now := home.gateway.in_force.current) is None or now.generation != newest["id"]:
                await anyio.sleep(0.02)
        assert paid(home) == []
        await home.lift()
        await until(home, *expected[:2])

        assert paid(home) == expected[2]
        assert home.sound()


@pytest.mark.promise("P3", "P4")
async def test_a_stand_ins_yes_is_gone_with_the_seat_they_sat_on(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        approval = await asked(home)
        await lent("bo", "dee")(home)
        await home.throw(mode="pause")
        await home.vote(approval, "dee")
        assert row(home, approval)["state"] == "approved"
        await home.store.write(
            lambda tx: delegations.take_back(tx, 1, "bo", anybodys=False, now=home.clock())
        )
        await home.lift()
        await until(home, ["pending_approval"], ["void", "pending"])

        assert (paid(home), states(home)[-1]) == ([], "pending")
