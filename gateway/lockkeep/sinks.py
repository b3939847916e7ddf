"""The places outside that heads of the log are sent to: a folder, a syslog server, a web address."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from anyio import to_thread

from lockkeep.errors import BadSetting, LockkeepError
from lockkeep.ledger.heads import Head
from lockkeep.settings import Settings

LIMIT = 10.0  # seconds for one head to one sink
AUDIT_INFO = 13 * 8 + 6  # the priority of a syslog message: facility "log audit", informational


class NotTaken(LockkeepError):
    """The place outside did not take the head. It is sent again by itself."""

    detail_says_it = True


class Sink(Protocol):
    """A place outside. `name` is shown to people, so it says nothing secret."""

    @property
    def name(self) -> str: ...

    async def send(self, head: Head) -> None:
        """It has the head when this returns."""
        ...


@dataclass(frozen=True)
class Folder:
    """One file a head, made once and never opened again: fit for a folder where files can only be added."""

    path: Path

    @property
    def name(self) -> str:
        return f"folder {self.path}"

    async def send(self, head: Head) -> None:
        await to_thread.run_sync(self._write, head)

    def _write(self, head: Head) -> None:
        path = self.path / f"head-{head.installation}-{head.size:012}-{head.hash[:12]}.json"
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            if path.read_text(encoding="utf-8").strip():
                return
            file = os.open(path, os.O_WRONLY | os.O_APPEND)  # a full disk left it empty
        with os.fdopen(file, "w", encoding="utf-8") as written:
            written.write(head.text + "\n")
            written.flush()
            os.fsync(written.fileno())


@dataclass(frozen=True)
class Syslog:
    """A message of RFC 5424: to a local socket, over UDP, or over TCP, which alone notices a loss."""

    address: str  # /dev/log, HOST:PORT or tcp:HOST:PORT

    @property
    def name(self) -> str:
        return f"syslog {self.address}"

    async def send(self, head: Head) -> None:
        await to_thread.run_sync(self._write, head, abandon_on_cancel=True)

    def _write(self, head: Head) -> None:
        message = (
            f"<{AUDIT_INFO}>1 {head.at} {socket.gethostname()} lockkeep {os.getpid()} head - {head.text}"
        )
        stream = self.address.startswith("tcp:")
        kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
        if self.address.startswith("/"):
            with socket.socket(socket.AF_UNIX, kind) as outside:
                outside.settimeout(LIMIT)
                outside.connect(self.address)
                outside.sendall(message.encode())
            return
        host, port = _address(self.address.removeprefix("tcp:"))
        family, _, _, _, where = socket.getaddrinfo(host, port, type=kind)[0]
        with socket.socket(family, kind) as outside:
            outside.settimeout(LIMIT)
            outside.connect(where)
            outside.sendall(message.encode() + (b"\n" if stream else b""))


@dataclass(frozen=True)
class Webhook:
    """A POST with the head as JSON; any answer of 200 to 299 means it was taken."""

    url: str

    @property
    def name(self) -> str:
        return f"webhook {urlsplit(self.url).hostname}"  # the rest of an address may be a secret

    async def send(self, head: Head) -> None:
        import httpx2  # only who has a webhook waits for the import

        headers = {"Content-Type": "application/json"}
        try:
            async with httpx2.AsyncClient(timeout=LIMIT, follow_redirects=False) as client:
                answer = await client.post(self.url, content=head.text, headers=headers)
        except httpx2.HTTPError as error:
            raise NotTaken(f"it does not answer: {type(error).__name__}") from None
        if not answer.is_success:
            raise NotTaken(f"it answered {answer.status_code}")


def sinks_of(settings: Settings) -> list[Sink]:
    """Every place the settings name."""
    found: list[Sink] = []
    if settings.heads_folder:
        found.append(Folder(Path(settings.heads_folder)))
    if settings.heads_syslog:
        if not settings.heads_syslog.startswith("/"):
            _address(settings.heads_syslog.removeprefix("tcp:"))
        found.append(Syslog(settings.heads_syslog))
    if settings.heads_webhook:
        if urlsplit(settings.heads_webhook).scheme not in ("http", "https"):
            raise BadSetting("LOCKKEEP_HEADS_WEBHOOK is an address that begins with https://")
        found.append(Webhook(settings.heads_webhook))
    return found


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise BadSetting(f"LOCKKEEP_HEADS_SYSLOG is /dev/log, HOST:PORT or tcp:HOST:PORT, not {text}")
    return host.strip("[]"), int(port)
