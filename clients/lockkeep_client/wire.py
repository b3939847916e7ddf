"""Modern MCP (2026-07-28) as bytes: what a request's headers and `_meta` must hold."""

import base64
import re
from collections.abc import Mapping
from typing import Any, cast

VERSION = "0.1.0"
MODERN = "2026-07-28"
PROTOCOL_VERSION = "io.modelcontextprotocol/protocolVersion"
CLIENT_INFO = "io.modelcontextprotocol/clientInfo"
CLIENT_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
SERVER_INFO = "io.modelcontextprotocol/serverInfo"
OURSELVES = {"name": "lockkeep-client", "version": VERSION}
ENVELOPE: Mapping[str, object] = {PROTOCOL_VERSION: MODERN, CLIENT_INFO: OURSELVES, CLIENT_CAPABILITIES: {}}

MAX_FRAME = 4 * 1024 * 1024  # the gateway answers 413 above this
# Codes of a request that was turned away before a handler ran.
NOT_UNDERSTOOD = frozenset({-32700, -32600, -32601, -32602, -32020, -32021, -32022})
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_PLAIN = re.compile(r"[\x20-\x7e]*")
_ENCODED = re.compile(r"=\?base64\?.*\?=")


def record(value: object) -> dict[str, Any]:
    """The JSON object, or an empty one where something else stands."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def items_of(value: object) -> list[object]:
    """The JSON array, or an empty one where something else stands."""
    return cast("list[object]", value) if isinstance(value, list) else []


def text_of(value: object) -> str:
    """The JSON string, or an empty one where something else stands."""
    return value if isinstance(value, str) else ""


def modern_version(frame: Mapping[str, Any]) -> str | None:
    """The revision a modern frame names in its `_meta`; None for a legacy one."""
    version = record(record(frame.get("params")).get("_meta")).get(PROTOCOL_VERSION)
    return version if isinstance(version, str) else None


def modern_headers(frame: Mapping[str, Any], version: str) -> dict[str, str]:
    """The headers that must repeat what the frame says, for routing."""
    method = text_of(frame.get("method"))
    headers = {"mcp-protocol-version": header_value(version), "mcp-method": header_value(method)}
    name = record(frame.get("params")).get(_NAMED_BY.get(method, ""))
    if isinstance(name, str):
        headers["mcp-name"] = header_value(name)
    return headers


def header_value(text: str) -> str:
    """The text, wrapped in `=?base64?…?=` where HTTP would not carry it as it is."""
    if _PLAIN.fullmatch(text) and text == text.strip() and not _ENCODED.fullmatch(text):
        return text
    return f"=?base64?{base64.b64encode(text.encode('utf-8', 'surrogatepass')).decode('ascii')}?="
