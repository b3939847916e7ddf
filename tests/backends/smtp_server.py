"""A real mail server on loopback that takes, refuses, or breaks off where a test says."""

import asyncio
import ssl
import subprocess
import warnings
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP as WIRE
from pathlib import Path
from typing import Any, AnyStr, Literal, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

Break = Literal["", "greeting", "before_data", "in_body", "after_dot", "silence"]
USER, PASSWORD = "post", "open-sesame"


@dataclass
class MailServer:
    """What it does next, and what it has taken. Answers and breaks are used up one a connection."""

    port: int = 0
    rcpt: list[str] = field(default_factory=list[str])  # answers to RCPT, such as "550 no such user"
    data: list[str] = field(default_factory=list[str])  # answers to the final dot
    breaks: list[Break] = field(default_factory=list[Break])
    taken: list[EmailMessage] = field(default_factory=list[EmailMessage])
    raw: list[bytes] = field(default_factory=list[bytes])  # every body whose final dot arrived, taken or not
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list[tuple[str, list[str]]])
    encrypted: list[bool] = field(default_factory=list[bool])
    connections: int = 0
    dotted: asyncio.Event = field(default_factory=asyncio.Event)  # a final dot has arrived

    @property
    def references(self) -> list[str]:
        return [str(message["Message-ID"]).strip("<>").partition("@")[0] for message in self.taken]

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.rcpt.pop(0) if self.rcpt else "250 OK"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = cast(bytes, envelope.content)
        self.raw.append(content)
        self.encrypted.append(session.ssl is not None)
        answer = self.data.pop(0) if self.data else "250 OK"
        if answer.startswith("250"):
            self.envelopes.append((str(envelope.mail_from), list(envelope.rcpt_tos)))
            self.taken.append(BytesParser(policy=WIRE).parsebytes(content))
        self.dotted.set()
        return answer


class _Connection(SMTP):
    """One connection, broken off where the server was told to."""

    def __init__(self, desk: MailServer, **options: Any) -> None:
        super().__init__(desk, **options)
        self._desk = desk
        self._break: Break = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        first = self.transport is None  # STARTTLS makes a connection anew
        super().connection_made(transport)
        if not first:
            return
        self._desk.connections += 1
        self._break = self._desk.breaks.pop(0) if self._desk.breaks else ""
        if self._break == "greeting":
            cast(asyncio.Transport, transport).abort()

    async def smtp_DATA(self, arg: str) -> None:
        if self._break == "before_data":
            return self._off()
        if self._break == "in_body":
            await self.push("354 go on")
            await self._reader.readuntil(b"\r\n")
            return self._off()
        await super().smtp_DATA(arg)

    async def push(self, status: AnyStr) -> None:
        if self._desk.dotted.is_set() and self._break == "after_dot":
            return self._off()
        if self._desk.dotted.is_set() and self._break == "silence":
            await asyncio.sleep(3600)
        await super().push(status)

    def _off(self) -> None:
        if self.transport is not None:
            cast(asyncio.Transport, self.transport).abort()


@asynccontextmanager
async def mail_server(
    *, tls: ssl.SSLContext | None = None, login: bool = False, port: int = 0
) -> AsyncGenerator[MailServer]:
    """A mail server in this event loop, on a free port of this machine."""
    desk = MailServer()
    loop = asyncio.get_running_loop()

    def connection() -> SMTP:
        options: dict[str, Any] = {"loop": loop, "hostname": "mail.test", "tls_context": tls}
        if login:
            options |= {
                "authenticator": _authenticate,
                "auth_required": True,
                "auth_require_tls": tls is not None,
            }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of log-ins in the clear; this is loopback
            return _Connection(desk, **options)

    server = await loop.create_server(connection, "127.0.0.1", port)
    desk.port = server.sockets[0].getsockname()[1]
    try:
        yield desk
    finally:
        server.close()
        await server.wait_closed()


def _authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (
        USER.encode(),
        PASSWORD.encode(),
    )
    return AuthResult(success=right, handled=False)


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A certificate for localhost that nobody vouches for, as the server's context and as a file to trust."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context, cert
