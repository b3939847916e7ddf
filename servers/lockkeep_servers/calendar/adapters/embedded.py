"""The calendar in one SQLite file; several processes may share it."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from lockkeep_servers.calendar import port
from lockkeep_servers.calendar.adapters import effects
from lockkeep_servers.calendar.adapters.events import Events, occurrences_of, one_of
from lockkeep_servers.calendar.occurrences import Occurrence, first_view
from lockkeep_servers.calendar.recurrence import DAYS
from lockkeep_servers.kit.arguments import Writes
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.cursor import read_cursor, write_cursor
from lockkeep_servers.kit.errors import Invalid, NotFound
from lockkeep_servers.kit.faults import NO_FAULT, Fault
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import STATEMENTS, Attempt, Effect, GetReceipt, Receipts
from lockkeep_servers.kit.results import Receipt, Receipted
from lockkeep_servers.kit.sqlite import Database, Transaction, read_statements
from lockkeep_servers.kit.times import localise, parse_time, stamp

HERE = Path(__file__).parent
GRID = timedelta(minutes=15)
W = TypeVar("W", bound=Writes)
Taken = tuple[datetime, datetime]


class EmbeddedCalendar:
    """Answers `Diary` from `calendar.sqlite` in the data folder."""

    def __init__(self, folder: Path, clock: Clock, fault: Fault = NO_FAULT) -> None:
        statements = {**STATEMENTS, **read_statements(HERE / "embedded.sql")}
        self.database = Database(folder / "calendar.sqlite", statements, HERE / "migrations")
        self._clock = clock
        self.receipts = Receipts(self.database, clock, fault)

    def session(self) -> AbstractAsyncContextManager[None]:
        return self.database.session()

    async def examine(self) -> list[Finding]:
        return self.database.examine()

    async def find_slots(self, ask: port.FindSlots) -> port.Slots:
        """Return times when every readable participant is free, earliest first."""
        _in_order(ask.from_, ask.to, port.SLOT_DAYS)
        if ask.work_start >= ask.work_end:
            raise Invalid({"work_end": "must come after work_start"})
        buffer = timedelta(minutes=ask.buffer_min)
        found, unreadable = self._read(ask.participants, ask.from_ - buffer, ask.to + buffer)
        taken = sorted((one.start - buffer, one.end + buffer) for one in found if one.busy)
        slots = _free(ask, taken, max(ask.from_, self._clock()))
        return port.Slots(slots=slots, unreadable=unreadable)

    async def free_busy(self, ask: port.FreeBusy) -> port.BusyTimes:
        _in_order(ask.from_, ask.to, port.FREE_BUSY_DAYS)
        found, unreadable = self._read(ask.calendars, ask.from_, ask.to)
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

    async def list_events(self, ask: port.ListEvents) -> port.Page:
        """Return the occurrences in that time, sorted by start."""
        _in_order(ask.from_, ask.to, port.LIST_DAYS)
        filters = ask.model_dump(exclude={"cursor", "limit"})
        after = read_cursor(ask.cursor, filters)
        found, unreadable = self._read([ask.calendar], ask.from_, ask.to)
        if unreadable:
            raise NotFound("calendar")
        query = (ask.query or "").casefold()
        listed = [one for one in found if query in one.row["title"].casefold() and _place(one) > after]
        shown = listed[: ask.limit]
        more = write_cursor(_place(shown[-1]), filters) if len(listed) > ask.limit else None
        return port.Page(items=[_listed(one) for one in shown], next_cursor=more)

    async def get_event(self, ask: port.GetEvent) -> port.Found:
        """Return an event, or one occurrence of a series."""

        def work(tx: Transaction) -> port.Found:
            row = Events(tx, self._clock()).fetch(ask.calendar, ask.event_id, None)
            shown, at = (
                row,
                row["starts"]
                if row["rrule"] is None
                else stamp(
                    parse_time(first_view(row)["start"]) if not row["all_day"] else parse_time(row["starts"])
                ),
            )
            if ask.occurrence is not None and row["rrule"] is not None:
                replaced = {
                    one["occurrence"]: one for one in tx.rows("replaced_of_series", series_id=row["id"])
                }
                _, _, shown = one_of(row, ask.occurrence, replaced)
                at = stamp(ask.occurrence)
            return port.Found(
                event=port.Event.model_validate({**first_view(shown), "rrule": row["rrule"]}),
                event_id=row["id"],
                occurrence=parse_time(at),
                sequence=shown["sequence"],
                version=str(row["version"]),
            )

        return self.database.read(work)

    async def create_event(self, ask: port.CreateEvent, attempt: Attempt) -> Receipt:
        return await self._write(effects.create_event, ask, attempt)

    async def update_event(self, ask: port.UpdateEvent, attempt: Attempt) -> Receipt:
        return await self._write(effects.update_event, ask, attempt)

    async def cancel_event(self, ask: port.CancelEvent, attempt: Attempt) -> Receipt:
        return await self._write(effects.cancel_event, ask, attempt)

    async def restore_event(self, ask: port.RestoreEvent, attempt: Attempt) -> Receipt:
        return await self._write(effects.restore_event, ask, attempt)

    async def get_receipt(self, ask: GetReceipt) -> Receipted:
        return await self.receipts.get(ask)

    async def _write(self, effect: Callable[[Events, W], Effect], ask: W, attempt: Attempt) -> Receipt:
        return await self.receipts.write(attempt, lambda tx: effect(Events(tx, self._clock()), ask))

    def _read(
        self, calendars: Iterable[str], begin: datetime, finish: datetime
    ) -> tuple[list[Occurrence], list[str]]:
        """Return what happens in these calendars, and the names that are none."""

        def work(tx: Transaction) -> tuple[list[Occurrence], list[str]]:
            found: list[Occurrence] = []
            unreadable: list[str] = []
            for calendar in dict.fromkeys(calendars):
                if tx.row("get_calendar", id=calendar) is None:
                    unreadable.append(calendar)
                else:
                    found += occurrences_of(Events(tx, self._clock()), calendar, begin, finish)
            return found, unreadable

        return self.database.read(work)


def _in_order(begin: datetime, finish: datetime, days: int) -> None:
    if finish <= begin:
        raise Invalid({"to": "must come after from"})
    if finish - begin > timedelta(days=days):
        raise Invalid({"to": f"may be {days} days after from at most"})


def _free(ask: port.FindSlots, taken: list[Taken], begin: datetime) -> list[port.Slot]:
    zone, length = ZoneInfo(ask.tz), timedelta(minutes=ask.duration_min)
    day, found = begin.astimezone(zone).date(), list[port.Slot]()
    while day <= ask.to.astimezone(zone).date():
        if DAYS[day.weekday()] in ask.days:
            opens = localise(datetime.combine(day, time.fromisoformat(ask.work_start)), zone).astimezone(UTC)
            closes = min(
                localise(datetime.combine(day, time.fromisoformat(ask.work_end)), zone), ask.to
            ).astimezone(UTC)
            for start in _grid(opens, closes - length):
                if start >= begin and not any(s < start + length and start < e for s, e in taken):
                    found.append(_slot(start, start + length, zone))
                if len(found) == ask.limit:
                    return found
        day += timedelta(days=1)
    return found


def _grid(first: datetime, last: datetime) -> Iterable[datetime]:
    while first <= last:
        yield first
        first += GRID


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
