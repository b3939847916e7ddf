"""The way of an order, its cancelling, and the lists it is picked by."""

from typing import Any

import pytest
from tests.unit.servers.till import CRATE, LAMP, LAST, SCARCE, Till, books, change, ready
from tests.unit.servers.writes import tables

# the way of an order


FLOW = [
    "pending_payment",
    "paid",
    "reserved",
    "ready_for_fulfilment",
    "picking",
    "packed",
    "shipped",
    "delivered",
]


async def test_an_order_goes_its_way_a_step_at_a_time(till: Till) -> None:
    await till.move("ord_2", "paid")
    await till.reserve("ord_2", {LAMP: 1})
    for place, status in enumerate(FLOW[2:-1], start=2):
        order = await till.order("ord_2")
        assert (order["status"], FLOW[place + 1] in order["allowed_transitions"]) == (status, True)
        for skipped in {*FLOW[place + 2 :], "cancelled"}:
            error = await till.refused("set_order_status", order_id="ord_2", to=skipped, reason="x")
            assert (error["code"], error["details"]) == (
                "illegal_transition",
                {"allowed": order["allowed_transitions"]},
            )
        last = await till.move("ord_2", FLOW[place + 1])
        assert last["undo"]["possible"] == ("no" if FLOW[place + 1] in ("shipped", "delivered") else "until")

    assert (await till.order("ord_2"))["allowed_transitions"] == []


async def test_reserved_is_reached_by_reserving_only(till: Till) -> None:
    error = await till.refused("set_order_status", order_id="ord_1", to="reserved", reason="x")

    assert (error["code"], error["details"]["allowed"]) == (
        "illegal_transition",
        ["pending_payment", "on_hold"],
    )


async def test_what_is_shipped_has_left_the_warehouse(till: Till) -> None:
    await till.reserve("ord_1", {CRATE: 3, LAMP: 2})
    await till.move("ord_1", *FLOW[3:7])

    (item,) = (await till.ok("check_stock", skus=[CRATE]))["items"]

    assert (item["on_hand"], item["reserved"], item["available"]) == (11, 0, 11)
    assert [(place["warehouse"], place["on_hand"]) for place in item["places"]] == [
        ("leipzig", 7),
        ("rotterdam", 4),
    ]
    assert (await till.refused("set_order_status", order_id="ord_1", to="packed", reason="x"))[
        "code"
    ] == "illegal_transition"
    error = await till.refused("cancel_order", order_id="ord_1", reason="x")
    assert error["details"]["check"] == "order_open"
    books(till.folder)


async def test_saying_the_same_twice_changes_nothing(till: Till) -> None:
    again = await till.move("ord_1", "paid")

    assert (again["before"], again["after"], again["version"], again["undo"]["possible"]) == (
        {},
        {},
        "1",
        "no",
    )


async def test_an_order_leaves_hold_only_to_where_it_was(till: Till) -> None:
    await till.ok("set_order_status", order_id="ord_1", to="on_hold", reason="fraud check")

    order = await till.order("ord_1")

    assert (order["hold_reason"], order["allowed_transitions"]) == ("fraud check", ["paid"])
    assert (await till.move("ord_1", "paid"))["before"] == {"status": "on_hold", "hold_reason": "fraud check"}


async def test_the_history_says_who_why_and_from_where(till: Till) -> None:
    await till.ok("set_order_status", order_id="ord_1", to="on_hold", reason="fraud check")

    seen = [
        (c["by"], c["field"], c["from"], c["to"], c["reason"]) for c in (await till.order("ord_1"))["changes"]
    ]

    assert seen[-1] == ("shop", "status", None, "paid", "made")
    assert ("tool:set_order_status", "status", "paid", "on_hold", "fraud check") in seen


# cancelling


async def test_cancelling_gives_the_goods_back_and_says_what_it_does_not_do(till: Till) -> None:
    await till.reserve("ord_1", {CRATE: 3, LAMP: 2})

    cancelled = await till.ok("cancel_order", order_id="ord_1", reason="changed their mind")

    assert cancelled["undo"] == {
        "possible": "until",
        "until": "2027-03-02T07:00:00Z",
        "note": "If the goods are still there.",
    }
    assert cancelled["warnings"] == ["not refunded by this: pay_1"]
    assert await till.available(CRATE) == 10
    books(till.folder)


async def test_goods_that_are_not_restocked_are_out_of_the_books(till: Till) -> None:
    await till.reserve("ord_1", {CRATE: 3, LAMP: 2})
    await till.ok("cancel_order", order_id="ord_1", reason="burnt", restock=False)

    (item,) = (await till.ok("check_stock", skus=[CRATE], warehouse="leipzig"))["items"]

    assert (item["on_hand"], item["reserved"]) == (7, 0)
    books(till.folder)


async def cancelled_order(till: Till, **more: Any) -> dict[str, Any]:
    await till.reserve("ord_21", {LAST: 1, LAMP: 1})
    return await till.ok("cancel_order", order_id="ord_21", reason="x", **more)


BACK = {"order_id": "ord_21", "to": "reserved", "reason": "undo"}


async def test_a_cancelled_order_comes_back_for_a_day(till: Till) -> None:
    await cancelled_order(till)
    till.later(hours=24)
    assert (await till.order("ord_21"))["allowed_transitions"] == ["reserved"]

    await till.ok("set_order_status", **BACK)

    order = await till.order("ord_21")
    assert (order["status"], order["holds"][0]["expires_at"]) == ("reserved", "2027-03-03T07:00:00+00:00")
    assert await till.available(LAST) == 0
    books(till.folder)


async def test_after_a_day_the_window_is_closed(till: Till) -> None:
    await cancelled_order(till)
    till.later(hours=24, seconds=1)

    assert (await till.refused("set_order_status", **BACK))["code"] == "window_closed"
    assert (await till.order("ord_21"))["allowed_transitions"] == []


async def test_a_cancelled_order_goes_nowhere_else(till: Till) -> None:
    await cancelled_order(till)

    for to in ("paid", "on_hold", "ready_for_fulfilment", "delivered"):
        error = await till.refused("set_order_status", order_id="ord_21", to=to, reason="x")
        assert (error["code"], error["details"]["allowed"]) == ("illegal_transition", ["reserved"])


async def test_it_does_not_come_back_without_its_goods(till: Till) -> None:
    await cancelled_order(till)
    await till.reserve("ord_22", {LAST: 1, LAMP: 1})
    stored = tables(till.folder, whole=True)

    error = await till.refused("set_order_status", **BACK)

    assert (error["code"], error["details"]["short"]) == (
        "insufficient_stock",
        [{"sku": LAST, "asked": 1, "available": 0}],
    )
    assert tables(till.folder, whole=True) == stored


async def test_it_does_not_come_back_once_money_went_back(till: Till) -> None:
    await till.reserve("ord_1", {CRATE: 3, LAMP: 2})
    await till.ok("cancel_order", order_id="ord_1", reason="x")
    change(till.folder, "UPDATE payments SET refunded_minor = 1 WHERE id = 'pay_1'")

    error = await till.refused("set_order_status", order_id="ord_1", to="reserved", reason="undo")

    assert error["details"]["check"] == "order_open"
    assert (await till.order("ord_1"))["allowed_transitions"] == []


async def test_a_cancelled_order_is_not_cancelled_again(till: Till) -> None:
    await cancelled_order(till)

    assert (await till.refused("cancel_order", order_id="ord_21", reason="x"))["details"][
        "check"
    ] == "order_open"
    released = await till.refused("release_stock", hold_id="hold_1001", reason="x")
    assert released["details"]["check"] == "hold_active"
    books(till.folder)


async def a_list(till: Till) -> str:
    await ready(till, "ord_1", "ord_41")
    return (await till.ok("create_pick_list", order_ids=["ord_1", "ord_41"], warehouse="leipzig"))["id"]


async def test_a_pick_list_goes_through_the_bins_in_order(till: Till) -> None:
    await ready(till, "ord_1", "ord_41")

    made = await till.ok("create_pick_list", order_ids=["ord_1", "ord_41"], warehouse="leipzig")

    assert [(line["bin"], line["sku"], line["qty"], line["order_id"]) for line in made["after"]["lines"]] == [
        ("A-01-9", SCARCE, 1, "ord_41"),
        ("A-02-1", CRATE, 3, "ord_1"),
        ("A-02-1", CRATE, 2, "ord_41"),
        ("B-03-1", LAMP, 2, "ord_1"),
    ]
    assert (await till.order("ord_1"))["holds"][0]["pick_list_id"] == made["id"]


@pytest.mark.parametrize(("asked", "code", "check"), [
    ({"order_ids": ["ord_5"]}, "check_failed", "order_open"),
    ({"order_ids": ["ord_1"]}, "check_failed", "order_open"),
    ({"order_ids": ["ord_42"], "warehouse": "rotterdam"}, "check_failed", "order_open"),
    ({"order_ids": ["ord_42"], "warehouse": "nowhere"}, "not_found", None),
    ({"order_ids": ["ord_42", "ord_999"]}, "not_found", None),
    ({"order_ids": ["ord_42", "ord_42"]}, "invalid", None),
    ({"order_ids": []}, "invalid", None),
])  # fmt: skip
async def test_a_pick_list_takes_only_orders_that_are_ready_and_on_no_other(
    till: Till, asked: dict[str, Any], code: str, check: str | None
) -> None:
    await a_list(till)
    await ready(till, "ord_42")
    stored = tables(till.folder, whole=True)

    error = await till.refused("create_pick_list", **{"warehouse": "leipzig", **asked})

    assert (error["code"], error["details"].get("check")) == (code, check)
    assert tables(till.folder, whole=True) == stored


async def test_a_pick_list_is_withdrawn_until_somebody_picks(till: Till) -> None:
    made = await a_list(till)
    assert "reserved" not in (await till.order("ord_1"))["allowed_transitions"]
    await till.move("ord_41", "picking")
    refused = await till.refused("cancel_pick_list", pick_list_id=made, reason="x")
    assert (refused["code"], refused["details"]) == ("illegal_transition", {"allowed": []})

    await till.move("ord_41", "ready_for_fulfilment")
    await till.ok("cancel_pick_list", pick_list_id=made, reason="x")

    again = await till.ok("create_pick_list", order_ids=["ord_1"], warehouse="leipzig")
    assert again["id"] == "pick_1002"
    assert (await till.refused("cancel_pick_list", pick_list_id=made, reason="x"))[
        "code"
    ] == "illegal_transition"
    assert (await till.refused("cancel_pick_list", pick_list_id="pick_9", reason="x"))["code"] == "not_found"


async def test_cancelling_an_order_says_on_which_list_it_still_stands(till: Till) -> None:
    made = await a_list(till)

    cancelled = await till.ok("cancel_order", order_id="ord_41", reason="x")

    assert cancelled["warnings"] == [f"still on pick list {made}"]
    await till.move("ord_41", "ready_for_fulfilment")
    assert (await till.order("ord_41"))["holds"][0]["pick_list_id"] == made
    books(till.folder)
