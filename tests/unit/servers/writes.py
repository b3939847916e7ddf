"""One sound call of every writer, and ways to see a whole store."""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.unit.servers.desk import Desk

LEAD = {
    "email": "ida@kestrel.example",
    "company": "Kestrel Works",
    "name": "Ida",
    "country": "DE",
    "source": "event",
}
EVENT = {
    "calendar": "rep_1",
    "title": "Review",
    "start": "2027-03-02T18:00:00+01:00",
    "end": "2027-03-02T19:00:00+01:00",
    "tz": "Europe/Berlin",
}
SERIES = {**EVENT, "rrule": "FREQ=WEEKLY;COUNT=6"}
THIRD = "2027-03-16T17:00:00Z"
Prepared = Callable[[Desk], Awaitable[dict[str, Any]]]
Write = tuple[str, str, Prepared, dict[str, Any]]


async def a_lead(desk: Desk) -> dict[str, Any]:
    made = await desk.ok("upsert_lead", **LEAD, value_minor=900_000, currency="EUR")
    return {"kind": "lead", "id": made["id"]}


async def an_event(desk: Desk) -> dict[str, Any]:
    made = await desk.ok("create_event", **EVENT)
    return {"calendar": "rep_1", "event_id": made["id"]}


async def a_series(desk: Desk) -> dict[str, Any]:
    made = await desk.ok("create_event", **SERIES)
    return {"calendar": "rep_1", "event_id": made["id"]}


async def nothing(desk: Desk) -> dict[str, Any]:
    return {}


async def an_existing_lead(desk: Desk) -> dict[str, Any]:
    await a_lead(desk)
    return {}


async def a_deal_to_close(desk: Desk) -> dict[str, Any]:
    return {"kind": "deal", "id": "del_1"}  # planted: contract sent, 7,500.00 EUR


async def an_archived_lead(desk: Desk) -> dict[str, Any]:
    lead = await a_lead(desk)
    await desk.ok("archive", **lead, reason="test")
    return lead


WRITES: list[Write] = [
    ("crm", "upsert_lead", nothing, {**LEAD, "email": "new@kestrel.example"}),
    ("crm", "upsert_lead", an_existing_lead, {**LEAD, "company": "Kestrel", "employees": 12}),
    ("crm", "assign_owner", a_lead, {"owner_id": "rep_1", "reason": "territory"}),
    ("crm", "update", a_lead, {"changes": {"industry": "food", "value_minor": None, "currency": None}}),
    ("crm", "move_stage", a_lead, {"stage": "disqualified", "lost_reason": "no budget"}),
    ("crm", "move_stage", a_deal_to_close, {"stage": "closed_won", "amount_minor": 700_000, "currency": "EUR"}),
    ("crm", "log_activity", a_lead, {"type": "note", "body": "Called back."}),
    ("crm", "archive", a_lead, {"reason": "test"}),
    ("crm", "archive", an_archived_lead, {"reason": "test", "restore": True}),
    ("calendar", "create_event", nothing, EVENT),
    ("calendar", "create_event", nothing, SERIES),
    ("calendar", "update_event", an_event, {"changes": {"title": "Moved", "location": "Room 2"}}),
    ("calendar", "update_event", a_series, {"scope": "this", "occurrence": THIRD, "changes": {"start": "2027-03-16T18:30:00+01:00"}}),
    ("calendar", "update_event", a_series, {"scope": "following", "occurrence": THIRD, "changes": {"title": "Late"}}),
    ("calendar", "update_event", a_series, {"scope": "all", "changes": {"rrule": "FREQ=WEEKLY;COUNT=3"}}),
    ("calendar", "cancel_event", an_event, {"reason": "test"}),
    ("calendar", "cancel_event", a_series, {"scope": "this", "occurrence": THIRD, "reason": "test"}),
    ("calendar", "cancel_event", a_series, {"scope": "following", "occurrence": THIRD, "reason": "test"}),
    ("calendar", "cancel_event", a_series, {"scope": "all", "reason": "test"}),
]  # fmt: skip
CREATES = ("create_event", "log_activity")
CHANGES = [
    write for write in WRITES if write[1] not in CREATES and write[2] is not nothing
]  # a version can be expected
IDS = [f"{server}.{tool}-{place}" for place, (server, tool, _, _) in enumerate(WRITES)]


def sampled(writes: Sequence[tuple[Any, ...]]) -> list[Any]:
    """All of them in full; here the first of each tool, and every fourth."""
    found: list[Any] = []
    seen: set[tuple[str, ...]] = set()
    for place, write in enumerate(writes):
        name = tuple(part for part in write if isinstance(part, str))
        here = name not in seen or place % 4 == 0
        found.append(pytest.param(*write, marks=() if here else pytest.mark.full))
        seen.add(name)
    return found


def ends_it(write: Write) -> bool:
    """Tell whether nobody can change the event after this."""
    return write[1] == "cancel_event" and write[3].get("scope", "all") == "all"


MOVING = {"version", "sequence", "updated_at", "number"}  # what a change and its undo may leave behind
HISTORY = {"receipts", "changes", "sequences"}


def tables(folder: Path, *, whole: bool = False) -> dict[str, list[dict[str, Any]]]:
    """Return every row of the store; without `whole`, what an undo has to bring back."""
    (file,) = folder.glob("*.sqlite")
    connection = sqlite3.connect(file)
    connection.row_factory = sqlite3.Row
    try:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        kept = [name for name in sorted(names) if whole or name not in HISTORY]
        found = {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in kept}
    finally:
        connection.close()
    if whole:
        return found
    return {name: [_still(row) for row in rows] for name, rows in found.items()}


def _still(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in MOVING}
