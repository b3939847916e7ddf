"""The default back end of the fleet: one SQLite file."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.cursor import read_row, write_cursor
from lockkeep_servers.kit.errors import Conflict, Duplicate, NotFound
from lockkeep_servers.kit.faults import NO_FAULT, Fault
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import STATEMENTS, Attempt, Effect, GetReceipt, Receipts
from lockkeep_servers.kit.results import Receipt, Receipted, changed
from lockkeep_servers.kit.sqlite import Database, Row, Transaction, read_statements
from lockkeep_servers.kit.times import parse_time, stamp
from lockkeep_servers.new.fleet import port

HERE = Path(__file__).parent
VANS = (("AB 10 CDE", "north"), ("AB 11 CDE", "south"), ("AB 13 CDE", "west"), ("AB 14 CDE", "north"))


class EmbeddedFleet:
    """Answers `Fleet` from `fleet.sqlite` in the data folder."""

    def __init__(self, folder: Path, clock: Clock, fault: Fault = NO_FAULT) -> None:
        statements = {**STATEMENTS, **read_statements(HERE / "embedded.sql")}
        self.database = Database(folder / "fleet.sqlite", statements, HERE / "migrations")
        self.receipts = Receipts(self.database, clock, fault)
        self._clock = clock

    def seed(self) -> None:
        """An empty store holds four vans; any other stays as it is."""

        def work(tx: Transaction) -> None:
            if not tx.rows("list_vans", depot=None, retired=0, after=0, limit=1):
                for plate, depot in VANS:
                    tx.rows("add_van", plate=plate, depot=depot, at=stamp(self._clock()))

        with self.database.opened():
            self.database.write_now(work)

    def session(self) -> AbstractAsyncContextManager[None]:
        return self.database.session()

    async def examine(self) -> list[Finding]:
        return self.database.examine()

    async def list_vans(self, ask: port.ListVans) -> port.Page:
        """Return the vans in order of arrival, so that pages lose and double nothing."""
        filters = ask.model_dump(exclude={"cursor", "limit"})
        after = read_row(ask.cursor, filters)
        rows = self.database.read(
            lambda tx: tx.rows(
                "list_vans", depot=ask.depot, retired=int(ask.retired), after=after, limit=ask.limit + 1
            )
        )
        shown = rows[: ask.limit]
        more = write_cursor(str(shown[-1]["number"]), filters) if len(rows) > ask.limit else None
        return port.Page(items=[_van(row) for row in shown], next_cursor=more)

    async def get_van(self, ask: port.GetVan) -> port.Van:
        return self.database.read(lambda tx: _van(_fetch(tx, ask.id, None)))

    async def register_van(self, ask: port.RegisterVan, attempt: Attempt) -> Receipt:
        return await self.receipts.write(attempt, lambda tx: self._register(tx, ask))

    async def move_van(self, ask: port.MoveVan, attempt: Attempt) -> Receipt:
        """The van stands at that depot."""
        return await self.receipts.write(attempt, lambda tx: self._save(tx, ask, {"depot": ask.depot}))

    async def retire_van(self, ask: port.RetireVan, attempt: Attempt) -> Receipt:
        """The van is out of service, or back in it."""
        return await self.receipts.write(
            attempt, lambda tx: self._save(tx, ask, {"retired": int(ask.retired)})
        )

    async def get_receipt(self, ask: GetReceipt) -> Receipted:
        return await self.receipts.get(ask)

    def _register(self, tx: Transaction, ask: port.RegisterVan) -> Effect:
        there = tx.row("van_of_plate", plate=ask.plate)
        if there is not None:
            raise Duplicate("van", there["id"])
        row = tx.rows("add_van", plate=ask.plate, depot=ask.depot, at=stamp(self._clock()))[0]
        return Effect(row["id"], "1", None, {"plate": ask.plate, "depot": ask.depot, "retired": False})

    def _save(self, tx: Transaction, ask: port.MoveVan | port.RetireVan, changes: dict[str, Any]) -> Effect:
        """Write the changed fields one version further; without any, nothing moves."""
        row = _fetch(tx, ask.id, ask.expected_version)
        wanted = {**row, **changes}
        before, after = changed(_fields(row), _fields(wanted))
        version = row["version"] + bool(after)
        if after:
            tx.run(
                "write_van",
                id=row["id"],
                depot=wanted["depot"],
                retired=wanted["retired"],
                version=row["version"],
                at=stamp(self._clock()),
            )
        return Effect(row["id"], str(version), before, after)


def _fetch(tx: Transaction, id: str, version: str | None) -> Row:
    """Return the van as the caller expects it."""
    row = tx.row("get_van", id=id)
    if row is None:
        raise NotFound("van")
    if version not in (None, str(row["version"])):
        raise Conflict(str(row["version"]), ["depot", "retired"])
    return row


def _fields(row: Row) -> dict[str, Any]:
    return {"depot": row["depot"], "retired": bool(row["retired"])}


def _van(row: Row) -> port.Van:
    return port.Van(
        id=row["id"],
        plate=row["plate"],
        depot=row["depot"],
        retired=bool(row["retired"]),
        version=str(row["version"]),
        updated_at=parse_time(row["updated_at"]),
    )
