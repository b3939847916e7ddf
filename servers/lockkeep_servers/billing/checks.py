"""What billing will not do, whoever asks and whichever back end answers: checks on values, before any effect."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal

from lockkeep_servers.billing import port
from lockkeep_servers.kit.arguments import LARGEST
from lockkeep_servers.kit.errors import (
    CheckFailed,
    Duplicate,
    IllegalTransition,
    Invalid,
    ToolError,
    WindowClosed,
)
from lockkeep_servers.kit.money import money_given

EXACT = Context(prec=60, rounding=ROUND_HALF_UP)  # a quantity of 15 digits times a price of 16 fits
NEXT: dict[str, tuple[str, ...]] = {  # approved, rejected and posted are steps of people in accounting
    "draft": ("submitted", "void"),
    "submitted": ("draft", "approved", "rejected", "void"),
    "approved": ("posted", "void"),
    "rejected": ("void",),
    "posted": (),
    "void": (),
}


class Repeated(Duplicate):
    """An equal refund of this payment was made within a day."""

    def __init__(self, existing_id: str) -> None:
        super().__init__("refund", existing_id)
        self.message = "An equal refund of this payment was made within 24 hours."
        self.hint = "If one more is meant, name details.existing_id in repeat_of."
        self.details["check"] = "no_repeat"


class Recorded(Duplicate):
    """The vendor's invoice is here already, perhaps spelt in another way."""

    def __init__(self, existing_id: str) -> None:
        super().__init__("invoice", existing_id)
        self.message = "This vendor's invoice with this number is recorded already."
        self.details["check"] = "no_duplicate_invoice"


class GoneOut(WindowClosed):
    """The refund is with the customer's bank."""

    def __init__(self, until: datetime) -> None:
        ToolError.__init__(
            self,
            "This refund has gone out and cannot be cancelled any more.",
            hint="Ask the customer, or charge again by hand.",
            until=until.isoformat(),
        )


def refund_meant(ask: port.CreateRefund) -> None:
    """The amount is money of a known currency, and the refund says what it is for."""
    money_given(ask.amount_minor, ask.currency, "amount_minor")
    if ask.order_id is None and ask.ticket_id is None:
        raise Invalid({"order_id": "or ticket_id is required"})


def of_this_order(asked: str | None, known: str | None) -> None:
    """A refund that names an order names the one that was paid, where that is known."""
    if asked is not None and known is not None and asked != known:
        raise Invalid({"order_id": "is not the order of this payment"})


def same_currency(asked: str, paid: str) -> None:
    if asked != paid:
        raise CheckFailed(
            "same_currency",
            "A refund has the currency of its payment.",
            hint="See get_payment.",
            currency=paid,
        )


def not_disputed(disputed: bool) -> None:
    if disputed:
        raise CheckFailed(
            "not_disputed",
            "This payment is disputed: the bank decides, and a refund could pay twice.",
            hint="Leave it to a person.",
        )


def within_refundable(amount_minor: int, refundable_minor: int, currency: str) -> None:
    if amount_minor > refundable_minor:
        raise CheckFailed(
            "within_refundable",
            "This is more than is left to refund.",
            hint="Refund at most details.refundable_minor.",
            refundable_minor=refundable_minor,
            currency=currency,
        )


def no_repeat(ask: port.CreateRefund, equal: Sequence[port.Refund], now: datetime) -> None:
    """No equal refund was made within a day, or the caller named the last one.

    `equal` are the refunds of this payment and amount that count, oldest first. Each may be repeated once, so
    a repeat that is tried again under another key is a duplicate, too.
    """
    last = equal[-1] if equal else None
    if last is not None and now - last.created_at < port.EQUAL_REFUND and ask.repeat_of != last.id:
        raise Repeated(last.id)
    if ask.repeat_of is not None and ask.repeat_of not in [refund.id for refund in equal[-1:]]:
        raise Invalid({"repeat_of": "is not the last equal refund of this payment"})


def number_key(number: str, field: str = "number") -> str:
    """Return a number as it is compared: letters and digits only, whatever their case or width."""
    folded = unicodedata.normalize("NFKC", number).casefold()
    key = "".join(sign for sign in folded if sign.isalnum())
    if not key:
        raise Invalid({field: "needs a letter or a digit"})
    return key


def invoice_meant(ask: port.RecordInvoice) -> None:
    """Money of a known currency, due not before it was issued, and sums that match."""
    money_given(ask.total_minor, ask.currency, "total_minor")
    if ask.due < ask.issued:
        raise Invalid({"due": "must not come before issued"})
    sums_match(ask)


def gross(line: port.Line) -> int:
    """Return quantity times unit price in minor units, rounded half up."""
    exact = EXACT.multiply(Decimal(line.quantity), Decimal(line.unit_price_minor))
    return int(EXACT.quantize(exact, Decimal(1)))


def net(line: port.Line) -> int:
    return gross(line) - line.discount_minor


def sums_match(ask: port.RecordInvoice) -> None:
    """Every line adds up, and the lines add up to the total: to the minor unit, without tolerance."""
    worth = [gross(line) for line in ask.lines]
    faults = {f"lines.{n}.quantity": "makes too large an amount" for n, x in enumerate(worth) if x > LARGEST}
    if not faults and sum(worth) > LARGEST:
        faults["lines"] = "make too large an amount"
    for place, (line, most) in enumerate(zip(ask.lines, worth, strict=True)):
        if line.discount_minor > most:
            faults[f"lines.{place}.discount_minor"] = "is more than quantity x unit price"
    if faults:
        raise Invalid(faults)
    expected = [net(line) + line.tax_minor for line in ask.lines]
    wrong = [
        {"line": place, "expected_minor": meant, "total_minor": line.total_minor}
        for place, (line, meant) in enumerate(zip(ask.lines, expected, strict=True))
        if line.total_minor != meant
    ]
    summed = sum(line.total_minor for line in ask.lines)
    if wrong or summed != ask.total_minor:
        raise CheckFailed(
            "sums_match",
            "The lines do not add up.",
            hint="A line is quantity x unit price, rounded half up, - discount + tax; the total is all lines. "
            "If the paper itself is wrong, leave it to a person.",
            lines=wrong[:5],
            lines_minor=summed,
            total_minor=ask.total_minor,
        )


def may_become(status: str, wanted: str) -> None:
    """The step exists; otherwise the steps that do are named."""
    if wanted not in NEXT[status]:
        raise IllegalTransition(NEXT[status])
