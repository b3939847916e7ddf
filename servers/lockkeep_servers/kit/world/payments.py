"""What customers paid and got back. Vendors' bills are in `invoices`.

Money is whole minor units of `currency`; times are aware and in UTC. pay_N pays ord_N.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from lockkeep_servers.kit.world import shop
from lockkeep_servers.kit.world.affairs import Affair, affairs
from lockkeep_servers.kit.world.dice import Dice, drawn
from lockkeep_servers.kit.world.parcels import shipments
from lockkeep_servers.kit.world.times import at
from lockkeep_servers.kit.world.work import CHECKERS

METHODS = ("card", "wallet", "bank_transfer")
PAYMENT_STATUSES = ("captured", "partially_refunded", "refunded", "disputed", "failed")
REFUND_REASONS = ("duplicate", "fraudulent", "requested", "damaged", "late", "other")
DONE_ALREADY, DISPUTED, DECLINED, PAID_TWICE = 5, 6, 11, 29  # numbers of the planted payments
TWICE = timedelta(minutes=2)  # how soon people click again


@dataclass(frozen=True)
class Refund:
    id: str  # ref_N of pay_N, its second ref_N-2
    payment_id: str
    amount_minor: int
    currency: str
    reason: str  # one of REFUND_REASONS
    status: str  # succeeded | pending | failed; a failed one gave nothing back
    created_at: datetime
    by: str  # the person who made it
    order_id: str
    ticket_id: str | None
    repeat_of: str | None  # the equal refund before, where the second one was meant


@dataclass(frozen=True)
class Payment:
    id: str  # pay_N; the second payment of an order is pay_N-2
    order_id: str
    customer_id: str  # con_N
    captured_minor: int  # 0 where it failed
    currency: str
    method: str
    status: str
    captured_at: datetime  # or tried
    disputed: bool
    refunds: tuple[Refund, ...]  # oldest first

    @property
    def refunded_minor(self) -> int:
        return sum(refund.amount_minor for refund in self.refunds if refund.status != "failed")

    @property
    def refundable_minor(self) -> int:
        return self.captured_minor - self.refunded_minor


def payments(seed: int, day: date, size: str) -> tuple[Payment, ...]:
    """Return the payments of the orders with their refunds, by order."""
    orders = shop.orders(seed, day, size)
    found = affairs(seed, day, size, orders, shipments(seed, day, size))
    asked = {
        one.order.id: one for one in found if one.order and one.money and one.money.chosen_minor is not None
    }
    return tuple(
        payment
        for number, order in enumerate(orders, 1)
        for payment in _of_order(seed, day, number, order, asked.get(order.id))
    )


def _of_order(
    seed: int, day: date, number: int, order: shop.Order, affair: Affair | None
) -> Iterator[Payment]:
    """Mostly one payment: none or a declined one while the order waits for it, two where somebody clicked twice."""
    paid = _payment(seed, day, number, order, affair)
    if order.status == "pending_payment":
        if number == DECLINED or Dice(seed, "declined", number).chance(0.5):
            yield replace(paid, captured_minor=0, status="failed", method="card", disputed=False)
        return
    yield paid
    if number == PAID_TWICE or (number > 40 and drawn(seed, "paid twice", number, 1, 40)):
        again = paid.captured_at + TWICE
        yield replace(
            paid, id=f"pay_{number}-2", captured_at=again, refunds=(), status="captured", disputed=False
        )


def _payment(seed: int, day: date, number: int, order: shop.Order, affair: Affair | None) -> Payment:
    dice, now = Dice(seed, "payment", number), at(day, 0, 0)
    method = dice.pick(METHODS + ("card",) * 4)
    unlucky = number > 40 and method == "card" and affair is None and dice.chance(0.015)
    disputed = number == DISPUTED or unlucky
    refunds = () if disputed else _refunds(dice, day, number, order, affair)
    paid = Payment(
        id=f"pay_{number}",
        order_id=order.id,
        customer_id=order.customer_id,
        captured_minor=order.total_minor,
        currency=order.currency,
        method=method,
        status="captured",
        captured_at=order.history[min(1, len(order.history) - 1)].at,
        disputed=disputed,
        refunds=tuple(_on_its_way(refund, now) for refund in refunds),
    )
    return replace(paid, status=_status(paid))


def _on_its_way(refund: Refund, now: datetime) -> Refund:
    """Money given back since yesterday has not arrived yet."""
    fresh = refund.status == "succeeded" and refund.created_at > now - timedelta(hours=20)
    return replace(refund, status="pending") if fresh else refund


def _status(payment: Payment) -> str:
    if payment.disputed:
        return "disputed"
    if payment.refunded_minor == 0:
        return "captured"
    return "refunded" if payment.refundable_minor == 0 else "partially_refunded"


def _refunds(
    dice: Dice, day: date, number: int, order: shop.Order, affair: Affair | None
) -> tuple[Refund, ...]:
    """A cancelled order is paid back; else what people decided about the ticket, and how they put it right."""
    first = Refund(
        f"ref_{number}",
        f"pay_{number}",
        order.total_minor,
        order.currency,
        "requested",
        "succeeded",
        order.history[-1].at,
        "agt_7",
        order.id,
        None,
        None,
    )
    if order.status == "cancelled":
        return (first,)
    if number == DONE_ALREADY:
        return (replace(first, amount_minor=8_000, reason="damaged", created_at=at(day, 2, 315)),)
    if affair is None or affair.money is None or affair.money.decided is None:
        return ()
    money, work, paid = affair.money, affair.money.decided, affair.money.chosen_minor or 0
    first = replace(
        first,
        amount_minor=paid,
        reason=money.reason,
        created_at=work.done_at,
        by=work.person,
        ticket_id=f"tkt_{affair.number}",
    )
    again = replace(first, id=f"{first.id}-2")
    if work.corrected_at and paid < money.right_minor:
        rest = replace(
            again,
            amount_minor=money.right_minor - paid,
            created_at=work.corrected_at,
            by=CHECKERS["refund_request"],
        )
        return (first, rest) if paid else (replace(rest, id=first.id),)
    if paid and dice.chance(0.04):
        return (
            replace(first, status="failed"),
            replace(again, created_at=work.done_at + TWICE, repeat_of=first.id),
        )
    return (first,) if paid else ()
