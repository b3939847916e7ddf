"""A body in which a name stands twice in one object means one thing to us and perhaps another to who reads it next."""

import json
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ERROR = {
    "jsonrpc": "2.0",
    "id": None,
    "error": {"code": -32600, "message": "arguments.not_canonical: a name stands twice in one object"},
}


class NamedOnce:
    """Passes on what is unambiguous, and everything that is no JSON at all: that is refused behind it."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self._most = app, most  # bytes; what is larger is refused behind it, too

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        said: list[Message] = []
        size, more = 0, True
        while more and size <= self._most:
            said.append(await receive())
            size += len(said[-1].get("body", b""))
            more = said[-1].get("more_body", False)
        if not more and _twice(b"".join(each.get("body", b"") for each in said)):
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 400, "headers": headers})
            await send({"type": "http.response.body", "body": json.dumps(ERROR).encode()})
            return

        async def again() -> Message:
            return said.pop(0) if said else await receive()

        await self.app(scope, again, send)


class _Twice(Exception):
    """A name stands twice."""


def _twice(body: bytes) -> bool:
    try:
        json.loads(body, object_pairs_hook=_once)
    except _Twice:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Twice
