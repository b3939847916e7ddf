"""The world's part that the carrier keeps, written into an empty store in one transaction."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import timedelta

from lockkeep_servers.kit.sqlite import Database, Transaction
from lockkeep_servers.kit.times import stamp
from lockkeep_servers.kit.world.parcels import SERVICES, Shipment, zone_of

OUTCOME = {"submitted": "refunded", "refunded": "refunded", "rejected": "rejected"}


def seed(database: Database, shipments: Callable[[], Iterable[Shipment]]) -> None:
    """An empty store holds these shipments, made only then; any other stays as it is."""
    with database.opened():
        database.write_now(
            lambda tx: None if tx.rows("count_shipments")[0]["count"] else _fill(tx, shipments())
        )


def _fill(tx: Transaction, shipments: Iterable[Shipment]) -> None:
    for one in shipments:
        _add(tx, one)
        if one.supersedes is not None:
            tx.run("link_shipment", id=one.supersedes, superseded_by=one.id)


def _add(tx: Transaction, one: Shipment) -> None:
    settled = one.bought_at + (timedelta(days=30) if one.void == "submitted" else timedelta())
    tx.run(
        "add_shipment",
        id=one.id,
        version=1,
        order_id=one.order_id,
        customer_id=one.customer_id,
        tracking_number=one.tracking_number,
        carrier=one.carrier,
        service=one.service,
        amount_minor=one.price_minor,
        currency=one.currency,
        guaranteed=int(_guaranteed(one)),
        rate_id=None,
        sender=json.dumps(asdict(one.sender)),
        receiver=json.dumps(asdict(one.receiver)),
        parcels=json.dumps([asdict(parcel) for parcel in one.parcels]),
        incident=one.incident,
        promised_at=stamp(one.promised_at),
        eta=stamp(one.eta) if one.eta else None,
        bought_at=stamp(one.bought_at),
        voidable_until=stamp(one.voidable_until),
        refund=OUTCOME[one.void] if one.void else None,
        refund_at=stamp(settled) if one.void else None,
        supersedes=one.supersedes,
        superseded_by=None,
        interception=None,
        updated_at=stamp(one.bought_at),
    )
    for event in one.events:
        seen = {"at": stamp(event.at), "received_at": stamp(event.received_at), "status": event.status}
        tx.run("add_scan", shipment_id=one.id, **seen, place=event.place, message=event.message)


def _guaranteed(one: Shipment) -> bool:
    way = zone_of(one.sender.country, one.receiver.country)
    return any(
        row.guaranteed
        for row in SERVICES
        if (row.carrier, row.service, row.zone) == (one.carrier, one.service, way)
    )
