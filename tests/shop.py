"""A small tool server for tests: it keeps what it did, forgets nothing, and can be told to hang, fail or lie."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp.server import Server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool

TEXT = {"type": "string", "maxLength": 2000}
RECEIPT = {
    "type": "object",
    "properties": {"applied": {"type": "boolean"}, "id": TEXT},
    "required": ["applied", "id"],
}
VERIFY = {
    "tool": "get_receipt",
    "with": {"idempotency_key": "=args.idempotency_key", "fence": True},
    "applied": "result.state == 'committed'",
    "not_applied": "result.state == 'cancelled'",
}
KEY = {"idempotency": {"arg": "idempotency_key", "required": False}, "hidden": ["idempotency_key"]}


def _schema(required: list[str], **properties: object) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _tool(name: str, effect: Mapping[str, Any], schema: dict[str, Any], output: dict[str, Any]) -> Tool:
    return Tool(
        name=name,
        description=f"{name} of the shop",
        input_schema=schema,
        output_schema=output,
        _meta={"lockkeep/effect": dict(effect)},
    )


THING = {
    "type": "object",
    "properties": {
        "id": TEXT,
        "value_minor": {"type": "integer"},
        "currency": TEXT,
        "owner": TEXT,
        "frozen": {"type": "boolean"},
    },
    "required": ["id"],
}
WRITE = {"class": "write", "subject": "args.id", "errors": "atomic", "verify": VERIFY, "undo": "none", **KEY}
TOOLS = [
    _tool("read", {"class": "read"}, _schema(["id"], id=TEXT), THING),
    _tool("write", WRITE, _schema(["id", "text"], id=TEXT, text=TEXT, idempotency_key=TEXT), RECEIPT),
    _tool(
        "pay",
        {**WRITE, "class": "money", "amount": {"minor": "args.amount_minor", "currency": "args.currency"}},
        _schema(
            ["id", "amount_minor", "currency"],
            id=TEXT,
            amount_minor={"type": "integer"},
            currency=TEXT,
            idempotency_key=TEXT,
        ),
        RECEIPT,
    ),
    _tool(
        "blunt", {"class": "write", "undo": "none"}, _schema(["id"], id=TEXT), RECEIPT
    ),  # no receipt, no key
    _tool(
        "get_receipt",
        {"class": "read", "export": False},
        _schema(["idempotency_key"], idempotency_key=TEXT, fence={"type": "boolean"}),
        {
            "type": "object",
            "properties": {"state": TEXT, "receipt": {"type": ["object", "null"]}},
            "required": ["state"],
        },
    ),
]
Behave = Callable[[str, Mapping[str, Any]], Awaitable[CallToolResult | None]]


@dataclass
class Shop:
    """What happened at the server. `behave` may answer, hang or raise before the effect; `after` does so after it."""

    things: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    effects: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    reads: list[str] = field(default_factory=list[str])
    receipts: dict[str, str] = field(default_factory=dict[str, str])
    tools: list[Tool] = field(default_factory=lambda: list(TOOLS))
    instructions: str | None = None  # what it says of itself at sign-on
    behave: Behave | None = None
    after: Behave | None = None
    arrived: anyio.Event = field(default_factory=anyio.Event)

    def build(self, _: Mapping[str, str]) -> Server[Any]:
        async def list_tools(_ctx: Any, _params: Any) -> ListToolsResult:
            return ListToolsResult(tools=self.tools)

        async def call_tool(_ctx: Any, params: CallToolRequestParams) -> CallToolResult:
            return await self.call(params.name, params.arguments or {})

        schemas = {tool.name: tool.input_schema for tool in self.tools}
        return Server(
            "shop",
            version="1",
            instructions=self.instructions,
            on_list_tools=list_tools,
            on_call_tool=call_tool,
            get_tool_input_schema=schemas.get,
        )

    async def call(self, name: str, arguments: Mapping[str, Any]) -> CallToolResult:
        if name == "get_receipt":
            return self.receipt(str(arguments["idempotency_key"]), fence=bool(arguments.get("fence")))
        self.arrived.set()
        if self.behave and (said := await self.behave(name, arguments)) is not None:
            return said
        if name == "read":
            self.reads.append(str(arguments["id"]))
            return ok(self.things.get(str(arguments["id"]), {"id": arguments["id"]}))
        key = str(arguments.get("idempotency_key", f"free-{len(self.effects)}"))
        if self.receipts.get(key) == "cancelled":
            return error("cancelled")
        if key not in self.receipts:
            self.effects.append((name, {k: v for k, v in arguments.items() if k != "idempotency_key"}))
            self.receipts[key] = "committed"
        if self.after and (said := await self.after(name, arguments)) is not None:
            return said
        return ok({"applied": True, "id": arguments["id"]})

    def receipt(self, key: str, *, fence: bool) -> CallToolResult:
        if fence and key not in self.receipts:
            self.receipts[key] = "cancelled"
        state = self.receipts.get(key, "absent")
        return ok(
            {
                "state": state,
                "receipt": {"applied": True, "id": "from-receipt"} if state == "committed" else None,
            }
        )


def ok(content: Mapping[str, Any]) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=str(dict(content)))], structured_content=dict(content))


def error(code: str) -> CallToolResult:
    said = {"error": {"code": code, "message": code, "retry": "no"}}
    return CallToolResult(
        content=[TextContent(text=f"ERROR code={code} retry=no")], structured_content=said, is_error=True
    )
