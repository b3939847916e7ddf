"""Requests that are turned away before they name a call leave a record, too: no token, malformed, too large."""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

RECORDED = frozenset({400, 401, 403, 404, 413, 415, 421})
NO_STREAM = b'{"error":"This address takes POST. There is no standing stream."}'


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

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in RECORDED:
                await self.record(message["status"], scope["path"], _agent(scope))
            await send(message)

        await self.app(scope, receive, watched)


def _agent(scope: Scope) -> str:
    said = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    return "".join(char for char in said.decode("latin-1") if char.isprintable())[:100]
