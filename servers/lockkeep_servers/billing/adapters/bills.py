"""What the writers of invoices do inside their transaction."""

import json
from datetime import timedelta

from lockkeep_servers.billing import checks, port
from lockkeep_servers.billing.adapters.books import Books, expect, moved
from lockkeep_servers.billing.matching import compare
from lockkeep_servers.kit.errors import NotFound, WindowClosed
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.results import Undo
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import parse_time, stamp


def record_invoice(books: Books, ask: port.RecordInvoice) -> Effect:
    """The invoice is a draft, marked by how it matches its purchase order."""
    checks.invoice_meant(ask)
    key = checks.number_key(ask.number)
    vendor = books.tx.row("get_vendor", id=ask.vendor_id)
    if vendor is None:
        raise NotFound("vendor")
    if known := books.tx.row("find_by_number", vendor_id=ask.vendor_id, number_key=key):
        raise checks.Recorded(known["id"])
    match, differences = compare(ask, books.order(ask.po_number) if ask.po_number is not None else None)
    id, asked = books.next_id("invoice"), ask.model_dump(mode="json", exclude={"idempotency_key", "dry_run"})
    books.tx.run(
        "add_invoice",
        **{name: asked[name] for name in ("vendor_id", "issued", "due", "currency", "total_minor")},
        id=id,
        vendor_number=ask.number,
        number_key=key,
        lines=json.dumps(asked["lines"]),
        net_minor=sum(checks.net(line) for line in ask.lines),
        discount_minor=sum(line.discount_minor for line in ask.lines),
        tax_minor=sum(line.tax_minor for line in ask.lines),
        po_number=ask.po_number,
        po_key=checks.number_key(ask.po_number, "po_number") if ask.po_number is not None else None,
        match=match,
        differences=json.dumps(differences),
        status="draft",
        submitted_at=None,
        updated_at=stamp(books.now),
    )
    books.remember(id, None, "draft", None)
    seen = {name: value for name, value in asked.items() if value is not None and name != "lines"}
    after = {**seen, "status": "draft", "match": match, "differences": differences}
    return Effect(id, "1", None, after, warnings=tuple(_warnings(vendor, differences)))


def _warnings(vendor: Row, differences: list[str]) -> list[str]:
    idle = [] if vendor["active"] else ["vendor_active: we do not buy from this vendor any more"]
    return [*idle, *(f"po_match: {difference}" for difference in differences)]


def submit_invoice(books: Books, ask: port.SubmitInvoice) -> Effect:
    """The draft waits for accounting."""
    row = books.invoice(ask.invoice_id)
    expect(row, ask.expected_version)
    return _move(books, row, "submitted", None)


def void_invoice(books: Books, ask: port.VoidInvoice) -> Effect:
    """The invoice counts nowhere, for ever; its number is free."""
    row = books.invoice(ask.invoice_id)
    expect(row, ask.expected_version)
    return _move(
        books, row, "void", ask.reason, Undo(possible="no", note="Record the invoice again instead.")
    )


def withdraw_invoice(books: Books, ask: port.WithdrawInvoice) -> Effect:
    """A submitted invoice is a draft again; for 30 days, and only until somebody decided."""
    row = books.invoice(ask.id)
    expect(row, ask.expected_version)
    since = row["submitted_at"] if row["status"] == "submitted" else None
    if since is not None and parse_time(since) < books.now - timedelta(days=port.WITHDRAW_DAYS):
        raise WindowClosed(port.WITHDRAW_DAYS)
    return _move(books, row, "draft", ask.reason, Undo(possible="no", note="Submit it again instead."))


def _move(books: Books, row: Row, status: str, reason: str | None, undo: Undo | None = None) -> Effect:
    """The invoice has this status; where it had it before, nothing moves."""
    if row["status"] == status:
        return Effect(row["id"], str(row["version"]), {}, {})
    checks.may_become(row["status"], status)
    submitted_at = {"draft": None, "submitted": stamp(books.now)}.get(status, row["submitted_at"])
    times = {"submitted_at": submitted_at, "updated_at": stamp(books.now)}
    moved(books.tx.run("move_invoice", id=row["id"], version=row["version"], status=status, **times))
    books.remember(row["id"], row["status"], status, reason)
    images = {"status": row["status"]}, {"status": status}
    return Effect(row["id"], str(row["version"] + 1), *images, undo=undo)
