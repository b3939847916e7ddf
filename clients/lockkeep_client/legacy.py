"""What legacy MCP makes a client remember: the negotiated version and, where a gateway gives one, a session."""

import json
from dataclasses import dataclass
from typing import Any

from lockkeep_client.exchange import Each, Exchange, Frame
from lockkeep_client.wire import record, text_of

_INITIALIZED = json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}).encode()


@dataclass
class LegacyLeg:
    """The legacy half of one bridge. Our gateway keeps no sessions, so most of this stays empty."""

    version: str | None = None
    session: str | None = None
    _opening: bytes = b""  # the host's `initialize`, to open a lost session again

    def stood_in(self, frame: dict[str, Any], result: dict[str, Any]) -> None:
        """The bridge answered in the gateway's place; later frames carry the version it named."""
        if frame.get("method") == "initialize":
            self.version = text_of(result.get("protocolVersion"))

    async def post(self, exchange: Exchange, line: bytes, frame: dict[str, Any], each: Each) -> None:
        """The frame was sent, in the session; a session the gateway has forgotten was opened anew, once."""
        if frame.get("method") == "initialize":
            await self._open(exchange, line, each)
        elif self.session is None:
            await exchange.post(line, self._headers(), each)
        elif await self._is_forgotten(exchange, line, each):
            # "Session not found" proves that nothing ran, so this is the first time the frame is taken.
            await self._open(exchange, self._opening, _to_nobody)
            await exchange.post(_INITIALIZED, self._headers(), _to_nobody)
            await exchange.post(line, self._headers(), each)

    async def end(self, exchange: Exchange) -> None:
        """A session the gateway gave is closed."""
        if self.session is not None:
            await exchange.delete(self._headers())

    async def _open(self, exchange: Exchange, line: bytes, each: Each) -> None:
        self.version, self.session, self._opening = None, None, line

        async def learn(came: Frame) -> None:
            if came.is_answer and "result" in came.message:
                self.version = text_of(record(came.message["result"]).get("protocolVersion")) or None
                self.session = came.headers.get("mcp-session-id")
            await each(came)

        await exchange.post(line, {}, learn)

    async def _is_forgotten(self, exchange: Exchange, line: bytes, each: Each) -> bool:
        forgotten = False

        async def watch(came: Frame) -> None:
            nonlocal forgotten
            error = record(came.message.get("error"))
            if error.get("code") == -32600 and text_of(error.get("message")).startswith("Session "):
                forgotten = True
            else:
                await each(came)

        await exchange.post(line, self._headers(), watch)
        return forgotten

    def _headers(self) -> dict[str, str]:
        version = {"mcp-protocol-version": self.version} if self.version else {}
        return version | ({"mcp-session-id": self.session} if self.session else {})


async def _to_nobody(came: Frame) -> None:
    del came
