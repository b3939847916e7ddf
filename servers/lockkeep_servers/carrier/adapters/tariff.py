"""What the embedded carriers charge, and when they come: a rate table, and a van on every working day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lockkeep_servers.carrier import port
from lockkeep_servers.kit.world.parcels import Service, services_of

QUOTE_LASTS = timedelta(hours=4)
PACKING = timedelta(hours=2)  # between buying and the van
BILLED_ON_SCAN = ("meridian",)  # they charge when they first scan a parcel: a void label was never paid
VAN, DOORBELL = 16, 18  # o'clock, UTC


@dataclass(frozen=True)
class Offer:
    service: Service
    amount_minor: int
    picked_up_at: datetime
    eta: datetime


def offers(
    ways: tuple[str, str], parcels: Sequence[dict[str, Any]], ask: port.Quote, now: datetime
) -> tuple[list[Offer], list[str]]:
    """Return what can be had from one country to the other, cheapest first; and why nothing can, where that is so."""
    van = _next_van(now + PACKING)
    weight, hazmat = sum(one["weight_g"] for one in parcels), any(one["hazmat"] for one in parcels)
    able = services_of(*ways, weight, hazmat)
    wanted = [one for one in able if ask.services is None or one.service in ask.services]
    made = [Offer(one, one.price_minor(weight), van, _arrival(van, one.days)) for one in wanted]
    in_time = [one for one in made if ask.deliver_by is None or one.eta <= ask.deliver_by]
    if ask.ship_by is not None and van > ask.ship_by:
        return [], ["ship_by: nobody comes for it before then"]
    if not able:
        return [], ["parcels: nobody takes them there"]
    if not wanted:
        names = ", ".join(dict.fromkeys(one.service for one in able))
        return [], [f"services: none of these; there are {names}"]
    if not in_time:
        return [], ["deliver_by: nobody brings it before then"]
    return sorted(in_time, key=lambda one: (one.amount_minor, one.eta, one.service.service)), []


def _next_van(earliest: datetime) -> datetime:
    van = earliest.replace(hour=VAN, minute=0, second=0, microsecond=0)
    return _working(van if van >= earliest else van + timedelta(days=1))


def _arrival(van: datetime, days: int) -> datetime:
    arrival = van.replace(hour=DOORBELL)
    for _ in range(days):
        arrival = _working(arrival + timedelta(days=1))
    return arrival


def _working(moment: datetime) -> datetime:
    return moment + timedelta(days=max(0, 7 - moment.weekday()) if moment.weekday() > 4 else 0)


def refund_of(carrier: str) -> str:
    """Return what voiding one of its labels comes to in the end."""
    return "not_applicable" if carrier in BILLED_ON_SCAN else "refunded"
