"""A mailroom with a small book, a caller of it, and what its file holds."""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from tests.unit.servers.desk import MONDAY, Desk

from lockkeep_servers.notify.server import build

BOOK = """
templates:
  - {id: welcome, locale: en, subject: "Welcome, {name}", body: "Hello {name},\\nyour plan is {plan}."}
  - {id: welcome, locale: de, subject: "Willkommen, {name}", body: "Hallo {name},\\nIhr Tarif ist {plan}."}
  - {id: notice, locale: de, subject: Hinweis, body: "Ihr Paket {parcel} kommt später."}
recipients:
  - {email: Lena@Kestrel.example, locale: de, tz: Europe/Berlin, quiet_from: "21:00", quiet_to: "08:00"}
  - {email: dana@prairie.example, locale: en, tz: America/New_York, quiet_from: "21:00", quiet_to: "08:00"}
  - {email: noon@kestrel.example, locale: en, tz: Europe/Berlin, quiet_from: "12:00", quiet_to: "13:00"}
suppressed: [gone@kestrel.example]
"""

LENA = "lena@kestrel.example"

MAIL = {"to": LENA, "ref": "acc_1", "subject": "Your order", "body": "It is on its way."}

KEY = "step-0001"


@asynccontextmanager
async def office(folder: Path, now: datetime = MONDAY, **settings: str) -> AsyncGenerator[Desk]:
    """A mailroom with a small book on a Monday at seven UTC, its clock, and a caller."""
    folder.mkdir(exist_ok=True)
    book = folder / "book.yaml"
    book.write_text(BOOK, encoding="utf-8")
    given = {"DATA": str(folder), "BOOK": str(book), "CHANNELS": "ops sales", **settings}
    clock: list[Desk] = []
    built = build(
        {f"LOCKKEEP_NOTIFY_{key}": value for key, value in given.items()},
        lambda: clock[0].now if clock else now,
    )
    async with Client(built) as client:
        clock.append(Desk("notify", folder, now, client))
        yield clock[0]


async def state(desk: Desk, id: str) -> str:
    return (await desk.ok("status", message_id=id))["messages"][0]["state"]


async def until(desk: Desk, id: str, *wanted: str) -> str:
    """Ask until the message is where it should be; each question makes the sender look."""
    with anyio.fail_after(10):
        while (now := await state(desk, id)) not in wanted:
            await anyio.sleep(0.01)
    return now


async def settled(desk: Desk) -> None:
    """Return once the sender has been through the queue: what was due before this probe has been looked at."""
    probe = {**MAIL, "to": "probe@kestrel.example", "ref": "probe", "subject": "probe"}
    sent = await desk.ok("send", **probe, idempotency_key=f"probe-{desk.now.timestamp()}")
    desk.later(seconds=60)
    await until(desk, sent["id"], "sent")


def rows(folder: Path, question: str) -> list[dict[str, Any]]:
    connection = sqlite3.connect(folder / "notify.sqlite")
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(question)]
    finally:
        connection.close()


def change(folder: Path, statement: str, *values: str) -> None:
    """What another process, or a kill, would have left."""
    connection = sqlite3.connect(folder / "notify.sqlite")
    with connection:
        connection.execute(statement, values)
    connection.close()


def outbox(folder: Path) -> list[tuple[str, str, str]]:
    found = rows(folder, "SELECT * FROM outbox WHERE subject <> 'probe' ORDER BY at")
    return [(row["recipient"], row["subject"], row["body"]) for row in found]
