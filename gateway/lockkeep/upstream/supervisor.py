"""All integrations' connections, each with its own owner task: one dies, the others do not notice."""

import random as system_random
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Self

import anyio
from anyio.abc import TaskGroup

from lockkeep.errors import IntegrationDown
from lockkeep.model import Integration, Tool
from lockkeep.upstream.connection import Connection, ConnectionStatus
from lockkeep.upstream.listing import Listing
from lockkeep.upstream.opening import Build, Opening, installed_server, process_environment
from lockkeep.upstream.watching import Pace

PACE = Pace()


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Supervisor:
    """Keeps a connection to every integration of gateway.yaml and heals it by itself."""

    def __init__(
        self,
        integrations: Iterable[Integration],
        *,
        on_change: Callable[[str], None],
        servers: Callable[[str], Build] = installed_server,
        environ: Mapping[str, str] | None = None,
        pace: Pace = PACE,
        now: Callable[[], datetime] = _utc_now,
        random: Callable[[], float] = system_random.random,
        stops: Callable[[], int] = lambda: 0,
    ) -> None:
        self._opening = Opening(servers, process_environment() if environ is None else environ, stops)
        self._on_change = on_change
        self._pace = pace
        self._now = now
        self._random = random
        self._tasks: TaskGroup | None = None
        self._connections = {each.name: self._new(each) for each in integrations}

    @property
    def token(self) -> str:
        """What marks our own transport errors; for `send` only."""
        return self._opening.token

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Connections are opened and kept open inside; all are closed afterwards."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            for connection in self._connections.values():
                tasks.start_soon(connection.own)
            try:
                yield self
            finally:
                self._tasks = None
                tasks.cancel_scope.cancel()

    def connection(self, name: str) -> Connection:
        """The connection of that integration, up or down; IntegrationDown if gateway.yaml names none."""
        if (connection := self._connections.get(name)) is None:
            raise IntegrationDown(f"{name}: gateway.yaml names no such integration")
        return connection

    def state(self, name: str) -> ConnectionStatus:
        """How that integration is doing."""
        return self.connection(name).status

    def states(self) -> tuple[ConnectionStatus, ...]:
        """How every integration is doing, by name."""
        return tuple(self._connections[name].status for name in sorted(self._connections))

    def listing(self, name: str) -> Listing | None:
        """What the server lists now; None while it is down."""
        connection = self.connection(name)
        return connection.last_listing if connection.status.up else None

    def closed(self, tool: Tool) -> str | None:
        """None while the live tool equals its pin, else why it is closed. Never connected yet: IntegrationDown."""
        return self.connection(tool.integration).closed(tool)

    async def wait_ready(self, timeout: float) -> bool:
        """True as soon as every integration is up; False when the time is over."""
        with anyio.move_on_after(timeout):
            for connection in tuple(self._connections.values()):
                await connection.ready.wait()
        return all(status.up for status in self.states())

    async def restart(self, name: str) -> ConnectionStatus:
        """The connection was closed and opened again, or at least tried once; this is how it is doing."""
        connection = self.connection(name)
        connection.restart()
        with anyio.move_on_after(self._pace.open_limit + 10):
            await connection.tried.wait()
        return connection.status

    async def replace(self, integrations: Iterable[Integration]) -> None:
        """Exactly these integrations are connected to; those that did not change keep their connection."""
        wanted = {each.name: each for each in integrations}
        kept = {n: c for n, c in self._connections.items() if wanted.get(n) == c.integration}
        dropped = [c for n, c in self._connections.items() if n not in kept]
        fresh = {n: self._new(each) for n, each in wanted.items() if n not in kept}
        self._connections = kept | fresh  # no call reaches a dropped one from here on
        for connection in dropped:
            connection.drop()
        if self._tasks is None:
            return
        for connection in fresh.values():
            self._tasks.start_soon(connection.own)
        with anyio.move_on_after(self._pace.open_limit):
            for connection in dropped:
                await connection.gone.wait()
        for name in sorted({c.integration.name for c in dropped}):
            self._on_change(name)

    def _new(self, integration: Integration) -> Connection:
        return Connection(
            integration,
            open_client=self._opening,
            on_change=self._on_change,
            pace=self._pace,
            now=self._now,
            random=self._random,
        )
