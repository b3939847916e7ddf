"""The books agree, whoever asks at once, whatever dies when, whatever is asked."""

import json
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from threading import Barrier, Thread
from typing import Any, cast

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from tests.unit.servers.till import (
    BUYERS,
    CRATE,
    KEY,
    LAMP,
    LAST,
    ORDERS,
    READY,
    RIVALS,
    SCARCE,
    STOCK,
    WHY,
    Calls,
    Kept,
    Prepared,
    a_hold,
    at,
    away,
    books,
    nothing,
    open_till,
    processes,
    rival,
    shop_folder,
    two_ready,
    wanted,
    written,
)
from tests.unit.servers.writes import tables

# the last unit: many at once


def all_at_once(count: int, work: Callable[[int], Awaitable[Any]]) -> list[Any]:
    """Each in a thread and an event loop of its own, and all let go together."""
    gate, found = Barrier(count), cast(list[Any], [None] * count)

    def one(number: int) -> None:
        gate.wait(20)
        found[number] = anyio.run(work, number)

    threads = [Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_of_twelve_orders_for_the_last_unit_one_gets_it(tmp_path: Path) -> None:
    folder = tmp_path / "commerce"
    shutil.copytree(shop_folder(), folder)

    async def buy(number: int) -> str:
        async with open_till(folder) as till:
            asked = {"order_id": f"ord_{RIVALS[number]}", "lines": wanted({LAMP: 1, LAST: 1})}
            is_error, answer, _ = await till.answer(
                "reserve_stock", **asked, idempotency_key=f"rival-{number:03}"
            )
            return answer["error"]["code"] if is_error else "ok"

    found = all_at_once(len(RIVALS), buy)

    assert sorted(found) == ["insufficient_stock"] * (len(RIVALS) - 1) + ["ok"]
    one_winner(folder, found)


def one_winner(folder: Path, found: Sequence[str]) -> None:
    """The winner holds both its lines, the others nothing at all."""
    won = f"ord_{RIVALS[list(found).index('ok')]}"
    assert [hold["order_id"] for hold in tables(folder)["holds"]] == [won]
    assert [order["id"] for order in tables(folder)["orders"] if order["status"] == "reserved"] == [won]
    books(folder)


@pytest.mark.full
def test_of_twelve_processes_for_the_last_unit_one_gets_it(tmp_path: Path) -> None:
    folder = tmp_path / "commerce"
    shutil.copytree(shop_folder(), folder)
    calls = [[("reserve_stock", rival(number))] for number in RIVALS]

    found = processes(folder, [("", each) for each in calls])

    assert [status for status, _ in found] == [0] * len(RIVALS)
    one_winner(folder, [said[0] for _, said in found])


@pytest.mark.full
def test_two_that_send_one_key_at_once_share_one_hold(tmp_path: Path) -> None:
    folder = tmp_path / "commerce"
    shutil.copytree(shop_folder(), folder)

    found = processes(folder, [("", [("reserve_stock", rival(21))])] * 8)

    assert found == [(0, ["ok"])] * 8
    assert len(tables(folder)["holds"]) == 1
    books(folder)


@pytest.mark.full
def test_no_reservation_is_torn_while_many_take_release_and_cancel(tmp_path: Path) -> None:
    folder = tmp_path / "commerce"
    shutil.copytree(shop_folder(), folder)
    work = [("", _busy(number)) for number in BUYERS[:10]]

    found = processes(folder, work)

    assert [status for status, _ in found] == [0] * len(work)
    codes = {code for _, said in found for code in said}
    assert {"ok", "insufficient_stock"} <= codes <= {"ok", *REFUSALS}
    books(folder)
    assert sum(row["on_hand"] for row in tables(folder)["stock"]) == sum(
        sum(at.values()) for at in STOCK.values()
    )


def _busy(number: int) -> Calls:
    lines = wanted({CRATE: 2, SCARCE: 1})
    order = f"ord_{number}"
    calls: list[tuple[str, dict[str, Any]]] = []
    for turn in range(4):
        key, others = f"busy-{number}-{turn}", f"hold_{1001 + (number + turn) % 9}"
        calls += [
            ("reserve_stock", {"order_id": order, "lines": lines, "idempotency_key": f"{key}-take"}),
            ("release_stock", {"hold_id": others, "reason": "other"}),
            ("cancel_order", {"order_id": order, "reason": "busy", "idempotency_key": f"{key}-off"}),
            ("set_order_status", {"order_id": order, "to": "reserved", "reason": "undo"}),
            ("set_order_status", {"order_id": order, "to": "paid", "reason": "undo"}),
        ]
    return calls


# killed

DEADLY: list[tuple[Prepared, Calls]] = [
    (nothing, [("reserve_stock", {**rival(21), "idempotency_key": KEY})]),
    (a_hold, [("release_stock", {"hold_id": "hold_1001", **WHY, "idempotency_key": KEY})]),
    (two_ready, [("create_pick_list", {"order_ids": ["ord_1", "ord_41"], "warehouse": "leipzig", "idempotency_key": KEY})]),
    (two_ready, [("set_order_status", {"order_id": "ord_1", "to": "picking", **WHY, "idempotency_key": KEY})]),
    (at("ord_1", *READY, "picking", "packed"), [("set_order_status", {"order_id": "ord_1", "to": "shipped", **WHY, "idempotency_key": KEY})]),
    (away("ord_1", *READY), [("set_order_status", {"order_id": "ord_1", "to": "ready_for_fulfilment", **WHY, "idempotency_key": KEY})]),
    (at("ord_1", *READY), [("cancel_order", {"order_id": "ord_1", "restock": False, **WHY, "idempotency_key": KEY})]),
    (nothing, [("set_price", {"sku": LAMP, "price_minor": 900, "currency": "EUR", **WHY, "idempotency_key": KEY})]),
]  # fmt: skip


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.parametrize(
    ("fault", "state"), [("crash_before", "absent"), ("crash_inside", "absent"), ("crash_after", "committed")]
)
async def test_a_killed_write_retried_has_one_effect(fault: str, state: str, tmp_path: Path) -> None:
    folders = [tmp_path / str(place) for place in range(len(DEADLY))]
    whole: list[dict[str, Any]] = []
    for folder, (prepared, ((tool, arguments),)) in zip(folders, DEADLY, strict=True):
        async with open_till(folder) as till:
            await prepared(till)
        shutil.copytree(folder, folder.with_suffix(".sound"))
        async with open_till(folder.with_suffix(".sound")) as sound:
            await sound.ok(tool, **arguments)
        whole.append(tables(folder.with_suffix(".sound")))

    died = await anyio.to_thread.run_sync(
        lambda: processes(None, [(f"{fault}:{calls[0][0]}", calls) for _, calls in DEADLY], folders)
    )

    assert died == [(137, [])] * len(DEADLY)
    for folder, once, (_, ((tool, arguments),)) in zip(folders, whole, DEADLY, strict=True):
        books(folder)
        async with open_till(folder) as till:
            assert (await till.ok("get_receipt", idempotency_key=KEY))["state"] == state
            retried = await till.ok(tool, **arguments)
            assert retried["replayed"] == (state == "committed")
            assert await till.ok(tool, **arguments) == {**retried, "replayed": True}
        assert tables(folder) == once
        books(folder)


class Books(RuleBasedStateMachine):
    """Whatever is asked in whatever order: nobody is promised what is not there, and the sums agree."""

    portal: BlockingPortal
    root: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=self.root))
        self._open = self.portal.wrap_async_context_manager(open_till(self.folder))
        self.till = self._open.__enter__()
        self.there = {(place, sku): qty for sku, places in STOCK.items() for place, qty in places.items()}
        self.holds: list[str] = ["hold_1"]

    def teardown(self) -> None:
        self.look()
        self._open.__exit__(None, None, None)
        shutil.rmtree(self.folder)

    def ask(self, tool: str, **arguments: Any) -> dict[str, Any] | None:
        """The receipt; None where the shop refused, and then nothing moved."""
        before = written(self.folder)

        async def call() -> tuple[bool, dict[str, Any], str]:
            return await self.till.answer(tool, **arguments)

        is_error, answer, text = self.portal.call(call)
        if not is_error:
            return answer
        assert answer["error"]["code"] in REFUSALS, text
        assert written(self.folder) == before
        return None

    def kept(self, order: str = "", rows: Sequence[dict[str, Any]] | None = None) -> Kept:
        """What the holds of one order, or of all, keep now."""
        now, found = self.till.now.strftime("%Y-%m-%dT%H:%M:%SZ"), Kept()
        for hold in tables(self.folder)["holds"] if rows is None else rows:
            lasts = hold["status"] == "committed" or (hold["status"] == "active" and hold["expires_at"] > now)
            if lasts and order in ("", hold["order_id"]):
                for line in json.loads(hold["lines"]):
                    found[hold["warehouse"], line["sku"]] += line["qty"]
        return found

    def leave(self, kept: Kept, sign: int = -1) -> None:
        for place, qty in kept.items():
            self.there[place] += sign * qty

    @rule(order=st.sampled_from(["ord_1", "ord_5", "ord_6", "ord_21", "ord_22", "ord_41"]), share=st.sampled_from([1, 1, 1, 2]),
          warehouse=st.sampled_from(["leipzig", "leipzig", "rotterdam"]), whole=st.booleans(), ttl=st.sampled_from([5, 60, 1440]))  # fmt: skip
    def reserve(self, order: str, share: int, warehouse: str, whole: bool, ttl: int) -> None:
        lines = next(each.lines for each in ORDERS if each.id == order)
        asked = {line.sku: max(1, line.qty // share) for line in lines}
        made = self.ask(
            "reserve_stock",
            order_id=order,
            lines=wanted(asked),
            warehouse=warehouse,
            all_or_nothing=whole,
            ttl_min=ttl,
        )
        if made is not None:
            self.holds.append(made["id"])
            got = {line["sku"]: line["qty"] for line in made["after"]["held"]["lines"]}
            assert got == asked or not whole

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.ask("release_stock", hold_id=data.draw(st.sampled_from(self.holds)), reason="x")

    @rule(order=st.sampled_from(["ord_1", "ord_2", "ord_5", "ord_21", "ord_41"]), data=st.data())
    def move(self, order: str, data: st.DataObject) -> None:
        async def possible() -> list[str]:
            return (await self.till.order(order))["allowed_transitions"]

        steps = self.portal.call(possible)
        if not steps:
            return
        to = data.draw(st.sampled_from(steps))
        kept, before = self.kept(order), self.row(order)
        done = self.ask("set_order_status", order_id=order, to=to, reason="x")
        assert done is not None or before["status"] == "cancelled"  # a promise that only stock can break
        if done is not None and to == "shipped":
            self.leave(kept)
        if done is not None and before["status"] == "cancelled" and not before["restocked"]:
            self.leave(self.kept(order), +1)

    @rule(order=st.sampled_from(["ord_1", "ord_2", "ord_5", "ord_21", "ord_22"]), restock=st.booleans())
    def cancel(self, order: str, restock: bool) -> None:
        kept = self.kept(order)
        if self.ask("cancel_order", order_id=order, reason="x", restock=restock) and not restock:
            self.leave(kept)

    @rule(minutes=st.sampled_from([1, 10, 100, 1500]))
    def wait(self, minutes: int) -> None:
        self.till.later(minutes=minutes)

    def row(self, order: str) -> dict[str, Any]:
        return next(row for row in tables(self.folder)["orders"] if row["id"] == order)

    @invariant()
    def the_books_agree(self) -> None:
        found = tables(self.folder)
        books(found)
        assert {(row["warehouse"], row["sku"]): row["on_hand"] for row in found["stock"]} == self.there

    @rule()
    def look(self) -> None:
        """What a caller sees is what the holds keep at this time, whether or not they were settled."""

        async def stock() -> dict[str, Any]:
            return await self.till.ok("check_stock", skus=list(STOCK))

        kept = self.kept()
        for item in self.portal.call(stock)["items"]:
            assert item["available"] == item["on_hand"] - item["reserved"] >= 0
            for each in item["places"]:
                assert each["reserved"] == kept[each["warehouse"], item["sku"]]


REFUSALS = (
    "check_failed",
    "insufficient_stock",
    "invalid",
    "illegal_transition",
    "not_found",
    "window_closed",
)


@pytest.mark.parametrize("runs", [4, pytest.param(1000, marks=pytest.mark.full)])
def test_the_books_agree_whatever_is_asked(runs: int, tmp_path: Path) -> None:
    with start_blocking_portal() as portal:
        machine = type("Machine", (Books,), {"portal": portal, "root": tmp_path})
        rules = settings(
            max_examples=runs, stateful_step_count=12, deadline=None, derandomize=runs < 100, database=None
        )
        run_state_machine_as_test(machine, settings=rules)
