"""Tickets to begin with, and what the store of the support desk holds."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.unit.servers.desk import Desk

from lockkeep_servers.ticketing.states import NEXT

KEY = "step-0001"

STATUSES = tuple(NEXT)

TICKET = {"requester": "con_1", "subject": "Broken kettle", "body": "It leaks.", "priority": "normal"}

SOLVED = {"resolution": "Sent a new one."}

WAY: dict[str, tuple[str, ...]] = {  # how a new ticket gets there
    "new": (),
    "open": ("open",),
    "pending": ("open", "pending"),
    "hold": ("open", "hold"),
    "solved": ("open", "solved"),
    "closed": ("open", "solved", "closed"),
}

FULL = pytest.mark.full


def step(to: str) -> dict[str, str]:
    return {"to": to, "reason": "test", **(SOLVED if to == "solved" else {})}


async def a_ticket(desk: Desk, status: str = "new", **more: Any) -> str:
    """Return the id of a ticket of ours with that status."""
    id: str = (await desk.ok("create", **{**TICKET, **more}))["id"]
    for to in WAY[status]:
        await desk.ok("transition", id=id, **step(to))
    return id


async def the_ticket(desk: Desk, id: str) -> dict[str, Any]:
    return (await desk.ok("get", id=id))["ticket"]


# --- what the store holds -----------------------------------------------------------------------------------------

HISTORY = {"receipts", "migrations", "changes", "sequences"}


def tables(folder: Path, *, whole: bool = False) -> dict[str, list[dict[str, Any]]]:
    """Return every row; without `whole`, what an undo has to bring back."""
    with closing(sqlite3.connect(folder / "ticketing.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        kept = [name for name in sorted(names) if whole or name not in HISTORY]
        found = {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in kept}
    if whole:
        return found
    moving = {"version", "number", "updated_at"}
    return {
        name: [{k: v for k, v in row.items() if k not in moving} for row in rows]
        for name, rows in found.items()
    }


def run(folder: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(folder / "ticketing.sqlite")) as connection:
        connection.execute(statement, values)
        connection.commit()


async def a_noted(desk: Desk) -> dict[str, Any]:
    id = await a_ticket(desk)
    return {"id": id, "note_id": (await desk.ok("add_note", id=id, body="For us."))["id"]}
