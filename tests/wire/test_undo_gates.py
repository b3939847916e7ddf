"""Taking a call back is a call: every gate applies to it (U6)."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from house import PEOPLE, said
from lockkeep.ledger.approvals import Refusal

from .fixture_servers.shelf import TEXT, Shelf, tools
from .fixture_servers.shelf_place import RULES, Place, shelved

GUARD = """\
api: lockkeep/v1
policy: guard
owner: lead
applies_to: {everywhere: true}
tools:
  shelf.put:
    %s
"""
Found = tuple[str, str]
Case = Callable[[Place], Awaitable[Found]]


async def a_switch(it: Place) -> Found:
    call = await it.put()
    await it.home.throw("integration:shelf")
    return await it.found(call)


async def a_switch_with_leave_for_undo(it: Place) -> Found:
    call = await it.put()
    await it.home.throw("integration:shelf")
    allowed = await it.lockkeep("resume", "integration:shelf", "--undo-only", "--reason", "repair")
    assert allowed.code == 0, allowed.err
    assert said(await it.home.call("shelf.put", {"id": "b", "text": "new"}))["code"] == "switch.killed"
    return await it.found(call)


async def a_deny_of_everywhere(it: Place) -> Found:
    call = await it.put()
    await it.home.rules(guard=GUARD % "deny: [{name: frozen, when: \"id == 'a'\", say: Frozen.}]")
    return await it.found(call)


async def a_limit(it: Place) -> Found:
    await it.home.rules(guard=GUARD % "limit: {up_to: 1 per day}")
    return await it.found(await it.put())


async def an_ask(it: Place) -> Found:
    call = await it.put()
    await it.home.rules(guard=GUARD % "ask: {from: [finance]}")
    found = await it.found(call)
    assert it.state(call) == "succeeded"
    return found


async def people_who_take_over(it: Place) -> Found:
    call = await it.put()
    await it.home.rules(guard=GUARD % 'people: [{name: desk, when: "true", to: [finance], say: By hand.}]')
    return await it.found(call)


async def who(it: Place) -> Found:
    await it.home.rules(guard=GUARD % "undo: {who: [finance]}")
    return await it.found(await it.put())


async def within(it: Place) -> Found:
    await it.home.rules(guard=GUARD % "undo: {within: 1 hour}")
    call = await it.put()
    it.home.clock.ahead = timedelta(hours=2)
    return await it.found(call)


async def the_duty(it: Place) -> Found:
    await it.home.rules(people=f"{PEOPLE}duties:\n  undo: [lead]\n")
    return await it.found(await it.put(), by="ana")


async def the_tool_is_another_now(it: Place) -> Found:
    """It is closed until somebody accepts it."""
    call = await it.put()
    it.shelf.tools = tools(note=TEXT)
    await it.home.gateway.supervisor.restart("shelf")
    return await it.found(call)


async def its_schema_takes_it_no_more(it: Place) -> Found:
    call = await it.put()
    it.shelf.tools = tools(text={"type": "integer"})
    await it.home.gateway.supervisor.restart("shelf")
    await it.home.accept("shelf")
    return await it.found(call)


async def the_tool_is_gone(it: Place) -> Found:
    call = await it.put()
    it.shelf.tools = tools()[:1]
    await it.home.rules(rules=RULES.replace("shelf.*", "shelf.look"))
    await it.home.gateway.supervisor.restart("shelf")
    await it.home.accept("shelf")
    return await it.found(call)


CASES: dict[Case, Found] = {
    a_switch: ("stopped", "Wrong prices"),
    a_switch_with_leave_for_undo: ("restores", ""),
    a_deny_of_everywhere: ("not allowed", "Frozen."),
    a_limit: ("restores", "The limit is reached: 1 per day."),
    an_ask: ("restores", "finance must agree"),
    people_who_take_over: ("not allowed", "By hand."),
    who: ("not allowed", "Only finance may take back shelf.put."),
    within: ("not allowed", "shelf.put may be taken back for 3,600 seconds; that time is over."),
    the_duty: ("not allowed", "people.yaml does not give ana the duty `undo`."),
    the_tool_is_another_now: ("not allowed", "shelf.put"),
    its_schema_takes_it_no_more: ("not allowed", "The arguments do not fit shelf.put. text:"),
    the_tool_is_gone: ("impossible", "shelf.put is no accepted tool any more"),
}


@pytest.mark.promise("P1", "P5", "P9")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__.replace("_", " "))
async def test_a_gate_that_stops_a_call_stops_its_undo(tmp_path: Path, case: Case) -> None:
    shelf = Shelf()
    async with shelved(tmp_path, shelf) as home:
        would, note = await case(Place(home, tmp_path, shelf))

    assert (would, CASES[case][1] in note) == (CASES[case][0], True), note


@pytest.mark.full
@pytest.mark.promise("P4", "P9")
async def test_who_takes_back_does_not_agree_to_it_themselves(tmp_path: Path) -> None:
    shelf = Shelf()
    async with shelved(tmp_path, shelf) as home:
        await home.rules(guard=GUARD % "undo: {ask: {from: [lead]}}")
        it = Place(home, tmp_path, shelf)
        call = await it.put()
        ran = await it.undo("call", call)
        row = home.store.read.one("call_get", id=ran.data["steps"][0]["undo"])
        assert row is not None
        own = await home.vote(row["approval"], "bo")
        assert (isinstance(own, Refusal), shelf.things["a"]["text"]) == (True, "new")
        await home.vote(row["approval"], "cy")
        await it.until(call, "undone")

    assert shelf.things["a"] == {"text": "old", "place": "left"}
