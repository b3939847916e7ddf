"""Two audiences, one life of a ticket, triage, and what is taken back."""

import sqlite3
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.unit.servers.desk import Desk
from tests.unit.servers.tickets import (
    KEY,
    SOLVED,
    STATUSES,
    TICKET,
    WAY,
    a_noted,
    a_ticket,
    run,
    step,
    tables,
    the_ticket,
)

from lockkeep_servers.kit.world import PLANTED
from lockkeep_servers.ticketing.states import NEXT

# --- two audiences ------------------------------------------------------------------------------------------------


async def test_a_note_is_internal_and_a_reply_public_and_no_argument_turns_one_into_the_other(
    ticketing: Desk,
) -> None:
    id = await a_ticket(ticketing)
    await ticketing.ok("add_note", id=id, body="Do not refund.")
    await ticketing.ok("reply", id=id, body="We look into it.", idempotency_key=KEY)

    said = (await ticketing.ok("get", id=id))["messages"]
    assert [(one["visibility"], one["by"], one["body"]) for one in said] == [
        ("public", "con_1", "It leaks."),
        ("internal", "tool:add_note", "Do not refund."),
        ("public", "tool:reply", "We look into it."),
    ]
    tools = {tool.name: tool for tool in (await ticketing.client.list_tools()).tools}
    common = {"id", "body", "idempotency_key", "dry_run"}
    for name, klass in (("add_note", "note"), ("reply", "customer_visible")):
        assert set(tools[name].input_schema["properties"]) == common
        assert (await ticketing.effect(name))["class"] == klass
        extra = {"public": True, "idempotency_key": "step-0002"}
        assert (await ticketing.refused(name, id=id, body="x", **extra))["code"] == "invalid"


async def test_a_reply_needs_a_key_and_says_that_it_cannot_be_taken_back(ticketing: Desk) -> None:
    id = await a_ticket(ticketing)

    error = await ticketing.refused("reply", id=id, body="Hello")
    done = await ticketing.ok("reply", id=id, body="Hello", idempotency_key=KEY)

    assert [fault["field"] for fault in error["details"]["fields"]] == ["idempotency_key"]
    assert (done["undo"]["possible"], (await ticketing.effect("reply"))["undo"]) == ("no", "none")
    withdrawn = await ticketing.refused("withdraw", id=id, note_id=done["id"], reason="oops")
    assert withdrawn["code"] == "not_found"


async def test_a_reply_moves_the_version_and_a_note_does_not(ticketing: Desk) -> None:
    id = await a_ticket(ticketing)

    noted = await ticketing.ok("add_note", id=id, body="For us.")
    replied = await ticketing.ok("reply", id=id, body="Hello", idempotency_key=KEY)

    assert (noted["version"], replied["version"]) == ("1", "2")
    assert (await ticketing.ok("get", id=id))["version"] == "2"


# --- one ticket of one external_id --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "step-0002"])
async def test_who_asks_again_gets_the_same_ticket_unchanged(ticketing: Desk, key: str | None) -> None:
    asked = {**TICKET, "external_id": "mail-17"}
    first = await ticketing.ok("create", **asked, idempotency_key=KEY)
    await ticketing.ok("triage", id=first["id"], priority="urgent")
    stored = tables(ticketing.folder)

    again = await ticketing.ok("create", **{**asked, "body": "It leaks!", "tags": ["x"]}, idempotency_key=key)

    assert (again["id"], again["version"], again["before"], again["after"]) == (first["id"], "2", {}, {})
    assert again["undo"]["possible"] == "no"
    assert again["warnings"] == [
        "same_external_id: this ticket existed; nothing was changed",
        "same_external_id: not taken over, since they differ: body",
    ]
    assert tables(ticketing.folder) == stored
    if key:
        assert await ticketing.ok("create", **{**asked, "body": "It leaks!", "tags": ["x"]}, idempotency_key=key) == {**again, "replayed": True}  # fmt: skip


async def test_an_external_id_of_somebody_else_is_a_duplicate(ticketing: Desk) -> None:
    first = await ticketing.ok("create", **TICKET, external_id="mail-17")
    stored = tables(ticketing.folder, whole=True)

    error = await ticketing.refused("create", **{**TICKET, "requester": "con_2"}, external_id="mail-17")

    assert (error["code"], error["details"]["existing_id"]) == ("duplicate", first["id"])
    assert tables(ticketing.folder, whole=True) == stored


async def test_a_closed_ticket_keeps_its_external_id_and_a_withdrawn_one_frees_it(ticketing: Desk) -> None:
    closed = await a_ticket(ticketing, "closed", external_id="mail-1")
    gone = await a_ticket(ticketing, external_id="mail-2")
    await ticketing.ok("withdraw", id=gone, reason="test")

    again = await ticketing.ok("create", **TICKET, external_id="mail-1")
    anew = await ticketing.ok("create", **TICKET, external_id="mail-2")

    assert (again["id"], "closed" in again["warnings"][-1]) == (closed, True)
    assert (anew["id"] != gone, anew["before"]) == (True, None)


@pytest.mark.parametrize("same", ["key", "external_id"])
async def test_sixteen_callers_make_one_ticket(ticketing: Desk, same: str) -> None:
    answers: list[dict[str, Any]] = []

    async def call(number: int) -> None:
        own = {"idempotency_key": KEY} if same == "key" else {"idempotency_key": f"step-{number:04}"}
        answers.append(await ticketing.ok("create", **TICKET, external_id="mail-1", **own))

    async with anyio.create_task_group() as callers:
        for number in range(16):
            callers.start_soon(call, number)

    assert len({answer["id"] for answer in answers}) == 1
    made = [answer for answer in answers if answer["before"] is None and not answer["replayed"]]
    assert len(made) == 1


# --- the life of a ticket -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", STATUSES)
async def test_a_ticket_moves_only_as_the_states_allow(ticketing: Desk, old: str) -> None:
    for to in STATUSES:
        id = await a_ticket(ticketing, old)
        stored = tables(ticketing.folder, whole=True)
        assert (await ticketing.ok("get", id=id))["allowed_transitions"] == list(NEXT[old])

        if to in NEXT[old]:
            done = await ticketing.ok("transition", id=id, **step(to))
            assert (done["before"]["status"], done["after"]["status"]) == (old, to)
        elif to == old:  # said twice, done once
            done = await ticketing.ok("transition", id=id, **step(to))
            assert (done["before"], done["after"], done["undo"]["possible"]) == ({}, {}, "no")
            assert tables(ticketing.folder, whole=True) == stored
        else:
            error = await ticketing.refused("transition", id=id, **step(to))
            assert (error["code"], error["details"]["allowed"]) == ("illegal_transition", list(NEXT[old]))
            assert tables(ticketing.folder, whole=True) == stored


async def test_solving_needs_a_resolution(ticketing: Desk) -> None:
    id = await a_ticket(ticketing, "open")

    for resolution in (None, "", "  \n"):
        error = await ticketing.refused("transition", id=id, to="solved", reason="x", resolution=resolution)
        assert (error["code"], error["details"]["check"]) == ("check_failed", "resolution_present")


async def test_a_resolution_is_for_solving_and_is_not_replaced_in_passing(ticketing: Desk) -> None:
    id = await a_ticket(ticketing, "solved")

    early = await ticketing.refused("transition", id=id, to="open", reason="x", resolution="none yet")
    other = await ticketing.refused("transition", id=id, to="solved", reason="x", resolution="Another")

    assert (early["code"], other["code"]) == ("invalid", "illegal_transition")
    assert (await the_ticket(ticketing, id))["resolution"] == SOLVED["resolution"]


async def test_opening_again_takes_the_resolution_away_and_its_undo_brings_it_back(ticketing: Desk) -> None:
    id = await a_ticket(ticketing, "solved")

    done = await ticketing.ok("transition", id=id, to="open", reason="still leaks")
    assert done["before"] == {"status": "solved", **SOLVED}
    assert "resolution" not in await the_ticket(ticketing, id)
    await ticketing.undo("transition", {"id": id, "to": "open"}, done)

    assert (await the_ticket(ticketing, id))["resolution"] == SOLVED["resolution"]


async def test_closed_is_final_for_every_writer(ticketing: Desk) -> None:
    noted = await a_noted(ticketing)
    id = noted["id"]
    for to in WAY["solved"]:
        await ticketing.ok("transition", id=id, **step(to))
    closing = await ticketing.ok("transition", id=id, **step("closed"))
    stored = tables(ticketing.folder, whole=True)
    writes: dict[str, dict[str, Any]] = {
        "triage": {"priority": "low"},
        "add_note": {"body": "x"},
        "reply": {"body": "x", "idempotency_key": KEY},
        "transition": step("open"),
        "restore_triage": {"before": {"priority": None}, "expected_version": closing["version"]},
        "withdraw": {"note_id": noted["note_id"], "reason": "x"},
    }

    for tool, args in writes.items():
        error = await ticketing.refused(tool, id=id, **args)
        assert (error["code"], error["details"]["allowed"]) == ("illegal_transition", [])
    assert (await ticketing.refused("withdraw", id=id, reason="x"))["code"] == "conflict"
    assert closing["undo"] == {"possible": "no", "note": "A closed ticket is final. Create a follow-up."}
    assert tables(ticketing.folder, whole=True) == stored
    with pytest.raises(sqlite3.IntegrityError, match="closed is final"):
        run(ticketing.folder, "UPDATE tickets SET status = 'open', resolution = NULL WHERE id = ?", id)


async def test_the_manifest_makes_closing_irreversible_and_no_other_step(ticketing: Desk) -> None:
    effect = await ticketing.effect("transition")

    close, *others = effect["operations"]
    assert close == {"when": "args.to == 'closed'", "operation": "ticketing.close", "class": "irreversible", "undo": "none"}  # fmt: skip
    assert {one["class"] for one in others} == {"write"}
    assert effect["class"] == "irreversible"  # whoever does not read operations is careful


# --- triage -------------------------------------------------------------------------------------------------------


NOT_THERE: list[tuple[dict[str, Any], str, str | None]] = [
    ({"assignee": "agt_8"}, "check_failed", "assignee_present"),
    ({"assignee": "agt_99"}, "check_failed", "assignee_present"),
    ({"assignee": "con_1"}, "check_failed", "assignee_present"),
    ({"group": "nowhere"}, "not_found", None),
    ({}, "invalid", None),
    ({"tags_add": [], "tags_remove": []}, "invalid", None),
    ({"tags_add": ["a"], "tags_remove": ["a"]}, "invalid", None),
    ({"tags_add": ["Two Words"]}, "invalid", None),
    ({"tags_add": [f"t{n}" for n in range(21)]}, "invalid", None),
    ({"priority": "highest"}, "invalid", None),
]


async def test_triage_refuses_what_does_not_exist(ticketing: Desk) -> None:
    id = await a_ticket(ticketing)
    stored = tables(ticketing.folder, whole=True)

    for given, code, check in NOT_THERE:
        error = await ticketing.refused("triage", id=id, **given)

        assert (error["code"], error["details"].get("check")) == (code, check)
        assert tables(ticketing.folder, whole=True) == stored
        if check:
            assert error["details"]["active"] == [f"agt_{number}" for number in range(1, 8)]


async def test_taking_a_triage_back_empties_what_was_empty(ticketing: Desk) -> None:
    id = await a_ticket(ticketing, priority=None)
    before = await the_ticket(ticketing, id)
    given = {
        "priority": "high",
        "type": "refund",
        "group": "billing",
        "assignee": "agt_7",
        "tags_add": ["vip"],
    }

    done = await ticketing.ok("triage", id=id, **given)
    await ticketing.undo("triage", {"id": id}, done)

    assert done["before"] == {"priority": None, "type": None, "group": None, "assignee": None, "tags": []}
    assert await the_ticket(ticketing, id) == before


async def test_a_triage_is_not_taken_back_to_an_assignee_who_left(ticketing: Desk) -> None:
    id = await a_ticket(ticketing)
    await ticketing.ok("triage", id=id, assignee="agt_2")
    done = await ticketing.ok("triage", id=id, assignee="agt_1")
    run(ticketing.folder, "UPDATE agents SET active = 0 WHERE id = 'agt_2'")

    with pytest.raises(AssertionError, match="code=check_failed"):
        await ticketing.undo("triage", {"id": id}, done)
    assert (await ticketing.ok("triage", id=id, assignee="agt_1", priority="low"))["after"] == {
        "priority": "low"
    }


async def test_tags_are_merged_and_have_a_limit(ticketing: Desk) -> None:
    id = await a_ticket(ticketing, tags=["a", "b", "a"])
    for start in range(0, 40, 20):
        await ticketing.ok("triage", id=id, tags_add=[f"t{n}" for n in range(start, start + 20)])

    same = await ticketing.ok("triage", id=id, tags_add=["b"], tags_remove=["unknown"])
    error = await ticketing.refused("triage", id=id, tags_add=[f"u{n}" for n in range(9)])

    assert (same["before"], same["after"]) == ({}, {})
    assert error["code"] == "invalid"
    assert len((await the_ticket(ticketing, id))["tags"]) == 42


async def test_the_requester_is_somebody_the_desk_knows(ticketing: Desk) -> None:
    for requester in ("con_99999", "agt_1"):
        error = await ticketing.refused("create", **{**TICKET, "requester": requester})
        assert (error["code"], error["details"]["check"]) == ("check_failed", "requester_known")


# --- withdrawing --------------------------------------------------------------------------------------------------


async def test_only_what_a_tool_made_can_be_withdrawn_and_only_once(ticketing: Desk) -> None:
    noted = await a_noted(ticketing)
    imported = PLANTED["tickets"]["asks_80"]

    for args in (
        {"id": imported},
        {"id": imported, "note_id": a_note_of_a_person(ticketing.folder, imported)},
    ):
        error = await ticketing.refused("withdraw", **args, reason="x")
        assert (error["code"], error["details"]["check"]) == ("check_failed", "made_here")
    assert (await ticketing.ok("withdraw", **noted, reason="x"))["after"] == {"withdrawn": True}
    assert (await ticketing.ok("withdraw", **noted, reason="x"))["after"] == {}
    own = {"id": noted["id"]}
    assert (await ticketing.ok("withdraw", **own, reason="x"))["after"] == {"withdrawn": True}
    assert (await ticketing.ok("withdraw", **own, reason="x"))["after"] == {}
    assert (await ticketing.refused("triage", **own, priority="low"))["code"] == "illegal_transition"
    shown = await ticketing.ok("get", **own)
    assert (shown["ticket"]["withdrawn"], shown["allowed_transitions"]) == (True, [])


def a_note_of_a_person(folder: Path, ticket: str) -> str:
    insert = "INSERT INTO messages (id, ticket_id, kind, by, body, at) VALUES ('tmsg_9', ?, 'note', 'agt_1', 'x', '2027-02-28T08:00:00Z')"
    run(folder, insert, ticket)
    return "tmsg_9"


@pytest.mark.parametrize("built", ["triage", "add_note", "reply", "transition"])
async def test_a_ticket_somebody_built_on_is_not_withdrawn(ticketing: Desk, built: str) -> None:
    id = await a_ticket(ticketing)
    given: dict[str, dict[str, Any]] = {
        "triage": {"priority": "low"},
        "add_note": {"body": "x"},
        "reply": {"body": "x", "idempotency_key": KEY},
        "transition": step("open"),
    }
    await ticketing.ok(built, id=id, **given[built])

    assert (await ticketing.refused("withdraw", id=id, reason="x"))["code"] == "conflict"


async def test_a_run_is_taken_back_newest_first(ticketing: Desk) -> None:
    made = await ticketing.ok("create", **TICKET)
    id = made["id"]
    triaged = await ticketing.ok("triage", id=id, priority="high", tags_add=["vip"])
    noted = await ticketing.ok("add_note", id=id, body="For us.")

    await ticketing.undo("add_note", {"id": id}, noted)
    await ticketing.undo("triage", {"id": id}, triaged)
    await ticketing.undo("create", TICKET, made)

    assert (await the_ticket(ticketing, id))["withdrawn"] is True
