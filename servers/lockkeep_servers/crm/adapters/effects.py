"""What each writer of the CRM does inside its transaction. Checks that need the store stand here, before the effect."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from lockkeep_servers.crm import checks, port
from lockkeep_servers.crm.adapters.records import Records
from lockkeep_servers.crm.stages import LOST, STAGES, allowed
from lockkeep_servers.kit.errors import (
    CheckFailed,
    Duplicate,
    IllegalTransition,
    Invalid,
    NotFound,
    WindowClosed,
)
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.results import Undo
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import parse_time, stamp

MONEY = frozenset({"value_minor", "currency"})
EDITABLE = {
    "lead": frozenset({"name", "email", "company", "country", "source", "industry", "employees"}) | MONEY,
    "contact": frozenset({"name", "email", "phone", "country"}),
    "company": frozenset({"name", "domain", "country", "industry", "employees"}),
    "deal": frozenset({"name"}) | MONEY,
}
NEVER_NULL = {
    "lead": frozenset({"name", "company", "source"}),
    "contact": frozenset({"name"}),
    "company": frozenset({"name"}),
    "deal": frozenset({"name"}) | MONEY,
}
CLOSED = ("stage", "lost_reason", "won_minor", "won_currency")  # how it ended
OPEN_LEAD = ("assigned", "contacted", "qualified")


def upsert_lead(records: Records, ask: port.UpsertLead) -> Effect:
    """The lead with this e-mail has these values; it is made if there is none."""
    checks.email_valid(ask.email)
    checks.company_present(ask.company)
    checks.name_present(ask.name)
    checks.amount_positive(ask.value_minor, ask.currency, "value_minor")
    names = EDITABLE["lead"] - {"email"}
    values = {name: getattr(ask, name) for name in sorted(names) if getattr(ask, name) is not None}
    row = records.tx.row("find_by_email", kind="lead", email_key=checks.email_key(ask.email))
    warnings = _warnings(records, ask, row)
    if row is None:
        if ask.expected_version is not None:
            raise NotFound("lead")
        return records.add("lead", {"email": ask.email, "stage": "new", **values}, warnings)
    records.expect(row, ask.expected_version)
    return records.save(row, values, warnings)


def _warnings(records: Records, ask: port.UpsertLead, row: Row | None) -> list[str]:
    domain, own = checks.domain_of(ask.email), row["id"] if row else ""
    known = [found["domain"] for found in records.tx.rows("known_domains")]
    alike = records.tx.rows("similar_records", domain=domain, id=own)
    same = [one["id"] for one in alike if checks.similar(ask.company, one["company"] or one["name"])]
    found: list[str] = []
    if row is not None:
        found.append("no_duplicate: a lead with this e-mail exists; it was updated")
    if same:
        found.append(f"no_duplicate: same domain and a similar company name: {', '.join(same[:5])}")
    if checks.lookalike(domain, known):
        found.append("domain_lookalike: the mail domain reads like a known one but is another")
    return found


def assign_owner(records: Records, ask: port.AssignOwner) -> Effect:
    """The owner is this one, or nobody; a lead that was new is assigned, one that loses its first owner is new again."""
    row = records.fetch(ask.kind, ask.id)
    records.expect(row, ask.expected_version)
    if ask.owner_id is not None and ask.owner_id != row["owner_id"]:
        _may_own(records, row, ask.owner_id)
    stage: str | None = row["stage"]
    if ask.kind == "lead" and ask.owner_id and stage == "new":
        stage = "assigned"
    elif ask.kind == "lead" and ask.owner_id is None and stage == "assigned":
        stage = "new"
    return records.save(row, {"owner_id": ask.owner_id, "stage": stage})


def _may_own(records: Records, row: Row, owner_id: str) -> None:
    owner = _active_owner(records, owner_id)
    countries = [
        found["country"] for found in records.tx.rows("owner_countries") if found["owner_id"] == owner_id
    ]
    if row["kind"] != "deal" and row["country"] not in countries:
        raise CheckFailed(
            "owner_territory", "This owner does not sell in that country.", hint="See list_owners."
        )
    takes_one = row["kind"] == "lead" and row["stage"] in ("new", *OPEN_LEAD)
    if takes_one and owner["open_leads"] >= owner["capacity"]:
        raise CheckFailed(
            "owner_capacity", "This owner has as many open leads as possible.", hint="See list_owners."
        )


def _active_owner(records: Records, owner_id: str) -> Row:
    owner = records.tx.row("owners", id=owner_id, active=None, territory=None)
    if owner is None:
        raise NotFound("owner")
    if not owner["active"]:
        raise CheckFailed(
            "owner_active", "This owner is not active.", hint="Choose another; see list_owners."
        )
    return owner


def update(records: Records, ask: port.Update) -> Effect:
    """The named fields have these values; null cleared them."""
    given = ask.changes.given()
    faults = {
        f"changes.{name}": f"is no field of a {ask.kind}" for name in given if name not in EDITABLE[ask.kind]
    }
    faults |= {
        f"changes.{n}": "cannot be empty" for n, v in given.items() if v is None and n in NEVER_NULL[ask.kind]
    }
    if not given:
        faults["changes"] = "needs one field at least"
    if not (given.get("name") or "-").strip():
        faults["changes.name"] = "must not be empty"
    if faults:
        raise Invalid(faults)
    row = records.fetch(ask.kind, ask.id)
    records.expect(row, ask.expected_version)
    wanted = {**row, **given}
    if given.get("email") is not None:
        _free_email(records, row, given["email"])
    if "company" in given:
        checks.company_present(wanted["company"])
    if MONEY & set(given):
        checks.amount_positive(wanted["value_minor"], wanted["currency"], "changes.value_minor")
    return records.save(row, given)


def _free_email(records: Records, row: Row, email: str) -> None:
    """The address is valid and nobody else's."""
    checks.email_valid(email)
    other = records.tx.row("find_by_email", kind=row["kind"], email_key=checks.email_key(email))
    if other is not None and other["id"] != row["id"]:
        raise Duplicate(row["kind"], other["id"])


def move_stage(records: Records, ask: port.MoveStage) -> Effect:
    """The record is in that stage; leaving won or lost takes the amount or the reason back."""
    if ask.stage not in STAGES[ask.kind]:
        raise Invalid({"stage": f"must be one of {', '.join(STAGES[ask.kind])}"})
    row = records.fetch(ask.kind, ask.id)
    records.expect(row, ask.expected_version)
    if ask.stage != row["stage"]:
        possible = allowed(ask.kind, row["stage"], row["owner_id"] is not None)
        if ask.stage not in possible:
            raise IllegalTransition(possible)
    effect = records.save(row, {"stage": ask.stage, **_closing(ask, row)})
    if effect.after:  # an undo closes it again, and needs for that what did not change, too
        same = {name: row[name] for name in CLOSED if row[name] is not None and name not in effect.after}
        effect = replace(effect, before={**same, **(effect.before or {})}, after={**same, **effect.after})
    final = not allowed(ask.kind, ask.stage, owned=True)
    return (
        replace(effect, undo=Undo(possible="no", note="A converted lead has no way back."))
        if final
        else effect
    )


def _closing(ask: port.MoveStage, row: Row) -> dict[str, Any]:
    won, lost = ask.stage == "closed_won", ask.stage == LOST[ask.kind]
    faults: dict[str, str] = {}
    if won != (ask.amount_minor is not None):
        faults["amount_minor"] = "is required to close as won" if won else "is for closing as won"
    if lost != (ask.lost_reason is not None):
        faults["lost_reason"] = "is required here" if lost else "is for a lost one"
    if won and ask.currency != row["currency"]:
        faults["currency"] = "must be the deal's own"
    if faults:
        raise Invalid(faults)
    checks.amount_positive(ask.amount_minor, ask.currency, "amount_minor")
    return {
        "lost_reason": ask.lost_reason,
        "won_minor": ask.amount_minor,
        "won_currency": ask.currency if won else None,
    }


def log_activity(records: Records, ask: port.LogActivity) -> Effect:
    """The activity stands beside its record."""
    records.fetch(ask.kind, ask.id)
    if ask.assignee is not None:
        _active_owner(records, ask.assignee)
    due = stamp(ask.due) if ask.due else None
    values = {"about_id": ask.id, "type": ask.type, "body": ask.body, "due": due, "owner_id": ask.assignee}
    return records.add("activity", values)


def archive(records: Records, ask: port.Archive) -> Effect:
    """The record is out of every list, or back in them; back for 30 days only."""
    row = records.fetch(ask.kind, ask.id)
    records.expect(row, ask.expected_version)
    if not ask.restore:
        return records.save(row, {"archived_at": row["archived_at"] or stamp(records.now)})
    if row["archived_at"] is None:
        return records.save(row, {})
    if _older(row["archived_at"], records.now):
        raise WindowClosed(port.ARCHIVE_DAYS)
    other = records.tx.row("find_by_email", kind=row["kind"], email_key=row["email_key"])
    if other is not None:
        raise Duplicate(row["kind"], other["id"])
    return records.save(row, {"archived_at": None})


def _older(at: str, now: datetime) -> bool:
    return parse_time(at) < now - timedelta(days=port.ARCHIVE_DAYS)
