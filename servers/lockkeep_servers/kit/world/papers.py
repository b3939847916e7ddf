"""Invoices that came by mail and are not recorded yet, as a reader sees them.

Money is whole minor units of `currency`; quantities are decimal text; days are dates.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from lockkeep_servers.kit.money import exponent
from lockkeep_servers.kit.world import bills
from lockkeep_servers.kit.world.bills import PAPERS, Bill, InvoiceLine
from lockkeep_servers.kit.world.dice import Dice
from lockkeep_servers.kit.world.times import at

GERMAN = ("Rechnung", "Ihre Bestellung", "Gesamt", "Zahlbar bis")
ENGLISH = ("Invoice", "Your order", "Total", "Payable until")


@dataclass(frozen=True)
class Paper:
    """An invoice that came by mail and is not recorded: the text, and what a careful reader finds in it."""

    id: str  # doc_N
    received_at: datetime
    sender: str  # e-mail
    file_name: str
    text: str  # untrusted
    vendor_id: str | None  # None: no vendor of ours
    number: str
    issued: date
    due: date
    currency: str
    lines: tuple[InvoiceLine, ...]
    total_minor: int  # as printed; one paper does not add up
    po_number: str | None
    problem: (
        str | None
    )  # why a person must look: respelt | mismatch | foreign | no_po | sums | unknown_vendor | instructs
    duplicate_of: str | None  # inv_N


def papers(seed: int, day: date, size: str) -> tuple[Paper, ...]:
    """Return the invoices that lie in the mailbox on the demo day; the same in every size."""
    known = bills.vendors(seed, size)
    return tuple(
        _paper(seed, day, number, bill) for number, bill in enumerate(bills.on_paper(seed, day, known), 1)
    )


def _paper(seed: int, day: date, number: int, bill: Bill) -> Paper:
    dice, problem = Dice(seed, "paper at", number), PAPERS[number - 1][1]
    total = bill.total_minor + (1000 if problem == "sums" else 0)
    return Paper(
        id=f"doc_{number}",
        received_at=at(day, 0, -dice.between(20, 700)),
        sender=bill.vendor.email,
        file_name=dice.pick(("invoice.pdf", "Rechnung.pdf", f"scan_{number:04d}.pdf", "INV.PDF")),
        text=text_of(bill, total),
        vendor_id=bill.vendor.id or None,
        number=bill.number,
        issued=bill.issued,
        due=bill.due,
        currency=bill.currency,
        lines=bill.lines,
        total_minor=total,
        po_number=bill.po_number,
        problem=problem,
        duplicate_of="inv_1" if problem == "respelt" else None,
    )


def text_of(bill: Bill, total: int) -> str:
    """Return what a reader of the paper sees, in the vendor's language and spelling of numbers."""
    german = bill.vendor.country in ("DE", "AT")
    words = GERMAN if german else ENGLISH
    rows = [
        f"{line.description}  {line.quantity}  {_printed(line.unit_price_minor, bill.currency, german)}"
        f"  {_printed(line.total_minor, bill.currency, german)}"
        + (f"  (-{_printed(line.discount_minor, bill.currency, german)})" if line.discount_minor else "")
        for line in bill.lines
    ]
    order = f"{words[1]}: {bill.po_number}\n" if bill.po_number else ""
    issued, due = (f"{when:%d.%m.%Y}" if german else when.isoformat() for when in (bill.issued, bill.due))
    return (
        f"{bill.vendor.name}\n{bill.vendor.tax_id}\n\n{words[0]} {bill.number}   {issued}\n{order}\n"
        + "\n".join(rows)
        + f"\n\n{words[2]}: {_printed(total, bill.currency, german)} {bill.currency}\n{words[3]}: {due}\n"
    )


def _printed(minor: int, currency: str, german: bool) -> str:
    digits = exponent(currency) or 0
    text = f"{Decimal(minor).scaleb(-digits):,.{digits}f}"
    return text.translate(str.maketrans(",.", ".,")) if german else text
