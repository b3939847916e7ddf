"""Posts at a service outside: begun on record, done there, then settled on record.

`started` is committed before the first byte leaves. Whoever dies in between leaves it behind, and the service is
asked what it has before anything else is said or done: nothing is ever sent again blindly.
"""

import json
import secrets
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import anyio

from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.errors import InProgress, ToolError, Unavailable, UnknownOutcome
from lockkeep_servers.kit.faults import Fault
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.presence import Presence
from lockkeep_servers.kit.receipts import Attempt, Effect, Receipts
from lockkeep_servers.kit.results import Receipt
from lockkeep_servers.kit.sqlite import Database, Row, Transaction
from lockkeep_servers.kit.times import parse_time, stamp
from lockkeep_servers.notify import port
from lockkeep_servers.notify.adapters import effects
from lockkeep_servers.notify.adapters.effects import Room, reference_of

LAPSE_S = 90  # longer than any request takes, and than the service's history lags behind
OPEN = ("started", "unknown")


@dataclass(frozen=True)
class Step:
    """One write: what it checks and records first, and what it then does outside; a post has a place afterwards."""

    prepare: Callable[[Transaction], Effect]
    act: Callable[[], Awaitable[str | None]]


class OutsideBoard:
    """Keeps one key to one effect at the chat service, whatever dies when."""

    def __init__(
        self, database: Database, clock: Clock, chat: port.Chat, room: Callable[[Transaction], Room],
        address_of: Callable[[str], str | None], fault: Fault,
    ) -> None:  # fmt: skip
        self._database = database
        self._clock = clock
        self._chat = chat
        self._room = room
        self._address_of = address_of
        self._fault = fault
        self._planning = Receipts(database, clock)  # every check, and the answer; always rolled back
        self._presence = Presence(database.file.parent)
        self._acting: set[str] = set()

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        async with self._chat.session():
            with self._presence.session():
                yield

    async def examine(self) -> list[Finding]:
        return await self._chat.examine()

    async def post(self, ask: port.Post, attempt: Attempt, address: str) -> Receipt:
        reference = reference_of("post", attempt.key)

        async def act() -> str:
            return await self._chat.post(port.Note(address, ask.text, reference))

        return await self._write(
            attempt, Step(lambda tx: effects.post(self._room(tx), ask, reference, None), act)
        )

    async def withdraw(self, ask: port.Cancel, attempt: Attempt, id: str) -> Receipt:
        async def act() -> None:
            row = self._database.read(lambda tx: self._room(tx).message(id))
            place = row["place"] or await self._find(row)
            if place is not None:
                await self._chat.delete(place)
            elif row["updated_at"] > self._before():
                raise Unavailable("The post may still be on its way.")

        return await self._write(
            attempt, Step(lambda tx: effects.cancel_post(self._room(tx).message(id)), act)
        )

    async def resolve(self, key: str) -> None:
        """Ask the service about a write that is not settled; what it cannot tell stays as it is.

        What is there counts at once. What is not may still come, as long as somebody could be at it.
        """
        stored = self._stored(key)
        if stored is None or stored["state"] not in OPEN:
            return
        runs = self._runs(key, stored)  # before the look, which does not show what is sent after it
        row = self._database.read(lambda tx: tx.row("get_message", id=_kept(stored)["message"]))
        if row is None:
            return
        try:
            place = await self._find(row)
        except ToolError:
            return
        wanted = stored["tool"] == "post" and row["status"] != "cancelled"  # else it is to be gone
        if (place is not None) == wanted:
            await self._database.write(lambda tx: self._done(tx, key, place))
        elif not runs and stored["at"] <= self._before():
            await self._database.write(lambda tx: self._undone(tx, key, stored["images"]))

    def _runs(self, key: str, stored: Row) -> bool:
        if stored["state"] != "started":
            return False
        owner = _kept(stored).get("owner", "")
        return key in self._acting if owner == self._presence.name else self._presence.lives(owner)

    async def settle_lapsed(self) -> bool:
        """Resolve what those who died left behind; True if there was something."""
        rows = self._database.read(lambda tx: tx.rows("lapsed_receipts", lapsed=self._before()))
        for row in rows:
            await self.resolve(row["key"])
        return bool(rows)

    def _before(self) -> str:
        """Return the time before which a write that began is nobody's any more."""
        return stamp(self._clock() - timedelta(seconds=LAPSE_S))

    async def _write(self, attempt: Attempt, step: Step) -> Receipt:
        """Return the receipt once the service has said yes."""
        await self._fault.slow(attempt.tool)
        if attempt.key:
            await self.resolve(attempt.key)
        planned = await self._planning.write(replace(attempt, dry_run=True), step.prepare)
        if planned.replayed or attempt.dry_run:
            return planned
        if planned.after == {}:
            return await self._planning.write(attempt, lambda tx: _still_nothing(step.prepare(tx)))
        self._fault.hit("crash_before", attempt.tool)
        with _to_its_end():
            return await self._carried_out(attempt, step, planned)

    async def _carried_out(self, attempt: Attempt, step: Step, planned: Receipt) -> Receipt:
        key = attempt.key or f"none:{secrets.token_hex(24)}"
        if key in self._acting:
            raise InProgress
        self._acting.add(key)
        try:
            return await self._begun(key, attempt, step, planned)
        finally:
            self._acting.discard(key)

    async def _begun(self, key: str, attempt: Attempt, step: Step, planned: Receipt) -> Receipt:
        receipt = await self._database.write(lambda tx: self._begin(tx, key, attempt, step, planned))
        if receipt is None:  # the same key began meanwhile: its answer, or in_progress
            return await self._planning.write(replace(attempt, dry_run=True), step.prepare)
        await self._act(key, attempt.tool, step, receipt)
        self._fault.hit("crash_after", attempt.tool)
        return receipt

    def _begin(
        self, tx: Transaction, key: str, attempt: Attempt, step: Step, planned: Receipt
    ) -> Receipt | None:
        if tx.row("find_receipt", key=key):
            return None
        effect = step.prepare(tx)
        receipt = planned.model_copy(update={"id": effect.id, "version": effect.version, "applied": True})
        kept = {"message": effect.id, "receipt": receipt.model_dump_json(), "owner": self._presence.name}
        tx.run(
            "begin_receipt",
            key=key,
            tool=attempt.tool,
            digest=attempt.digest,
            images=json.dumps(kept),
            at=stamp(self._clock()),
        )
        return receipt

    async def _act(self, key: str, tool: str, step: Step, receipt: Receipt) -> None:
        try:
            place = await step.act()
        except UnknownOutcome:
            if not await self._found_after_all(key):
                raise UnknownOutcome(message_id=receipt.id) from None
        except ToolError:  # the service said no: nothing was applied
            await self._database.write(lambda tx: self._undone(tx, key))
            raise
        else:
            await self._settle(key, tool, place, receipt)

    async def _settle(self, key: str, tool: str, place: str | None, receipt: Receipt) -> None:
        """The service has done it. If that cannot be written down, it still has."""
        try:
            self._fault.hit("crash_inside", tool)
            await self._database.write(lambda tx: self._done(tx, key, place))
        except (ToolError, sqlite3.Error):
            raise UnknownOutcome(message_id=receipt.id) from None

    async def _found_after_all(self, key: str) -> bool:
        try:
            await self._database.write(lambda tx: self._doubt(tx, key))
            await self.resolve(key)
        except ToolError:  # the store fails as well
            return False
        stored = self._stored(key)
        return stored is not None and stored["state"] == "committed"

    async def _find(self, row: Row) -> str | None:
        address = self._address_of(row["recipient"])
        if address is None:
            raise Unavailable("The channel is not among those that may be posted to any more.")
        return await self._chat.find(address, row["reference"], parse_time(row["created_at"]).timestamp())

    def _stored(self, key: str) -> Row | None:
        return self._database.read(lambda tx: tx.row("find_receipt", key=key))

    def _done(self, tx: Transaction, key: str, place: str | None) -> None:
        stored = tx.row("find_receipt", key=key)
        if stored is None or stored["state"] not in OPEN:
            return  # settled by somebody else
        kept, now = _kept(stored), stamp(self._clock())
        if stored["tool"] == "post":
            tx.run("settle_post", id=kept["message"], place=place, now=now)
        else:
            tx.run("cancel_posted", id=kept["message"], now=now)
        tx.run("settle_receipt", key=key, receipt=kept["receipt"])

    def _undone(self, tx: Transaction, key: str, seen: str | None = None) -> None:
        """Nothing was applied: neither this try, nor, if one was seen, any but that one."""
        stored = tx.row("find_receipt", key=key)
        if stored is None or seen not in (None, stored["images"]):
            return
        if tx.run("drop_receipt", key=key) and stored["tool"] == "post":
            tx.run("drop_message", id=_kept(stored)["message"])

    def _doubt(self, tx: Transaction, key: str) -> None:
        stored, now = tx.row("find_receipt", key=key), stamp(self._clock())
        if stored is not None and tx.run("doubt_receipt", key=key, at=now) and stored["tool"] == "post":
            tx.run("doubt_post", id=_kept(stored)["message"], now=now)


@contextmanager
def _to_its_end() -> Generator[None]:
    """A caller who hangs up now stops nothing half-way; every wait in here has a limit of its own."""
    with anyio.CancelScope(shield=True):
        yield


def _still_nothing(effect: Effect) -> Effect:
    if effect.after != {}:
        raise Unavailable("It changed meanwhile.")
    return effect


def _kept(stored: Row) -> dict[str, Any]:
    return json.loads(stored["images"])
