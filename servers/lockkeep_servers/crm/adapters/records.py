"""Rows of the embedded CRM: read, compared, written with their history."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lockkeep_servers.crm.checks import domain_of, email_key
from lockkeep_servers.kit.errors import Conflict, NotFound
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.results import changed
from lockkeep_servers.kit.sqlite import Row, Transaction
from lockkeep_servers.kit.times import stamp

PREFIX = {"lead": "led", "activity": "act"}
_COLUMNS = """
name email company domain country phone source industry employees value_minor currency stage owner_id
lost_reason won_minor won_currency about_id type body due
"""
COLUMNS = tuple(_COLUMNS.split())


def fields_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a caller sees of a row. A person's domain only follows from the e-mail."""
    hidden = {"domain"} if row["kind"] in ("lead", "contact") else set[str]()
    fields = {name: row[name] for name in COLUMNS if name not in hidden}
    return {**fields, "archived": row["archived_at"] is not None}


@dataclass(frozen=True)
class Records:
    """The rows of one transaction, as one tool changes them at one time."""

    tx: Transaction
    tool: str
    now: datetime

    def fetch(self, kind: str, id: str) -> Row:
        row = self.tx.row("get_record", kind=kind, id=id)
        if row is None:
            raise NotFound(kind)
        return row

    def expect(self, row: Row, version: str | None) -> None:
        """The caller decided on this version, or named none."""
        if version is not None and version != str(row["version"]):
            since = (
                min(int(version), row["version"])
                if version.isascii() and version.isdigit()
                else row["version"]
            )
            fields = self.tx.rows("changed_since", id=row["id"], version=since)
            raise Conflict(str(row["version"]), [field["field"] for field in fields])

    def save(self, row: Row, changes: Mapping[str, Any], warnings: Sequence[str] = ()) -> Effect:
        """Write the changed fields and their history; without any, nothing moves."""
        wanted = {**row, **changes}
        before, after = changed(fields_of(row), fields_of(wanted))
        version = row["version"] + bool(after)
        if after:
            derived = self._derived(wanted)
            written = self.tx.run("write_record", **{**wanted, **derived, "updated_at": stamp(self.now)})
            if written != 1:
                raise RuntimeError("the row moved inside its own transaction")
            self._remember(row["id"], version, before, after)
        return Effect(row["id"], str(version), before, after, warnings=tuple(warnings))

    def add(self, kind: str, values: Mapping[str, Any], warnings: Sequence[str] = ()) -> Effect:
        number = self.tx.rows("next_number", kind=kind)[0]["last"]
        at = stamp(self.now)
        row: Row = dict.fromkeys(COLUMNS)
        row |= {"id": f"{PREFIX[kind]}_{number}", "kind": kind, "version": 1, "archived_at": None, **values}
        row |= {**self._derived(row), "created_at": at, "updated_at": at}
        self.tx.run("add_record", **row)
        after = {
            name: value for name, value in fields_of(row).items() if value is not None and name != "archived"
        }
        self._remember(row["id"], 1, {}, after)
        return Effect(row["id"], "1", None, after, warnings=tuple(warnings))

    def _derived(self, row: Mapping[str, Any]) -> dict[str, Any]:
        by_mail = row["kind"] in ("lead", "contact")
        domain = domain_of(row["email"]) if by_mail else row["domain"]
        return {"email_key": email_key(row["email"]), "domain": domain}

    def _remember(self, id: str, version: int, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        for name, value in after.items():
            self.tx.run(
                "add_change",
                record_id=id,
                version=version,
                at=stamp(self.now),
                by=f"tool:{self.tool}",
                field=name,
                old=json.dumps(before.get(name)),
                new=json.dumps(value),
            )
