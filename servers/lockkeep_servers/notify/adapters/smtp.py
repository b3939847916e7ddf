"""Mail by SMTP. Needs `aiosmtplib`.

Until the body is written a lost connection means that nothing went. From then on only the server's answer to the final
dot says what became of it: without one the letter may have gone, and it is never sent again.
"""

import re
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import format_datetime, parseaddr
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiosmtplib
import anyio
from aiosmtplib import SMTPAuthenticationError, SMTPException, SMTPResponseException

from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.settings import SettingError, Settings
from lockkeep_servers.notify.port import Delivery, Doubtful, Held, Letter, Refused, Sent

STEP_S, BEFORE_S, ANSWER_S, LEASE_S = 10.0, 60.0, 120.0, 300
LOOPBACK = ("localhost", "127.0.0.1", "::1")
PLAIN = WIRE.clone(cte_type="7bit")  # every server takes it, whatever it offers
LINE_END, FIRST_DOT = re.compile(rb"\r\n|\r|\n"), re.compile(rb"(?m)^\.")
NEEDS_LOGIN = {530, 534, 535, 538}  # our credential is at fault, not the letter


@dataclass(frozen=True)
class Server:
    """Where mail is handed over, and as whom."""

    host: str
    port: int
    implicit_tls: bool
    user: str | None = None
    password: str | None = None
    ca_file: str | None = None
    loopback: bool = False  # only on this machine mail may go in the clear


class SmtpMail:
    """Hands each letter to one mail server, on a connection of its own."""

    lease_s = LEASE_S

    def __init__(self, server: Server, sender: Address, clock: Clock, answer_s: float = ANSWER_S) -> None:
        self._server = server
        self._sender = sender
        self._clock = clock
        self._answer_s = answer_s

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        yield

    async def examine(self) -> list[Finding]:
        """Greet, log in and do nothing."""
        where = f"{self._server.host}:{self._server.port}"
        client = self._client()
        try:
            with anyio.fail_after(BEFORE_S):
                await client.connect()
                await client.noop()
        except (SMTPException, OSError, ValueError) as error:
            fix = (
                "Check LOCKKEEP_NOTIFY_SMTP_URL, _SMTP_PASSWORD and, for a certificate of your own, _SMTP_CA."
            )
            return [Finding("unusable", f"The mail server {where} cannot be used: {_why(error).why}.", fix)]
        finally:
            client.close()
        return [Finding("ok", f"The mail server {where} takes our mail.")]

    async def deliver(self, letter: Letter, go: Callable[[], bool]) -> Delivery:
        """Hand the letter over and return what the server said to it."""
        try:
            body = compose(letter, self._sender, self._clock())
        except ValueError:
            return Refused("not_composable", permanent=True)
        client = self._client()
        try:
            with anyio.fail_after(BEFORE_S):
                refusal = await self._envelope(client, letter)
            return refusal or await self._hand_over(client, body, go)
        except (SMTPException, OSError, ValueError) as error:
            return _why(error)
        finally:
            client.close()

    async def find(self, reference: str) -> bool | None:
        """No mail server tells what it has taken."""
        return None

    async def _envelope(self, client: aiosmtplib.SMTP, letter: Letter) -> Refused | None:
        """Everything before the letter itself: what goes wrong here, goes wrong before anything has left."""
        await client.connect()
        try:
            await client.mail(self._sender.addr_spec)
            await client.rcpt(letter.to)
        except SMTPResponseException as error:
            return _refused(error.code)
        answer = await client.execute_command(b"DATA")
        return None if answer.code == 354 else _refused(answer.code)

    async def _hand_over(self, client: aiosmtplib.SMTP, body: bytes, go: Callable[[], bool]) -> Delivery:
        """From the first byte on, only the server's answer tells whether the letter went."""
        wire = client.protocol
        if wire is None:
            return Refused("connection_lost")
        if not go():
            return Held()  # without the final dot the server forgets it
        wire.write(body)  # raises only if the connection was lost before
        try:
            answer = await wire.read_response(timeout=self._answer_s)
        except (SMTPException, OSError):
            return Doubtful("no_answer")
        if 200 <= answer.code < 300:
            return Sent()
        return _refused(answer.code) if answer.code >= 400 else Doubtful("strange_answer")

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        context = None if server.ca_file is None else ssl.create_default_context(cafile=server.ca_file)
        upgrade = None if server.loopback else True  # None: where it is offered
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            local_hostname=self._sender.domain,
            timeout=STEP_S,
            use_tls=server.implicit_tls,
            start_tls=False if server.implicit_tls else upgrade,
            tls_context=context,
        )


def compose(letter: Letter, sender: Address, now: datetime) -> bytes:
    """Return the letter as it stands on the wire, the final dot included.

    Raises:
        ValueError: a header would hold a line break.
    """
    message = EmailMessage(policy=PLAIN)
    message["From"] = sender
    message["To"] = letter.to
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(now.astimezone(UTC))
    message["Message-ID"] = f"<{letter.reference}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.body)
    lines = LINE_END.sub(b"\r\n", message.as_bytes())
    end = b"" if lines.endswith(b"\r\n") else b"\r\n"
    return FIRST_DOT.sub(b"..", lines) + end + b".\r\n"


def read_smtp(settings: Settings, clock: Clock) -> SmtpMail:
    """Return the transport the settings describe."""
    url, sender = settings.text("SMTP_URL"), settings.text("SMTP_FROM")
    if url is None or sender is None:
        raise SettingError(
            f"ADAPTER=smtp needs {settings.name('SMTP_URL')} and {settings.name('SMTP_FROM')}."
        )
    return SmtpMail(
        _server(url, settings.text("SMTP_PASSWORD"), settings.text("SMTP_CA"), settings),
        _sender(sender, settings.name("SMTP_FROM")),
        clock,
    )


def _server(url: str, password: str | None, ca_file: str | None, settings: Settings) -> Server:
    name = settings.name("SMTP_URL")
    form = f"{name} must look like smtp://user@host:587 or smtps://user@host:465."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingError(form) from None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise SettingError(form)
    if parts.password is not None:
        raise SettingError(
            f"{name} must not hold the password. Put it into {settings.name('SMTP_PASSWORD')}."
        )
    if (parts.username is None) != (password is None):
        raise SettingError(f"A user in {name} and {settings.name('SMTP_PASSWORD')} belong together.")
    if ca_file is not None and not Path(ca_file).is_file():
        raise SettingError(f"{settings.name('SMTP_CA')} names no file.")
    implicit = parts.scheme == "smtps"
    user = unquote(parts.username) if parts.username is not None else None
    return Server(
        parts.hostname,
        port or (465 if implicit else 587),
        implicit,
        user,
        password,
        ca_file,
        loopback=parts.hostname in LOOPBACK,
    )


def _sender(text: str, name: str) -> Address:
    shown, spec = parseaddr(text)
    try:
        found = Address(display_name=shown, addr_spec=spec)
    except (ValueError, IndexError):
        found = Address()
    if not found.domain or "\n" in text or "\r" in text or not spec.isascii():
        raise SettingError(f"{name} must be an address, such as 'Acme <service@acme.example>'.")
    return found


def _why(error: Exception) -> Refused:
    """What went wrong before anything had left."""
    match error:
        case SMTPAuthenticationError():
            return Refused("auth")
        case SMTPResponseException() if error.code >= 400:
            return Refused(f"smtp_{error.code}")
        case ssl.SSLError():
            return Refused("tls")
        case TimeoutError():
            return Refused("timeout")
        case SMTPException() if not isinstance(error, ConnectionError):
            return Refused("not_offered")  # encryption, or a way to log in that we know
        case _:
            return Refused("unreachable")


def _refused(code: int) -> Refused:
    return Refused(f"smtp_{code}", permanent=500 <= code < 600 and code not in NEEDS_LOGIN)
