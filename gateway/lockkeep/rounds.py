"""The rounds a gateway makes: what other processes wrote, what people agreed to, what ran out, what is in doubt."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from lockkeep.errors import IntegrationDown
from lockkeep.ledger import Ledger, calls, edits, switches
from lockkeep.model import Outcome, Pending, Request, Tool
from lockkeep.policy.inforce import InForce
from lockkeep.store import Row, Tx

logger = logging.getLogger(__name__)
TICK = 0.1  # seconds between two looks at what the command line, or any other process, wrote
SLOW = 0.5
SECOND = 1.0
REST = 2.0


@dataclass(kw_only=True)
class Rounds:
    """Each round is a task of its own: one that waits holds up no other, least of all the look at the switches."""

    ledger: Ledger
    in_force: InForce
    reconcile: Callable[[], Awaitable[object]]
    hold_queues: Callable[[], Awaitable[None]]
    decide: Callable[[Request], Awaitable[Outcome]]
    connect: Callable[[], Awaitable[None]]
    send_heads: Callable[[], Awaitable[None]]
    closed: Callable[[Tool], str | None]
    undo: Callable[[], Awaitable[None]]
    tasks: TaskGroup
    _running: set[str] = field(default_factory=set[str])
    _rested: dict[str, float] = field(default_factory=dict[str, float])  # approval -> not before
    _connected: int | None = None
    _seen: int = -1

    async def run(self) -> None:
        """Until the gateway stops."""
        self._connected = self.in_force.current.generation if self.in_force.current else None
        async with anyio.create_task_group() as rounds:
            for seconds, work in (
                (TICK, self.report_switches),
                (TICK, self.follow_rules),
                (TICK, self.run_agreed),
                (TICK, self.wake_waiters),
                (SLOW, self.end_overdue),
                (SLOW, self.settle_doubt),
                (SLOW, self.hold_queues),
                (SECOND, self.send_heads),
                (TICK, self.undo),
                (TICK, self.run_edited),
            ):
                rounds.start_soon(_every, seconds, work)

    async def report_switches(self) -> None:
        """`kill` returns when its own number stands here: sends see the switch, and queues were told."""
        read = self.ledger.store.read
        row, seen = read.one("switch_newest"), read.one("seen")
        if row and seen and row["id"] > seen["switch"]:
            await self.hold_queues()
            await self.ledger.store.write(lambda tx: tx.run("seen_set", switch=row["id"]))

    async def follow_rules(self) -> None:
        """A newly activated set is in force, and its integrations are the ones connected to."""
        self.in_force.refresh()
        current = self.in_force.current
        if current is not None and current.generation != self._connected:
            self._connected = current.generation
            await self.connect()

    async def run_agreed(self) -> None:
        """People agreed: the gateway itself runs the call, once, through the same pipeline."""
        read = self.ledger.store.read
        for row in read.all("approvals_agreed"):
            call = read.one("call_get", id=row["call"])
            rested = anyio.current_time() >= self._rested.get(row["id"], 0.0)
            if call is not None and rested and row["id"] not in self._running and self._can_run(call):
                self._running.add(row["id"])
                self.tasks.start_soon(self._agreed, row["id"], call)

    def _can_run(self, call: Row) -> bool:
        """An agreed call waits, unclaimed, while its integration is down or something is paused."""
        current = self.in_force.current
        tool = current.tools.get(call["tool"]) if current else None
        try:
            if tool is not None:
                self.closed(tool)
        except IntegrationDown:
            return False
        thrown = switches.thrown(self.ledger.store.read)
        return not any(each.mode != "kill" and switches.covers(each, call) for each in thrown)

    async def _agreed(self, approval: str, call: Row) -> None:
        """What stays parked, because something is down for now, is tried again in a while."""
        self._rested.pop(approval, None)
        try:
            outcome = await self.decide(calls.request_of(self.ledger.store.read, call, self.ledger.clock()))
            if isinstance(outcome, Pending):
                self._rested[approval] = anyio.current_time() + REST
        except Exception:
            logger.exception("agreed call %s could not be run", call["id"])
        finally:
            self._running.discard(approval)

    async def run_edited(self) -> None:
        """What an approver changed is another call, decided anew; one that was being decided at a crash is so again."""
        read = self.ledger.store.read
        for row in read.all("edits_open"):
            rested = anyio.current_time() >= self._rested.get(row["successor"], 0.0)
            if row["successor"] in self._running or not rested:
                continue
            self._running.add(row["successor"])
            self.tasks.start_soon(self._edited, row)

    async def _edited(self, row: Row) -> None:
        """What could not be decided for now, and so is on no record, is tried again in a while."""
        self._rested[row["successor"]] = anyio.current_time() + REST
        try:
            outcome = self.ledger.outcome(row["successor"])  # decided already, before a crash
            request = edits.to_run(self.ledger.store.read, row, self.ledger.clock())
            if outcome is None and request is not None:
                outcome = await self.decide(request)
            own: str | None = getattr(outcome, "call", None)  # an equal call may have come first
            if outcome is not None and own is None:
                return

            def done(tx: Tx) -> None:
                tx.run("edit_done", successor=row["successor"])
                if own != row["successor"]:
                    tx.run("call_succeeded_by", id=row["call"], successor=own)

            await self.ledger.store.write(done)
            self._rested.pop(row["successor"], None)
            self.ledger.events.settled(row["call"])
        except Exception:
            logger.exception("edited call %s could not be run", row["successor"])
        finally:
            self._running.discard(row["successor"])

    async def wake_waiters(self) -> None:
        """Something was written, perhaps by another process: whoever waits looks for itself."""
        if (changed := self.ledger.store.changed()) == self._seen:
            return
        self._seen = changed
        for call in self.ledger.events.watched:
            self.ledger.events.settled(call)

    async def end_overdue(self) -> None:
        await self.ledger.expire()

    async def settle_doubt(self) -> None:
        await self.ledger.sweep()
        await self.reconcile()


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """One that fails is said and tried again: the others, and the calls, go on."""
    while True:
        try:
            await work()
        except Exception:
            logger.exception("a round could not be made")
        await anyio.sleep(seconds)
