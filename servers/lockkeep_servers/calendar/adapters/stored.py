"""The events of one transaction on the embedded store."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lockkeep_servers.calendar import port
from lockkeep_servers.calendar.adapters.effects import in_the_way, restorable, restored, year_from
from lockkeep_servers.calendar.adapters.events import Image, occurrences_of
from lockkeep_servers.kit.errors import Conflict, NotFound
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.sqlite import Row, Transaction
from lockkeep_servers.kit.times import stamp

MOVING = ("version", "sequence", "updated_at")


@dataclass
class StoredEvents:
    """Answers `Events` from the rows of a transaction, as one tool changes them at one time."""

    tx: Transaction
    now: datetime
    images: list[Image] = field(default_factory=list[Image])

    def require(self, calendar: str) -> None:
        if self.tx.row("get_calendar", id=calendar) is None:
            raise NotFound("calendar")

    def fetch(self, calendar: str, id: str, version: str | None) -> Row:
        self.require(calendar)
        row = self.tx.row("get_event", id=id, calendar=calendar)
        if row is None:
            raise NotFound("event")
        if version is not None and version != str(row["version"]):
            raise Conflict(str(row["version"]), [])
        return row

    def put(self, before: Row | None, wanted: Mapping[str, Any]) -> Row:
        """Write a row one version further, and keep both images."""
        version, sequence = (before["version"] + 1, before["sequence"] + 1) if before else (1, 0)
        after = {**wanted, "version": version, "sequence": sequence, "updated_at": stamp(self.now)}
        self.tx.run("put_event", **after)
        self.images.append({"before": before, "after": after})
        return after

    def drop(self, before: Row) -> None:
        self.tx.run("drop_event", id=before["id"])
        self.images.append({"before": before, "after": None})

    def next_id(self) -> str:
        return f"evt_{self.tx.rows('next_number')[0]['last']}"

    def rows_between(self, calendar: str, begin: datetime, finish: datetime) -> list[Row]:
        found = self.tx.rows("events_between", calendar=calendar, begin=stamp(begin), finish=stamp(finish))
        return found + self.tx.rows("replaced_occurrences", calendar=calendar)

    def replaced_of(self, series_id: str) -> list[Row]:
        return self.tx.rows("replaced_of_series", series_id=series_id)

    def tell(self, row: Row, what: str) -> None:
        for attendee in json.loads(row["attendees"]):
            self.tx.run("add_notice", event_id=row["id"], attendee=attendee, what=what, at=stamp(self.now))


def restore_event(events: StoredEvents, ask: port.RestoreEvent) -> Effect:
    """What the change with that key did to these events is taken back, if they are as it left them.

    What was booked in their place since is no hindrance; the receipt warns of it.
    """
    stored = restorable(events.tx.row("find_receipt", key=ask.receipt_key), events.now)
    images: list[Image] = json.loads(stored["images"])
    current = [_as_left(events, image) for image in images]
    kept = [
        (before, row or before)
        for image, row in zip(images, current, strict=True)
        if (before := image["before"])
    ]
    main, left_main = next((before, left) for before, left in kept if before["series_id"] is None)
    window = year_from((before for before, _ in kept), events.now)
    seen = occurrences_of(events, main["calendar"], *window)
    for before, left in kept:
        further = {"version": left["version"] + 1, "sequence": left["sequence"] + 1}
        events.tx.run("put_event", **{**before, **further, "updated_at": stamp(events.now)})
    for image in images:
        if image["before"] is None and image["after"]:
            events.tx.run("drop_event", id=image["after"]["id"])
    warnings = in_the_way(seen, occurrences_of(events, main["calendar"], *window))
    return restored(main["id"], str(left_main["version"] + 1), json.loads(stored["receipt"]), warnings)


def _as_left(events: StoredEvents, image: Image) -> Row | None:
    """The row of now, if it says what the change left, were it only because a later change was taken back."""
    after, before = image["after"], image["before"]
    current = events.tx.row("any_event", id=(after or before or {})["id"])
    if _said(current) != _said(after):
        raise Conflict(str(current["version"]) if current else None, [])
    return current


def _said(row: Row | None) -> Row | None:
    """Without what every change moves."""
    return {name: value for name, value in row.items() if name not in MOVING} if row else None
