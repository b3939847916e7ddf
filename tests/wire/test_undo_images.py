"""Servers that say nothing of the state before: it is read ahead, and again once the write was taken back."""

from pathlib import Path
from typing import Any

import pytest

from .fixture_servers.shelf import PUT, Shelf, tools
from .fixture_servers.shelf_place import Place, shelved


async def play(folder: Path, shelf: Shelf, meanwhile: Any = None) -> tuple[dict[str, Any], str]:
    """One change, something that happens, and its undo: the step, and what became of the call."""
    async with shelved(folder, shelf) as home:
        it = Place(home, folder, shelf)
        call = await it.put()
        if meanwhile is not None:
            meanwhile()
        ran = await it.undo("call", call)
        assert home.sound()
        return ran.data["steps"][0], it.state(call)


@pytest.mark.promise("P9")
async def test_what_was_read_ahead_comes_back_and_is_read_again(tmp_path: Path) -> None:
    shelf = Shelf()
    step, state = await play(tmp_path, shelf)

    assert (step["would"], step["state"], state) == ("restores", "done", "undone")
    assert shelf.things["a"] == {"text": "old", "place": "left"}
    assert shelf.asked == ["look", "put", "look", "look", "look", "put", "look"]


@pytest.mark.promise("P9")
async def test_what_somebody_changed_since_is_never_overwritten_there_either(tmp_path: Path) -> None:
    shelf = Shelf()
    step, state = await play(tmp_path, shelf, lambda: shelf.things["a"].update(place="theirs"))

    assert (step["would"], step["note"]) == ("conflict", "somebody changed place since")
    assert (state, shelf.things["a"]) == ("succeeded", {"text": "new", "place": "theirs"})


@pytest.mark.full
@pytest.mark.promise("P9")
async def test_an_undo_that_is_answered_and_changes_nothing_is_not_believed(tmp_path: Path) -> None:
    shelf = Shelf()
    step, state = await play(tmp_path, shelf, lambda: setattr(shelf, "deaf", True))

    assert (step["state"], step["note"]) == ("failed", "not verified: text did not come back")
    assert state == "succeeded"


@pytest.mark.promise("P9")
async def test_where_the_state_before_cannot_be_read_the_write_goes_on_and_undo_says_why(
    tmp_path: Path,
) -> None:
    shelf = Shelf(blind=True)
    step, state = await play(tmp_path, shelf)

    assert (shelf.things["a"]["text"], state) == ("new", "succeeded")
    assert (step["would"], step["state"]) == ("impossible", "open")
    assert step["note"] == "What stood before could not be read, so nothing says what to go back to."


@pytest.mark.full
async def test_where_what_it_left_cannot_be_read_nothing_is_overwritten(tmp_path: Path) -> None:
    shelf = Shelf(blind_looks=range(2, 3))
    step, state = await play(tmp_path, shelf)

    assert (step["would"], state) == ("conflict", "succeeded")
    assert "could not be read" in step["note"]


@pytest.mark.full
async def test_a_reader_that_is_silent_later_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockkeep.undoing.REST", 0.1)
    shelf = Shelf(blind_looks=range(5, 7))
    step, state = await play(tmp_path, shelf)

    assert (step["state"], state, shelf.asked.count("put")) == ("done", "undone", 2)


@pytest.mark.full
@pytest.mark.promise("P9")
async def test_an_answer_that_admits_to_something_else_is_not_believed(tmp_path: Path) -> None:
    answers = {"before": {"text": "old", "place": "left"}, "after": {"text": "new"}}  # to the undo, too
    shelf = Shelf(tools=tools({**PUT, "before": "result.before"}), says=answers)
    step, state = await play(tmp_path, shelf)

    assert (step["note"], state) == ("not verified: text did not come back", "succeeded")
