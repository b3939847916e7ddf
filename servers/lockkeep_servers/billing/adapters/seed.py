"""The world's payments and bills, written into an empty store in one transaction."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from lockkeep_servers.billing.adapters.books import PENDING
from lockkeep_servers.billing.checks import number_key
from lockkeep_servers.kit.sqlite import Database, Transaction
from lockkeep_servers.kit.times import stamp
from lockkeep_servers.kit.world import World
from lockkeep_servers.kit.world.invoices import Invoice, PurchaseOrder, Vendor
from lockkeep_servers.kit.world.payments import Payment, Refund


@dataclass(frozen=True)
class Stock:
    """What an empty store begins with."""

    day: date
    payments: Sequence[Payment] = ()
    vendors: Sequence[Vendor] = ()
    purchase_orders: Sequence[PurchaseOrder] = ()
    invoices: Sequence[Invoice] = ()

    @classmethod
    def of(cls, world: World) -> "Stock":
        return cls(world.day, world.payments, world.vendors, world.purchase_orders, world.invoices)


def seed(database: Database, stock: Callable[[], Stock]) -> None:
    """An empty store holds this, made only then; any other stays as it is."""
    with database.opened():
        database.write_now(lambda tx: None if tx.rows("count_all")[0]["count"] else _fill(tx, stock()))


def _fill(tx: Transaction, stock: Stock) -> None:
    for payment in stock.payments:
        _add_payment(tx, payment, stock.day)
    for vendor in stock.vendors:
        tx.run("add_vendor", id=vendor.id, name=vendor.name, active=int(vendor.active))
    for order in stock.purchase_orders:
        tx.run(
            "add_order",
            **_only(asdict(order), "po_number vendor_id currency total_minor"),
            po_key=number_key(order.po_number),
            ordered_on=order.ordered_on.isoformat(),
            lines=json.dumps([asdict(line) for line in order.lines]),
        )
    for invoice in stock.invoices:
        _add_invoice(tx, invoice)


def _add_payment(tx: Transaction, payment: Payment, day: date) -> None:
    failed = payment.status == "failed"  # nothing came in, so nothing can go back
    tx.run(
        "add_payment",
        **_only(asdict(payment), "id order_id customer_id currency method"),
        captured_at=stamp(payment.captured_at),
        captured_minor=0 if failed else payment.captured_minor,
        refunded_minor=payment.refunded_minor,
        disputed=int(payment.disputed),
    )
    for refund in payment.refunds:
        names = "id payment_id amount_minor currency reason order_id ticket_id repeat_of by"
        tx.run(
            "add_refund",
            **_only(asdict(refund), names),
            created_at=stamp(refund.created_at),
            settles_at=stamp(_settles(refund, day)),
            outcome="failed" if refund.status == "failed" else None,
        )


def _settles(refund: Refund, day: date) -> datetime:
    """What the world calls pending stays so through its day; what it calls done has gone out before it."""
    begins = datetime.combine(day, time(), UTC)
    if refund.status == "pending":
        return begins + timedelta(days=1)
    return min(refund.created_at + PENDING, begins)


def _add_invoice(tx: Transaction, invoice: Invoice) -> None:
    handed_in = [change.at for change in invoice.history if change.new == "submitted"]
    discount, tax = (sum(getattr(x, name) for x in invoice.lines) for name in ("discount_minor", "tax_minor"))
    tx.run(
        "add_invoice",
        **_only(asdict(invoice), "id vendor_id currency total_minor po_number match status"),
        vendor_number=invoice.number,
        number_key=number_key(invoice.number),
        issued=invoice.issued.isoformat(),
        due=invoice.due.isoformat(),
        lines=json.dumps([asdict(line) for line in invoice.lines]),
        net_minor=invoice.total_minor - tax,
        discount_minor=discount,
        tax_minor=tax,
        po_key=number_key(invoice.po_number) if invoice.po_number is not None else None,
        differences=json.dumps(invoice.differences),
        submitted_at=stamp(handed_in[-1]) if handed_in and invoice.status != "draft" else None,
        updated_at=stamp(invoice.history[-1].at if invoice.history else invoice.recorded_at),
    )
    for change in invoice.history:
        tx.run("add_change", **{**asdict(change), "subject_id": invoice.id, "at": stamp(change.at)})


def _only(values: dict[str, Any], names: str) -> dict[str, Any]:
    return {name: values[name] for name in names.split()}
