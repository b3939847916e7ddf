"""Addresses, prices, and labels that are bought and given back."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.servers.desk import Desk
from tests.unit.servers.parcels import (
    BO,
    BOX,
    DEPOT,
    EXTRA,
    IDA,
    KEY,
    LATE,
    MOST,
    a_label,
    a_parcel,
    a_rate,
    desk_with,
    scan,
    world,
)
from tests.unit.servers.writes import tables

from lockkeep_servers.carrier.addresses import check
from lockkeep_servers.kit.world import parcels

# Addresses


@pytest.mark.parametrize(("country", "given", "written"), [
    ("US", "78701", "78701"), ("US", "787010001", "78701-0001"), ("US", "78701-0001", "78701-0001"),
    ("US", "7870", None), ("CA", "k1p5m7", "K1P 5M7"), ("CA", "D1P 5M7", None), ("GB", "ls14ap", "LS1 4AP"),
    ("GB", "EC1A1BB", "EC1A 1BB"), ("GB", "LS14", None), ("DE", "D-20457", "20457"), ("DE", "00457", None),
    ("FR", "69002", "69002"), ("FR", "6900", None), ("NL", "3011aa", "3011 AA"), ("NL", "3011 SS", None),
    ("AT", "A-1030", "1030"), ("AT", "0130", None), ("CH", "CH 8005", "8005"), ("CH", "80055", None),
    ("DE", "２０４５７", None), ("ZZ", "whatever 1", "whatever 1"), ("ZZ", "-", None),
])  # fmt: skip
def test_postal_codes_are_written_as_their_country_writes_them(
    country: str, given: str, written: str | None
) -> None:
    state = {"US": "TX", "CA": "ON"}.get(country)

    found = check({**IDA, "country": country, "zip": given, "state": state})

    if written is None:
        assert (found.verdict, found.address["zip"]) == ("bad", given)
    else:
        assert (found.verdict, found.address["zip"]) == ("ok" if written == given else "corrected", written)


def test_every_address_of_the_world_can_be_sent_to() -> None:
    found = {
        one.id: check(vars(side)).messages
        for one in world().values()
        for side in (one.sender, one.receiver)
        if check(vars(side)).verdict == "bad"
    }

    assert found == {}


async def test_an_address_is_corrected_in_form_and_nothing_is_added(carrier: Desk) -> None:
    untidy = {**BO, "name": "  Bo   Reed ", "state": "t.x.", "city": "austin"}

    found = await carrier.ok("validate_address", address=untidy)

    assert found["verdict"] == "corrected"
    assert found["corrected"] == {**BO, "city": "austin"}
    assert await carrier.ok("validate_address", address=BO) == {"verdict": "ok", "messages": []}


@pytest.mark.parametrize(
    "fault", [{"street1": "..."}, {"city": ""}, {"state": "Texas"}, {"state": None}, {"zip": "canary"}]
)
async def test_a_bad_address_is_told_by_its_field_without_being_quoted(
    carrier: Desk, fault: dict[str, Any]
) -> None:
    found = await carrier.ok("validate_address", address={**BO, **fault})

    assert (found["verdict"], "corrected" in found) == ("bad", False)
    assert found["messages"][0].partition(":")[0] == next(iter(fault))
    assert "canary" not in str(found)


# Prices and labels


async def test_a_quote_is_cheapest_first_and_expires(carrier: Desk) -> None:
    found = await carrier.ok("quote", from_=DEPOT, to=IDA, parcels=[BOX, BOX])

    amounts = [rate["amount_minor"] for rate in found["rates"]]
    assert amounts == sorted(amounts)
    assert len(amounts) > 1
    assert {rate["expires_at"] for rate in found["rates"]} == {"2027-03-01T11:00:00+00:00"}
    assert found["messages"] == []


async def test_a_quote_keeps_to_services_and_days(carrier: Desk) -> None:
    asked = {"from": DEPOT, "to": IDA, "parcels": [BOX]}
    every = (await carrier.ok("quote", **asked))["rates"]
    soonest = min(rate["eta"] for rate in every)

    quick = (await carrier.ok("quote", **asked, deliver_by=soonest))["rates"]
    assert quick == [{**rate, "rate_id": mine["rate_id"]} for mine, rate in zip(quick, (r for r in every if r["eta"] == soonest), strict=True)]  # fmt: skip
    named = (await carrier.ok("quote", **asked, services=[every[0]["service"]]))["rates"]
    assert {rate["service"] for rate in named} == {every[0]["service"]}


@pytest.mark.parametrize(("more", "field"), [
    ({"services": ["teleport"]}, "services"),
    ({"deliver_by": "2027-03-01T20:00:00Z"}, "deliver_by"),
    ({"ship_by": "2027-03-01T08:00:00Z"}, "ship_by"),
    ({"parcels": [{**BOX, "weight_g": 900_000}]}, "parcels"),
])  # fmt: skip
async def test_where_there_is_no_rate_a_message_says_why(
    carrier: Desk, more: dict[str, Any], field: str
) -> None:
    found = await carrier.ok("quote", **{"from": DEPOT, "to": IDA, "parcels": [BOX], **more})

    assert found["rates"] == []
    assert [message.partition(":")[0] for message in found["messages"]] == [field]


async def test_dangerous_goods_go_only_with_those_who_take_them(carrier: Desk) -> None:
    asked = {"from": DEPOT, "to": IDA}
    plain = (await carrier.ok("quote", **asked, parcels=[BOX]))["rates"]
    risky = (await carrier.ok("quote", **asked, parcels=[BOX, {**BOX, "hazmat": True}]))["rates"]

    assert 0 < len(risky) < len(plain)


@pytest.mark.parametrize(("asked", "fields"), [
    ({}, {"from", "to", "parcels"}),
    ({"shipment_id": LATE, "to": IDA}, {"to"}),
    ({"shipment_id": LATE, "ship_by": "2027-02-01T00:00:00Z"}, {"ship_by"}),
])  # fmt: skip
async def test_a_quote_asks_one_question(carrier: Desk, asked: dict[str, Any], fields: set[str]) -> None:
    error = await carrier.refused("quote", **asked)

    assert {fault["field"] for fault in error["details"]["fields"]} == fields


async def test_a_label_costs_what_its_rate_said_and_the_receipt_says_so(carrier: Desk) -> None:
    rate = (await carrier.ok("quote", from_=DEPOT, to=IDA, parcels=[BOX]))["rates"][0]

    bought = await carrier.ok(
        "buy_label", rate_id=rate["rate_id"], order_id="ord_1", **MOST, idempotency_key=KEY
    )
    found = await carrier.ok("get", shipment_id=bought["id"])

    after = bought["after"]
    assert (after["amount_minor"], after["currency"]) == (rate["amount_minor"], "EUR")
    assert (found["rate"]["rate_id"], found["rate"]["amount_minor"]) == (
        rate["rate_id"],
        rate["amount_minor"],
    )
    assert (found["shipment"]["status"], found["shipment"]["order_id"]) == ("pre_transit", "ord_1")
    assert bought["undo"]["until"] == "2027-03-01T16:00:00Z"
    assert found["voidable_until"] == "2027-03-01T16:00:00+00:00"


@pytest.mark.parametrize(("change", "later_h", "code", "check_"), [
    ({}, 5, "rate_expired", "rate_valid"),
    ({"max_amount_minor": 1}, 0, "price_above_max", "within_max"),
    ({"currency": "USD"}, 0, "invalid", None),
    ({"rate_id": "rate_0"}, 0, "not_found", None),
])  # fmt: skip
async def test_a_label_that_may_not_be_bought_is_not(
    carrier: Desk, change: dict[str, Any], later_h: int, code: str, check_: str | None
) -> None:
    rate = await a_rate(carrier)
    carrier.later(hours=later_h)
    stored = tables(carrier.folder, whole=True)

    error = await carrier.refused("buy_label", **{"rate_id": rate, "order_id": "ord_1", **MOST, **change}, idempotency_key=KEY)  # fmt: skip

    assert (error["code"], error["details"].get("check")) == (code, check_)
    assert tables(carrier.folder, whole=True) == stored


async def test_a_quote_to_a_bad_address_says_so_and_its_label_is_not_sold(carrier: Desk) -> None:
    found = await carrier.ok("quote", from_=DEPOT, to={**IDA, "zip": "2045"}, parcels=[BOX])
    assert [message.partition(":")[0] for message in found["messages"]] == ["to.zip"]

    error = await carrier.refused("buy_label", rate_id=found["rates"][0]["rate_id"], order_id="ord_1", **MOST, idempotency_key=KEY)  # fmt: skip

    assert (error["code"], error["details"]["check"], error["details"]["field"]) == (
        "check_failed",
        "address_ok",
        "to",
    )


async def test_a_label_is_never_bought_without_a_key(carrier: Desk) -> None:
    for tool, asked in (
        ("buy_label", {"order_id": "ord_1", **MOST}),
        ("rebook", {"shipment_id": LATE, **EXTRA}),
    ):
        error = await carrier.refused(tool, rate_id="rate_1", **asked)
        assert [fault["field"] for fault in error["details"]["fields"]] == ["idempotency_key"]


async def test_a_bought_parcel_travels_as_quoted(carrier: Desk) -> None:
    label = await a_label(carrier)
    seen: list[str] = []
    for _ in range(6):
        seen.append((await carrier.ok("track", shipment_id=label["id"]))["status"])
        carrier.later(hours=24)

    assert (seen[0], seen[1], seen[-1]) == ("pre_transit", "in_transit", "delivered")
    assert "delayed" not in seen


# Giving labels back


async def test_a_void_is_only_submitted_and_settles_later(carrier: Desk) -> None:
    label = await a_label(carrier)

    void = await carrier.ok("void_label", shipment_id=label["id"], reason="not needed")

    assert void["before"] == {"status": "pre_transit", "refund": None}
    assert void["after"] == {"status": "cancelled", "refund": "submitted"}
    assert void["undo"]["possible"] == "no"
    carrier.later(hours=48)
    found = await carrier.ok("get", shipment_id=label["id"])
    assert (found["label"]["refund"], found["shipment"]["status"]) == ("refunded", "cancelled")
    assert found["voidable_until"] is None
    assert (await carrier.ok("track", shipment_id=label["id"]))["delay_h"] == 0


async def test_a_label_voided_twice_is_voided_once(carrier: Desk) -> None:
    label = await a_label(carrier)
    first = await carrier.ok("void_label", shipment_id=label["id"], reason="not needed")
    carrier.later(hours=24)

    again = await carrier.ok("void_label", shipment_id=label["id"], reason="not needed")

    assert (again["version"], again["before"], again["after"]) == (first["version"], {}, {})


async def test_a_carrier_that_charges_on_the_first_scan_has_nothing_to_pay_back(carrier: Desk) -> None:
    label = await a_label(carrier, BO, services=["saver"])

    void = await carrier.ok("void_label", shipment_id=label["id"], reason="not needed")

    assert void["after"]["refund"] == "not_applicable"


@pytest.mark.parametrize("told", [[scan(-1, "in_transit")], []], ids=["scanned", "van has left"])
async def test_a_label_is_not_given_back_after_pick_up(told: list[parcels.Event], tmp_path: Path) -> None:
    one = a_parcel(scan(-3, "pre_transit"), *told, voidable_h=8 if told else 0)
    async with desk_with(tmp_path, one) as desk:
        stored = tables(tmp_path, whole=True)

        error = await desk.refused("void_label", shipment_id="shp_501", reason="not needed")

        assert (error["code"], tables(tmp_path, whole=True)) == ("window_closed", stored)


async def test_a_label_used_after_all_is_not_paid_back(tmp_path: Path) -> None:
    one = a_parcel(scan(-3, "pre_transit"), scan(-1, "in_transit", heard=6))
    async with desk_with(tmp_path, one) as desk:
        void = await desk.ok("void_label", shipment_id="shp_501", reason="not needed")
        assert void["after"]["refund"] == "submitted"

        desk.later(hours=6)

        found = await desk.ok("get", shipment_id="shp_501")
        assert (found["label"]["refund"], found["shipment"]["status"]) == ("rejected", "in_transit")
        assert (await desk.refused("void_label", shipment_id="shp_501", reason="x"))[
            "code"
        ] == "window_closed"


async def test_buying_is_undone_by_voiding_as_the_manifest_says(carrier: Desk) -> None:
    rate = await a_rate(carrier)
    before = tables(carrier.folder)
    args = {"rate_id": rate, "order_id": "ord_1", **MOST, "idempotency_key": KEY}

    bought = await carrier.ok("buy_label", **args)
    await carrier.undo("buy_label", args, bought)

    left = [row for row in tables(carrier.folder)["shipments"] if row not in before["shipments"]]
    assert [(row["id"], row["refund"]) for row in left] == [
        (bought["id"], "refunded")
    ]  # the declared residue
    assert (await carrier.ok("get", shipment_id=bought["id"]))["label"]["refund"] == "submitted"
