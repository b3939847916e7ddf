"""HTTP to back ends: what is sent again and what never, what each answer means, and where nothing ever goes."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lockkeep_servers.kit.errors import ToolError
from lockkeep_servers.kit.http import Answer, Ask, Http, Limits

QUICK = Limits(connect_s=0.5, read_s=0.15, largest=1000, pause_s=0)
Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


def said(status: str, *headers: str, body: bytes = b"") -> Reply:
    head = "\r\n".join((f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""))

    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + body)

    return reply


async def breaks_off(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def is_silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def drips(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
    for _ in range(900):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def is_half(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf")


OK = said("200 OK", body=b"fine")


@dataclass
class Vendor:
    """Answers one request a connection, in order; the last answer stays."""

    replies: list[Reply]
    port: int = 0
    requests: list[bytes] = field(default_factory=list[bytes])
    open: list["asyncio.Task[None] | None"] = field(default_factory=list["asyncio.Task[None] | None"])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.append(asyncio.current_task())
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await (self.replies.pop(0) if len(self.replies) > 1 else self.replies[0])(writer)
            await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def end(self) -> None:
        left = [task for task in self.open if task is not None and not task.done()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left)


@asynccontextmanager
async def vendor(*replies: Reply) -> AsyncGenerator[tuple[Vendor, Http]]:
    made = Vendor(list(replies))
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    http = Http([f"http://127.0.0.1:{made.port}"], auth=("ida", "open-sesame"), limits=QUICK)
    try:
        async with http.session():
            yield made, http
    finally:
        server.close()
        await made.end()


def ask(made: Vendor, *, path: str = "/", expect: tuple[int, ...] = ()) -> Ask:
    return Ask("PUT", f"http://127.0.0.1:{made.port}{path}", content=b"x", expect=expect)


async def code_of(sending: Awaitable[Answer]) -> str:
    with pytest.raises(ToolError) as refused:
        await sending
    return refused.value.code


@pytest.mark.parametrize("reply", [breaks_off, is_silent, is_half, said("503 Busy")])
async def test_a_read_is_tried_again_until_there_is_an_answer(reply: Reply) -> None:
    async with vendor(reply, reply, OK) as (made, http):
        answer = await http.read(ask(made))

    assert (answer.status, answer.body, len(made.requests)) == (200, b"fine", 3)


@pytest.mark.parametrize("reply", [breaks_off, is_silent, is_half, drips, said("500 Oops")])
async def test_a_read_without_an_answer_is_unavailable_after_three_tries(reply: Reply) -> None:
    async with vendor(reply) as (made, http):
        assert await code_of(http.read(ask(made))) == "unavailable"
        assert len(made.requests) == 3


@pytest.mark.parametrize("reply", [breaks_off, is_silent, is_half, drips, said("500 Oops"), said("503 Busy")])
async def test_a_write_whose_answer_is_lost_is_never_sent_again(reply: Reply) -> None:
    async with vendor(reply, OK) as (made, http):
        assert await code_of(http.write(ask(made))) == "unknown_outcome"
        assert len(made.requests) == 1


async def test_a_write_that_carries_our_key_is_sent_again() -> None:
    async with vendor(breaks_off, said("500 Oops"), OK) as (made, http):
        assert (await http.write(ask(made), keyed=True)).body == b"fine"


@pytest.mark.parametrize("reply", [said("401 Who"), said("429 Slow"), said("302 There")])
async def test_a_no_after_a_lost_answer_does_not_say_that_nothing_was_applied(reply: Reply) -> None:
    async with vendor(breaks_off, reply) as (made, http):
        assert await code_of(http.write(ask(made), keyed=True)) == "unknown_outcome"


HTML = said("200 OK", "Content-Type: text/html; charset=utf-8", body=b"<html>Sign in</html>")
LARGE = said("200 OK", body=b"x" * 1001)
PACKED = said("200 OK", "Content-Encoding: gzip", body=b"x")


@pytest.mark.parametrize("reply", [HTML, LARGE, PACKED])
async def test_an_answer_we_do_not_read_is_no_answer(reply: Reply) -> None:
    async with vendor(reply) as (made, http):
        assert await code_of(http.read(ask(made))) == "unavailable"
        assert await code_of(http.write(ask(made))) == "unknown_outcome"


@pytest.mark.parametrize(("status", "code"), [("401 Who", "auth"), ("403 No", "forbidden"), ("429 Slow", "rate_limited"), ("301 There", "unavailable")])  # fmt: skip
async def test_what_surely_was_not_applied_has_its_code(status: str, code: str) -> None:
    async with vendor(said(status, "Location: http://198.51.100.1/")) as (made, http):
        assert await code_of(http.read(ask(made))) == code
        assert await code_of(http.write(ask(made))) == code
        assert len(made.requests) == 2


@pytest.mark.parametrize(("headers", "retry"), [
    ((), "after:30"),
    (("Retry-After: 7",), "after:7"),
    (("Retry-After: 999999999",), "after:3600"),
    (("Retry-After: 0",), "after:1"),
    (("Retry-After: soon",), "after:30"),
    (("Date: Mon, 01 Mar 2027 07:00:00 GMT", "Retry-After: Mon, 01 Mar 2027 07:00:09 GMT"), "after:9"),
])  # fmt: skip
async def test_a_pause_is_taken_over_however_it_is_said(headers: tuple[str, ...], retry: str) -> None:
    async with vendor(said("429 Slow", *headers)) as (made, http):
        with pytest.raises(ToolError) as refused:
            await http.read(ask(made))

    assert refused.value.retry == retry


async def test_what_only_the_adapter_can_judge_is_an_answer() -> None:
    async with vendor(said("404 None"), said("412 Stale"), said("403 No"), said("500 Oops")) as (made, http):
        found = [(await http.write(ask(made, expect=(403, 500)))).status for _ in range(4)]

    assert found == [404, 412, 403, 500]


async def test_a_write_that_never_left_the_machine_is_unavailable() -> None:
    async with vendor(OK) as (made, http):
        pass
    async with http.session():
        assert await code_of(http.write(ask(made))) == "unavailable"


async def test_a_write_goes_out_when_the_back_end_comes_up_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    async with vendor(OK) as (made, http):
        pass
    started: list[asyncio.Server] = []

    async def start(_: float) -> None:
        if not started:
            started.append(await asyncio.start_server(made.serve, "127.0.0.1", made.port))

    monkeypatch.setattr("anyio.sleep", start)
    async with http.session():
        assert (await http.write(ask(made))).body == b"fine"
    started[0].close()
    await made.end()


@pytest.mark.parametrize("url", [
    "http://198.51.100.1/", "https://127.0.0.1/", "http://127.0.0.1:1/", "http://127.0.0.1.example/", "ftp://127.0.0.1/",
    "file:///etc/passwd", "//127.0.0.1/", "http://[::1", "http://ida@198.51.100.1/",
])  # fmt: skip
async def test_another_address_is_refused_before_anything_is_looked_up(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look_up(*_: object, **__: object) -> None:
        raise AssertionError("a name was looked up")

    async with vendor(OK) as (made, http):
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
        assert await code_of(http.read(Ask("GET", url))) == "unavailable"
        assert await code_of(http.write(Ask("PUT", url))) == "unavailable"
        assert made.requests == []


async def test_no_proxy_of_the_environment_sees_our_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with vendor(OK) as (made, http):
        assert (await http.read(ask(made))).body == b"fine"
        assert b"authorization: basic" in made.requests[0].lower()


async def test_every_write_has_a_connection_of_its_own() -> None:
    async with vendor(OK) as (made, http):
        for _ in range(2):
            await http.write(ask(made))
        assert len(made.open) == 2


async def test_outside_of_a_session_nothing_is_sent() -> None:
    async with vendor(OK) as (made, http):
        async with http.session():
            pass
        assert (await http.read(ask(made))).status == 200
    assert await code_of(http.read(ask(made))) == "unavailable"


async def test_a_certificate_nobody_vouches_for_ends_it_before_the_password_goes_out(tmp_path: Path) -> None:
    made = Vendor([OK])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(tmp_path))
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    http = Http([url], auth=("ida", "open-sesame"), limits=QUICK)

    async with http.session():
        assert await code_of(http.write(Ask("PUT", url))) == "unavailable"

    assert made.requests == []
    server.close()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Return a certificate for 127.0.0.1 and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(datetime(2020, 1, 1)).not_valid_after(datetime(2099, 1, 1))
    signed = made.add_extension(address, critical=False).sign(key, SHA256())
    certificate, secret = folder / "certificate", folder / "key"
    certificate.write_bytes(signed.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, secret
