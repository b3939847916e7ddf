"""The world's part that the CRM keeps, written into an empty store in one transaction."""

import json
from dataclasses import asdict
from typing import Any

from lockkeep_servers.crm.adapters.records import COLUMNS
from lockkeep_servers.crm.checks import domain_of, email_key
from lockkeep_servers.kit.sqlite import Database, Transaction
from lockkeep_servers.kit.times import stamp
from lockkeep_servers.kit.world import World
from lockkeep_servers.kit.world.places import TERRITORIES
from lockkeep_servers.kit.world.times import at
from lockkeep_servers.kit.world.work import CHECKERS

CHECKER = CHECKERS["lead_routing"]


def seed(database: Database, world: World) -> None:
    """An empty store holds the world; any other stays as it is."""
    with database.opened():
        database.write_now(lambda tx: None if tx.rows("count_owners")[0]["count"] else _fill(tx, world))


def _fill(tx: Transaction, world: World) -> None:
    for rep in world.reps:
        tx.run("add_owner", **{**_only(asdict(rep), "id name email tz capacity"), "active": int(rep.active)})
        for territory in rep.territories:
            for country in TERRITORIES[territory]:
                tx.run("add_owner_country", owner_id=rep.id, territory=territory, country=country)
    as_of = stamp(at(world.day, 1, 0))
    for listing in world.directory:
        tx.run("add_listing", **asdict(listing), as_of=as_of)
    for company in world.companies:
        _add(tx, "company", asdict(company), as_of)
    for contact in world.contacts:
        _add(tx, "contact", _without(asdict(contact), "company_id") | {"about_id": contact.company_id}, as_of)
    for deal in world.deals:
        _add(
            tx,
            "deal",
            _without(asdict(deal), "created_at", "company_id")
            | {"about_id": deal.company_id, "won_currency": deal.currency if deal.won_minor else None},
            stamp(deal.created_at),
        )
    for lead in world.leads:
        _add(tx, "lead", _without(asdict(lead), "created_at"), stamp(lead.created_at))
    for account in world.accounts:
        values = _only(asdict(account), "id customer_id email plan status")
        tx.run("seed_account", **values, at=stamp(account.created_at))
    for case in world.lead_cases:
        _changed(tx, case.subject_id, stamp(case.done_at), case.person, None, case.decision)
        if case.corrected_at:
            _changed(tx, case.subject_id, stamp(case.corrected_at), CHECKER, case.decision, case.right)


def _add(tx: Transaction, kind: str, values: dict[str, Any], created: str) -> None:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {
        "kind": kind,
        "version": 1,
        "archived_at": None,
        "created_at": created,
        "updated_at": created,
        **values,
    }
    domain = domain_of(row["email"]) if kind in ("lead", "contact") else row["domain"]
    tx.run("add_record", **{**row, "email_key": email_key(row["email"]), "domain": domain})


def _changed(tx: Transaction, id: str, at: str, by: str, old: str | None, new: str | None) -> None:
    texts = {"old": json.dumps(old), "new": json.dumps(new)}
    tx.run("add_change", record_id=id, version=1, at=at, by=by, field="owner_id", **texts)


def _only(values: dict[str, Any], names: str) -> dict[str, Any]:
    return {name: values[name] for name in names.split()}


def _without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
