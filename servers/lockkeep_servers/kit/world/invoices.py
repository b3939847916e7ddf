"""What vendors bill us: vendors, what we ordered from them, recorded invoices, and papers that came in today.

Money is whole minor units of `currency`; quantities are decimal text ("12", "2.5"); days are dates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from lockkeep_servers.kit.world import bills
from lockkeep_servers.kit.world.bills import Bill, InvoiceLine, PurchaseLine, Vendor
from lockkeep_servers.kit.world.dice import Dice
from lockkeep_servers.kit.world.sizes import numbers
from lockkeep_servers.kit.world.times import at
from lockkeep_servers.kit.world.work import Work, work

RIGHT: Mapping[str, str] = {
    "plain": "submit", "part": "submit", "discount": "submit", "lines": "submit", "price": "query_vendor",
    "quantity": "query_vendor", "no_po": "ask_buyer", "foreign": "ask_buyer",
}  # fmt: skip
WRONG: Mapping[str, str] = {"submit": "query_vendor", "query_vendor": "submit", "ask_buyer": "submit"}
INVOICE_STATUSES = ("draft", "submitted", "approved", "rejected", "posted", "void")
MATCHES = ("matched", "mismatch", "no_po")


@dataclass(frozen=True)
class PurchaseOrder:
    po_number: str  # "PO-10001"
    vendor_id: str
    currency: str
    lines: tuple[PurchaseLine, ...]
    ordered_on: date
    total_minor: int
    invoiced_minor: int  # by the recorded invoices that are not void or rejected
    open_minor: int  # total - invoiced, without tax


@dataclass(frozen=True)
class InvoiceChange:
    at: datetime
    by: str
    old: str | None  # status
    new: str
    reason: str | None


@dataclass(frozen=True)
class Invoice:
    id: str  # inv_N
    vendor_id: str
    number: str  # the vendor's; unique per vendor without case, spaces, punctuation
    issued: date
    due: date
    currency: str
    lines: tuple[InvoiceLine, ...]
    total_minor: int  # the lines together
    po_number: str | None
    status: str
    match: str  # one of MATCHES
    differences: tuple[str, ...]  # empty unless mismatch: "unit_price 1: 1250 ordered, 1290 billed"
    recorded_at: datetime
    recorded_by: str
    history: tuple[InvoiceChange, ...]


def vendors(seed: int, day: date, size: str) -> tuple[Vendor, ...]:
    """Return those we buy from, by number."""
    return bills.vendors(seed, size)


def purchase_orders(seed: int, day: date, size: str) -> tuple[PurchaseOrder, ...]:
    """Return what we ordered, by number; those the papers of the day refer to come first."""
    known = bills.vendors(seed, size)
    made = [_ordered(seed, each, 0) for each in _new_on_paper(seed, day, known)]
    for number in numbers(size, "invoices"):
        bill = bills.recorded(seed, day, number, known)
        counts = settled(seed, day, number, bill).status not in ("void", "rejected")
        if bill.po_number:
            made.append(_ordered(seed, bill, bill.net_minor if counts else 0))
    return tuple(made)


def _new_on_paper(seed: int, day: date, known: tuple[Vendor, ...]) -> list[Bill]:
    """One paper is a recorded invoice once more: what it was ordered by stands among the others."""
    first = bills.recorded(seed, day, 1, known).po_number
    return [each for each in bills.on_paper(seed, day, known) if each.po_number not in (None, first)]


def _ordered(seed: int, bill: Bill, billed: int) -> PurchaseOrder:
    """What a foreign bill takes of an order in euros cannot be said, so it takes nothing yet."""
    dice, total = Dice(seed, "order to", bill.po_number), sum(line.total_minor for line in bill.ordered)
    billed = billed if bill.currency == bill.ordered_currency else 0
    return PurchaseOrder(
        po_number=bill.po_number or "",
        vendor_id=bill.vendor.id,
        currency=bill.ordered_currency,
        lines=bill.ordered,
        ordered_on=bill.issued - timedelta(days=dice.between(6, 30)),
        total_minor=total,
        invoiced_minor=billed,
        open_minor=total - billed,
    )


def invoices(seed: int, day: date, size: str) -> tuple[Invoice, ...]:
    """Return the recorded invoices, by number."""
    known = bills.vendors(seed, size)
    return tuple(_invoice(seed, day, number, known) for number in numbers(size, "invoices"))


def _invoice(seed: int, day: date, number: int, known: tuple[Vendor, ...]) -> Invoice:
    bill = bills.recorded(seed, day, number, known)
    end, (match, differences) = settled(seed, day, number, bill), bills.match_of(bill)
    return Invoice(
        id=f"inv_{number}",
        vendor_id=bill.vendor.id,
        number=bill.number,
        issued=bill.issued,
        due=bill.due,
        currency=bill.currency,
        lines=bill.lines,
        total_minor=bill.total_minor,
        po_number=bill.po_number,
        status=end.status,
        match=match,
        differences=differences,
        recorded_at=end.history[0].at,
        recorded_by=end.history[0].by,
        history=end.history,
    )


@dataclass(frozen=True)
class Settled:
    """What became of an invoice, and who decided it how."""

    history: tuple[InvoiceChange, ...]
    work: Work | None
    po_number: str | None
    right: str  # submit | query_vendor | ask_buyer
    chosen: str | None  # None until decided

    @property
    def status(self) -> str:
        return self.history[-1].new


def settled(seed: int, day: date, number: int, bill: Bill) -> Settled:
    """Return how people went on with the invoice until the demo day."""
    dice, now = Dice(seed, "settled", number), at(day, 0, 0)
    recorded = min(
        datetime.combine(bill.issued, time(9), UTC) + timedelta(minutes=dice.between(600, 8000)),
        now - timedelta(minutes=dice.between(30, 900)),
    )
    first = InvoiceChange(recorded, dice.pick(("fin_1", "fin_2")), None, "draft", None)
    right = RIGHT[bill.kind]
    done = None if number in bills.PLANTED_KINDS else work(seed, day, "invoice_match", number, recorded)
    if done is None:
        return Settled((first,), None, bill.po_number, right, None)
    chosen = WRONG[right] if done.mistake else right
    steps = [step for step in _steps(dice, done, right, chosen) if step[0] <= now]
    history, old = [first], "draft"
    for moment, by, new, reason in steps:
        history.append(InvoiceChange(moment, by, old, new, reason))
        old = new
    return Settled(tuple(history), done, bill.po_number, right, chosen)


def decisions(seed: int, day: date, size: str) -> tuple[Settled, ...]:
    """Return what became of every recorded invoice, by number."""
    known = bills.vendors(seed, size)
    return tuple(
        settled(seed, day, number, bills.recorded(seed, day, number, known))
        for number in numbers(size, "invoices")
    )


Step = tuple[datetime, str, str, str | None]


def _steps(dice: Dice, done: Work, right: str, chosen: str) -> list[Step]:
    """Submitted, approved and posted; void after a query; what was wrong is put right where it was noticed."""
    start, by = done.done_at, done.person
    if done.corrected_at and chosen == "submit":
        return [
            (start, by, "submitted", None),
            (done.corrected_at, "ops_lena", "rejected", "should not have been submitted"),
        ]
    if chosen == "query_vendor" and not done.corrected_at:
        return [(start + timedelta(days=2), by, "void", "the vendor sends a new one")]
    if chosen == "ask_buyer":
        start += timedelta(days=3)
    start = max(start, done.corrected_at) if done.corrected_at else start
    approved = start + timedelta(hours=dice.between(3, 30))
    boss = "fin_2" if by == "fin_1" else "fin_1"
    posted = approved + timedelta(days=dice.between(1, 4))
    return [
        (start, by, "submitted", None),
        (approved, boss, "approved", None),
        (posted, "ledger", "posted", None),
    ]
