"""Prices asked for, and kept until they expire: a rate is an offer for one label."""

import json
from datetime import datetime, timedelta
from typing import Any

from lockkeep_servers.carrier import addresses, port
from lockkeep_servers.carrier.adapters.shipments import Shipments
from lockkeep_servers.carrier.adapters.tariff import QUOTE_LASTS, Offer, offers
from lockkeep_servers.kit.errors import Invalid
from lockkeep_servers.kit.sqlite import Transaction
from lockkeep_servers.kit.times import stamp

KEPT = timedelta(days=7)  # an expired rate is remembered as expired for so long


def one_question(ask: port.Quote, now: datetime) -> None:
    """New parcels or those of a shipment are meant, and what is to happen is still to come."""
    given = {"from": ask.from_, "to": ask.to, "parcels": ask.parcels}
    if ask.shipment_id is not None:
        faults = {n: "is not taken together with shipment_id" for n, v in given.items() if v is not None}
    else:
        faults = {n: "is required without shipment_id" for n, v in given.items() if v is None}
    limits = {"ship_by": ask.ship_by, "deliver_by": ask.deliver_by}
    faults |= {n: "must be in the future" for n, at in limits.items() if at is not None and at <= now}
    if faults:
        raise Invalid(faults)


def quoted(tx: Transaction, ask: port.Quote, now: datetime) -> port.Rates:
    """The rates are kept, and what is wrong with the addresses is said at once."""
    tx.run("forget_quotes", before=stamp(now - KEPT))
    sender, receiver, parcels = _question(Shipments(tx, now), ask)
    messages = [
        f"{side}.{message}"
        for side, address in (("from", sender), ("to", receiver))
        for message in address.messages
    ]
    ways = str(sender.address["country"]), str(receiver.address["country"])
    made, reasons = offers(ways, parcels, ask, now)
    expires = min([now + QUOTE_LASTS, *(offer.picked_up_at for offer in made)]).replace(microsecond=0)
    quote = tx.rows(
        "add_quote",
        shipment_id=ask.shipment_id,
        sender=json.dumps(sender.address),
        receiver=json.dumps(receiver.address),
        parcels=json.dumps(parcels),
        expires_at=stamp(expires),
    )[0]["id"]
    rates = [_rate(tx, offer, expires) for offer in made]
    for rate, offer in zip(rates, made, strict=True):
        values = rate.model_dump(include={"carrier", "service", "amount_minor", "currency", "guaranteed"})
        times = {"picked_up_at": stamp(offer.picked_up_at), "eta": stamp(offer.eta)}
        tx.run("add_rate", id=rate.rate_id, quote_id=quote, **values, **times)
    return port.Rates(rates=rates, messages=[*messages, *reasons])


def _rate(tx: Transaction, offer: Offer, expires: datetime) -> port.Rate:
    number = tx.rows("next_number", kind="rate")[0]["last"]
    return port.Rate(
        rate_id=f"rate_{number}",
        carrier=offer.service.carrier,
        service=offer.service.service,
        amount_minor=offer.amount_minor,
        currency=offer.service.currency,
        eta=offer.eta,
        guaranteed=offer.service.guaranteed,
        expires_at=expires,
    )


def _question(
    shipments: Shipments, ask: port.Quote
) -> tuple[addresses.Checked, addresses.Checked, list[dict[str, Any]]]:
    """Return both addresses, checked, and the parcels."""
    if ask.shipment_id is None:
        sides = [side.model_dump() for side in (ask.from_, ask.to) if side is not None]
        parcels = [parcel.model_dump() for parcel in ask.parcels or ()]
    else:
        row = shipments.fetch(ask.shipment_id)
        sides = [json.loads(row["sender"]), json.loads(row["receiver"])]
        parcels = json.loads(row["parcels"])
    sender, receiver = map(addresses.check, sides)
    return sender, receiver, parcels
