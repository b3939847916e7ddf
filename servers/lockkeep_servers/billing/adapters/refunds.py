"""What the writers of payments do inside their transaction."""

from lockkeep_servers.billing import checks, port
from lockkeep_servers.billing.adapters.books import PENDING, Books, expect, moved
from lockkeep_servers.kit.errors import IllegalTransition
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.results import Undo
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import parse_time, stamp

NO_WAY_BACK = Undo(possible="no", note="Make the refund again instead.")


def create_refund(books: Books, ask: port.CreateRefund) -> Effect:
    """The payment gave this much more back; the refund is pending, then it has succeeded."""
    checks.refund_meant(ask)
    payment = books.payment(ask.payment_id)
    _allowed(books, payment, ask)
    moved(books.tx.run("give_back", id=ask.payment_id, amount_minor=ask.amount_minor))
    id, settles_at = books.next_id("refund"), (books.now + PENDING).replace(microsecond=0)
    asked = ask.model_dump(exclude={"idempotency_key", "dry_run"})
    times = {"created_at": stamp(books.now), "settles_at": stamp(settles_at)}
    books.tx.run("add_refund", **asked, **times, id=id, by=f"tool:{books.tool}", outcome=None)
    after = {**{name: value for name, value in asked.items() if value is not None}, "status": "pending"}
    undo = Undo(possible="until", until=settles_at, note="By cancel_refund, until it has gone out.")
    return Effect(id, "1", None, after, undo)


def _allowed(books: Books, payment: Row, ask: port.CreateRefund) -> None:
    checks.of_this_order(ask.order_id, payment["order_id"])
    checks.same_currency(ask.currency, payment["currency"])
    checks.not_disputed(bool(payment["disputed"]))
    equal = books.tx.rows("equal_refunds", payment_id=ask.payment_id, amount_minor=ask.amount_minor)
    checks.no_repeat(ask, [books.refund_seen(row) for row in equal], books.now)
    left = payment["captured_minor"] - payment["refunded_minor"]
    checks.within_refundable(ask.amount_minor, left, payment["currency"])


def cancel_refund(books: Books, ask: port.CancelRefund) -> Effect:
    """The refund does not go out, and its amount can be refunded again; too late once it has."""
    refund = books.refund(ask.id)
    expect(refund, ask.expected_version)
    match books.status_of(refund):
        case "cancelled":
            return Effect(ask.id, str(refund["version"]), {}, {})
        case "pending":
            pass
        case "succeeded":
            raise checks.GoneOut(parse_time(refund["settles_at"]))
        case _:
            raise IllegalTransition([])
    moved(books.tx.run("cancel_refund", id=ask.id, version=refund["version"], now=stamp(books.now)))
    moved(books.tx.run("take_back", id=refund["payment_id"], amount_minor=refund["amount_minor"]))
    books.remember(ask.id, "pending", "cancelled", ask.reason)
    images = {"status": "pending"}, {"status": "cancelled"}
    return Effect(ask.id, str(refund["version"] + 1), *images, undo=NO_WAY_BACK)
