"""A server as third parties write them: things with two fields, no receipts, no versions, no keys, no rehearsal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types
from mcp.server import Server

TEXT = {"type": "string"}
THING = {"type": "object", "properties": {"id": TEXT, "text": TEXT, "place": TEXT}, "required": ["id"]}
PUT: dict[str, Any] = {
    "class": "write",
    "subject": "args.id",
    "errors": "atomic",
    "before": {"tool": "look", "with": {"id": "=args.id"}, "keep": ["text", "place"]},
    "undo": {
        "restores": "exact",
        "window": "1d",
        "cases": [
            {"tool": "put", "with": {"id": "=args.id", "text": "=before.text", "place": "=before.place"}}
        ],
    },
}


def tool(name: str, effect: Mapping[str, Any], schema: Mapping[str, Any]) -> types.Tool:
    return types.Tool(
        name=name,
        description=f"To {name}.",
        input_schema=dict(schema),
        _meta={"lockkeep/effect": dict(effect)},
    )


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"id": TEXT, **properties}, "required": ["id"]}


def tools(effect: Mapping[str, Any] = PUT, **properties: Any) -> list[types.Tool]:
    """`put` with this manifest, and with these properties beside its own."""
    return [
        tool("look", {"class": "read"}, schema()),
        tool("put", effect, schema(**{"text": TEXT, "place": TEXT, **properties})),
    ]


def refusal(code: str) -> types.CallToolResult:
    said = {"error": {"code": code, "message": "Not now."}} if code else None
    return types.CallToolResult(
        content=[types.TextContent(text="Not now.")], structured_content=said, is_error=True
    )


def first() -> dict[str, dict[str, Any]]:
    return {"a": {"text": "old", "place": "left"}, "b": {"text": "old", "place": "right"}}


@dataclass
class Shelf:
    """What stands there, and the levers tests pull."""

    tools: list[types.Tool] = field(default_factory=tools)
    things: dict[str, dict[str, Any]] = field(default_factory=first)
    says: Any = None  # what `put` answers beside that it is done
    blind: bool = False  # `look` fails
    blind_looks: range = range(0)  # of all looks, these fail, too
    deaf: bool = False  # `put` answers, and changes nothing
    refuses: dict[str, str] = field(default_factory=dict[str, str])  # thing -> the code; empty: it says none
    asked: list[str] = field(default_factory=list[str])

    def build(self, _: Mapping[str, str]) -> Server[Any]:
        async def list_tools(_ctx: Any, _params: Any) -> types.ListToolsResult:
            return types.ListToolsResult(tools=self.tools)

        async def call_tool(_ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
            return self._call(params.name, params.arguments or {})

        return Server("shelf", version="1", on_list_tools=list_tools, on_call_tool=call_tool)

    def _looked(self) -> int:
        return self.asked.count("look")

    def _call(self, name: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        self.asked.append(name)
        id = str(arguments["id"])
        if name == "look" and (self.blind or self._looked() in self.blind_looks or id not in self.things):
            return types.CallToolResult(content=[types.TextContent(text="no such thing")], is_error=True)
        if name == "put" and id in self.refuses:
            return refusal(self.refuses[id])
        if name == "put" and not self.deaf:
            self.things[id] = {**self.things.get(id, {}), **{k: v for k, v in arguments.items() if k != "id"}}
        content: Any = {"id": id, **self.things.get(id, {})} if name == "look" else {"done": True}
        if name == "put" and self.says is not None:
            content = {**content, **self.says}
        return types.CallToolResult(content=[types.TextContent(text="done")], structured_content=content)
