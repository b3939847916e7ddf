"""stdio, with `server/discover` answered before the SDK sees it.

The SDK locks a stdio process to the era of its first request, and hosts that probe with `server/discover`
may go on with `initialize`. So the first request that is not a probe decides.
"""

from typing import Any, cast

import anyio
from mcp.server import Server
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_PARAMS,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
    UNSUPPORTED_PROTOCOL_VERSION,
    DiscoverResult,
    ErrorData,
    JSONRPCError,
    JSONRPCRequest,
    JSONRPCResponse,
    UnsupportedProtocolVersionErrorData,
)
from mcp_types.version import LATEST_MODERN_VERSION, MODERN_PROTOCOL_VERSIONS


async def serve_stdio(
    server: Server[None],
    stdin: anyio.AsyncFile[str] | None = None,
    stdout: anyio.AsyncFile[str] | None = None,
) -> None:
    """Serve one host until it closes its end; without files, over the process's stdin and stdout."""
    async with stdio_server(stdin, stdout) as (read, write):
        relayed, replay = anyio.create_memory_object_stream[SessionMessage | Exception]()
        answers = write.clone()

        async def relay() -> None:
            async with read, relayed, answers:
                async for item in read:
                    probe = _probe(item)
                    if probe is None:
                        await relayed.send(item)
                    else:
                        await answers.send(SessionMessage(discovered(server, probe)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(relay)
            await server.run(replay, write, server.create_initialization_options())


def _probe(item: SessionMessage | Exception) -> JSONRPCRequest | None:
    if not isinstance(item, SessionMessage) or not isinstance(item.message, JSONRPCRequest):
        return None
    return item.message if item.message.method == "server/discover" else None


def discovered(server: Server[None], request: JSONRPCRequest) -> JSONRPCResponse | JSONRPCError:
    """Return what the SDK would answer, without an era being decided."""
    meta = cast(dict[str, Any], (request.params or {}).get("_meta") or {})
    asked = meta.get(PROTOCOL_VERSION_META_KEY)
    if not isinstance(asked, str):
        fault = ErrorData(code=INVALID_PARAMS, message="The protocol version is missing from _meta.")
        return JSONRPCError(jsonrpc="2.0", id=request.id, error=fault)
    if asked not in MODERN_PROTOCOL_VERSIONS:
        data = UnsupportedProtocolVersionErrorData(supported=list(MODERN_PROTOCOL_VERSIONS), requested=asked)
        fault = ErrorData(
            code=UNSUPPORTED_PROTOCOL_VERSION,
            message="Unsupported protocol version",
            data=data.model_dump(mode="json"),
        )
        return JSONRPCError(jsonrpc="2.0", id=request.id, error=fault)
    found = DiscoverResult(
        supported_versions=list(MODERN_PROTOCOL_VERSIONS),
        capabilities=server.get_capabilities(protocol_version=LATEST_MODERN_VERSION),
        instructions=server.instructions,
        ttl_ms=0,
        cache_scope="public",
        _meta={SERVER_INFO_META_KEY: server.server_info_stamp},
    )
    result = found.model_dump(by_alias=True, mode="json", exclude_none=True)
    return JSONRPCResponse(jsonrpc="2.0", id=request.id, result=result)
