"""`lockkeep approvals stats`: what the counts support is suggested, with its difference and its replay, and never applied."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.crash.command import command

from house import House, house
from lockkeep.cli.easing import Advice, advise
from lockkeep.ledger.fatigue import Ask, Load, Toll, Vote
from lockkeep.model import Amount
from lockkeep.policy.bundle import PolicySet, load
from waiting import RULES, asked, row, until

AT = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
WORDS = RULES.replace(
    "  shop.write: {allow: anyone}\n",
    "  shop.write:\n    allow: anyone\n    ask:\n      - {name: long, when: size(text) > 3, from: [lead]}\n",
)


def ask(
    number: int,
    state: str = "consumed",
    *,
    rule: str = "pay/shop.pay/large",
    risk: str = "money",
    minor: int | None = 900,
) -> Ask:
    amount = None if minor is None else Amount(minor=minor + number, currency="EUR")
    at = AT + timedelta(minutes=30 * number)
    return Ask(
        f"apr_{number}", (rule,), frozenset({"lead"}), "ana", state, undone=False, risk=risk, amount=amount, at=at, decided=at
    )  # fmt: skip


def said(rules: PolicySet, asks: list[Ask], loads: Mapping[str, Load] | None = None) -> list[Advice]:
    return advise({asks[0].rules[0]: Toll(asks)}, loads or {}, rules)


def votes(person: str, number: int, looked: float) -> dict[str, Load]:
    cast = [
        Vote(f"apr_{each}", person, "approve", AT + timedelta(minutes=each), looked) for each in range(number)
    ]
    return {person: Load([], cast)}


@pytest.fixture
async def rules(tmp_path: Path) -> PolicySet:
    async with house(tmp_path, rules=WORDS) as home:
        current = home.gateway.in_force.current
        assert current is not None
        return current


async def test_a_value_is_raised_after_enough_decisions_without_an_objection_and_not_one_earlier(
    rules: PolicySet,
) -> None:
    enough = said(rules, [ask(number) for number in range(299)])
    plain = [ask(number, rule="pay/shop.write/long", risk="write", minor=None) for number in range(59)]

    assert said(rules, [ask(number) for number in range(298)]) == []
    assert said(rules, [*(ask(number) for number in range(298)), ask(298, "denied")]) == []
    assert said(rules, [*(ask(number) for number in range(298)), ask(298, "expired")]) == []
    assert [(each.kind, each.about) for each in enough] == [("raise", "pay/shop.pay/large")]
    assert "+      - {name: large, when: amount > 10.49 EUR" in enough[0].diff
    assert enough[0].files is not None
    assert load(enough[0].files)[1] == []
    assert (said(rules, plain[:58]), [each.kind for each in said(rules, plain)]) == ([], ["raise"])
    assert said(rules, plain)[0].files is None  # it names no amount: people write it


async def test_what_people_mostly_object_to_is_refused_by_the_rule_itself(rules: PolicySet) -> None:
    long = "pay/shop.write/long"
    half = [
        ask(number, "denied" if number % 2 else "consumed", rule=long, risk="write", minor=None)
        for number in range(40)
    ]
    few = [
        ask(number, "denied" if number % 4 == 0 else "consumed", rule=long, risk="write", minor=None)
        for number in range(40)
    ]
    found = said(rules, half)

    assert (said(rules, few), [each.kind for each in found]) == ([], ["deny"])
    assert "+    deny:" in found[0].diff
    assert found[0].files is not None


async def test_a_rubber_stamp_supports_nothing(rules: PolicySet) -> None:
    asks = [ask(number) for number in range(299)]

    assert said(rules, asks, votes("bo", 20, 3.9)) == []
    assert [each.kind for each in said(rules, asks, votes("bo", 20, 4.0))] == ["raise"]  # took a look
    assert [each.kind for each in said(rules, asks, votes("bo", 19, 1.0))] == ["raise"]  # not so many


async def test_who_is_asked_more_than_thirty_times_a_day_has_their_group_split(rules: PolicySet) -> None:
    day = [
        Ask(
            f"a{n}",
            ("r",),
            frozenset({"lead"}),
            "ana",
            "expired",
            undone=False,
            risk="write",
            amount=None,
            at=AT,
            decided=None,
        )
        for n in range(31)
    ]

    assert advise({}, {"bo": Load(day[:30])}, rules) == []
    assert [(each.kind, each.about) for each in advise({}, {"bo": Load(day)}, rules)] == [("split", "bo")]


async def cloned(home: House, approval: str, times: int) -> None:
    """The same approval and call again and again, as if each had been asked for."""

    def work(tx: Any) -> None:
        db = tx._db
        for table, key, own in (
            ("calls", "id", "call"),
            ("payloads", "call", "call"),
            ("approvals", "id", "apr"),
        ):
            names: list[str] = [each[1] for each in db.execute(f"PRAGMA table_info({table})")]
            source = approval if table == "approvals" else row(home, approval)["call"]
            for number in range(times):
                new: dict[str, str] = {
                    "id": f"'{own}_{number}'",
                    "call": f"'call_{number}'",
                    "approval": f"'apr_{number}'",
                }
                fields = ", ".join(new.get(name, name) for name in names)
                db.execute(f"INSERT INTO {table} SELECT {fields} FROM {table} WHERE {key} = '{source}'")

    await home.store.write(work)


async def test_the_command_counts_suggests_and_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        approval = await asked(home)
        environ = {
            "LOCKKEEP_DATA": str(tmp_path / "data"),
            "LOCKKEEP_TOKEN": await home.token("bo", None),
            "PATH": "",
        }
        await command(environ, "approvals", "show", approval, "--json")
        await home.vote(approval, "bo")
        await until(home, ["succeeded"], ["consumed"])
        few = await command(environ, "approvals", "stats", "--suggest", "--json")
        await cloned(home, approval, 300)
        ran = await command(environ, "approvals", "stats", "--suggest", "--json")
        text = await command(environ, "approvals", "stats", "--suggest", "--since", "7d")
        generation = home.store.read.one("generation_newest")

    assert (few.code, few.data["suggestions"]) == (0, [])
    (line,) = few.data["rules"]
    assert (line["rule"], line["asked"], line["denied"], line["expired"]) == ("pay/shop.pay/large", 1, 0, 0)
    mine = next(each for each in few.data["people"] if each["person"] == "bo")
    assert (mine["asked"], mine["votes"], mine["share_denied"]) == (1, 1, 0.0)
    assert mine["median_look_s"] is not None
    advice, *others = ran.data["suggestions"]
    assert (advice["kind"], advice["about"]) == ("raise", "pay/shop.pay/large")
    assert {each["kind"] for each in others} == {"split"}  # all of them on one day
    assert "-      - {name: large, when: amount > 5 EUR" in advice["diff"]
    assert advice["replay"] == {"calls": 301, "same": 0, "asks->allowed": 301}
    assert "Nothing was changed." in text.out
    assert "301 asks->allowed" in text.out
    assert generation is not None
    assert generation["id"] == 1
