"""A gateway for the client's tests: a real MCP server on loopback that answers with the gateway's shapes."""

import json
import socket
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import uvicorn
from anyio import to_thread
from mcp.server import Server, ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.subscriptions import ToolsListChanged
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)
from starlette.types import Message, Receive, Scope, Send

TOKEN = "canary-token-5f1d"
Ctx = ServerRequestContext[Any]
NAMES = (
    "crm_asks",
    "crm_assign_owner",
    "crm_changed",
    "crm_größe",
    "crm_later",
    "crm_novel",
    "crm_parked",
    "crm_progress",
    "crm_slow",
    "crm_stopped",
    "crm_taken",
    "lockkeep_status",
    "lockkeep_wait",
)
PENDING = {
    "status": "pending_approval",
    "approval_id": "apr_1",
    "reason": "More than 10 leads at once.",
    "approvers": ["ana", "ben"],
    "expires_at": "2026-11-23T09:00:00+00:00",
    "url": "http://127.0.0.1:8700/approvals/apr_1",
    "next": "Call lockkeep_wait.",
    "resume": {"tool": "lockkeep_wait", "arguments": {"approval_id": "apr_1"}},
}
DENIED = {
    "status": "denied",
    "code": "policy.rule",
    "rule": "crm/no-weekend",
    "reason": "Not at weekends.",
    "fix": "Try on Monday.",
    "retry": "after:2026-11-23",
    "call_id": "call_1",
}


def told(outcome: str, structured: Any, *, error: bool = False, text: str = "") -> CallToolResult:
    """A result as the gateway shapes it."""
    return CallToolResult(
        content=[TextContent(type="text", text=text or json.dumps(structured))],
        structured_content=structured,
        is_error=error,
        _meta={"lockkeep/call": {"id": "call_1", "outcome": outcome, "deduplicated": False}},
    )


@dataclass
class StandIn:
    """The gateway: `effects` is what really happened behind it, `posts` what arrived at its door."""

    stateless: bool = True
    workflows: tuple[str, ...] = ()
    name: str = "lockkeep"
    effects: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    metas: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    posts: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    instead: tuple[int, str, bytes] | None = None  # what something at this address answers in its place
    hangs: bool = False
    date: str | None = None
    tools: tuple[str, ...] = NAMES
    decided: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def __post_init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.bus = InMemorySubscriptionBus()

    @property
    def url(self) -> str:
        """The address to give to clients."""
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Nothing has happened yet, and nothing is in the way."""
        for seen in (self.effects, self.metas, self.posts):
            seen.clear()
        for event in (self.decided, self.begun, self.ended):
            event.clear()
        self.instead, self.hangs = None, False

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["StandIn"]:
        """The gateway listens; started again on the same port it is the same gateway after a restart."""
        server = Server(
            self.name,
            version="1",
            on_list_tools=self._list,
            on_call_tool=self._call,
            on_subscriptions_listen=ListenHandler(self.bus),
            get_tool_input_schema=lambda _: None,
        )
        app = server.streamable_http_app(stateless_http=self.stateless)

        async def front(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or await self._lets_pass(scope, send):
                await app(scope, receive, send)

        config = uvicorn.Config(
            front, log_level="critical", lifespan="on", timeout_graceful_shutdown=0, date_header=not self.date
        )
        uvicorn_server = uvicorn.Server(config)
        listening = socket.create_server(("127.0.0.1", self.port))
        thread = threading.Thread(target=uvicorn_server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        with anyio.fail_after(10):
            while not uvicorn_server.started:
                await anyio.sleep(0.005)
        try:
            yield self
        finally:
            uvicorn_server.should_exit = True
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(thread.join, 5)
            listening.close()

    async def _lets_pass(self, scope: Scope, send: Send) -> bool:
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        self.posts.append(headers)
        if self.hangs:
            await anyio.sleep(60)
        if self.instead is not None:
            await self._answer(send, *self.instead)
        elif scope["path"] not in ("/mcp", *(f"/mcp/{name}" for name in self.workflows)):
            await self._answer(
                send, 404, "application/json", json.dumps({"workflows": self.workflows}).encode()
            )
        elif headers.get("authorization") != f"Bearer {TOKEN}":
            await self._answer(send, 401, "application/json", b'{"error":"invalid_token"}')
        else:
            scope["path"] = "/mcp"
            return True
        return False

    async def _answer(self, send: Send, status: int, kind: str, body: bytes) -> None:
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        if self.date:
            headers.append((b"date", self.date.encode()))
        if status == 401:
            headers.append(
                (b"www-authenticate", b'Bearer error="invalid_token", error_description="expired"')
            )
        start: Message = {"type": "http.response.start", "status": status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": body})

    async def _list(self, ctx: Ctx, params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(
            tools=[
                Tool(name=name, description=f"{name}.", input_schema={"type": "object"})
                for name in self.tools
            ]
        )

    async def _call(self, ctx: Ctx, params: CallToolRequestParams) -> CallToolResult:
        args = dict(params.arguments or {})
        self.metas.append(dict(ctx.meta or {}))
        match params.name:
            case "crm_progress":
                for done in (1, 2):
                    await ctx.session.report_progress(done, 2, f"{done} of 2")
            case "crm_changed":
                await self.bus.publish(ToolsListChanged())
            case "crm_asks":
                schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}}
                answer = await ctx.session.elicit_form("Sure?", schema, related_request_id=ctx.request_id)
                return told("succeeded", {"action": answer.action, "content": answer.content})
            case "crm_slow":
                await self._until_cancelled()
            case "lockkeep_wait":
                self.begun.set()
                held = await to_thread.run_sync(self.decided.wait, args["max_wait_s"], abandon_on_cancel=True)
                return told("succeeded", {"lead": "led_1"}) if held else told("pending_approval", PENDING)
            case name if name in _ANSWERS:
                return _ANSWERS[name](args)
            case _:
                pass
        self.effects.append(args)
        return told("succeeded", {"lead": "led_1", "args": args})

    async def _until_cancelled(self) -> None:
        self.begun.set()
        try:
            await anyio.sleep(30)
        finally:
            self.ended.set()


_ANSWERS: dict[str, Callable[[dict[str, Any]], CallToolResult]] = {
    "crm_stopped": lambda _: told(
        "denied", DENIED, error=True, text="DENIED rule=crm/no-weekend retry=later"
    ),
    "crm_parked": lambda _: told("pending_approval", PENDING),
    "crm_later": lambda _: told(
        "unknown", {"status": "unknown", "call_id": "call_1", "next": "Ask."}, error=True
    ),
    "crm_novel": lambda _: told("quarantined", {"note": 1}),
    "crm_taken": lambda _: told("failed", {"error": {"code": "conflict"}}, error=True),
    "lockkeep_status": lambda args: (
        told("succeeded", {"found": False, "next": "-"})
        if args
        else told("succeeded", {"user": "ana", "calls": []})
    ),
}
