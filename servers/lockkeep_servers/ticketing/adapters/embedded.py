"""Tickets in one SQLite file; several processes may share it."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeVar

from lockkeep_servers.kit.arguments import Arguments
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.cursor import read_cursor, write_cursor
from lockkeep_servers.kit.errors import Invalid, NotFound
from lockkeep_servers.kit.faults import NO_FAULT, Fault
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import STATEMENTS, Attempt, Effect, GetReceipt, Receipts
from lockkeep_servers.kit.results import Receipt, Receipted
from lockkeep_servers.kit.sqlite import Database, Row, Transaction, read_statements
from lockkeep_servers.kit.times import stamp
from lockkeep_servers.ticketing import port
from lockkeep_servers.ticketing.adapters import effects
from lockkeep_servers.ticketing.adapters.knowledge import Knowledge
from lockkeep_servers.ticketing.adapters.rows import Rows, next_due
from lockkeep_servers.ticketing.states import allowed

HERE = Path(__file__).parent
PAGE = 20  # messages of one answer, or fewer if they are long
PAGE_BYTES = 120_000
A = TypeVar("A", bound=Arguments)


class EmbeddedTickets:
    """Answers `Tickets` from `ticketing.sqlite` in the data folder."""

    def __init__(self, folder: Path, clock: Clock, fault: Fault = NO_FAULT) -> None:
        statements = {**STATEMENTS, **read_statements(HERE / "embedded.sql")}
        self.database = Database(folder / "ticketing.sqlite", statements, HERE / "migrations")
        self.knowledge = Knowledge(self.database)
        self._clock = clock
        self.receipts = Receipts(self.database, clock, fault)

    def session(self) -> AbstractAsyncContextManager[None]:
        return self.database.session()

    async def examine(self) -> list[Finding]:
        return [*self.database.examine(), self.knowledge.examine()]

    async def search(self, ask: port.Search) -> port.Page:
        """Return the tickets that match, in order of arrival."""
        filters = ask.model_dump(exclude={"cursor", "limit"})
        after = _place(ask.cursor, filters)
        rows = self.database.read(
            lambda tx: tx.rows(
                "search_tickets",
                status=json.dumps(ask.status) if ask.status else None,
                priority=json.dumps(ask.priority) if ask.priority else None,
                assignee=ask.assignee,
                requester=_person(ask.requester),
                query=ask.query.casefold() if ask.query else None,
                breaching_before=stamp(ask.breaching_before) if ask.breaching_before else None,
                after=after,
                limit=ask.limit + 1,
            )
        )
        shown, now = rows[: ask.limit], stamp(self._clock())
        more = write_cursor(str(shown[-1]["number"]), filters) if len(rows) > ask.limit else None
        return port.Page(items=[_short(row, now) for row in shown], next_cursor=more)

    async def get(self, ask: port.Get) -> port.Found:
        """Return the ticket and one page of its messages, oldest first."""
        after = _place(ask.cursor, {"id": ask.id})
        now = stamp(self._clock())
        return self.database.read(lambda tx: _found(tx, ask.id, after, now))

    async def search_kb(self, ask: port.SearchKb) -> port.Articles:
        return self.knowledge.search(ask)

    async def create(self, ask: port.Create, attempt: Attempt) -> Receipt:
        return await self._write(effects.create, ask, attempt)

    async def triage(self, ask: port.Triage, attempt: Attempt) -> Receipt:
        return await self._write(effects.triage, ask, attempt)

    async def add_note(self, ask: port.AddNote, attempt: Attempt) -> Receipt:
        return await self._write(effects.add_note, ask, attempt)

    async def reply(self, ask: port.Reply, attempt: Attempt) -> Receipt:
        return await self._write(effects.reply, ask, attempt)

    async def transition(self, ask: port.Transition, attempt: Attempt) -> Receipt:
        return await self._write(effects.transition, ask, attempt)

    async def withdraw(self, ask: port.Withdraw, attempt: Attempt) -> Receipt:
        return await self._write(effects.withdraw, ask, attempt)

    async def restore_triage(self, ask: port.RestoreTriage, attempt: Attempt) -> Receipt:
        return await self._write(effects.restore_triage, ask, attempt)

    async def get_receipt(self, ask: GetReceipt) -> Receipted:
        return await self.receipts.get(ask)

    async def _write(self, effect: Callable[[Rows, A], Effect], ask: A, attempt: Attempt) -> Receipt:
        return await self.receipts.write(
            attempt, lambda tx: effect(Rows(tx, attempt.tool, self._clock()), ask)
        )


def _place(cursor: str | None, filters: dict[str, object]) -> int:
    """Return the number to go on behind."""
    place = read_cursor(cursor, filters) or "0"
    if not (place.isascii() and place.isdigit() and len(place) <= 15):
        raise Invalid({"cursor": "is not a cursor of this tool"})
    return int(place)


def _person(asked: str | None) -> str | None:
    """An e-mail is compared as mail systems do, an id as it is."""
    return asked.strip().casefold() if asked is not None and "@" in asked else asked


def _short(row: Row, now: str) -> port.Short:
    names = ("id", "subject", "status", "priority", "type", "updated_at")
    return port.Short.model_validate(
        {
            **{name: row[name] for name in names},
            "version": str(row["version"]),
            "requester": row["requester_id"],
            "assignee": row["assignee_id"],
            "group": row["group_id"],
            "tags": json.loads(row["tags"]),
            "next_due": next_due(row),
            "overdue": _overdue(row, now),
        }
    )


def _overdue(row: Row, now: str) -> bool:
    due = next_due(row)
    return due is not None and due < now


def _found(tx: Transaction, id: str, after: int, now: str) -> port.Found:
    row = tx.row("get_ticket", id=id)
    if row is None:
        raise NotFound("ticket")
    messages, more = _messages(tx, id, after)
    names = ("id", "subject", "status", "priority", "type", "external_id", "resolution", "order_id")
    ticket = {
        **{name: row[name] for name in (*names, "shipment_id", "created_at", "updated_at")},
        "requester": {
            "id": row["requester_id"],
            "name": row["requester_name"],
            "email": row["requester_email"],
        },
        "assignee": row["assignee_id"],
        "group": row["group_id"],
        "tags": json.loads(row["tags"]),
        "withdrawn": row["withdrawn_at"] is not None,
    }
    times = {name: row[name] for name in ("first_reply_due", "first_replied_at", "solve_due")}
    return port.Found(
        ticket=port.Ticket.model_validate(ticket),
        version=str(row["version"]),
        allowed_transitions=[] if row["withdrawn_at"] else allowed(row["status"]),
        sla=port.Sla.model_validate({**times, "next_due": next_due(row), "overdue": _overdue(row, now)}),
        messages=messages,
        next_cursor=write_cursor(str(more), {"id": id}) if more else None,
        changes=[_change(one) for one in tx.rows("last_changes", id=id)],
    )


def _messages(tx: Transaction, id: str, after: int) -> tuple[list[port.Message], int | None]:
    """Return as many messages as one answer holds, and the place to go on behind if there are more."""
    rows = tx.rows("messages_of", id=id, after=after, cut=port.LONGEST_BODY, limit=PAGE + 1)
    shown: list[port.Message] = []
    room = PAGE_BYTES
    for row in rows[:PAGE]:
        room -= len(json.dumps(row["body"], ensure_ascii=False).encode())
        if shown and room < 0:
            break
        shown.append(_message(row))
    return shown, rows[len(shown) - 1]["number"] if len(rows) > len(shown) else None


def _message(row: Row) -> port.Message:
    gone = row["withdrawn_at"] is not None
    return port.Message.model_validate(
        {
            **{name: row[name] for name in ("id", "at", "by")},
            "visibility": "internal" if row["kind"] == "note" else "public",
            "body": None if gone else row["body"],
            "cut": True if row["longer"] and not gone else None,
            "withdrawn": True if gone else None,
        }
    )


def _change(row: Row) -> port.Change:
    values = {"from": json.loads(row["old"]), "to": json.loads(row["new"])}
    return port.Change.model_validate({**{n: row[n] for n in ("at", "by", "field", "reason")}, **values})
