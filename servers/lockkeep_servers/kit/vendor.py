"""Receipts around a back end that cannot share our transaction.

`started`, with what will be sent, is durable before anything leaves; `committed` follows the answer. Whatever happens
in between, the back end is asked what became of it before anything is sent again.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from enum import Enum
from math import ceil
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakValueDictionary

import anyio

from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.errors import InProgress, NotApplied, ToolError, UnknownOutcome
from lockkeep_servers.kit.faults import NO_FAULT, Fault
from lockkeep_servers.kit.presence import Presence
from lockkeep_servers.kit.receipts import (
    RETRY_AFTER_S,
    STATEMENTS,
    Attempt,
    Effect,
    GetReceipt,
    Receipts,
    became,
    check_key,
    receipt_of,
    replay,
)
from lockkeep_servers.kit.results import Receipt, Receipted, Undo
from lockkeep_servers.kit.sqlite import Database, Row, Transaction, read_statements
from lockkeep_servers.kit.times import parse_time, stamp

HERE = Path(__file__).parent
LATE_S = 30  # how long a request nobody answered may still be under way
OPEN = ("started", "unknown")


class Sign(Enum):
    """What a back end shows of a write that is no finished effect."""

    ABSENT = "nothing of it is there"
    PARTLY = "some of its steps are there, and the others can follow"
    UNSURE = "it cannot be told"


class Vendor(Protocol):
    """What an adapter does with a plan: an effect as foreseen, whose `images` hold all that sends and finds it."""

    async def send(self, plan: Effect) -> Effect:
        """Carry it out, and return it as it came to be. Done again after a part of it, it does the rest.

        Raises:
            UnknownOutcome: whether it was applied is not known. Any other ToolError promises that nothing was.
        """
        ...

    async def find_effect(self, plan: Effect) -> Effect | Sign:
        """Look what became of it, by reads only."""
        ...


def open_database(file: Path) -> Database:
    """Return the store of a vendor adapter: receipts and nothing else."""
    statements = {**STATEMENTS, **read_statements(HERE / "vendor.sql")}
    return Database(file, statements, HERE / "migrations")


class VendorReceipts:
    """Runs writes at a vendor so that one key has at most one effect, whatever dies when."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        vendor: Vendor,
        fault: Fault = NO_FAULT,
        *,
        settle_after_s: float,  # until its reads show every write; 0 if they always do
    ) -> None:
        self._database = database
        self._clock = clock
        self._vendor = vendor
        self._fault = fault
        self._settle_after_s = settle_after_s
        self._presence = Presence(database.file.parent)
        self._sending: set[str] = set()
        self._locks: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        async with self._database.session():
            with self._presence.session():
                yield

    def forget(self) -> None:
        """Images older than 30 days and keys older than 400 are gone."""
        Receipts(self._database, self._clock).forget()

    def find(self, key: str) -> Row | None:
        return self._database.read(lambda tx: tx.row("find_claim", key=key))

    async def write(self, attempt: Attempt, prepare: Callable[[], Awaitable[Effect]]) -> Receipt:
        """Return the receipt of the effect, or the stored one. `prepare` reads and plans, and sends nothing.

        Raises:
            InProgress: another process sends it now.
            UnknownOutcome: it was sent, and what became of it is not known yet.
        """
        await self._fault.slow(attempt.tool)
        if attempt.key is None:
            return await self._prepared(attempt, prepare, None)
        async with self._locks.setdefault(attempt.key, anyio.Lock()):
            stored = self.find(attempt.key)
            if stored is not None:
                if attempt.dry_run or not _is_open_for(stored, attempt):
                    return replay(stored, attempt)
                settled = await self._settled(attempt.key, stored, finish=True)
                if settled is not None:
                    return replay(settled, attempt)
            return await self._prepared(attempt, prepare, stored)

    async def get(self, asked: GetReceipt) -> Receipted:
        """Return what became of the key, as the back end shows it; with a fence an unused key is closed for ever."""
        key = asked.idempotency_key
        check_key(key)
        if asked.fence:
            await self._database.write(lambda tx: tx.run("fence_receipt", key=key, at=stamp(self._clock())))
        stored = self.find(key)
        if stored is None or stored["state"] not in OPEN:
            return became(stored)
        try:
            settled = await self._settled(key, stored, finish=asked.fence)
        except ToolError:
            settled = self.find(key)  # gone, if the rest of it was refused and what there was is taken back
        if settled is not None:
            return self._shown(settled)
        return await self._close(key, stored) if asked.fence else Receipted(state="absent")

    async def _prepared(
        self, attempt: Attempt, prepare: Callable[[], Awaitable[Effect]], stored: Row | None
    ) -> Receipt:
        plan = await prepare()
        if attempt.dry_run:
            return receipt_of(plan, attempt, self._clock())
        return await self._carried_out(attempt, plan, stored)

    async def _carried_out(self, attempt: Attempt, plan: Effect, stored: Row | None) -> Receipt:
        """From the claim to the receipt the key counts as under way here."""
        key = attempt.key
        if key in self._sending:
            raise InProgress
        with _to_its_end():
            if key:
                self._sending.add(key)
            try:
                await self._claim(attempt, plan, stored)
                return await self._sent(attempt, plan)
            finally:
                self._sending.discard(key or "")

    async def _claim(self, attempt: Attempt, plan: Effect, stored: Row | None) -> None:
        """Of all that try, one goes on from here."""
        if attempt.key is None:
            return
        values = {
            "key": attempt.key,
            "images": _packed(plan),
            "at": stamp(self._clock()),
            "owner": self._presence.name,
        }

        def work(tx: Transaction) -> int:
            if stored is None:
                return tx.run("start_receipt", **values, tool=attempt.tool, digest=attempt.digest)
            return tx.run("take_receipt", **values, gone=stored["owner"], since=stored["at"])

        if not await self._database.write(work):
            raise InProgress

    async def _sent(self, attempt: Attempt, plan: Effect) -> Receipt:
        key = attempt.key or ""
        try:
            self._fault.hit("crash_before", attempt.tool)
            effect = await self._vendor.send(plan)
        except UnknownOutcome:
            effect = await self._after_all(key, plan)
        except ToolError:
            if key:
                await self._freed(key)
            raise
        receipt = await self._commit(attempt, effect)
        self._fault.hit("crash_after", attempt.tool)
        return receipt

    async def _after_all(self, key: str, plan: Effect) -> Effect:
        """An answer was lost; perhaps the effect shows all the same."""
        found = await self._look(plan)
        if isinstance(found, Effect):
            return found
        if key:
            await self._doubted(key, self._presence.name)
        raise UnknownOutcome

    async def _commit(self, attempt: Attempt, effect: Effect) -> Receipt:
        receipt = receipt_of(effect, attempt, self._clock())
        written = {
            "receipt": receipt.model_dump_json(),
            "images": json.dumps(effect.images) if effect.images is not None else None,
        }

        def work(tx: Transaction) -> int:
            self._fault.hit("crash_inside", attempt.tool)
            return tx.run("commit_receipt", key=attempt.key, **written) if attempt.key else 1

        try:
            mine = await self._database.write(work)
        except (ToolError, NotApplied):
            raise UnknownOutcome from None  # the effect is there; what is known of it could not be kept
        if mine or attempt.key is None:
            return receipt
        stored = self.find(attempt.key)
        return Receipt.model_validate_json(stored["receipt"]) if stored and stored["receipt"] else receipt

    async def _settled(self, key: str, stored: Row, *, finish: bool) -> Row | None:
        """Return the row as it stands now that the back end was looked at; None if nothing was applied."""
        runs = self._runs(key, stored)  # before the look, which does not show what is sent after it
        if stored["state"] == "started" and not runs:
            row = await self._doubted(key, stored["owner"])
            if row is None or row["state"] != "unknown":
                return row
            stored = row
        plan = _unpacked(stored["images"])
        found = await self._look(plan)
        attempt = Attempt(stored["tool"], key, stored["digest"], dry_run=False)
        if isinstance(found, Effect):
            await self._commit(attempt, found)
            return self.find(key)
        if runs:
            return stored
        if found is Sign.PARTLY and finish:
            await self._carried_out(attempt, plan, stored)
            return self.find(key)
        if found is Sign.ABSENT and self._wait_s(stored) <= 0:
            return None
        return stored

    async def _doubted(self, key: str, owner: str) -> Row | None:
        """What a dead process had sent may still arrive: how late is counted from when its death was seen."""
        at = stamp(self._clock())
        await self._database.write(lambda tx: tx.run("doubt_receipt", key=key, owner=owner, at=at))
        return self.find(key)

    async def _look(self, plan: Effect) -> Effect | Sign:
        try:
            return await self._vendor.find_effect(plan)
        except ToolError:
            return Sign.UNSURE

    def _runs(self, key: str, stored: Row) -> bool:
        if stored["owner"] == self._presence.name:
            return key in self._sending
        return self._presence.lives(stored["owner"])

    def _wait_s(self, stored: Row) -> float:
        """Return the seconds until absence means that it was not applied."""
        passed = (self._clock() - parse_time(stored["at"])).total_seconds()
        return max(LATE_S, self._settle_after_s) - passed

    def _shown(self, row: Row) -> Receipted:
        shown = became(row)
        if row["state"] != "unknown":
            return shown
        return shown.model_copy(update={"retry_after_s": max(RETRY_AFTER_S, ceil(self._wait_s(row)))})

    async def _close(self, key: str, stored: Row) -> Receipted:
        closed = {"gone": stored["owner"], "since": stored["at"]}

        def work(tx: Transaction) -> None:
            tx.run("close_receipt", key=key, **closed)
            tx.run("fence_receipt", key=key, at=stamp(self._clock()))

        await self._database.write(work)
        row = self.find(key)
        return self._shown(row) if row else became(row)

    async def _freed(self, key: str) -> None:
        owner = self._presence.name
        await self._database.write(lambda tx: tx.run("free_receipt", key=key, owner=owner))


@contextmanager
def _to_its_end() -> Generator[None]:
    """A caller who hangs up now stops nothing half-way; every wait in here has a limit of its own."""
    with anyio.CancelScope(shield=True):
        yield


def _is_open_for(stored: Row, attempt: Attempt) -> bool:
    same = (stored["tool"], stored["digest"]) == (attempt.tool, attempt.digest)
    return same and stored["state"] in OPEN


def _packed(plan: Effect) -> str:
    undo = plan.undo.model_dump(mode="json") if plan.undo else None
    return json.dumps({**asdict(plan), "undo": undo})


def _unpacked(text: str) -> Effect:
    kept: dict[str, Any] = json.loads(text)
    undo, warnings = kept.pop("undo"), tuple[str, ...](kept.pop("warnings"))
    return Effect(**kept, undo=Undo.model_validate(undo) if undo else None, warnings=warnings)
