"""An invoice beside its purchase order. It only marks: what is not plainly the same is left to people."""

from decimal import Decimal

from lockkeep_servers.billing import checks, port


def compare(ask: port.RecordInvoice, order: port.PurchaseOrder | None) -> tuple[port.Match, list[str]]:
    """Return the mark, and in words what differs; the texts of vendors never stand in them.

    `matched` is one line without discount, of this vendor, in the order's currency, at an ordered price, and within
    what was ordered and is still open. A foreign, discounted or multi-line invoice is always a `mismatch`.
    """
    if ask.po_number is None:
        return "no_po", []
    if order is None:
        return "mismatch", ["po_number: no such order"]
    found = _parties(ask, order)
    if len(ask.lines) > 1:
        found.append(f"lines: {len(ask.lines)} billed, only one can be compared")
    if any(line.discount_minor for line in ask.lines):
        found.append("discount: billed, not ordered")
    if ask.currency == order.currency:
        found += _amounts(ask, order)
    return ("mismatch" if found else "matched"), found


def _parties(ask: port.RecordInvoice, order: port.PurchaseOrder) -> list[str]:
    pairs = [
        ("vendor", order.vendor_id, ask.vendor_id),
        ("currency", order.currency, ask.currency),
    ]
    return [
        f"{what}: {ordered} ordered, {billed} billed" for what, ordered, billed in pairs if ordered != billed
    ]


def _amounts(ask: port.RecordInvoice, order: port.PurchaseOrder) -> list[str]:
    """Prices and quantities are compared for a single line only; the sum always."""
    found = _line(ask.lines[0], order.lines) if len(ask.lines) == 1 else []
    billed = sum(checks.net(line) for line in ask.lines)
    if billed > order.open_minor:
        found.append(f"net: {order.open_minor} open, {billed} billed")
    return found


def _line(line: port.Line, ordered: list[port.OrderedLine]) -> list[str]:
    same = [one for one in ordered if one.unit_price_minor == line.unit_price_minor]
    if not same:
        prices = ", ".join(str(one.unit_price_minor) for one in ordered[:5])
        return [f"unit_price 1: {prices} ordered, {line.unit_price_minor} billed"]
    most = max((one.quantity for one in same), key=Decimal)
    if Decimal(line.quantity) > Decimal(most):
        return [f"quantity 1: {most} ordered, {line.quantity} billed"]
    return []
