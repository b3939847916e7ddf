"""A connection that breaks at a chosen point of a `tools/call`, in front of a real gateway."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

CUTS = (
    "on connect",
    "after the request",
    "before the answer",
    "in the head",
    "in the body",
    "before the last byte",
)
NEVER_ARRIVES = CUTS[:2]


@asynccontextmanager
async def cutting(port: int, cut: str) -> AsyncGenerator[str]:
    """The address of a proxy that breaks every `tools/call` at this point; other requests pass."""
    relays: set[asyncio.Task[None]] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        relays.add(task)
        try:
            await _relay(reader, writer, port, cut)
        finally:
            writer.transport.abort()
            relays.discard(task)

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in [*relays]:
            task.cancel()
        await asyncio.gather(*relays, return_exceptions=True)


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, cut: str) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
    is_call = b'"tools/call"' in body
    if is_call and cut in NEVER_ARRIVES:
        return  # with unread bytes or without, the effect is the same: a reset
    answer = await _ask(port, head, body)
    if is_call:
        answer = answer[: _kept(answer, cut)]
    writer.write(answer)
    await writer.drain()
    if not is_call:
        writer.close()
        await writer.wait_closed()


async def _ask(port: int, head: bytes, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        kept = [
            line for line in head.split(b"\r\n") if not line.lower().startswith((b"connection:", b"host:"))
        ]
        extra = [b"host: 127.0.0.1:%d" % port, b"connection: close"]
        writer.write(b"\r\n".join([kept[0], *extra, *kept[1:]]) + body)
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


def _kept(answer: bytes, cut: str) -> int:
    end_of_head = answer.index(b"\r\n\r\n") + 4
    return {
        "before the answer": 0,
        "in the head": end_of_head // 2,
        "in the body": (end_of_head + len(answer)) // 2,
        "before the last byte": answer.rindex(b"}"),
    }[cut]
