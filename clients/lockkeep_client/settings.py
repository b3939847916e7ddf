"""Where the gateway is, and where this user's files are. Everything comes from the environment that is passed in."""

import ipaddress
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, urlsplit, urlunsplit

from lockkeep_client.errors import BadRequest

DEFAULT_URL = "http://127.0.0.1:8700"
_WORKFLOW = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_MCP_PATH = re.compile(r"/mcp(/[^/]+)?$")


def endpoint(url: str, workflow: str | None = None) -> str:
    """The address of the gateway's MCP endpoint, or of one workflow's, whether or not `url` already names it."""
    parts = _parts(url)
    path = parts.path.rstrip("/")
    if workflow is not None:
        if not _WORKFLOW.fullmatch(workflow):
            raise BadRequest(f"{workflow!r} is no workflow's name. Names look like lead_routing.")
        path = f"{_MCP_PATH.sub('', path)}/mcp/{workflow}"
    elif not _MCP_PATH.search(path):
        path = f"{path}/mcp"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def keeps_tokens_private(url: str) -> bool:
    """True when nobody on the way can read a token: the address is https, or this machine."""
    return urlsplit(url).scheme == "https" or is_loopback(url)


def is_loopback(url: str) -> bool:
    """True when the address names this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def gateway_url(env: Mapping[str, str]) -> str:
    """The address the user set, or the one `lockkeep serve` listens on by default."""
    return env.get("LOCKKEEP_URL") or DEFAULT_URL


def user_folder(env: Mapping[str, str], home: Path) -> Path:
    """The folder that holds this user's token, the bridge's log, and the locks."""
    if sys.platform == "win32":
        return Path(env.get("APPDATA") or home / "AppData" / "Roaming") / "lockkeep"
    return Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "lockkeep"


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known, parts = False, urlsplit("")
    if not known:
        raise BadRequest(
            "The gateway's address must look like http://127.0.0.1:8700. Correct LOCKKEEP_URL or --url."
        )
    if "@" in parts.netloc:
        raise BadRequest(
            "The gateway's address holds a name or password. Remove it; the token is kept apart."
        )
    return parts
