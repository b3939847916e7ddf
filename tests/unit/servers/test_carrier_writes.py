"""Versions, callers at once, and death."""

import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.unit.servers.desk import Desk, open_desk, world_folder
from tests.unit.servers.parcels import EXTRA, KEY, LATE, MOST, a_label, a_rate, a_rate_for, killed, rebooked
from tests.unit.servers.writes import tables

# Versions, callers at once, and death


@pytest.mark.parametrize("tool", ["void_label", "cancel_rebook"])
async def test_a_stale_version_writes_nothing(carrier: Desk, tool: str) -> None:
    label = await a_label(carrier)
    if tool == "cancel_rebook":
        await rebooked(carrier, label["id"])
    else:
        await carrier.ok("void_label", shipment_id=label["id"], reason="first")
    stored = tables(carrier.folder, whole=True)

    error = await carrier.refused(
        tool, shipment_id=label["id"], reason="late", expected_version=label["version"]
    )

    changed = ["refund", "status"] if tool == "void_label" else ["refund", "status", "superseded_by"]
    assert (error["code"], error["details"]["changed"]) == ("conflict", changed)
    assert tables(carrier.folder, whole=True) == stored


@pytest.mark.parametrize("version", ["9" * 40, "x", "-1", ""])
async def test_a_version_that_never_was_is_a_conflict(carrier: Desk, version: str) -> None:
    label = await a_label(carrier)

    error = await carrier.refused(
        "void_label", shipment_id=label["id"], reason="late", expected_version=version
    )

    assert (error["code"], error["details"]) == ("conflict", {"version": "1", "changed": []})


async def eight(desk: Desk, tool: str, asked: list[dict[str, Any]]) -> list[tuple[bool, dict[str, Any]]]:
    answers: list[tuple[bool, dict[str, Any]]] = []

    async def call(number: int) -> None:
        is_error, answer, _ = await desk.answer(tool, **asked[number], idempotency_key=f"step-{number:04}")
        answers.append((is_error, answer))

    async with anyio.create_task_group() as callers:
        for number in range(8):
            callers.start_soon(call, number)
    return answers


async def test_eight_buyers_of_one_rate_get_one_label(carrier: Desk) -> None:
    rate = await a_rate(carrier)
    before = len(tables(carrier.folder)["shipments"])

    answers = await eight(carrier, "buy_label", [{"rate_id": rate, "order_id": "ord_1", **MOST}] * 8)

    (bought,) = [answer["id"] for is_error, answer in answers if not is_error]
    refused = [answer["error"] for is_error, answer in answers if is_error]
    assert [(error["code"], error["details"]["existing_id"]) for error in refused] == [
        ("duplicate", bought)
    ] * 7
    assert len(tables(carrier.folder)["shipments"]) == before + 1


async def test_eight_buyers_of_eight_rates_get_a_label_each(carrier: Desk) -> None:
    rates = [await a_rate(carrier) for _ in range(8)]

    answers = await eight(
        carrier, "buy_label", [{"rate_id": rate, "order_id": "ord_1", **MOST} for rate in rates]
    )

    assert [is_error for is_error, _ in answers] == [False] * 8
    numbers = {
        (answer["id"], answer["after"]["tracking_number"], answer["after"]["rate_id"])
        for _, answer in answers
    }
    assert len(numbers) == len({id for id, _, _ in numbers}) == 8


async def test_eight_who_send_one_parcel_anew_send_it_once(carrier: Desk) -> None:
    rates = [await a_rate_for(carrier, LATE) for _ in range(8)]
    before = len(tables(carrier.folder)["shipments"])

    answers = await eight(
        carrier, "rebook", [{"shipment_id": LATE, "rate_id": rate, **EXTRA} for rate in rates]
    )

    (done,) = [answer["after"]["superseded_by"] for is_error, answer in answers if not is_error]
    refused = [answer["error"] for is_error, answer in answers if is_error]
    assert [(error["code"], error["details"]["existing_id"]) for error in refused] == [
        ("duplicate", done)
    ] * 7
    assert len(tables(carrier.folder)["shipments"]) == before + 1


async def test_eight_who_give_one_label_back_change_it_once(carrier: Desk) -> None:
    label = await a_label(carrier)

    answers = await eight(carrier, "void_label", [{"shipment_id": label["id"], "reason": "not needed"}] * 8)

    assert [is_error for is_error, _ in answers] == [False] * 8
    assert sum(bool(answer["after"]) for _, answer in answers) == 1
    assert {answer["version"] for _, answer in answers} == {"2"}


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.parametrize(("tool", "fault", "state"), [
    ("rebook", "crash_before", "absent"), ("rebook", "crash_inside", "absent"),
    ("rebook", "crash_after", "committed"),
])  # fmt: skip
async def test_a_killed_write_retried_buys_one_label(
    tool: str, fault: str, state: str, tmp_path: Path
) -> None:
    shutil.copytree(world_folder("carrier"), tmp_path, dirs_exist_ok=True)
    async with open_desk("carrier", tmp_path) as desk:
        rate = await a_rate_for(desk, LATE)
    asked = {"shipment_id": LATE, **EXTRA} if tool == "rebook" else {"order_id": "ord_1", **MOST}
    arguments = {"rate_id": rate, **asked, "idempotency_key": KEY}
    before = len(tables(tmp_path)["shipments"])

    died = killed(tmp_path, f"{fault}:{tool}", tool, arguments)

    assert (died.returncode, died.stdout) == (137, "")
    async with open_desk("carrier", tmp_path) as desk:
        assert (await desk.ok("get_receipt", idempotency_key=KEY))["state"] == state
        retried = await desk.ok(tool, **arguments)
        assert retried["replayed"] == (state == "committed")
        assert await desk.ok(tool, **arguments) == {**retried, "replayed": True}
    assert len(tables(tmp_path)["shipments"]) == before + 1
