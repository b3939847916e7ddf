"""Stock is set aside for an order, for a time, and nobody is promised what is not there."""

from typing import Any

import pytest
from tests.unit.servers.till import CRATE, LAMP, LAST, NEEDS_KEY, Till, books, wanted
from tests.unit.servers.writes import tables

# reservations


async def test_goods_set_aside_are_nobody_elses_and_the_order_is_reserved(till: Till) -> None:
    made = await till.reserve("ord_1", {CRATE: 3, LAMP: 2})

    assert made["after"] == {
        "hold_id": "hold_1001",
        "held": {"order_id": "ord_1", "warehouse": "leipzig", "lines": wanted({CRATE: 3, LAMP: 2})},
        "expires_at": "2027-03-02T07:00:00Z",
        "status": "active",
        "order_status": "reserved",
        "short": [],
    }
    assert await till.available(CRATE) == 7
    order = await till.order("ord_1")
    assert (order["status"], [line["held"] for line in order["lines"]]) == ("reserved", [3, 2])
    books(till.folder)


async def test_all_or_nothing_takes_nothing_when_one_line_is_short(till: Till) -> None:
    await till.reserve("ord_21", {LAST: 1, LAMP: 1})
    stored = tables(till.folder, whole=True)

    error = await till.refused("reserve_stock", order_id="ord_22", lines=wanted({LAMP: 1, LAST: 1}))

    short = [{"sku": LAST, "asked": 1, "available": 0}]
    assert (error["code"], error["details"]) == (
        "insufficient_stock",
        {"check": "stock_available", "short": short},
    )
    assert tables(till.folder, whole=True) == stored


async def test_otherwise_it_takes_what_there_is_and_says_so(till: Till) -> None:
    await till.reserve("ord_5", {CRATE: 1})

    made = await till.reserve("ord_6", {CRATE: 10}, all_or_nothing=False)

    assert made["after"]["short"] == [{"sku": CRATE, "asked": 10, "available": 9}]
    assert made["after"]["held"]["lines"] == wanted({CRATE: 9})
    assert made["after"]["order_status"] == "paid"
    assert made["warnings"] == [f"stock_available: 9 of 10 {CRATE}"]
    more = await till.reserve("ord_6", {CRATE: 1}, warehouse="rotterdam")
    assert more["after"]["order_status"] == "reserved"
    books(till.folder)


async def test_even_then_nothing_at_all_is_an_error(till: Till) -> None:
    await till.reserve("ord_21", {LAST: 1})

    asked = {"order_id": "ord_22", "lines": wanted({LAST: 1}), "all_or_nothing": False}
    assert (await till.refused("reserve_stock", **asked))["code"] == "insufficient_stock"


@pytest.mark.parametrize(("asked", "code", "where"), [
    ({"order_id": "ord_999"}, "not_found", None),
    ({"warehouse": "nowhere"}, "not_found", None),
    ({"order_id": "ord_2"}, "check_failed", "order_open"),
    ({"order_id": "ord_3"}, "check_failed", "order_open"),
    ({"lines": wanted({LAMP: 3})}, "invalid", "lines.0.qty"),
    ({"lines": wanted({"LK-9": 1})}, "invalid", "lines.0.sku"),
    ({"lines": [*wanted({LAMP: 1}), *wanted({LAMP: 1})]}, "invalid", "lines.1.sku"),
    ({"lines": []}, "invalid", "lines"),
    ({"lines": wanted({LAMP: 0})}, "invalid", "lines.0.qty"),
    ({"lines": [{"sku": LAMP, "qty": "1"}]}, "invalid", "lines.0.qty"),
    ({"lines": wanted({"'; DROP TABLE stock; --": 1})}, "invalid", "lines.0.sku"),
    ({"ttl_min": 0}, "invalid", "ttl_min"),
    ({"idempotency_key": None}, "invalid", "idempotency_key"),
])  # fmt: skip
async def test_a_reservation_that_cannot_be_takes_nothing(
    till: Till, asked: dict[str, Any], code: str, where: str | None
) -> None:
    stored = tables(till.folder, whole=True)
    sound = {"order_id": "ord_1", "lines": wanted({LAMP: 1})}

    error = await till.refused("reserve_stock", **{**sound, **asked})

    said = error["details"].get("check") or next(
        each["field"] for each in error["details"].get("fields", [{"field": None}])
    )
    assert (error["code"], said) == (code, where)
    assert tables(till.folder, whole=True) == stored


@pytest.mark.parametrize("tool", NEEDS_KEY)
async def test_stock_and_money_never_move_without_a_key(till: Till, tool: str) -> None:
    listed = next(each for each in (await till.client.list_tools()).tools if each.name == tool)

    assert "idempotency_key" in listed.input_schema["required"]
    result = await till.client.call_tool(tool, {"order_id": "ord_1", "reason": "x"})
    assert "idempotency_key" in [
        each["field"] for each in result.structured_content["error"]["details"]["fields"]
    ]


# expiry


async def test_a_hold_whose_time_is_over_counts_for_nobody(till: Till) -> None:
    await till.reserve("ord_21", {LAST: 1, LAMP: 1}, ttl_min=30)
    assert await till.available(LAST) == 0

    till.later(minutes=30)

    assert await till.available(LAST) == 1
    order = await till.order("ord_21")
    assert (order["status"], order["version"], order["holds"][0]["status"]) == ("paid", "3", "expired")
    assert [line["held"] for line in order["lines"]] == [0, 0]
    paid = (await till.ok("search_orders", status=["paid"], limit=50))["items"]
    assert "3" in [each["version"] for each in paid if each["id"] == "ord_21"]
    assert (await till.ok("search_orders", status=["reserved"]))["items"] == []


async def test_who_orders_next_settles_it_and_takes_the_goods(till: Till) -> None:
    lost = await till.reserve("ord_21", {LAST: 1, LAMP: 1}, ttl_min=30)
    till.later(minutes=31)
    seen = await till.order("ord_21")

    await till.reserve("ord_22", {LAST: 1, LAMP: 1})

    assert {**await till.order("ord_21"), "changes": []} == {**seen, "changes": []}
    assert (await till.order("ord_21"))["changes"][0]["by"] == "clock"
    books(till.folder)
    gone = await till.refused("release_stock", hold_id=lost["id"], reason="late")
    assert (gone["code"], gone["details"]["check"]) == ("check_failed", "hold_active")
    assert await till.available(LAST) == 0


async def test_an_order_that_is_being_fulfilled_keeps_its_goods(till: Till) -> None:
    await till.reserve("ord_21", {LAST: 1, LAMP: 1}, ttl_min=30)
    await till.move("ord_21", "ready_for_fulfilment")

    till.later(days=2)

    assert await till.available(LAST) == 0
    order = await till.order("ord_21")
    assert (order["status"], order["holds"][0]["status"]) == ("ready_for_fulfilment", "committed")
    assert "reserved" not in order["allowed_transitions"]
    error = await till.refused("set_order_status", order_id="ord_21", to="reserved", reason="x")
    assert error["details"]["check"] == "hold_active"


async def test_what_an_order_being_fulfilled_keeps_is_not_released(till: Till) -> None:
    made = await till.reserve("ord_21", {LAST: 1, LAMP: 1})
    await till.move("ord_21", "ready_for_fulfilment")
    stored = tables(till.folder, whole=True)

    error = await till.refused("release_stock", hold_id=made["id"], reason="x")

    assert (error["code"], error["details"]["check"]) == ("check_failed", "hold_active")
    assert tables(till.folder, whole=True) == stored
    assert (await till.refused("release_stock", hold_id="hold_9", reason="x"))["code"] == "not_found"


async def test_an_order_on_hold_loses_its_goods_with_time_and_goes_back_to_paid(till: Till) -> None:
    await till.reserve("ord_21", {LAST: 1, LAMP: 1}, ttl_min=30)
    await till.move("ord_21", "on_hold")
    till.later(minutes=31)

    assert (await till.order("ord_21"))["allowed_transitions"] == ["paid"]
    assert (await till.refused("set_order_status", order_id="ord_21", to="reserved", reason="x"))[
        "details"
    ] == {"allowed": ["paid"]}
    await till.move("ord_21", "paid")
    books(till.folder)


async def test_a_version_read_after_the_time_was_over_is_the_one_a_writer_finds(till: Till) -> None:
    await till.reserve("ord_21", {LAST: 1, LAMP: 1}, ttl_min=30)
    before = (await till.order("ord_21"))["version"]
    till.later(minutes=31)
    after = (await till.order("ord_21"))["version"]
    asked = {"order_id": "ord_21", "to": "on_hold", "reason": "x"}

    stale = await till.refused("set_order_status", **asked, expected_version=before)

    assert (stale["code"], stale["details"]["version"]) == ("conflict", after)
    assert (await till.ok("set_order_status", **asked, expected_version=after))["applied"] is True
