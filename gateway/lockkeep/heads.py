"""Sends heads of the log outside: each minute if there is something new, every 256 records, at a stop at once.

A place that does not take them is tried again, more and more rarely. No call ever waits for any of this.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import anyio

from lockkeep.ledger import heads
from lockkeep.model import stamp
from lockkeep.sinks import LIMIT, Sink
from lockkeep.store import Row, Store, Tx

logger = logging.getLogger(__name__)
LONGEST = timedelta(minutes=5)  # between two tries


@dataclass(kw_only=True)
class Heads:
    """The worker of one process."""

    store: Store
    folder: Path
    sinks: Sequence[Sink]
    clock: Callable[[], datetime]
    _key: heads.Key | None = field(default=None, repr=False)
    _tries: dict[str, tuple[int, datetime]] = field(default_factory=dict[str, tuple[int, datetime]])

    async def run_once(self, *, at_once: bool = False) -> None:
        """A head leaves if it is time, and whoever lacks the newest one is given it. `at_once`: the log ends here."""
        if not self.sinks:
            return
        now, read = self.clock(), self.store.read
        key = self._key or heads.key_of(self.folder)
        if key is None or at_once or heads.due(read, key.public.installation, now):
            key = await self.store.write(lambda tx: self._take(tx, now))
        self._key = key
        if (last := heads.newest(read, key.public.installation)) is None:
            return
        taken = {row["name"]: row["head"] for row in read.all("sinks_all")}
        waiting = [sink for sink in self.sinks if taken.get(sink.name, 0) < last.id]
        async with anyio.create_task_group() as group:
            for sink in waiting:
                if at_once or self._may_try(sink, now):
                    group.start_soon(self._send, sink, last)

    def _take(self, tx: Tx, now: datetime) -> heads.Key:
        key = heads.make_key(self.folder, tx, now)
        heads.take(tx, key, now)
        return key

    def _may_try(self, sink: Sink, now: datetime) -> bool:
        return sink.name not in self._tries or now >= self._tries[sink.name][1]

    async def _send(self, sink: Sink, last: heads.Kept) -> None:
        """Taken, or failed and said so; nothing else."""
        failure = "it did not answer in time"
        with anyio.move_on_after(LIMIT):
            try:
                await sink.send(last.head)
                failure = ""
            except Exception as error:  # whatever a place outside does, calls and the other places go on
                failure = _said(error)
        now = self.clock()
        if not failure:
            self._tries.pop(sink.name, None)
            await self.store.write(partial(_took, name=sink.name, head=last.id, at=stamp(now)))
            return
        times, _ = self._tries.get(sink.name, (0, now))
        self._tries[sink.name] = times + 1, now + min(LONGEST, timedelta(seconds=2**times))
        if times == 0:
            logger.warning("%s did not take the head of the log: %s", sink.name, failure)
            await self.store.write(partial(_failed, name=sink.name, failure=failure, at=stamp(now)))


def _took(tx: Tx, name: str, head: int, at: str) -> None:
    tx.run("sink_took", name=name, head=head, at=at)


def _failed(tx: Tx, name: str, failure: str, at: str) -> None:
    tx.run("sink_failed", name=name, failure=failure, at=at)


def _said(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]


def outside(store: Store, sinks: Sequence[Sink]) -> list[str]:
    """One sentence for each place outside: what it has, or since when it takes nothing."""
    known = {row["name"]: row for row in store.read.all("sinks_all")}
    return [f"{sink.name}: {_state(known.get(sink.name))}" for sink in sinks]


def _state(row: Row | None) -> str:
    if row is None:
        return "nothing sent yet"
    has = f"has {row['size']} records, sent {row['at']}" if row["size"] is not None else "has nothing"
    return (
        f"{has}; FAILING since {row['since']}: {row['failure']}; tried again by itself"
        if row["failure"]
        else has
    )
