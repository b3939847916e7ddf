"""The shop of the world: what it sells, what lies in the warehouses, and who ordered what.

Money is whole minor units of `currency`; times are aware and in UTC. An order holds its customer's contact (`con_N`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from lockkeep_servers.kit.world import hostile, sales, wares
from lockkeep_servers.kit.world.addresses import Address, address
from lockkeep_servers.kit.world.dice import Dice
from lockkeep_servers.kit.world.journeys import Plan, plans
from lockkeep_servers.kit.world.places import CURRENCY
from lockkeep_servers.kit.world.planted import AT_40, AT_80, AT_800, HAZMAT, LAST_UNIT, SOLD_OUT, WRONG_PRICES
from lockkeep_servers.kit.world.sizes import numbers, room
from lockkeep_servers.kit.world.steps import StatusChange, steps
from lockkeep_servers.kit.world.times import at

ORDER_STATUSES = (
    "pending_payment", "paid", "reserved", "ready_for_fulfilment", "picking", "packed", "shipped", "delivered",
    "on_hold", "cancelled",
)  # fmt: skip


@dataclass(frozen=True)
class Warehouse:
    """A place goods leave from. `id` is what tools call `warehouse`."""

    id: str
    address: Address


@dataclass(frozen=True)
class Stock:
    """One product in one warehouse, in pieces. `reserved` is what the active holds of the orders add up to."""

    warehouse: str
    bin: str  # aisle-rack-shelf, sorts in walking order: "B-04-2"
    on_hand: int
    reserved: int
    incoming: int
    incoming_on: date | None

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved


@dataclass(frozen=True)
class Product:
    """What the shop sells. `price_minor` is what it asks today; `prices` says what it should ask."""

    sku: str  # "LK-1001": product n is LK-(1000+n)
    name: str
    price_minor: int
    currency: str  # EUR
    weight_g: int
    hazmat: bool
    stock: tuple[Stock, ...]  # one per warehouse that keeps it
    price_changed_at: datetime
    price_changed_by: str  # a person or an import


@dataclass(frozen=True)
class ListPrice:
    """What a product should cost in one currency, as the price list of `valid_from` says."""

    sku: str
    currency: str
    price_minor: int
    valid_from: date


@dataclass(frozen=True)
class OrderLine:
    sku: str
    qty: int
    unit_price_minor: int  # in the order's currency

    @property
    def total_minor(self) -> int:
        return self.qty * self.unit_price_minor


@dataclass(frozen=True)
class Hold:
    """Stock set aside for one order; only active holds are kept."""

    id: str  # hold_N of ord_N
    order_id: str
    warehouse: str
    lines: tuple[tuple[str, int], ...]  # sku, pieces
    made_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Order:
    """total_minor = subtotal_minor - discount_minor + shipping_minor; subtotal_minor = the lines together."""

    id: str  # ord_N
    customer_id: str  # con_N
    email: str  # of the account that ordered; now and then not quite the contact's
    lines: tuple[OrderLine, ...]
    currency: str
    subtotal_minor: int
    discount_minor: int
    shipping_minor: int
    total_minor: int
    status: str  # one of ORDER_STATUSES
    placed_at: datetime
    promised_at: datetime  # delivery promised to the customer
    warehouse: str
    ship_to: Address
    holds: tuple[Hold, ...]
    hold_reason: str | None  # why it is on_hold
    comment: str | None  # what the customer typed at checkout; untrusted
    history: tuple[StatusChange, ...]  # the last one's `new` is `status`


WAREHOUSES = (
    Warehouse("leipzig", Address("Goods out", "Lockkeep Supply GmbH", "Torgauer Weg 12", None, "Leipzig", None, "04347", "DE", "+1 202 555 0142", "goods-out@shop.example")),
    Warehouse("rotterdam", Address("Goods out", "Lockkeep Supply B.V.", "Waalhaven 7", "Dock 4", "Rotterdam", None, "3088 HH", "NL", "+1 202 555 0143", "goods-out.nl@shop.example")),
)  # fmt: skip
HOLD_REASONS = (
    "Address and card are of different countries",
    "Asks to deliver after the holidays",
    "Fraud check",
)
COMMENTS = ("Please ring twice", "Bitte nicht beim Nachbarn abgeben", "PO 4500117 on the papers please", "Livrer avant midi SVP",
            "gift, no invoice in the box", "Goods entrance is round the back!!", "N/A")  # fmt: skip
PLANTED_LINES: Mapping[int, list[tuple[str, int]]] = {
    1: [(LAST_UNIT, 1)],
    2: [(LAST_UNIT, 1), (wares.sku(8), 2)],
    3: [(AT_80, 1), (wares.sku(10), 3)],
    4: [(AT_800, 1), (AT_80, 2)],
    5: [(AT_80, 1)],
    6: [(wares.sku(7), 1)],
    7: [(AT_40, 2)],
    8: [(wares.sku(9), 2)],
    9: [(wares.sku(12), 1)],
    10: [(HAZMAT, 1)],
    23: [(SOLD_OUT, 5), (wares.sku(16), 1)],
    24: [(wares.sku(7), 2)],
}


def products(seed: int, day: date, size: str) -> tuple[Product, ...]:
    """Return what the shop sells and what lies in stock at the start of the day."""
    held: Counter[tuple[str, str]] = Counter()
    for order in orders(seed, day, size):
        for hold in order.holds:
            held.update({(hold.warehouse, sku): qty for sku, qty in hold.lines})
    return tuple(_product(seed, day, number, held) for number in numbers(size, "products"))


def _product(seed: int, day: date, number: int, held: Counter[tuple[str, str]]) -> Product:
    dice, sku = Dice(seed, "product", number), wares.sku(number)
    name, price, weight, hazmat = wares.ware(number)
    wrong = sku in WRONG_PRICES
    places = WAREHOUSES if dice.chance(0.4) and sku != LAST_UNIT else WAREHOUSES[:1]
    return Product(
        sku=sku,
        name=name,
        price_minor=wares.wrong(seed, number) if wrong else price,
        currency="EUR",
        weight_g=weight,
        hazmat=hazmat,
        stock=tuple(_stock(dice, day, sku, place.id, held[place.id, sku]) for place in places),
        price_changed_at=at(day, 1, 630) if wrong else at(day, 95, dice.below(300)),
        price_changed_by="import prices.csv" if wrong else dice.pick(("ops_mia", "ops_lena")),
    )


def _stock(dice: Dice, day: date, sku: str, warehouse: str, reserved: int) -> Stock:
    """What is free is the same in every size; what is reserved grows with the orders."""
    free = 0 if dice.chance(0.04) else dice.between(3, 160)
    free = {LAST_UNIT: 1, SOLD_OUT: 0, HAZMAT: 12}.get(sku, free)
    coming = sku == SOLD_OUT or dice.chance(0.2)
    return Stock(
        warehouse=warehouse,
        bin=wares.place(dice),
        on_hand=free + reserved,
        reserved=reserved,
        incoming=dice.between(2, 8) * 10 if coming else 0,
        incoming_on=day + timedelta(days=dice.between(3, 21)) if coming else None,
    )


def prices(seed: int, day: date, size: str) -> tuple[ListPrice, ...]:
    """Return the price list: every product in every currency the shop takes."""
    since = day - timedelta(days=95)
    return tuple(
        ListPrice(wares.sku(number), currency, wares.listed(number, currency), since)
        for number in numbers(size, "products")
        for currency in wares.RATES
    )


def orders(seed: int, day: date, size: str) -> tuple[Order, ...]:
    """Return the orders of the last 90 days, by number."""
    known = sales.contacts(seed, size)
    firms = {company.id: company.name for company in sales.companies(seed, size)}
    return tuple(_order(seed, day, plan, known, firms) for plan in plans(seed, day, size))


def _order(
    seed: int, day: date, plan: Plan, known: tuple[sales.Contact, ...], firms: dict[str, str]
) -> Order:
    dice, number = Dice(seed, "order", plan.number), plan.number
    customer = known[_customer(dice, number)]
    currency = _currency(number, customer.country)
    lines = _lines(dice, number, currency)
    subtotal = sum(line.total_minor for line in lines)
    discount = subtotal // 20 if number > 30 and dice.chance(0.1) else 0
    shipping = _shipping(plan, subtotal, currency)
    history = steps(dice, day, plan)
    warehouse = WAREHOUSES[1 if plan.status in ("shipped", "delivered") and dice.chance(0.2) else 0].id
    return Order(
        id=f"ord_{number}",
        customer_id=customer.id,
        email=_account_email(dice, number, customer.email),
        lines=lines,
        currency=currency,
        subtotal_minor=subtotal,
        discount_minor=discount,
        shipping_minor=shipping,
        total_minor=subtotal - discount + shipping,
        status=plan.status,
        placed_at=plan.placed_at,
        promised_at=plan.promised_at,
        warehouse=warehouse,
        ship_to=address(dice, customer.name, _firm(firms, dice, customer), customer.country, customer.email),
        holds=_holds(plan, lines, warehouse, history[-1].at),
        hold_reason=dice.pick(HOLD_REASONS) if plan.status == "on_hold" else None,
        comment=hostile.CHECKOUT if number == 28 else dice.pick(COMMENTS) if dice.chance(0.15) else None,
        history=history,
    )


def _customer(dice: Dice, number: int) -> int:
    """The planted orders are of different customers; among the others a few buy a lot."""
    there = room("orders", number, "contacts")
    return number - 1 if number <= 22 else min(dice.below(there), dice.below(there))


def _account_email(dice: Dice, number: int, email: str) -> str:
    """People shop with the address they remember."""
    local, _, domain = email.partition("@")
    other = (email.upper(), f"{local}+shop@{domain}", f"{local}@mail.example", f" {email}")
    return dice.pick(other) if number > 30 and dice.chance(0.08) else email


def _currency(number: int, country: str) -> str:
    if number <= 26:
        return "EUR"
    currency = "JPY" if number == 27 else CURRENCY.get(country, "EUR")
    return currency if currency in wares.RATES else "EUR"


def _lines(dice: Dice, number: int, currency: str) -> tuple[OrderLine, ...]:
    chosen = PLANTED_LINES.get(number) or _basket(dice, number)
    return tuple(
        OrderLine(sku, qty, wares.listed(int(sku.removeprefix("LK-")) - 1000, currency))
        for sku, qty in chosen
    )


def _basket(dice: Dice, number: int) -> list[tuple[str, int]]:
    """From the fourth product on: the last unit and what is sold out stay as planted."""
    there = room("orders", number, "products") - 3
    skus = sorted(dice.few(dice.pick((1, 1, 1, 2, 2, 3, 5)), there))
    return [(wares.sku(index + 4), dice.pick((1, 1, 1, 2, 2, 3, 4, 6, 10))) for index in skus]


def _shipping(plan: Plan, subtotal: int, currency: str) -> int:
    cents = 1490 if plan.express else 0 if subtotal >= wares.converted(15_000, currency) else 690
    minor = wares.converted(cents, currency)
    return minor // 10 * 10


def _holds(plan: Plan, lines: tuple[OrderLine, ...], warehouse: str, at: datetime) -> tuple[Hold, ...]:
    """Stock stands aside from the reservation until the parcel leaves."""
    if plan.status not in ("reserved", "ready_for_fulfilment", "picking", "packed"):
        return ()
    held = tuple((line.sku, line.qty) for line in lines)
    order = f"ord_{plan.number}"
    return (Hold(f"hold_{plan.number}", order, warehouse, held, at, at + timedelta(days=7)),)


def _firm(names: dict[str, str], dice: Dice, customer: sales.Contact) -> str | None:
    return None if dice.chance(0.1) else names[customer.company_id].strip()
