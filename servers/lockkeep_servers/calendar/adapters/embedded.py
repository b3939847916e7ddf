"""The calendar in one SQLite file; several processes may share it."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from lockkeep_servers.calendar import port
from lockkeep_servers.calendar.adapters import answers, effects
from lockkeep_servers.calendar.adapters.events import occurrences_of
from lockkeep_servers.calendar.adapters.stored import StoredEvents, restore_event
from lockkeep_servers.calendar.occurrences import Occurrence
from lockkeep_servers.kit.arguments import Writes
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.errors import NotFound
from lockkeep_servers.kit.faults import NO_FAULT, Fault
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import STATEMENTS, Attempt, Effect, GetReceipt, Receipts
from lockkeep_servers.kit.results import Receipt, Receipted
from lockkeep_servers.kit.sqlite import Database, Transaction, read_statements

HERE = Path(__file__).parent
W = TypeVar("W", bound=Writes)


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
        begin, finish = answers.check_slots(ask)
        return answers.slots(ask, self._read(ask.participants, begin, finish), self._clock())

    async def free_busy(self, ask: port.FreeBusy) -> port.BusyTimes:
        answers.check_order(ask.from_, ask.to, port.FREE_BUSY_DAYS)
        return answers.busy_times(self._read(ask.calendars, ask.from_, ask.to))

    async def list_events(self, ask: port.ListEvents) -> port.Page:
        answers.check_order(ask.from_, ask.to, port.LIST_DAYS)
        found, unreadable = self._read([ask.calendar], ask.from_, ask.to)
        if unreadable:
            raise NotFound("calendar")
        return answers.page(ask, found)

    async def get_event(self, ask: port.GetEvent) -> port.Found:
        def work(tx: Transaction) -> port.Found:
            events = StoredEvents(tx, self._clock())
            row = events.fetch(ask.calendar, ask.event_id, None)
            return answers.found(ask, row, {one["occurrence"]: one for one in events.replaced_of(row["id"])})

        return self.database.read(work)

    async def create_event(self, ask: port.CreateEvent, attempt: Attempt) -> Receipt:
        return await self._write(effects.create_event, ask, attempt)

    async def update_event(self, ask: port.UpdateEvent, attempt: Attempt) -> Receipt:
        return await self._write(effects.update_event, ask, attempt)

    async def cancel_event(self, ask: port.CancelEvent, attempt: Attempt) -> Receipt:
        return await self._write(effects.cancel_event, ask, attempt)

    async def restore_event(self, ask: port.RestoreEvent, attempt: Attempt) -> Receipt:
        return await self._write(restore_event, ask, attempt)

    async def get_receipt(self, ask: GetReceipt) -> Receipted:
        return await self.receipts.get(ask)

    async def _write(self, effect: Callable[[StoredEvents, W], Effect], ask: W, attempt: Attempt) -> Receipt:
        return await self.receipts.write(attempt, lambda tx: effect(StoredEvents(tx, self._clock()), ask))

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
                    found += occurrences_of(StoredEvents(tx, self._clock()), calendar, begin, finish)
            return found, unreadable

        return self.database.read(work)
