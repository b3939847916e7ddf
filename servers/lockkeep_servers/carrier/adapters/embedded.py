"""The carrier in one SQLite file; several processes may share it. Its vans and their scans are made up."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

from lockkeep_servers.carrier import addresses, port
from lockkeep_servers.carrier.adapters import answers, effects
from lockkeep_servers.carrier.adapters.quotes import one_question, quoted
from lockkeep_servers.carrier.adapters.shipments import Seen, Shipments
from lockkeep_servers.carrier.tracking import FOR_SOMEBODY
from lockkeep_servers.kit.arguments import Writes
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.cursor import read_row, write_cursor
from lockkeep_servers.kit.errors import Invalid, NotFound
from lockkeep_servers.kit.faults import NO_FAULT, Fault
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import STATEMENTS, Attempt, Effect, GetReceipt, Receipts
from lockkeep_servers.kit.results import Receipt
from lockkeep_servers.kit.sqlite import Database, Transaction, read_statements
from lockkeep_servers.kit.times import stamp

HERE = Path(__file__).parent
CHUNK = 200
STEPPED = ("rebook", "cancel_rebook")
W = TypeVar("W", bound=Writes)


class EmbeddedCarrier:
    """Answers `Carrier` from `carrier.sqlite` in the data folder."""

    def __init__(self, folder: Path, clock: Clock, fault: Fault = NO_FAULT) -> None:
        statements = {**STATEMENTS, **read_statements(HERE / "embedded.sql")}
        self.database = Database(folder / "carrier.sqlite", statements, HERE / "migrations")
        self._clock = clock
        self.receipts = Receipts(self.database, clock, fault)

    def session(self) -> AbstractAsyncContextManager[None]:
        return self.database.session()

    async def examine(self) -> list[Finding]:
        return self.database.examine()

    async def track(self, ask: port.Track) -> port.Tracked:
        if (ask.tracking_number is None) == (ask.shipment_id is None):
            raise Invalid({"shipment_id": "or tracking_number is required, and one of them only"})
        now = self._clock()

        def work(tx: Transaction) -> port.Tracked:
            shipments = Shipments(tx, now)
            if ask.shipment_id is not None:
                return answers.tracked(shipments.seen(shipments.fetch(ask.shipment_id)), now)
            row = tx.row("find_by_tracking", tracking_number=ask.tracking_number)
            if row is None:
                raise NotFound("shipment")
            return answers.tracked(shipments.seen(row), now)

        return self.database.read(work)

    async def list_exceptions(self, ask: port.ListExceptions) -> port.Page:
        """Return what is late or waits for somebody, in order of arrival; what ended well only if asked for."""
        filters = ask.model_dump(mode="json", exclude={"cursor", "limit"})
        after = read_row(ask.cursor, filters)
        found = self.database.read(lambda tx: _exceptions(Shipments(tx, self._clock()), ask, after))
        shown = found[: ask.limit]
        more = write_cursor(str(shown[-1].row["number"]), filters) if len(found) > ask.limit else None
        return port.Page(items=[answers.exceptional(one) for one in shown], next_cursor=more)

    async def get(self, ask: port.Get) -> port.Found:
        def work(tx: Transaction) -> port.Found:
            shipments = Shipments(tx, self._clock())
            return answers.found(shipments.seen(shipments.fetch(ask.shipment_id)))

        return self.database.read(work)

    async def quote(self, ask: port.Quote) -> port.Rates:
        """Return what it costs; each rate can be bought until it expires."""
        now = self._clock()
        one_question(ask, now)
        return await self.database.write(lambda tx: quoted(tx, ask, now))

    async def validate_address(self, ask: port.ValidateAddress) -> port.Checked:
        found = addresses.check(ask.address.model_dump())
        corrected = answers.address_of(found.address) if found.verdict == "corrected" else None
        return port.Checked(verdict=found.verdict, corrected=corrected, messages=list(found.messages))

    async def buy_label(self, ask: port.BuyLabel, attempt: Attempt) -> Receipt:
        return await self._write(effects.buy_label, ask, attempt)

    async def void_label(self, ask: port.VoidLabel, attempt: Attempt) -> Receipt:
        return await self._write(effects.void_label, ask, attempt)

    async def rebook(self, ask: port.Rebook, attempt: Attempt) -> port.Rebooked:
        return await self._write_steps(effects.rebook, ask, attempt)

    async def cancel_rebook(self, ask: port.CancelRebook, attempt: Attempt) -> port.Rebooked:
        return await self._write_steps(effects.cancel_rebook, ask, attempt)

    async def get_receipt(self, ask: GetReceipt) -> port.Became:
        found = await self.receipts.get(ask)
        receipt = found.receipt
        if receipt is not None and found.tool in STEPPED:
            receipt = _with_steps(receipt, self._images(ask.idempotency_key))
        return port.Became(
            state=found.state, tool=found.tool, receipt=receipt, retry_after_s=found.retry_after_s
        )

    async def _write(self, effect: Callable[[Shipments, W], Effect], ask: W, attempt: Attempt) -> Receipt:
        return await self.receipts.write(
            attempt, lambda tx: effect(Shipments(tx, self._clock(), attempt.tool), ask)
        )

    async def _write_steps(
        self, effect: Callable[[Shipments, W], Effect], ask: W, attempt: Attempt
    ) -> port.Rebooked:
        """All steps are one transaction here; they are kept as the images of the receipt."""
        made: list[Effect] = []

        def kept(shipments: Shipments, asked: W) -> Effect:
            made.append(effect(shipments, asked))
            return made[-1]

        receipt = await self._write(kept, ask, attempt)
        return _with_steps(receipt, made[-1].images if made else self._images(attempt.key))

    def _images(self, key: str | None) -> Any:
        row = self.database.read(lambda tx: tx.row("find_receipt", key=key))
        return json.loads(row["images"]) if row and row["images"] else None


def _with_steps(receipt: Receipt, images: Any) -> port.Rebooked:
    """Images live 30 days; after that only the receipt is left."""
    return port.Rebooked.model_validate({**dict(receipt), "steps": (images or {"steps": []})["steps"]})


def _exceptions(shipments: Shipments, ask: port.ListExceptions, after: int) -> list[Seen]:
    found: list[Seen] = []
    asked = {
        "since": stamp(ask.since),
        "now": stamp(shipments.now),
        "grace": f"+{ask.min_delay_h} hours",
        "waiting": json.dumps(FOR_SOMEBODY),
        "open": ask.status is None,
    }
    while len(found) <= ask.limit:
        rows = shipments.tx.rows("may_be_exceptions", after=after, limit=CHUNK, **asked)
        if not rows:
            break
        found += [seen for seen in map(shipments.seen, rows) if _is_exception(seen, ask)]
        after = rows[-1]["number"]
    return found


def _is_exception(seen: Seen, ask: port.ListExceptions) -> bool:
    stands = seen.standing
    if ask.status is not None and stands.status not in ask.status:
        return False
    if ask.status is None and (stands.status == "delivered" or seen.replaced):
        return False
    return stands.delay_h >= ask.min_delay_h or stands.status in FOR_SOMEBODY
