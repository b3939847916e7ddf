"""What asking costs, counted from the rows, is what the exported record says (A11); and its bounds are the known ones."""

import json
import random
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lockkeep.ledger import approvals, fatigue
from lockkeep.ledger.fatigue import ENOUGH, ENOUGH_MONEY, quantile, wilson
from unit.ledger.council import BOTH, LEAD, PEOPLE, Council, council

LONG_AGO = datetime.fromisoformat("2020-01-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        (0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (1, 10, 0.0179, 0.4042), (50, 100, 0.4038, 0.5962),
        (0, 0, 0.0, 1.0), (281, 300, 0.9033, 0.9592),
    ],
)  # fmt: skip
def test_the_bounds_are_the_known_ones(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == (pytest.approx(low, abs=2e-4), pytest.approx(high, abs=2e-4))


def test_the_numbers_without_objection_are_the_first_that_bound_it() -> None:
    """What share of objections would still leave none among so many, once in twenty times?"""
    for enough, most in ((ENOUGH, 0.05), (ENOUGH_MONEY, 0.01)):
        assert (1 - most) ** enough <= 0.05 < (1 - most) ** (enough - 1)


def test_of_an_even_number_the_lower_middle_counts_and_of_none_nothing() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0.5, 0.95, 1.0)] == [2, 4, 4]
    assert quantile([], 0.5) is None


async def history(room: Council, rolled: random.Random) -> None:
    """Some weeks of people who agree, deny, edit, call off, and forget."""
    for turn in range(25):
        demands = rolled.choice(((LEAD,), (BOTH,), (LEAD, BOTH)))
        approval = await room.park(room.call(f"{turn}", agent=f"robot{turn}"), *demands)
        room.now += timedelta(seconds=rolled.randint(1, 600))
        for person in rolled.sample(("bo", "cy", "dee", "eve"), rolled.randint(0, 4)):
            if room.state(approval) != "pending":
                break
            seen = room.now
            await room.store.write(lambda tx, a=approval, p=person, at=seen: fatigue.opened(tx, a, p, at))
            room.now += timedelta(seconds=rolled.randint(1, 60))
            what = rolled.random()
            if what < 0.1:
                await room.edit(approval, person, "y")
            else:
                await room.vote(approval, person, "deny" if what < 0.25 else "approve")
        if rolled.random() < 0.2 and room.state(approval) in ("pending", "approved"):
            await room.store.write(
                lambda tx, a=approval: approvals.revoke(tx, a, "olga", reason="r", now=room.now)
            )
        room.now += timedelta(hours=rolled.choice((0, 2)))
        await room.ledger.expire()


def recounted(lines: list[str]) -> dict[str, Counter[str]]:
    """The same counts, from the exported lines alone."""
    rules: dict[str, list[str]] = {}
    last: dict[str, str] = {}
    of_call: dict[str, str] = {}
    for line in lines:
        record: dict[str, Any] = json.loads(line)
        approval = record.get("approval") or of_call.get(record.get("call", ""))
        if record["type"] == "call.parked":
            rules[record["approval"]], of_call[record["call"]] = (
                list(dict.fromkeys(record["rules"])),
                record["approval"],
            )
        elif record["type"] == "call.ended" and record["outcome"] == "expired" and approval:
            last[approval] = "expired"
        elif record["type"] in ("approval.denied", "approval.edited", "approval.revoked"):
            last[str(approval)] = record["type"].partition(".")[2]
    found: dict[str, Counter[str]] = {}
    for approval, named in rules.items():
        for rule in named:
            found.setdefault(rule, Counter()).update(["asked", last.get(approval, "")])
    return found


async def check(folder: Path, seed: int) -> None:
    with council(folder) as room:
        await history(room, random.Random(seed))
        read = room.store.read
        lines = [str(row["record"]) for row in read.all("audit_from", seq=1, count=100_000)]
        asks, cast = fatigue.asks(read, LONG_AGO), fatigue.votes(read, LONG_AGO)

    tolls, counts = fatigue.by_rule(asks), recounted(lines)
    assert {
        rule: (
            len(toll.asks),
            toll.number("superseded"),
            toll.number("denied"),
            toll.number("expired"),
            toll.number("revoked"),
        )
        for rule, toll in tolls.items()
    } == {
        rule: (of["asked"], of["edited"], of["denied"], of["expired"], of["revoked"])
        for rule, of in counts.items()
    }
    voted: dict[tuple[str, str], str] = {}
    for record in map(json.loads, lines):
        if record["type"] == "approval.voted":
            voted[record["approval"], record["person"]] = record["decision"]
    loads = fatigue.by_person(asks, cast, PEOPLE)
    assert {
        person: Counter(vote.decision for vote in of.votes) for person, of in loads.items() if of.votes
    } == {
        person: Counter(decision for (_, who), decision in voted.items() if who == person)
        for _, person in voted
    }
    assert all(vote.looked is not None and 0 < vote.looked <= 60 for vote in cast)


@pytest.mark.parametrize("seed", range(2))
async def test_the_counts_of_each_rule_and_person_are_those_of_the_export(tmp_path: Path, seed: int) -> None:
    await check(tmp_path, seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2, 20))
async def test_the_counts_are_those_of_the_export_in_other_histories(tmp_path: Path, seed: int) -> None:
    await check(tmp_path, seed)
