"""The calendar on any CalDAV server; our receipts are in a SQLite file, the events are not."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from json import loads
from pathlib import Path
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, uuid4, uuid5

import anyio

from lockkeep_servers.calendar import port
from lockkeep_servers.calendar.adapters import answers, effects
from lockkeep_servers.calendar.adapters.caldav_draft import Draft, Drafts
from lockkeep_servers.calendar.adapters.caldav_events import FileEvents
from lockkeep_servers.calendar.adapters.caldav_rows import File, read_file, version_of
from lockkeep_servers.calendar.adapters.caldav_server import CalDavServer, Collection
from lockkeep_servers.calendar.adapters.caldav_steps import (
    Step,
    Steps,
    StepSender,
    as_left,
    event_id,
    steps_back,
    steps_of,
)
from lockkeep_servers.calendar.occurrences import Occurrence, expand
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.errors import Conflict, Forbidden, NotFound, ToolError, Unsupported
from lockkeep_servers.kit.faults import NO_FAULT, Fault
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.http import Http
from lockkeep_servers.kit.receipts import Attempt, Effect, GetReceipt
from lockkeep_servers.kit.results import Receipt, Receipted
from lockkeep_servers.kit.vendor import VendorReceipts, open_database

SKEW_S = 60
UNREAD = "Some entries of this calendar cannot be read and were not checked for overlap."
W = TypeVar("W", port.CreateEvent, port.UpdateEvent, port.CancelEvent)


class CalDavCalendar:
    """Answers `Diary` from a CalDAV server. A calendar's id is the last part of its address."""

    def __init__(self, folder: Path, clock: Clock, http: Http, url: str, fault: Fault = NO_FAULT) -> None:
        self._clock = clock
        self._http = http
        self._server = CalDavServer(http, url)
        self._database = open_database(folder / "calendar-caldav.sqlite")
        # A CalDAV server answers a read after a write with what was written: it needs no time to settle.
        self.receipts = VendorReceipts(
            self._database, clock, StepSender(self._server), fault, settle_after_s=0
        )
        self._locks: dict[str, anyio.Lock] = {}

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        async with self._http.session(), self.receipts.session():
            yield

    async def examine(self) -> list[Finding]:
        found = self._database.examine()
        try:
            date = await self._server.date()
            collections = (await self._server.collections()).values()
        except ToolError as error:
            return [
                *found,
                Finding("unusable", f"The calendars cannot be read: {error.code}.", error.message),
            ]
        if date and abs((date - self._clock()).total_seconds()) > SKEW_S:
            found.append(Finding("warning", "Its clock and ours differ by more than a minute.", "Set them."))
        if not collections:
            return [
                *found,
                Finding("unusable", "There is no calendar at this address.", "Check URL and USER."),
            ]
        return found + [_rights(one) for one in collections]

    async def find_slots(self, ask: port.FindSlots) -> port.Slots:
        begin, finish = answers.check_slots(ask)
        return answers.slots(ask, await self._read(ask.participants, begin, finish), self._clock())

    async def free_busy(self, ask: port.FreeBusy) -> port.BusyTimes:
        answers.check_order(ask.from_, ask.to, port.FREE_BUSY_DAYS)
        return answers.busy_times(await self._read(ask.calendars, ask.from_, ask.to))

    async def list_events(self, ask: port.ListEvents) -> port.Page:
        answers.check_order(ask.from_, ask.to, port.LIST_DAYS)
        files = await self._server.files(await self._server.collection(ask.calendar))
        return answers.page(ask, _expanded(files.values(), ask.from_, ask.to))

    async def get_event(self, ask: port.GetEvent) -> port.Found:
        files = await self._server.files(await self._server.collection(ask.calendar))
        events = FileEvents(files, self._clock(), "")
        row = events.fetch(ask.calendar, ask.event_id, None)
        return answers.found(ask, row, {one["occurrence"]: one for one in events.replaced_of(row["id"])})

    async def create_event(self, ask: port.CreateEvent, attempt: Attempt) -> Receipt:
        return await self._write(effects.create_event, ask, attempt)

    async def update_event(self, ask: port.UpdateEvent, attempt: Attempt) -> Receipt:
        return await self._write(effects.update_event, ask, attempt)

    async def cancel_event(self, ask: port.CancelEvent, attempt: Attempt) -> Receipt:
        return await self._write(effects.cancel_event, ask, attempt)

    async def restore_event(self, ask: port.RestoreEvent, attempt: Attempt) -> Receipt:
        stored = self.receipts.find(ask.receipt_key)
        calendar = loads(stored["images"]).get("calendar", "") if stored and stored["images"] else ""
        async with self._alone(calendar):
            return await self.receipts.write(attempt, lambda: self._plan_back(ask, attempt))

    async def get_receipt(self, ask: GetReceipt) -> Receipted:
        return await self.receipts.get(ask)

    async def _write(self, effect: Callable[[FileEvents, W], Effect], ask: W, attempt: Attempt) -> Receipt:
        async with self._alone(ask.calendar):
            return await self.receipts.write(attempt, lambda: self._plan(effect, ask, attempt))

    def _alone(self, calendar: str) -> anyio.Lock:
        """Between the look for what is in the way and the write, this process writes nothing else there."""
        return self._locks.setdefault(calendar, anyio.Lock())

    async def _plan(self, effect: Callable[[FileEvents, W], Effect], ask: W, attempt: Attempt) -> Effect:
        """Return the effect as foreseen, with the steps to it."""
        collection = await self._server.collection(ask.calendar)
        files = await self._server.files(collection)
        uid, now = _uid(attempt), self._clock()
        events = FileEvents(files, now, uid)
        foreseen = effect(events, ask)
        drafts = Drafts(files, collection.zone, now, collection.url, uid).made(events.images)
        self._may_send(drafts)
        if not isinstance(ask, port.CancelEvent):
            foreseen = replace(foreseen, warnings=(*foreseen.warnings, *_unread(files.values())))
        main = next((draft.href for draft in drafts if draft.file is None), drafts[0].href if drafts else "")
        steps = Steps(
            calendar=ask.calendar, mark=uid, main=main, version=foreseen.version, steps=steps_of(drafts, uid)
        )
        return replace(foreseen, images=dict(steps))

    def _may_send(self, drafts: Iterable[Draft]) -> None:
        """A server that sends invitations by itself cannot be asked to send none."""
        for event in (event for draft in drafts for event in draft.root.components("VEVENT")):
            if self._server.invites and event.line("ORGANIZER") and event.line("ATTENDEE"):
                raise Unsupported(
                    "This server would send invitations by itself.",
                    hint="Change the event in a calendar program.",
                )

    async def _plan_back(self, ask: port.RestoreEvent, attempt: Attempt) -> Effect:
        """Return the effect of taking a change back, if its files are as it left them."""
        stored = effects.restorable(self.receipts.find(ask.receipt_key), self._clock())
        done: Steps = loads(stored["images"])
        receipt: dict[str, Any] = loads(stored["receipt"])
        collection = await self._server.collection(done["calendar"])
        left: list[Step] = []
        for step in done["steps"]:
            content = await self._server.fetch(step["url"])
            if content is None or not as_left(step, content):
                raise Conflict(version_of(content.etag) if content else None, [])
            left.append({**step, "etag": content.etag})
        uid = _uid(attempt)
        steps = steps_back(left, uid, self._clock(), collection.zone)
        warnings = await self._in_the_way(collection, steps)
        main = steps[0] if steps else None
        id = event_id(main["after"] or "") if main else receipt["id"]
        back = Steps(
            calendar=done["calendar"],
            mark=uid,
            main=main["url"] if main else "",
            version=receipt["version"],
            steps=steps,
        )
        return replace(effects.restored(id, receipt["version"], receipt, warnings), images=dict(back))

    async def _in_the_way(self, collection: Collection, steps: Iterable[Step]) -> list[str]:
        """Return the warnings of files that are put back."""
        files = await self._server.files(collection)
        back = {
            step["url"]: read_file(collection.id, step["url"], "", step["after"] or "", collection.zone)
            for step in steps
        }
        begin, finish = effects.year_from([row for file in back.values() for row in file.rows], self._clock())
        before = _expanded(files.values(), begin, finish)
        after = _expanded({**files, **back}.values(), begin, finish)
        return [*effects.in_the_way(before, after), *_unread(files.values())]

    async def _read(self, calendars: Iterable[str], begin: datetime, finish: datetime) -> answers.Seen:
        """Return what happens, and the calendars of which not all could be read."""
        found: list[Occurrence] = []
        unreadable: list[str] = []
        for calendar in dict.fromkeys(calendars):
            try:
                files = await self._server.files(await self._server.collection(calendar))
            except (NotFound, Forbidden):
                unreadable.append(calendar)
                continue
            found += _expanded(files.values(), begin, finish)
            unreadable += [] if all(file.whole for file in files.values()) else [calendar]
        return found, unreadable


def _expanded(files: Iterable[File], begin: datetime, finish: datetime) -> list[Occurrence]:
    return expand((row for file in files for row in file.rows), begin, finish)


def _unread(files: Iterable[File]) -> list[str]:
    return [] if all(file.whole for file in files) else [UNREAD]


def _uid(attempt: Attempt) -> str:
    """Return the UID of an event this attempt makes: the same one each time it is tried."""
    return str(uuid5(NAMESPACE_URL, f"lockkeep:calendar:{attempt.key}") if attempt.key else uuid4())


def _rights(collection: Collection) -> Finding:
    if not collection.readable:
        return Finding(
            "unusable", f"Calendar {collection.id}: reading is not allowed.", "Grant read to USER."
        )
    if not collection.writable:
        return Finding(
            "warning", f"Calendar {collection.id}: writing is not allowed.", "Grant write to USER."
        )
    return Finding("ok", f"Calendar {collection.id} can be read and written.")
