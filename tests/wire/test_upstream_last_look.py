"""A switch thrown while a request waits for its connection: nothing of it reaches the server (P5)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
import pytest

from lockkeep.upstream.soft import Soft

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


@asynccontextmanager
async def listening(got: list[bytes]) -> AsyncGenerator[str]:
    """A server that keeps every byte that arrives."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            got.append(chunk)
            writer.write(ANSWER)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}/mcp"


async def post(url: str, thrown: list[int]) -> httpx2.Response:
    """One request; the number of the newest switch is taken from `thrown`, a look at a time."""
    soft = Soft(httpx2.AsyncHTTPTransport(trust_env=False), "token", lambda: thrown.pop(0))
    soft.opening = False
    async with httpx2.AsyncClient(transport=soft, trust_env=False) as http:
        return await http.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "tools/call"})


@pytest.mark.promise("P5")
async def test_a_switch_thrown_before_the_first_byte_keeps_the_request_back_and_proves_it() -> None:
    got: list[bytes] = []
    async with listening(got) as url:
        response = await post(url, [7, 8])

    assert (response.status_code, response.json()["error"]["data"]) == (
        503,
        {"sent": False, "token": "token"},
    )
    assert got == []


async def test_without_a_new_switch_the_request_leaves() -> None:
    got: list[bytes] = []
    async with listening(got) as url:
        response = await post(url, [7, 7])

    assert (response.status_code, len(got) > 0) == (200, True)
