"""What people did: every case is what the records show of it, and the shares of mistakes are those of the paper (TS6)."""

import csv
import io
import json
from collections import Counter
from datetime import date
from functools import cache
from typing import Any

import pytest

from lockkeep_servers.kit.world import World, build_world
from lockkeep_servers.kit.world.history import COLUMNS, KINDS, Case, cases_csv
from lockkeep_servers.kit.world.times import at

DAY = date(2027, 3, 1)
SAMPLE = pytest.mark.parametrize("size", ["small", pytest.param("full", marks=pytest.mark.full)])


@cache
def world(size: str, seed: int = 42) -> World:
    return build_world(seed, DAY, size)


def of_kind(made: World, kind: str) -> list[Case]:
    return [case for case in made.cases if case.kind == kind]


def did(case: Case, tool: str) -> dict[str, Any] | None:
    return next((dict(call.arguments) for call in case.calls if call.tool == tool), None)


@SAMPLE
def test_a_case_is_done_in_time_by_somebody_and_says_what_was_right(size: str) -> None:
    made = world(size)
    people = {one.id for one in made.staff if one.active}

    assert set(KINDS) == {case.kind for case in made.cases}
    for case in made.cases:
        assert {case.person, case.second_person} <= {*people, None}
        assert case.second_person != case.person
        assert case.opened_at < case.done_at <= at(DAY, 0, 0)
        assert (case.done_at - case.opened_at).total_seconds() >= 60 * case.touch_minutes > 0
        assert (
            (case.decision != case.right) == (case.label == "mistake") == (case.corrected_at is not None)
        ), case.id
        assert case.corrected_at is None or case.done_at < case.corrected_at <= at(DAY, 0, 0), case.id
        assert len(case.calls) >= 2


@SAMPLE
def test_leads_stand_with_the_owner_that_was_right_in_the_end(size: str) -> None:
    made = world(size)
    leads = {lead.id: lead for lead in made.leads}

    for case in of_kind(made, "lead_routing"):
        assert leads[case.subject_id].owner_id == case.right
        assert leads[case.subject_id].created_at < case.opened_at
        assert (did(case, "crm.assign_owner") or {})["owner_id"] == case.decision


@SAMPLE
def test_tickets_show_each_triage_and_its_correction(size: str) -> None:
    made = world(size)
    tickets = {ticket.id: ticket for ticket in made.tickets}
    triaged = {case.subject_id for case in of_kind(made, "ticket_triage")}

    assert triaged == {ticket.id for ticket in made.tickets if ticket.status != "new"}
    for case in of_kind(made, "ticket_triage"):
        ticket = tickets[case.subject_id]
        first = {change.field: change.new for change in ticket.history if change.at == case.done_at}
        assert f"{first['priority']}/{first['type']}/{first['group']}" == case.decision
        assert f"{ticket.priority}/{ticket.type}/{ticket.group}" == case.right


@SAMPLE
def test_money_went_back_as_people_decided(size: str) -> None:
    made = world(size)
    payments = {payment.id: payment for payment in made.payments}

    for case in of_kind(made, "refund_request"):
        asked = did(case, "billing.create_refund")
        of_case = [
            refund for one in made.payments for refund in one.refunds if refund.ticket_id == case.subject_id
        ]
        given = [refund for refund in of_case if refund.created_at == case.done_at]
        assert [refund.amount_minor for refund in given] == ([asked["amount_minor"]] if asked else []), (
            case.id
        )
        if asked:
            assert asked["currency"] == payments[asked["payment_id"]].currency
            assert case.decision == f"refund {asked['amount_minor']} {asked['currency']}"
        due = 0 if case.right == "decline" else int(case.right.split()[1])
        kept = sum(refund.amount_minor for refund in of_case if refund.status != "failed")
        assert kept == due or (case.label == "mistake" and kept > due), case.id
    from_tickets = [refund for one in made.payments for refund in one.refunds if refund.ticket_id]
    assert {refund.ticket_id for refund in from_tickets} <= {
        case.subject_id for case in of_kind(made, "refund_request")
    }


@SAMPLE
def test_late_parcels_were_booked_again_where_people_decided_so(size: str) -> None:
    made = world(size)
    again = {one.supersedes: one for one in made.shipments if one.supersedes}
    rebooked = {case.subject_id for case in of_kind(made, "late_shipment") if case.right.startswith("rebook")}

    assert rebooked == set(again)
    for case in of_kind(made, "late_shipment"):
        booked = did(case, "carrier.rebook")
        assert booked is None or booked["service"] == again[case.subject_id].service
        assert (booked is not None) == case.decision.startswith("rebook")


@SAMPLE
def test_invoices_stand_where_the_decision_and_its_correction_put_them(size: str) -> None:
    made = world(size)
    invoices = {one.id: one for one in made.invoices}

    for case in of_kind(made, "invoice_match"):
        states = [change.new for change in invoices[case.subject_id].history]
        if case.decision == "submit":
            assert "submitted" in states
            assert case.label == "right" or states[-1] == "rejected"
        elif case.label == "mistake":
            assert states[-1] in ("draft", "submitted", "approved", "posted")
        else:
            assert {"submitted", "approved", "posted"} & set(states) == set() or case.decision == "ask_buyer"


@pytest.mark.full
@pytest.mark.parametrize("seed", [42, 7, 1234])
def test_six_in_a_hundred_are_mistakes_and_eight_are_done_by_two(seed: int) -> None:
    made = world("full", seed)
    labels = Counter(case.label for case in made.cases)
    shared = sum(case.second_person is not None for case in made.cases)

    assert len(made.cases) > 550
    assert min(Counter(case.kind for case in made.cases).values()) >= 20
    assert 0.05 < labels["mistake"] / len(made.cases) < 0.07
    assert 0.07 < shared / len(made.cases) < 0.09


def test_the_baseline_reads_the_cases_as_csv() -> None:
    made = world("small")
    rows = list(csv.DictReader(io.StringIO(cases_csv(made.cases))))

    assert tuple(rows[0]) == COLUMNS
    assert [row["case"] for row in rows] == [case.id for case in made.cases]
    for row, case in zip(rows, made.cases, strict=True):
        calls = json.loads(row["calls"])
        assert [(call["tool"], call["with"]) for call in calls] == [
            (call.tool, dict(call.arguments)) for call in case.calls
        ]
        assert int(row["tool_calls"]) == len(calls)
        assert row["label"] in ("right", "mistake")
