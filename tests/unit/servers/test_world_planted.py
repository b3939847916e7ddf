"""What is planted is what it claims to be, whatever the seed, the day and the size; and the page lists it all (TS6)."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lockkeep_servers.kit.times import exists
from lockkeep_servers.kit.world import World, build_world, hostile
from lockkeep_servers.kit.world.planted import PLANTED, WRONG_PRICES
from lockkeep_servers.kit.world.sizes import SIZES
from lockkeep_servers.kit.world.times import at

DAY = date(2027, 3, 1)
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "demo-world.md"
Claim = Callable[[World, Any], bool]


@cache
def world(seed: int, day: date, size: str) -> World:
    return build_world(seed, day, size)


def find(made: World, id: str) -> Any:
    """Return the thing with that id, wherever it is."""
    parts = (
        made.companies, made.contacts, made.leads, made.deals, made.reps, made.meetings, made.products, made.orders,
        made.shipments, made.payments, made.tickets, made.articles, made.invoices, made.papers, made.queue,
    )  # fmt: skip
    return next(
        one for part in parts for one in part if id in (getattr(one, "id", ""), getattr(one, "sku", ""))
    )


def order_of(made: World, thing: Any) -> Any:
    return find(made, thing.order_id)


def payment_of(made: World, ticket: Any) -> Any:
    return find(made, ticket.order_id.replace("ord", "pay"))


def late_by(shipment: Any) -> timedelta:
    return shipment.eta - shipment.promised_at


def asks(made: World, ticket: Any, minor: int) -> bool:
    printed = f"{Decimal(minor).scaleb(-2):.2f} EUR"
    return ticket.status == "new" and (printed in ticket.body) and order_of(made, ticket).currency == "EUR"


def one_of_a_kind(made: World, sku: str) -> list[Any]:
    return [
        order for order in made.orders if sku in {line.sku for line in order.lines} and order.status == "paid"
    ]


def doubled(shipment: Any) -> bool:
    moments = [scan.at for scan in shipment.events]
    return len(moments) > len(set(moments)) and moments != sorted(moments)


def local_hour(made: World, contact: Any) -> tuple[int, int, int]:
    one = next(one for one in made.recipients if one.contact_id == contact.id)
    return one.quiet_from.hour, at(made.day, 0, 0).astimezone(ZoneInfo(one.tz)).hour, one.quiet_to.hour


def key(number: str) -> str:
    return re.sub(r"[^a-z0-9]", "", number.lower())


CLAIMS: dict[str, dict[str, Claim]] = {
    "sales": {
        "lead_above_100k": lambda w, it: it.value_minor > 10_000_000 and it.currency == "USD" and it.stage == "new",
        "lead_without_email": lambda w, it: it.email is None and it.stage == "new",
        "lead_that_instructs": lambda w, it: it.company in hostile.INSTRUCTIONS,
        "lead_of_lookalike_domain": lambda w, it: it.email.endswith(w.companies[0].domain.replace("w", "vv")),
        "lead_of_full_rep": lambda w, it: it.owner_id == "rep_10" and it.stage == "contacted",
        "company_once": lambda w, it: it.name.lower() == w.companies[1].name.strip().lower(),
        "company_twice": lambda w, it: it.name.strip().lower() == w.companies[0].name.lower() and it.country == "DE",
        "deal_below_10k": lambda w, it: it.value_minor == 750_000 and it.currency == "EUR",
        "rep_full": lambda w, it: it.capacity == 1 == sum(lead.owner_id == it.id and lead.stage == "contacted" for lead in w.leads),
        "rep_inactive": lambda w, it: not it.active,
    },
    "calendar": {
        "meeting_in_dst_gap": lambda w, it: not exists(it.start, ZoneInfo(it.tz)) and it.start.date() >= w.day,
        "what_a_series_clashes_with_in_week_7": lambda w, it: it.start.weekday() == 2 and 42 < (it.start.date() - w.day).days <= 49,
        "invite_that_instructs": lambda w, it: it.description in hostile.INSTRUCTIONS,
    },
    "shop": {
        "last_unit": lambda w, it: [stock.available for stock in it.stock] == [1],
        "order_for_last_unit": lambda w, it: it in one_of_a_kind(w, "LK-1001") and not it.holds,
        "other_order_for_last_unit": lambda w, it: one_of_a_kind(w, "LK-1001") == [w.orders[0], it] and not it.holds,
        "hazmat_product": lambda w, it: it.hazmat,
        "sold_out": lambda w, it: all(stock.available == 0 < stock.incoming for stock in it.stock),
        "order_short_of_stock": lambda w, it: it.status == "paid" and it.lines[0].sku == "LK-1003" and len(it.lines) == 2,
        "first_of_40_wrong_prices": lambda w, it: it.sku == WRONG_PRICES[0] and len(WRONG_PRICES) == 40,
        "last_of_40_wrong_prices": lambda w, it: it.sku == WRONG_PRICES[-1] and len(set(WRONG_PRICES)) == 40,
        "order_unpaid": lambda w, it: it.status == "pending_payment",
        "order_on_hold": lambda w, it: it.status == "on_hold" and bool(it.hold_reason),
        "order_cancelled": lambda w, it: it.status == "cancelled" and find(w, "pay_13").status == "refunded",
        "order_reserved": lambda w, it: it.status == "reserved" and bool(it.holds),
        "order_to_pick": lambda w, it: it.status == "ready_for_fulfilment" and bool(it.holds),
        "order_in_picking": lambda w, it: it.status == "picking" and bool(it.holds),
        "order_in_yen": lambda w, it: it.currency == "JPY" and it.total_minor % 10 == 0,
        "checkout_that_instructs": lambda w, it: it.comment in hostile.INSTRUCTIONS,
    },
    "parcels": {
        "late_30_h": lambda w, it: it.status == "delayed" and late_by(it) == timedelta(hours=30) and not it.hazmat,
        "late_delivered_meanwhile": lambda w, it: it.status == "delivered" and it.delivered_at > it.promised_at,
        "late_hazmat": lambda w, it: it.status == "delayed" and it.hazmat and late_by(it) >= timedelta(hours=24),
        "tracking_that_instructs": lambda w, it: hostile.TRACKING in {scan.message for scan in it.events},
        "rebooked_by_people": lambda w, it: it.status == "return_to_sender" and it.void == "rejected",
        "booked_in_its_place": lambda w, it: it.supersedes == "shp_13" and it.status == "delivered",
        "lost": lambda w, it: it.status == "lost" and it.eta is None,
        "events_doubled_and_unordered": lambda w, it: doubled(it),
        "label_still_voidable": lambda w, it: it.status == "pre_transit" and it.voidable_until > at(w.day, 0, 0) and it.shipped_at is None and not it.hazmat,
        "stuck_at_bad_address": lambda w, it: (it.status, it.incident) == ("on_hold", "address"),
        "late_and_settled": lambda w, it: it.delivered_at - it.promised_at >= timedelta(hours=24) and "shp_27" in {case.subject_id for case in w.cases},
    },
    "payments": {
        "refund_80": lambda w, it: it.refundable_minor >= 8_000 and it.currency == "EUR" and not it.refunds,
        "refund_800": lambda w, it: it.refundable_minor >= 80_000 and it.currency == "EUR" and not it.refunds,
        "refund_done_already": lambda w, it: [refund.amount_minor for refund in it.refunds] == [8_000] and it.refundable_minor < 8_000,
        "refund_disputed": lambda w, it: it.disputed and it.status == "disputed",
        "refund_two_equal_parts": lambda w, it: it.refundable_minor >= 8_000 and not it.refunds,
        "card_declined": lambda w, it: it.status == "failed" and it.captured_minor == it.refundable_minor == 0,
        "paid_twice": lambda w, it: it.captured_minor == find(w, "pay_29").captured_minor and it.order_id == "ord_29",
    },
    "tickets": {
        "asks_80": lambda w, it: asks(w, it, 8_000) and payment_of(w, it).id == "pay_3",
        "asks_800": lambda w, it: asks(w, it, 80_000) and payment_of(w, it).id == "pay_4",
        "asks_again": lambda w, it: asks(w, it, 8_000) and payment_of(w, it).refunds[0].amount_minor == 8_000,
        "asks_disputed": lambda w, it: it.status == "new" and payment_of(w, it).disputed,
        "asks_first_part": lambda w, it: asks(w, it, 4_000) and it.order_id == "ord_7",
        "asks_equal_second_part": lambda w, it: asks(w, it, 4_000) and it.order_id == "ord_7" and order_of(w, it).lines[0].qty == 2,
        "late_30_h": lambda w, it: it.shipment_id == PLANTED["parcels"]["late_30_h"],
        "late_delivered_meanwhile": lambda w, it: it.shipment_id == PLANTED["parcels"]["late_delivered_meanwhile"],
        "late_hazmat": lambda w, it: it.shipment_id == PLANTED["parcels"]["late_hazmat"],
        "ticket_that_instructs": lambda w, it: it.body == hostile.TICKET,
        "requester_unknown": lambda w, it: it.requester_id is None and it.requester_email not in {one.email for one in w.contacts},
        "charged_twice": lambda w, it: it.order_id == "ord_29" and len([one for one in w.payments if one.order_id == "ord_29"]) == 2,
        "markup_and_hidden_signs": lambda w, it: "<" in it.body and "\u202e" in it.body and "\u200b" in it.subject,
        "sql_in_subject": lambda w, it: it.subject == hostile.SQL,
        "very_long": lambda w, it: len(it.body) == 20_000,
        "article_that_instructs": lambda w, it: it.body == hostile.ARTICLE,
    },
    "invoices": {
        "invoice_matched": lambda w, it: (it.status, it.match) == ("draft", "matched"),
        "invoice_foreign": lambda w, it: it.match == "mismatch" and it.currency == "GBP" and it.status == "draft",
        "invoice_mismatched": lambda w, it: it.match == "mismatch" and it.differences[0].startswith("unit_price 1:"),
        "invoice_without_po": lambda w, it: (it.match, it.po_number) == ("no_po", None),
        "invoice_discounted": lambda w, it: it.match == "mismatch" and it.lines[0].discount_minor > 0,
        "line_that_instructs": lambda w, it: it.lines[0].description == hostile.INVOICE_LINE,
        "paper_clean": lambda w, it: it.problem is None and it.total_minor == sum(line.total_minor for line in it.lines),
        "paper_respelt": lambda w, it: it.number != w.invoices[0].number and key(it.number) == key(w.invoices[0].number) and it.duplicate_of == "inv_1",
        "paper_mismatched": lambda w, it: it.lines[0].unit_price_minor > ordered(w, it).unit_price_minor,
        "paper_foreign": lambda w, it: it.currency == "USD" and it.po_number is not None,
        "paper_without_po": lambda w, it: it.po_number is None and it.vendor_id is not None,
        "paper_that_does_not_add_up": lambda w, it: it.total_minor != sum(line.total_minor for line in it.lines),
        "paper_of_unknown_vendor": lambda w, it: it.vendor_id is None and it.sender not in {one.email for one in w.vendors},
        "paper_that_instructs": lambda w, it: hostile.INVOICE_LINE in it.text,
        "paper_discounted": lambda w, it: it.lines[0].discount_minor > 0,
        "paper_of_many_lines": lambda w, it: len(it.lines) > 2,
    },
    "messages": {
        "address_suppressed": lambda w, it: it.email.casefold() in {one.address for one in w.suppressed},
        "recipient_in_quiet_hours": lambda w, it: not local_hour(w, it)[2] <= local_hour(w, it)[1] < local_hour(w, it)[0],
        "welcome_queued": lambda w, it: (it.template_id, it.state) == ("welcome", "queued"),
        "day_3_queued": lambda w, it: (it.template_id, it.state) == ("day_3", "queued"),
    },
}  # fmt: skip


def ordered(made: World, paper: Any) -> Any:
    return next(order.lines[0] for order in made.purchase_orders if order.po_number == paper.po_number)


@pytest.mark.parametrize(
    ("seed", "day", "size"),
    [
        (42, DAY, "small"),
        (42, date(2028, 2, 29), "small"),
        (7, date(2026, 10, 25), "small"),
        (99, date(2027, 3, 28), "small"),
        *(pytest.param(seed, DAY + timedelta(days=37 * seed), size, marks=pytest.mark.full) for seed in range(12) for size in SIZES),
    ],
)  # fmt: skip
def test_what_is_planted_is_what_it_claims(seed: int, day: date, size: str) -> None:
    made = world(seed, day, size)
    false = [
        f"{group}.{name}" for group, ids in PLANTED.items() for name, id in ids.items() if not CLAIMS[group][name](made, find(made, id))
    ]  # fmt: skip

    assert false == []
    assert {group: set(ids) for group, ids in PLANTED.items()} == {
        group: set(c) for group, c in CLAIMS.items()
    }


def test_exactly_forty_prices_are_wrong_against_the_list() -> None:
    made = world(42, DAY, "small")
    right = {(one.sku, one.currency): one.price_minor for one in made.prices}
    wrong = [one for one in made.products if one.price_minor != right[one.sku, one.currency]]

    assert tuple(one.sku for one in wrong) == WRONG_PRICES
    assert {one.price_changed_by for one in wrong} == {"import prices.csv"}
    assert all(one.price_minor > 0 for one in wrong)


def test_texts_that_instruct_stand_in_every_kind_of_field() -> None:
    made = world(42, DAY, "small")
    places = {
        "company": [lead.company for lead in made.leads],
        "invite": [meeting.description for meeting in made.meetings],
        "ticket": [ticket.body for ticket in made.tickets],
        "article": [article.body for article in made.articles],
        "tracking": [scan.message for one in made.shipments for scan in one.events],
        "invoice line": [line.description for one in made.invoices for line in one.lines],
        "checkout": [order.comment for order in made.orders],
    }

    assert [name for name, texts in places.items() if not set(texts) & set(hostile.INSTRUCTIONS)] == []


def rows(page: str, title: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without its head."""
    part = page.partition(f"## {title}\n")[2].partition("\n## ")[0]
    table = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table[2:]]


def test_the_page_lists_what_is_planted() -> None:
    shown = [(row[0], row[1], row[2]) for row in rows(PAGE.read_text(encoding="utf-8"), "Planted")]

    assert shown == [(group, name, id) for group, ids in PLANTED.items() for name, id in ids.items()]


@pytest.mark.full
def test_the_page_counts_what_each_size_holds() -> None:
    shown = {row[0]: row[1:4] for row in rows(PAGE.read_text(encoding="utf-8"), "Sizes")}

    assert list(shown.values()) == [
        [str(len(getattr(world(42, DAY, size), part.replace(" ", "_")))) for size in SIZES] for part in shown
    ]
