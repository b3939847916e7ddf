"""Requests that are turned away before they name a call leave a record, too: no token, malformed, too large."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

RECORDED = frozenset({400, 401, 403, 404, 413, 415, 421})
MOST = 60  # records a minute
NO_STREAM = b'{"error":"This address takes POST. There is no standing stream."}'


class Sparing:
    """What strangers can make us record, at most sixty times a minute: no flood fills the disk."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._minute, self._count = 0, 0

    def may(self) -> tuple[bool, int]:
        """Whether to record this one, and how many of an earlier minute were not."""
        minute, missed = int(self._clock().timestamp() // 60), 0
        if minute != self._minute:
            missed, self._minute, self._count = max(0, self._count - MOST), minute, 0
        self._count += 1
        return self._count <= MOST, missed


class Refusals:
    """Wraps the MCP address: GET gets 405, refused requests are handed to `record` with status and path."""

    def __init__(self, app: ASGIApp, record: Callable[[int, str, str], Awaitable[None]]) -> None:
        self.app, self.record = app, record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/mcp"):
            await self.app(scope, receive, send)
            return
        if scope["method"] == "GET":  # a stream that never says anything makes clients reconnect for ever
            headers = [(b"content-type", b"application/json"), (b"allow", b"POST")]
            await send({"type": "http.response.start", "status": 405, "headers": headers})
            await send({"type": "http.response.body", "body": NO_STREAM})
            return

        # HTTP allows white space around a value, and httptools leaves it there
        scope["headers"] = [(name, value.strip(b" \t")) for name, value in scope["headers"]]

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in RECORDED:
                await self.record(message["status"], scope["path"], _agent(scope))
            await send(message)

        await self.app(scope, receive, watched)


def _agent(scope: Scope) -> str:
    said = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    return "".join(char for char in said.decode("latin-1") if char.isprintable())[:100]
