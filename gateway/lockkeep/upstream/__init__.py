"""The MCP client side: connections that heal, the catalog as accepted, and the one way to send a call.

A name is imported when it is first asked for: the command line reads locks, and the MCP SDK takes a second to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lockkeep.upstream.catalog import NO_MANIFEST, Proposal, aliases, bad_names, propose
    from lockkeep.upstream.connection import ConnectionStatus
    from lockkeep.upstream.exported import exported_schema, hidden_arguments
    from lockkeep.upstream.listing import Listed, Listing, ListingRefused
    from lockkeep.upstream.lock import Accepted, BadCatalog, Change, Lock, accept, diff, read_lock, write_lock
    from lockkeep.upstream.pins import live_pins
    from lockkeep.upstream.send import Progress, ReadFailed, Upstream
    from lockkeep.upstream.supervisor import Supervisor
    from lockkeep.upstream.watching import Pace

__all__ = [
    "NO_MANIFEST",
    "Accepted",
    "BadCatalog",
    "Change",
    "ConnectionStatus",
    "Listed",
    "Listing",
    "ListingRefused",
    "Lock",
    "Pace",
    "Progress",
    "Proposal",
    "ReadFailed",
    "Supervisor",
    "Upstream",
    "accept",
    "aliases",
    "bad_names",
    "diff",
    "exported_schema",
    "hidden_arguments",
    "live_pins",
    "propose",
    "read_lock",
    "write_lock",
]
_HOMES = {
    "NO_MANIFEST": "catalog",
    "Proposal": "catalog",
    "aliases": "catalog",
    "bad_names": "catalog",
    "propose": "catalog",
    "ConnectionStatus": "connection",
    "exported_schema": "exported",
    "hidden_arguments": "exported",
    "Listed": "listing",
    "Listing": "listing",
    "ListingRefused": "listing",
    "Accepted": "lock",
    "BadCatalog": "lock",
    "Change": "lock",
    "Lock": "lock",
    "accept": "lock",
    "diff": "lock",
    "read_lock": "lock",
    "write_lock": "lock",
    "live_pins": "pins",
    "Progress": "send",
    "ReadFailed": "send",
    "Upstream": "send",
    "Supervisor": "supervisor",
    "Pace": "watching",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
