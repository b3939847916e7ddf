"""Rows of the embedded ticket store: read, compared, written with their history."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lockkeep_servers.kit.errors import Conflict, IllegalTransition, NotFound
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.results import Undo, changed
from lockkeep_servers.kit.sqlite import Row, Transaction
from lockkeep_servers.kit.times import parse_time, stamp
from lockkeep_servers.ticketing.sla import due_times

COLUMNS: Mapping[str, str] = {  # what callers see, and the column that holds it
    "requester": "requester_id",
    "subject": "subject",
    "status": "status",
    "priority": "priority",
    "type": "type",
    "group": "group_id",
    "assignee": "assignee_id",
    "resolution": "resolution",
    "external_id": "external_id",
    "first_replied_at": "first_replied_at",
}
VERSION_DIGITS = 12  # ours are far shorter; a longer one was not ours


def fields_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a caller sees of a row."""
    fields = {name: row[column] for name, column in COLUMNS.items()}
    return {**fields, "tags": json.loads(row["tags"]), "withdrawn": row["withdrawn_at"] is not None}


@dataclass(frozen=True)
class Rows:
    """The rows of one transaction, as one tool changes them at one time."""

    tx: Transaction
    tool: str
    now: datetime

    @property
    def by(self) -> str:
        return f"tool:{self.tool}"

    def fetch(self, id: str) -> Row:
        row = self.tx.row("get_ticket", id=id)
        if row is None:
            raise NotFound("ticket")
        return row

    def fetch_alive(self, id: str, version: str | None = None) -> Row:
        """Return the ticket as the caller saw it; a closed or withdrawn one takes nothing any more."""
        row = self.fetch(id)
        self.expect(row, version)
        if row["status"] == "closed" or row["withdrawn_at"] is not None:
            raise IllegalTransition([])
        return row

    def expect(self, row: Row, version: str | None) -> None:
        """The caller decided on this version, or named none."""
        if version is not None and version != str(row["version"]):
            ours = version.isascii() and version.isdigit() and len(version) <= VERSION_DIGITS
            since = int(version) if ours else row["version"]
            fields = self.tx.rows("changed_since", id=row["id"], version=since)
            raise Conflict(str(row["version"]), [field["field"] for field in fields])

    def save(
        self, row: Row, changes: Mapping[str, Any], reason: str | None = None, undo: Undo | None = None
    ) -> Effect:
        """Write the changed columns and their history; without any, nothing moves."""
        wanted = {**row, **changes}
        before, after = changed(fields_of(row), fields_of(wanted))
        version = row["version"] + bool(after)
        if after:
            self.write(wanted)
            self.remember(row["id"], version, before, after, reason)
        return Effect(row["id"], str(version), before, after, undo=undo)

    def write(self, wanted: Row) -> None:
        if self.tx.run("write_ticket", **{**wanted, **due_of(wanted), "updated_at": stamp(self.now)}) != 1:
            raise RuntimeError("the row moved inside its own transaction")

    def add(self, values: Mapping[str, Any]) -> Row:
        at = stamp(self.now)
        row: Row = dict.fromkeys((*COLUMNS.values(), "order_id", "shipment_id"))
        row |= {"id": self.next_id("ticket", "tkt"), "version": 1, "status": "new", "tags": "[]"}
        row |= {"withdrawn_at": None, "made_by": self.by, "created_at": at, "updated_at": at, **values}
        row |= due_of(row)
        self.tx.run("add_ticket", **row)
        after = {name: value for name, value in fields_of(row).items() if value not in (None, [], False)}
        self.remember(row["id"], 1, {}, after, None)
        return row

    def say(self, ticket_id: str, kind: str, body: str, by: str | None = None) -> str:
        """Add a message and return its id."""
        id = self.next_id("message", "tmsg")
        said = {"ticket_id": ticket_id, "kind": kind, "by": by or self.by, "body": body}
        self.tx.run("add_message", id=id, at=stamp(self.now), **said)
        return id

    def next_id(self, kind: str, prefix: str) -> str:
        return f"{prefix}_{self.tx.rows('next_number', kind=kind)[0]['last']}"

    def remember(
        self, id: str, version: int, before: Mapping[str, Any], after: Mapping[str, Any], reason: str | None
    ) -> None:
        for name, value in after.items():
            self.tx.run(
                "add_change",
                ticket_id=id,
                version=version,
                at=stamp(self.now),
                by=self.by,
                field=name,
                old=json.dumps(before.get(name)),
                new=json.dumps(value),
                reason=reason,
            )


def due_of(row: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the columns of the due times, which follow from priority and creation alone."""
    due = due_times(row["priority"], parse_time(row["created_at"]))
    reply, solve = (stamp(due[0]), stamp(due[1])) if due else (None, None)
    return {"first_reply_due": reply, "solve_due": solve}


def next_due(row: Mapping[str, Any]) -> str | None:
    """Return the first due time that is not met yet; a solved ticket has none, nor one without a priority."""
    if row["status"] in ("solved", "closed") or row["solve_due"] is None:
        return None
    return row["solve_due"] if row["first_replied_at"] else min(row["first_reply_due"], row["solve_due"])


def with_tags(tags: str, add: Sequence[str], remove: Sequence[str]) -> list[str]:
    """Return the tags with these added at the end, in the order given, and those gone."""
    kept = [tag for tag in json.loads(tags) if tag not in remove]
    return [*kept, *(tag for tag in dict.fromkeys(add) if tag not in kept)]
