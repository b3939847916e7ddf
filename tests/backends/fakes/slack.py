"""Slack's Web API as far as posts go: it refuses what Slack refuses, in Slack's words, and breaks where a test says."""

import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl

import anyio
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

TOKEN = "xoxb-fake-token"
SCOPES = {
    "chat.postMessage": "chat:write",
    "chat.delete": "chat:write",
    "conversations.history": "channels:history",
}
EVENT_TYPE = re.compile(r"[a-zA-Z0-9_]{1,255}")
LONGEST, MOST = 40_000, 999
Arguments = dict[str, Any]


class Refusal(Exception):
    """Slack's own word for what is wrong."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.answer = {"ok": False, "error": error, **more}


@dataclass
class FakeSlack:
    """A workspace with channels. `breaks` are used up one a call: see `_break`."""

    channels: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"C0OPS": [], "C0SALES": []})
    strange: set[str] = field(default_factory=lambda: {"C0BOARD"})  # the bot is no member there
    archived: set[str] = field(default_factory=set[str])
    scopes: set[str] = field(default_factory=lambda: {"chat:write", "channels:history"})
    breaks: list[str] = field(default_factory=list[str])
    asked: list[tuple[str, Arguments]] = field(default_factory=list[tuple[str, Arguments]])
    meanwhile: Callable[[], None] | None = None  # what happens elsewhere while a post is taken
    cut: Callable[[], None] = lambda: None  # breaks every connection off
    now: float = 1_803_884_400.0  # 2027-03-01T07:00:00Z
    url: str = ""

    def texts(self, channel: str = "C0OPS") -> list[str]:
        return [message["text"] for message in self.channels[channel]]

    def calls(self, method: str) -> int:
        return sum(name == method for name, _ in self.asked)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        method = request.url.path.rpartition("/")[2]
        try:
            given = await _arguments(request)
        except ClientDisconnect:
            return
        self.asked.append((method, given))
        response = await self._answer(request, method, given)
        if response is None:
            self.cut()
        else:
            await response(scope, receive, send)

    async def _answer(self, request: Request, method: str, given: Arguments) -> Response | None:
        broken = self.breaks.pop(0) if self.breaks else ""
        if broken and not broken.endswith("_after"):
            return self._break(broken)
        answer = self._said(request, method, given)
        return self._break(broken.removesuffix("_after")) if broken else JSONResponse(answer)

    def _break(self, how: str) -> Response | None:
        """`X` instead of the effect, `X_after` once it is there."""
        match how:
            case "429":
                answer = {"ok": False, "error": "ratelimited"}
                return JSONResponse(answer, 429, {"Retry-After": "7"})
            case "500" | "503":
                return PlainTextResponse("upstream sadness", int(how))
            case "html":
                return PlainTextResponse("<html>Log in</html>", 200, media_type="text/html")
            case "redirect":
                return RedirectResponse(self.url.replace("127.0.0.1", "localhost") + "elsewhere", 302)
            case "half":
                return PlainTextResponse('{"ok": tr', 200, media_type="application/json")
            case "without_ts":
                return JSONResponse({"ok": True})
            case "list":
                return JSONResponse([1, 2])
            case "reset":
                return None
            case _:
                return JSONResponse({"ok": False, "error": how})

    def _said(self, request: Request, method: str, given: Arguments) -> Arguments:
        try:
            self._known(request, method)
            match method:
                case "auth.test":
                    return {"ok": True, "url": "https://t.slack.com/", "team": "T", "user": "bot", "team_id": "T0", "user_id": "U0BOT", "bot_id": "B0"}  # fmt: skip
                case "chat.postMessage":
                    return self._post(given)
                case "chat.delete":
                    return self._delete(given)
                case "conversations.history":
                    return self._history(given)
                case _:
                    raise Refusal("unknown_method", req_method=method)
        except Refusal as refusal:
            return refusal.answer

    def _known(self, request: Request, method: str) -> None:
        bearer = request.headers.get("authorization", "")
        if not bearer:
            raise Refusal("not_authed")
        if bearer != f"Bearer {TOKEN}":
            raise Refusal("invalid_auth")
        needed = SCOPES.get(method)
        if needed is not None and needed not in self.scopes:
            raise Refusal("missing_scope", needed=needed, provided=",".join(sorted(self.scopes)))

    def _channel(self, given: Arguments) -> list[dict[str, Any]]:
        name = given.get("channel")
        if not isinstance(name, str) or name not in {*self.channels, *self.strange}:
            raise Refusal("channel_not_found")
        if name in self.strange:
            raise Refusal("not_in_channel")
        return self.channels[name]

    def _post(self, given: Arguments) -> Arguments:
        channel = self._channel(given)
        text = given.get("text")
        if given["channel"] in self.archived:
            raise Refusal("is_archived")
        if not isinstance(text, str) or not text:
            raise Refusal("no_text")
        if len(text) > LONGEST:
            raise Refusal("msg_too_long")
        if self.meanwhile is not None:
            self.meanwhile()
        self.now += 0.000_2
        message: dict[str, Any] = {
            "type": "message", "user": "U0BOT", "bot_id": "B0", "ts": f"{self.now:.6f}", "text": text,
        }  # fmt: skip
        if "metadata" in given:
            message["metadata"] = _metadata(given["metadata"])
        channel.append(message)
        shown = {key: value for key, value in message.items() if key != "metadata"}
        return {"ok": True, "channel": given["channel"], "ts": message["ts"], "message": shown}

    def _delete(self, given: Arguments) -> Arguments:
        channel = self._channel(given)
        found = [message for message in channel if message["ts"] == given.get("ts")]
        if not found:
            raise Refusal("message_not_found")
        if found[0]["user"] != "U0BOT":
            raise Refusal("cant_delete_message")
        channel.remove(found[0])
        return {"ok": True, "channel": given["channel"], "ts": given["ts"]}

    def _history(self, given: Arguments) -> Arguments:
        """Newest first, metadata only on demand; a page may hold fewer than asked for."""
        limit = int(given.get("limit", 100))
        if not 1 <= limit <= MOST:
            raise Refusal("invalid_limit")
        oldest = float(given.get("oldest", 0))
        found = [each for each in reversed(self._channel(given)) if float(each["ts"]) > oldest]
        start = _cursor(given.get("cursor"))
        page, more = found[start : start + limit], len(found) > start + limit
        with_metadata = str(given.get("include_all_metadata", "")).lower() in ("1", "true")
        shown = [
            each if with_metadata else {key: value for key, value in each.items() if key != "metadata"}
            for each in page
        ]
        answer: Arguments = {"ok": True, "messages": shown, "has_more": more, "pin_count": 0}
        return answer | ({"response_metadata": {"next_cursor": f"next:{start + limit}"}} if more else {})


async def _arguments(request: Request) -> Arguments:
    body = (await request.body()).decode("utf-8")
    if request.headers.get("content-type", "").startswith("application/json"):
        return cast(Arguments, json.loads(body or "{}"))
    given: Arguments = dict(parse_qsl(body, keep_blank_values=True))
    for name in ("metadata",):
        if name in given:
            given[name] = json.loads(given[name])
    return given


def _metadata(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Refusal("invalid_metadata_format")
    metadata = cast(Mapping[str, Any], value)
    kind, payload = metadata.get("event_type"), metadata.get("event_payload")
    if not isinstance(kind, str) or not EVENT_TYPE.fullmatch(kind) or not isinstance(payload, dict):
        raise Refusal("invalid_metadata_format")
    return metadata


def _cursor(text: Any) -> int:
    if not text:
        return 0
    head, _, place = str(text).partition(":")
    if head != "next" or not place.isdigit():
        raise Refusal("invalid_cursor")
    return int(place)


def _abort(server: uvicorn.Server) -> None:
    for connection in list(server.server_state.connections):
        cast(Any, connection).transport.abort()


@asynccontextmanager
async def slack_server(fake: FakeSlack | None = None) -> AsyncGenerator[FakeSlack]:
    """The fake over HTTP, on a free port of this machine."""
    fake = fake or FakeSlack()
    config = uvicorn.Config(fake, host="127.0.0.1", port=0, log_level="critical", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        with anyio.fail_after(10):
            while not server.started:
                await anyio.sleep(0.01)
        fake.cut = lambda: _abort(server)
        fake.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/api/"
        try:
            yield fake
        finally:
            server.should_exit = True
