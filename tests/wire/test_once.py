"""Nothing runs twice: repeats, retries, hang-ups, lost answers (P2)."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import CallToolResult, Tool

from house import Era, House, house, said, send
from lockkeep.ledger import calls
from lockkeep.model import Unknown, moment
from shop import Shop

ERAS: tuple[Era, ...] = ("2026-07-28", "2025-11-25")
WRITE = {"id": "t1", "text": "hello"}


def mark(result: CallToolResult) -> dict[str, Any]:
    assert result.meta is not None
    return result.meta["lockkeep/call"]


async def settled(home: House, *states: str) -> None:
    """Until the calls, oldest first, are in these states."""
    with anyio.fail_after(10):
        while home.states() != list(states):
            await anyio.sleep(0.02)


@pytest.mark.promise("P2")
async def test_the_same_write_again_gets_the_recorded_answer(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        first = await home.call("shop.write", WRITE)
        again = await home.call("shop.write", WRITE)

        assert said(again) == said(first)
        assert (mark(again)["id"], mark(again)["deduplicated"]) == (mark(first)["id"], True)
        assert len(home.shop.effects) == 1


@pytest.mark.promise("P2")
async def test_after_ten_minutes_the_same_write_is_a_new_one(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.call("shop.write", WRITE)
        home.clock.ahead = timedelta(minutes=11)
        await home.call("shop.write", WRITE)

        assert len(home.shop.effects) == 2


@pytest.mark.promise("P2")
async def test_a_read_is_asked_anew_unless_it_carries_a_key(tmp_path: Path) -> None:
    key = {"lockkeep/idempotency_key": "k1"}
    async with house(tmp_path) as home:
        for meta in (None, None, key, key):
            await home.call("shop.read", {"id": "t1"}, meta=meta)

        assert len(home.shop.reads) == 3


@pytest.mark.promise("P2")
async def test_a_key_used_for_other_arguments_is_a_conflict(tmp_path: Path) -> None:
    key = {"lockkeep/idempotency_key": "k1"}
    async with house(tmp_path) as home:
        await home.call("shop.write", WRITE, meta=key)
        other = await home.call("shop.write", {"id": "t1", "text": "other"}, meta=key)
        other_agent = await home.call("shop.write", {"id": "t1", "text": "other"}, agent="other", meta=key)

        assert said(other)["code"] == "idempotency_conflict"
        assert not other_agent.is_error
        assert [text["text"] for _, text in home.shop.effects] == ["hello", "other"]


@pytest.mark.promise("P2")
async def test_a_denied_call_does_not_hold_its_key(tmp_path: Path) -> None:
    key = {"lockkeep/idempotency_key": "k1"}
    async with house(tmp_path) as home:
        wrong = await home.call("shop.write", {"id": "t1"}, meta=key)
        right = await home.call("shop.write", WRITE, meta=key)

        assert (said(wrong)["code"], mark(right)["outcome"]) == ("arguments.invalid", "succeeded")


@pytest.mark.promise("P2")
async def test_a_step_of_a_run_is_no_other_tools_step(tmp_path: Path) -> None:
    step = {"lockkeep/run": "run_1", "lockkeep/step": "assign"}
    async with house(tmp_path) as home:
        await home.call("shop.write", WRITE, meta=step)
        other = await home.call("shop.pay", {"id": "t1", "amount_minor": 1, "currency": "EUR"}, meta=step)

        assert said(other)["code"] == "idempotency_conflict"
        assert len(home.shop.effects) == 1


@pytest.mark.promise("P2")
async def test_a_key_longer_than_200_characters_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        result = await home.call("shop.write", WRITE, meta={"lockkeep/idempotency_key": "k" * 201})

        assert said(result)["code"] == "arguments.idempotency_key"
        assert home.shop.effects == []


@pytest.mark.promise("P2")
async def test_a_step_of_a_run_runs_once_and_replays_its_answer(tmp_path: Path) -> None:
    step = {"lockkeep/run": "run_1", "lockkeep/step": "assign"}
    async with house(tmp_path) as home:
        await home.call("shop.write", WRITE, meta=step)
        home.clock.ahead = timedelta(hours=2)
        again = await home.call("shop.write", WRITE, meta=step)

        assert mark(again)["deduplicated"]
        assert len(home.shop.effects) == 1


@pytest.mark.promise("P2")
async def test_thirty_equal_calls_at_once_have_one_effect_and_one_answer(tmp_path: Path) -> None:
    answers: list[CallToolResult] = []
    async with (
        house(tmp_path, hold_s=10) as home,
        home.client() as client,
        anyio.create_task_group() as group,
    ):

        async def one() -> None:
            answers.append(await send(client, "shop.write", WRITE))

        for _ in range(30):
            group.start_soon(one)
    assert [said(answer) for answer in answers] == [{"applied": True, "id": "t1"}] * 30
    assert len(home.shop.effects) == 1


@pytest.mark.promise("P2")
async def test_equal_calls_that_all_passed_the_gates_are_told_apart_by_the_claim(tmp_path: Path) -> None:
    through, answers = list[int](), list[CallToolResult]()
    async with house(tmp_path, hold_s=10) as home, home.client() as client:
        original, all_there = home.gateway.pipeline.gates["policy"], anyio.Event()

        async def together(call: Any) -> Any:
            verdict = await original(call)
            through.append(1)
            if len(through) == 5:
                all_there.set()
            await all_there.wait()
            return verdict

        home.gateway.pipeline.gates["policy"] = together  # pyright: ignore[reportIndexIssue]

        async def one() -> None:
            answers.append(await send(client, "shop.write", WRITE))

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)
    assert [said(answer) for answer in answers] == [{"applied": True, "id": "t1"}] * 5
    assert len(home.shop.effects) == 1


@pytest.mark.promise("P2")
@pytest.mark.parametrize("era", ERAS)
async def test_a_host_that_hangs_up_changes_nothing(tmp_path: Path, era: Era) -> None:
    shop, go = Shop(), anyio.Event()

    async def hang(_tool: str, _arguments: Mapping[str, Any]) -> None:
        await go.wait()

    shop.behave = hang
    async with house(tmp_path, shop) as home:
        async with anyio.create_task_group() as group:
            group.start_soon(home.call, "shop.write", WRITE)
            await shop.arrived.wait()
            group.cancel_scope.cancel()
        go.set()
        await settled(home, "succeeded")
        again = await home.call("shop.write", WRITE, era=era)

        assert mark(again)["deduplicated"]
        assert len(shop.effects) == 1


@pytest.mark.promise("P2")
async def test_a_refused_write_frees_its_key_and_is_marked_as_retried(tmp_path: Path) -> None:
    from shop import error

    shop = Shop()

    async def refuse(_tool: str, _arguments: Mapping[str, Any]) -> CallToolResult:
        return error("unavailable")

    shop.behave = refuse
    async with house(tmp_path, shop) as home:
        failed = await home.call("shop.write", WRITE)
        shop.behave = None
        retried = await home.call("shop.write", WRITE)
        row = calls.find(home.store.read, mark(retried)["id"])

        assert (mark(failed)["outcome"], mark(retried)["outcome"]) == ("failed", "succeeded")
        assert row["retry_of"] == mark(failed)["id"]


@pytest.mark.promise("P2")
async def test_a_lost_answer_is_unknown_and_the_receipt_decides(tmp_path: Path) -> None:
    shop = Shop()

    async def lose(_tool: str, _arguments: Mapping[str, Any]) -> CallToolResult:
        raise ConnectionResetError

    shop.after = lose
    async with house(tmp_path, shop) as home:
        lost = await home.call("shop.write", WRITE)
        await settled(home, "succeeded")
        again = await home.call("shop.write", WRITE)

        assert (said(lost)["status"], lost.is_error) == ("unknown", True)
        assert said(again) == {"applied": True, "id": "from-receipt"}
        assert len(shop.effects) == 1
        assert "call.reconciled" in [record["type"] for record in home.audit()]


@pytest.mark.promise("P2")
async def test_a_write_lost_before_its_effect_is_fenced_and_may_be_asked_again(tmp_path: Path) -> None:
    shop = Shop()

    async def lose(_tool: str, _arguments: Mapping[str, Any]) -> CallToolResult:
        raise ConnectionResetError

    shop.behave = lose
    async with house(tmp_path, shop) as home:
        await home.call("shop.write", WRITE)
        await settled(home, "not_applied")
        shop.behave = None
        again = await home.call("shop.write", WRITE)

        assert mark(again)["outcome"] == "succeeded"
        assert len(shop.effects) == 1
        assert sorted(shop.receipts.values()) == ["cancelled", "committed"]


UNFENCED = {
    "tool": "get_receipt",
    "with": {"idempotency_key": "=args.idempotency_key"},
    "applied": "result.state == 'committed'",
    "not_applied": "result.state == 'absent'",
}


def without_fence() -> Shop:
    """A server whose receipt only looks; what is absent now may still arrive within a minute."""
    shop = Shop()
    shop.tools = [
        tool.model_copy(
            update={
                "meta": {
                    "lockkeep/effect": {**effect_of(tool), "verify": UNFENCED, "settle_after_s": 60},
                }
            }
        )
        if tool.name == "write"
        else tool
        for tool in shop.tools
    ]
    return shop


def effect_of(tool: Tool) -> dict[str, Any]:
    assert tool.meta is not None
    return tool.meta["lockkeep/effect"]


async def looked_for(home: House, call: str) -> None:
    """Until its receipt was asked for once and did not decide."""
    with anyio.fail_after(10):
        while calls.find(home.store.read, call)["tries"] == 0:
            await anyio.sleep(0.02)


@pytest.mark.promise("P2")
@pytest.mark.parametrize("late", [False, True], ids=["never arrived", "arrived late"])
async def test_without_a_fence_absence_counts_only_once_nothing_can_arrive_any_more(
    tmp_path: Path, late: bool
) -> None:
    shop = without_fence()

    async def lose(_tool: str, _arguments: Mapping[str, Any]) -> CallToolResult:
        raise ConnectionResetError

    shop.behave = lose
    async with house(tmp_path, shop) as home:
        call = mark(await home.call("shop.write", WRITE))["id"]
        await looked_for(home, call)
        again = await home.call("shop.write", WRITE)
        assert (said(again)["status"], home.states()) == ("unknown", ["unknown"])

        shop.behave = None
        if late:
            await shop.call("write", {**WRITE, "idempotency_key": call})
        home.clock.ahead = timedelta(seconds=61)
        await settled(home, "succeeded" if late else "not_applied")
        await home.call("shop.write", WRITE)

        assert len(shop.effects) == 1


@pytest.mark.promise("P2")
async def test_without_a_receipt_a_person_decides_and_until_then_the_subject_is_closed(
    tmp_path: Path,
) -> None:
    shop = Shop()

    async def lose(_tool: str, _arguments: Mapping[str, Any]) -> CallToolResult:
        raise ConnectionResetError

    shop.after = lose
    async with house(tmp_path, shop) as home:
        lost = await home.call("shop.blunt", {"id": "t1"})
        await settled(home, "needs_human")
        again = await home.call("shop.blunt", {"id": "t1"})

        assert said(again)["status"] == "unknown"
        assert home.gateway.ledger.outcome(mark(lost)["id"]) == Unknown(call=mark(lost)["id"])
        assert len(shop.effects) == 1


@pytest.mark.promise("P2")
async def test_while_a_write_is_in_doubt_another_one_to_its_subject_is_denied(tmp_path: Path) -> None:
    shop = Shop()

    async def lose(_tool: str, arguments: Mapping[str, Any]) -> CallToolResult | None:
        if arguments["text"] == "hello":
            raise ConnectionResetError
        return None

    async def no_receipt(key: str, *, fence: bool) -> CallToolResult:
        raise ConnectionResetError

    shop.after = lose
    shop.receipt = no_receipt  # pyright: ignore[reportAttributeAccessIssue] - the receipt cannot be read for now
    async with house(tmp_path, shop) as home:
        await home.call("shop.write", WRITE)
        other = await home.call("shop.write", {"id": "t1", "text": "second"})
        elsewhere = await home.call("shop.write", {"id": "t2", "text": "second"})

        assert said(other)["code"] == "outcome_unknown"
        assert mark(elsewhere)["outcome"] == "succeeded"
        assert [text["id"] for _, text in shop.effects] == ["t1", "t2"]


@pytest.mark.promise("P2")
async def test_what_an_earlier_process_left_claimed_is_reconciled_before_it_is_asked_again(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as home:
        await home.call("shop.write", WRITE)
        await home.store.write(lambda tx: tx._db.execute("UPDATE calls SET state = 'executing'"))  # pyright: ignore[reportPrivateUsage]
        shop = home.shop
    async with house(tmp_path, shop) as home:
        await settled(home, "succeeded")
        await home.call("shop.write", WRITE)

        assert len(shop.effects) == 1
        assert home.sound()


@pytest.mark.promise("P2")
async def test_a_second_gateway_on_the_same_folder_is_refused_with_the_firsts_pid(tmp_path: Path) -> None:
    import os

    from lockkeep.errors import AlreadyServing

    async with house(tmp_path):
        with pytest.raises(AlreadyServing, match=str(os.getpid())):
            async with house(tmp_path):
                pass


async def test_progress_of_the_tool_reaches_the_caller(tmp_path: Path) -> None:
    shop, heard = Shop(), list[float]()

    async with house(tmp_path, shop) as home, home.client() as client:
        original = home.gateway.upstream.send

        async def with_progress(claim: Any, **more: Any) -> Any:
            await more["progress"](1.0, 2.0, "half")
            return await original(claim, **more)

        home.gateway.upstream.send = with_progress  # pyright: ignore[reportAttributeAccessIssue]

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            heard.append(progress)

        await client.call_tool("shop_read", {"id": "t1"}, progress_callback=hear)

    assert heard == [1.0]


@pytest.mark.parametrize("said_s", [10**300, -1, True, "soon", 45])
async def test_a_receipt_may_ask_for_time_and_nonsense_of_it_stops_no_round(
    tmp_path: Path, said_s: Any
) -> None:
    shop = without_fence()

    async def lose(_tool: str, _arguments: Mapping[str, Any]) -> CallToolResult:
        raise ConnectionResetError

    shop.behave = lose
    async with house(tmp_path, shop) as home:
        call = mark(await home.call("shop.write", WRITE))["id"]
        row = home.store.read.one("call_get", id=call)
        assert row is not None
        before = home.gateway.clock()
        await home.gateway.reconciler._later(row, {"state": "absent", "retry_after_s": said_s})  # pyright: ignore[reportPrivateUsage] - no server of ours says such a thing
        later = home.store.read.one("call_get", id=call)

    assert later is not None
    wait = (moment(later["next_try"]) - before).total_seconds()
    assert {10**300: 299, 45: 44}.get(said_s, 2) <= wait <= 320
