"""A caller of the calendar server in front of a real Radicale, with or without a proxy that breaks things."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcp import Client
from tests.backends.proxy import Proxy, proxy
from tests.backends.radicale import PASSWORD, environ_of, radicale
from tests.unit.servers.desk import MONDAY, Desk

from lockkeep_servers.calendar.server import SERVICE
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.http import Http, Limits
from lockkeep_servers.kit.settings import Settings

QUICK = Limits(connect_s=2, read_s=1, pause_s=0)
MOVING = (
    "DTSTAMP",
    "LAST-MODIFIED",
    "SEQUENCE",
    "X-LOCKKEEP-WRITE",
)  # what a change and its undo may leave behind


@dataclass
class Place:
    """One user's calendars, and a caller of them."""

    user: str
    environ: Mapping[str, str]
    desk: Desk
    proxy: Proxy | None = None

    def files(self, calendar: str = "rep_1") -> dict[str, str]:
        return radicale().files(self.user, calendar)

    def lasting(self, calendar: str = "rep_1") -> dict[str, list[str]]:
        """Return the lines of every file, without those that move with each change."""
        return {
            name: [line for line in lines_of(text) if not line.startswith(MOVING)]
            for name, text in self.files(calendar).items()
        }

    def file_of(self, id: str, calendar: str = "rep_1") -> str:
        uid = id.removeprefix("evt_")
        return next(text for text in self.files(calendar).values() if f"UID:{uid}\r\n" in text)

    def put(self, name: str, text: str, calendar: str = "empty") -> None:
        """Another client writes a file."""
        radicale().put(self.user, calendar, name, text)


def lines_of(text: str) -> list[str]:
    """Return what a file says, however it is sorted and folded."""
    return sorted(text.replace("\r\n ", "").split("\r\n"))


@asynccontextmanager
async def open_place(
    *, proxied: bool = False, limits: Limits = QUICK, **settings: str
) -> AsyncGenerator[Place]:
    """A user whose calendars hold the world, on a Monday."""
    user = radicale().user()
    if not proxied:
        environ = {**environ_of(user), **_named(settings)}
        async with opened(environ, limits) as desk:
            yield Place(user, environ, desk)
        return
    async with proxy(radicale().port) as between:
        environ = {**environ_of(user, between.url), **_named(settings)}
        async with opened(environ, limits) as desk:
            yield Place(user, environ, desk, between)


@asynccontextmanager
async def opened(environ: Mapping[str, str], limits: Limits = QUICK) -> AsyncGenerator[Desk]:
    """The server with these settings, its clock, and a caller; its requests give up soon."""
    from lockkeep_servers.calendar.adapters.caldav import CalDavCalendar  # it needs an extra
    from lockkeep_servers.kit.faults import read_fault

    clock: list[Desk] = []

    def open_quick(settings: Settings, now: Clock) -> Any:
        url, user = settings.text("URL") or "", settings.text("USER") or ""
        http = Http([url], auth=(user, PASSWORD), limits=limits)
        folder = Path(settings.text("DATA") or "")
        return CalDavCalendar(folder, now, http, url, read_fault(settings.text("FAULT")))

    service = replace(SERVICE, open=open_quick)
    built = service.build(environ, lambda: clock[0].now if clock else MONDAY)
    async with Client(built) as client:
        clock.append(Desk("calendar", Path(environ["LOCKKEEP_CALENDAR_DATA"]), MONDAY, client))
        yield clock[0]


def _named(settings: Mapping[str, str]) -> dict[str, str]:
    return {f"LOCKKEEP_CALENDAR_{key}": value for key, value in settings.items()}
