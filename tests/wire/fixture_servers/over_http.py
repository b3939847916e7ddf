"""The book over real HTTP, in either era, behind a wire that can break."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import uvicorn
from mcp.server import Server
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.types import ASGIApp, Receive, Scope, Send

Era = Literal["modern", "legacy"]
Fault = Literal["none", "reset before", "cut mid", "reset after", "silence", "502", "redirect", "garbage"]
MARK = b"faulty"
BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"
REDIRECT = b"HTTP/1.1 307 Elsewhere\r\nlocation: http://198.51.100.7/mcp\r\ncontent-length: 0\r\n\r\n"
GARBAGE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\nnot json!"


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = anyio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


def only_legacy(app: ASGIApp) -> ASGIApp:
    """Answers as a server does that has never heard of 2026-07-28."""

    async def old(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if headers.get(b"mcp-protocol-version", b"").decode() not in MODERN_PROTOCOL_VERSIONS:
            return await app(scope, receive, send)
        body = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Bad Request"}}'
        kind = (b"content-type", b"application/json")
        await send({"type": "http.response.start", "status": 400, "headers": [kind]})
        await send({"type": "http.response.body", "body": body})

    return old


@asynccontextmanager
async def served(server: Server[Any], era: Era = "modern") -> AsyncGenerator[int]:
    """The server answers on this port; on leaving it is dead, as after a crash."""
    app: ASGIApp = server.streamable_http_app()
    config = uvicorn.Config(
        only_legacy(app) if era == "legacy" else app,
        log_config=None,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=0,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    uvicorn_server = _Uvicorn(config)
    # With the protocol named, asyncio turns Nagle off; else every call waits 40 ms.
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(uvicorn_server.serve, [listening])
            with anyio.fail_after(5):
                await uvicorn_server.up.wait()
            try:
                yield listening.getsockname()[1]
            finally:
                uvicorn_server.should_exit = True


class Wire:
    """A TCP relay: calls whose body holds MARK meet the fault, all others pass."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.fault: Fault = "none"
        self.everywhere = False  # the fault meets every request, marked or not
        self.break_every = 0  # every so many chunks the connection that carries the chunk is reset
        self.carried = 0
        self.port = 0
        self.met = anyio.Event()  # a fault was met
        self._listener: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    async def connect(self) -> None:
        self._listener = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def disconnect(self) -> None:
        """New connections are refused, open ones are reset."""
        if self._listener is not None:
            self._listener.close()
        self.break_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def break_all(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        finally:
            self._writers.discard(writer)
        self._writers |= {writer, there}
        faults: list[Fault] = []
        try:
            with contextlib.suppress(OSError):
                up = asyncio.ensure_future(self._up(reader, there, writer, faults))
                down = asyncio.ensure_future(self._down(there_reader, writer, faults))
                await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
                for side in (up, down):
                    side.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
        finally:
            for each in (writer, there):
                each.transport.abort()
                self._writers.discard(each)
            self._tasks.discard(task)

    async def _up(
        self,
        reader: asyncio.StreamReader,
        there: asyncio.StreamWriter,
        here: asyncio.StreamWriter,
        faults: list[Fault],
    ) -> None:
        while chunk := await reader.read(65536):
            fault = self.fault if self.everywhere or MARK in chunk else "none"
            self.carried += 1
            if self.break_every and self.carried % self.break_every == 0:
                return
            if fault != "none":
                self.met.set()
            if fault == "reset before":
                return
            if fault == "silence":
                continue
            if answer := {"502": BAD_GATEWAY, "redirect": REDIRECT, "garbage": GARBAGE}.get(fault):
                here.write(answer)
                await here.drain()
                continue
            faults.append(fault)
            there.write(chunk)
            await there.drain()

    async def _down(
        self, there: asyncio.StreamReader, here: asyncio.StreamWriter, faults: list[Fault]
    ) -> None:
        while chunk := await there.read(65536):
            if "reset after" in faults:
                return
            if "cut mid" in faults:
                here.write(chunk[: chunk.index(b"\r\n\r\n") + 14])
                await here.drain()
                return
            here.write(chunk)
            await here.drain()


@asynccontextmanager
async def wired(server: Server[Any], era: Era = "modern") -> AsyncGenerator[Wire]:
    """The server, reachable over a wire that is whole until told otherwise."""
    async with served(server, era) as port:
        wire = Wire(port)
        await wire.connect()
        try:
            yield wire
        finally:
            await wire.disconnect()
