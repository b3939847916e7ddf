"""A broken connection fails its own request and nobody else's.

The SDK's client ends as a whole when its transport raises. So a transport error becomes an answer: a 503 with a
JSON-RPC error for that one request. The token tells our own answers from an upstream's forgery.
"""

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import httpx2
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED

Stops = Callable[[], int]  # the number of the newest switch
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_CANCELLED = b"notifications/cancelled"
_PROXY_SAYS_DOWN = frozenset({502, 503, 504})


class Soft(httpx2.AsyncBaseTransport):
    """Wraps the real transport. While `opening` it lets errors through: an outage is no verdict on the era."""

    def __init__(self, real: httpx2.AsyncBaseTransport, token: str, stops: Stops = lambda: 0) -> None:
        self.opening = True
        self._real = real
        self._token = token
        self._stops = stops

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if _is_courtesy(request):
            return httpx2.Response(202, request=request)
        request.extensions = {**request.extensions, "trace": _last_look(self._stops)}
        try:
            response = await self._real.handle_async_request(request)
        except httpx2.TransportError as error:
            if self.opening:
                raise
            data = {"sent": not isinstance(error, _NEVER_SENT), "token": self._token}
            error_body = {"code": CONNECTION_CLOSED, "message": type(error).__name__, "data": data}
            return httpx2.Response(
                503, json={"jsonrpc": "2.0", "id": None, "error": error_body}, request=request
            )
        if self.opening and response.status_code in _PROXY_SAYS_DOWN:
            await response.aclose()
            raise httpx2.ConnectError(f"HTTP {response.status_code}", request=request)
        # We ask for plain bodies. A broken compressed one raises past the transport and would end the client.
        response.headers.pop("content-encoding", None)
        response.stream = _QuietEnd(cast(httpx2.AsyncByteStream, response.stream))
        return response

    async def aclose(self) -> None:
        await self._real.aclose()


def _last_look(stops: Stops) -> Callable[[str, object], Awaitable[None]]:
    """Right before the first byte: a request that waited for its connection while somebody threw a switch is not sent."""
    before = stops()

    async def look(event: str, _: object) -> None:
        if event.endswith("send_request_headers.started") and stops() != before:
            raise httpx2.ConnectError("a switch was thrown before anything was sent")

    return look


def _is_courtesy(request: httpx2.Request) -> bool:
    """True for the notice that nobody waits any more.

    The SDK sends it in line: a server that hangs would hold up every later call. And a claimed write is not
    taken back by us.
    """
    if request.method != "POST" or _CANCELLED not in request.content:
        return False
    message = json.loads(request.content)
    return "id" not in message and message.get("method") == "notifications/cancelled"


class _QuietEnd(httpx2.AsyncByteStream):
    """A body that breaks off just ends; the SDK then reports an error for that request."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._body:
                yield chunk
        except httpx2.TransportError:
            return

    async def aclose(self) -> None:
        await self._body.aclose()


def new_token() -> str:
    """One per process; it never leaves it."""
    return secrets.token_hex(16)


def sent(error: MCPError, token: str) -> bool | None:
    """Whether the request may have left; None when this error is not one of ours."""
    content: object = error.data
    data = cast("dict[str, object]", content) if isinstance(content, dict) else {}
    if not secrets.compare_digest(str(data.get("token")).encode(), token.encode()):
        return None
    return data.get("sent") is not False
