"""Two ports, two settings, and the world in the store."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from tests.unit.servers.bills import BILL, KEY, REFUND, opened, paid, refund, stocked
from tests.unit.servers.desk import MONDAY, Desk, environ_of, open_desk

from lockkeep_servers.billing.adapters.embedded import EmbeddedBilling
from lockkeep_servers.billing.both import Billing
from lockkeep_servers.billing.server import SERVICE, build
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.receipts import GetReceipt
from lockkeep_servers.kit.settings import SettingError, Settings
from lockkeep_servers.kit.world import PLANTED, build_world

# Two ports, two settings


@pytest.mark.parametrize(
    "given", [{}, {"ADAPTER": "embedded"}, {"PAYMENTS_ADAPTER": "embedded", "INVOICES_ADAPTER": "embedded"}]
)
async def test_one_back_end_serves_both_ports_from_one_file_with_one_book_of_keys(
    tmp_path: Path, given: dict[str, str]
) -> None:
    async with opened(tmp_path, **given) as desk:
        await refund(desk)
        error = await desk.refused("record_invoice", **BILL, idempotency_key=KEY)

    assert error["code"] == "idempotency_conflict"
    assert [file.name for file in tmp_path.glob("*.sqlite")] == ["billing.sqlite"]


@pytest.mark.parametrize("key", ["ADAPTER", "PAYMENTS_ADAPTER", "INVOICES_ADAPTER"])
def test_an_unknown_back_end_stops_the_start_and_names_its_own_setting(tmp_path: Path, key: str) -> None:
    with pytest.raises(SettingError, match=rf"LOCKKEEP_BILLING_{key} must be one of: embedded\."):
        build(environ_of("billing", tmp_path, WORLD="none", **{key: "abacus"}))


@asynccontextmanager
async def apart(tmp_path: Path) -> AsyncGenerator[tuple[Desk, EmbeddedBilling, EmbeddedBilling]]:
    """Payments and invoices in back ends that know nothing of each other."""
    paying, billing = stocked(tmp_path / "pay"), stocked(tmp_path / "bill")

    def both(_: Settings, __: Clock) -> Billing:
        return Billing(paying, billing)

    service = replace(SERVICE, open=both)
    async with Client(service.build(environ_of("billing", tmp_path))) as client:
        yield Desk("billing", tmp_path, MONDAY, client), paying, billing


async def test_back_ends_of_their_own_answer_for_their_own_tools_and_for_every_key(tmp_path: Path) -> None:
    async with apart(tmp_path) as (desk, paying, billing):
        given = await refund(desk)
        bill = await desk.ok("record_invoice", **BILL, idempotency_key="step-0002")

        for key, tool, receipt in ((KEY, "create_refund", given), ("step-0002", "record_invoice", bill)):
            for fence in (False, True):
                found = await desk.ok("get_receipt", idempotency_key=key, fence=fence)
                assert found == {"state": "committed", "tool": tool, "receipt": receipt}
        # a key that one has used is not also closed at the other
        assert (await billing.get_receipt(GetReceipt(idempotency_key=KEY))).state == "absent"
        error = await desk.refused("record_invoice", **{**BILL, "number": "R-2"}, idempotency_key=KEY)
        assert error["code"] == "idempotency_conflict"
        assert (await desk.ok("create_refund", **REFUND, idempotency_key=KEY))["replayed"] is True
        assert await desk.ok("get_receipt", idempotency_key="never-used") == {"state": "absent"}
        assert len(await paying.examine()) + len(await billing.examine()) == len(
            await Billing(paying, billing).examine()
        )


async def test_a_fence_closes_a_key_in_both_back_ends_and_half_a_fence_is_none(tmp_path: Path) -> None:
    async with apart(tmp_path) as (desk, paying, billing):
        await paying.get_receipt(fence_of("step-0002"))  # as if the server had died between the two
        assert await desk.ok("get_receipt", idempotency_key="step-0002") == {"state": "absent"}

        for key in (KEY, "step-0002"):
            fenced = await desk.ok("get_receipt", idempotency_key=key, fence=True)
            assert fenced == await desk.ok("get_receipt", idempotency_key=key) == {"state": "cancelled"}
            for tool, asked in (("create_refund", REFUND), ("record_invoice", BILL)):
                assert (await desk.refused(tool, **asked, idempotency_key=key))["code"] == "cancelled"
        assert (await billing.get_receipt(fence_of(KEY))).state == "cancelled"


def fence_of(key: str) -> GetReceipt:
    return GetReceipt(idempotency_key=key, fence=True)


# The world


async def test_the_store_of_the_world_says_what_the_world_says(tmp_path: Path) -> None:
    world = build_world(42, MONDAY.date(), "small")
    async with open_desk("billing", tmp_path) as desk:
        for each in world.payments:
            found = await paid(desk, each.id)
            assert [found[name] for name in ("status", "captured_minor", "refunded_minor", "disputed")] == [
                each.status, each.captured_minor, each.refunded_minor, each.disputed,
            ]  # fmt: skip
            assert [one["status"] for one in found["refunds"]] == [one.status for one in each.refunds]
        for each in world.invoices:
            found = await desk.ok("get_invoice", invoice_id=each.id)
            assert [found[name] for name in ("number", "status", "match", "total_minor", "differences")] == [
                each.number, each.status, each.match, each.total_minor, list(each.differences),
            ]  # fmt: skip
        for each in world.purchase_orders:
            found = await desk.ok("get_purchase_order", po_number=each.po_number)
            assert (found["total_minor"], found["open_minor"]) == (each.total_minor, each.open_minor)


async def test_the_refund_cases_of_the_world_end_as_planted(tmp_path: Path) -> None:
    async def tried(desk: Desk, name: str, key: str, **asked: Any) -> str:
        common = {
            "payment_id": PLANTED["payments"][name],
            "currency": "EUR",
            "reason": "damaged",
            "ticket_id": "tkt_1",
        }
        is_error, answer, _ = await desk.answer("create_refund", **common, **asked, idempotency_key=key)
        return answer["error"]["details"]["check"] if is_error else "ok"

    async with open_desk("billing", tmp_path) as desk:
        assert await tried(desk, "refund_80", "step-0001", amount_minor=8_000) == "ok"
        assert await tried(desk, "refund_800", "step-0002", amount_minor=80_000) == "ok"
        assert (
            await tried(desk, "refund_done_already", "step-0003", amount_minor=8_000) == "within_refundable"
        )
        assert await tried(desk, "refund_disputed", "step-0004", amount_minor=4_000) == "not_disputed"
        assert await tried(desk, "refund_two_equal_parts", "step-0005", amount_minor=4_000) == "ok"
        assert await tried(desk, "refund_two_equal_parts", "step-0006", amount_minor=4_000) == "no_repeat"
        first = (await paid(desk, PLANTED["payments"]["refund_two_equal_parts"]))["refunds"][-1]["id"]
        again = {"amount_minor": 4_000, "repeat_of": first}
        assert await tried(desk, "refund_two_equal_parts", "step-0007", **again) == "ok"
