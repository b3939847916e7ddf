"""One integration's connection: opened by its owner task, rebuilt after any death, shared by all callers.

A client may only be closed by the task that opened it; so callers report what they saw and the owner acts.
"""

import logging
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

import anyio
import httpx2
from mcp import Client
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from lockkeep.errors import IntegrationDown, LockkeepError
from lockkeep.model import Integration, Tool
from lockkeep.upstream import pins, watching
from lockkeep.upstream.listing import Listing, pull
from lockkeep.upstream.opening import Signals
from lockkeep.upstream.watching import Pace

logger = logging.getLogger(__name__)
Open = Callable[[Integration, Signals], AbstractAsyncContextManager[Client]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStatus:
    """Whether an integration answers, since when, and who it says it is."""

    integration: str
    up: bool
    since: datetime
    reason: str = ""  # why it is down
    revision: str | None = None  # of the protocol
    server: str | None = None
    version: str | None = None


class Connection:
    """Holds at most one client. While it is down, calls are refused at once."""

    def __init__(
        self,
        integration: Integration,
        *,
        open_client: Open,
        on_change: Callable[[str], None],
        pace: Pace,
        now: Callable[[], datetime],
        random: Callable[[], float],
    ) -> None:
        self.integration = integration
        self.pace = pace
        self.status = ConnectionStatus(
            integration=integration.name, up=False, since=now(), reason="not connected yet"
        )
        self.last_listing: Listing | None = None
        self.ready = anyio.Event()  # renewed when it goes down
        self.tried = anyio.Event()  # renewed when a restart is asked for
        self.gone = anyio.Event()  # the owner task is over
        self.calls = 0  # ended calls; the probe skips a connection that is in use
        self.suspect = anyio.Event()
        self.stale = anyio.Event()
        self._scope: anyio.CancelScope | None = None
        self._dropped = False
        self._over = anyio.Event()
        self._hurry = anyio.Event()
        self._client: Client | None = None
        self._open = open_client
        self._on_change = on_change
        self._now = now
        self._random = random
        self._said: dict[str, str] = {}
        self._verdicts: dict[str, str | None] = {}  # pin -> why it is closed, since the last listing

    # -- what callers use ---------------------------------------------------------------------------------------

    def client(self) -> Client:
        """The live client, or IntegrationDown at once."""
        if self._client is None:
            raise IntegrationDown(f"{self.integration.name}: {self.status.reason}")
        return self._client

    def failed(self, client: Client, error: Exception) -> None:
        """The owner learns from a failed call; a late report about an earlier client changes nothing."""
        if client is not self._client:
            return
        if not isinstance(error, MCPError):
            self.suspect.set()
        elif watching.session_lost(error):
            self.end("the server forgot the session")
        elif self.integration.command and watching.connection_closed(error):
            self.end("the process ended")
        elif watching.schema_stale(error):
            self.stale.set()
        elif watching.silent(error):
            self.suspect.set()

    def closed(self, tool: Tool) -> str | None:
        """None while the live tool equals its pin, else why it is closed."""
        if self.last_listing is None:
            raise IntegrationDown(f"{self.integration.name}: {self.status.reason}")
        if tool.pin not in self._verdicts:
            self._verdicts[tool.pin] = self._judge(tool)
        return self._verdicts[tool.pin]

    def end(self, reason: str) -> None:
        """This life of the connection is over: callers are refused from now on, the owner rebuilds."""
        if self._client is not None:
            self._go_down(reason)
        self._over.set()

    def restart(self) -> None:
        """The owner closes what there is and tries again at once."""
        self.tried = anyio.Event()
        self.end("restarted")
        self._hurry.set()

    def drop(self) -> None:
        """The owner closes what there is, for good; `gone` tells when."""
        self._dropped = True
        if self._scope is not None:
            self._scope.cancel()

    # -- what the owner does ------------------------------------------------------------------------------------

    async def own(self) -> None:
        """Keep a client open until this connection is dropped."""
        delay = self.pace.first
        try:
            with anyio.CancelScope() as self._scope:
                while not self._dropped:
                    began = anyio.current_time()
                    await self._live_guarded()
                    if anyio.current_time() - began > self.pace.longest:
                        delay = self.pace.first
                    await self._pause(delay)
                    delay = min(delay * 2, self.pace.longest)
        finally:
            self._client = None
            self.status = replace(self.status, up=False, since=self._now(), reason="closed by the gateway")
            self.gone.set()

    async def _live_guarded(self) -> None:
        self._over = anyio.Event()
        try:
            await self._live()
        except Exception as error:  # whatever ended it, the owner goes on (P11)
            if not self._over.is_set():  # else the reason is known, and this is the noise of closing
                self._go_down(why(error))
        if not self._hurry.is_set():
            self.tried.set()

    async def _live(self) -> None:
        over, self.suspect, self.stale = self._over, anyio.Event(), anyio.Event()
        signals = Signals(tools_changed=self._tools_changed, process_ended=self._process_ended)
        with anyio.CancelScope(deadline=anyio.current_time() + self.pace.open_limit) as scope:
            async with self._open(self.integration, signals) as client:
                listing = await pull(client)
                scope.deadline = math.inf
                self._come_up(client, listing)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(watching.follow, self, client)
                    tasks.start_soon(watching.relist, self, client)
                    tasks.start_soon(watching.probe, self, client)
                    await over.wait()
                    tasks.cancel_scope.cancel()
                # A server that hangs is not waited for.
                scope.deadline = anyio.current_time() + self.pace.close_limit
        if scope.cancelled_caught and not over.is_set():
            raise TimeoutError

    async def _pause(self, delay: float) -> None:
        with anyio.move_on_after(delay * (0.75 + self._random() / 2)):
            await self._hurry.wait()
        self._hurry = anyio.Event()

    def _come_up(self, client: Client, listing: Listing) -> None:
        if self._over.is_set():
            return  # a restart was asked for while it opened
        self._client = client
        self.status = ConnectionStatus(
            integration=self.integration.name,
            up=True,
            since=self._now(),
            revision=listing.protocol,
            server=listing.server,
            version=listing.version,
        )
        self._take(listing)
        self.ready.set()
        self.tried.set()
        logger.info("%s is up", self.integration.name)
        self._tell()

    def _go_down(self, reason: str) -> None:
        was_up, self._client = self._client is not None, None
        if was_up:
            self.ready = anyio.Event()
        since = self._now() if was_up else self.status.since
        changed = was_up or reason != self.status.reason
        self.status = replace(self.status, up=False, since=since, reason=reason)
        if changed:
            logger.warning("%s is down: %s", self.integration.name, reason)
            self._tell()

    def listed(self, listing: Listing) -> None:
        """A fresh listing counts from now on; who listens hears of it if it differs."""
        if listing != self.last_listing:
            self._take(listing)
            self._tell()

    def _take(self, listing: Listing) -> None:
        self.last_listing = listing
        self._said = dict(pins.said_by(listing))
        self._verdicts = {}

    def _judge(self, tool: Tool) -> str | None:
        said_now = self._said.get(tool.server_name)
        if said_now is None:
            return f"{self.integration.name} no longer lists {tool.server_name}."
        if pins.pin(said_now, tool.effect) != tool.pin:
            return f"{tool.name} changed since it was accepted. `lockkeep catalog diff` shows how."
        return None

    def _tell(self) -> None:
        try:
            self._on_change(self.integration.name)
        except Exception as error:  # whoever listens must not end a connection, or a call that found it dead
            logger.error("the change of %s was not taken (%s)", self.integration.name, type(error).__name__)  # noqa: TRY400

    def _tools_changed(self) -> None:
        self.stale.set()

    def _process_ended(self) -> None:
        self.suspect.set()


def why(error: BaseException) -> str:
    """The reason a person may read; never an exception's text, which quotes payloads."""
    if isinstance(error, BaseExceptionGroup):
        return why(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    match error:
        case LockkeepError():
            return str(error)
        case FileNotFoundError() | PermissionError():
            return f"its command cannot be started ({type(error).__name__})"
        case TimeoutError():
            return "it did not answer in time"
        case MCPError():
            return f"it answered with protocol error {error.code}"
        case ValidationError():
            return "it answered with something that is no MCP"
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            return "it cannot be reached"
        case _:
            return type(error).__name__
