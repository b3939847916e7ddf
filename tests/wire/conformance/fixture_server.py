"""The MCP server the conformance suite expects to find, low-level and without any policy of its own."""

import asyncio
import base64
import struct
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import mcp_types as types
from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.subscriptions import ToolsListChanged

Context = ServerRequestContext[Any]
Answer = types.CallToolResult | types.InputRequiredResult
MISSING_CAPABILITY = -32021
STEP = 0.05  # seconds between two signs of progress, as the suite asks


def text(said: str, *, error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=said)], is_error=error)


def png() -> str:
    """One red pixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + parts).decode()


def wav() -> str:
    """One sample of silence."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", 2) + b"\x80\x80"
    return base64.b64encode(struct.pack("<4sI", b"RIFF", len(body)) + body).decode()


def resource(uri: str, kind: str, said: str) -> types.EmbeddedResource:
    return types.EmbeddedResource(resource=types.TextResourceContents(uri=uri, mime_type=kind, text=said))


def image() -> types.ImageContent:
    return types.ImageContent(data=png(), mime_type="image/png")


class Fixture:
    """One method per tool; the tool is called what the method is called, with `test_` before it.

    The suite has more tools that ask the caller's model or person back. Three stand for them: the gateway forwards
    none, and the day it does, these turn their entries in expected.yml stale.
    """

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self.changes = 0
        self.tools: dict[str, Callable[[Context], Awaitable[Answer]]] = {
            f"test_{each.__name__}": each
            for each in (
                self.simple_text, self.image_content, self.audio_content, self.embedded_resource,
                self.multiple_content_types, self.error_handling, self.tool_with_progress, self.logging_tool,
                self.missing_capability, self.streaming_elicitation, self.trigger_tool_change,
                self.input_required_result_elicitation, self.input_required_result_sampling,
                self.input_required_result_list_roots,
            )
        }  # fmt: skip

    def server(self) -> Server[Any]:
        return Server(
            "conformance-fixture",
            version="1",
            on_list_tools=self._list,
            on_call_tool=self._call,
            on_subscriptions_listen=ListenHandler(self.bus),
            get_tool_input_schema=lambda _: NO_ARGUMENTS,
        )

    async def _list(self, _: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        found = [listed(name, each.__doc__, NO_ARGUMENTS) for name, each in self.tools.items()]
        found.append(listed(FULL_SCHEMA_TOOL, "Takes an address.", FULL_SCHEMA))
        if self.changes:
            found.append(listed(f"test_extra_{self.changes}", "Nobody accepted this one.", NO_ARGUMENTS))
        return types.ListToolsResult(tools=found)

    async def _call(self, context: Context, params: types.CallToolRequestParams) -> Answer:
        if (tool := self.tools.get(params.name)) is None:
            raise MCPError(-32602, f"Unknown tool: {params.name}")
        return await tool(context)

    async def simple_text(self, _: Context) -> Answer:
        """Says one sentence."""
        return text("This is a simple text response for testing.")

    async def image_content(self, _: Context) -> Answer:
        """Shows one pixel."""
        return types.CallToolResult(content=[image()])

    async def audio_content(self, _: Context) -> Answer:
        """Plays silence."""
        return types.CallToolResult(content=[types.AudioContent(data=wav(), mime_type="audio/wav")])

    async def embedded_resource(self, _: Context) -> Answer:
        """Hands out a text."""
        found = resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")
        return types.CallToolResult(content=[found])

    async def multiple_content_types(self, _: Context) -> Answer:
        """Hands out a sentence, a pixel and a record together."""
        record = resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
        first = types.TextContent(text="Multiple content types test:")
        return types.CallToolResult(content=[first, image(), record])

    async def error_handling(self, _: Context) -> Answer:
        """Always fails."""
        return text("This tool intentionally returns an error for testing", error=True)

    async def tool_with_progress(self, context: Context) -> Answer:
        """Tells three times how far it is."""
        for done in (0, 50, 100):
            await context.session.report_progress(done, 100)
            await asyncio.sleep(STEP)
        return text("Progress was told.")

    async def logging_tool(self, _: Context) -> Answer:
        """Works without a word in the log, for nobody asked for one."""
        return text("Nothing was logged.")

    async def missing_capability(self, _: Context) -> Answer:
        """Wants to sample a model, and refuses callers without one."""
        wanted: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_CAPABILITY, "Sampling is needed", wanted)

    async def streaming_elicitation(self, _: Context) -> Answer:
        """Asks the caller's person something."""
        return asking("user_name", PERSON)

    async def input_required_result_elicitation(self, _: Context) -> Answer:
        """Asks the caller's person for a name."""
        return asking("user_name", PERSON)

    async def input_required_result_sampling(self, _: Context) -> Answer:
        """Asks the caller's model for a capital."""
        return asking("capital", MODEL)

    async def input_required_result_list_roots(self, _: Context) -> Answer:
        """Asks the caller for its folders."""
        return asking("roots", types.ListRootsRequest())

    async def trigger_tool_change(self, _: Context) -> Answer:
        """Changes the list of tools, and tells listeners."""
        self.changes += 1
        await self.bus.publish(ToolsListChanged())
        return text("Told.")


PERSON = types.ElicitRequest(
    params=types.ElicitRequestFormParams(
        message="What is your name?",
        requested_schema={"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    )
)
MODEL = types.CreateMessageRequest(
    params=types.CreateMessageRequestParams(
        messages=[
            types.SamplingMessage(role="user", content=types.TextContent(text="The capital of France?"))
        ],
        max_tokens=100,
    )
)


def asking(name: str, question: types.InputRequest) -> types.InputRequiredResult:
    return types.InputRequiredResult(input_requests={name: question})


def listed(name: str, description: str | None, schema: dict[str, Any]) -> types.Tool:
    return types.Tool(name=name, description=description, input_schema=schema)


NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}
FULL_SCHEMA_TOOL = "json_schema_2020_12_tool"
FULL_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
