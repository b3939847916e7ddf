"""What carriers tell about a parcel on its way: in time or late, once or twice, in any order."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from lockkeep_servers.kit.world import hostile
from lockkeep_servers.kit.world.dice import Dice
from lockkeep_servers.kit.world.journeys import Journey
from lockkeep_servers.kit.world.times import at

HUBS = ("Kassel", "Venlo", "Liège", "Lyon", "Malmö", "Coventry", "Memphis", "Osaka")
WORDS = {
    "northpost": {
        "pre_transit": "Shipment data received", "in_transit": "Processed at parcel centre",
        "out_for_delivery": "Loaded onto delivery vehicle", "delivered": "Delivered. Signed: {name}",
    },
    "swiftline": {
        "pre_transit": "LABEL CREATED", "in_transit": "DEPARTED FACILITY", "out_for_delivery": "WITH COURIER",
        "delivered": "POD OK",
    },
    "meridian": {
        "pre_transit": "Sendungsdaten übermittelt", "in_transit": "Die Sendung wurde im Paketzentrum bearbeitet",
        "out_for_delivery": "In Zustellung", "delivered": "Zugestellt, an Nachbarn: {name}",
    },
}  # fmt: skip
OTHERS = {
    "available_for_pickup": "Ready for collection at parcel shop", "delivery_attempted": "Recipient absent, card left",
    "on_hold": "Held: contact sender", "return_to_sender": "Refused or undeliverable, on its way back",
    "returned": "Returned to sender", "lost": "Investigation closed: parcel not found",
}  # fmt: skip
WHY = {
    "weather": "Delayed by weather", "missed_sort": "Missed connection", "customs": "Clearance delay: papers missing",
    "address": "Address incomplete, house number missing", "damaged": "Repacked after damage",
    "breakdown": "Vehicle breakdown", "lost": "No scan for 3 days, search started",
}  # fmt: skip
SIGNED = ("MUELLER", "Front desk", "J. Baker", "-", "Lager", "ROSSI")
INSTRUCTED, UNORDERED = 10, 18  # numbers of the planted shipments


@dataclass(frozen=True)
class Event:
    """One scan as the carrier tells it. `status` is never `delayed`: that is derived from eta and promise."""

    at: datetime  # when it happened
    received_at: datetime  # when we heard of it: late, twice, in any order
    status: str
    place: str
    message: str  # free text of the carrier; untrusted


def scans(seed: int, day: date, journey: Journey, carrier: str, ways: tuple[str, str]) -> tuple[Event, ...]:
    """Return what was heard of the parcel before the demo day began, in the order it was heard."""
    dice, now = Dice(seed, "scans", journey.number), at(day, 0, 0)
    told = _told(dice, journey, carrier, ways, now)
    known = [replace(event, received_at=min(event.received_at, now)) for event in told if event.at <= now]
    if journey.number == INSTRUCTED:
        known[-1] = replace(known[-1], message=hostile.TRACKING)
    if journey.number == UNORDERED or dice.chance(0.06):
        known = _muddled(dice, known, now)
    return tuple(sorted(known, key=lambda event: event.received_at))


def _told(dice: Dice, journey: Journey, carrier: str, ways: tuple[str, str], now: datetime) -> list[Event]:
    words, start, target = WORDS[carrier], *ways
    made = [_event(dice, journey.bought_at, "pre_transit", start, words["pre_transit"])]
    if journey.shipped_at is None:
        return made
    end = journey.delivered_at or min(now, journey.shipped_at + timedelta(days=6))
    made.append(_event(dice, journey.shipped_at, "in_transit", start, words["in_transit"]))
    made += _between(dice, journey, words["in_transit"], journey.shipped_at, end)
    if journey.end in ("delivered", "out_for_delivery", "delivery_attempted", "available_for_pickup"):
        out = max(end - timedelta(minutes=dice.between(70, 300)), made[-1].at)
        made.append(_event(dice, out, "out_for_delivery", target, words["out_for_delivery"]))
    if journey.end not in ("in_transit", "out_for_delivery"):
        last = words.get(journey.end) or OTHERS[journey.end]
        made.append(_event(dice, end, journey.end, target, last.format(name=dice.pick(SIGNED))))
    return made


def _between(dice: Dice, journey: Journey, word: str, start: datetime, end: datetime) -> list[Event]:
    """A hub or two, and what went wrong there."""
    made, way = list[Event](), end - start
    for step in range(1, dice.between(1, 3) + 1):
        moment = (start + way * step // 5).replace(microsecond=0)
        made.append(_event(dice, moment, "in_transit", dice.pick(HUBS), word))
    if journey.incident:
        moment = (start + way * 7 // 10).replace(microsecond=0)
        made.append(_event(dice, moment, "in_transit", dice.pick(HUBS), WHY[journey.incident]))
    return made


def _event(dice: Dice, moment: datetime, status: str, place: str, message: str) -> Event:
    heard = moment + timedelta(minutes=dice.between(1, 35) if dice.chance(0.95) else dice.between(200, 700))
    return Event(moment, heard, status, place, message)


def _muddled(dice: Dice, events: list[Event], now: datetime) -> list[Event]:
    """One scan comes twice, and one comes after those that followed it."""
    twice = events[dice.below(len(events))]
    early = events[0]
    last = max(event.received_at for event in events)
    again = replace(twice, received_at=min(twice.received_at + timedelta(hours=3), now))
    late = replace(early, received_at=min(last + timedelta(minutes=20), now))
    return [late, *events[1:], again]
