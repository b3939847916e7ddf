"""Customers' accounts in the embedded CRM: opened once a customer, moved from status to status until closed."""

import json
from datetime import datetime
from typing import Any

from lockkeep_servers.crm import checks, port
from lockkeep_servers.kit.errors import Conflict, Duplicate, IllegalTransition, NotFound
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.results import Undo
from lockkeep_servers.kit.sqlite import Row, Transaction
from lockkeep_servers.kit.times import stamp

ALLOWED: dict[str, list[str]] = {
    "pending": ["onboarding_started", "suspended", "closed"],
    "onboarding_started": ["pending", "active", "suspended", "closed"],
    "active": ["onboarding_started", "suspended", "closed"],
    "suspended": ["pending", "onboarding_started", "active", "closed"],
    "closed": [],
}


def create_account(tx: Transaction, now: datetime, ask: port.CreateAccount) -> Effect:
    """The customer has one account; asked for again as it is, nothing moves."""
    checks.email_valid(ask.email)
    row = tx.row("account_of_customer", customer_id=ask.customer_id)
    if row is not None:
        if (row["email"], row["plan"]) != (ask.email, ask.plan):
            raise Duplicate("account", row["id"])
        return Effect(row["id"], str(row["version"]), {}, {})
    id = f"acc_{tx.rows('next_number', kind='account')[0]['last']}"
    values = {"customer_id": ask.customer_id, "email": ask.email, "plan": ask.plan}
    tx.run("add_account", id=id, **values, at=stamp(now))
    after = {**values, "status": "pending"}
    for field, value in after.items():
        _remember(tx, now, "create_account", id, 1, field, None, value)
    return Effect(id, "1", None, after)


def set_account_status(tx: Transaction, now: datetime, ask: port.SetAccountStatus) -> Effect:
    """The account has that status; closed is final."""
    row = _fetch(tx, ask.id)
    version, was = row["version"], row["status"]
    if ask.expected_version not in (None, str(version)):
        raise Conflict(str(version), ["status"])
    if ask.status == was:
        return Effect(row["id"], str(version), {}, {})
    if ask.status not in ALLOWED[was]:
        raise IllegalTransition(ALLOWED[was])
    tx.run("set_account_status", id=row["id"], status=ask.status, version=version, at=stamp(now))
    _remember(tx, now, "set_account_status", row["id"], version + 1, "status", was, ask.status)
    final = Undo(possible="no", note="A closed account stays closed.") if ask.status == "closed" else None
    return Effect(row["id"], str(version + 1), {"status": was}, {"status": ask.status}, undo=final)


def found(tx: Transaction, id: str) -> port.Found:
    """Return an account as `get` shows it."""
    row = _fetch(tx, id)
    fields = {
        name: row[name]
        for name in ("id", "email", "customer_id", "plan", "status", "created_at", "updated_at")
    }
    changes = [
        port.Change.model_validate({
            "at": each["at"], "by": each["by"], "field": each["field"],
            "from": json.loads(each["old"]), "to": json.loads(each["new"]),
        })
        for each in tx.rows("last_account_changes", id=id)
    ]  # fmt: skip
    return port.Found(
        record=port.Record.model_validate({**fields, "kind": "account", "archived": False}),
        version=str(row["version"]),
        links=[],
        possible_duplicates=[],
        changes=changes,
    )


def _fetch(tx: Transaction, id: str) -> Row:
    row = tx.row("get_account", id=id)
    if row is None:
        raise NotFound("account")
    return row


def _remember(
    tx: Transaction, now: datetime, tool: str, id: str, version: int, field: str, old: Any, new: Any
) -> None:
    tx.run(
        "add_account_change",
        account_id=id,
        version=version,
        at=stamp(now),
        by=f"tool:{tool}",
        field=field,
        old=json.dumps(old),
        new=json.dumps(new),
    )
