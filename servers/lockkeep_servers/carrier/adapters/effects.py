"""What each writer of the carrier does inside its transaction. Checks stand before the effect."""

import json
from collections.abc import Mapping
from typing import Any

from lockkeep_servers.carrier import checks, port, rebooking
from lockkeep_servers.carrier.adapters.shipments import Seen, Shipments
from lockkeep_servers.carrier.adapters.tariff import DOORBELL, refund_of
from lockkeep_servers.carrier.checks import PickedUp
from lockkeep_servers.kit.errors import Conflict, Duplicate, NotFound, PriceAboveMax, RateExpired
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.results import Undo
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import parse_time, stamp


def buy_label(shipments: Shipments, ask: port.BuyLabel) -> Effect:
    """The label of this rate is bought, for no more than was allowed."""
    rate = _open_rate(shipments, ask.rate_id, ask.max_amount_minor, ask.currency)
    row = _buy(shipments, rate, {"order_id": ask.order_id})
    return Effect(row["id"], "1", None, _bought(shipments.seen(row)), undo=_until_picked_up(row))


def _open_rate(shipments: Shipments, rate_id: str, most: int, currency: str) -> Row:
    """The rate holds now, nobody used it, its price is allowed, and its addresses can be used."""
    rate = shipments.tx.row("get_rate", id=rate_id)
    if rate is None:
        raise NotFound("rate")
    if used := shipments.tx.row("bought_with", rate_id=rate_id):
        raise Duplicate("label", used["id"])
    if shipments.now >= min(parse_time(rate["expires_at"]), parse_time(rate["picked_up_at"])):
        raise RateExpired
    checks.own_currency(currency, rate["currency"])
    if rate["amount_minor"] > most:
        raise PriceAboveMax(rate["amount_minor"], rate["currency"])
    checks.address_ok(json.loads(rate["sender"]), "from")
    checks.address_ok(json.loads(rate["receiver"]), "to")
    return rate


def _buy(shipments: Shipments, rate: Row, about: Mapping[str, Any]) -> Row:
    """The label exists, and the carrier's plan for it: what it will say as the clock moves on."""
    names = "carrier service amount_minor currency guaranteed sender receiver parcels eta"
    values = {name: rate[name] for name in names.split()}
    values |= {"rate_id": rate["id"], "promised_at": rate["eta"], "voidable_until": rate["picked_up_at"]}
    row = shipments.add({**values, **about})
    van, arrival = parse_time(rate["picked_up_at"]), parse_time(rate["eta"])
    home = arrival.replace(hour=DOORBELL - 9)
    for at, status, message in (
        (shipments.now, "pre_transit", "Label made, waiting for the parcel"),
        (van, "in_transit", "Picked up"),
        (home, "out_for_delivery", "On the van"),
        (arrival, "delivered", "Delivered"),
    ):
        seen = {"at": stamp(at), "received_at": stamp(at), "status": status, "message": message}
        shipments.tx.run("add_scan", shipment_id=row["id"], place=None, **seen)
    return row


def _bought(seen: Seen) -> dict[str, Any]:
    names = "order_id tracking_number carrier service amount_minor currency rate_id supersedes"
    values = {name: seen.row[name] for name in names.split() if seen.row[name] is not None}
    return {
        **values,
        "status": seen.standing.status,
        "eta": seen.row["eta"],
        "voidable_until": seen.row["voidable_until"],
    }


def _until_picked_up(row: Row, note: str = "The refund comes later.") -> Undo:
    return Undo(possible="until", until=parse_time(row["voidable_until"]), note=note)


def void_label(shipments: Shipments, ask: port.VoidLabel) -> Effect:
    """The label is void; one that was void already stays as it is."""
    row = shipments.fetch(ask.shipment_id)
    shipments.expect(row, ask.expected_version)
    if shipments.seen(row).void:
        return Effect(row["id"], str(row["version"]), {}, {})
    seen, before, after = shipments.save(row, shipments.voided(row, refund_of(row["carrier"])))
    undo = Undo(possible="no", note="Buy another label instead.")
    old = shipments.seen(shipments.fetch(row["supersedes"])) if row["supersedes"] is not None else None
    nowhere = ("void: the old label is void, too, so nothing is on its way now",)
    warnings = nowhere if old is not None and old.void and not seen.replaced else ()
    return Effect(row["id"], str(seen.row["version"]), before, after, undo, warnings)


def rebook(shipments: Shipments, ask: port.Rebook) -> Effect:
    """A new label replaces the old one, which is void, or whose parcel the carrier was asked to bring back."""
    old = shipments.seen(shipments.fetch(ask.shipment_id))
    checks.not_delivered(old.standing.status)
    checks.no_hazmat(json.loads(old.row["parcels"]))
    if old.replaced:
        raise Duplicate("replacement", old.row["superseded_by"])
    rate = _open_rate(shipments, ask.rate_id, ask.max_extra_minor, ask.currency)
    checks.rate_for(ask.shipment_id, rate["shipment_id"])
    about = {"order_id": old.row["order_id"], "customer_id": old.row["customer_id"]}
    new = _buy(shipments, rate, {**about, "supersedes": old.row["id"]})
    given_up, steps = _give_up(shipments, old)
    bought = _step("buy", "done", new), _step("link", "done", old.row)
    done, before, after = shipments.save(old.row, {"superseded_by": new["id"], **given_up})
    return Effect(
        old.row["id"],
        str(done.row["version"]),
        before,
        {**after, **_price(new), "replacement": _bought(shipments.seen(new))},
        undo=_until_picked_up(new, "The new label's refund comes later. A label that was voided stays void."),
        warnings=tuple(f"{step.step}: {step.note}" for step in steps if step.state == "failed"),
        images={"steps": [step.model_dump() for step in (*bought, *steps)]},
    )


def _price(row: Row) -> dict[str, Any]:
    return {"amount_minor": row["amount_minor"], "currency": row["currency"]}


def _step(step: port.StepName, state: port.StepState, row: Row, note: str | None = None) -> port.Step:
    return port.Step(step=step, state=state, shipment_id=row["id"], note=note)


def _give_up(shipments: Shipments, old: Seen) -> tuple[dict[str, Any], list[port.Step]]:
    """What becomes of the old label, and the steps to it. None of them stops the new parcel."""
    row, steps = old.row, list[port.Step]()
    if old.void:
        return {}, [_step("void", "skipped", row, "The old label was void already.")]
    if row["refund"] is None and shipments.now < parse_time(row["voidable_until"]):
        try:
            return shipments.voided(row, refund_of(row["carrier"])), [_step("void", "done", row)]
        except PickedUp as error:
            steps.append(_step("void", "failed", row, error.message))
    state, note = rebooking.interception(old.standing.status)
    steps.append(_step("intercept", state, row, note))
    return {"interception": "requested"} if state == "done" else {}, steps


def cancel_rebook(shipments: Shipments, ask: port.CancelRebook) -> Effect:
    """The replacement's label is void, and the old parcel has none; a request to stop that one is taken back."""
    old = shipments.fetch(ask.shipment_id)
    shipments.expect(old, ask.expected_version)
    if old["superseded_by"] is None:
        return Effect(old["id"], str(old["version"]), {}, {}, images={"steps": []})
    new = shipments.fetch(old["superseded_by"])
    if shipments.seen(new).replaced:
        raise Conflict(str(old["version"]), ["superseded_by"])
    void = shipments.seen(new).void
    voided = {} if void else shipments.voided(new, refund_of(new["carrier"]))
    steps = _step("void", "skipped" if void else "done", new), _step("unlink", "done", old)
    shipments.save(new, voided)
    done, before, after = shipments.save(old, {"superseded_by": None, "interception": None})
    return Effect(
        old["id"],
        str(done.row["version"]),
        before,
        after,
        undo=Undo(possible="no", note="Rebook it again instead."),
        warnings=("void: the old label stays void, so nothing is on its way now",) if done.void else (),
        images={"steps": [step.model_dump() for step in steps]},
    )
