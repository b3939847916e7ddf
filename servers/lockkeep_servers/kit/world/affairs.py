"""What a ticket is really about, and what people made of it: the triage, and whether money went back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from lockkeep_servers.kit.world import wares
from lockkeep_servers.kit.world.dice import Dice, drawn
from lockkeep_servers.kit.world.parcels import Shipment
from lockkeep_servers.kit.world.shop import Order
from lockkeep_servers.kit.world.sizes import numbers, span
from lockkeep_servers.kit.world.times import at
from lockkeep_servers.kit.world.work import Work, work

RETURN_DAYS = 14  # goods nobody wants any more come back within these
SCENES = ("damaged",) * 5 + ("changed_mind",) * 5 + ("late_money",) * 2 + ("where",) * 8 + ("address",) * 2 + \
         ("cancel",) * 2 + ("invoice_copy",) * 4 + ("wrong_item",) * 3 + ("product",) * 5 + ("account",) * 3 + ("spam",)  # fmt: skip
MONEY: Mapping[str, str] = {  # scene: reason of the refund
    "damaged": "damaged",
    "changed_mind": "requested",
    "late_money": "late",
    "paid_twice": "duplicate",
    "again": "damaged",
    "disputed": "other",
}
TRIAGE: Mapping[str, tuple[str, str, str]] = {  # scene: priority, type, group
    "damaged": ("normal", "refund", "billing"),
    "changed_mind": ("low", "refund", "billing"),
    "late_money": ("normal", "refund", "billing"),
    "paid_twice": ("high", "refund", "billing"),
    "again": ("normal", "refund", "billing"),
    "disputed": ("high", "refund", "billing"),
    "where": ("normal", "delivery", "logistics"),
    "address": ("high", "delivery", "logistics"),
    "cancel": ("high", "problem", "support"),
    "invoice_copy": ("low", "invoice", "billing"),
    "wrong_item": ("normal", "problem", "logistics"),
    "product": ("low", "question", "support"),
    "account": ("normal", "account", "support"),
    "spam": ("low", "question", "support"),
}
PLANTED: Mapping[int, tuple[str, int | None]] = {  # ticket: scene, order
    1: ("damaged", 3),
    2: ("damaged", 4),
    3: ("again", 5),
    4: ("disputed", 6),
    5: ("damaged", 7),
    6: ("damaged", 7),
    7: ("where", 8),
    8: ("where", 9),
    9: ("where", 10),
    10: ("damaged", 18),
    11: ("spam", None),
    12: ("paid_twice", 29),
    13: ("product", None),
    14: ("product", None),
    15: ("account", None),
}
LARGE_MINOR = 100_000  # an order of more (1,000 EUR) makes a ticket more urgent
UP: Mapping[str, str] = {"low": "normal", "normal": "high", "high": "urgent", "urgent": "urgent"}
OTHER_GROUP: Mapping[str, str] = {"billing": "support", "logistics": "support", "support": "logistics"}


@dataclass(frozen=True)
class Triage:
    priority: str
    type: str
    group: str


@dataclass(frozen=True)
class Money:
    """A refund that was asked for. 0 means nothing goes back; `chosen_minor` is None until somebody decided."""

    reason: str
    asked_minor: int
    right_minor: int
    chosen_minor: int | None
    decided: Work | None


@dataclass(frozen=True)
class Affair:
    number: int  # of the ticket
    scene: str
    order: Order | None
    shipment: Shipment | None
    created_at: datetime
    right: Triage
    chosen: Triage | None
    triaged: Work | None
    money: Money | None


def affairs(
    seed: int, day: date, size: str, orders: tuple[Order, ...], shipments: tuple[Shipment, ...]
) -> tuple[Affair, ...]:
    """Return what every ticket is about, by number. An order's money is asked for once, but for the planted ones."""
    first_of: dict[str, Shipment] = {}
    for shipment in shipments:
        first_of.setdefault(shipment.order_id, shipment)
    taken = {order for _, order in PLANTED.values()}
    made = list[Affair]()
    for number in numbers(size, "tickets"):
        dice = Dice(seed, "affair", number)
        scene, place = PLANTED.get(number) or _found(dice, number, orders, first_of, taken)
        order = orders[place - 1] if place else None
        if scene in MONEY:
            taken.add(place)
        made.append(_affair(seed, day, dice, number, scene, order, order and first_of.get(order.id)))
    return tuple(made)


def _found(
    dice: Dice,
    number: int,
    orders: tuple[Order, ...],
    first_of: Mapping[str, Shipment],
    taken: set[int | None],
) -> tuple[str, int | None]:
    """Draw a scene, and an order it fits; where none does it is a question about a product."""
    scene = dice.pick(SCENES)
    if scene in ("product", "account", "spam"):
        return scene, None
    near = (orders[index - 1] for index in span("tickets", number, "orders"))
    fits = FITS.get(scene, lambda order, shipment: True)
    able = [int(order.id.removeprefix("ord_")) for order in near if fits(order, first_of.get(order.id))]
    able = [place for place in able if place not in taken and place > 28]
    return (scene, dice.pick(able)) if able else ("product", None)


Fits = Callable[[Order, Shipment | None], bool]
FITS: Mapping[str, Fits] = {
    "damaged": lambda order, shipment: order.status == "delivered",
    "changed_mind": lambda order, shipment: order.status == "delivered",
    "wrong_item": lambda order, shipment: order.status == "delivered",
    "late_money": lambda order, shipment: order.shipping_minor > 0 and _came_late(shipment),
    "where": lambda order, shipment: order.status == "shipped" or _came_late(shipment),
    "address": lambda order, shipment: order.status in ("paid", "reserved", "on_hold"),
    "cancel": lambda order, shipment: order.status in ("paid", "reserved", "pending_payment", "cancelled"),
}


def _came_late(shipment: Shipment | None) -> bool:
    arrived = shipment and shipment.delivered_at
    return shipment is not None and arrived is not None and arrived > shipment.promised_at


def _affair(
    seed: int, day: date, dice: Dice, number: int, scene: str, order: Order | None, shipment: Shipment | None
) -> Affair:  # fmt: skip
    created = _created(seed, day, dice, number, scene, order, shipment).replace(second=0, microsecond=0)
    right = _right(scene, order, shipment, created)
    triaged = None if number in PLANTED else work(seed, day, "ticket_triage", number, created)
    return Affair(
        number=number,
        scene=scene,
        order=order,
        shipment=shipment,
        created_at=created,
        right=right,
        chosen=_other(dice, right) if triaged and triaged.mistake else right if triaged else None,
        triaged=triaged,
        money=_money(seed, day, dice, number, scene, order, shipment, created, triaged) if order else None,
    )


def _created(
    seed: int, day: date, dice: Dice, number: int, scene: str, order: Order | None, shipment: Shipment | None
) -> datetime:  # fmt: skip
    """Planted tickets and one in six of the others came since yesterday; the rest when there was reason to write."""
    now = at(day, 0, 0)
    if number in PLANTED or drawn(seed, "recent ticket", number, 1, 6):
        return now - timedelta(minutes=dice.between(15, 1200))
    after = timedelta(minutes=dice.between(60, 60 * 24 * 9))
    if order is None:
        return at(day, dice.between(1, 88), dice.below(900) - 300)
    if shipment and shipment.delivered_at and scene != "where":
        if scene == "changed_mind":
            after *= 3
        return min(shipment.delivered_at + after, now - timedelta(minutes=dice.between(90, 4000)))
    if scene == "where":
        start = shipment.promised_at if shipment and _came_late(shipment) else order.placed_at
        return min(
            start + timedelta(hours=dice.between(3, 50)), now - timedelta(minutes=dice.between(90, 900))
        )
    return min(order.placed_at + after / 8, now - timedelta(minutes=dice.between(30, 300)))


def _right(scene: str, order: Order | None, shipment: Shipment | None, created: datetime) -> Triage:
    """What the desk's own rules say: one step up for a large order, and for a parcel that is overdue."""
    priority, type, group = TRIAGE[scene]
    large = order is not None and order.total_minor > wares.converted(LARGE_MINOR, order.currency)
    overdue = scene == "where" and shipment is not None and shipment.promised_at < created
    return Triage(UP[priority] if large or overdue else priority, type, group)


def _other(dice: Dice, right: Triage) -> Triage:
    if dice.chance(0.5):
        return Triage(right.priority, right.type, OTHER_GROUP[right.group])
    return Triage("low" if right.priority != "low" else "high", right.type, right.group)


def _money(
    seed: int, day: date, dice: Dice, number: int, scene: str, order: Order, shipment: Shipment | None,
    created: datetime, triaged: Work | None,
) -> Money | None:  # fmt: skip
    if scene not in MONEY:
        return None
    asked = _asked(dice, number, scene, order)
    right = _due(scene, asked, shipment, created)
    decided = work(seed, day, "refund_request", number, triaged.done_at) if triaged else None
    chosen = None if decided is None else _misjudged(order, asked, right) if decided.mistake else right
    return Money(MONEY[scene], asked, right, chosen, decided)


def _asked(dice: Dice, number: int, scene: str, order: Order) -> int:
    """One piece, one line, the postage, or everything."""
    if scene == "late_money":
        return order.shipping_minor
    if scene == "paid_twice":
        return order.total_minor
    line = order.lines[0] if number in PLANTED else dice.pick(order.lines)
    whole = scene == "changed_mind" or dice.chance(0.4)
    asked = line.total_minor if whole and number not in PLANTED else line.unit_price_minor
    return asked - asked // 20 if order.discount_minor else asked


def _due(scene: str, asked: int, shipment: Shipment | None, created: datetime) -> int:
    """What the shop's terms give back: nothing for a change of mind after two weeks, nothing twice."""
    if scene in ("again", "disputed"):
        return 0
    arrived = shipment.delivered_at if shipment else None
    late_return = arrived is not None and created > arrived + timedelta(days=RETURN_DAYS)
    return 0 if scene == "changed_mind" and late_return else asked


def _misjudged(order: Order, asked: int, right: int) -> int:
    """The usual slips: paid though nothing was due, the whole order instead of the piece, or half."""
    if right == 0:
        return asked
    return order.total_minor if asked * 3 < order.total_minor else asked // 2
