"""Events become occurrences: series expanded, changed ones replaced, wall times turned into instants."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from lockkeep_servers.calendar.recurrence import walls_of
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import localise, parse_time, stamp

YEAR = timedelta(days=366)
DAY = timedelta(days=1)
Replaced = dict[
    str, Row
]  # what stands in for occurrences of a series, by the instant each was first meant for


class Repeats(Protocol):
    """How a series repeats whose rule another client wrote, wider than ours or without an end."""

    def between(self, begin: datetime, finish: datetime) -> list[datetime] | None:
        """Return the wall times around these instants; None if that cannot be told."""
        ...

    def head(self, at: datetime) -> str:
        """Return the rule of what comes before the occurrence at this instant."""
        ...

    def rest(self, begins: datetime) -> str:
        """Return the rule of what starts with the occurrence at this wall time."""
        ...


@dataclass(frozen=True)
class Occurrence:
    """One event once. `at` names it within its series: the UTC instant it was first meant for."""

    row: Row  # the event, or the row that replaces it this once
    event_id: str
    series_id: str | None
    at: str
    start: datetime
    end: datetime
    version: int | str

    @property
    def busy(self) -> bool:
        return self.row["status"] != "cancelled" and not self.row["transparent"]

    def instants(self) -> tuple[datetime, datetime]:
        """Return both in UTC: Python counts and compares times of one zone by what its clock shows."""
        return self.start.astimezone(UTC), self.end.astimezone(UTC)

    def overlaps(self, start: datetime, end: datetime) -> bool:
        """Tell whether some of it falls between these instants, which are in UTC."""
        return self.start < end and start < self.end


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def zone_of(row: Row) -> tzinfo:
    """Return the zone of an event; one that has no IANA name stands in the row itself."""
    return row.get("zone") or ZoneInfo(row["tz"])


def span(row: Row, begins: datetime) -> tuple[datetime, datetime]:
    """Return the instants of one occurrence that begins at this wall time; both in the event's zone."""
    zone = zone_of(row)
    start = localise(begins, zone)
    if row["all_day"]:
        return start, localise(begins + timedelta(seconds=row["length_s"]), zone)
    return start, (start.astimezone(UTC) + timedelta(seconds=row["length_s"])).astimezone(zone)


def once(row: Row) -> tuple[datetime, datetime]:
    """Return the instants of an event that happens once; an ambiguous wall time is settled by what was given."""
    zone = zone_of(row)
    start, end = parse_time(row["starts"]), parse_time(row["ends"])
    return start.astimezone(zone), end.astimezone(zone)


def expand(rows: Iterable[Row], begin: datetime, finish: datetime) -> list[Occurrence]:
    """Return what happens in that time, sorted by start; cancelled ones are left out."""
    begin, finish = begin.astimezone(UTC), finish.astimezone(UTC)
    known = list(rows)
    replaced: dict[str, Replaced] = {}
    for row in known:
        if row["series_id"] is not None:
            replaced.setdefault(row["series_id"], {})[row["occurrence"]] = row
    found: list[Occurrence] = []
    for row in known:
        if row["series_id"] is None and row["status"] != "cancelled":
            others = replaced.get(row["id"], {})
            found += series(row, others, begin, finish) if row["rrule"] else [_single(row)]
    seen = [one for one in found if one.overlaps(begin, finish) and one.row["status"] != "cancelled"]
    return sorted(seen, key=lambda one: (one.start.astimezone(UTC), one.event_id, one.at))


def series(row: Row, replaced: Replaced, begin: datetime, finish: datetime) -> list[Occurrence]:
    """Return the occurrences of a series around that time, and every one that was replaced."""
    repeats: Repeats | None = row.get("repeats")
    if repeats is None:
        return [_of_series(row, begins, replaced) for begins in _near(row, replaced, begin, finish)]
    walls = repeats.between(begin - timedelta(seconds=row["length_s"]), finish)
    if walls is None:
        return [_without_gap(row, begin, finish)]
    found = [_of_series(row, begins, replaced) for begins in walls]
    seen = {one.at for one in found}
    moved = [(at, other) for at, other in replaced.items() if at not in seen]
    return found + [
        Occurrence(other, row["id"], row["id"], at, *once(other), row["version"]) for at, other in moved
    ]


def _near(row: Row, replaced: Replaced, begin: datetime, finish: datetime) -> list[datetime]:
    """Return the wall times worth a closer look. No clock is a day away from UTC."""
    walls, length = walls_of(row["rrule"], wall(row["wall"])), timedelta(seconds=row["length_s"])
    first, last = (each.astimezone(UTC).replace(tzinfo=None) for each in (begin - DAY, finish + DAY))
    low, high = bisect_left(walls, first, key=lambda each: each + length), bisect_right(walls, last)
    moved = [parse_time(at).replace(tzinfo=None) for at in replaced]  # by now they may be in that time
    apart = [each for each in walls[:low] + walls[high:] if any(abs(each - at) <= DAY for at in moved)]
    return walls[low:high] + apart


def _without_gap(row: Row, begin: datetime, finish: datetime) -> Occurrence:
    """When a rule cannot be read, no time after its start is known to be free."""
    start, _ = once(row)
    start = max(start, begin)
    return Occurrence(row, row["id"], row["id"], stamp(start), start, max(start, finish), row["version"])


def places(row: Row, at: datetime) -> list[tuple[int, datetime]]:
    """Return place and wall time of the occurrences of a series, at least of those around that time.

    In a foreign rule the place is 0 for the first one and 1 for any other.
    """
    repeats: Repeats | None = row.get("repeats")
    first = wall(row["wall"])
    if repeats is None:
        return list(enumerate(walls_of(row["rrule"], first)))
    return [(int(begins != first), begins) for begins in repeats.between(at - DAY, at + DAY) or ()]


def _of_series(row: Row, begins: datetime, replaced: Replaced) -> Occurrence:
    start, end = span(row, begins)
    at = stamp(start)
    other = replaced.get(at)
    if other is not None:
        start, end = once(other)
    return Occurrence(other or row, row["id"], row["id"], at, start, end, row["version"])


def _single(row: Row) -> Occurrence:
    start, end = once(row)
    return Occurrence(row, row["id"], None, stamp(start), start, end, row["version"])


def clashes(wanted: Sequence[Occurrence], others: Sequence[Occurrence]) -> list[Occurrence]:
    """Return the busy others that any wanted busy one runs into; both sorted by start."""
    taken = [(*one.instants(), one) for one in others if one.busy]
    found: list[Occurrence] = []
    first = 0
    longest = max((end - start for start, end, _ in taken), default=timedelta())
    for begins, ends in (one.instants() for one in wanted if one.busy):
        while first < len(taken) and taken[first][0] + longest <= begins:
            first += 1
        for start, end, other in taken[first:]:
            if start >= ends:
                break
            if begins < end:
                found.append(other)
    return found


def view(row: Row, start: datetime, end: datetime) -> dict[str, Any]:
    """Return what people see of an event at these instants."""
    day = row["all_day"]
    return {
        "title": row["title"],
        "start": start.date().isoformat() if day else start.isoformat(),
        "end": end.date().isoformat() if day else end.isoformat(),
        "tz": row["tz"],
        "all_day": bool(day),
        "location": row["location"],
        "description": row["description"],
        "rrule": row["rrule"],
        "attendees": json.loads(row["attendees"]),
        "status": row["status"],
    }


def first_view(row: Row) -> dict[str, Any]:
    start, end = span(row, wall(row["wall"])) if row["rrule"] else once(row)
    return view(row, start, end)
