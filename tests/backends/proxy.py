"""A proxy on loopback that passes requests on, or breaks them in a way a test says."""

import asyncio
import re
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from typing import Literal

Kind = Literal[
    "drop_before",  # the connection breaks, nothing was passed on
    "drop_after",  # it was passed on, and the answer is lost
    "silent",  # it was passed on, and no answer ever comes
    "held",  # it is passed on when the test lets it go; no answer comes
    "500_before", "500_after", "429", "401", "html", "garbage", "cut",
    "elsewhere",  # every address in the answer is one of another host
    "invites",  # the answer says that the server sends invitations
]  # fmt: skip
ANSWERS: dict[str, bytes] = {
    "500_before": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    "500_after": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    "429": b"HTTP/1.1 429 Slow down\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
    "401": b"HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n",
    "html": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>",
    "garbage": b"HTTP/1.1 207 Fine\r\nContent-Type: text/xml\r\nContent-Length: 9\r\n\r\n<a><b></a",
}
PASSED_ON = ("drop_after", "silent", "500_after", "html", "cut", "elsewhere", "invites")


@dataclass
class Trouble:
    """What happens to the next requests of a method; `after` of them go well first."""

    method: str
    kind: Kind
    times: int = 1
    after: int = 0


@dataclass
class Proxy:
    """Where it listens, what it has seen, and what goes wrong next."""

    target: int
    port: int = 0
    seen: list[str] = field(default_factory=list[str])  # methods
    troubles: list[Trouble] = field(default_factory=list[Trouble])
    struck: asyncio.Event = field(default_factory=asyncio.Event)  # a trouble has come about
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list["asyncio.Task[None]"] = field(default_factory=list["asyncio.Task[None]"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def writes(self) -> list[str]:
        return [method for method in self.seen if method in ("PUT", "DELETE")]

    def trouble(self, method: str, kind: Kind, times: int = 1, after: int = 0) -> None:
        self.troubles.append(Trouble(method, kind, times, after))

    def _next(self, method: str) -> str:
        self.seen.append(method)
        for each in self.troubles:
            if each.method == method and each.times:
                if each.after:
                    each.after -= 1
                    return ""
                each.times -= 1
                return each.kind
        return ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self.tasks.append(task)
        try:
            request = await _request(reader)
            kind = self._next(request.partition(b" ")[0].decode())
            await self._strike(kind, request, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def end(self) -> None:
        """Whatever is held back is let go; who waits for an answer waits no more."""
        self.let_go.set()
        left = [task for task in self.tasks if not task.done()]
        await asyncio.wait(left, timeout=5) if left else None
        for task in left:
            task.cancel()
        await asyncio.gather(*left)

    async def _strike(self, kind: str, request: bytes, writer: asyncio.StreamWriter) -> None:
        answer = await self._passed_on(request) if not kind or kind in PASSED_ON else b""
        if kind == "held":
            self.struck.set()
            await self.let_go.wait()
            await self._passed_on(request)
        elif kind == "silent":
            self.struck.set()
            await self.let_go.wait()
        elif kind.startswith("drop") or kind == "cut":
            writer.write(answer[: len(answer) - 40] if kind == "cut" else b"")
            await writer.drain()
            writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        elif kind == "elsewhere":
            writer.write(answer.replace(b"<href>/", b"<href>http://198.51.100.1/"))
        elif kind == "invites":
            writer.write(
                answer.replace(b"\r\n", b"\r\nDAV: 1, calendar-access, calendar-auto-schedule\r\n", 1)
            )
        else:
            writer.write(ANSWERS.get(kind, answer))
        if kind:
            self.struck.set()

    async def _passed_on(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            writer.write(request)
            return await reader.read()  # the back end speaks HTTP/1.0: it closes
        finally:
            writer.close()


@asynccontextmanager
async def proxy(target: int) -> AsyncGenerator[Proxy]:
    """A proxy in front of that port; at the end whatever it holds back is let go."""
    made = Proxy(target)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.end()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    return head + await reader.readexactly(int(length[1]) if length else 0)
