"""The mailroom in one SQLite file. The queue is always here, whatever carries the messages; several processes may share it."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import anyio

from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.errors import Invalid, NotFound
from lockkeep_servers.kit.faults import NO_FAULT, Fault
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import Attempt, Effect, GetReceipt, Receipts
from lockkeep_servers.kit.results import Receipt, Receipted
from lockkeep_servers.kit.sqlite import Database, Row, Transaction
from lockkeep_servers.notify import port
from lockkeep_servers.notify.adapters import effects
from lockkeep_servers.notify.adapters.effects import Room
from lockkeep_servers.notify.adapters.embedded import EmbeddedBoard
from lockkeep_servers.notify.adapters.outside import OutsideBoard
from lockkeep_servers.notify.adapters.sender import REST_S, Sender


class Board(Protocol):
    """Where posts go: in our own transaction, or to a service outside."""

    def session(self) -> AbstractAsyncContextManager[None]: ...
    async def examine(self) -> list[Finding]: ...
    async def post(self, ask: port.Post, attempt: Attempt, address: str) -> Receipt: ...
    async def withdraw(self, ask: port.Cancel, attempt: Attempt, id: str) -> Receipt: ...
    async def resolve(self, key: str) -> None: ...
    async def settle_lapsed(self) -> bool: ...


class QueuedMailroom:
    """Answers `Mailroom`. `channels` maps the names that may be posted to onto the chat service's own.

    Without a chat service posts stay on the board in our own file.
    """

    def __init__(
        self, database: Database, clock: Clock, *, mail: port.Mail, chat: port.Chat | None,
        channels: Mapping[str, str], hold_s: int, fault: Fault = NO_FAULT, rest_s: float = REST_S,
    ) -> None:  # fmt: skip
        self.database = database
        self.receipts = Receipts(database, clock, fault)
        self._clock = clock
        self._mail = mail
        self._channels = channels
        self._hold_s = hold_s
        self._fault = fault
        self._rest_s = rest_s
        self._senders: list[Sender] = []
        self._board: Board = (
            EmbeddedBoard(self.receipts, self._room)
            if chat is None
            else OutsideBoard(database, clock, chat, self._room, channels.get, fault)
        )

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        """Open, and sending what is due. An error of whoever uses it leaves as it is, in no group."""
        failed: Exception | None = None
        async with self.database.session(), self._mail.session(), self._board.session():
            settle = self._board.settle_lapsed
            sender = Sender(self.database, self._clock, self._mail, self._fault, settle, self._rest_s)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sender.run)
                self._senders.append(sender)
                try:
                    yield
                except Exception as error:
                    failed = error
                finally:
                    self._senders.remove(sender)
                    sender.stop()
        if failed is not None:
            raise failed

    async def examine(self) -> list[Finding]:
        """Look at the store, at what in it waits for people, and at both transports."""
        found = self.database.examine()
        if found[0].level != "unusable":
            found += self.database.read(_for_people)
        if not self._channels:
            found.append(Finding("warning", "No channel may be posted to.", "Set LOCKKEEP_NOTIFY_CHANNELS."))
        return [*found, *await self._mail.examine(), *await self._board.examine()]

    async def preview(self, ask: port.Preview) -> port.Previewed:
        return self.database.read(lambda tx: effects.preview(self._room(tx), ask))

    async def send(self, ask: port.Send, attempt: Attempt) -> Receipt:
        return await self._write(lambda room: effects.send(room, ask), attempt)

    async def post(self, ask: port.Post, attempt: Attempt) -> Receipt:
        address = self._channels.get(ask.channel)
        if address is None:
            raise Invalid({"channel": _one_of(self._channels)})
        return await self._board.post(ask, attempt, address)

    async def cancel(self, ask: port.Cancel, attempt: Attempt) -> Receipt:
        """What is queued does not go; a post is deleted."""
        effects.one_named(ask)
        row = self.database.read(lambda tx: tx.row("get_message", id=ask.message_id))
        if row is not None and row["kind"] == "chat":
            return await self._board.withdraw(ask, attempt, row["id"])
        return await self._write(lambda room: effects.cancel_queued(room, ask), attempt)

    async def status(self, ask: port.Status) -> port.Messages:
        """Return the message, or the newest of the ref. Whoever asks waits, so the sender looks as well."""
        effects.one_named(ask)
        self._wake()

        def work(tx: Transaction) -> port.Messages:
            rows = _named(tx, ask)
            return port.Messages(
                messages=[effects.view(row) for row in rows[: port.SHOWN]],
                more=len(rows) > port.SHOWN,
                queue_paused=bool(tx.rows("get_queue")[0]["paused"]),
            )

        return self.database.read(work)

    async def pause_queue(self, ask: port.PauseQueue, attempt: Attempt) -> Receipt:
        return await self._write(lambda room: effects.pause(room, ask), attempt)

    async def get_receipt(self, ask: GetReceipt) -> Receipted:
        await self._board.resolve(ask.idempotency_key)
        return await self.receipts.get(ask)

    def _room(self, tx: Transaction) -> Room:
        return Room(tx, self._clock(), self._hold_s)

    async def _write(self, work: Callable[[Room], Effect], attempt: Attempt) -> Receipt:
        receipt = await self.receipts.write(attempt, lambda tx: work(self._room(tx)))
        self._wake()
        return receipt

    def _wake(self) -> None:
        for sender in self._senders:
            sender.wake()


def _named(tx: Transaction, ask: port.Status) -> list[Row]:
    """Return the message, or the newest of the ref and one more than are shown."""
    if ask.message_id is not None:
        row = tx.row("get_message", id=ask.message_id)
        rows = [row] if row is not None else []
    else:
        rows = tx.rows("messages_of_ref", ref=ask.ref, limit=port.SHOWN + 1)
    if not rows:
        raise NotFound("message")
    return rows


def _one_of(channels: Mapping[str, str]) -> str:
    if not channels:
        return "no channel may be posted to; an administrator sets LOCKKEEP_NOTIFY_CHANNELS"
    return f"must be one of: {', '.join(sorted(channels))}"


def _for_people(tx: Transaction) -> list[Finding]:
    counts = {row["status"]: row["count"] for row in tx.rows("count_status")}
    found: list[Finding] = []
    if tx.rows("get_queue")[0]["paused"]:
        fix = "Find out why; then let it go on with pause_queue, or by lifting the switch."
        found.append(
            Finding("warning", f"The queue is paused; {counts.get('queued', 0)} messages wait.", fix)
        )
    if unknown := counts.get("unknown", 0):
        fix = "Look for them where they would have arrived; they are never sent again by themselves."
        found.append(Finding("warning", f"Whether {unknown} messages went is not known.", fix))
    return found
