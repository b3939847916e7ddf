"""Taking back stops at the first call that fails, and says what is done, what is not and what is unknown (U4)."""

from pathlib import Path
from typing import Any

import pytest

from .fixture_servers.shelf import Shelf
from .fixture_servers.shelf_place import Place, shelved

FIVE = ("one", "two", "three", "four", "five")
NEWEST_FIRST = FIVE[::-1]
ALL = ("calls", "--since", "1h", "--tool", "shelf.put")


def five() -> Shelf:
    return Shelf(things={name: {"text": "old", "place": "left"} for name in FIVE})


async def five_calls(it: Place) -> dict[str, str]:
    """The call on each thing, newest first."""
    made = {name: await it.put(id=name, text="new") for name in FIVE}
    return {name: made[name] for name in NEWEST_FIRST}


def texts(it: Place) -> list[Any]:
    return [it.shelf.things[name]["text"] for name in NEWEST_FIRST]


def states(ran: Any) -> list[str]:
    return [step["state"] for step in ran.data["steps"]]


@pytest.mark.promise("P9")
@pytest.mark.parametrize(
    "failing", [0, *(pytest.param(place, marks=pytest.mark.full) for place in (1, 2, 3, 4))]
)
async def test_at_a_failure_it_stops_there_and_skip_goes_on(tmp_path: Path, failing: int) -> None:
    shelf, after = five(), 4 - failing
    async with shelved(tmp_path, shelf) as home:
        it = Place(home, tmp_path, shelf)
        calls = await five_calls(it)
        shelf.refuses[NEWEST_FIRST[failing]] = "locked"
        ran = await it.undo(*ALL)
        stopped = texts(it)
        said = await it.lockkeep("undo", "show", ran.data["plan"])
        left = await it.undo(*ALL, "--skip")
        ended = {name: it.state(call) for name, call in calls.items()}
        assert home.sound()

    assert (ran.code, ran.data["state"]) == (1, "stopped")
    assert states(ran) == ["done"] * failing + ["failed"] + ["open"] * after
    assert "Not now." in ran.data["steps"][failing]["note"]
    assert stopped == ["old"] * failing + ["new"] * (5 - failing)
    counted = {"done": failing, "failed": 1, "not done": after}
    assert ", ".join(f"{count} {word}" for word, count in counted.items() if count) + "." in said.out
    assert (left.code, states(left)) == (1, ["skipped"] + ["done"] * after)
    assert {name for name, state in ended.items() if state == "succeeded"} == {NEWEST_FIRST[failing]}


@pytest.mark.full
@pytest.mark.promise("P7", "P9")
@pytest.mark.parametrize("failing", range(5))
async def test_what_nobody_knows_is_said_and_nothing_goes_on_past_it(tmp_path: Path, failing: int) -> None:
    shelf = five()
    async with shelved(tmp_path, shelf) as home:
        it = Place(home, tmp_path, shelf)
        calls = await five_calls(it)
        shelf.refuses[NEWEST_FIRST[failing]] = ""
        ran = await it.undo(*ALL, "--skip")
        again = await it.undo("call", calls[NEWEST_FIRST[failing]])

    assert (ran.code, ran.data["state"]) == (1, "stopped")
    assert states(ran) == ["done"] * failing + ["unknown"] + ["open"] * (4 - failing)
    assert "lockkeep calls resolve" in ran.data["steps"][failing]["note"]
    assert (again.code, again.data["steps"][0]["would"]) == (1, "impossible")
    assert "not known yet" in again.data["steps"][0]["note"]
    assert shelf.asked.count("put") == 5 + failing + 1


@pytest.mark.full
@pytest.mark.promise("P7", "P9")
async def test_once_a_person_knows_that_it_was_taken_back_only_the_proof_is_missing(tmp_path: Path) -> None:
    shelf = five()
    async with shelved(tmp_path, shelf) as home:
        it = Place(home, tmp_path, shelf)
        call = await it.put(id="one", text="new")
        shelf.refuses["one"] = ""
        ran = await it.undo("call", call)
        undoing = ran.data["steps"][0]["undo"]
        shelf.things["one"]["text"] = "old"  # it did happen
        solved = await it.lockkeep("calls", "resolve", undoing, "--applied", "--evidence", "seen", by="cy")
        done = await it.undo("call", call)

    assert solved.code == 0, solved.err
    assert (done.code, states(done), shelf.asked.count("put")) == (0, ["done"], 2)
