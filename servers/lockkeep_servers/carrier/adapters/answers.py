"""Rows as a caller sees them."""

import json
from datetime import datetime
from typing import Any

from lockkeep_servers.carrier import port
from lockkeep_servers.carrier.adapters.shipments import Seen, moment
from lockkeep_servers.carrier.tracking import ENDED, action_required
from lockkeep_servers.kit.times import parse_time

MOST_SCANS = 100  # shown, the latest; a carrier that loops must not flood an answer
LONGEST_TEXT = 500


def _short(text: str | None) -> str | None:
    return text[:LONGEST_TEXT] if text is not None else None


def _eta(seen: Seen) -> datetime | None:
    return None if seen.standing.status in ENDED else moment(seen.row["eta"])


def tracked(seen: Seen, now: datetime) -> port.Tracked:
    row, stands = seen.row, seen.standing
    events = [
        port.Event(at=one.at, status=one.status, place=_short(one.place), message=_short(one.message))
        for one in stands.scans[-MOST_SCANS:]
    ]
    return port.Tracked(
        shipment_id=row["id"],
        tracking_number=row["tracking_number"],
        status=stands.status,
        incident=row["incident"],
        events=events,
        eta=_eta(seen),
        promised=parse_time(row["promised_at"]),
        delay_h=stands.delay_h,
        action_required=action_required(stands.status, superseded=seen.replaced),
        as_of=now,
    )


def exceptional(seen: Seen) -> port.Exceptional:
    row = seen.row
    return port.Exceptional(
        shipment_id=row["id"],
        order_id=row["order_id"],
        customer=_short(json.loads(row["receiver"]).get("name")),
        customer_id=row["customer_id"],
        status=seen.standing.status,
        incident=row["incident"],
        delay_h=seen.standing.delay_h,
    )


def address_of(values: Any) -> port.Address:
    return port.Address.model_validate(dict(values))


def found(seen: Seen) -> port.Found:
    row, stands = seen.row, seen.standing
    shipment = port.Shipment(
        id=row["id"],
        order_id=row["order_id"],
        customer_id=row["customer_id"],
        status=stands.status,
        incident=row["incident"],
        delay_h=stands.delay_h,
        eta=_eta(seen),
        promised=parse_time(row["promised_at"]),
        sender=address_of(json.loads(row["sender"])),
        receiver=address_of(json.loads(row["receiver"])),
        parcels=[port.Packed.model_validate(parcel) for parcel in json.loads(row["parcels"])],
        interception=row["interception"],
        superseded_by=row["superseded_by"],
    )
    label = port.Label(
        carrier=row["carrier"],
        service=row["service"],
        tracking_number=row["tracking_number"],
        bought_at=parse_time(row["bought_at"]),
        refund=stands.refund,
    )
    paid = port.Paid(
        rate_id=row["rate_id"],
        amount_minor=row["amount_minor"],
        currency=row["currency"],
        guaranteed=bool(row["guaranteed"]),
    )
    return port.Found(
        shipment=shipment,
        label=label,
        rate=paid,
        voidable_until=None if stands.picked_up or seen.void else parse_time(row["voidable_until"]),
        supersedes=row["supersedes"],
        version=str(row["version"]),
    )
