"""The CRM in one SQLite file; several processes may share it."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeVar

from lockkeep_servers.crm import port
from lockkeep_servers.crm.adapters import accounts, effects
from lockkeep_servers.crm.adapters.records import COLUMNS, Records
from lockkeep_servers.crm.checks import email_key, similar
from lockkeep_servers.kit.arguments import Writes
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.cursor import read_row, write_cursor
from lockkeep_servers.kit.errors import Invalid, NotFound
from lockkeep_servers.kit.faults import NO_FAULT, Fault
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import STATEMENTS, Attempt, Effect, GetReceipt, Receipts
from lockkeep_servers.kit.results import Receipt, Receipted
from lockkeep_servers.kit.sqlite import Database, Row, Transaction, read_statements
from lockkeep_servers.kit.times import stamp
from lockkeep_servers.kit.world.places import territory_of

HERE = Path(__file__).parent
FILTERS = ("query", "email", "domain", "stage", "owner_id", "updated_after")
W = TypeVar("W", bound=Writes)


class EmbeddedCrm:
    """Answers `Crm` from `crm.sqlite` in the data folder."""

    def __init__(self, folder: Path, clock: Clock, fault: Fault = NO_FAULT) -> None:
        own = [read_statements(HERE / name) for name in ("embedded.sql", "accounts.sql")]
        statements = {**STATEMENTS, **own[0], **own[1]}
        self.database = Database(folder / "crm.sqlite", statements, HERE / "migrations")
        self._clock = clock
        self.receipts = Receipts(self.database, clock, fault)

    def session(self) -> AbstractAsyncContextManager[None]:
        return self.database.session()

    async def examine(self) -> list[Finding]:
        return self.database.examine()

    async def search(self, ask: port.Search) -> port.Page:
        """Return the records that match, in order of arrival."""
        filters = ask.model_dump(exclude={"cursor", "limit"})
        if all(filters[name] is None for name in FILTERS):
            raise Invalid({"query": "or another filter is required"})
        after = read_row(ask.cursor, filters)
        rows = self.database.read(
            lambda tx: tx.rows(
                "search_records",
                kind=ask.kind,
                query=ask.query.casefold() if ask.query else None,
                email_key=email_key(ask.email),
                domain=ask.domain.lower() if ask.domain else None,
                stage=ask.stage,
                owner_id=ask.owner_id,
                updated_after=stamp(ask.updated_after) if ask.updated_after else None,
                after=after,
                limit=ask.limit + 1,
            )
        )
        shown = rows[: ask.limit]
        more = write_cursor(str(shown[-1]["number"]), filters) if len(rows) > ask.limit else None
        return port.Page(items=[_short(row) for row in shown], next_cursor=more)

    async def get(self, ask: port.Get) -> port.Found:
        return self.database.read(lambda tx: _found(tx, ask))

    async def list_owners(self, ask: port.ListOwners) -> port.Owners:
        def work(tx: Transaction) -> port.Owners:
            active = None if ask.active is None else int(ask.active)
            rows = tx.rows("owners", id=None, territory=ask.territory, active=active)
            places = tx.rows("owner_countries")
            stages = port.Stages(lead=list(port.LEAD_STAGES), deal=list(port.DEAL_STAGES))
            return port.Owners(owners=[_owner(row, places) for row in rows], stages=stages)

        return self.database.read(work)

    async def enrich_company(self, ask: port.EnrichCompany) -> port.Company:
        row = self.database.read(lambda tx: tx.row("look_up_domain", domain=ask.domain.strip().lower()))
        if row is None:
            raise NotFound("company")
        return port.Company.model_validate({name: value for name, value in row.items() if name != "domain"})

    async def upsert_lead(self, ask: port.UpsertLead, attempt: Attempt) -> Receipt:
        return await self._write(effects.upsert_lead, ask, attempt)

    async def assign_owner(self, ask: port.AssignOwner, attempt: Attempt) -> Receipt:
        return await self._write(effects.assign_owner, ask, attempt)

    async def update(self, ask: port.Update, attempt: Attempt) -> Receipt:
        return await self._write(effects.update, ask, attempt)

    async def move_stage(self, ask: port.MoveStage, attempt: Attempt) -> Receipt:
        return await self._write(effects.move_stage, ask, attempt)

    async def log_activity(self, ask: port.LogActivity, attempt: Attempt) -> Receipt:
        return await self._write(effects.log_activity, ask, attempt)

    async def archive(self, ask: port.Archive, attempt: Attempt) -> Receipt:
        return await self._write(effects.archive, ask, attempt)

    async def create_account(self, ask: port.CreateAccount, attempt: Attempt) -> Receipt:
        return await self.receipts.write(attempt, lambda tx: accounts.create_account(tx, self._clock(), ask))

    async def set_account_status(self, ask: port.SetAccountStatus, attempt: Attempt) -> Receipt:
        return await self.receipts.write(
            attempt, lambda tx: accounts.set_account_status(tx, self._clock(), ask)
        )

    async def get_receipt(self, ask: GetReceipt) -> Receipted:
        return await self.receipts.get(ask)

    async def _write(self, effect: Callable[[Records, W], Effect], ask: W, attempt: Attempt) -> Receipt:
        return await self.receipts.write(
            attempt, lambda tx: effect(Records(tx, attempt.tool, self._clock()), ask)
        )


def _short(row: Row) -> port.Short:
    return port.Short.model_validate(
        {**{n: row[n] for n in port.Short.model_fields if n in row}, "version": str(row["version"])}
    )


def _found(tx: Transaction, ask: port.Get) -> port.Found:
    if ask.kind == "account":
        return accounts.found(tx, ask.id)
    row = tx.row("get_record", kind=ask.kind, id=ask.id)
    if row is None:
        raise NotFound(ask.kind)
    record = {name: row[name] for name in (*COLUMNS, "kind", "id", "created_at", "updated_at")}
    territory = territory_of(row["country"])
    alike = tx.rows("similar_records", domain=row["domain"], id=row["id"]) if row["domain"] else []
    mine = row["company"] or row["name"]
    changes = [
        {
            "at": c["at"],
            "by": c["by"],
            "field": c["field"],
            "from": json.loads(c["old"]),
            "to": json.loads(c["new"]),
        }
        for c in tx.rows("last_changes", id=row["id"])
    ]
    return port.Found(
        record=port.Record.model_validate(
            {**record, "territory": territory, "archived": row["archived_at"] is not None}
        ),
        version=str(row["version"]),
        links=_links(tx, row),
        possible_duplicates=[
            port.Link(kind=one["kind"], id=one["id"])
            for one in alike
            if one["kind"] == row["kind"] and similar(mine, one["company"] or one["name"])
        ],
        changes=[port.Change.model_validate(change) for change in changes],
    )


def _links(tx: Transaction, row: Row) -> list[port.Link]:
    links = [port.Link(kind=one["kind"], id=one["id"]) for one in tx.rows("records_about", id=row["id"])]
    if row["about_id"]:
        links.append(port.Link(kind=_kind_of(row["about_id"]), id=row["about_id"]))
    if (
        row["domain"]
        and row["kind"] != "company"
        and (found := tx.row("company_of_domain", domain=row["domain"]))
    ):
        links.append(port.Link(kind="company", id=found["id"]))
    return links


def _kind_of(id: str) -> str:
    kinds = {"led": "lead", "con": "contact", "cmp": "company", "del": "deal", "act": "activity"}
    return kinds[id.partition("_")[0]]


def _owner(row: Row, places: list[Row]) -> port.Owner:
    mine = [place for place in places if place["owner_id"] == row["id"]]
    return port.Owner(
        id=row["id"],
        name=row["name"],
        tz=row["tz"],
        active=bool(row["active"]),
        territories=list(dict.fromkeys(place["territory"] for place in mine)),
        countries=[place["country"] for place in mine],
        capacity=row["capacity"],
        open_leads=row["open_leads"],
    )
