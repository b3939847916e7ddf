"""Effects that an integration starts later by itself are held while a switch covers them (P5).

A manifest names the tool that does it: `queue: {with: {paused: =args.paused, reason: =args.reason}}`. Two integrations
at one address are one back end: what holds one holds the other.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import anyio

from lockkeep.ledger import Ledger, audit, switches
from lockkeep.model import Integration, Json, Switch, Tool, Tools, is_object, moment, stamp
from lockkeep.policy.rules import queue
from lockkeep.store import Row, Tx

logger = logging.getLogger(__name__)
PATIENCE = 2.0  # seconds a queue has to answer: `kill` waits for it
State = Literal["holding", "held", "kept", "releasing", "released"]
LONG_AGO = datetime.min.replace(tzinfo=UTC)
HELD: frozenset[str] = frozenset({"held", "kept"})  # kept: somebody else had paused it before us


class NotShown(Exception):
    """The tool answered, and its answer does not show that it did what it was asked."""


@dataclass(frozen=True, kw_only=True)
class Queues:
    """Level-triggered: each look compares what the switches ask for with what the queues were last told."""

    ledger: Ledger
    tools: Callable[[], Tools]
    integrations: Callable[[], Mapping[str, Integration]]
    ask: Callable[[Tool, Mapping[str, Json], float], Awaitable[Json]]
    _one: anyio.Lock = field(default_factory=anyio.Lock)

    async def run_once(self) -> None:
        """Every queue whose switches changed is told so; one that does not answer is told again next time."""
        async with self._one:
            if await self._look():
                await self._look()  # what was let go may be another's queue, too: that one is paused again

    async def _look(self) -> bool:
        """Tell what has to be told now; True if a queue was to go on."""
        by_file = switches.by_file(self.ledger.folder)
        read = self.ledger.store.read
        try:
            thrown = [*switches.thrown(read), *by_file]
            known = {row["integration"]: row for row in read.all("queues_all")}
        except Exception:
            if by_file:  # it stops without the store, too
                await self._stop_all(by_file)
            raise
        let_go = [moment(row["at"]) for row in known.values() if row["state"] in ("releasing", "released")]
        last = max(let_go, default=LONG_AGO)
        again = False
        async with anyio.create_task_group() as group:
            for tool in holders(self.tools()):
                row, same = known.get(tool.integration), self._same(tool.integration)
                cover = [each for each in thrown if any(reaches(each, name, read) for name in same)]
                if (now := _wanted(row, cover, last)) is not None:
                    again = again or now == "releasing"
                    group.start_soon(self._tell, tool, now, row, cover)
        return again

    def _same(self, integration: str) -> list[str]:
        """The integrations at the same address, itself among them."""
        known = self.integrations()
        own = known.get(integration)
        return [name for name, each in known.items() if own and each.address == own.address] or [integration]

    async def _stop_all(self, cover: list[Switch]) -> None:
        """Nothing can be recorded; every queue is asked to pause."""
        for tool in holders(self.tools()):
            with suppress(Exception):
                await self._ask(tool, paused=True, cover=cover)

    async def _ask(self, tool: Tool, *, paused: bool, cover: list[Switch]) -> Json:
        reason = "; ".join(each.reason for each in cover) or "The stop was lifted."
        said = queue.said(paused=paused, reason=reason)
        with anyio.fail_after(PATIENCE):
            answer = await self.ask(tool, queue.arguments(tool, said), PATIENCE)
        if not queue.shows(tool, said, answer):
            raise NotShown(f"its answer does not show that it {'is paused' if paused else 'goes on'}")
        return answer

    async def _tell(self, tool: Tool, now: State, row: Row | None, cover: list[Switch]) -> None:
        paused, was = now == "holding", row["state"] if row is not None else "released"
        if now == "released":  # others had paused it: they let it go on
            await self._record(tool, now, None)
            return
        if was != now:
            await self._record(tool, now, None)
        try:
            answer = await self._ask(tool, paused=paused, cover=cover)
        except Exception as error:  # whatever it was, the queue was not told
            late = isinstance(error, TimeoutError)
            failure = f"no answer within {PATIENCE:g} seconds" if late else str(error) or type(error).__name__
            if row is None or row["failure"] != failure:
                logger.warning("alarm: the queue of %s was not told to %s", tool.integration, now)
                await self._record(tool, now, failure, "queue.not_told")
            return
        others = was in ("released", "kept") and _unchanged(answer)
        ended: State = "released" if not paused else "kept" if others else "held"
        await self._record(tool, ended, None, "queue.held" if paused else "queue.released")

    async def _record(self, tool: Tool, state: State, failure: str | None, event: str | None = None) -> None:
        """What is about to be asked stands here before it is asked, so that a restart asks again."""
        now = self.ledger.clock()

        def work(tx: Tx) -> None:
            tx.run("queue_put", integration=tool.integration, state=state, failure=failure, at=stamp(now))
            if event is not None:
                audit.append(tx, event, now, integration=tool.integration, reason=failure)

        await self.ledger.store.write(work)


def holders(tools: Tools) -> Iterator[Tool]:
    """The tools that hold a queue, one an integration."""
    seen: set[str] = set()
    for tool in tools.values():
        if queue.entry(tool) is not None and tool.integration not in seen:
            seen.add(tool.integration)
            yield tool


def reaches(switch: Switch, integration: str, read: Tx) -> bool:
    """Whether messages this switch is about may wait in the queue of this integration."""
    kind, _, name = switch.scope.partition(":")
    match kind:
        case "all":
            return True
        case "integration":
            return name == integration
        case "tool":
            return name.partition(".")[0] == integration
        case _:
            who = {"agent": None, "user": None, kind: name}
            return read.one("queue_filled_by", integration=integration, **who) is not None


def _wanted(row: Row | None, cover: list[Switch], let_go: datetime) -> State | None:
    """What the queue has to be told now; None if it was told already, or never needs to be.

    `let_go` is when any queue was last let go: two integrations may have one queue, and not say so.
    """
    if row is None:
        return "holding" if cover else None
    state: State = row["state"]
    if cover:
        told = state in HELD and moment(row["at"]) >= max(let_go, *(each.at for each in cover))
        return None if told else "holding"  # a newer switch asks again: who knows what happened meanwhile
    if state == "kept":
        return "released"
    return None if state == "released" else "releasing"


def _unchanged(answer: Json) -> bool:
    """A receipt without changed fields: the queue was paused before we asked."""
    return is_object(answer) and answer.get("before") == {} and answer.get("after") == {}
