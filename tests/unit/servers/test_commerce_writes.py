"""Every writer of the shop: one effect a key, dry run, undo, versions."""

from typing import Any

import pytest
from tests.unit.servers.desk import holds, meant
from tests.unit.servers.till import (
    CRATE,
    KEY,
    LAMP,
    LAST,
    READY,
    WHY,
    Prepared,
    Till,
    a_hold,
    at,
    away,
    books,
    nothing,
    open_till,
    two_ready,
    wanted,
)
from tests.unit.servers.writes import sampled, tables

Write = tuple[str, Prepared, dict[str, Any]]

WRITES: list[Write] = [
    ("reserve_stock", at("ord_1"), {"lines": wanted({CRATE: 3, LAMP: 2})}),
    (
        "reserve_stock",
        at("ord_6"),
        {"lines": wanted({CRATE: 9}), "warehouse": "rotterdam", "all_or_nothing": False},
    ),
    ("release_stock", a_hold, WHY),
    ("create_pick_list", two_ready, {"warehouse": "leipzig"}),
    ("set_order_status", at("ord_2"), {"to": "paid", **WHY}),
    ("set_order_status", at("ord_1"), {"to": "pending_payment", **WHY}),
    ("set_order_status", at("ord_1"), {"to": "on_hold", **WHY}),
    ("set_order_status", at("ord_1", "reserved", "on_hold"), {"to": "reserved", **WHY}),
    ("set_order_status", at("ord_1", "reserved"), {"to": "ready_for_fulfilment", **WHY}),
    ("set_order_status", at("ord_1", *READY), {"to": "reserved", **WHY}),
    ("set_order_status", at("ord_1", *READY), {"to": "picking", **WHY}),
    ("set_order_status", at("ord_1", *READY, "picking"), {"to": "packed", **WHY}),
    ("set_order_status", at("ord_1", *READY, "picking", "packed"), {"to": "picking", **WHY}),
    ("set_order_status", at("ord_1", *READY, "picking"), {"to": "on_hold", **WHY}),
    ("set_order_status", away("ord_1", *READY), {"to": "ready_for_fulfilment", **WHY}),
    ("set_order_status", away("ord_1", "reserved", restock=False), {"to": "reserved", **WHY}),
    ("cancel_order", at("ord_2"), WHY),
    ("cancel_order", at("ord_1", "reserved"), WHY),
    ("cancel_order", at("ord_1", *READY, "picking", "packed"), WHY),
    ("cancel_order", at("ord_1", *READY, "picking", "packed"), {"restock": False, **WHY}),
    ("cancel_order", at("ord_1", "reserved", "on_hold"), WHY),
    ("set_price", nothing, {"sku": LAMP, "price_minor": 900, "currency": "EUR", **WHY}),
]

OTHER = {"reserve_stock": {"ttl_min": 7}, "create_pick_list": {"warehouse": "rotterdam"}}

NAMES = ("tool", "prepared", "arguments")

IDS = [f"{tool}-{place}" for place, (tool, _, _) in enumerate(WRITES)]

each_write = pytest.mark.parametrize(NAMES, sampled(WRITES), ids=IDS)

VERSIONED = ("set_order_status", "cancel_order", "set_price")

each_change = pytest.mark.parametrize(NAMES, sampled([write for write in WRITES if write[0] in VERSIONED]))

RESIDUE = {"reserve_stock": {"holds"}, "release_stock": {"holds"}, "create_pick_list": {"pick_lists"}}


@each_write
async def test_a_key_has_one_effect_and_a_fenced_one_none(
    till: Till, tool: str, prepared: Prepared, arguments: dict[str, Any]
) -> None:
    args = {**await prepared(till), **arguments}
    await till.ok("get_receipt", idempotency_key="fenced-01", fence=True)
    assert (await till.refused(tool, **args, idempotency_key="fenced-01"))["code"] == "cancelled"

    first = await till.ok(tool, **args, idempotency_key=KEY)
    stored = tables(till.folder, whole=True)

    assert await till.ok(tool, **args, idempotency_key=KEY) == {**first, "replayed": True}
    other = {**args, **OTHER.get(tool, {"reason": "another"})}
    assert (await till.refused(tool, **other, idempotency_key=KEY))["code"] == "idempotency_conflict"
    found = await till.ok("get_receipt", idempotency_key=KEY)
    assert found == {"state": "committed", "tool": tool, "receipt": first}
    assert tables(till.folder, whole=True) == stored
    books(till.folder)


@each_write
async def test_a_dry_run_predicts_the_change_and_leaves_the_store_as_it_was(
    till: Till, tool: str, prepared: Prepared, arguments: dict[str, Any]
) -> None:
    args = {**await prepared(till), **arguments, "idempotency_key": KEY}
    (log,) = till.folder.glob("*.sqlite-wal")
    before, written = tables(till.folder, whole=True), log.read_bytes()

    predicted = await till.ok(tool, **args, dry_run=True)

    assert (tables(till.folder, whole=True), log.read_bytes()) == (before, written)
    assert await till.ok(tool, **args) == {**predicted, "applied": True}


@each_write
async def test_undo_by_the_manifest_brings_the_store_back(
    till: Till, tool: str, prepared: Prepared, arguments: dict[str, Any]
) -> None:
    args = {**await prepared(till), **arguments}
    before = tables(till.folder)

    receipt = await till.ok(tool, **args)
    assert tables(till.folder) != before
    await till.undo(tool, args, receipt)

    books(till.folder)
    left = {name for name, rows in tables(till.folder).items() if rows != before[name]}
    undo = (await till.effect(tool))["undo"]
    assert left == RESIDUE.get(tool, set())
    assert undo["restores"] == ("compensates" if left else "exact")


@each_change
async def test_undo_keeps_what_a_third_party_changed_meanwhile(
    till: Till, tool: str, prepared: Prepared, arguments: dict[str, Any]
) -> None:
    args = {**await prepared(till), **arguments}
    receipt = await till.ok(tool, **args)
    if tool == "set_price":
        await till.ok(tool, **{**args, "price_minor": 800})
    else:
        order = await till.order(receipt["id"])
        to = "on_hold" if "on_hold" in order["allowed_transitions"] else order["allowed_transitions"][0]
        await till.move(receipt["id"], to)
    between = tables(till.folder)

    with pytest.raises(AssertionError, match="code=conflict"):
        await till.undo(tool, args, receipt)

    assert tables(till.folder) == between


@each_change
async def test_a_stale_version_writes_nothing(
    till: Till, tool: str, prepared: Prepared, arguments: dict[str, Any]
) -> None:
    args = {**await prepared(till), **arguments}
    stored = tables(till.folder, whole=True)

    for version in ("0", "9" * 40, "x"):
        error = await till.refused(tool, **args, expected_version=version)
        assert (error["code"], tables(till.folder, whole=True)) == ("conflict", stored)


async def test_a_hold_taken_back_gives_the_goods_to_who_asks_first(till: Till) -> None:
    receipt = await till.reserve("ord_21", {LAST: 1, LAMP: 1})
    released = await till.undo("reserve_stock", {}, receipt)
    await till.reserve("ord_22", {LAST: 1, LAMP: 1})

    with pytest.raises(AssertionError, match="code=insufficient_stock"):
        await till.undo("release_stock", {"hold_id": receipt["id"]}, released)


async def test_what_was_undone_is_not_undone_twice(till: Till) -> None:
    receipt = await till.reserve("ord_1", {CRATE: 3})
    await till.undo("reserve_stock", {}, receipt)
    with pytest.raises(AssertionError, match="hold is no longer active"):
        await till.undo("reserve_stock", {}, receipt)

    cancelled = await till.ok("cancel_order", order_id="ord_2", reason="x")
    await till.undo("cancel_order", {"order_id": "ord_2"}, cancelled)
    with pytest.raises(AssertionError, match="code=conflict"):
        await till.undo("cancel_order", {"order_id": "ord_2"}, cancelled)


async def test_the_manifest_means_the_same_to_the_gateway(till: Till) -> None:
    from lockkeep.policy.rules.manifest import filled, judge

    for tool, prepared, arguments in WRITES:
        async with open_till(
            till.folder.parent / f"{tool}-{len(list(till.folder.parent.iterdir()))}"
        ) as fresh:
            args = {**await prepared(fresh), **arguments}
            receipt = await fresh.ok(tool, **args)
            seen: dict[str, Any] = {"args": args, "result": receipt, "before": receipt["before"]}
            cases = (await fresh.effect(tool))["undo"]["cases"]
            mine = next(case for case in cases if holds(case.get("when", "true"), seen))
            theirs = next(case for case in cases if "when" not in case or judge(case["when"], seen))
            assert mine is theirs
            assert filled(mine["with"], seen) == {
                name: meant(text, seen) for name, text in mine["with"].items()
            }
