"""Sending a parcel anew."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from tests.unit.servers.desk import Desk
from tests.unit.servers.parcels import (
    BO,
    BOX,
    DEPOT,
    ENDED,
    EXTRA,
    HAZMAT,
    INSTRUCTS,
    KEY,
    LATE,
    NAMED,
    a_label,
    a_parcel,
    a_rate,
    a_rate_for,
    desk_with,
    rebooked,
    scan,
    steps_of,
)
from tests.unit.servers.writes import tables

from lockkeep_servers.kit.world import parcels

# Sending a parcel anew


async def test_a_parcel_on_its_way_is_sent_anew_and_the_old_one_called_back(carrier: Desk) -> None:
    rate = (await carrier.ok("quote", shipment_id=LATE))["rates"][0]

    done = await carrier.ok("rebook", shipment_id=LATE, rate_id=rate["rate_id"], **EXTRA, idempotency_key=KEY)

    new = done["after"]["superseded_by"]
    assert steps_of(done) == [("buy", "done"), ("link", "done"), ("intercept", "done")]
    assert (done["before"], done["warnings"]) == ({"superseded_by": None, "interception": None}, [])
    assert (done["after"]["amount_minor"], done["after"]["currency"]) == (rate["amount_minor"], "EUR")
    old, replacement = [await carrier.ok("get", shipment_id=each) for each in (LATE, new)]
    assert (old["shipment"]["superseded_by"], old["shipment"]["interception"]) == (new, "requested")
    assert (replacement["supersedes"], replacement["shipment"]["order_id"]) == (
        LATE,
        old["shipment"]["order_id"],
    )
    assert (old["voidable_until"], replacement["voidable_until"]) == (None, "2027-03-01T16:00:00+00:00")
    assert replacement["shipment"]["customer_id"] == old["shipment"]["customer_id"]
    assert replacement["shipment"]["receiver"]["street1"] == old["shipment"]["receiver"]["street1"]


PICKED_UP = (scan(-3, "pre_transit"), scan(-1, "in_transit"))

WAYS: dict[str, tuple[parcels.Shipment, list[tuple[str, str]], list[str]]] = {
    "not yet picked up": (a_parcel(scan(-3, "pre_transit")), [("void", "done")], []),
    "scanned early: the void fails": (a_parcel(*PICKED_UP), [("void", "failed"), ("intercept", "done")], ["void"]),
    "on its way": (a_parcel(*PICKED_UP, voidable_h=-1), [("intercept", "done")], []),
    "with the courier": (
        a_parcel(*PICKED_UP, scan(-0.5, "out_for_delivery"), voidable_h=-1), [("intercept", "failed")], ["intercept"]
    ),
    "coming back": (a_parcel(*PICKED_UP, scan(-0.5, "return_to_sender"), voidable_h=-1), [("intercept", "skipped")], []),
    "void already": (a_parcel(scan(-3, "pre_transit"), void="refunded"), [("void", "skipped")], []),
    "void, but used": (a_parcel(*PICKED_UP, void="rejected", voidable_h=-1), [("intercept", "done")], []),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
async def test_what_cannot_be_done_about_the_old_parcel_is_a_warning(way: str, tmp_path: Path) -> None:
    one, steps, warned = WAYS[way]
    async with desk_with(tmp_path, one) as desk:
        done = await rebooked(desk, "shp_501")
        found = await desk.ok("get", shipment_id="shp_501")

    assert steps_of(done) == [("buy", "done"), ("link", "done"), *steps]
    assert [warning.partition(":")[0] for warning in done["warnings"]] == warned
    assert found["shipment"].get("interception") == ("requested" if ("intercept", "done") in steps else None)
    assert found["label"].get("refund") == {"void already": "refunded", "void, but used": "rejected", "not yet picked up": "submitted"}.get(way)  # fmt: skip


@pytest.mark.parametrize(("shipment", "code", "check_"), [
    (ENDED, "check_failed", "not_delivered"), (HAZMAT, "check_failed", "no_hazmat"),
    (NAMED["rebooked_by_people"], "duplicate", "no_duplicate"),
])  # fmt: skip
async def test_a_parcel_that_may_not_be_sent_anew_is_not(
    carrier: Desk, shipment: str, code: str, check_: str
) -> None:
    rate = await a_rate_for(carrier, shipment)
    stored = tables(carrier.folder, whole=True)

    error = await carrier.refused("rebook", shipment_id=shipment, rate_id=rate, **EXTRA, idempotency_key=KEY)

    assert (error["code"], error["details"]["check"]) == (code, check_)
    assert tables(carrier.folder, whole=True) == stored


async def test_a_parcel_is_sent_anew_only_by_a_rate_asked_for_it(carrier: Desk) -> None:
    strange = await a_rate(carrier)
    other = await a_rate_for(carrier, INSTRUCTS)

    for rate in (strange, other):
        error = await carrier.refused("rebook", shipment_id=LATE, rate_id=rate, **EXTRA, idempotency_key=KEY)
        assert [fault["field"] for fault in error["details"]["fields"]] == ["rate_id"]


async def test_the_receipt_of_a_rebooking_keeps_its_steps(carrier: Desk) -> None:
    rate = await a_rate_for(carrier, LATE)
    args = {"shipment_id": LATE, "rate_id": rate, **EXTRA, "idempotency_key": KEY}

    predicted = await carrier.ok("rebook", **args, dry_run=True)
    done = await carrier.ok("rebook", **args)

    assert predicted == {**done, "applied": False}
    assert await carrier.ok("rebook", **args) == {**done, "replayed": True}
    assert await carrier.ok("get_receipt", idempotency_key=KEY) == {"state": "committed", "tool": "rebook", "receipt": done}  # fmt: skip


async def test_a_rebooking_is_undone_as_the_manifest_says(carrier: Desk) -> None:
    await a_rate_for(carrier, LATE)
    before = tables(carrier.folder)

    done = await rebooked(carrier, LATE)
    undone = await carrier.undo("rebook", {"shipment_id": LATE}, done)

    assert undone["before"] == {"superseded_by": done["after"]["superseded_by"], "interception": "requested"}
    assert undone["after"] == {"superseded_by": None, "interception": None}
    assert steps_of(undone) == [("void", "done"), ("unlink", "done")]
    left = [row for row in tables(carrier.folder)["shipments"] if row not in before["shipments"]]
    assert [(row["id"], row["refund"]) for row in left] == [(done["after"]["superseded_by"], "refunded")]
    assert steps_of(await rebooked(carrier, LATE, key="step-0002"))[0] == ("buy", "done")


async def test_an_old_label_that_was_voided_stays_void(tmp_path: Path) -> None:
    async with desk_with(tmp_path, a_parcel(scan(-3, "pre_transit"))) as desk:
        done = await rebooked(desk, "shp_501")
        undone = await desk.undo("rebook", {"shipment_id": "shp_501"}, done)

        found = await desk.ok("get", shipment_id="shp_501")

    assert (found["label"]["refund"], found["shipment"].get("superseded_by")) == ("submitted", None)
    assert [warning.partition(":")[0] for warning in undone["warnings"]] == ["void"]


async def test_undoing_a_rebooking_ends_with_the_pick_up(carrier: Desk) -> None:
    done = await rebooked(carrier, LATE)
    carrier.later(hours=9)
    stored = tables(carrier.folder, whole=True)

    error = await carrier.refused(
        "cancel_rebook", shipment_id=LATE, reason="undo", expected_version=done["version"]
    )

    assert (error["code"], tables(carrier.folder, whole=True)) == ("window_closed", stored)


async def test_undoing_a_rebooking_keeps_what_others_did(carrier: Desk) -> None:
    new = (await rebooked(carrier, LATE))["after"]["superseded_by"]
    await rebooked(carrier, new, key="step-0002")
    stored = tables(carrier.folder, whole=True)

    error = await carrier.refused("cancel_rebook", shipment_id=LATE, reason="undo")

    assert (error["code"], error["details"]["changed"]) == ("conflict", ["superseded_by"])
    assert tables(carrier.folder, whole=True) == stored


async def test_a_replacement_somebody_voided_is_only_unlinked(carrier: Desk) -> None:
    new = (await rebooked(carrier, LATE))["after"]["superseded_by"]
    void = await carrier.ok("void_label", shipment_id=new, reason="mistake")

    undone = await carrier.ok("cancel_rebook", shipment_id=LATE, reason="undo")
    again = await carrier.ok("cancel_rebook", shipment_id=LATE, reason="undo")

    assert steps_of(undone) == [("void", "skipped"), ("unlink", "done")]
    assert (await carrier.ok("get", shipment_id=new))["version"] == void["version"]
    assert (again["before"], again["after"], again["steps"]) == ({}, {}, [])


async def test_no_answer_breaks_its_schema(carrier: Desk) -> None:
    label = await a_label(carrier)
    rate = await a_rate_for(carrier, LATE)
    asked: list[tuple[str, dict[str, Any]]] = [
        ("track", {"shipment_id": ENDED}),
        ("list_exceptions", {"since": "2020-01-01T00:00:00Z", "min_delay_h": 1}),
        ("get", {"shipment_id": LATE}),
        ("get", {"shipment_id": label["id"]}),
        ("quote", {"from": DEPOT, "to": BO, "parcels": [BOX]}),
        ("validate_address", {"address": {**BO, "zip": "787010001"}}),
        ("rebook", {"shipment_id": LATE, "rate_id": rate, **EXTRA, "idempotency_key": KEY}),
        ("get_receipt", {"idempotency_key": KEY}),
        ("cancel_rebook", {"shipment_id": LATE, "reason": "undo"}),
        ("void_label", {"shipment_id": label["id"], "reason": "not needed"}),
    ]
    schemas = {tool.name: tool.output_schema for tool in (await carrier.client.list_tools()).tools}
    for tool, arguments in asked:
        answer = await carrier.ok(tool, **arguments)
        validator = jsonschema_rs.Draft202012Validator(schemas[tool] or {})
        assert [str(fault) for fault in validator.iter_errors(answer)] == []
