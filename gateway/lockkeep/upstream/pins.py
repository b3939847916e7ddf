"""A pin is the hash over what a tool says, takes and does. Key order never changes it; any value does."""

import hashlib
from collections.abc import Iterable, Mapping

import rfc8785

from lockkeep.model import Json, Tool
from lockkeep.upstream.listing import Listed, Listing


def digest(value: Json) -> str:
    """SHA-256 over the canonical form; ValueError if the value has none (a whole number past 2^53, half a surrogate pair)."""
    try:
        return hashlib.sha256(rfc8785.dumps(value)).hexdigest()
    except (ValueError, RecursionError) as error:
        raise ValueError(type(error).__name__) from None


def said(tool: Listed) -> str:
    """The hash over everything the server itself says about the tool."""
    return digest(
        {
            "name": tool.name,
            "title": tool.title,
            "description": tool.description,
            "input": tool.input,
            "output": tool.output,
            "annotations": tool.annotations,
            "effect": tool.effect,
        }
    )


def pin(said_now: str, effect: Mapping[str, Json]) -> str:
    """The hash over what the server says and over the manifest entry that was accepted for it."""
    return digest({"said": said_now, "manifest": effect})


def said_by(listing: Listing) -> Mapping[str, str]:
    """Per server tool name what it says now; a tool without a canonical form is missing, so it stays closed."""
    digests: dict[str, str] = {}
    for tool in listing.tools:
        try:
            digests[tool.name] = said(tool)
        except ValueError:
            continue
    return digests


def live_pins(listing: Listing, tools: Iterable[Tool]) -> Mapping[str, str]:
    """Per server tool name the pin it has now, under the manifest accepted for it."""
    digests = said_by(listing)
    return {t.server_name: pin(digests[t.server_name], t.effect) for t in tools if t.server_name in digests}
