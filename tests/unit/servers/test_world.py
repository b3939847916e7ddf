"""The seeded world: the same seed, the same bytes; all ids agree; nothing in it is real (TS6)."""

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, cast

import pytest

from lockkeep_servers.kit.money import minor_units
from lockkeep_servers.kit.world import (
    World,
    build_world,
    invoices,
    messages,
    parcels,
    payments,
    people,
    shop,
    tickets,
)
from lockkeep_servers.kit.world.demo import COLUMNS, DEMO_LEADS, LISTINGS, leads_csv
from lockkeep_servers.kit.world.messages import templates
from lockkeep_servers.kit.world.parcels import status_of
from lockkeep_servers.kit.world.people import agents
from lockkeep_servers.kit.world.places import territory_of
from lockkeep_servers.kit.world.planted import planted_ids
from lockkeep_servers.kit.world.scans import Event
from lockkeep_servers.kit.world.shop import Product
from lockkeep_servers.kit.world.sizes import SIZES
from lockkeep_servers.kit.world.times import at

DAY = date(2027, 3, 1)
DAYS = (
    DAY,
    date(2028, 2, 29),
    date(2026, 12, 26),
    date(2027, 3, 27),
)  # a Monday, a leap day, holidays, before a gap
RESERVED = re.compile(r"(.*\.)?(example|test|example\.(com|net|org))")
FICTION = re.compile(r"\+1 (202|613) 555 01\d\d|\+44 20 7946 09\d\d|\+61 2 5550 00\d\d|\+353 20 910 00\d\d")
PARTS = (
    "companies", "contacts", "leads", "deals", "accounts", "directory", "meetings", "products", "prices", "orders",
    "shipments", "tickets", "articles", "payments", "vendors", "purchase_orders", "invoices", "papers", "suppressed",
    "recipients", "queue", "lead_cases", "cases",
)  # fmt: skip
FULL = pytest.mark.full
SAMPLE = pytest.mark.parametrize(
    "size", ["small", pytest.param("demo", marks=FULL), pytest.param("full", marks=FULL)]
)
SMALL_DIGEST = "18143987e6a9f3d678903291a4ace9dfcd565e8dd189ed60560bbe814f4c59e7"


@cache
def world(size: str = "full", seed: int = 42, day: date = DAY) -> World:
    return build_world(seed, day, size)


def digest(made: World) -> str:
    """Every byte of the world, as one number."""
    whole = {part: getattr(made, part) for part in PARTS}
    return hashlib.sha256(json.dumps(whole, default=_plain, sort_keys=True).encode()).hexdigest()


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return dict(cast(Mapping[Any, Any], value)) if isinstance(value, Mapping) else str(value)


def texts(value: object) -> Iterable[str]:
    """Every text in the world, however deep."""
    if isinstance(value, str):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from texts(getattr(value, field.name))
    elif isinstance(value, Mapping):
        yield from texts(tuple(cast(Mapping[Any, Any], value).values()))
    elif isinstance(value, tuple):
        for each in cast(tuple[object, ...], value):
            yield from texts(each)


def test_the_same_seed_gives_the_bytes_these_tests_were_written_for() -> None:
    assert digest(build_world(42, DAY, "small")) == SMALL_DIGEST


@FULL
def test_the_same_seed_gives_the_same_bytes_in_every_process() -> None:
    """A process with other hashes, another zone and another language builds the world these tests were written for."""
    code = (
        "from tests.unit.servers.test_world import DAY, build_world, digest;"
        "print(digest(build_world(42, DAY, 'small')))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Pacific/Chatham", "LC_ALL": "C", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=30,
        check=True,
    )  # fmt: skip

    assert said.stdout.strip() == digest(build_world(42, DAY, "small")) == SMALL_DIGEST
    assert digest(build_world(43, DAY, "small")) != SMALL_DIGEST
    assert digest(build_world(42, DAYS[1], "small")) != SMALL_DIGEST


def test_a_part_is_made_alone_and_only_when_it_is_looked_at() -> None:
    made = build_world(42, DAY, "small")

    assert made.orders
    assert set(vars(made)) & set(PARTS) == {"orders"}


@pytest.mark.full
@pytest.mark.parametrize(("small", "large"), [("small", "demo"), pytest.param("demo", "full", marks=FULL)])
def test_a_larger_world_only_adds(small: str, large: str) -> None:
    for part in PARTS:
        held, more = ({_key(one) for one in getattr(world(size), part)} for size in (small, large))
        assert held <= more, part


def _key(one: object) -> str:
    """Stock set aside grows with the orders, what is free does not."""
    if isinstance(one, Product):
        free = tuple(replace(stock, on_hand=stock.available, reserved=0) for stock in one.stock)
        return repr(replace(one, stock=free))
    return repr(one)


@FULL
def test_the_sizes_hold_what_they_say() -> None:
    counted = {
        size: {part: len(getattr(world(size), part)) for part in counts} for size, counts in SIZES.items()
    }
    full = world()

    assert counted == SIZES
    assert (len(full.contacts), len(full.leads), len(full.reps)) == (600, 300, 12)
    assert (len(full.orders), len(full.shipments), len(full.tickets), len(full.invoices)) == (
        500,
        450,
        250,
        180,
    )
    assert {(one.start.date() - DAY).days for one in full.meetings if one.rrule is None} >= {-28, 0, 56}


@SAMPLE
def test_every_id_is_given_once_and_every_one_that_is_named_exists(size: str) -> None:
    made = world(size)
    given = [
        str(one.id)
        for part in PARTS
        for one in getattr(made, part)
        if hasattr(one, "id") and part not in ("lead_cases", "meetings")
    ]
    given += [refund.id for payment in made.payments for refund in payment.refunds]
    given += [hold.id for order in made.orders for hold in order.holds]
    given += [said.id for ticket in made.tickets for said in ticket.messages]
    given += [one.id for one in (*made.reps, *made.staff, *made.meetings)]
    given += [one.sku for one in made.products] + [one.po_number for one in made.purchase_orders]
    named = re.compile(
        r"(?:led|con|cmp|del|acc|rep|agt|fin|ops|ord|shp|tkt|art|pay|ref|ven|inv|evt)_\w[\w-]*|LK-\d+|PO-\d+"
    )
    found = {
        name
        for part in PARTS
        for one in getattr(made, part)
        for text in texts(one)
        for name in named.findall(text)
    }

    assert len(given) == len(set(given))
    assert found - set(given) == set()
    assert planted_ids() <= set(given)


@SAMPLE
@pytest.mark.parametrize("seed", [42, 7, 1234])
@pytest.mark.parametrize("day", DAYS)
def test_orders_parcels_tickets_and_money_tell_one_story(day: date, seed: int, size: str) -> None:
    made, now = world(size, seed, day), at(day, 0, 0)
    orders = {order.id: order for order in made.orders}
    shipped = {one.order_id for one in made.shipments}

    for order in made.orders:
        moments = [step.at for step in order.history]
        assert [order.placed_at, *moments] == sorted([order.placed_at, *moments]), order.id
        assert moments[-1] <= now, order.id
        assert order.history[-1].new == order.status
        assert order.subtotal_minor == sum(line.total_minor for line in order.lines) > 0
        assert order.total_minor == order.subtotal_minor - order.discount_minor + order.shipping_minor
        assert (order.id in shipped) == (order.status in ("packed", "shipped", "delivered")), order.id
    for one in made.shipments:
        order = orders[one.order_id]
        moments = [
            moment for moment in (order.placed_at, one.bought_at, one.shipped_at, one.delivered_at) if moment
        ]
        assert moments == sorted(moments), one.id
        assert max(moments) <= now, one.id
        assert one.customer_id == order.customer_id
        assert status_of(one.events, one.eta, one.promised_at) == one.status, one.id
        assert all(scan.at <= scan.received_at <= now for scan in one.events), one.id
        assert (one.status == "delivered") == (one.delivered_at is not None), one.id
    for payment in made.payments:
        order, back = orders[payment.order_id], payment.refunds
        failed = payment.status == "failed"
        assert failed == (order.status == "pending_payment"), payment.id
        assert (payment.captured_minor, payment.currency) == (
            0 if failed else order.total_minor,
            order.currency,
        )
        assert 0 <= payment.refundable_minor <= payment.captured_minor, payment.id
        assert all(
            refund.amount_minor > 0 and payment.captured_at < refund.created_at <= now for refund in back
        ), payment.id
        assert not (payment.disputed and back), payment.id
    for ticket in made.tickets:
        _told(ticket, now)


def _told(ticket: Any, now: datetime) -> None:
    moments = [change.at for change in ticket.history]
    ends = {change.field: change.new for change in ticket.history}
    said = [message.at for message in ticket.messages]

    assert [ticket.created_at, *moments] == sorted([ticket.created_at, *moments]), ticket.id
    assert said == sorted(said)
    assert max([ticket.created_at, *moments, *said]) == ticket.updated_at <= now
    assert {name: getattr(ticket, name) for name in ends} == ends, ticket.id
    assert (ticket.status == "new") == (not ends)
    assert (
        (ticket.resolution is not None)
        == (ticket.status in ("solved", "closed"))
        == (ticket.solved_at is not None)
    )
    assert ticket.assignee in {None, *(agent.id for agent in agents() if agent.active)}


def test_a_parcel_that_arrived_stays_arrived_whatever_is_told_later() -> None:
    now = at(DAY, 0, 0)
    told = [
        scan(now, 9, "in_transit"),
        scan(now, 5, "delivered"),
        scan(now, 7, "in_transit"),
        scan(now, 5, "delivered"),
    ]

    assert status_of(told, None, now) == status_of(told[::-1], now + timedelta(hours=40), now) == "delivered"
    assert status_of(told[:1], now + timedelta(hours=30), now) == "delayed"
    assert status_of(told[:1], now, now) == "in_transit"
    assert status_of([scan(now, 1, "out_for_delivery")], now + timedelta(hours=3), now) == "out_for_delivery"
    assert status_of([], None, now) == "unknown"


def scan(now: datetime, hours: int, status: str) -> Event:
    moment = now - timedelta(hours=24 - hours)
    return Event(moment, moment, status, "Venlo", "")


@SAMPLE
@pytest.mark.parametrize("day", DAYS)
def test_what_is_reserved_is_what_orders_hold_and_nothing_is_sold_twice(day: date, size: str) -> None:
    made = world(size, 42, day)
    held: dict[tuple[str, str], int] = {}
    for hold in (hold for order in made.orders for hold in order.holds):
        for sku, qty in hold.lines:
            held[hold.warehouse, sku] = held.get((hold.warehouse, sku), 0) + qty

    assert held == {(s.warehouse, p.sku): s.reserved for p in made.products for s in p.stock if s.reserved}
    assert all(stock.available >= 0 for product in made.products for stock in product.stock)
    assert all(hold.expires_at > at(day, 0, 0) for order in made.orders for hold in order.holds)


@SAMPLE
@pytest.mark.parametrize("day", DAYS)
def test_invoices_add_up_and_are_matched_as_a_cautious_reader_would(day: date, size: str) -> None:
    made, now = world(size, 42, day), at(day, 0, 0)
    orders = {order.po_number: order for order in made.purchase_orders}
    numbers = [(one.vendor_id, re.sub(r"[^a-z0-9]", "", one.number.lower())) for one in made.invoices]

    assert len(numbers) == len(set(numbers))
    for one in made.invoices:
        assert one.total_minor == sum(line.total_minor for line in one.lines) > 0
        assert [change.new for change in one.history][-1] == one.status
        assert one.issued <= one.recorded_at.date() <= day
        assert all(change.at <= now for change in one.history)
        if one.match == "no_po":
            assert one.po_number is None
            continue
        order = orders[one.po_number or ""]
        assert order.vendor_id == one.vendor_id
        assert order.open_minor == order.total_minor - order.invoiced_minor
        assert (one.match == "mismatch") == bool(one.differences), one.id
        if one.match == "matched":
            (line,), (ordered,) = one.lines, order.lines
            assert (one.currency, line.unit_price_minor) == (order.currency, ordered.unit_price_minor)
            assert (line.discount_minor, order.open_minor >= 0) == (0, True)


@SAMPLE
def test_messages_can_be_written_from_their_templates_and_wait_only_for_the_future(size: str) -> None:
    made, now = world(size), at(DAY, 0, 0)
    known = {(one.id, one.locale): one for one in templates()}
    silent = {one.address for one in made.suppressed}

    for one in made.queue:
        template = known[one.template_id, one.locale]
        assert set(one.variables) == set(template.variables)
        assert "{" not in template.subject.format_map(one.variables) + template.body.format_map(one.variables)
        assert one.schedule_at > now - timedelta(minutes=3) or one.state != "queued", one.id
        assert not (one.state == "sent" and one.to.casefold() in silent)
    assert {one.locale for one in templates()} == {"en", "de", "fr", "ja"}


@SAMPLE
def test_every_state_is_one_of_those_its_module_lists(size: str) -> None:
    made = world(size)
    used = {
        shop.ORDER_STATUSES: {one.status for one in made.orders},
        parcels.SHIPMENT_STATUSES: {one.status for one in made.shipments}
        | {scan.status for one in made.shipments for scan in one.events},
        tickets.TICKET_STATUSES: {one.status for one in made.tickets},
        tickets.PRIORITIES: {one.priority for one in made.tickets} - {None},
        tickets.TYPES: {one.type for one in made.tickets} - {None},
        people.GROUPS: {one.group for one in made.tickets} - {None},
        payments.PAYMENT_STATUSES: {one.status for one in made.payments},
        payments.METHODS: {one.method for one in made.payments},
        payments.REFUND_REASONS: {refund.reason for one in made.payments for refund in one.refunds},
        invoices.INVOICE_STATUSES: {change.new for one in made.invoices for change in one.history},
        invoices.MATCHES: {one.match for one in made.invoices},
        messages.MESSAGE_STATES: {one.state for one in made.queue},
        messages.LOCALES: {one.locale for one in made.recipients} | {one.locale for one in templates()},
    }

    assert {states: found - set(states) for states, found in used.items() if not found <= set(states)} == {}


@FULL
def test_the_shares_of_dirt_and_delay_are_those_of_the_paper() -> None:
    made = world()
    dirty = [
        lead
        for lead in made.leads
        if lead.country is None
        or not lead.name
        or lead.company != lead.company.strip()
        or lead.company == lead.company.lower()
        or lead.email != (lead.email or "").strip()
    ]
    late = [
        one
        for one in made.shipments
        if one.status == "lost" or (one.delivered_at or one.eta or one.promised_at) > one.promised_at
    ]
    odd = [
        one
        for one in made.shipments
        if [scan.at for scan in one.events] != sorted({scan.at for scan in one.events})
    ]

    assert 0.07 < len(dirty) / len(made.leads) < 0.10
    assert 0.07 < len(late) / len(made.shipments) < 0.09
    assert 0.03 < len(odd) / len(made.shipments) < 0.16


@SAMPLE
def test_mail_addresses_phones_and_links_are_reserved_ones(size: str) -> None:
    made = world(size)
    every = [text for part in PARTS for one in getattr(made, part) for text in texts(one)]
    every += [text for one in (*made.reps, *made.staff) for text in texts(one)]
    domains = {
        domain for text in every for domain in re.findall(r"[\w+.-]+@([\w-]+(?:\.[\w-]+)+)", text.lower())
    }
    hosts = {host for text in every for host in re.findall(r"(?:https?:)?//([\w.-]+)", text)}
    phones = {phone for text in every for phone in re.findall(r"^\+\d[\d ]+$", text)}
    domains |= {one.domain for one in made.directory} | {one.domain for one in made.companies}

    assert len(domains) > SIZES[size]["companies"]
    assert [domain for domain in domains | hosts if not RESERVED.fullmatch(domain)] == []
    assert [phone for phone in phones if not FICTION.fullmatch(phone)] == []


def test_the_lead_file_of_the_demo_is_the_one_we_make() -> None:
    shipped = (files("lockkeep_policies") / "demo" / "leads.csv").read_text(encoding="utf-8")

    assert shipped == leads_csv()


def test_the_lead_file_holds_good_leads_and_one_of_each_problem() -> None:
    rows = list(csv.reader(io.StringIO(leads_csv())))
    good = [lead for lead in DEMO_LEADS if lead.problem is None]
    known = {listing.domain for listing in LISTINGS}

    assert [len(row) for row in rows] == [len(COLUMNS)] * (len(DEMO_LEADS) + 1) + [4]
    assert {lead.domain for lead in good} <= known
    assert len({territory_of(lead.country) for lead in good}) == 7
    assert all(minor_units(lead.value, lead.currency) for lead in good)
    assert [lead.problem for lead in DEMO_LEADS if lead.problem] == [
        "above_100k", "malformed_email", "without_company", "instructs", "duplicate", "no_territory", "value_no_number",
    ]  # fmt: skip
    assert [lead for lead in DEMO_LEADS if lead.problem and not asdict(lead)] == []
