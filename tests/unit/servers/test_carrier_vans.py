"""A rate ends with its own pick-up, and a replacement whose label was given back stands in for nothing."""

import sqlite3
from pathlib import Path

import pytest
from tests.unit.servers.desk import MONDAY, Desk
from tests.unit.servers.parcels import (
    BOX,
    DEPOT,
    IDA,
    KEY,
    LATE,
    MOST,
    a_parcel,
    a_rate,
    desk_with,
    rebooked,
    scan,
)


@pytest.mark.parametrize(
    ("later_h", "expires"),
    [
        (0, "2027-03-01T11:00:00+00:00"),
        (6.5, "2027-03-01T16:00:00+00:00"),  # the van comes first
        (7, "2027-03-01T16:00:00+00:00"),
        (7.1, "2027-03-01T18:06:00+00:00"),
    ],
)
async def test_a_rate_is_good_until_its_van_comes(carrier: Desk, later_h: float, expires: str) -> None:
    carrier.later(hours=later_h)
    found = await carrier.ok("quote", from_=DEPOT, to=IDA, parcels=[BOX])
    assert {rate["expires_at"] for rate in found["rates"]} == {expires}


async def test_a_label_bought_at_the_last_moment_can_be_voided(carrier: Desk) -> None:
    carrier.later(hours=6.5)
    rate = await a_rate(carrier)
    carrier.later(hours=2.49)
    bought = await carrier.ok("buy_label", rate_id=rate, order_id="ord_1", **MOST, idempotency_key=KEY)
    void = await carrier.ok("void_label", shipment_id=bought["id"], reason="mistake")
    assert void["after"]["status"] == "cancelled"


async def test_a_rate_that_was_kept_longer_ends_with_its_van_too(carrier: Desk) -> None:
    """As a store of an earlier version holds it."""
    carrier.later(hours=6.5)
    rate = await a_rate(carrier)
    with sqlite3.connect(carrier.folder / "carrier.sqlite") as store:
        store.execute("UPDATE quotes SET expires_at = '2027-03-01T17:30:00Z'")
    carrier.later(hours=2.5)
    error = await carrier.refused("buy_label", rate_id=rate, order_id="ord_1", **MOST, idempotency_key=KEY)
    assert error["code"] == "rate_expired"


async def shown(desk: Desk, id: str) -> tuple[bool, bool]:
    """Whether it is listed as an exception, and whether it waits for somebody."""
    items = (await desk.ok("list_exceptions", since="2027-02-01T00:00:00Z", min_delay_h=1, limit=50))["items"]
    waits = (await desk.ok("track", shipment_id=id))["action_required"]
    return id in [item["shipment_id"] for item in items], waits


async def test_a_parcel_whose_replacement_was_voided_is_seen_again(tmp_path: Path) -> None:
    waiting = a_parcel(scan(-9, "in_transit"), scan(-1, "delivery_attempted"), voidable_h=-8)
    async with desk_with(tmp_path, waiting) as desk:
        assert await shown(desk, "shp_501") == (True, True)
        new = (await rebooked(desk, "shp_501"))["after"]["superseded_by"]
        assert await shown(desk, "shp_501") == (False, False)
        void = await desk.ok("void_label", shipment_id=new, reason="mistake")
        assert (await shown(desk, "shp_501"), void["warnings"]) == ((True, True), [])
        again = await rebooked(desk, "shp_501", key="step-0002")
        assert again["before"]["superseded_by"] == new
        assert await shown(desk, "shp_501") == (False, False)


async def test_a_replaced_replacement_that_was_voided_does_not_stop_the_undo(carrier: Desk) -> None:
    new = (await rebooked(carrier, LATE))["after"]["superseded_by"]
    newer = (await rebooked(carrier, new, key="step-0002"))["after"]["superseded_by"]
    await carrier.ok("void_label", shipment_id=newer, reason="mistake")
    undone = await carrier.ok("cancel_rebook", shipment_id=LATE, reason="undo")
    assert undone["after"]["superseded_by"] is None


async def test_voiding_the_last_label_of_a_parcel_says_so(tmp_path: Path) -> None:
    async with desk_with(tmp_path, a_parcel(scan(-3, "pre_transit"))) as desk:
        new = (await rebooked(desk, "shp_501"))["after"]["superseded_by"]
        void = await desk.ok("void_label", shipment_id=new, reason="mistake")
        assert [warning.partition(":")[0] for warning in void["warnings"]] == ["void"]
        assert (await rebooked(desk, "shp_501", key="step-0002"))["applied"] is True


async def test_a_voided_replacement_that_was_used_all_the_same_replaces(carrier: Desk) -> None:
    new = (await rebooked(carrier, LATE))["after"]["superseded_by"]
    await carrier.ok("void_label", shipment_id=new, reason="mistake")
    at = MONDAY.isoformat()[:19] + "Z"
    with sqlite3.connect(carrier.folder / "carrier.sqlite") as store:
        store.execute("INSERT INTO scans (shipment_id, at, received_at, status) VALUES (?, ?, ?, 'in_transit')", (new, at, at))  # fmt: skip
    rate = (await carrier.ok("quote", shipment_id=LATE))["rates"][0]["rate_id"]
    error = await carrier.refused(
        "rebook", shipment_id=LATE, rate_id=rate, currency="EUR", max_extra_minor=99_000, reason="late",
        idempotency_key="step-0002",
    )  # fmt: skip
    assert (error["code"], error["details"]["existing_id"]) == ("duplicate", new)
