"""Refunds never exceed what was paid, however many ask at once."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any, ClassVar

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from tests.unit.servers.bills import (
    ALONE,
    KEY,
    REFUND,
    STOCK,
    environ_alone,
    fields,
    kept,
    no_refund,
    opened,
    paid,
    payment,
    refund,
    said,
    stocked,
)
from tests.unit.servers.desk import MONDAY, Desk
from tests.unit.servers.writes import tables

from lockkeep_servers.billing import port
from lockkeep_servers.billing.adapters.embedded import EmbeddedBilling
from lockkeep_servers.kit.arguments import parse
from lockkeep_servers.kit.errors import ToolError
from lockkeep_servers.kit.receipts import Attempt
from lockkeep_servers.kit.world.payments import Payment

# Refunds


async def test_a_refund_is_pending_for_an_hour_and_then_has_succeeded(billing: Desk) -> None:
    receipt = await refund(billing)

    assert receipt == {
        "applied": True, "replayed": False, "id": "ref_100001", "version": "1", "before": None,
        "after": {**REFUND, "status": "pending"}, "warnings": [],
        "undo": {"possible": "until", "until": "2027-03-01T08:00:00Z", "note": "By cancel_refund, until it has gone out."},
    }  # fmt: skip
    found = await paid(billing)
    assert [found[name] for name in ("status", "captured_minor", "refunded_minor", "refundable_minor")] == [
        "partially_refunded", 10_000, 4_800, 5_200,
    ]  # fmt: skip
    assert [(one["id"], one["status"], one["by"]) for one in found["refunds"]] == [
        ("ref_100001", "pending", "tool:create_refund")
    ]
    billing.later(minutes=60)
    assert [one["status"] for one in (await paid(billing))["refunds"]] == ["succeeded"]


@pytest.mark.parametrize(("change", "code", "check"), [
    ({"currency": "USD"}, "check_failed", "same_currency"),
    ({"payment_id": "pay_4", "order_id": "ord_4"}, "check_failed", "not_disputed"),
    ({"amount_minor": 10_001}, "check_failed", "within_refundable"),
    ({"payment_id": "pay_5", "order_id": "ord_5", "amount_minor": 1}, "check_failed", "within_refundable"),
    ({"payment_id": "pay_6", "order_id": "ord_6", "amount_minor": 4_000}, "check_failed", "within_refundable"),
    ({"payment_id": "pay_8", "order_id": "ord_8", "amount_minor": 1_000}, "duplicate", "no_repeat"),
    ({"payment_id": "pay_99"}, "not_found", None),
])  # fmt: skip
async def test_a_refund_that_fails_a_check_gives_nothing_back(
    billing: Desk, change: dict[str, Any], code: str, check: str | None
) -> None:
    stored = tables(billing.folder, whole=True)

    error = await no_refund(billing, **change)

    assert (said(error), tables(billing.folder, whole=True)) == ((code, check), stored)


@pytest.mark.parametrize(("change", "named"), [
    ({"currency": "XYZ"}, ["currency"]),
    ({"amount_minor": 0}, ["amount_minor"]),
    ({"amount_minor": -4_800}, ["amount_minor"]),
    ({"amount_minor": "4800"}, ["amount_minor"]),
    ({"amount_minor": 48.5}, ["amount_minor"]),
    ({"order_id": None}, ["order_id"]),
    ({"order_id": "ord_2"}, ["order_id"]),
    ({"idempotency_key": None}, ["idempotency_key"]),
    ({"reason": "because"}, ["reason"]),
    ({"repeat_of": "ref_6"}, ["repeat_of"]),
    ({"payment_id": "1 OR 1=1", "ticket_id": "../1"}, ["payment_id", "ticket_id"]),
])  # fmt: skip
async def test_a_refund_that_cannot_be_meant_is_invalid(
    billing: Desk, change: dict[str, Any], named: list[str]
) -> None:
    error = await billing.refused("create_refund", **{**REFUND, "idempotency_key": KEY, **change})

    assert (error["code"], fields(error)) == ("invalid", named)


@pytest.mark.parametrize(("id", "currency", "digits", "whole"), [("pay_2", "JPY", 0, 8_000), ("pay_3", "KWD", 3, 12_345)])  # fmt: skip
async def test_currencies_of_other_digits_are_whole_units_too(
    billing: Desk, id: str, currency: str, digits: int, whole: int
) -> None:
    asked: dict[str, Any] = {"payment_id": id, "currency": currency, "order_id": None, "ticket_id": "tkt_1"}

    await refund(billing, **asked, amount_minor=whole - 1)
    error = await no_refund(billing, **asked, amount_minor=2)

    assert error["details"] == {"check": "within_refundable", "refundable_minor": 1, "currency": currency}
    await refund(billing, "step-0003", **asked, amount_minor=1)
    found = await paid(billing, id)
    assert (found["digits"], found["refundable_minor"], found["status"]) == (digits, 0, "refunded")


async def test_an_equal_refund_within_a_day_is_a_duplicate_unless_it_names_the_one_before(
    billing: Desk,
) -> None:
    first = await refund(billing, "step-0001", amount_minor=100)

    error = await no_refund(billing, amount_minor=100)
    second = await refund(billing, "step-0002", amount_minor=100, repeat_of=first["id"])
    tried_again = await no_refund(billing, "step-0003", amount_minor=100, repeat_of=first["id"])
    third = await refund(billing, "step-0004", amount_minor=100, repeat_of=second["id"])

    assert (said(error), error["details"]["existing_id"]) == (("duplicate", "no_repeat"), first["id"])
    assert tried_again["details"]["existing_id"] == second["id"]
    assert [one["id"] for one in (await paid(billing))["refunds"]] == [
        one["id"] for one in (first, second, third)
    ]


async def test_a_refund_of_yesterday_a_cancelled_one_and_another_amount_are_no_repeats(billing: Desk) -> None:
    first = await refund(billing, "step-0001", amount_minor=100)
    await refund(billing, "step-0002", amount_minor=101)
    await billing.ok("cancel_refund", id=first["id"], reason="test")

    second = await refund(billing, "step-0003", amount_minor=100)
    billing.later(hours=24, seconds=-1)
    assert (await no_refund(billing, "step-0004", amount_minor=100))["code"] == "duplicate"
    billing.later(seconds=1)
    third = await refund(billing, "step-0004", amount_minor=100)

    assert len({first["id"], second["id"], third["id"]}) == 3


async def test_a_cancelled_refund_can_be_given_again_and_a_settled_one_not_taken_back(billing: Desk) -> None:
    made = await refund(billing)

    gone = await billing.ok("cancel_refund", id=made["id"], reason="wrong order")
    again = await billing.ok("cancel_refund", id=made["id"], reason="wrong order")

    assert (gone["before"], gone["after"]) == ({"status": "pending"}, {"status": "cancelled"})
    assert (gone["undo"]["possible"], again["after"], again["version"]) == ("no", {}, gone["version"])
    assert (await paid(billing))["refundable_minor"] == 10_000
    late = await refund(billing, "step-0002", amount_minor=10_000)
    billing.later(hours=1)
    error = await billing.refused("cancel_refund", id=late["id"], reason="late")
    assert (error["code"], error["details"]) == ("window_closed", {"until": "2027-03-01T08:00:00+00:00"})
    assert (await paid(billing))["refundable_minor"] == 0


async def test_refunds_of_the_stock_count_as_they_ended_and_a_failed_one_cannot_be_cancelled(
    billing: Desk,
) -> None:
    found = {id: await paid(billing, id) for id in ("pay_6", "pay_7", "pay_8")}
    assert {id: (one["refunds"][0]["status"], one["refundable_minor"]) for id, one in found.items()} == {
        "pay_6": ("succeeded", 0),
        "pay_7": ("failed", 4_000),
        "pay_8": ("pending", 3_000),
    }

    error = await billing.refused("cancel_refund", id="ref_7", reason="test")

    assert (error["code"], error["details"]["allowed"]) == ("illegal_transition", [])
    assert (await billing.refused("cancel_refund", id="ref_99", reason="test"))["code"] == "not_found"


async def test_payments_are_found_by_order_customer_status_and_time(billing: Desk) -> None:
    async def found(**filters: Any) -> list[str]:
        return [item["id"] for item in (await billing.ok("search_payments", **filters))["items"]]

    assert await found(order_id="ord_2") == await found(customer_id="con_2") == ["pay_2"]
    assert await found(status=["disputed", "failed"]) == ["pay_4", "pay_5"]
    assert await found(status=["refunded"]) == ["pay_6"]
    assert len(await found(since="2027-02-20T10:00:00+01:00")) == len(STOCK.payments)
    assert await found(since="2027-02-20T10:00:01+01:00") == []
    assert (await billing.refused("search_payments", status=["gone"]))["code"] == "invalid"


# Refunds by many at once


def callers_at_once(count: int, call: Callable[[int], None]) -> None:
    barrier = Barrier(count)

    def work(number: int) -> None:
        barrier.wait(timeout=30)
        call(number)

    threads = [Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)


@pytest.mark.parametrize(("step", "made"), [(1, None), (0, 1)])
def test_sixteen_threads_never_give_back_more_than_was_captured(
    tmp_path: Path, step: int, made: int | None
) -> None:
    """Amounts that differ may fill the payment; equal ones are repeats, so only the first is made."""
    stocked(tmp_path)
    given: list[int] = []
    refused: list[str] = []

    def call(number: int) -> None:
        mine = EmbeddedBilling(tmp_path, lambda: MONDAY)
        amount = 900 + step * number
        asked = {**REFUND, "amount_minor": amount, "idempotency_key": f"step-{number:04}"}
        ask = parse(port.CreateRefund, asked)

        async def once() -> None:
            async with mine.session():
                await mine.create_refund(ask, Attempt.of("create_refund", ask))

        try:
            anyio.run(once)
            given.append(amount)
        except ToolError as error:
            refused.append(error.details["check"])

    callers_at_once(16, call)

    assert len(given) + len(refused) == 16
    assert set(refused) == {"within_refundable" if step else "no_repeat"}
    assert made is None or len(given) == made
    assert 10_000 - 900 - 16 < sum(given) <= 10_000 if step else sum(given) == 900
    assert kept(tmp_path) == sum(given)


@pytest.mark.full
async def test_sixteen_callers_of_two_processes_never_give_back_more_than_was_captured(
    tmp_path: Path,
) -> None:
    stocked(tmp_path)
    process = StdioServerParameters(command=sys.executable, args=["-c", ALONE], env=environ_alone(tmp_path))
    given: list[int] = []
    refused: list[str] = []

    async def call(client: Client, number: int) -> None:
        asked = {**REFUND, "amount_minor": 900 + number, "idempotency_key": f"step-{number:04}"}
        answer = (await client.call_tool("create_refund", asked)).structured_content
        if "error" in answer:
            refused.append(answer["error"]["details"]["check"])
        else:
            given.append(answer["after"]["amount_minor"])

    with anyio.fail_after(60):
        async with Client(process) as one, Client(process) as other, anyio.create_task_group() as callers:
            for number in range(16):
                callers.start_soon(call, one if number % 2 else other, number)

    assert len(given) + len(refused) == 16
    assert set(refused) == {"within_refundable"}
    assert kept(tmp_path) == sum(given) <= 10_000


@dataclass
class Made:
    """A refund as the model remembers it."""

    key: str
    asked: dict[str, Any]
    receipt: dict[str, Any]
    at: datetime
    cancelled: bool = False


@dataclass
class Model:
    """What should be true of one payment."""

    id: str
    captured: int
    refunds: list[Made] = field(default_factory=list[Made])

    @property
    def counting(self) -> list[Made]:
        return [made for made in self.refunds if not made.cancelled]

    @property
    def refunded(self) -> int:
        return sum(made.asked["amount_minor"] for made in self.counting)

    def expected(self, amount: int, repeat_of: str | None, now: datetime) -> str:
        equal = [made for made in self.counting if made.asked["amount_minor"] == amount]
        last = equal[-1] if equal else None
        if last and repeat_of != last.receipt["id"] and now < last.at + timedelta(hours=24):
            return "no_repeat"
        if repeat_of and (last is None or repeat_of != last.receipt["id"]):
            return "invalid"
        return "" if self.refunded + amount <= self.captured else "within_refundable"


CAPTURED = 100

numbers = st.integers(0, 9)


class House:
    """One server for all runs, asked from outside its event loop; each run has payments of its own."""

    def __init__(self, portal: BlockingPortal, desk: Desk) -> None:
        self.portal = portal
        self.desk = desk
        self.store = EmbeddedBilling(desk.folder, lambda: MONDAY)
        self.payments = 1000

    def call(self, tool: str, **arguments: Any) -> tuple[bool, dict[str, Any]]:
        async def asked() -> tuple[bool, dict[str, Any], str]:
            return await self.desk.answer(tool, **arguments)

        is_error, answer, _ = self.portal.call(asked)
        return is_error, answer["error"] if is_error else answer

    def new_payment(self) -> Model:
        self.payments += 1
        add(self.store, payment(self.payments, CAPTURED))
        return Model(f"pay_{self.payments}", CAPTURED)


class Refunds(RuleBasedStateMachine):
    """Refunds, repeats, retries, cancellations and time."""

    house: ClassVar[House]

    def __init__(self) -> None:
        super().__init__()
        self.keys = 0
        self.payments = [self.house.new_payment() for _ in range(2)]

    @rule(place=st.integers(0, 1), amount=st.sampled_from([1, 40, 60, 100, 101]), repeat=st.none() | numbers, dry=st.booleans())  # fmt: skip
    def refund(self, place: int, amount: int, repeat: int | None, dry: bool) -> None:
        paid = self.payments[place]
        named = self._made(place, repeat) if repeat is not None else None
        repeat_of = named.receipt["id"] if named else None
        self.keys += 1
        key = f"{paid.id}-{self.keys:04}"
        asked = {"payment_id": paid.id, "amount_minor": amount, "currency": "EUR", "reason": "other", "ticket_id": "tkt_1", "repeat_of": repeat_of}  # fmt: skip
        expected = paid.expected(amount, repeat_of, self.house.desk.now)

        is_error, answer = self.house.call("create_refund", **asked, idempotency_key=key, dry_run=dry)

        assert (answer["details"].get("check", answer["code"]) if is_error else "") == expected
        if not is_error and not dry:
            paid.refunds.append(Made(key, asked, answer, self.house.desk.now))

    @rule(place=st.integers(0, 1), which=numbers)
    def retry(self, place: int, which: int) -> None:
        if made := self._made(place, which):
            is_error, answer = self.house.call("create_refund", **made.asked, idempotency_key=made.key)

            assert (is_error, answer) == (False, {**made.receipt, "replayed": True})

    @rule(place=st.integers(0, 1), which=numbers)
    def cancel(self, place: int, which: int) -> None:
        if made := self._made(place, which):
            gone = not made.cancelled and self.house.desk.now >= made.at + timedelta(hours=1)

            is_error, answer = self.house.call("cancel_refund", id=made.receipt["id"], reason="test")

            assert (answer["code"] if is_error else "") == ("window_closed" if gone else "")
            made.cancelled = made.cancelled or not gone

    @rule(minutes=st.sampled_from([10, 59, 60, 24 * 60]))
    def later(self, minutes: int) -> None:
        self.house.desk.later(minutes=minutes)

    @invariant()
    def the_payments_show_what_counts(self) -> None:
        for each in self.payments:
            _, found = self.house.call("get_payment", payment_id=each.id)
            assert found["refunded_minor"] == each.refunded <= CAPTURED
            assert found["refundable_minor"] == CAPTURED - each.refunded
            assert [one["id"] for one in found["refunds"] if one["status"] != "cancelled"] == [
                made.receipt["id"] for made in each.counting
            ]

    def _made(self, place: int, which: int) -> Made | None:
        refunds = self.payments[place].refunds
        return refunds[which % len(refunds)] if refunds else None


def add(store: EmbeddedBilling, paid: Payment) -> None:
    names = ("id", "order_id", "customer_id", "currency", "method", "captured_minor", "refunded_minor")
    values = {name: getattr(paid, name) for name in names}
    with store.database.opened():
        store.database.write_now(
            lambda tx: tx.run("add_payment", **values, captured_at="2027-02-20T09:00:00Z", disputed=0)
        )


@pytest.mark.parametrize("runs", [8, pytest.param(1_000, marks=pytest.mark.full)])
def test_refunds_stay_what_a_simple_model_says(tmp_path: Path, runs: int) -> None:
    sample = settings(
        max_examples=runs, stateful_step_count=12, deadline=None, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(opened(tmp_path)) as desk,
    ):
        Refunds.house = House(portal, desk)
        run_state_machine_as_test(Refunds, settings=sample)
