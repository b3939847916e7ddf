"""Rows of the embedded calendar: made, moved and written, each change with the images that take it back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from lockkeep_servers.calendar.occurrences import expand, first_view, span, wall
from lockkeep_servers.calendar.recurrence import settle_rule, walls_of
from lockkeep_servers.kit.errors import CheckFailed, Conflict, Invalid, NotFound
from lockkeep_servers.kit.sqlite import Row, Transaction
from lockkeep_servers.kit.times import DAY, parse_time, refuse_gap, stamp

YEAR = timedelta(days=366)


@dataclass
class Events:
    """The events of one transaction, as one tool changes them at one time."""

    tx: Transaction
    now: datetime
    images: list[dict[str, Row | None]] = field(default_factory=list[dict[str, Row | None]])

    def fetch(self, calendar: str, id: str, version: str | None) -> Row:
        """Return the event, as the caller expects it."""
        if self.tx.row("get_calendar", id=calendar) is None:
            raise NotFound("calendar")
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

    def tell(self, row: Row, what: str) -> None:
        for attendee in json.loads(row["attendees"]):
            self.tx.run("add_notice", event_id=row["id"], attendee=attendee, what=what, at=stamp(self.now))


@dataclass(frozen=True)
class Span:
    """When an event is: as stored, and what the caller should know about it."""

    columns: Mapping[str, Any]
    warnings: list[str]


def settle_span(start: str, end: str, tz: str, all_day: bool, rrule: str | None) -> Span:
    """Return the columns of these times, or refuse them: wrong form, in a gap, or not after one another."""
    zone = ZoneInfo(tz)
    begins, length_s, starts, ends = _days(start, end, zone) if all_day else _instants(start, end, zone)
    if stamp(starts) >= stamp(ends):
        raise CheckFailed("end_after_start", "The end must come after the start.", field="end")
    columns = {"wall": begins.isoformat(), "length_s": length_s, "tz": tz, "all_day": int(all_day)}
    columns |= {"starts": stamp(starts), "ends": stamp(ends), "rrule": None}
    if rrule is None:
        return Span(columns, [])
    settled, warnings = settle_rule(rrule, begins, zone)
    last = walls_of(settled, begins)[-1]
    _, ends = span({**columns}, last)
    return Span({**columns, "rrule": settled, "ends": stamp(ends)}, warnings)


def _instants(start: str, end: str, zone: ZoneInfo) -> tuple[datetime, int, datetime, datetime]:
    faults = {
        name: "needs a time and an offset"
        for name, text in (("start", start), ("end", end))
        if DAY.fullmatch(text)
    }
    if faults:
        raise Invalid(faults)
    starts, ends = parse_time(start).replace(microsecond=0), parse_time(end).replace(microsecond=0)
    refuse_gap("start", starts, zone)
    refuse_gap("end", ends, zone)
    return starts.astimezone(zone).replace(tzinfo=None), int((ends - starts).total_seconds()), starts, ends


def _days(start: str, end: str, zone: ZoneInfo) -> tuple[datetime, int, datetime, datetime]:
    """All day: from the first midnight to the one that ends it; the end day is not part of it."""
    faults = {
        name: "must be a date for all_day"
        for name, t in (("start", start), ("end", end))
        if not DAY.fullmatch(t)
    }
    if faults:
        raise Invalid(faults)
    begins, finish = (datetime.combine(datetime.fromisoformat(text).date(), time()) for text in (start, end))
    length_s = int((finish - begins).total_seconds())
    starts, ends = span({"tz": str(zone), "all_day": 1, "length_s": length_s}, begins)
    return begins, length_s, starts, ends


def moved(row: Row, given: Mapping[str, Any]) -> tuple[Row, list[str]]:
    """Return the row with the given fields; a start alone keeps the length."""
    empty = {
        f"changes.{name}": "cannot be empty"
        for name in ("title", "start", "end", "attendees")
        if name in given and given[name] is None
    }
    if empty:
        raise Invalid(empty)
    wanted = {**row, **{name: given[name] for name in ("title", "location", "description") if name in given}}
    if "attendees" in given:
        wanted["attendees"] = json.dumps(given["attendees"])
    if not {"start", "end", "rrule"} & set(given):
        return wanted, []
    shown = first_view(row)
    start = given.get("start") or shown["start"]
    end = given.get("end") or (_after(start, row) if "start" in given else shown["end"])
    found = settle_span(start, end, row["tz"], bool(row["all_day"]), given.get("rrule", row["rrule"]))
    return {**wanted, **found.columns}, found.warnings


def _after(start: str, row: Row) -> str:
    length = timedelta(seconds=row["length_s"])
    if row["all_day"]:
        return (datetime.fromisoformat(start) + length).date().isoformat()
    return (parse_time(start) + length).isoformat()


def one_of(row: Row, at: datetime, replaced: Mapping[str, Row]) -> tuple[int, datetime, Row]:
    """Return place, wall time and row of one occurrence of a series that still takes place."""
    name = stamp(at)
    for place, begins in enumerate(walls_of(row["rrule"], wall(row["wall"]))):
        start, end = span(row, begins)
        if stamp(start) == name:
            other = replaced.get(name) or _replacement(row, begins, start, end)
            if other["status"] != "cancelled":
                return place, begins, other
    raise NotFound("occurrence")


def _replacement(row: Row, begins: datetime, start: datetime, end: datetime) -> Row:
    at = stamp(start)
    id = f"{row['id']}-{at.replace('-', '').replace(':', '')}"
    times = {"wall": begins.isoformat(), "starts": at, "ends": stamp(end), "rrule": None}
    return {**row, **times, "id": id, "series_id": row["id"], "occurrence": at}


def occurrences_of(events: Events, calendar: str, begin: datetime, finish: datetime):
    return expand(events.rows_between(calendar, begin, finish), begin, finish)
