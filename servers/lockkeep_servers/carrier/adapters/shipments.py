"""Rows of the embedded carrier: read, compared, written with their history."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lockkeep_servers.carrier.checks import PickedUp
from lockkeep_servers.carrier.tracking import Scan, Standing, Void, known, standing
from lockkeep_servers.kit.errors import Conflict, NotFound
from lockkeep_servers.kit.results import changed
from lockkeep_servers.kit.sqlite import Row, Transaction
from lockkeep_servers.kit.times import stamp

REFUND_AFTER = timedelta(hours=48)
COLUMNS = ("refund", "refund_at", "superseded_by", "interception")  # what a tool may change


def moment(text: str | None) -> datetime | None:
    """Return a time as `stamp` stored it."""
    return datetime.fromisoformat(text) if text is not None else None


@dataclass(frozen=True)
class Seen:
    """A row, and what it comes to at one time."""

    row: Row
    standing: Standing
    replaced: bool  # by a label that holds: one that was given back stands in for nothing

    @property
    def void(self) -> bool:
        """Whether its label is given back; one that was used all the same is not."""
        return self.standing.refund not in (None, "rejected")

    @property
    def fields(self) -> dict[str, Any]:
        """What a caller sees of it that a tool can change."""
        given_up = {name: self.row[name] for name in ("superseded_by", "interception")}
        return {"status": self.standing.status, "refund": self.standing.refund, **given_up}


@dataclass(frozen=True)
class Shipments:
    """The rows of one transaction, as one tool sees and changes them at one time."""

    tx: Transaction
    now: datetime
    tool: str = ""

    def fetch(self, id: str) -> Row:
        row = self.tx.row("get_shipment", id=id)
        if row is None:
            raise NotFound("shipment")
        return row

    def seen(self, row: Row) -> Seen:
        scans = [_scan(scan) for scan in self.tx.rows("scans_of", id=row["id"])]
        promised, eta = datetime.fromisoformat(row["promised_at"]), moment(row["eta"])
        void = Void(row["refund"], datetime.fromisoformat(row["refund_at"])) if row["refund"] else None
        new = row["superseded_by"]
        return Seen(
            row,
            standing(scans, promised=promised, eta=eta, void=void, now=self.now),
            replaced=new is not None and not self.seen(self.fetch(new)).void,
        )

    def expect(self, row: Row, version: str | None) -> None:
        """The caller decided on this version, or named none."""
        if version is not None and version != str(row["version"]):
            digits = version.isascii() and version.isdigit()
            since = min(int(version), row["version"]) if digits else row["version"]
            fields = self.tx.rows("changed_since", id=row["id"], version=since)
            raise Conflict(str(row["version"]), [field["field"] for field in fields])

    def save(self, row: Row, changes: Mapping[str, Any]) -> tuple[Seen, dict[str, Any], dict[str, Any]]:
        """Write the changes and their history; return the row as it is now, and both images."""
        old = self.seen(row)
        wanted = {**row, **changes}
        if all(row[name] == wanted[name] for name in COLUMNS):
            return old, {}, {}
        if self.tx.run("write_shipment", **{**wanted, "updated_at": stamp(self.now)}) != 1:
            raise RuntimeError("the row moved inside its own transaction")
        new = self.seen(self.fetch(row["id"]))
        before, after = changed(old.fields, new.fields)
        self._remember(new.row, before, after)
        return new, before, after

    def add(self, values: Mapping[str, Any]) -> Row:
        number = self.tx.rows("next_number", kind="shipment")[0]["last"]
        at = stamp(self.now)
        row: Row = dict.fromkeys(("customer_id", "incident", "supersedes", *COLUMNS))
        row |= {"id": f"shp_{number}", "version": 1, "tracking_number": f"LK{number:010d}", **values}
        row |= {"bought_at": at, "updated_at": at}
        self.tx.run("add_shipment", **row)
        return self.fetch(row["id"])

    def voided(self, row: Row, outcome: str) -> dict[str, Any]:
        """Return what changes when the label is void and its refund under way; its parcel goes nowhere.

        Raises:
            PickedUp: the carrier has the parcel, or is about to.
        """
        if self.seen(row).standing.picked_up or self.now >= datetime.fromisoformat(row["voidable_until"]):
            raise PickedUp
        self.tx.run("drop_scans_after", id=row["id"], now=stamp(self.now))
        return {"refund": outcome, "refund_at": stamp(self.now + REFUND_AFTER)}

    def _remember(self, row: Row, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        for name, value in after.items():
            self.tx.run(
                "add_change",
                record_id=row["id"],
                version=row["version"],
                at=stamp(self.now),
                by=f"tool:{self.tool}",
                field=name,
                old=json.dumps(before.get(name)),
                new=json.dumps(value),
            )


def _scan(row: Row) -> Scan:
    return Scan(
        datetime.fromisoformat(row["at"]),
        datetime.fromisoformat(row["received_at"]),
        known(row["status"]),
        row["place"],
        row["message"],
    )
