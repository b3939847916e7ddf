"""Transports that stay on this machine: mail lands in an outbox, posts on a board, both in the mailroom's own file."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.errors import ToolError
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import Attempt, Effect, Receipts
from lockkeep_servers.kit.results import Receipt
from lockkeep_servers.kit.sqlite import Database, Transaction
from lockkeep_servers.kit.times import stamp
from lockkeep_servers.notify import port
from lockkeep_servers.notify.adapters import effects
from lockkeep_servers.notify.adapters.effects import Room, reference_of


class EmbeddedMail:
    """Delivers into the table `outbox`; a letter arrives there once, whoever brings it."""

    lease_s = 30

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        yield

    async def examine(self) -> list[Finding]:
        return [Finding("ok", "Mail stays in the outbox on this machine.")]

    async def deliver(self, letter: port.Letter, go: Callable[[], bool]) -> port.Delivery:
        if not go():
            return port.Held()
        row = {
            "reference": letter.reference,
            "recipient": letter.to,
            "subject": letter.subject,
            "body": letter.body,
            "at": stamp(self._clock()),
        }
        try:
            await self._database.write(lambda tx: tx.run("add_outbox", **row))
        except ToolError:  # rolled back
            return port.Refused("store_busy")
        return port.Sent()

    async def find(self, reference: str) -> bool | None:
        return self._database.read(lambda tx: tx.row("find_outbox", reference=reference) is not None)


class EmbeddedBoard:
    """Posts into the table `posts`, in the transaction of the receipt."""

    def __init__(self, receipts: Receipts, room: Callable[[Transaction], Room]) -> None:
        self._receipts = receipts
        self._room = room

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        yield

    async def examine(self) -> list[Finding]:
        return [Finding("ok", "Posts stay on the board on this machine.")]

    async def post(self, ask: port.Post, attempt: Attempt, address: str) -> Receipt:
        def work(tx: Transaction) -> Effect:
            room, reference = self._room(tx), reference_of("post", attempt.key)
            tx.run("add_post", reference=reference, channel=address, text=ask.text, at=stamp(room.now))
            return effects.post(room, ask, reference, f"{address}/{reference}")

        return await self._receipts.write(attempt, work)

    async def withdraw(self, ask: port.Cancel, attempt: Attempt, id: str) -> Receipt:
        def work(tx: Transaction) -> Effect:
            room = self._room(tx)
            row = room.message(id)
            effect = effects.cancel_post(row)
            tx.run("drop_post", reference=row["reference"])
            tx.run("cancel_posted", id=id, now=stamp(room.now))
            return effect

        return await self._receipts.write(attempt, work)

    async def resolve(self, key: str) -> None:
        """Nothing is ever begun and not settled here."""

    async def settle_lapsed(self) -> bool:
        """As `resolve`."""
        return False
