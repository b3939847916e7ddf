"""Events as rows, whatever keeps them: made, moved, and looked up in their series."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from lockkeep_servers.calendar.occurrences import Occurrence, expand, first_view, places, span, zone_of
from lockkeep_servers.calendar.recurrence import settle_rule, walls_of
from lockkeep_servers.kit.errors import CheckFailed, Invalid, NotFound, Unsupported
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import DAY, FIRST_YEAR, LAST_YEAR, localise, parse_time, refuse_gap, stamp

Image = dict[str, Row | None]  # before and after


class Events(Protocol):
    """The events one tool may read and change, at one time. What it writes takes effect as a whole, or not at all."""

    @property
    def now(self) -> datetime: ...
    @property
    def images(self) -> list[Image]:
        """Every change so far, in order."""
        ...

    def require(self, calendar: str) -> None:
        """There is such a calendar."""
        ...

    def fetch(self, calendar: str, id: str, version: str | None) -> Row:
        """Return the event, as the caller expects it."""
        ...

    def put(self, before: Row | None, wanted: Mapping[str, Any]) -> Row:
        """Write a row one version further."""
        ...

    def drop(self, before: Row) -> None: ...
    def next_id(self) -> str: ...
    def rows_between(self, calendar: str, begin: datetime, finish: datetime) -> list[Row]: ...
    def replaced_of(self, series_id: str) -> list[Row]: ...
    def tell(self, row: Row, what: str) -> None: ...


@dataclass(frozen=True)
class Span:
    """When an event is: as stored, and what the caller should know about it."""

    columns: Mapping[str, Any]
    warnings: list[str]


def settle_span(start: str, end: str, tz: str, all_day: bool, rrule: str | None) -> Span:
    """Return the columns of these times, or refuse them: wrong form, in a gap, or not after one another."""
    zone = ZoneInfo(tz)
    _refuse(
        {"start": start, "end": end},
        lambda text: not FIRST_YEAR <= int(text[:4]) <= LAST_YEAR,
        "is too far away",
    )
    begins, length_s, starts, ends = _days(start, end, zone) if all_day else _instants(start, end, zone)
    if stamp(starts) >= stamp(ends):
        raise CheckFailed("end_after_start", "The end must come after the start.", field="end")
    columns = {"wall": begins.isoformat(), "length_s": length_s, "tz": tz, "all_day": int(all_day)}
    columns |= {"starts": stamp(starts), "ends": stamp(ends), "rrule": None}
    if rrule is None:
        return Span(columns, [])
    first = localise(begins, zone)
    if stamp(first) != columns["starts"]:
        problem = f"comes twice; a series starts at the first, {first.isoformat()}"
        raise Invalid({"start": problem})
    settled, warnings = settle_rule(rrule, begins, zone)
    last = walls_of(settled, begins)[-1]
    _, ends = span({**columns}, last)
    return Span({**columns, "rrule": settled, "ends": stamp(ends)}, warnings)


def _refuse(given: Mapping[str, str], wrong: Callable[[str], bool], problem: str) -> None:
    if faults := {name: problem for name, text in given.items() if wrong(text)}:
        raise Invalid(faults)


def _instants(start: str, end: str, zone: ZoneInfo) -> tuple[datetime, int, datetime, datetime]:
    given = {"start": start, "end": end}
    _refuse(given, lambda text: bool(DAY.fullmatch(text)), "needs a time and an offset")
    starts, ends = parse_time(start).replace(microsecond=0), parse_time(end).replace(microsecond=0)
    refuse_gap("start", starts, zone)
    refuse_gap("end", ends, zone)
    return starts.astimezone(zone).replace(tzinfo=None), int((ends - starts).total_seconds()), starts, ends


def _days(start: str, end: str, zone: ZoneInfo) -> tuple[datetime, int, datetime, datetime]:
    """All day: from the first midnight to the one that ends it; the end day is not part of it."""
    given = {"start": start, "end": end}
    _refuse(given, lambda text: not DAY.fullmatch(text), "must be a date for all_day")
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
    _may_retime(row, given)
    shown = first_view(row)
    start = given.get("start") or shown["start"]
    end = given.get("end") or (_after(start, row) if "start" in given else shown["end"])
    found = settle_span(start, end, row["tz"], bool(row["all_day"]), given.get("rrule", row["rrule"]))
    ours = {"repeats": None} if row.get("repeats") else {}
    return {**wanted, **found.columns, **ours}, found.warnings


def _may_retime(row: Row, given: Mapping[str, Any]) -> None:
    """A rule that is not ours cannot be moved in time: what it would mean there is not known."""
    if row["rrule"] and row.get("repeats") and ("rrule" not in given or row.get("zone")):
        hint = "Give a rrule of FREQ, INTERVAL, BYDAY, BYMONTHDAY and COUNT or UNTIL, too; or change one occurrence."
        raise Unsupported(
            "The rule of this series was made elsewhere and cannot be moved in time.", hint=hint
        )


def _after(start: str, row: Row) -> str:
    length = timedelta(seconds=row["length_s"])
    if row["all_day"]:
        return (datetime.fromisoformat(start) + length).date().isoformat()
    return (parse_time(start).astimezone(UTC) + length).astimezone(zone_of(row)).isoformat()


def one_of(row: Row, at: datetime, replaced: Mapping[str, Row]) -> tuple[int, datetime, Row]:
    """Return place, wall time and row of one occurrence of a series that still takes place."""
    name = stamp(at)
    for place, begins in places(row, at):
        start, end = span(row, begins)
        if stamp(start) == name:
            other = replaced.get(name) or _replacement(row, begins, start, end)
            if other["status"] != "cancelled":
                return place, begins, other
    moved_off = replaced.get(name)  # other clients keep changes of occurrences the rule does not have
    if moved_off is not None and row.get("repeats") and moved_off["status"] != "cancelled":
        return 1, parse_time(name).astimezone(zone_of(row)).replace(tzinfo=None), moved_off
    raise NotFound("occurrence")


def _replacement(row: Row, begins: datetime, start: datetime, end: datetime) -> Row:
    """Return the row that could stand in for an occurrence; it has no id of its own yet."""
    at = stamp(start)
    times = {"wall": begins.isoformat(), "starts": at, "ends": stamp(end), "rrule": None}
    return {**row, **times, "series_id": row["id"], "occurrence": at}


def occurrences_of(events: Events, calendar: str, begin: datetime, finish: datetime) -> list[Occurrence]:
    return expand(events.rows_between(calendar, begin, finish), begin, finish)
