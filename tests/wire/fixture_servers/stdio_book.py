"""A command of today: the SDK's server on stdio. It writes its secret to stderr."""

import os
import sys
from typing import Any

import anyio
import mcp_types as types
from mcp.server import Server
from mcp.server.stdio import stdio_server


async def on_list(ctx: Any, params: Any) -> types.ListToolsResult:
    read = {"lockkeep/effect": {"class": "read"}}
    return types.ListToolsResult(tools=[types.Tool(name="look", input_schema={"type": "object"}, _meta=read)])


async def on_call(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    seen = {"environ": sorted(os.environ), "secret": os.environ.get("BOOK_TOKEN")}
    return types.CallToolResult(content=[], structured_content=seen)


async def main() -> None:
    print(f"started with {os.environ.get('BOOK_TOKEN')}", file=sys.stderr, flush=True)
    server = Server("book", version="7", on_list_tools=on_list, on_call_tool=on_call)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


anyio.run(main)
