"""Slack as far as an app with buttons sees it: messages with blocks, presses over signed HTTP, and Socket Mode.

The fake refuses what Slack refuses, and presses only buttons that stand in a message, unless a test forges them.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import struct
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast
from urllib.parse import urlencode

import anyio
import httpx2
from starlette.requests import Request
from tests.backends.fakes.slack import Arguments, FakeSlack, Refusal, slack_server

APP_TOKEN, SIGNING_SECRET = "xapp-1-fake", "slack-signs-with-this"
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
LIMITS = {"blocks": 50, "text": 3000, "value": 2000, "header": 150, "elements": 25}


@dataclass
class SlackApp(FakeSlack):
    """A workspace T1 with our app in it."""

    whispers: list[Arguments] = field(default_factory=list[Arguments])  # what only one person is shown
    updates: list[Arguments] = field(default_factory=list[Arguments])
    sockets: "list[Socket]" = field(default_factory=list["Socket"])
    socket_url: str = ""
    _numbers: Any = field(default_factory=lambda: count(1))

    @property
    def messages(self) -> list[Arguments]:
        return self.channels["C0OPS"]

    def _known(self, request: Request, method: str) -> None:
        if method == "apps.connections.open":
            if request.headers.get("authorization") != f"Bearer {APP_TOKEN}":
                raise Refusal("invalid_auth")
            return
        super()._known(request, method)

    def _said(self, request: Request, method: str, given: Arguments) -> Arguments:
        own = {
            "chat.update": self._update, "chat.postEphemeral": self._whisper, "apps.connections.open": self._connect,
        }.get(method)  # fmt: skip
        if own is None:
            return super()._said(request, method, given)
        try:
            self._known(request, method)
            return own(given)
        except Refusal as refusal:
            return refusal.answer

    def _post(self, given: Arguments) -> Arguments:
        _check(given.get("blocks", []))
        answer = super()._post(given)
        self._channel(given)[-1]["blocks"] = given.get("blocks", [])
        return answer

    def _update(self, given: Arguments) -> Arguments:
        _check(given.get("blocks", []))
        found = [message for message in self._channel(given) if message["ts"] == given.get("ts")]
        if not found:
            raise Refusal("message_not_found")
        found[0] |= {"text": given["text"], "blocks": given.get("blocks", [])}
        self.updates.append(given)
        return {"ok": True, "channel": given["channel"], "ts": given["ts"], "text": given["text"]}

    def _whisper(self, given: Arguments) -> Arguments:
        self._channel(given)
        self.whispers.append(given)
        return {"ok": True, "message_ts": "1.1"}

    def _connect(self, given: Arguments) -> Arguments:
        return {"ok": True, "url": self.socket_url}

    # -- people press ---------------------------------------------------------------------------------------------

    def buttons(self, number: int = -1) -> dict[str, Arguments]:
        """The buttons of a message by their action."""
        blocks = cast("list[Arguments]", self.messages[number].get("blocks", []))
        return {
            each["action_id"]: each
            for block in blocks
            if block["type"] == "actions"
            for each in block["elements"]
        }

    def pressed(
        self, action: str, user: str, *, team: str = "T1", home: str | None = None, **changed: Any
    ) -> Arguments:
        """What Slack sends when this user presses that button of the newest message."""
        button = self.buttons().get(action, {"value": ""})
        message = self.messages[-1]
        return {
            "type": "block_actions",
            "team": {"id": team, "domain": "acme"},
            "user": {"id": user, "username": "bo", "name": "bo", "team_id": home or team},
            "api_app_id": "A1",
            "token": "old",
            "container": {"type": "message", "message_ts": message["ts"], "channel_id": "C0OPS", "is_ephemeral": False},
            "trigger_id": f"{next(self._numbers)}.1",
            "channel": {"id": "C0OPS", "name": "ops"},
            "message": message,
            "response_url": "https://hooks.slack.com/actions/T1/1/x",
            "actions": [{"type": "button", "action_id": action, "block_id": "b", "value": button.get("value"), "action_ts": "1.1"}],
            **changed,
        }  # fmt: skip

    async def send(self, url: str, payload: Mapping[str, Any], **changed: Any) -> httpx2.Response:
        """A press over HTTP, signed as Slack signs it, but for what a test changes."""
        body = urlencode({"payload": json.dumps(payload)}).encode()
        stamp = changed.get("stamp", str(int(time.time())))
        signature = changed.get("signature", signed(changed.get("secret", SIGNING_SECRET), stamp, body))
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "x-slack-request-timestamp": changed.get("sent_stamp", stamp),
            "x-slack-signature": signature,
            **changed.get("headers", {}),
        }
        kept = {name.encode(): value.encode() for name, value in headers.items() if value is not None}
        async with httpx2.AsyncClient(trust_env=False, verify=False, timeout=20) as http:
            return await http.post(
                f"{url}/notify/slack", content=changed.get("body", body), headers=list(kept.items())
            )

    async def socket(self) -> "Socket":
        """The connection that is open now."""
        with anyio.fail_after(10):
            while not (live := [each for each in self.sockets if each.live]):
                await anyio.sleep(0.02)
        return live[-1]


def signed(secret: str, stamp: str, body: bytes) -> str:
    return "v0=" + hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()


def _check(blocks: Any) -> None:
    """Slack's limits, and that nothing of ours is parsed for mentions."""
    fits = len(blocks) <= LIMITS["blocks"]
    for block in blocks:
        for text in [block.get("text", {}), *(each["text"] for each in block.get("elements", []))]:
            most = LIMITS["header"] if block["type"] == "header" else LIMITS["text"]
            fits = fits and (not text or (text["type"] == "plain_text" and 0 < len(text["text"]) <= most))
        fits = fits and all(
            len(each.get("value", "")) <= LIMITS["value"] for each in block.get("elements", [])
        )
    if not fits:
        raise Refusal("invalid_blocks")


@dataclass
class Socket:
    """One WebSocket of Socket Mode, the server's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heard: list[Arguments] = field(default_factory=list[Arguments])
    live: bool = False

    async def run(self) -> None:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        key = next(
            line.partition(": ")[2]
            for line in head.split("\r\n")
            if line.lower().startswith("sec-websocket-key")
        )
        accept = base64.b64encode(hashlib.sha1(f"{key}{MAGIC}".encode()).digest()).decode()
        answer = f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        self.writer.write(answer.encode())
        await self.say({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"}})
        self.live = True
        try:
            while True:
                code, data = await self._frame()
                if code == PING:
                    await self._send(PONG, data)
                elif code == TEXT:
                    self.heard.append(json.loads(data))
                elif code == CLOSE:
                    return
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            self.live = False
            self.writer.close()

    async def say(self, message: Mapping[str, Any]) -> None:
        await self._send(TEXT, json.dumps(message).encode())

    async def press(self, payload: Mapping[str, Any], envelope: str, *, wait: bool = True) -> bool:
        """Sends an envelope; whether it was confirmed."""
        before = self.confirmed(envelope)
        await self.say(
            {
                "type": "interactive",
                "envelope_id": envelope,
                "payload": payload,
                "accepts_response_payload": False,
            }
        )
        with anyio.move_on_after(10 if wait else 0):
            while self.confirmed(envelope) == before:
                await anyio.sleep(0.01)
        return self.confirmed(envelope) > before

    def confirmed(self, envelope: str) -> int:
        return sum(each.get("envelope_id") == envelope for each in self.heard)

    def cut(self) -> None:
        self.writer.transport.abort()

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        size = second & 127
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        mask = await self.reader.readexactly(4) if second & 128 else bytes(4)
        data = await self.reader.readexactly(size)
        return first & 15, bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))

    async def _send(self, code: int, data: bytes) -> None:
        size = len(data)
        head = bytes([128 | code, size]) if size < 126 else struct.pack("!BBH", 128 | code, 126, size)
        self.writer.write(head + data)
        await self.writer.drain()


@asynccontextmanager
async def slack_app(*, sockets: bool = False) -> AsyncGenerator[SlackApp]:
    """The workspace over HTTP, and over Socket Mode, too, where a test wants it."""
    async with slack_server(SlackApp()) as found:
        app = cast(SlackApp, found)
        if not sockets:
            yield app
            return

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            socket = Socket(reader, writer)
            app.sockets.append(socket)
            await socket.run()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        app.socket_url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/link/?ticket=x"
        try:
            yield app
        finally:
            server.close()
            for each in app.sockets:
                each.cut()
