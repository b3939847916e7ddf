"""What runs beside an open client: listening for list changes, listing anew, probing when idle."""

from dataclasses import dataclass
from typing import Protocol

import anyio
from mcp import Client
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, HEADER_MISMATCH, INTERNAL_ERROR, INVALID_REQUEST, REQUEST_TIMEOUT
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from lockkeep.upstream.listing import Listing, ListingRefused, pull

_LOST = frozenset({"Session not found", "Session terminated"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How patient the owner of a connection is, in seconds."""

    first: float = 0.2  # back-off after a death, doubling …
    longest: float = 10.0  # … up to this
    open_limit: float = 60.0  # a command may have to be fetched first
    close_limit: float = 2.0
    list_limit: float = 30.0
    relist_every: float = 300.0  # change events get lost
    probe_every: float = 10.0
    probe_limit: float = 5.0


class Watched(Protocol):
    """The connection these tasks watch."""

    pace: Pace
    calls: int  # ended calls
    suspect: anyio.Event
    stale: anyio.Event

    def listed(self, listing: Listing) -> None: ...
    def failed(self, client: Client, error: MCPError) -> None: ...
    def end(self, reason: str) -> None: ...


def session_lost(error: MCPError) -> bool:
    """True for the answer a restarted legacy server gives for ever."""
    return error.code == INVALID_REQUEST and error.message in _LOST


def connection_closed(error: MCPError) -> bool:
    """True if the connection ended under the request; a dead process answers like this to everything."""
    return error.code == CONNECTION_CLOSED


def schema_stale(error: MCPError) -> bool:
    """True if the server expects other headers than its last listing asked for."""
    return error.code == HEADER_MISMATCH


def silent(error: MCPError) -> bool:
    """True for an error that the server itself may never have given: no answer, or a proxy's."""
    return error.code in {CONNECTION_CLOSED, REQUEST_TIMEOUT, INTERNAL_ERROR}


async def follow(connection: Watched, client: Client) -> None:
    """Every change the server announces makes the listing stale; a lost stream is opened again."""
    tools = client.server_capabilities.tools
    if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or not (tools and tools.list_changed):
        return  # legacy servers push
    pause = connection.pace.first
    while True:
        try:
            async with client.listen(tools_list_changed=True) as changes:
                connection.stale.set()  # what changed between the listing and now was not announced to us
                pause = connection.pace.first
                async for _ in changes:
                    connection.stale.set()
        except (SubscriptionLost, ListenNotSupportedError, MCPError, TimeoutError):
            connection.suspect.set()
        await anyio.sleep(pause)
        pause = min(pause * 2, connection.pace.longest)


async def relist(connection: Watched, client: Client) -> None:
    """The listing is pulled anew when it went stale, and now and then; an unusable one ends this life."""
    pace = connection.pace
    while True:
        with anyio.move_on_after(pace.relist_every):
            await connection.stale.wait()
        connection.stale = anyio.Event()
        pause = pace.first
        try:
            with anyio.fail_after(pace.list_limit):
                connection.listed(await pull(client))
        except (ListingRefused, ValidationError) as error:
            connection.end(
                str(error) if isinstance(error, ListingRefused) else "its list of tools is malformed"
            )
        except MCPError as error:
            connection.failed(client, error)
            connection.stale.set()
            pause = pace.longest
        except TimeoutError:
            connection.suspect.set()
        await anyio.sleep(pause)  # a server that announces changes without end does not keep us listing


async def probe(connection: Watched, client: Client) -> None:
    """Two probes without an answer end this life; a connection in use, and not suspect, is left alone."""
    pace, failures, calls = connection.pace, 0, connection.calls
    while True:
        if failures:
            await anyio.sleep(pace.first)
        else:
            with anyio.move_on_after(pace.probe_every):
                await connection.suspect.wait()
        in_use, calls = connection.calls != calls, connection.calls
        if in_use and not failures and not connection.suspect.is_set():
            continue
        connection.suspect = anyio.Event()
        failures = 0 if await _answers(connection, client) else failures + 1
        if failures == 2:
            connection.end("it does not answer")


async def _answers(connection: Watched, client: Client) -> bool:
    try:
        with anyio.fail_after(connection.pace.probe_limit):
            if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
                await client.session.send_discover(client.protocol_version)
            else:
                await client.session.send_ping()
    except MCPError as error:
        connection.failed(client, error)
        return not silent(error)
    except TimeoutError:
        return False
    except ValidationError:
        return True
    return True
