"""A small server that keeps every promise, but for the one that the setting DEFECT names."""

import logging
import tempfile
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from anyio.lowlevel import checkpoint
from pydantic import Field

from lockkeep_servers.kit.arguments import Arguments, Id, Name, Paging, Reason, VersionedWrites, Writes
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.cursor import read_cursor, write_cursor
from lockkeep_servers.kit.errors import CheckFailed, Conflict, Invalid, NotFound, Unavailable, WindowClosed
from lockkeep_servers.kit.faults import read_fault
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import STATEMENTS, Attempt, Effect, GetReceipt, Receipts, Work
from lockkeep_servers.kit.results import Receipt, Receipted, Result, Undo
from lockkeep_servers.kit.run import run
from lockkeep_servers.kit.service import Service
from lockkeep_servers.kit.settings import Settings
from lockkeep_servers.kit.sqlite import Database, Row, Transaction, read_statements
from lockkeep_servers.kit.times import stamp
from lockkeep_servers.kit.toolserver import Run

logger = logging.getLogger(__name__)
HERE = Path(__file__).parent
Depot = Literal["north", "south"]


class ListVans(Paging):
    pass


class GetVan(Arguments):
    id: Id


class AddVan(Writes):
    plate: Name
    depot: Depot


class MoveVan(VersionedWrites):
    id: Id
    depot: Depot
    reason: Reason


class RemoveVan(VersionedWrites):
    id: Id


class Van(Result):
    id: str
    plate: str
    depot: Depot
    version: str


class Page(Result):
    items: list[Van]
    next_cursor: Annotated[str | None, Field(max_length=600)]


class Vans:
    """The fleet in one SQLite file, with at most one defect."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        statements = {**STATEMENTS, **read_statements(HERE / "fleet.sql")}
        self.database = Database(
            Path(settings.text("DATA") or tempfile.mkdtemp()) / "fleet.sqlite",
            statements,
            HERE / "migrations",
        )
        self.clock = clock
        self.defect = settings.text("DEFECT") or ""
        self.receipts = Receipts(self.database, clock, read_fault(settings.text("FAULT")))

    def session(self) -> AbstractAsyncContextManager[None]:
        return self.database.session()

    async def examine(self) -> list[Finding]:
        return self.database.examine()

    async def list_vans(self, ask: ListVans) -> Page:
        after = int(read_cursor(ask.cursor, {}) or 0)
        by_place = self.defect == "TC3"
        name = "vans_from_place" if by_place else "vans_after"
        rows = self.database.read(lambda tx: tx.rows(name, after=after, limit=ask.limit + 1))
        shown = rows[: ask.limit]
        last = after + len(shown) if by_place else shown[-1]["number"] if shown else 0
        more = write_cursor(str(last), {}) if len(rows) > ask.limit else None
        return Page(items=[_van(row) for row in shown], next_cursor=more)

    async def get_van(self, ask: GetVan) -> Van:
        row = self.database.read(lambda tx: tx.row("get_van", id=ask.id))
        if row is None:
            raise Unavailable if self.defect == "TC2" else NotFound("van")
        return _van(row)

    async def add_van(self, ask: AddVan, attempt: Attempt) -> Receipt:
        def work(tx: Transaction) -> Effect:
            id = tx.rows("add_van", plate=ask.plate, depot=ask.depot)[0]["id"]
            return Effect(id, "1", None, {"plate": ask.plate, "depot": ask.depot})

        return await self._write(attempt, work)

    async def move_van(self, ask: MoveVan, attempt: Attempt) -> Receipt:
        if self.defect == "TC4":
            ask.reason.encode("ascii")
        if self.defect == "logs":
            logger.info("moving a van: %s", ask.reason)
        if self.defect == "quotes" and not ask.reason.isalpha():
            raise Invalid({"reason": f"{ask.reason} is no reason"})

        def work(tx: Transaction) -> Effect:
            row = self._expected(tx, ask.id, ask.expected_version)
            if row["depot"] == ask.depot:
                raise CheckFailed("another_depot", "The van is there already.")
            tx.run("move_van", id=ask.id, depot=ask.depot)
            if self.defect == "TC8":
                tx.run("count_move", id=ask.id)
            return Effect(ask.id, str(row["version"] + 1), {"depot": row["depot"]}, {"depot": ask.depot})

        return await self._write(attempt, work)

    async def remove_van(self, ask: RemoveVan, attempt: Attempt) -> Receipt:
        def work(tx: Transaction) -> Effect:
            row = self._expected(tx, ask.id, ask.expected_version)
            tx.run("remove_van", id=ask.id, at=stamp(self.clock()))
            return Effect(ask.id, str(row["version"] + 1), {"removed": False}, {"removed": True})

        return await self._write(attempt, work)

    async def restore_van(self, ask: RemoveVan, attempt: Attempt) -> Receipt:
        def work(tx: Transaction) -> Effect:
            row = self._expected(tx, ask.id, ask.expected_version, "any_van")
            too_late = stamp(self.clock() - timedelta(days=30)) > (row["removed_at"] or "9")
            if too_late and self.defect != "late":
                raise WindowClosed(30)
            tx.run("remove_van", id=ask.id, at=None)
            undo = Undo(possible="no", note="Remove it again.")
            return Effect(ask.id, str(row["version"] + 1), {"removed": True}, {"removed": False}, undo)

        return await self._write(attempt, work)

    async def get_receipt(self, ask: GetReceipt) -> Receipted:
        return await self.receipts.get(ask)

    def _expected(self, tx: Transaction, id: str, version: str | None, name: str = "get_van") -> Row:
        row = tx.row(name, id=id)
        if row is None:
            raise NotFound("van")
        if version not in (None, str(row["version"])) and self.defect != "TC7":
            raise Conflict(str(row["version"]), [])
        return row

    async def _write(self, attempt: Attempt, work: Work) -> Receipt:
        """Once, as the kit does it; each defect does one thing worse."""
        if self.defect == "TC5" and attempt.tool == "add_van":
            attempt = replace(attempt, key=None)
        if self.defect == "TC9" and attempt.dry_run:
            await self.database.write(work)
        if self.defect == "TC6" and attempt.tool == "add_van" and not attempt.dry_run:
            return await self._in_two_transactions(attempt, work)
        if self.defect == "fence" and (await self._known(attempt)).state == "cancelled":
            attempt = replace(attempt, key=None)
        if self.defect == "race" and (await self._known(attempt)).state == "absent":
            await checkpoint()
            attempt = replace(attempt, key=f"{attempt.key}-{id(attempt)}")
        receipt = await self.receipts.write(attempt, work)
        guessed = attempt.dry_run and self.defect == "guess"
        return receipt.model_copy(update={"after": {"depot": "east"}}) if guessed else receipt

    async def _known(self, attempt: Attempt) -> Receipted:
        return await self.receipts.get(GetReceipt(idempotency_key=attempt.key or "no-key-given"))

    async def _in_two_transactions(self, attempt: Attempt, work: Work) -> Receipt:
        known = await self._known(attempt)
        effects: list[Effect] = []
        if known.state == "absent":
            effects.append(await self.database.write(work))
        return await self.receipts.write(attempt, lambda _: effects[0])


class Tools:
    """Each method is a tool."""

    def __init__(self, vans: Vans) -> None:
        self._vans = vans

    async def list_vans(self, ask: ListVans) -> Page:
        """List the vans."""
        return await self._vans.list_vans(ask)

    async def get_van(self, ask: GetVan) -> Van:
        """Read one van."""
        return await self._vans.get_van(ask)

    async def add_van(self, ask: AddVan) -> Receipt:
        """Take a van into the fleet."""
        return await self._vans.add_van(ask, Attempt.of("add_van", ask))

    async def move_van(self, ask: MoveVan) -> Receipt:
        """Move a van to the other depot."""
        try:
            return await self._vans.move_van(ask, Attempt.of("move_van", ask))
        except TimeoutError:
            if self._vans.defect != "TC10":
                raise
            raise Unavailable from None  # "nothing was applied", although it may have been

    async def remove_van(self, ask: RemoveVan) -> Receipt:
        """Take a van out of the fleet."""
        return await self._vans.remove_van(ask, Attempt.of("remove_van", ask))

    async def restore_van(self, ask: RemoveVan) -> Receipt:
        """Take a van back that was removed less than 30 days ago."""
        return await self._vans.restore_van(ask, Attempt.of("restore_van", ask))

    async def get_receipt(self, ask: GetReceipt) -> Receipted:
        """Tell what became of a key."""
        return await self._vans.get_receipt(ask)

    def all(self) -> list[Run]:
        return [
            self.list_vans, self.get_van, self.add_van, self.move_van, self.remove_van, self.restore_van,
            self.get_receipt,
        ]  # fmt: skip


class LongWinded(Tools):
    """TC1: a description nobody reads to its end."""

    async def get_van(self, ask: GetVan) -> Van:
        return await super().get_van(ask)

    get_van.__doc__ = "Read one van. " * 20


def _van(row: Row) -> Van:
    return Van.model_validate(
        {**{n: row[n] for n in ("id", "plate", "depot")}, "version": str(row["version"])}
    )


def _tools(vans: Any, settings: Settings) -> list[Run]:
    kind: Callable[[Any], Tools] = LongWinded if settings.text("DEFECT") == "TC1" else Tools
    return kind(vans).all()


SERVICE = Service(name="fleet", folder=HERE, open=Vans, tools=_tools, instructions="Vans.", keys=("DEFECT",))
build = SERVICE.build


def main() -> None:
    run(SERVICE)
