"""stdio on one side, the gateway on the other: one line in is one POST, each frame back is one line out.

Frames pass as they came. The bridge keeps no session but what a legacy gateway makes it keep, and repeats nothing.
"""

import json
import logging
import math
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio.abc import TaskGroup

from lockkeep_client.errors import NotLoggedIn
from lockkeep_client.exchange import Exchange, Frame, Lost, NotSent, Refused, parsed
from lockkeep_client.legacy import LegacyLeg
from lockkeep_client.offer import OFFERED, STATUS, Trouble, answer, not_logged_in, unreachable
from lockkeep_client.stdio import Stdio
from lockkeep_client.wire import MAX_FRAME, modern_headers, modern_version, record, text_of

logger = logging.getLogger(__name__)
GRACE_S = 0.5  # how long answers may still come after the host closed stdin
SETUP_S = 5.0  # hosts give a server some seconds to start; a gateway that hangs must not use them up
UNKNOWN = (
    "The connection to the gateway was lost after the call was sent: outcome unknown; ask lockkeep_status."
)
TOO_LARGE = "The request is larger than the gateway takes (4 MiB)."
PARSE_ERROR, INVALID_REQUEST, CONNECTION_LOST = -32700, -32600, -32000


@dataclass(eq=False)
class _Post:
    """One frame on its way, and the scope that closes it."""

    line: bytes
    frame: dict[str, Any]
    answered: bool = False
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: anyio.Event = field(default_factory=anyio.Event)

    @property
    def method(self) -> str:
        """The method; empty for a host's answer to a question."""
        return text_of(self.frame.get("method"))

    @property
    def key(self) -> str:
        """The request's id with its type, since "1" is not 1."""
        return _key(self.frame["id"]) if "id" in self.frame else f"notification {id(self)}"

    @property
    def wants_answer(self) -> bool:
        """True for a request."""
        return "id" in self.frame and "method" in self.frame


@dataclass(eq=False)
class Bridge:
    """One host on stdio, one gateway behind it."""

    exchange: Exchange
    host: Stdio
    _legacy: LegacyLeg = field(default_factory=LegacyLeg)
    _open: dict[str, _Post] = field(default_factory=dict[str, _Post])
    _reached: bool = False  # the gateway has answered this bridge
    _stood_in: bool = False  # the bridge itself answered a legacy `initialize`

    async def run(self) -> None:
        """The host was served until it closed stdin or stdout, or a signal came."""
        written = anyio.Event()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_end_on_signal, tasks)
                tasks.start_soon(self._write, written, tasks)
                while line := await self.host.line():
                    await self._take(line, tasks)
                await self._finish(written)
                tasks.cancel_scope.cancel()
        finally:
            self.host.close()

    async def _write(self, written: anyio.Event, tasks: TaskGroup) -> None:
        try:
            await self.host.write()
        except OSError:
            logger.info("the host no longer reads")
            tasks.cancel_scope.cancel()
        finally:
            written.set()

    async def _take(self, line: bytes, tasks: TaskGroup) -> None:
        line = line.rstrip(b"\r\n")
        frame = parsed(line)
        if len(line) > MAX_FRAME:
            await self._fail(frame or {}, INVALID_REQUEST, TOO_LARGE)
        elif frame is None:
            if line.strip():
                await self._fail({}, *_no_frame(line))
        elif frame.get("method") == "notifications/cancelled":
            self._cancel(record(frame.get("params")).get("requestId"))
        elif "id" not in frame and self._legacy.session:
            await self._post(_Post(line, frame))  # a session must have read it before the next request
        else:
            post = _Post(line, frame)
            self._open[post.key] = post
            tasks.start_soon(self._run, post)

    async def _run(self, post: _Post) -> None:
        try:
            with post.scope:
                await self._post(post)
        finally:
            post.ended.set()
            if self._open.get(post.key) is post:  # a host may have used the id again
                del self._open[post.key]

    async def _post(self, post: _Post) -> None:
        """The frame was sent once; a request has its answer, the gateway's or ours that says why there is none."""

        async def each(came: Frame) -> None:
            await self._pass_on(came, post)

        brief = not post.wants_answer or post.method in OFFERED - {"tools/call"}
        try:
            with anyio.fail_after(SETUP_S if brief else math.inf):
                if (version := modern_version(post.frame)) is not None:
                    await self.exchange.post(post.line, modern_headers(post.frame, version), each)
                else:
                    await self._legacy.post(self.exchange, post.line, post.frame, each)
            if not post.answered:
                await self._lost(post, "accepted without an answer")
        except NotSent:
            await self._stand_in(post, unreachable(self.exchange.url))
        except NotLoggedIn:
            await self._stand_in(post, not_logged_in(self.exchange.url))
        except Refused as refusal:
            await self._refused(post, refusal)
        except (Lost, TimeoutError) as lost:
            await self._lost(post, str(lost) or "no answer in time")

    async def _pass_on(self, came: Frame, post: _Post) -> None:
        self._reached = True
        raw = came.raw
        if came.is_answer:
            post.answered = True
            if came.message.get("id") is None:  # refused before its id was read
                raw = _bytes(came.message | {"id": post.frame.get("id")})
        await self.host.put(raw)
        if self._stood_in and post.method != "initialize":
            self._stood_in = False  # the host knows one tool so far; now there are all of them
            await self.host.put(_bytes({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))

    async def _refused(self, post: _Post, refusal: Refused) -> None:
        if refusal.status in (401, 403):
            await self._stand_in(post, not_logged_in(self.exchange.url))
        elif refusal.status == 413:
            await self._fail(post.frame, INVALID_REQUEST, TOO_LARGE)
        else:
            logger.warning("%s: HTTP %d", post.method, refusal.status)
            await self._stand_in(post, unreachable(self.exchange.url))

    async def _lost(self, post: _Post, why: str) -> None:
        if post.answered or not post.wants_answer:
            return
        logger.warning("%s: %s", post.method, why)
        if post.method == "tools/call" and record(post.frame.get("params")).get("name") != STATUS:
            await self._fail(post.frame, CONNECTION_LOST, UNKNOWN)
        else:
            await self._stand_in(post, unreachable(self.exchange.url))

    async def _stand_in(self, post: _Post, trouble: Trouble) -> None:
        """The host got our own answer. A list of tools it already has stays: without tools, models improvise."""
        logger.warning("%s: %s", post.method, trouble.says)
        if not post.wants_answer or post.answered:
            return
        result = None if self._reached and post.method == "tools/list" else answer(post.frame, trouble)
        if result is None:
            await self._fail(post.frame, CONNECTION_LOST, f"{trouble.says} {trouble.next}")
            return
        self._stood_in = self._stood_in or post.method == "initialize"
        self._legacy.stood_in(post.frame, result)
        await self.host.put(_bytes({"jsonrpc": "2.0", "id": post.frame["id"], "result": result}))

    async def _fail(self, frame: Mapping[str, Any], code: int, message: str) -> None:
        error = {"code": code, "message": message}
        await self.host.put(_bytes({"jsonrpc": "2.0", "id": frame.get("id"), "error": error}))

    def _cancel(self, id: object) -> None:
        """Closing the POST is what cancels, in both eras; a notification passed on would change nothing."""
        if post := self._open.get(_key(id)):
            post.scope.cancel()

    async def _finish(self, written: anyio.Event) -> None:
        """What was under way may still be answered, for a moment; a session of ours is ended."""
        with anyio.move_on_after(GRACE_S):
            for post in [post for post in self._open.values() if post.method != "subscriptions/listen"]:
                await post.ended.wait()
            self.host.close()
            await written.wait()
        with anyio.move_on_after(0.2):
            await self._legacy.end(self.exchange)


async def _end_on_signal(tasks: TaskGroup) -> None:
    if sys.platform == "win32":
        return  # the loop has no signal handlers there; the host ends the process
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            tasks.cancel_scope.cancel()


def _no_frame(line: bytes) -> tuple[int, str]:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return PARSE_ERROR, "The line is no JSON."
    return INVALID_REQUEST, "The line is not one JSON-RPC message."


def _key(id: object) -> str:
    return json.dumps(id)


def _bytes(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode("ascii")
