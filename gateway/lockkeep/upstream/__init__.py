"""The MCP client side: connections that heal, the catalog as accepted, and the one way to send a call."""

from lockkeep.upstream.catalog import Proposal, bad_names, propose
from lockkeep.upstream.connection import ConnectionStatus
from lockkeep.upstream.exported import exported_schema, hidden_arguments
from lockkeep.upstream.listing import Listed, Listing, ListingRefused
from lockkeep.upstream.lock import Accepted, BadCatalog, Change, Lock, accept, diff, read_lock, write_lock
from lockkeep.upstream.pins import live_pins
from lockkeep.upstream.send import Progress, ReadFailed, Upstream
from lockkeep.upstream.supervisor import Supervisor
from lockkeep.upstream.watching import Pace

__all__ = [
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
    "bad_names",
    "diff",
    "exported_schema",
    "hidden_arguments",
    "live_pins",
    "propose",
    "read_lock",
    "write_lock",
]
