"""The bones of every order: when it was placed, what became of it, and how each of its parcels travelled.

Ten orders in a row have nine parcels between them: some orders wait, some come in two parts, some parcels are booked anew.
So order and parcel numbers agree without anybody counting through the orders before.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from lockkeep_servers.kit.world.dice import Dice, drawn
from lockkeep_servers.kit.world.sizes import numbers
from lockkeep_servers.kit.world.times import at, office, workday

BLOCK, PARCELS = 10, 9  # orders in a row, and their parcels
LATE = (2, 25)  # 8 %
WAITING = ("paid", "paid", "paid", "reserved", "reserved", "ready_for_fulfilment", "picking", "pending_payment",
           "on_hold", "cancelled", "cancelled")  # fmt: skip
INCIDENTS = ("weather", "missed_sort", "damaged", "breakdown")
SLOTS = {  # parcels of the orders of the planted blocks
    0: (0, 0, 1, 2, 1, 1, 1, 1, 1, 1),
    1: (0, 0, 0, 0, 1, 2, 2, 2, 1, 1),
    2: (0, 0, 0, 1, 2, 2, 1, 1, 1, 1),
}
STANDS = {1: "paid", 2: "paid", 11: "pending_payment", 12: "on_hold", 13: "cancelled", 14: "reserved",
          21: "ready_for_fulfilment", 22: "picking", 23: "paid"}  # fmt: skip
MOVES = {
    8: "late_30", 9: "late_delivered", 10: "late_today", 15: "moving", 17: "sent_back", 19: "lost", 20: "delivered",
    24: "labelled", 27: "bad_address", 30: "late_arrived",
}  # fmt: skip
REBOOKED = ("rebooked", "sent_back")
DUE_YESTERDAY = ("late_30", "late_today", "late_delivered")
JUST_IN = (3, 4, 5, 6, 7)  # the orders whose money somebody asks for


@dataclass(frozen=True)
class Journey:
    """One parcel. `end` is the last thing its carrier said;"""

    number: int  # of the shipment
    part: int
    promised_at: datetime
    bought_at: datetime
    shipped_at: datetime | None
    eta: datetime | None
    delivered_at: datetime | None
    end: str
    incident: str | None
    supersedes: int | None  # number of the shipment it was booked in place of


@dataclass(frozen=True)
class Plan:
    number: int  # of the order
    express: bool
    placed_at: datetime
    promised_at: datetime
    status: str
    journeys: tuple[Journey, ...]


def plans(seed: int, day: date, size: str) -> tuple[Plan, ...]:
    """Return the plan of every order, by number."""
    blocks = len(numbers(size, "orders")) // BLOCK
    return tuple(plan for block in range(blocks) for plan in _block(seed, day, block))


def _block(seed: int, day: date, block: int) -> list[Plan]:
    slots, made, parcel = _slots(seed, block), list[Plan](), block * PARCELS + 1
    for place, count in enumerate(slots):
        made.append(_plan(seed, day, block * BLOCK + place + 1, parcel, count))
        parcel += count
    return made


def _slots(seed: int, block: int) -> tuple[int, ...]:
    if block in SLOTS:
        return SLOTS[block]
    dice = Dice(seed, "slots", block)
    doubles = dice.below(3)
    drawn_places = sorted(dice.few(2 * doubles + 1, BLOCK))
    waiting = dice.few(doubles + 1, len(drawn_places))
    slots = [1] * BLOCK
    for index, place in enumerate(drawn_places):
        slots[place] = 0 if index in waiting else 2
    return tuple(slots)


def _plan(seed: int, day: date, number: int, parcel: int, count: int) -> Plan:
    dice = Dice(seed, "journey", number)
    express = dice.chance(0.25)
    if count == 0:
        return _waiting(dice, day, number, express)
    late = drawn(seed, "late", parcel, *LATE)
    how = "delivered" if number in JUST_IN else MOVES.get(number) or _how(dice, late, count)
    return _sent(dice, day, number, parcel, count, express, how)


def _how(dice: Dice, late: bool, count: int) -> str:
    roll = dice.below(100)
    if late and count == 2:
        return "rebooked"
    if late:
        return "late" if roll < 15 else "lost" if roll < 20 else "late_arrived"
    return "labelled" if roll < 4 else "moving" if roll < 18 else "stuck" if roll < 20 else "delivered"


def _waiting(dice: Dice, day: date, number: int, express: bool) -> Plan:
    status = STANDS.get(number) or dice.pick(WAITING)
    hours = dice.between(30, 1900) if status == "cancelled" else dice.between(2, 60)
    placed = at(day, 0, 0) - timedelta(hours=hours, minutes=dice.below(60))
    return Plan(number, express, placed, _promise(placed, express), status, ())


def _promise(placed: datetime, express: bool) -> datetime:
    return workday((placed + timedelta(days=3 if express else 6)).replace(hour=18, minute=0))


def _sent(
    dice: Dice, day: date, number: int, parcel: int, count: int, express: bool, how: str
) -> Plan:  # fmt: skip
    days = dice.between(10, 14) if number in JUST_IN else _age(dice, how, express)
    placed = at(day, days, dice.below(600) - 120)
    promised = _promise(placed, express)
    if how in DUE_YESTERDAY:
        promised = at(day, 1, 480)
    elif how in ("late", "lost"):
        promised = min(promised, at(day, 2 if how == "lost" else 0, dice.below(1200) - 600))
    first = _journey(dice, day, parcel, placed, promised, how)
    parts = [first] if count == 1 else [first, _second(dice, first, how)]
    ended = parts[-1]
    gone = all(one.shipped_at is None for one in parts)
    status = "packed" if gone else "delivered" if ended.delivered_at else "shipped"
    return Plan(number, express, placed, promised, status, tuple(parts))


def _age(dice: Dice, how: str, express: bool) -> int:
    match how:
        case "delivered":
            return dice.between(10, 88)
        case "late_arrived" | "rebooked" | "sent_back":
            return dice.between(16, 88)
        case "late" | "late_30" | "late_today" | "late_delivered" | "lost":
            return dice.between(7, 12)
        case "stuck" | "bad_address":
            return dice.between(3, 5)
        case "labelled":
            return 1
        case _:
            return dice.between(1, 2) if express else dice.between(2, 4)


def _journey(
    dice: Dice, day: date, parcel: int, placed: datetime, promised: datetime, how: str
) -> Journey:  # fmt: skip
    now = at(day, 0, 0)
    bought = placed + timedelta(minutes=dice.between(90, 420))
    collected = bought.replace(hour=dice.between(14, 18), minute=dice.below(60))
    shipped = workday(collected if collected > bought + timedelta(hours=1) else collected + timedelta(days=1))
    shipped = min(shipped, promised - timedelta(hours=20), now - timedelta(hours=dice.between(3, 9)))
    base = Journey(parcel, 1, promised, bought, shipped, None, None, "in_transit", None, None)
    late = timedelta(hours=dice.between(24, 96))
    early = timedelta(minutes=dice.between(20, 500))
    incident = dice.pick(INCIDENTS)
    match how:
        case "labelled":
            bought = now - timedelta(hours=dice.between(3, 16))
            return replace(base, bought_at=bought, shipped_at=None, eta=promised - early, end="pre_transit")
        case "moving":
            eta = max(promised - early, now + timedelta(hours=1))
            soon = eta - now < timedelta(hours=10)
            return replace(base, eta=eta, end="out_for_delivery" if soon else "in_transit")
        case "stuck":
            end = dice.pick(("on_hold", "delivery_attempted", "available_for_pickup"))
            return replace(base, end=end, incident="address" if end == "on_hold" else None)
        case "bad_address":
            return replace(base, end="on_hold", incident="address")
        case "late" | "late_today":
            return replace(base, eta=promised + late, incident=incident)
        case "late_30":
            return replace(base, eta=promised + timedelta(hours=30), incident="missed_sort")
        case "late_delivered":
            return replace(base, delivered_at=now - timedelta(minutes=50), end="delivered", incident=incident)
        case "lost":
            return replace(base, end="lost", incident="lost")
        case "late_arrived":
            arrived = _daytime(promised + late + timedelta(hours=12))
            return replace(base, delivered_at=arrived, end="delivered", incident=incident)
        case "rebooked" | "sent_back":
            ends = ("return_to_sender", "returned", "lost")
            end = ends[0] if how == "sent_back" else dice.pick(ends)
            return replace(base, eta=promised + late + timedelta(hours=48), end=end, incident=incident)
        case _:
            arrived = shipped + (promised - early - shipped) * dice.between(40, 100) // 100
            return replace(
                base, delivered_at=max(_daytime(arrived), shipped + timedelta(hours=2)), end="delivered"
            )


def _daytime(moment: datetime) -> datetime:
    """Return a time of that day when vans are out, before 17:00."""
    return moment.replace(hour=8 + moment.hour * 9 // 24, second=0, microsecond=0)


def _second(dice: Dice, first: Journey, how: str) -> Journey:
    """The other part of the order, or what was booked when the first one did not come."""
    if how not in REBOOKED:
        lag = timedelta(hours=dice.between(0, 5))
        arrived = first.delivered_at and min(first.delivered_at + lag, first.promised_at)
        return replace(first, number=first.number + 1, part=2, delivered_at=arrived)
    bought = office(first.promised_at + timedelta(hours=dice.between(6, 30)))
    shipped = bought + timedelta(hours=dice.between(2, 8))
    arrived = shipped + timedelta(hours=dice.between(18, 44))
    due = arrived + timedelta(hours=2)
    number = first.number
    return Journey(number + 1, 2, due, bought, shipped, None, arrived, "delivered", None, number)
