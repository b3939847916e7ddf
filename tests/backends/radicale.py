"""A real Radicale on loopback, one process a session; every test gets a user and calendars of its own."""

import atexit
import base64
import http.client
import importlib.util
import itertools
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from lockkeep_servers.calendar.recurrence import settle_rule
from lockkeep_servers.kit.times import localise
from lockkeep_servers.kit.world.days import Meeting, meetings
from lockkeep_servers.kit.world.places import REPS

DAY = date(2027, 3, 1)
STARTS_S = 30
MEMORY = Path("/dev/shm")
PASSWORD = "open-sesame"
CONFIG = """
[server]
hosts = 127.0.0.1:{port}
max_connections = 40
[auth]
type = htpasswd
htpasswd_filename = {folder}/users
htpasswd_encryption = plain
delay = 0
[rights]
type = from_file
file = {folder}/rights
[storage]
filesystem_folder = {folder}/store
[web]
type = none
[logging]
level = warning
"""
RIGHTS = """
[root]
user: .+
collection:
permissions: R

[own]
user: .+
collection: {user}
permissions: RW

[read-only]
user: .+
collection: {user}/read-only
permissions: r

[calendars]
user: .+
collection: {user}/[^/]+
permissions: rw
"""
# Radicale 3 has no other name for "nobody may read this": a section that matches first and grants nothing.
CLOSED = """
[closed]
user: .+
collection: {user}/closed
permissions:

"""
missing = importlib.util.find_spec("radicale") is None or importlib.util.find_spec("icalendar") is None


class Radicale:
    """The process, its users, and what it stores."""

    def __init__(self) -> None:
        self.folder = _folder("lockkeep-radicale-")
        self.port = _free_port()
        self._users = itertools.count(1)
        (self.folder / "users").write_text("", encoding="utf-8")
        (self.folder / "rights").write_text(CLOSED + RIGHTS, encoding="utf-8")
        config = self.folder / "config"
        config.write_text(CONFIG.format(port=self.port, folder=self.folder), encoding="utf-8")
        self._log = (self.folder / "log").open("wb")
        command = [sys.executable, "-m", "radicale", "--config", str(config)]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        _until_it_answers(self.port, self._process)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def user(self) -> str:
        """Return a new user, who has the calendars of the world and one that is empty."""
        name = f"user{next(self._users)}"
        shutil.copytree(_template(), self.home(name))
        with (self.folder / "users").open("a", encoding="utf-8") as users:
            users.write(f"{name}:{PASSWORD}\n")
        return name

    def home(self, user: str) -> Path:
        return self.folder / "store" / "collection-root" / user

    def files(self, user: str, calendar: str) -> dict[str, str]:
        """Return what a calendar holds, as it is on the disk."""
        folder = self.home(user) / calendar
        return {file.name: file.read_bytes().decode() for file in sorted(folder.glob("*.ics"))}

    def put(self, user: str, calendar: str, name: str, text: str) -> None:
        """Another client writes a file."""
        headers = {"Content-Type": "text/calendar; charset=utf-8", **_authorization(user)}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("PUT", f"/{user}/{calendar}/{name}", text.encode(), headers)
        answer = connection.getresponse()
        assert answer.status in (201, 204), (answer.status, answer.read())
        connection.close()

    def pause(self, *, paused: bool) -> None:
        """The process stands still, and its connections with it; or it goes on."""
        self._process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def end(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def radicale() -> Radicale:
    """Return the one process of this session; it ends with it."""
    started = Radicale()
    atexit.register(started.end)
    return started


def fresh() -> Mapping[str, str]:
    """Return the settings of a calendar server at a new place: a user of their own, whose calendars hold the world."""
    return environ_of(radicale().user())


def environ_of(user: str, url: str = "") -> Mapping[str, str]:
    folder = Path(tempfile.mkdtemp(prefix="data-", dir=radicale().folder))
    given = {
        "ADAPTER": "caldav",
        "URL": (url or radicale().url) + f"{user}/",
        "USER": user,
        "PASSWORD": PASSWORD,
        "DATA": str(folder),
    }
    return {f"LOCKKEEP_CALENDAR_{key}": value for key, value in given.items()}


@cache
def _template() -> Path:
    """Return a home as Radicale stores it, made once."""
    home = _folder("lockkeep-radicale-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    for name in (*(rep.id for rep in REPS), "empty", "read-only", "closed"):
        (home / name).mkdir()
        properties = {"tag": "VCALENDAR", "D:displayname": name}
        (home / name / ".Radicale.props").write_text(json.dumps(properties), encoding="utf-8")
    for meeting in meetings(42, DAY):
        file = home / meeting.calendar / f"{meeting.id}.ics"
        file.write_bytes(calendar_file(*_event_lines(meeting), before=_zone_lines(meeting.tz)).encode())
    return home


def calendar_file(*lines: str, before: tuple[str, ...] = ()) -> str:
    """Return a file with one VEVENT of these lines."""
    head = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//other//client//EN", *before, "BEGIN:VEVENT")
    return "\r\n".join((*head, "DTSTAMP:20270101T000000Z", *lines, "END:VEVENT", "END:VCALENDAR", ""))


def _event_lines(meeting: Meeting) -> list[str]:
    zone = ZoneInfo(meeting.tz)
    start = localise(meeting.start, zone)
    end = start + timedelta(minutes=meeting.minutes)
    lines = [
        f"UID:{meeting.id.removeprefix('evt_')}",
        f"SUMMARY:{meeting.title}",
        f"DTSTART;TZID={meeting.tz}:{start:%Y%m%dT%H%M%S}",
        f"DTEND;TZID={meeting.tz}:{end:%Y%m%dT%H%M%S}",
        f"STATUS:{meeting.status.upper()}",
        f"TRANSP:{'TRANSPARENT' if meeting.transparent else 'OPAQUE'}",
    ]
    if meeting.rrule:
        lines.append(f"RRULE:{settle_rule(meeting.rrule, start.replace(tzinfo=None), zone)[0]}")
    if meeting.description:
        text = (
            meeting.description.replace("\\", "\\\\")
            .replace("\n", "\\n")
            .replace(",", "\\,")
            .replace(";", "\\;")
        )
        lines.append(f"DESCRIPTION:{text}")
    return lines


@cache
def _zone_lines(tz: str) -> tuple[str, ...]:
    """Return what spares Radicale the making of it: that costs a tenth of a second a file."""
    from lockkeep_servers.calendar.adapters.caldav_times import definition  # it needs an extra

    return tuple(str(definition(tz, DAY)).strip().split("\r\n"))


def _authorization(user: str) -> dict[str, str]:
    token = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def _folder(prefix: str) -> Path:
    """Return a new folder, in memory if that can be: Radicale and SQLite wait for the disk on every write."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir=MEMORY if MEMORY.is_dir() else None))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _until_it_answers(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + STARTS_S
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            continue
        return
    raise RuntimeError("Radicale did not start; its log stands beside its config.")
