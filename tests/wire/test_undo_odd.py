"""Answers and manifests that lie or are nonsense: the write is never disturbed, and undo says why it cannot."""

import logging
from pathlib import Path
from typing import Any

import pytest

from house import said

from .fixture_servers.shelf import PUT, Shelf, tools
from .fixture_servers.shelf_place import Place, shelved

RECEIPTS = {**PUT, "before": "result.before"}
EXPECTING = {
    **RECEIPTS,
    "version": {"arg": "place"},
    "undo": {
        "restores": "exact",
        "window": "1d",
        "cases": [
            {"tool": "put", "with": {"id": "=args.id", "text": "=before.text", "place": "=result.version"}}
        ],
    },
}
FINE: dict[str, Any] = {"before": {"text": "old", "place": "left"}, "after": {"text": "new"}}
ANSWERS: dict[str, tuple[dict[str, Any], str, str]] = {
    "an end that is no time": ({"undo": {"until": "tomorrow"}}, "impossible", "no time that can be read"),
    "an end without a zone": (
        {"undo": {"until": "2090-01-01T00:00:00"}},
        "impossible",
        "no time that can be read",
    ),
    "an end beyond all time": (
        {"undo": {"until": "0001-01-01T00:00:00+23:59"}},
        "impossible",
        "no time that can be read",
    ),
    "an end that is a list": ({"undo": {"until": [1]}}, "impossible", "no time that can be read"),
    "an end that is over": ({"undo": {"until": "2020-01-01T00:00:00Z"}}, "window closed", "2020-01-01"),
    "neither yes nor no": ({"undo": {"possible": "perhaps"}}, "impossible", "neither yes nor no"),
    "possible as a list": ({"undo": {"possible": ["yes"]}}, "impossible", "neither yes nor no"),
    "no, in signs nobody sees": ({"undo": {"possible": "no", "note": "\u202e\x1b[2J"}}, "impossible", "·"),
    "a word that is none of ours": ({"undo": "whatever"}, "restores", ""),
    "a state before that is a text": (
        {"before": "as it was"},
        "impossible",
        "does not hold what taking it back needs",
    ),
    "no state before": ({"before": None}, "impossible", "does not hold what taking it back needs"),
    "a state before without its fields": ({"before": {}}, "not allowed", "do not fit shelf.put"),
    "values of another kind": ({"before": {"text": 7, "place": []}}, "not allowed", "do not fit shelf.put"),
    "a record whose id is a list": ({"id": [1, 2]}, "restores", ""),
    "a record whose id is huge": ({"id": 10**30}, "restores", ""),
    "a record whose id is an object": ({"id": {"id": "a"}}, "restores", ""),
    "an answer of after that is a text": ({"after": "new"}, "restores", ""),
    "numbers that are none": ({"after": {"text": "new", "sum": float("nan")}}, "restores", ""),
}
MANIFESTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "a window of nonsense": ({**PUT["undo"], "window": "soon"}, "impossible", "is no duration"),
    "a window without end": ({**PUT["undo"], "window": "99999999999d"}, "impossible", "is no duration"),
    "a window that is a list": ({**PUT["undo"], "window": [1]}, "impossible", "is no duration"),
    "cases that are a text": ({**PUT["undo"], "cases": "put"}, "impossible", ""),
    "cases of texts": ({**PUT["undo"], "cases": ["put"]}, "impossible", ""),
    "a case without a tool": ({**PUT["undo"], "cases": [{"with": {}}]}, "impossible", "no way back"),
    "a case with a tool of nobody": (
        {**PUT["undo"], "cases": [{"tool": "take"}]},
        "impossible",
        "no way back",
    ),
    "arguments that are a list": (
        {**PUT["undo"], "cases": [{"tool": "put", "with": []}]},
        "not allowed",
        "do not fit",
    ),
    "an expression that is none": (
        {**PUT["undo"], "cases": [{"tool": "put", "with": {"id": "=((("}}]},
        "impossible",
        "what taking it back needs",
    ),
}


async def found(folder: Path, shelf: Shelf) -> tuple[dict[str, Any], str]:
    """The step of one change that others did not touch, and what became of the call."""
    async with shelved(folder, shelf) as home:
        it = Place(home, folder, shelf)
        call = await it.put()
        assert (shelf.things["a"]["text"], it.state(call)) == ("new", "succeeded")
        shelf.says = None
        step = (await it.undo("call", call)).data["steps"][0]
        assert said(await home.call("shelf.look", {"id": "b"}))["text"] == "old"  # the gateway goes on
        assert home.sound()
        return step, it.state(call)


@pytest.mark.promise("P9")
@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_that_lies_about_its_undo_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    says, would, note = ANSWERS[name]
    step, state = await found(tmp_path, Shelf(tools=tools(RECEIPTS), says={**FINE, **says}))

    assert (step["would"], note in step["note"]) == (would, True), step
    assert state == ("undone" if would == "restores" else "succeeded")
    assert not [each for each in caplog.records if each.exc_info and each.levelno >= logging.ERROR]


@pytest.mark.full
@pytest.mark.promise("P9")
@pytest.mark.parametrize("name", MANIFESTS)
async def test_a_manifest_whose_undo_is_nonsense_disturbs_no_write(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    undo, would, note = MANIFESTS[name]
    step, state = await found(tmp_path, Shelf(tools=tools({**PUT, "undo": undo})))

    assert (step["would"], note in step["note"], state) == (would, True, "succeeded"), step
    assert not [each for each in caplog.records if each.exc_info and each.levelno >= logging.ERROR]


@pytest.mark.full
@pytest.mark.parametrize("version", [["1"], {"v": 1}, 7, "7.1", None], ids=str)
async def test_a_version_that_is_no_text_is_handed_on_or_refused_never_guessed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, version: Any
) -> None:
    shelf = Shelf(tools=tools(EXPECTING), says={**FINE, "before": {"text": "old"}, "version": version})
    step, _ = await found(tmp_path, shelf)

    assert step["would"] == ("restores" if version == "7.1" else "not allowed"), step
    assert not [each for each in caplog.records if each.exc_info and each.levelno >= logging.ERROR]
