"""A tool server that does nothing but answer: what a direct call costs."""

import sys
from typing import Any

import uvicorn
from mcp.server import Server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}
OUTPUT: dict[str, Any] = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
TOOLS = [
    Tool(name="read", description="Says it again", input_schema=SCHEMA, output_schema=OUTPUT, _meta={"lockkeep/effect": {"class": "read"}}),
    Tool(
        name="write", description="Keeps it", input_schema=SCHEMA, output_schema=OUTPUT,
        _meta={"lockkeep/effect": {"class": "write", "undo": "none"}},
    ),
]  # fmt: skip


async def list_tools(_ctx: Any, _params: Any) -> ListToolsResult:
    return ListToolsResult(tools=TOOLS)


async def call_tool(_ctx: Any, params: CallToolRequestParams) -> CallToolResult:
    said = dict(params.arguments or {})
    return CallToolResult(content=[TextContent(text=str(said["text"]))], structured_content=said)


if __name__ == "__main__":
    server = Server(
        "echo",
        version="1",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=lambda _: SCHEMA,
    )
    uvicorn.run(
        server.streamable_http_app(stateless_http=True),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="error",
    )
