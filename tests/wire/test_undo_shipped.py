"""Every shipped write tool, done by an agent and taken back by a person, through a whole gateway (U1, U2)."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from json import loads
from pathlib import Path
from typing import cast

import pytest

from lockkeep_servers.check.cases import Ask, Write
from shipped import SERVERS, Server

Play = Callable[[Server, Write], Awaitable[str]]
# What no undo brings back, by server, tool and case: the manifest says so, and `lockkeep undo` before anything is done.
NEVER = {
    "billing.void_invoice/a draft": "Its number is free for another invoice.",
    "carrier.void_label/not yet picked up": "The carrier refunds it.",
    "carrier.void_label/of a carrier that bills on scan": "The carrier refunds it.",
    "commerce.set_order_status/shipped, for good": "The parcel has left.",
    "crm.move_stage/converted, for good": "What became of the lead is in use.",
    "crm.set_account_status/closed, for good": "The account is gone.",
    "notify.cancel/a mail": "A message that was cancelled is sent anew, if at all.",
    "notify.cancel/a post": "A message that was cancelled is sent anew, if at all.",
    "notify.cancel/all of a ref": "A message that was cancelled is sent anew, if at all.",
    "ticketing.reply/for the customer": "The customer has read it.",
    "ticketing.transition/closed": "A closed ticket stays closed.",
}
# What others do to a record where the conformance file has nobody.
RELEASED = Ask("release_stock", {"hold_id": "=result.id", "reason": "third"})
PICKED = Ask("set_order_status", {"order_id": "ord_21", "to": "picking", "reason": "third"})
RESTORED = Ask("restore_event", {"receipt_key": "=call"})
CANCELLED = Ask("cancel", {"message_id": "=result.id", "reason": "third"})
OTHERS = {
    "billing.create_refund/an equal part that is meant": Ask(
        "cancel_refund", {"id": "=result.id", "reason": "third"}
    ),
    "calendar.cancel_event/once": RESTORED,
    "calendar.cancel_event/a whole series": RESTORED,
    "calendar.cancel_event/people are told": RESTORED,
    "commerce.reserve_stock/all of it": RELEASED,
    "commerce.reserve_stock/what there is": RELEASED,
    "commerce.release_stock/an active hold": Ask(
        "reserve_stock",
        {"order_id": "ord_1", "lines": [{"sku": "LK-1001", "qty": 1}], "ttl_min": 7},
    ),
    "commerce.create_pick_list/one order": PICKED,
    "commerce.create_pick_list/two orders": PICKED,
    "notify.send/in own words": CANCELLED,
    "notify.send/a template, later": CANCELLED,
    "notify.post/about an order": CANCELLED,
    "ticketing.add_note/for colleagues": Ask(
        "withdraw", {"id": "=args.id", "note_id": "=result.id", "reason": "third"}
    ),
}
# Others did themselves what the undo does: it changes nothing any more, and says so by being done.
THE_SAME = (
    "notify.send/in own words",
    "notify.send/a template, later",
    "notify.post/about an order",
    "ticketing.add_note/for colleagues",
)


def place(server: Server, case: Write) -> str:
    return f"{server.name}.{case.tool}/{case.name}"


async def taken_back(server: Server, case: Write) -> str:
    """What is wrong; empty: as it was."""
    async with server.played(case) as it:
        before = await it.world()
        call, answer = await it.do()
        after = await it.world()
        ran = await it.undo("call", call)
        step = ran.data["steps"][0]
        now = await it.world()
        if place(server, case) in NEVER:
            kept = (step["would"], it.state(call)) == ("impossible", "succeeded") and now == after
            return "" if kept else f"{step['would']}: {step['note']}"
        if it.state(call) != "undone":
            return f"{step['would']}, {step['state']}: {step['note']}"
        undoing = it.home.store.read.one("payload_get", call=step["undo"])
        assert undoing is not None
        made = {str(each.get("id")) for each in (answer, loads(undoing["result"])["structuredContent"])}
        residue = frozenset(made if step["would"] == "compensates" else ())
        return it.differs(before, now, residue) if before != after else "the call changed nothing"


def third_party(server: Server, case: Write) -> Ask | None:
    return case.between or OTHERS.get(place(server, case))


async def kept(server: Server, case: Write) -> str:
    """What is wrong; empty: what others did stands."""
    between = third_party(server, case)
    assert between is not None
    async with server.played(case) as it:
        call, answer = await it.do()
        await it.others(between, answer, call)
        theirs = await it.world()
        ran = await it.undo("call", call)
        step = ran.data["steps"][0]
        refused = step["would"] in ("conflict", "impossible", "window closed") or step["state"] == "failed"
        fine = (refused and it.state(call) == "succeeded") or place(server, case) in THE_SAME
        wrong = [] if fine else [f"{step['would']}, {step['state']}: {step['note']}"]
        return "; ".join([*wrong, *(["theirs is gone"] if await it.world() != theirs else [])])


@pytest.fixture
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Server]:
    found = Server(request.param, tmp_path)
    await found.meet()
    yield found
    found.close()


async def faults(server: Server, play: Play, cases: Iterable[Write]) -> dict[str, str]:
    """What is wrong, by case."""
    found: dict[str, str] = {}
    for case in cases:
        try:
            wrong = await play(server, case)
        except ExceptionGroup as group:  # of the house's tasks
            wrong = repr(innermost(group))
        if wrong:
            found[place(server, case)] = wrong
    return found


def innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


@pytest.mark.promise("P9")
@pytest.mark.parametrize(
    ("server", "tool"), [("crm", "assign_owner"), ("billing", "submit_invoice")], indirect=["server"]
)
async def test_a_write_of_a_shipped_server_is_taken_back_unless_others_changed_it(
    server: Server, tool: str
) -> None:
    case = server.cases(tool)[0]

    assert await faults(server, taken_back, [case]) == {}
    assert await faults(server, kept, [case]) == {}


@pytest.mark.full
@pytest.mark.promise("P9")
@pytest.mark.parametrize("server", SERVERS, indirect=True)
async def test_every_write_of_a_shipped_server_is_taken_back_and_the_world_is_as_it_was(
    server: Server,
) -> None:
    cases = server.cases()

    assert {case.tool for case in cases} == set(server.offered)
    assert {each for each in NEVER if each.startswith(f"{server.name}.")} <= {
        place(server, case) for case in cases
    }
    assert await faults(server, taken_back, cases) == {}


@pytest.mark.full
@pytest.mark.promise("P9")
@pytest.mark.parametrize("server", SERVERS, indirect=True)
async def test_what_others_did_since_is_never_overwritten(server: Server) -> None:
    cases = [case for case in server.cases() if place(server, case) not in NEVER]

    assert [place(server, case) for case in cases if third_party(server, case) is None] == []
    assert await faults(server, kept, cases) == {}
