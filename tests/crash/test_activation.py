"""kill -9 at every step of bringing rules into force: the whole old set, or the whole new one (P12)."""

import json
import subprocess
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from anyio import to_thread

from crash import activating
from crash.activating import POINTS
from crash.place import GATEWAY, PEOPLE, Launcher, Place, prepared, rules
from house import said
from lockkeep.ledger import generations
from lockkeep.ledger.generations import Generation
from lockkeep.policy.inforce import InForce

KILLED = 9
LEAD = {"company": "Kestrel", "name": "Ida", "country": "DE", "source": "event"}
OLD = rules("crm")
NEW = OLD + "  crm.upsert_lead:\n    deny: [{name: closed, when: true, say: The new set is in force.}]\n"
TWO = PEOPLE + "duties: {activate: [lead, staff]}\n"  # one person of each agrees


class Lines:
    """Command lines, each of its own process, which may die."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(activating.__file__)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )  # fmt: skip

    def run(self, place: Place, point: str, *words: str, who: str = "bo") -> int:
        """The signal it died of, or what it exited with, below zero."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        environ = place.environ | {"LOCKKEEP_TOKEN": place.tokens[f"{who}'s own"]}
        order = {"point": point, "words": words, "environ": environ, "log": str(place.folder / "line.log")}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def lines() -> Generator[Lines]:
    found = Lines()
    yield found
    found.close()


@dataclass(frozen=True)
class Way:
    """A command that brings another set into force, and what goes before it."""

    words: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    two: bool = False  # whether somebody else agrees

    def prepare(self, lines: Lines, place: Place) -> tuple[str, ...]:
        """Everything but the command itself, which is given back."""
        for words in self.before:
            assert lines.run(place, "", *words) == 0, (place.folder / "line.log").read_text(encoding="utf-8")
        if not self.two:
            return self.words
        with place.store() as store:
            (row,) = store.read.all("proposal_like", prefix="prp")
        return (*self.words, row["id"])


WAYS: Mapping[str, Way] = {
    "activate": Way(("policy", "activate", "--reason", "new")),
    "agree": Way(("policy", "agree"), (("policy", "activate", "--reason", "new"),), two=True),
    "rollback": Way(("policy", "rollback", "--reason", "back"), (("policy", "activate", "--reason", "new"),)),
}


def stored(place: Place) -> Generation:
    with place.store() as store:
        found = generations.current(store.read)
    assert found is not None
    return found


def in_force(place: Place) -> int:
    """What a gateway that begins now takes."""
    with place.store() as store:
        rules = InForce(store)
        rules.refresh()
        assert rules.current is not None
        assert (rules.refused, dict(rules.current.files)) == (0, dict(stored(place).files))
        return rules.current.generation


def write(place: Place) -> None:
    """Two files change at once."""
    policies = place.folder / "policies"
    (policies / "rules.yaml").write_text(NEW, encoding="utf-8")
    (policies / "gateway.yaml").write_text(GATEWAY + "  other: {owner: bo}\n", encoding="utf-8")


@pytest.mark.crash
@pytest.mark.promise("P12")
@pytest.mark.full
@pytest.mark.parametrize(
    ("way", "point"),
    [("activate", point) for point in POINTS]
    + [(way, point) for way in ("agree", "rollback") for point in POINTS[2:]],
)  # what is agreed to, and what comes back, was read and checked before
async def test_a_command_killed_on_its_way_leaves_the_whole_old_set_or_the_whole_new_one(
    tmp_path: Path, lines: Lines, lock: str, way: str, point: str
) -> None:
    place = await prepared(tmp_path, OLD, lock=lock, people=TWO if WAYS[way].two else PEOPLE)
    await check(place, lines, WAYS[way], point)


async def check(place: Place, lines: Lines, way: Way, point: str) -> None:
    write(place)
    words = way.prepare(lines, place)
    who = "ana" if way.two else "bo"
    before = stored(place)
    assert await to_thread.run_sync(lambda: lines.run(place, point, *words, who=who)) == KILLED
    after = stored(place)
    assert (after == before) == (point != "committed")
    assert in_force(place) == after.id
    assert len(place.events("policy.activated")) == after.id
    if after == before:  # nothing of it is in the way of the next try
        assert lines.run(place, "", *words, who=who) == 0
        after = stored(place)
    assert (after.id, dict(after.files) != dict(before.files)) == (before.id + 1, True)
    assert in_force(place) == after.id
    assert place.tampering() == []


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.promise("P12")
@pytest.mark.parametrize("point", POINTS)
async def test_a_gateway_beside_it_judges_by_the_set_that_is_in_force_and_so_does_the_next_one(
    tmp_path: Path, launcher: Launcher, lines: Lines, lock: str, point: str
) -> None:
    place = await prepared(tmp_path, OLD, lock=lock)
    write(place)
    expected = [""] if point != "committed" else ["crm/crm.upsert_lead/closed"]
    async with launcher.gateway(place):
        first = await judged(place, "a")
        killed = await to_thread.run_sync(
            lambda: lines.run(place, point, "policy", "activate", "--reason", "new")
        )
        beside = await judged(place, "b")
    async with launcher.gateway(place):
        after = await judged(place, "c")

    assert (first, killed, [beside, after]) == ("", KILLED, expected * 2)


async def judged(place: Place, name: str) -> str:
    """The rule that refused a write, or nothing."""
    return said(await place.call("crm.upsert_lead", {**LEAD, "email": f"{name}@kestrel.example"})).get(
        "rule", ""
    )


@pytest.mark.crash
@pytest.mark.promise("P12")
async def test_a_set_is_never_half_in_force(tmp_path: Path, lines: Lines, lock: str) -> None:
    place = await prepared(tmp_path, OLD, lock=lock)
    await check(place, lines, WAYS["activate"], "the row is there")
