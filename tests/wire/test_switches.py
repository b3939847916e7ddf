"""The kill switch, on the live path (P5)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from house import House, house, said
from lockkeep.errors import NotAllowed, NotFound
from shop import Shop

ASK = """\
api: lockkeep/v1
policy: shop
owner: lead
applies_to: {everywhere: true}
tools:
  shop.read: {allow: anyone}
  shop.write:
    allow: anyone
    ask: {from: [lead]}
  shop.pay: {allow: anyone}
"""
PAY = {"id": "p1", "amount_minor": 500, "currency": "EUR"}


async def code(home: House, tool: str, arguments: dict[str, Any], **who: str) -> str:
    result = await home.call(tool, arguments, **who)  # pyright: ignore[reportArgumentType]
    return said(result).get("code", said(result).get("status", "ok"))


@pytest.mark.promise("P5")
@pytest.mark.parametrize("scope", ["all", "integration:shop", "tool:shop.pay", "agent:robot", "user:ana"])
async def test_a_kill_stops_what_it_covers_and_says_why(tmp_path: Path, scope: str) -> None:
    async with house(tmp_path) as home:
        await home.throw(scope)
        result = await home.call("shop.pay", PAY)

        assert (said(result)["code"], said(result)["reason"]) == ("switch.killed", "Wrong prices")
        assert home.shop.effects == []
        assert home.audit()[-1]["code"] == "switch.killed"


@pytest.mark.promise("P5")
@pytest.mark.parametrize("scope", ["integration:other", "tool:shop.write", "agent:other", "user:bo"])
async def test_a_kill_of_something_else_stops_nothing_here(tmp_path: Path, scope: str) -> None:
    async with house(tmp_path) as home:
        await home.throw(scope)

        assert await code(home, "shop.pay", PAY) == "ok"


@pytest.mark.promise("P5")
async def test_a_pause_stops_writes_and_lets_reads_go_on(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.throw(mode="pause")

        assert await code(home, "shop.pay", PAY) == "switch.paused"
        assert await code(home, "shop.read", {"id": "t1"}) == "ok"


@pytest.mark.promise("P5")
async def test_a_kill_between_the_gates_and_the_claim_is_seen_by_the_claim(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        original = home.gateway.pipeline.gates["policy"]

        async def then_killed(call: Any) -> Any:
            said_ = await original(call)
            await home.throw()
            return said_

        home.gateway.pipeline.gates["policy"] = then_killed  # pyright: ignore[reportIndexIssue]

        assert await code(home, "shop.pay", PAY) == "switch.killed"
        assert home.shop.effects == []


@pytest.mark.promise("P5")
async def test_a_kill_between_the_claim_and_the_send_drops_the_call_unsent(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        original = home.gateway.ledger.claim

        async def then_killed(*args: Any) -> Any:
            claim = await original(*args)
            await home.throw()
            return claim

        home.gateway.ledger.claim = then_killed  # pyright: ignore[reportAttributeAccessIssue]
        result = await home.call("shop.pay", PAY)

        assert said(result)["status"] == "failed"
        assert (home.shop.effects, home.states()) == ([], ["failed"])


@pytest.mark.promise("P5")
async def test_a_kill_cancels_what_waits_for_people(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ASK) as home:
        asked = said(await home.call("shop.write", {"id": "t1", "text": "x"}))
        await home.throw()
        refused = await home.vote(asked["approval_id"], "bo")
        await home.lift()
        await anyio.sleep(0.3)

        assert (home.states(), home.shop.effects) == (["cancelled"], [])
        assert getattr(refused, "reason", "") == "it is already cancelled"


@pytest.mark.promise("P5")
async def test_an_agreed_call_waits_while_something_is_paused(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ASK) as home:
        asked = said(await home.call("shop.write", {"id": "t1", "text": "x"}))
        await home.throw(mode="pause")
        await home.vote(asked["approval_id"], "bo")
        await anyio.sleep(0.4)
        before = list(home.shop.effects)
        await home.lift()
        with anyio.fail_after(5):
            while home.states() != ["succeeded"]:
                await anyio.sleep(0.02)

        assert (before, len(home.shop.effects)) == ([], 1)


@pytest.mark.promise("P5")
async def test_the_one_who_stopped_does_not_lift_it_alone(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.throw(by="olga")
        with pytest.raises(NotAllowed, match="another person"):
            await home.lift(by="olga")
        await home.lift(by="bo")

        assert await code(home, "shop.pay", PAY) == "ok"


@pytest.mark.promise("P5")
async def test_a_file_in_the_data_folder_stops_everything_without_the_database(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        (tmp_path / "data" / "KILL").touch()
        stopped = await code(home, "shop.read", {"id": "t1"})
        (tmp_path / "data" / "KILL").unlink()

        assert (stopped, await code(home, "shop.read", {"id": "t1"})) == ("switch.killed", "ok")


@pytest.mark.promise("P5")
async def test_the_gateway_says_that_it_has_seen_the_switch(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        switch = await home.throw()
        with anyio.fail_after(5):
            while (row := home.store.read.one("seen")) and row["switch"] < switch.id:
                await anyio.sleep(0.01)


@pytest.mark.promise("P5")
@pytest.mark.parametrize("scope", ["", "everything", "tool:", "all:x", "workflow"])
async def test_a_scope_that_says_nothing_is_refused(tmp_path: Path, scope: str) -> None:
    async with house(tmp_path) as home:
        with pytest.raises(NotFound):
            await home.throw(scope)


async def test_what_is_on_the_wire_when_a_kill_comes_ends_by_evidence(tmp_path: Path) -> None:
    shop, go = Shop(), anyio.Event()

    async def hang(_tool: str, _arguments: Mapping[str, Any]) -> None:
        await go.wait()

    shop.behave = hang
    async with house(tmp_path, shop) as home, anyio.create_task_group() as group:
        group.start_soon(home.call, "shop.pay", PAY)
        await shop.arrived.wait()
        await home.throw()
        go.set()
        with anyio.fail_after(5):
            while home.states() != ["succeeded"]:
                await anyio.sleep(0.02)
