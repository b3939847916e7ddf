"""A small MCP server that does what its arguments tell it, and remembers everything it was asked."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types as types
from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.subscriptions import ToolsListChanged

INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"do": {"type": "string"}, "text": {"type": "string"}},
}
OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"said": {"type": "string"}, "key": {"type": ["string", "null"]}},
    "required": ["said"],
}
KEYED = {
    "type": "object",
    "properties": {
        **INPUT["properties"],
        "idempotency_key": {"type": "string"},
        "dry_run": {"type": "boolean"},
    },
}
CRASH_TEXT = "canary-crash-text"


def tool(name: str, effect: dict[str, Any] | None, **changes: Any) -> types.Tool:
    meta = {"lockkeep/effect": effect} if effect is not None else None
    parts: dict[str, Any] = {"input_schema": INPUT, "output_schema": OUTPUT, **changes}
    return types.Tool(name=name, description=f"To {name}.", _meta=meta, **parts)


def shelf() -> list[types.Tool]:
    key = {"arg": "idempotency_key", "required": False}
    verify: dict[str, Any] = {"tool": "receipt", "with": {}, "applied": "true", "not_applied": "false"}
    return [
        tool("look", {"class": "read"}),
        tool(
            "add",
            {"class": "write", "errors": "atomic", "idempotency": key, "verify": verify},
            input_schema=KEYED,
        ),
        tool("loose", {"class": "write"}),
        tool("receipt", {"class": "note", "export": False}),
    ]


@dataclass
class Book:
    """The server's memory, and the levers tests pull."""

    tools: list[types.Tool] = field(default_factory=shelf)
    ran: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    lists: int = 0
    entered: anyio.Event = field(default_factory=anyio.Event)
    gate: anyio.Event = field(default_factory=anyio.Event)
    bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)
    listening: anyio.Event = field(default_factory=anyio.Event)
    pages: Callable[[str | None], types.ListToolsResult] | None = None
    schema: dict[str, Any] = field(default_factory=lambda: INPUT)
    instructions: str | None = None  # what it says of itself at sign-on

    async def change(self, tools: list[types.Tool]) -> None:
        self.tools = tools
        await self.bus.publish(ToolsListChanged())

    def server(self) -> Server[Any]:
        listen = ListenHandler(self.bus)

        async def on_listen(ctx: ServerRequestContext[Any], params: Any) -> types.SubscriptionsListenResult:
            self.listening.set()
            return await listen(ctx, params)

        return Server(
            "book",
            version="7",
            instructions=self.instructions,
            on_list_tools=self._list,
            on_call_tool=self._call,
            on_subscriptions_listen=on_listen,
            get_tool_input_schema=lambda name: self.schema,
        )

    async def _list(self, ctx: Any, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        self.lists += 1
        if self.pages is not None:
            return self.pages(params.cursor if params else None)
        return types.ListToolsResult(tools=self.tools)

    async def _call(self, ctx: ServerRequestContext[Any], params: types.CallToolRequestParams) -> Any:
        arguments = dict(params.arguments or {})
        self.ran.append((params.name, arguments))
        if ctx.request is not None:
            self.headers.append(dict(ctx.request.headers))
        do, _, detail = str(arguments.get("do", "echo")).partition(":")
        return await self._deeds[do](ctx, arguments, detail)

    @property
    def _deeds(self) -> dict[str, Callable[[Any, dict[str, Any], str], Awaitable[Any]]]:
        return {
            "echo": self._echo,
            "wait": self._wait,
            "code": self._code,
            "plain": self._plain,
            "crash": self._crash,
            "protocol": self._protocol,
            "ask": self._ask,
            "wrong": self._wrong,
            "text_only": self._text_only,
            "progress": self._progress,
            "malformed": self._malformed,
            "announce": self._announce,
        }

    async def _echo(self, ctx: Any, arguments: dict[str, Any], detail: str) -> types.CallToolResult:
        return said(arguments.get("text", ""), arguments.get("idempotency_key"))

    async def _wait(self, ctx: Any, arguments: dict[str, Any], detail: str) -> types.CallToolResult:
        self.entered.set()
        await self.gate.wait()
        return said(arguments.get("text", ""))

    async def _code(self, ctx: Any, arguments: dict[str, Any], detail: str) -> types.CallToolResult:
        error = {"code": detail, "message": "no", "retry": "no"}
        text = types.TextContent(text=f"ERROR code={detail}")
        return types.CallToolResult(content=[text], structured_content={"error": error}, is_error=True)

    async def _plain(self, ctx: Any, arguments: dict[str, Any], detail: str) -> types.CallToolResult:
        return types.CallToolResult(content=[types.TextContent(text="it went wrong")], is_error=True)

    async def _crash(self, ctx: Any, arguments: dict[str, Any], detail: str) -> types.CallToolResult:
        raise RuntimeError(CRASH_TEXT)

    async def _protocol(self, ctx: Any, arguments: dict[str, Any], detail: str) -> types.CallToolResult:
        raise MCPError(int(detail), CRASH_TEXT, json.loads(arguments.get("text") or "null"))

    async def _ask(self, ctx: Any, arguments: dict[str, Any], detail: str) -> types.InputRequiredResult:
        return types.InputRequiredResult(request_state="state")

    async def _wrong(self, ctx: Any, arguments: dict[str, Any], detail: str) -> types.CallToolResult:
        return types.CallToolResult(content=[], structured_content={"said": 7})

    async def _text_only(self, ctx: Any, arguments: dict[str, Any], detail: str) -> types.CallToolResult:
        return types.CallToolResult(content=[types.TextContent(text="done")])

    async def _progress(self, ctx: Any, arguments: dict[str, Any], detail: str) -> types.CallToolResult:
        await ctx.session.report_progress(1, 2, "half")
        return said("after")

    async def _announce(self, ctx: Any, arguments: dict[str, Any], detail: str) -> types.CallToolResult:
        """Legacy servers push this on the stream of the call."""
        await ctx.session.send_notification(
            types.ToolListChangedNotification(), related_request_id=ctx.request_id
        )
        return said("announced")

    async def _malformed(self, ctx: Any, arguments: dict[str, Any], detail: str) -> types.CallToolResult:
        return types.CallToolResult(content=[], structured_content={"said": "x"}, result_type="sealed")


def said(text: str, key: str | None = None) -> types.CallToolResult:
    return types.CallToolResult(content=[], structured_content={"said": text, "key": key})
