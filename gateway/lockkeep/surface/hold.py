"""Holding an answer for people who decide in time. The pipeline never waits for them; the surface asks, waits, asks again."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
from typing_extensions import TypeIs

from lockkeep.ledger import Ledger
from lockkeep.model import Outcome, Pending, Succeeded, Unknown

EVERY = 5.0  # seconds between two signs of life
MOST_HOLDS = 50
Tell = Callable[[float, float], Awaitable[None]]


class Holds:
    """At most so many held answers per caller; at the stop of the gateway all of them are answered as they are."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._open: dict[str, int] = {}
        self.stopping = anyio.Event()

    async def hold(self, outcome: Outcome, *, caller: str, limit: float, tell: Tell) -> Outcome:
        """The final outcome if there is one within the limit (seconds), else the outcome as of now."""
        if not _open(outcome) or self._open.get(caller, 0) >= MOST_HOLDS or self.stopping.is_set():
            return outcome
        self._open[caller] = self._open.get(caller, 0) + 1
        try:
            return await self._wait(outcome, limit, tell)
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]

    async def _wait(self, outcome: Pending | Unknown, limit: float, tell: Tell) -> Outcome:
        start = told = anyio.current_time()
        now: Outcome = outcome
        while (
            _open(now) and (left := start + limit - anyio.current_time()) > 0 and not self.stopping.is_set()
        ):
            # watch first, ask second: no event falls in between
            with self._ledger.events.watch(outcome.call) as event:
                now = self._ledger.outcome(outcome.call) or now
                if not _open(now):
                    break
                await self._either(event, min(told + EVERY - anyio.current_time(), left))
            now = self._ledger.outcome(outcome.call) or now
            if anyio.current_time() - told >= EVERY:
                told = anyio.current_time()
                await tell(told - start, limit)
        return replace(now, deduplicated=False) if isinstance(now, Succeeded) else now

    async def _either(self, event: anyio.Event, seconds: float) -> None:
        """Until the call is settled, the gateway stops, or the time is over."""
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as group:

                async def stop() -> None:
                    await self.stopping.wait()
                    group.cancel_scope.cancel()

                group.start_soon(stop)
                await event.wait()
                group.cancel_scope.cancel()


def _open(outcome: Outcome) -> TypeIs[Pending | Unknown]:
    return isinstance(outcome, Pending) or (isinstance(outcome, Unknown) and outcome.executing)
