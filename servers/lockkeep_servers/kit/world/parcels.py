"""Parcels on their way: labels, what carriers say about them, and what carriers charge.

Money is whole minor units of `currency`; times are aware and in UTC; lengths in mm, weights in g.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from lockkeep_servers.kit.world import shop, wares
from lockkeep_servers.kit.world.addresses import Address
from lockkeep_servers.kit.world.dice import Dice
from lockkeep_servers.kit.world.journeys import Journey, Plan, plans
from lockkeep_servers.kit.world.scans import Event, scans

SHIPMENT_STATUSES = (
    "pre_transit", "in_transit", "out_for_delivery", "available_for_pickup", "delivery_attempted", "on_hold",
    "delayed", "delivered", "return_to_sender", "returned", "failure", "lost", "cancelled", "unknown",
)  # fmt: skip


@dataclass(frozen=True)
class Parcel:
    length_mm: int
    width_mm: int
    height_mm: int
    weight_g: int
    hazmat: bool = False


@dataclass(frozen=True)
class Shipment:
    """One label and its parcels. `status` is what the events, sorted and without doubles, come to, `delayed` included."""

    id: str  # shp_N
    order_id: str
    customer_id: str  # con_N, the order's
    tracking_number: str
    carrier: str
    service: str
    price_minor: int  # of the label
    currency: str
    status: str  # one of SHIPMENT_STATUSES
    incident: str | None  # what went wrong, a key of scans.WHY
    promised_at: datetime
    eta: datetime | None  # the carrier's latest; None once delivered, or when nobody knows
    bought_at: datetime
    voidable_until: datetime  # three days, and only until the first scan
    shipped_at: datetime | None  # first scan
    delivered_at: datetime | None
    void: str | None  # refund of a voided label: submitted | refunded | rejected
    supersedes: str | None  # the shipment this one was booked in place of
    sender: Address
    receiver: Address
    parcels: tuple[Parcel, ...]
    events: tuple[Event, ...]  # in the order received

    @property
    def hazmat(self) -> bool:
        return any(parcel.hazmat for parcel in self.parcels)


@dataclass(frozen=True)
class Service:
    """A row of the rate table: what a carrier's service costs within one zone, and how long it takes."""

    carrier: str
    service: str
    zone: str  # domestic | europe | world, seen from the sender
    currency: str
    base_minor: int
    per_kg_minor: int  # for each kilogram begun
    days: int  # working days door to door
    guaranteed: bool
    hazmat: bool  # takes dangerous goods
    max_weight_g: int

    def price_minor(self, weight_g: int) -> int:
        return self.base_minor + self.per_kg_minor * -(-weight_g // 1000)


SERVICES = (
    Service("northpost", "standard", "domestic", "EUR", 450, 60, 3, False, True, 31_500),
    Service("northpost", "standard", "europe", "EUR", 990, 140, 5, False, False, 31_500),
    Service("northpost", "standard", "world", "EUR", 2490, 690, 9, False, False, 20_000),
    Service("northpost", "express", "domestic", "EUR", 1190, 110, 1, True, False, 31_500),
    Service("swiftline", "economy", "domestic", "EUR", 390, 55, 4, False, False, 40_000),
    Service("swiftline", "economy", "europe", "EUR", 890, 120, 6, False, True, 40_000),
    Service("swiftline", "priority", "domestic", "EUR", 1090, 95, 1, False, True, 70_000),
    Service("swiftline", "priority", "europe", "EUR", 1990, 280, 2, True, True, 70_000),
    Service("meridian", "saver", "world", "EUR", 3290, 790, 6, False, True, 70_000),
    Service("meridian", "priority", "europe", "EUR", 2390, 310, 1, True, False, 70_000),
    Service("meridian", "priority", "world", "EUR", 4890, 990, 3, True, False, 70_000),
)
PREFIX = {"northpost": "NP", "swiftline": "1SL", "meridian": "MRD"}
OVERSEAS = ("US", "CA", "JP", "AU", "SG", "NZ")
TERMINAL = ("delivered", "returned", "lost", "cancelled")
MOVING = (
    "pre_transit",
    "in_transit",
    "unknown",
)  # those a late eta turns into `delayed`; what is on the van stays there
VOIDABLE = timedelta(days=3)  # as long as nobody scanned the label


def zone_of(sender: str, receiver: str) -> str:
    """Return the zone between two countries: domestic, europe or world."""
    if sender == receiver:
        return "domestic"
    return "world" if sender in OVERSEAS or receiver in OVERSEAS else "europe"


def services_of(sender: str, receiver: str, weight_g: int, hazmat: bool) -> tuple[Service, ...]:
    """Return the rows of the rate table that may carry it, as they stand there."""
    zone = zone_of(sender, receiver)
    return tuple(
        row
        for row in SERVICES
        if row.zone == zone and row.max_weight_g >= weight_g and (row.hazmat or not hazmat)
    )


def status_of(events: Iterable[Event], eta: datetime | None, promised: datetime) -> str:
    """Return what the events come to, in whatever order and however often they came."""
    told = sorted({(event.at, event.status) for event in events})
    last = next((status for _, status in told if status in TERMINAL), told[-1][1] if told else "unknown")
    return "delayed" if last in MOVING and eta is not None and eta > promised else last


def shipments(seed: int, day: date, size: str) -> tuple[Shipment, ...]:
    """Return the shipments of the orders, by number."""
    made = zip(shop.orders(seed, day, size), plans(seed, day, size), strict=True)
    return tuple(
        _shipment(seed, day, order, journey, plan) for order, plan in made for journey in plan.journeys
    )


def _shipment(seed: int, day: date, order: shop.Order, journey: Journey, plan: Plan) -> Shipment:
    dice = Dice(seed, "shipment", journey.number)
    sender = next(one.address for one in shop.WAREHOUSES if one.id == order.warehouse)
    boxes = _boxes(dice, order, journey, len(plan.journeys))
    weight, hazmat = sum(box.weight_g for box in boxes), any(box.hazmat for box in boxes)
    fast = plan.express or journey.supersedes is not None
    row = _service(dice, sender.country, order.ship_to.country, weight, hazmat, fast)
    if journey.incident == "breakdown" and row.zone == "world":
        journey = replace(journey, incident="customs")
    events = scans(seed, day, journey, row.carrier, (sender.city, order.ship_to.city))
    return Shipment(
        id=f"shp_{journey.number}",
        order_id=order.id,
        customer_id=order.customer_id,
        tracking_number=f"{PREFIX[row.carrier]}{dice.between(10_000_000, 99_999_999)}{journey.number:05d}",
        carrier=row.carrier,
        service=row.service,
        price_minor=row.price_minor(weight),
        currency=row.currency,
        status=status_of(events, journey.eta, journey.promised_at),
        incident=journey.incident,
        promised_at=journey.promised_at,
        eta=journey.eta,
        bought_at=journey.bought_at,
        voidable_until=min(journey.bought_at + VOIDABLE, journey.shipped_at or journey.bought_at + VOIDABLE),
        shipped_at=journey.shipped_at,
        delivered_at=journey.delivered_at,
        void="rejected" if _replaced(journey, plan) else None,
        supersedes=f"shp_{journey.supersedes}" if journey.supersedes else None,
        sender=sender,
        receiver=order.ship_to,
        parcels=boxes,
        events=events,
    )


def _replaced(journey: Journey, plan: Plan) -> bool:
    return any(other.supersedes == journey.number for other in plan.journeys)


def _service(dice: Dice, sender: str, receiver: str, weight: int, hazmat: bool, fast: bool) -> Service:
    """The quick ones where speed was paid for; a lorry's worth goes with whoever takes the most."""
    able = services_of(sender, receiver, weight, hazmat)
    if not able:
        zone = zone_of(sender, receiver)
        able = tuple(row for row in SERVICES if row.zone == zone and row.max_weight_g == 70_000)
    quick = tuple(row for row in able if row.days <= 3)
    slow = tuple(row for row in able if row.days > 2)
    return dice.pick((quick if fast else slow) or able)


def _boxes(dice: Dice, order: shop.Order, journey: Journey, parts: int) -> tuple[Parcel, ...]:
    """The order's goods in boxes of up to 30 kg, this part's share of them."""
    wanted = [(wares.ware(int(line.sku.removeprefix("LK-")) - 1000), line.qty) for line in order.lines]
    weight = sum(ware[2] * qty for ware, qty in wanted)
    hazmat = any(ware[3] for ware, _ in wanted)
    if parts == 2 and journey.supersedes is None and journey.incident is None:
        weight = weight * (60 if journey.part == 1 else 40) // 100
    count = min(1 + weight // 30_000, 4)
    return tuple(
        Parcel(
            dice.between(20, 80) * 10, dice.between(15, 50) * 10, dice.between(8, 45) * 10,
            max(weight // count, 50) + 180, hazmat,
        )
        for _ in range(count)
    )  # fmt: skip
