"""What was billed never makes more of an order open: a line is worth nothing at least."""

import sqlite3
from pathlib import Path

from tests.unit.servers.bills import BILL, LINE, fields, opened, record, said

from lockkeep_servers.kit.arguments import LARGEST

GIVEN_AWAY = {**LINE, "discount_minor": 2_500, "total_minor": 0}
RENT = {"description": "Rent", "quantity": "1", "unit_price_minor": 100, "total_minor": 100}


async def test_a_discount_is_at_most_what_its_line_is_worth(tmp_path: Path) -> None:
    more = {**GIVEN_AWAY, "discount_minor": 2_501, "tax_minor": 1}
    async with opened(tmp_path) as desk:
        error = await desk.refused("record_invoice", **{**BILL, "lines": [RENT, more], "total_minor": 100})
        assert said(error) == ("invalid", None)
        assert fields(error) == ["lines.1.discount_minor"]
        await record(desk, lines=[RENT, GIVEN_AWAY], total_minor=100)
        assert (await desk.ok("get_purchase_order", po_number="PO-10001"))["open_minor"] == 12_500 - 100


async def test_what_an_older_draft_took_off_does_not_open_its_order_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as desk:
        await record(desk, lines=[{**LINE, "quantity": "10", "total_minor": 12_500}], total_minor=12_500)
        made = await record(desk, number="OLD", lines=[RENT], total_minor=100)
        with sqlite3.connect(tmp_path / "billing.sqlite") as store:
            store.execute("UPDATE invoices SET net_minor = -50000 WHERE id = ?", (made["id"],))
        assert (await desk.ok("get_purchase_order", po_number="PO-10001"))["open_minor"] == 0
        over = await record(desk, number="NEXT")
        assert over["after"]["match"] == "mismatch"


async def test_what_all_lines_come_to_can_be_told(tmp_path: Path) -> None:
    """Each number is small enough, but their sum is none that readers of JSON agree on."""
    dear = {**RENT, "unit_price_minor": LARGEST, "discount_minor": LARGEST, "total_minor": 0}
    async with opened(tmp_path) as desk:
        error = await desk.refused("record_invoice", **{**BILL, "lines": [RENT, dear], "total_minor": 100})
        assert fields(error) == ["lines"]
