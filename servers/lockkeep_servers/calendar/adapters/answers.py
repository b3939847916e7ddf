"""What the reading tools answer, out of events as rows and occurrences, whatever keeps them."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from lockkeep_servers.calendar import port
from lockkeep_servers.calendar.adapters.events import one_of
from lockkeep_servers.calendar.occurrences import Occurrence, first_view, span, wall
from lockkeep_servers.calendar.recurrence import DAYS
from lockkeep_servers.kit.cursor import read_cursor, write_cursor
from lockkeep_servers.kit.errors import Invalid
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import localise, parse_time, stamp

GRID = timedelta(minutes=15)
Taken = tuple[datetime, datetime]
Seen = tuple[Sequence[Occurrence], list[str]]  # what happens, and the calendars that could not be read


def check_slots(ask: port.FindSlots) -> tuple[datetime, datetime]:
    """Return the time to read before slots can be found."""
    check_order(ask.from_, ask.to, port.SLOT_DAYS)
    if ask.work_start >= ask.work_end:
        raise Invalid({"work_end": "must come after work_start"})
    buffer = timedelta(minutes=ask.buffer_min)
    return ask.from_ - buffer, ask.to + buffer


def check_order(begin: datetime, finish: datetime, days: int) -> None:
    if finish <= begin:
        raise Invalid({"to": "must come after from"})
    if finish - begin > timedelta(days=days):
        raise Invalid({"to": f"may be {days} days after from at most"})


def slots(ask: port.FindSlots, seen: Seen, now: datetime) -> port.Slots:
    """Return times when every readable participant is free, earliest first."""
    found, unreadable = seen
    buffer = timedelta(minutes=ask.buffer_min)
    busy = (one.instants() for one in found if one.busy)
    taken = _merged((start - buffer, end + buffer) for start, end in busy)
    return port.Slots(slots=_free(ask, taken, max(ask.from_, now)), unreadable=unreadable)


def busy_times(seen: Seen) -> port.BusyTimes:
    found, unreadable = seen
    busy = [
        port.Busy(
            calendar=one.row["calendar"],
            start=one.start,
            end=one.end,
            status="tentative" if one.row["status"] == "tentative" else "busy",
        )
        for one in found
        if one.busy
    ]
    return port.BusyTimes(busy=busy, unreadable=unreadable)


def page(ask: port.ListEvents, found: Iterable[Occurrence]) -> port.Page:
    """Return the next occurrences behind the cursor, sorted by start."""
    filters = ask.model_dump(exclude={"cursor", "limit"})
    after = read_cursor(ask.cursor, filters)
    query = (ask.query or "").casefold()
    listed = [one for one in found if query in one.row["title"].casefold() and _place(one) > after]
    shown = listed[: ask.limit]
    more = write_cursor(_place(shown[-1]), filters) if len(listed) > ask.limit else None
    return port.Page(items=[_listed(one) for one in shown], next_cursor=more)


def found(ask: port.GetEvent, row: Row, replaced: Mapping[str, Row]) -> port.Found:
    """Return an event, or one occurrence of a series."""
    shown, at = row, row["starts"]
    if row["rrule"] is not None:
        at = stamp(span(row, wall(row["wall"]))[0])
    if ask.occurrence is not None and row["rrule"] is not None:
        _, _, shown = one_of(row, ask.occurrence, replaced)
        at = stamp(ask.occurrence)
    return port.Found(
        event=port.Event.model_validate({**first_view(shown), "rrule": row["rrule"]}),
        event_id=row["id"],
        occurrence=parse_time(at),
        sequence=shown["sequence"],
        version=str(row["version"]),
    )


def _free(ask: port.FindSlots, taken: list[Taken], begin: datetime) -> list[port.Slot]:
    zone, length = ZoneInfo(ask.tz), timedelta(minutes=ask.duration_min)
    free = list[port.Slot]()
    for opens, closes in _working(ask, begin, zone):
        for start in _starts(taken, opens, max(opens, begin), closes - length, length):
            free.append(_slot(start, start + length, zone))
            if len(free) == ask.limit:
                return free
    return free


def _merged(times: Iterable[Taken]) -> list[Taken]:
    """Return the times when anybody is taken, sorted and apart."""
    found: list[Taken] = []
    for start, end in sorted(times):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def _working(ask: port.FindSlots, begin: datetime, zone: ZoneInfo) -> Iterable[Taken]:
    """Return the working hours of the days asked for, in UTC."""
    day, last = begin.astimezone(zone).date(), ask.to.astimezone(zone).date()
    opens, closes = time.fromisoformat(ask.work_start), time.fromisoformat(ask.work_end)
    while day <= last:
        if DAYS[day.weekday()] in ask.days:
            first, end = (localise(datetime.combine(day, each), zone) for each in (opens, closes))
            yield first.astimezone(UTC), min(end.astimezone(UTC), ask.to.astimezone(UTC))
        day += timedelta(days=1)


def _starts(
    taken: list[Taken], opens: datetime, first: datetime, last: datetime, length: timedelta
) -> Iterable[datetime]:
    """Return the times on the grid of a day from which nobody is taken for that long."""
    start = _on_grid(opens, first)
    place = bisect_right(taken, start, key=lambda each: each[1])
    while start <= last:
        if place < len(taken) and taken[place][0] < start + length:
            start = _on_grid(opens, taken[place][1])
            place += 1
        else:
            yield start
            start += GRID


def _on_grid(opens: datetime, at: datetime) -> datetime:
    """Return the first time on the grid of that day that is not before `at`."""
    return opens + -((opens - at) // GRID) * GRID


def _slot(start: datetime, end: datetime, zone: ZoneInfo) -> port.Slot:
    return port.Slot(start=start.astimezone(zone), end=end.astimezone(zone), start_utc=start, end_utc=end)


def _place(one: Occurrence) -> str:
    return f"{stamp(one.start)} {one.event_id} {one.at}"


def _listed(one: Occurrence) -> port.Listed:
    return port.Listed(
        event_id=one.event_id,
        series_id=one.series_id,
        occurrence=parse_time(one.at),
        title=one.row["title"],
        start=one.start,
        end=one.end,
        tz=one.row["tz"],
        all_day=bool(one.row["all_day"]),
        status=one.row["status"],
        version=str(one.version),
    )
