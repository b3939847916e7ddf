"""The hosts that `connect` knows: where their file is, and what our entry in it looks like. Never a token."""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockkeep_client.wire import record

INPUT_ID = "lockkeep-token"
HEADERS_COMMAND = "lockkeep-client token --headers"
_FROM_ENVIRONMENT = "Bearer ${LOCKKEEP_TOKEN}"
_FROM_PROMPT = f"Bearer ${{input:{INPUT_ID}}}"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Whose files these are, and which of our commands a host would find."""

    cwd: Path
    home: Path
    env: Mapping[str, str]
    on_path: bool  # the host can start `lockkeep-client` by its name
    interpreter: str = sys.executable


@dataclass(frozen=True, kw_only=True)
class Host:
    """One row of the table of hosts."""

    name: str
    servers: str  # the key that holds the servers
    inputs: str | None = None  # the key that holds what the host asks the person for


HOSTS: Mapping[str, Host] = {
    "claude-code": Host(name="claude-code", servers="mcpServers"),
    "vscode": Host(name="vscode", servers="servers", inputs="inputs"),
    "json": Host(name="json", servers="mcpServers"),
}
INPUT = {
    "type": "promptString",
    "id": INPUT_ID,
    "description": "Lockkeep token (from `lockkeep token create`)",
    "password": True,
}


def file_of(host: Host, scope: str, place: Place) -> Path | None:
    """The file of this host for the scope; None for a host that has none."""
    match host.name, scope:
        case "claude-code", "project":
            return place.cwd / ".mcp.json"
        case "claude-code", _:
            return Path(place.env.get("CLAUDE_CONFIG_DIR") or place.home) / ".claude.json"
        case "vscode", "project":
            return place.cwd / ".vscode" / "mcp.json"
        case "vscode", _:
            return _vscode_user_folder(place) / "mcp.json"
        case _:
            return None


def server_name(workflow: str | None) -> str:
    """The name our server has in hosts: short, so that a prefixed tool name stays within 64 characters."""
    return "lockkeep" if workflow is None else f"lk_{workflow[:14]}"


def http_entry(host: Host, url: str, scope: str, place: Place) -> dict[str, Any]:
    """The entry for a host that speaks HTTP."""
    entry = {"type": "http", "url": url}
    if host.name == "vscode":
        return entry | {"headers": {"Authorization": _FROM_PROMPT}}
    if host.name == "claude-code" and (place.on_path or scope == "user"):
        own = shlex.join([place.interpreter, "-m", "lockkeep_client", "token", "--headers"])
        return entry | {"headersHelper": HEADERS_COMMAND if place.on_path else own}
    return entry | {"headers": {"Authorization": _FROM_ENVIRONMENT}}


def stdio_entry(host: Host, url: str, place: Place) -> dict[str, Any]:
    """The entry for a host that starts a program: this Python by its full path, since hosts have paths of their own."""
    kind = {"type": "stdio"} if host.name != "json" else {}
    program = {"command": place.interpreter, "args": ["-m", "lockkeep_client", "bridge"]}
    return kind | program | {"env": {"LOCKKEEP_URL": url}}


def is_ours(entry: object) -> bool:
    """True for an entry that `connect` wrote: it names our command, our variable, or our prompt."""
    fields = record(entry)
    helper = fields.get("headersHelper")
    header = record(fields.get("headers")).get("Authorization")
    if isinstance(helper, str) and helper.endswith("token --headers"):
        return "lockkeep-client" in helper or "lockkeep_client" in helper
    return header in (_FROM_ENVIRONMENT, _FROM_PROMPT) or fields.get("args") == [
        "-m",
        "lockkeep_client",
        "bridge",
    ]


def asks_for_token(entry: object) -> bool:
    """True when the entry makes the host ask the person for the token."""
    return f"${{input:{INPUT_ID}}}" in json.dumps(entry)


def _vscode_user_folder(place: Place) -> Path:
    if sys.platform == "win32":
        return Path(place.env.get("APPDATA") or place.home / "AppData" / "Roaming") / "Code" / "User"
    if sys.platform == "darwin":
        return place.home / "Library" / "Application Support" / "Code" / "User"
    return Path(place.env.get("XDG_CONFIG_HOME") or place.home / ".config") / "Code" / "User"
