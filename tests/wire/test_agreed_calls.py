"""The gateway runs what people agreed to, once, whoever waits and whatever is down (A9, A12)."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import CallToolResult

from house import PEOPLE, Era, House, house, said, send
from lockkeep.errors import IntegrationDown
from lockkeep.store import Row
from shop import Shop, error
from waiting import PAY, RULES, asked, paid, row, states, until

ERAS: tuple[Era, ...] = ("2026-07-28", "2025-11-25")
Happens = Callable[[House, str], Awaitable[None]]


@pytest.mark.promise("P2", "P3")
async def test_fifty_equal_calls_are_one_question_one_yes_and_one_effect(tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    async with house(tmp_path, hold_s=15, rules=RULES) as home, home.client() as client:

        async def one() -> None:
            heard.append(said(await send(client, "shop.pay", PAY)))

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(one)
            with anyio.fail_after(10):
                while not (found := home.store.read.all("approvals_list", state="pending", count=99)):
                    await anyio.sleep(0.02)
            await home.vote(found[0]["id"], "bo")
        late = [said(await send(client, "shop.pay", PAY)) for _ in range(5)]

        assert (heard + late, paid(home)) == ([{"applied": True, "id": "p1"}] * 55, [900])
        assert (states(home), home.states()) == (["consumed"], ["succeeded"])


async def votes(home: House, approval: str) -> None:
    await home.vote(approval, "bo")


async def two_vote_at_once(home: House, approval: str) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(home.vote, approval, "bo")
        group.start_soon(home.vote, approval, "cy")


async def role_lost(home: House, approval: str) -> None:
    await home.rules(people=PEOPLE.replace("ana: {groups: [staff]}", "ana: {groups: []}"))
    with anyio.fail_after(10):
        while (now := home.gateway.in_force.current) is None or now.generation < 2:
            await anyio.sleep(0.02)
    await home.vote(approval, "bo")


async def down_for_a_while(home: House, approval: str) -> None:
    """The integration is away when people agree, and comes back."""
    closed = home.gateway.supervisor.closed

    def away(*_: Any) -> None:
        raise IntegrationDown("shop")

    home.gateway.supervisor.closed = away  # pyright: ignore[reportAttributeAccessIssue]
    await home.vote(approval, "bo")
    await anyio.sleep(0.4)
    assert (row(home, approval)["state"], paid(home)) == ("approved", [])
    home.gateway.supervisor.closed = closed


async def paused_for_a_while(home: House, approval: str) -> None:
    await home.throw(mode="pause")
    await home.vote(approval, "bo")
    await anyio.sleep(0.3)
    assert (row(home, approval)["state"], paid(home)) == ("approved", [])
    await home.lift()


async def killed(home: House, approval: str) -> None:
    await home.throw("tool:shop.pay", mode="pause")
    await home.vote(approval, "bo")
    await home.throw("tool:shop.pay", mode="kill")


async def answer_lost(home: House, approval: str) -> None:
    async def lose(tool: str, _: Mapping[str, Any]) -> CallToolResult | None:
        if tool == "pay":
            raise ConnectionResetError
        return None

    home.shop.after = lose
    await home.vote(approval, "bo")


async def refused_by_the_server(home: House, approval: str) -> None:
    async def refuse(tool: str, _: Mapping[str, Any]) -> CallToolResult | None:
        return error("closed") if tool == "pay" else None

    home.shop.behave = refuse
    await home.vote(approval, "bo")


RAN = (["succeeded"], ["consumed"], [900])
CASES: tuple[tuple[Happens, tuple[list[str], list[str], list[int]]], ...] = (
    (votes, RAN),
    (two_vote_at_once, RAN),
    (role_lost, (["denied"], ["void"], [])),
    (down_for_a_while, RAN),
    (paused_for_a_while, RAN),
    (killed, (["cancelled"], ["cancelled"], [])),
    (answer_lost, RAN),
    (refused_by_the_server, (["failed"], ["consumed"], [])),
)


@pytest.mark.promise("P2", "P3")
@pytest.mark.parametrize("waits", ["gone", "asks again", "waits"])
@pytest.mark.parametrize(("happens", "expected"), CASES, ids=[case[0].__name__ for case in CASES])
async def test_what_was_agreed_ends_rightly_and_once_whoever_waits(
    tmp_path: Path, happens: Happens, expected: tuple[list[str], list[str], list[int]], waits: str
) -> None:
    """The host that asked is gone, asks in vain every moment, or is still on the line."""
    async with house(tmp_path, hold_s=8 if waits == "waits" else 0, rules=RULES) as home:
        async with anyio.create_task_group() as group:
            if waits == "waits":
                group.start_soon(home.call, "shop.pay", PAY)
                with anyio.fail_after(10):
                    while not (found := home.store.read.all("approvals_list", state="pending", count=1)):
                        await anyio.sleep(0.02)
                approval = str(found[0]["id"])
            else:
                approval = await asked(home)
            await happens(home, approval)
            if waits == "asks again":
                for _ in range(3):
                    group.start_soon(home.call, "lockkeep_wait", {"approval_id": approval, "max_wait_s": 1})
            await until(home, *expected[:2])

        assert paid(home) == expected[2]
        assert home.sound()


@pytest.mark.promise("P2")
@pytest.mark.parametrize("era", ERAS)
async def test_a_host_that_hangs_up_while_people_think_changes_nothing(tmp_path: Path, era: Era) -> None:
    found: list[Row] = []
    async with house(tmp_path, hold_s=10, rules=RULES) as home:
        async with anyio.create_task_group() as group:
            group.start_soon(partial(home.call, "shop.pay", PAY, era=era))
            with anyio.fail_after(10):
                while not (found := home.store.read.all("approvals_list", state="pending", count=1)):
                    await anyio.sleep(0.02)
            group.cancel_scope.cancel()
        await home.vote(found[0]["id"], "bo")
        await until(home, ["succeeded"], ["consumed"])

        assert paid(home) == [900]


@pytest.mark.promise("P2", "P3")
async def test_what_failed_used_its_yes_up_and_is_asked_anew(tmp_path: Path) -> None:
    shop = Shop()
    async with house(tmp_path, shop, rules=RULES) as home:
        approval = await asked(home)
        await refused_by_the_server(home, approval)
        await until(home, ["failed"], ["consumed"])
        shop.behave = None
        again = await asked(home)

        assert again != approval
        assert paid(home) == []
