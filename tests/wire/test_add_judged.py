"""`lockkeep add` writes nothing until everything it would write is known to be sound."""

from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp.server import Server

from crash.command import Ran, command
from crash.place import Place

from .fixture_servers.book import Book, shelf, tool
from .fixture_servers.over_http import served
from .test_command_line import installed as installed
from .test_command_line import place as place
from .test_command_line import plain, snapshot

HOLD: dict[str, Any] = {
    "type": "object",
    "properties": {"paused": {"type": "boolean"}, "reason": {"type": "string"}},
    "required": ["paused", "reason"],
    "additionalProperties": False,
}


NUMBERED: dict[str, Any] = {
    "type": "object",
    "properties": {"number": {"type": "integer"}},
    "additionalProperties": False,
}


class Linear(Book):
    """A vendor's server by its name, whose tools take something else by now."""

    def server(self) -> Server[Any]:
        server = super().server()
        server.name = "Linear MCP"
        return server


def holding(**said: str) -> types.Tool:
    """A server's own word for a tool that holds its queue."""
    effect = {"class": "write", "undo": "none", "queue": {"with": said}}
    return tool("hold", effect, input_schema=HOLD)


async def added(place: Place, book: Book, *words: str) -> Ran:
    async with served(book.server()) as port:
        return await command(place.environ, "add", "shelf", f"http://127.0.0.1:{port}/mcp", *words)


def untouched(place: Place, before: dict[str, str], ran: Ran, *says: str) -> None:
    assert (ran.code, ran.out, plain(ran.err)) == (2, "", True), ran
    assert all(word in ran.err for word in says), ran.err
    assert len(ran.err.strip().splitlines()) <= 6
    assert snapshot(place) == before
    assert not (Path(place.folder) / "policies" / "manifests" / "shelf.yaml").exists()


@pytest.mark.crash
@pytest.mark.promise("P5")
async def test_a_server_whose_own_manifest_does_not_fit_its_tool_is_not_added(place: Place) -> None:
    before = snapshot(place)
    ran = await added(place, Book(tools=[*shelf(), holding(stop="=args.paused")]))

    untouched(
        place,
        before,
        ran,
        "nothing was written",
        "shelf.hold",
        '"paused" is a required property',
        "hold takes paused, reason",
    )
    sound = await added(place, Book(tools=[*shelf(), holding(paused="=args.paused", reason="=args.reason")]))
    assert sound.code == 0, sound
    assert "policies/manifests/shelf.yaml" in snapshot(place)


async def test_a_manifest_that_comes_with_lockkeep_and_does_not_fit_leaves_the_folder_alone(
    place: Place,
) -> None:
    before = snapshot(place)
    ran = await added(
        place, Linear(tools=[tool("get_issue", None, input_schema=NUMBERED), tool("list_issues", None)])
    )

    untouched(place, before, ran, "nothing was written", "shelf.get_issue", "by hand")


async def test_a_server_that_goes_away_while_it_is_judged_leaves_the_folder_alone(place: Place) -> None:
    """It is asked twice: once for the drafts, once for what would be accepted with them."""
    book = Book()
    whole = types.ListToolsResult(tools=book.tools)

    def once(_: str | None) -> types.ListToolsResult:
        if book.lists > 1:
            raise RuntimeError
        return whole

    book.pages = once
    before = snapshot(place)
    ran = await added(place, book)

    untouched(place, before, ran, "shelf")
    assert book.lists > 1
