"""What a server lists, page by page, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lockkeep.errors import LockkeepError
from lockkeep.model import Json

if TYPE_CHECKING:  # who only reads a lock does not wait for the SDK
    import mcp_types as types
    from mcp import Client

MAX_PAGES = 100
EFFECT = "lockkeep/effect"


class ListingRefused(LockkeepError):
    """The server's list of tools cannot be used. Its maker has to mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One tool as the server describes it now."""

    name: str
    title: str | None = None
    description: str = ""
    input: Mapping[str, Json]
    output: Mapping[str, Json] | None = None
    annotations: Mapping[str, Json]
    effect: Json = None  # the server's own proposal of a manifest entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Everything one server lists, sorted by name, and who it says it is."""

    server: str
    version: str
    protocol: str
    tools: tuple[Listed, ...]


async def pull(client: Client) -> Listing:
    """The whole listing, or ListingRefused: pages never cycle, names never repeat."""
    found: dict[str, Listed] = {}
    seen: set[str] = set()
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            if tool.name in found:
                raise ListingRefused(f"two tools are called {tool.name!r}")
            found[tool.name] = _listed(tool)
        cursor = page.next_cursor
        if cursor is None:
            return _listing(client, found)
        if cursor in seen:
            raise ListingRefused("its pages run in a circle")
        seen.add(cursor)
    raise ListingRefused(f"more than {MAX_PAGES} pages")


def _listing(client: Client, found: Mapping[str, Listed]) -> Listing:
    info = client.server_info
    return Listing(
        server=info.name if info else "",
        version=info.version if info else "",
        protocol=client.protocol_version,
        tools=tuple(found[name] for name in sorted(found)),
    )


def _listed(tool: types.Tool) -> Listed:
    hints = (
        tool.annotations.model_dump(by_alias=True, mode="json", exclude_none=True) if tool.annotations else {}
    )
    return Listed(
        name=tool.name,
        title=tool.title,
        description=tool.description or "",
        input=tool.input_schema,
        output=tool.output_schema,
        annotations=hints,
        effect=(tool.meta or {}).get(EFFECT),
    )
