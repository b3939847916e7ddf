"""No exception gets out of a server, and no text of one reaches a caller or a log (TC4, TS11)."""

import logging
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from tests.unit.servers.desk import Desk, open_desk
from tests.unit.servers.writes import EVENT, LEAD

from lockkeep_servers.kit.arguments import Arguments
from lockkeep_servers.kit.errors import NotApplied
from lockkeep_servers.kit.manifest import Entry
from lockkeep_servers.kit.results import Result
from lockkeep_servers.kit.sqlite import StoreError
from lockkeep_servers.kit.toolserver import build_server

CANARY = "hunter2-canary"


class Ask(Arguments):
    text: str = ""


class Said(Result):
    text: str


async def look(ask: Ask) -> Said:
    raise ValueError(CANARY)


async def move(ask: Ask) -> Said:
    raise ValueError(CANARY)


async def move_back(ask: Ask) -> Said:
    try:
        raise ValueError(CANARY)
    except ValueError as error:
        raise NotApplied from error


@asynccontextmanager
async def open_always() -> AsyncGenerator[None]:
    yield


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize(
    ("tool", "code"), [("look", "unavailable"), ("move", "unknown_outcome"), ("move_back", "unavailable")]
)
async def test_an_exception_becomes_an_error_of_the_closed_set(
    tool: str, code: str, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    manifest = {
        "look": Entry({"class": "read"}, frozenset()),
        **dict.fromkeys(("move", "move_back"), Entry({"class": "write", "undo": "none"}, frozenset())),
    }
    server = build_server(
        "fleet", runs=[look, move, move_back], manifest=manifest, session=open_always, instructions=""
    )

    async with Client(server, mode=mode) as client:
        answer = await client.call_tool(tool, {"text": CANARY})

    error = answer.structured_content["error"]
    assert (answer.is_error, error["code"]) == (True, code)
    assert CANARY not in answer.model_dump_json()
    ours = [record for record in caplog.records if record.name.startswith("lockkeep")]
    assert [record.getMessage() for record in ours if CANARY in record.getMessage()] == []
    assert [record.levelname for record in ours] == ["ERROR", "INFO"]
    assert error["details"]["incident"] in ours[0].getMessage()


async def test_an_unknown_tool_is_an_error_too(desk: Desk) -> None:
    assert (await desk.refused("drop_everything"))["code"] == "invalid"


async def test_a_broken_store_is_unavailable_and_heals(tmp_path: Path) -> None:
    async with open_desk("crm", tmp_path) as desk:
        rename(tmp_path, "records", "gone")
        assert (await desk.refused("search", kind="lead", stage="new"))["code"] == "unavailable"
        assert (await desk.refused("upsert_lead", **LEAD))["code"] == "unavailable"
        rename(tmp_path, "gone", "records")
        assert (await desk.ok("upsert_lead", **LEAD))["applied"] is True


def rename(folder: Path, old: str, new: str) -> None:
    run(folder, f"ALTER TABLE {old} RENAME TO {new}")


def run(folder: Path, statement: str) -> None:
    (file,) = folder.glob("*.sqlite")
    connection = sqlite3.connect(file)
    try:
        connection.execute(statement)
        connection.commit()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("server", "tool", "arguments"), [("crm", "upsert_lead", LEAD), ("calendar", "create_event", EVENT)]
)
async def test_a_key_that_is_running_or_unknown_runs_no_second_time(
    server: str, tool: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    async with open_desk(server, tmp_path) as desk:
        await desk.ok(tool, **arguments, idempotency_key="step-0001")
        for state, code, waits in (
            ("started", "in_progress", {"retry_after_s": 5}),
            ("unknown", "unknown_outcome", {}),
        ):
            run(tmp_path, f"UPDATE receipts SET state = '{state}', receipt = NULL")

            assert (await desk.refused(tool, **arguments, idempotency_key="step-0001"))["code"] == code
            assert await desk.ok("get_receipt", idempotency_key="step-0001", fence=True) == {
                "state": state,
                "tool": tool,
                **waits,
            }


async def test_images_are_kept_thirty_days_and_keys_four_hundred(tmp_path: Path) -> None:
    async with open_desk("crm", tmp_path) as desk:
        made = await desk.ok("upsert_lead", **LEAD, idempotency_key="step-0001")
    run(tmp_path, "UPDATE receipts SET at = '2027-01-15T00:00:00Z'")
    async with open_desk("crm", tmp_path) as desk:
        found = (await desk.ok("get_receipt", idempotency_key="step-0001"))["receipt"]
        assert found == {**made, "before": {}, "after": {}, "undo": {"possible": "no"}}
    run(tmp_path, "UPDATE receipts SET at = '2026-01-15T00:00:00Z'")
    async with open_desk("crm", tmp_path) as desk:
        assert await desk.ok("get_receipt", idempotency_key="step-0001") == {"state": "absent"}


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE migrations SET sha256 = 'other'", "changed"),
        ("INSERT INTO migrations VALUES (9, 'x')", "newer"),
    ],
)
async def test_a_store_of_another_release_stops_the_start(statement: str, words: str, tmp_path: Path) -> None:
    async with open_desk("crm", tmp_path):
        run(tmp_path, statement)

    with pytest.raises(StoreError, match=words):
        async with open_desk("crm", tmp_path):
            pass


async def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(StoreError, match="DATA"):
        async with open_desk("crm", tmp_path / "file" / "crm", WORLD="none"):
            pass
