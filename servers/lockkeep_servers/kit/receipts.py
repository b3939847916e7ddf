"""What became of a write: receipt and effect are one transaction, so a key is either used or it is not."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lockkeep_servers.kit.arguments import Arguments, Writes, digest
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.errors import Cancelled, IdempotencyConflict, InProgress, Invalid, UnknownOutcome
from lockkeep_servers.kit.faults import NO_FAULT, Fault
from lockkeep_servers.kit.results import Receipt, Receipted, Undo
from lockkeep_servers.kit.sqlite import Database, Row, Transaction, read_statements
from lockkeep_servers.kit.times import stamp

STATEMENTS = read_statements(Path(__file__).with_name("receipts.sql"))
IMAGES_DAYS = 30
KEYS_DAYS = 400
RETRY_AFTER_S = 5


class GetReceipt(Arguments):
    idempotency_key: str
    fence: bool = False


@dataclass(frozen=True)
class Attempt:
    """One try at one business step."""

    tool: str
    key: str | None
    digest: str
    dry_run: bool

    @classmethod
    def of(cls, tool: str, arguments: Writes) -> "Attempt":
        return cls(tool, arguments.idempotency_key, digest(arguments), arguments.dry_run)


@dataclass(frozen=True)
class Effect:
    """What a write did: the images are its changed fields, `images` what an undo in place needs beyond them."""

    id: str
    version: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]
    undo: Undo | None = None
    warnings: tuple[str, ...] = ()
    images: Any = None


Work = Callable[[Transaction], Effect]


class Receipts:
    """Runs writes so that one key has at most one effect, whatever dies when."""

    def __init__(self, database: Database, clock: Clock, fault: Fault = NO_FAULT) -> None:
        self._database = database
        self._clock = clock
        self._fault = fault

    async def write(self, attempt: Attempt, work: Work) -> Receipt:
        """Return the receipt of the effect, or the stored one; an error leaves the key free."""
        await self._fault.slow(attempt.tool)
        receipt = await self._database.write(
            lambda tx: self._once(tx, attempt, work), keep=not attempt.dry_run
        )
        self._fault.hit("crash_after", attempt.tool)
        return receipt

    def _once(self, tx: Transaction, attempt: Attempt, work: Work) -> Receipt:
        if attempt.key and (stored := tx.row("find_receipt", key=attempt.key)):
            return replay(stored, attempt)
        self._fault.hit("crash_before", attempt.tool)
        effect = work(tx)
        receipt = receipt_of(effect, attempt, self._clock())
        if attempt.key:
            tx.run(
                "add_receipt",
                key=attempt.key,
                tool=attempt.tool,
                digest=attempt.digest,
                state="committed",
                receipt=receipt.model_dump_json(),
                images=json.dumps(effect.images) if effect.images is not None else None,
                at=stamp(self._clock()),
            )
        self._fault.hit("crash_inside", attempt.tool)
        return receipt

    async def get(self, asked: GetReceipt) -> Receipted:
        """Return what became of the key; with a fence an unused key is closed for ever, durably."""
        check_key(asked.idempotency_key)
        if asked.fence:
            return await self._database.write(lambda tx: self._fence(tx, asked.idempotency_key))
        return self._database.read(lambda tx: became(tx.row("find_receipt", key=asked.idempotency_key)))

    def _fence(self, tx: Transaction, key: str) -> Receipted:
        tx.run("fence_receipt", key=key, at=stamp(self._clock()))
        return became(tx.row("find_receipt", key=key))

    def forget(self) -> None:
        """Images older than 30 days and keys older than 400 are gone."""

        def work(tx: Transaction) -> None:
            tx.run("forget_images", before=stamp(self._clock() - timedelta(days=IMAGES_DAYS)))
            tx.run("forget_keys", before=stamp(self._clock() - timedelta(days=KEYS_DAYS)))

        with self._database.opened():
            self._database.write_now(work)


def check_key(key: str) -> None:
    if not 8 <= len(key) <= 128:
        raise Invalid({"idempotency_key": "has 8 to 128 characters"})


def receipt_of(effect: Effect, attempt: Attempt, now: datetime) -> Receipt:
    """Return what the caller is told of an effect."""
    undo = effect.undo or Undo(
        possible="until", until=(now + timedelta(days=IMAGES_DAYS)).replace(microsecond=0)
    )
    if effect.before == {} and effect.after == {}:
        undo = Undo(possible="no", note="Nothing changed.")
    return Receipt(
        applied=not attempt.dry_run,
        replayed=False,
        id=effect.id,
        version=effect.version,
        before=None if effect.before is None else dict(effect.before),
        after=dict(effect.after),
        undo=undo,
        warnings=list(effect.warnings),
    )


def replay(stored: Row, attempt: Attempt) -> Receipt:
    """Return the stored receipt of the same attempt; any other state of its key is an error."""
    if stored["state"] == "cancelled":
        raise Cancelled
    if (stored["tool"], stored["digest"]) != (attempt.tool, attempt.digest):
        raise IdempotencyConflict
    if stored["state"] == "started":
        raise InProgress
    if stored["state"] == "unknown":
        raise UnknownOutcome
    return Receipt.model_validate_json(stored["receipt"]).model_copy(update={"replayed": True})


def became(stored: Row | None) -> Receipted:
    """Return what a row says of its key."""
    if stored is None:
        return Receipted(state="absent")
    if stored["state"] == "cancelled":
        return Receipted(state="cancelled")
    receipt = Receipt.model_validate_json(stored["receipt"]) if stored["receipt"] else None
    wait = RETRY_AFTER_S if stored["state"] == "started" else None
    return Receipted(state=stored["state"], tool=stored["tool"], receipt=receipt, retry_after_s=wait)
