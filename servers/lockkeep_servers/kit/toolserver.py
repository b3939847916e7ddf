"""Checked arguments in, results or the closed set of errors out; no exception ever leaves."""

import json
import logging
import secrets
import time
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, get_type_hints

import mcp_types as types
from mcp.server import Server
from mcp.server.context import ServerRequestContext

from lockkeep_servers.kit.arguments import Arguments, digest, parse
from lockkeep_servers.kit.errors import Invalid, NotApplied, ToolError, Unavailable, UnknownOutcome
from lockkeep_servers.kit.manifest import EFFECT, Entry
from lockkeep_servers.kit.results import Result
from lockkeep_servers.kit.schema import input_schema, output_schema

logger = logging.getLogger(__name__)
VERSION = version("lockkeep")
LARGEST_ANSWER = 400_000  # bytes of structured content; a page of capped records stays far below
Run = Callable[[Any], Awaitable[Result]]


@dataclass(frozen=True)
class Tool:
    """One tool: a bound method whose annotations and docstring are its schemas and description."""

    name: str
    description: str
    arguments: type[Arguments]
    result: type[Result]
    run: Run

    @classmethod
    def of(cls, run: Run) -> "Tool":
        hints = get_type_hints(run)
        result = hints.pop("return")
        (arguments,) = hints.values()
        return cls(run.__name__, (run.__doc__ or "").strip(), arguments, result, run)

    def listed(self, entry: Entry) -> types.Tool:
        return types.Tool(
            name=self.name,
            description=self.description,
            input_schema=input_schema(self.arguments),
            output_schema=output_schema(self.result),
            annotations=entry.annotations,
            _meta={EFFECT: dict(entry.effect)},
        )


class Toolserver:
    """The handlers of one server."""

    def __init__(self, name: str, tools: Sequence[Tool], manifest: Mapping[str, Entry]) -> None:
        self.name = name
        self._tools = {tool.name: tool for tool in tools}
        self._manifest = manifest
        listed = [tool.listed(manifest[tool.name]) for tool in sorted(tools, key=lambda tool: tool.name)]
        self._listing = types.ListToolsResult(tools=listed)
        self._schemas = {tool.name: tool.input_schema for tool in listed}

    async def list(
        self, _ctx: ServerRequestContext[Any], _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return self._listing

    async def call(
        self, _ctx: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        """Answer; whatever goes wrong comes back as one of the closed set of errors."""
        tool = self._tools.get(params.name)
        if tool is None:
            return refusal(Invalid({"name": "is not a tool of this server"}))
        began, asked, code = time.monotonic(), "-", "ok"
        try:
            arguments = parse(tool.arguments, params.arguments)
            asked = digest(arguments)[:12]
            answer = success(await tool.run(arguments))
        except ToolError as error:
            code, answer = error.code, refusal(error)
        except Exception as error:
            # The one broad except: texts of exceptions quote payloads, so only type and frames are logged.
            code, answer = "crashed", refusal(self._crash(tool.name, error))
        took = round((time.monotonic() - began) * 1000)
        logger.info("tool=%s.%s digest=%s code=%s ms=%d", self.name, tool.name, asked, code, took)
        return answer

    def schema(self, tool: str) -> Mapping[str, Any] | None:
        return self._schemas.get(tool)

    def _crash(self, tool: str, error: Exception) -> ToolError:
        incident = secrets.token_hex(4)
        rolled_back = isinstance(error, NotApplied)
        error = error.__cause__ if isinstance(error.__cause__, Exception) and rolled_back else error
        frames = " < ".join(
            f"{f.name}:{f.lineno}" for f in reversed(traceback.extract_tb(error.__traceback__))
        )
        logger.error(
            "incident=%s tool=%s.%s type=%s at=%s", incident, self.name, tool, type(error).__name__, frames
        )
        if self._manifest[tool].writes and not rolled_back:
            return UnknownOutcome(incident=incident)
        return Unavailable("The server could not answer.", incident=incident)


def success(result: Result) -> types.CallToolResult:
    """Both halves say everything: some hosts show a model only one of them."""
    content = result.model_dump(mode="json", by_alias=True)
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    if len(text) > LARGEST_ANSWER:
        raise Unavailable("The answer is too large. Ask for fewer records.")
    return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=content)


def refusal(error: ToolError) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(text=error.as_text())],
        structured_content={"error": error.as_dict()},
        is_error=True,
    )


Session = Callable[[], AbstractAsyncContextManager[None]]


def build_server(
    name: str, *, runs: Sequence[Run], manifest: Mapping[str, Entry], session: Session, instructions: str
) -> Server[None]:
    """Return the MCP server of these methods, each of which takes one model of arguments."""
    return serve(name, [Tool.of(run) for run in runs], manifest, session, instructions)


def serve(
    name: str, tools: Sequence[Tool], manifest: Mapping[str, Entry], session: Session, instructions: str
) -> Server[None]:
    """Return the MCP server; the adapter is open while a connection, or the HTTP process, lives."""
    toolserver = Toolserver(name, tools, manifest)

    @asynccontextmanager
    async def lifespan(_: Server[None]) -> AsyncGenerator[None]:
        async with session():
            yield

    return Server(
        f"lockkeep-{name}",
        version=VERSION,
        instructions=instructions,
        lifespan=lifespan,
        on_list_tools=toolserver.list,
        on_call_tool=toolserver.call,
        get_tool_input_schema=toolserver.schema,
    )
