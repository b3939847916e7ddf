"""Kill under load: many callers write through the gateway, and again and again somebody stops everything."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio import to_thread

from lockkeep.app import utc_now
from lockkeep.cli import switches as stop
from lockkeep.cli.drill.exercise import Found, Wrong
from lockkeep.cli.drill.ground import FIRST, SECOND, Ground, call, until
from lockkeep.ledger import switches
from lockkeep.model import Json
from lockkeep.store import Tx

PAGE = 5_000
REST = 0.02  # seconds a caller rests after a denial


@dataclass
class Load:
    """Callers that write on and on."""

    ground: Ground
    answers: int = 0
    applied: int = 0
    other: set[str] = field(default_factory=set[str])  # statuses that nobody expects here
    _over: bool = False

    async def goes_on(self, more: int) -> bool:
        """Whether so many more calls are applied."""
        wanted = self.applied + more
        return await until(lambda: self.applied >= wanted)

    async def is_answered(self, more: int) -> bool:
        wanted = self.answers + more
        return await until(lambda: self.answers >= wanted)

    @asynccontextmanager
    async def of(self, callers: int) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as group:
            for number in range(callers):
                group.start_soon(self._one, f"caller{number}")
            try:
                yield
            finally:
                self._over = True

    async def _one(self, name: str) -> None:
        number = 0
        async with self.ground.caller() as client:
            while not self._over:
                number += 1
                said = await call(client, "write", id=f"{name}-{number}", text="under load")
                self.answers += 1
                if said.get("applied"):
                    self.applied += 1
                elif said.get("status") in (
                    "denied",
                    "failed",
                ):  # failed: claimed before the stop, dropped unsent
                    await anyio.sleep(REST)
                else:
                    self.other.add(str(said.get("status")))


@dataclass(frozen=True)
class Kill:
    """One stop: what it said, and what had arrived at the sandbox when it returned."""

    done: stop.Stopped
    ms: int
    arrived: int


async def kill_under_load(ground: Ground, *, callers: int = 16, kills: int = 6) -> Found:
    """No send begins after `kill` returned, and no claim stands after the switch in the order of the database."""
    wrong, load, made = Wrong(), Load(ground), list[Kill]()
    began = time.monotonic()
    running = 0.0
    async with ground.gateway(), load.of(callers):
        for _ in range(kills):
            lifted = time.monotonic()
            wrong.unless(await load.goes_on(callers), "calls did not go on after a stop was lifted")
            running += time.monotonic() - lifted
            made.append(await to_thread.run_sync(_kill, ground))
            wrong.unless(
                await load.is_answered(2 * callers), "callers got no answer while everything was stopped"
            )
            _check(ground, made[-1], wrong)
            await to_thread.run_sync(_lift, ground)
    claims = _claims_while_stopped(ground)
    wrong.unless(not claims, f"{claims} calls were claimed while everything was stopped")
    wrong.unless(not load.other, f"callers were answered {', '.join(sorted(load.other))}")
    slowest = max(kill.ms for kill in made)
    wire = sum(len(kill.done.wire) for kill in made)
    numbers = {
        "callers": callers, "kills": kills, "answers": load.answers, "applied": load.applied,
        "applied_per_second": int(load.applied / max(running, 0.001)), "on_the_wire": wire,
        "sends_after_return": _late(ground, made), "claims_while_stopped": claims,
        "slowest_kill_ms": slowest, "median_kill_ms": sorted(kill.ms for kill in made)[kills // 2],
        "seconds": int(time.monotonic() - began),
    }  # fmt: skip
    did = f"{callers} callers wrote over HTTP; {kills} times everything was killed, and lifted by a second person."
    return Found(did, numbers, tuple(dict.fromkeys(wrong.findings)))


def _kill(ground: Ground) -> Kill:
    with ground.here() as place:
        began = time.monotonic()
        done = stop.stopped(place, "all", "kill", "Rehearsal.", FIRST)
        ms = int((time.monotonic() - began) * 1000)
        return Kill(done, ms, len(ground.sandbox.arrived()))


def _lift(ground: Ground) -> None:
    with ground.here() as place:
        place.store.write_now(
            lambda tx: switches.lift(
                tx, scope="all", reason="Rehearsal.", by=SECOND, now=utc_now(), self_allowed=False
            )
        )


def _check(ground: Ground, kill: Kill, wrong: Wrong) -> None:
    late = _begun_after(ground, kill)
    wrong.unless(kill.done.confirmed, "kill was not confirmed by the gateway")
    wrong.unless(not late, f"{len(late)} sends began after kill had returned")


def _begun_after(ground: Ground, kill: Kill) -> list[str]:
    """What arrived while everything was stopped, and was not said to be on the wire."""
    return [key for _, key in ground.sandbox.arrived()[kill.arrived :] if key not in kill.done.wire]


def _late(ground: Ground, made: list[Kill]) -> int:
    """Over all stops; what was claimed after the lift is no concern of the stop before it."""
    with ground.here() as place:
        spans = _spans(place.store.read)
        claimed = _claimed(place.store.read)
    arrived, late = ground.sandbox.arrived(), 0
    for kill, (_, lifted) in zip(made, spans, strict=True):
        later = [key for _, key in arrived[kill.arrived :] if claimed.get(key, 0) < lifted]
        late += len([key for key in later if key not in kill.done.wire])
    return late


def _claims_while_stopped(ground: Ground) -> int:
    with ground.here() as place:
        spans, claimed = _spans(place.store.read), _claimed(place.store.read)
    return sum(any(thrown < seq < lifted for thrown, lifted in spans) for seq in claimed.values())


def _spans(tx: Tx) -> list[tuple[int, int]]:
    """From which record to which everything was stopped."""
    numbers = [seq for seq, kind, _ in _records(tx) if kind in ("switch.thrown", "switch.lifted")]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _claimed(tx: Tx) -> dict[str, int]:
    return {call: seq for seq, kind, call in _records(tx) if kind == "call.claimed"}


def _records(tx: Tx) -> list[tuple[int, str, str]]:
    """Number, event and call of every record."""
    found: list[tuple[int, str, str]] = []
    seq = 1
    while page := tx.all("audit_from", seq=seq, count=PAGE):
        for row in page:
            record: dict[str, Json] = json.loads(row["record"])
            found.append((row["seq"], record["type"], str(record["call"])))
        seq = page[-1]["seq"] + 1
    return found
