"""Parcels that came late, were booked again or got lost, and what people did about each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from lockkeep_servers.kit.world.parcels import Shipment
from lockkeep_servers.kit.world.work import Work, work

OPEN = ("shp_7", "shp_8", "shp_9", "shp_17")  # planted: nobody has looked at them yet
LATE_H = 24
SLIPS = {
    "notify": "nothing",
    "trace": "notify",
}  # what people do instead, when they slip; "notify" for a booking


@dataclass(frozen=True)
class Rescue:
    """`right` and `chosen`: nothing · notify · trace · rebook CARRIER SERVICE."""

    shipment: Shipment
    again: Shipment | None  # booked in its place, at once or when the mistake was noticed
    work: Work
    right: str
    chosen: str


def rescues(seed: int, day: date, shipments: Sequence[Shipment]) -> Iterator[Rescue]:
    """Yield what was done about parcels that are settled; those late on the demo day are still to do."""
    booked = {one.supersedes: one for one in shipments if one.supersedes}
    for shipment in shipments:
        again = booked.get(shipment.id)
        if shipment.id not in OPEN and (again or _late(shipment)):
            found = _rescue(seed, day, shipment, again)
            if found:
                yield found


def _late(shipment: Shipment) -> bool:
    arrived = shipment.delivered_at
    late = arrived is not None and arrived >= shipment.promised_at + timedelta(hours=LATE_H)
    return late or shipment.status == "lost"


def _rescue(seed: int, day: date, shipment: Shipment, again: Shipment | None) -> Rescue | None:
    came = shipment.promised_at + timedelta(hours=1 if again else 12)
    done = work(seed, day, "late_shipment", int(shipment.id.removeprefix("shp_")), came)
    if done is None:
        return None
    if again:
        done = _as_booked(done, again)
    right = f"rebook {again.carrier} {again.service}" if again else _told(shipment)
    return Rescue(shipment, again, done, right, SLIPS.get(right, "notify") if done.mistake else right)


def _told(shipment: Shipment) -> str:
    return "trace" if shipment.status == "lost" else "notify"


def _as_booked(done: Work, again: Shipment) -> Work:
    """The new label was bought when the case was done; after a mistake, when that was noticed."""
    if done.mistake:
        first = again.bought_at - timedelta(hours=4)
        opened = first - timedelta(minutes=done.touch_minutes + 3)
        return replace(done, opened_at=opened, done_at=first, corrected_at=again.bought_at)
    opened = again.bought_at - timedelta(minutes=done.touch_minutes + 3)
    return replace(done, opened_at=opened, done_at=again.bought_at)
