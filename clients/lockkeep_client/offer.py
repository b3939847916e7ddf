"""What the bridge offers while there is no gateway behind it: one tool that says what to run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lockkeep_client.wire import MODERN, OURSELVES, SERVER_INFO, modern_version, record, text_of

STATUS = "lockkeep_status"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26")
OFFERED = frozenset({"server/discover", "initialize", "ping", "tools/list", "tools/call"})


@dataclass(frozen=True)
class Trouble:
    """Why the gateway cannot be used, and what the person should run."""

    code: str
    says: str
    next: str


def unreachable(url: str) -> Trouble:
    """Nothing listens at the address, or it does not answer."""
    says = f"The lockkeep gateway at {url} cannot be reached. Nothing was sent."
    return Trouble("gateway_unreachable", says, "Ask the user to run `lockkeep-client doctor` in a terminal.")


def not_logged_in(url: str) -> Trouble:
    """The gateway wants a token it knows."""
    says = f"The lockkeep gateway at {url} does not accept the token, or there is none. Nothing was sent."
    return Trouble("not_logged_in", says, "Ask the user to run `lockkeep-client token set` in a terminal.")


def answer(frame: Mapping[str, Any], trouble: Trouble) -> dict[str, Any] | None:
    """The bridge's own result for a request, in the request's era; None where it has none to give."""
    params = record(frame.get("params"))
    match frame.get("method"):
        case "server/discover":
            result = {"supportedVersions": [MODERN], "capabilities": {"tools": {"listChanged": False}}}
        case "initialize":
            return _initialize(params, trouble)
        case "ping":
            result = dict[str, Any]()
        case "tools/list":
            result = {"tools": [_TOOL]}
        case "tools/call":
            result = _status(trouble) if params.get("name") == STATUS else _denied(trouble)
        case _:
            return None
    return result | (_MODERN_ONLY if modern_version(frame) is not None else {})


_MODERN_ONLY = {
    "resultType": "complete",
    "ttlMs": 0,
    "cacheScope": "private",
    "_meta": {SERVER_INFO: OURSELVES},
}
_TOOL: Mapping[str, object] = {
    "name": STATUS,
    "description": "Why the lockkeep gateway cannot be used right now, and what the user should run.",
    "inputSchema": {
        "type": "object",
        "properties": {"id": {"type": "string"}},
        "additionalProperties": False,
    },
    "annotations": {"readOnlyHint": True, "openWorldHint": False},
}


def _initialize(params: Mapping[str, Any], trouble: Trouble) -> dict[str, Any]:
    asked = text_of(params.get("protocolVersion"))
    return {
        "protocolVersion": asked if asked in LEGACY else LEGACY[0],
        "capabilities": {"tools": {"listChanged": True}},  # told as soon as the gateway answers
        "serverInfo": OURSELVES,
        "instructions": f"{trouble.says} {trouble.next}",
    }


def _status(trouble: Trouble) -> dict[str, Any]:
    return {
        "content": [{"type": "text", "text": f"{trouble.says} {trouble.next}"}],
        "structuredContent": {"status": trouble.code, "reason": trouble.says, "next": trouble.next},
        "isError": False,
    }


def _denied(trouble: Trouble) -> dict[str, Any]:
    """The model reads a tool result; a protocol error would invite it to try again."""
    code = f"bridge.{trouble.code}"
    text = f"DENIED rule={code} retry=later\n{trouble.says}\nFix: {trouble.next}"
    said = {"status": "denied", "code": code, "rule": code, "retry": "later"}
    return {
        "content": [{"type": "text", "text": text}],
        "structuredContent": said | {"reason": trouble.says, "fix": trouble.next, "call_id": None},
        "isError": True,
    }
