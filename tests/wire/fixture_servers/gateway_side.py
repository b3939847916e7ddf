"""The gateway's side of the wire: a supervisor, the tools as accepted, claims, and waiting without sleeping."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import anyio
from mcp.server import Server

from lockkeep.model import Answer, Arguments, Claim, Integration, Tool, ToolCall, Tools
from lockkeep.upstream import Lock, Pace, Supervisor, Upstream, accept, propose
from lockkeep.upstream.opening import Build

from .book import Book
from .over_http import Era, Wire, wired

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FAST = Pace(
    first=0.02,
    longest=0.1,
    open_limit=5,
    list_limit=2,
    relist_every=60,
    probe_every=60,
    probe_limit=0.3,
)


class Changes:
    """Hears `on_change`, so that tests wait for events and never sleep."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._next = anyio.Event()

    def __call__(self, name: str) -> None:
        self.heard.append(name)
        self._next.set()
        self._next = anyio.Event()

    async def until(self, holds: Callable[[], bool], limit: float = 5) -> None:
        with anyio.fail_after(limit):
            while not holds():
                await self._next.wait()


@dataclass
class Side:
    supervisor: Supervisor
    upstream: Upstream
    changes: Changes
    tools: dict[str, Tool]

    def accept_all(self, *names: str) -> None:
        """The tools are accepted as they are listed now."""
        for name in names:
            listing = self.supervisor.listing(name)
            assert listing is not None
            proposal = propose(self.supervisor.connection(name).integration, listing)
            self.tools.update(accept(Lock(), proposal, proposal.hash).tools)

    async def up(self, name: str) -> None:
        await self.changes.until(lambda: self.supervisor.state(name).up)

    async def down(self, name: str) -> None:
        await self.changes.until(lambda: not self.supervisor.state(name).up)

    async def send(self, tool: str, timeout: float = 5, **arguments: Any) -> Answer:
        with anyio.fail_after(10):
            return await self.upstream.send(claim(self.tools[tool], arguments), timeout=timeout)


@asynccontextmanager
async def connected(*integrations: Integration, pace: Pace = FAST, **parts: Any) -> AsyncGenerator[Side]:
    """Everything is up, and what is listed is accepted."""
    tools: dict[str, Tool] = {}
    changes = Changes()

    def accepted() -> Tools:
        return tools

    supervisor = Supervisor(
        integrations, on_change=changes, pace=pace, now=lambda: NOON, random=lambda: 0.5, **parts
    )
    async with supervisor.running():
        assert await supervisor.wait_ready(10), supervisor.states()
        side = Side(supervisor, Upstream(supervisor, accepted), changes, tools)
        side.accept_all(*(each.name for each in integrations))
        yield side


@asynccontextmanager
async def over_wire(book: Book, era: Era = "modern", pace: Pace = FAST) -> AsyncGenerator[tuple[Side, Wire]]:
    """The book over HTTP, and the wire between."""
    async with (
        wired(book.server(), era) as wire,
        connected(Integration(name="book", url=wire.url), pace=pace) as side,
    ):
        yield side, wire


def installing(book: Book) -> Callable[[str], Build]:
    """Whatever tool server is looked up, it is this one."""

    def build(environ: Mapping[str, str]) -> Server[Any]:
        return book.server()

    return lambda name: build


@asynccontextmanager
async def in_process(book: Book) -> AsyncGenerator[Side]:
    """The book runs inside the gateway."""
    integration = Integration(name="book", in_process=True)
    async with connected(integration, servers=installing(book), environ={}) as side:
        yield side


def claim(tool: Tool, arguments: Arguments, call_id: str = "call_1") -> Claim:
    call = ToolCall(
        id=call_id,
        tool=tool.name,
        exported=tool.exported,
        operation=tool.name,
        integration=tool.integration,
        risk=tool.risk,
        pin=tool.pin,
        arguments=arguments,
        user="ana",
        agent="desk",
        host="test",
        roles=frozenset(),
        at=NOON,
        asked="digest",
        generation=1,
    )
    return Claim(call=call, arguments=arguments)
