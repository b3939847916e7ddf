"""What people did: every case with who, when, how long, which calls, and whether it was right. The baseline reads it as CSV."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from lockkeep_servers.kit.times import stamp
from lockkeep_servers.kit.world import invoices, parcels, sales, shop
from lockkeep_servers.kit.world.affairs import Affair, Triage, affairs
from lockkeep_servers.kit.world.parcels import Shipment
from lockkeep_servers.kit.world.rescues import Rescue, rescues
from lockkeep_servers.kit.world.work import Work, work

KINDS = ("lead_routing", "ticket_triage", "refund_request", "late_shipment", "invoice_match")
COLUMNS = ("case", "kind", "subject", "person", "second_person", "opened_at", "done_at", "corrected_at",
           "touch_minutes", "tool_calls", "decision", "right", "label", "calls")  # fmt: skip

Value = str | int | bool | None


@dataclass(frozen=True)
class Did:
    """One tool call as a person's work amounted to it: the tool, and the arguments a comparison looks at."""

    tool: str  # "crm.assign_owner"
    arguments: Mapping[str, Value]


@dataclass(frozen=True)
class Case:
    """One piece of work, done. A mistake was put right at `corrected_at`; `right` is what should have been decided."""

    id: str  # kind and the subject's number: "lead_routing-7"
    kind: str  # one of KINDS
    subject_id: str  # led_N, tkt_N, shp_N, inv_N
    person: str
    second_person: str | None  # who did it once more, independently, and came to what was right
    opened_at: datetime
    done_at: datetime
    corrected_at: datetime | None  # None where it was right
    touch_minutes: int
    calls: tuple[Did, ...]  # reads, then writes
    decision: str  # rep_4 · high/delivery/logistics · refund 4800 EUR · rebook express · submit
    right: str  # what should have been decided; equal to `decision` unless a mistake
    label: str  # right | mistake


def cases(seed: int, day: date, size: str) -> tuple[Case, ...]:
    """Return every case of every kind, by kind and number."""
    orders, shipments = shop.orders(seed, day, size), parcels.shipments(seed, day, size)
    found = affairs(seed, day, size, orders, shipments)
    return (
        *lead_cases(seed, day, size),
        *(case for affair in found for case in _triaged(affair)),
        *(case for affair in found for case in _refunded(affair)),
        *(_saved(rescue) for rescue in rescues(seed, day, shipments)),
        *invoice_cases(seed, day, size),
    )


def lead_cases(seed: int, day: date, size: str) -> tuple[Case, ...]:
    """Return how people routed the leads that have an owner."""
    return tuple(case for lead in sales.leads(seed, day, size) for case in _routed(seed, day, lead))


def _routed(seed: int, day: date, lead: sales.Lead) -> list[Case]:
    number, owner = int(lead.id[4:]), lead.owner_id
    done = work(seed, day, "lead_routing", number, lead.created_at)
    if owner is None or done is None:
        return []
    other = "rep_9" if owner != "rep_9" else "rep_1"
    chosen = other if done.mistake else owner
    calls = (
        Did("crm.get", {"kind": "lead", "id": lead.id}),
        Did("crm.enrich_company", {"domain": (lead.email or "").strip().lower().partition("@")[2]}),
        Did("crm.list_owners", {"active": True}),
        Did("crm.assign_owner", {"kind": "lead", "id": lead.id, "owner_id": chosen}),
    )
    return [_case("lead_routing", lead.id, done, chosen, owner, calls)]


def _triaged(affair: Affair) -> list[Case]:
    if affair.triaged is None or affair.chosen is None:
        return []
    id, chosen = f"tkt_{affair.number}", affair.chosen
    calls = (
        Did("ticketing.get", {"id": id}),
        *((Did("commerce.get_order", {"order_id": affair.order.id}),) if affair.order else ()),
        Did(
            "ticketing.triage",
            {"id": id, "priority": chosen.priority, "type": chosen.type, "group": chosen.group},
        ),
    )
    return [_case("ticket_triage", id, affair.triaged, _said(chosen), _said(affair.right), calls)]


def _said(triage: Triage) -> str:
    return f"{triage.priority}/{triage.type}/{triage.group}"


def _refunded(affair: Affair) -> list[Case]:
    money, order, id = affair.money, affair.order, f"tkt_{affair.number}"
    if money is None or order is None or money.decided is None:
        return []
    payment, paid = f"pay_{order.id[4:]}", money.chosen_minor or 0
    refund = {
        "payment_id": payment,
        "amount_minor": paid,
        "currency": order.currency,
        "reason": money.reason,
        "ticket_id": id,
    }
    calls = (
        Did("ticketing.get", {"id": id}),
        Did("commerce.get_order", {"order_id": order.id}),
        Did("billing.get_payment", {"payment_id": payment}),
        *((Did("billing.create_refund", refund),) if paid else ()),
        Did("ticketing.reply", {"id": id}),
        Did("ticketing.transition", {"id": id, "to": "solved"}),
    )
    return [
        _case("refund_request", id, money.decided, _paid(paid, order), _paid(money.right_minor, order), calls)
    ]


def _paid(minor: int, order: shop.Order) -> str:
    return f"refund {minor} {order.currency}" if minor else "decline"


def _saved(rescue: Rescue) -> Case:
    calls = tuple(_rescued(rescue.shipment, rescue.chosen, rescue.again))
    return _case("late_shipment", rescue.shipment.id, rescue.work, rescue.chosen, rescue.right, calls)


def _rescued(shipment: Shipment, chosen: str, again: Shipment | None) -> Iterable[Did]:
    yield Did("carrier.track", {"shipment_id": shipment.id})
    yield Did("commerce.get_order", {"order_id": shipment.order_id})
    if chosen.startswith("rebook") and again:
        yield Did("carrier.quote", {"shipment_id": shipment.id})
        yield Did("carrier.rebook", {"shipment_id": shipment.id, "carrier": again.carrier, "service": again.service,
                                     "amount_minor": again.price_minor, "currency": again.currency})  # fmt: skip
    if chosen == "trace":
        yield Did("notify.post", {"channel": "logistics", "ref": shipment.id})
    if chosen != "nothing":
        yield Did("notify.send", {"ref": shipment.id, "template_id": "delay_notice"})


def invoice_cases(seed: int, day: date, size: str) -> tuple[Case, ...]:
    """Return what people did with the invoices that are no longer waiting."""
    found = enumerate(invoices.decisions(seed, day, size), 1)
    return tuple(case for number, ended in found for case in _matched(f"inv_{number}", ended))


def _matched(id: str, ended: invoices.Settled) -> list[Case]:
    if ended.work is None or ended.chosen is None:
        return []
    calls = (
        Did("billing.get_invoice", {"invoice_id": id}),
        *((Did("billing.get_purchase_order", {"po_number": ended.po_number}),) if ended.po_number else ()),
        *((Did("billing.submit_invoice", {"invoice_id": id}),) if ended.chosen == "submit" else ()),
        *((Did("notify.post", {"channel": "ops", "ref": id}),) if ended.chosen == "ask_buyer" else ()),
    )
    return [_case("invoice_match", id, ended.work, ended.chosen, ended.right, calls)]


def _case(kind: str, subject: str, done: Work, chosen: str, right: str, calls: tuple[Did, ...]) -> Case:
    return Case(
        id=f"{kind}-{subject.partition('_')[2]}",
        kind=kind,
        subject_id=subject,
        person=done.person,
        second_person=done.second_person,
        opened_at=done.opened_at,
        done_at=done.done_at,
        corrected_at=done.corrected_at,
        touch_minutes=done.touch_minutes,
        calls=calls,
        decision=chosen,
        right=right,
        label="mistake" if done.mistake else "right",
    )


def cases_csv(found: Iterable[Case]) -> str:
    """Return the cases as CSV, one a row, the calls as JSON in the last column."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for case in found:
        did = [{"tool": call.tool, "with": dict(call.arguments)} for call in case.calls]
        corrected = stamp(case.corrected_at) if case.corrected_at else ""
        rows.writerow([
            case.id, case.kind, case.subject_id, case.person, case.second_person or "", stamp(case.opened_at),
            stamp(case.done_at), corrected, case.touch_minutes, len(case.calls), case.decision, case.right, case.label,
            json.dumps(did, separators=(",", ":"), ensure_ascii=False),
        ])  # fmt: skip
    return text.getvalue()
