"""The life of an order, step by step."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from lockkeep_servers.kit.world.dice import Dice
from lockkeep_servers.kit.world.journeys import Plan
from lockkeep_servers.kit.world.times import at

LIFE = (
    "pending_payment",
    "paid",
    "reserved",
    "ready_for_fulfilment",
    "picking",
    "packed",
    "shipped",
    "delivered",
)
PICKERS = ("ops_tom", "ops_ravi")
REASONS = {
    "paid": "payment captured",
    "cancelled": "customer no longer needs it",
    "on_hold": "held for a look",
}


@dataclass(frozen=True)
class StatusChange:
    """One step of an order's life. `old` is None where it begins."""

    at: datetime
    by: str  # a person, or "shop", "carrier"
    old: str | None
    new: str
    reason: str


def steps(dice: Dice, day: date, plan: Plan) -> tuple[StatusChange, ...]:
    """Every step up to where the order stands, in time before the demo day begins."""
    way = _way(plan.status)
    times = _times(dice, day, plan, len(way))
    made = list[StatusChange]()
    for old, new, moment in zip((None, *way), way, times, strict=False):
        made.append(StatusChange(moment, _by(dice, new), old, new, REASONS.get(new, "")))
    return tuple(made)


def _way(status: str) -> tuple[str, ...]:
    if status in LIFE:
        return LIFE[: LIFE.index(status) + 1]
    return ("pending_payment", "paid", status)


def _times(dice: Dice, day: date, plan: Plan, count: int) -> list[datetime]:
    """Payment at once, packing before the first parcel was labelled, then as the parcels travelled."""
    labelled = plan.journeys[0].bought_at if plan.journeys else at(day, 0, -20)
    fixed = [journey.shipped_at for journey in plan.journeys if journey.shipped_at]
    arrived = [journey.delivered_at for journey in plan.journeys if journey.delivered_at]
    times = [plan.placed_at, plan.placed_at + timedelta(minutes=dice.between(1, 9))]
    inside = min(count, 6) - 2
    step = (labelled - times[-1]) / (inside + 1) if inside > 0 else timedelta()
    times += [times[1] + step * number for number in range(1, inside + 1)]
    times += [min(fixed)] if count > 6 else []
    times += [max(arrived)] if count > 7 else []
    return [moment.replace(microsecond=0) for moment in times[:count]]


def _by(dice: Dice, status: str) -> str:
    if status in ("pending_payment", "paid"):
        return "shop"
    if status in ("shipped", "delivered"):
        return "carrier"
    return dice.pick(PICKERS)
