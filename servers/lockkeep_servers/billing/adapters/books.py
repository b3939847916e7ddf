"""The rows of one transaction, and how callers see them."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lockkeep_servers.billing import checks, port
from lockkeep_servers.kit.errors import Conflict, NotFound
from lockkeep_servers.kit.money import exponent
from lockkeep_servers.kit.sqlite import Row, Transaction
from lockkeep_servers.kit.times import parse_time, stamp

# So long a refund waits here before it has gone out; the manifest's window says the same.
PENDING = timedelta(hours=1)
PREFIX = {"refund": "ref", "invoice": "inv"}


@dataclass(frozen=True)
class Books:
    """What one tool reads and changes at one time."""

    tx: Transaction
    now: datetime
    tool: str = ""

    def payment(self, id: str) -> Row:
        return _found(self.tx.row("get_payment", id=id), "payment")

    def refund(self, id: str) -> Row:
        return _found(self.tx.row("get_refund", id=id), "refund")

    def invoice(self, id: str) -> Row:
        return _found(self.tx.row("get_invoice", id=id), "invoice")

    def order(self, po_number: str) -> port.PurchaseOrder | None:
        row = self.tx.row("get_order", po_key=checks.number_key(po_number, "po_number"))
        if row is None:
            return None
        return port.PurchaseOrder.model_validate(
            {
                **_only(row, port.PurchaseOrder),
                "lines": json.loads(row["lines"]),
                "digits": exponent(row["currency"]),
            }
        )

    def next_id(self, kind: str) -> str:
        return f"{PREFIX[kind]}_{self.tx.rows('next_number', kind=kind)[0]['last']}"

    def remember(self, id: str, old: str | None, new: str, reason: str | None) -> None:
        at, by = stamp(self.now), f"tool:{self.tool}"
        self.tx.run("add_change", subject_id=id, at=at, by=by, old=old, new=new, reason=reason)

    def status_of(self, refund: Row) -> port.RefundStatus:
        """A refund goes out by itself: the clock tells, nothing has to run."""
        if refund["outcome"] is not None:
            return refund["outcome"]
        return "pending" if parse_time(refund["settles_at"]) > self.now else "succeeded"

    def refund_seen(self, row: Row) -> port.Refund:
        return port.Refund.model_validate(
            {**_only(row, port.Refund), "status": self.status_of(row), "version": str(row["version"])}
        )

    def payment_seen(self, row: Row) -> port.Payment:
        refunds = [self.refund_seen(one) for one in self.tx.rows("refunds_of", payment_id=row["id"])]
        return port.Payment.model_validate(
            {
                **payment_listed(row).model_dump(),
                **{name: row[name] for name in ("refunded_minor", "method")},
                "digits": exponent(row["currency"]),
                "refunds": refunds,
            }
        )

    def invoice_seen(self, row: Row) -> port.Invoice:
        changes = [
            {"at": one["at"], "by": one["by"], "from": one["old"], "to": one["new"], "reason": one["reason"]}
            for one in self.tx.rows("changes_of", id=row["id"])
        ]
        return port.Invoice.model_validate(
            {
                **_only(row, port.Invoice),
                **_invoice_named(row),
                "lines": json.loads(row["lines"]),
                "differences": json.loads(row["differences"]),
                "digits": exponent(row["currency"]),
                "changes": changes,
            }
        )


def expect(row: Row, version: str | None) -> None:
    """The caller decided on this version, or named none. Only the status of a refund or an invoice ever changes."""
    if version is not None and version != str(row["version"]):
        raise Conflict(str(row["version"]), ["status"])


def moved(count: int) -> None:
    """A guarded statement found its row: nobody else writes within this transaction."""
    if count != 1:
        raise RuntimeError("the row moved inside its own transaction")


def payment_listed(row: Row) -> port.ShortPayment:
    refundable = row["captured_minor"] - row["refunded_minor"]
    return port.ShortPayment.model_validate(
        {**_only(row, port.ShortPayment), "refundable_minor": refundable, "disputed": bool(row["disputed"])}
    )


def invoice_listed(row: Row) -> port.ShortInvoice:
    return port.ShortInvoice.model_validate({**_only(row, port.ShortInvoice), **_invoice_named(row)})


def _invoice_named(row: Row) -> dict[str, Any]:
    return {"number": row["vendor_number"], "version": str(row["version"])}


def _only(row: Row, model: type[port.Result]) -> dict[str, Any]:
    return {name: row[name] for name in model.model_fields if name in row}


def _found(row: Row | None, kind: str) -> Row:
    if row is None:
        raise NotFound(kind)
    return row
