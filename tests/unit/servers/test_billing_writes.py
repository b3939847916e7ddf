"""Every writer of billing: keys, dry run, undo, versions, and processes that die."""

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.unit.servers.bills import ALONE, BILL, KEY, REFUND, environ_alone, kept, record, refund, stocked
from tests.unit.servers.desk import Desk, open_desk
from tests.unit.servers.writes import tables

# Every writer


Prepared = Callable[[Desk], Awaitable[dict[str, Any]]]


async def nothing(desk: Desk) -> dict[str, Any]:
    return {}


async def a_refund(desk: Desk) -> dict[str, Any]:
    return {"id": (await refund(desk, "step-before"))["id"]}


async def a_draft(desk: Desk) -> dict[str, Any]:
    return {"invoice_id": (await record(desk))["id"]}


async def a_submitted_invoice(desk: Desk) -> dict[str, Any]:
    draft = await a_draft(desk)
    await desk.ok("submit_invoice", **draft)
    return {"id": draft["invoice_id"]}


WHY = {"reason": "test"}

WRITES: dict[str, tuple[Prepared, dict[str, Any]]] = {
    "create_refund": (nothing, REFUND),
    "cancel_refund": (a_refund, WHY),
    "record_invoice": (nothing, BILL),
    "submit_invoice": (a_draft, {}),
    "void_invoice": (a_draft, WHY),
    "withdraw_invoice": (a_submitted_invoice, WHY),
}

OTHER: dict[str, dict[str, Any]] = {
    "create_refund": {"amount_minor": 1}, "record_invoice": {"number": "R-2"}, "submit_invoice": {"invoice_id": "inv_2"},
}  # fmt: skip

UNDONE = ("create_refund", "record_invoice", "submit_invoice")

each_write = pytest.mark.parametrize("tool", WRITES)

each_undone = pytest.mark.parametrize("tool", UNDONE)


async def prepared(desk: Desk, tool: str) -> dict[str, Any]:
    before, arguments = WRITES[tool]
    return {**await before(desk), **arguments, "idempotency_key": KEY}


@each_write
async def test_a_key_used_twice_has_one_effect_and_another_call_cannot_have_it(
    billing: Desk, tool: str
) -> None:
    args = await prepared(billing, tool)

    first = await billing.ok(tool, **args)
    stored = tables(billing.folder, whole=True)

    assert await billing.ok(tool, **args) == {**first, "replayed": True}
    other = {**args, **OTHER.get(tool, {"reason": "other"})}
    assert (await billing.refused(tool, **other))["code"] == "idempotency_conflict"
    assert (await billing.ok("get_receipt", idempotency_key=KEY, fence=True)) == {
        "state": "committed",
        "tool": tool,
        "receipt": first,
    }
    assert tables(billing.folder, whole=True) == stored


@each_write
async def test_sixteen_callers_with_one_key_have_one_effect(billing: Desk, tool: str) -> None:
    args = await prepared(billing, tool)
    answers: list[dict[str, Any]] = []

    async def call() -> None:
        answers.append(await billing.ok(tool, **args))

    async with anyio.create_task_group() as callers:
        for _ in range(16):
            callers.start_soon(call)

    assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 15
    assert len({(answer["id"], answer["version"]) for answer in answers}) == 1


@each_write
async def test_a_dry_run_predicts_the_change_and_leaves_the_store_as_it_was(billing: Desk, tool: str) -> None:
    args = await prepared(billing, tool)
    before = tables(billing.folder, whole=True)
    (file,) = billing.folder.glob("*.sqlite-wal")
    log = file.read_bytes()

    predicted = await billing.ok(tool, **args, dry_run=True)

    assert (tables(billing.folder, whole=True), file.read_bytes()) == (before, log)
    assert await billing.ok(tool, **args) == {**predicted, "applied": True}


@each_write
async def test_a_fenced_key_never_runs_and_a_refused_attempt_leaves_its_key_free(
    billing: Desk, tool: str
) -> None:
    args = await prepared(billing, tool)
    wrong = {name: "zzz_9" for name in args if name.endswith("id")} | {"idempotency_key": KEY}
    assert (await billing.refused(tool, **{**args, **wrong}))["code"] == "not_found"
    assert await billing.ok("get_receipt", idempotency_key=KEY) == {"state": "absent"}
    await billing.ok("get_receipt", idempotency_key=KEY, fence=True)
    stored = tables(billing.folder, whole=True)

    error = await billing.refused(tool, **args)

    assert (error["code"], tables(billing.folder, whole=True)) == ("cancelled", stored)


@pytest.mark.parametrize("tool", [name for name, (before, _) in WRITES.items() if before is not nothing])
async def test_a_stale_version_writes_nothing(billing: Desk, tool: str) -> None:
    args = await prepared(billing, tool)
    stored = tables(billing.folder, whole=True)

    error = await billing.refused(tool, **args, expected_version="0")

    assert (error["code"], error["details"]["changed"]) == ("conflict", ["status"])
    assert tables(billing.folder, whole=True) == stored


@each_undone
async def test_undo_by_the_manifest_brings_the_store_back_but_for_the_declared_residue(
    billing: Desk, tool: str
) -> None:
    args = await prepared(billing, tool)
    before = tables(billing.folder)

    receipt = await billing.ok(tool, **args)
    assert tables(billing.folder) != before
    await billing.undo(tool, args, receipt)

    after = tables(billing.folder)
    left = [row for name, rows in after.items() for row in rows if row not in before[name]]
    lost = [row for name, rows in before.items() for row in rows if row not in after[name]]
    undo = (await billing.effect(tool))["undo"]
    residue = [(row["id"], row.get("outcome") or row["status"]) for row in left]
    expected = {
        "create_refund": [(receipt["id"], "cancelled")], "record_invoice": [(receipt["id"], "void")], "submit_invoice": [],
    }  # fmt: skip
    assert (residue, lost) == (expected[tool], [])
    assert undo["restores"] == ("compensates" if residue else "exact")


@each_undone
async def test_undo_keeps_what_a_third_party_did_meanwhile(billing: Desk, tool: str) -> None:
    args = await prepared(billing, tool)
    receipt = await billing.ok(tool, **args)
    third: dict[str, tuple[str, dict[str, Any]]] = {
        "create_refund": ("cancel_refund", {"id": receipt["id"], **WHY}),
        "record_invoice": ("submit_invoice", {"invoice_id": receipt["id"]}),
        "submit_invoice": ("void_invoice", {"invoice_id": receipt["id"], **WHY}),
    }
    name, does = third[tool]
    await billing.ok(name, **does)
    between = tables(billing.folder)

    with pytest.raises(AssertionError, match="code=conflict"):
        await billing.undo(tool, args, receipt)

    assert tables(billing.folder) == between


@pytest.mark.parametrize(
    ("tool", "window"), [("create_refund", {"hours": 1}), ("submit_invoice", {"days": 30, "seconds": 1})]
)
async def test_undo_after_its_window_is_refused(billing: Desk, tool: str, window: dict[str, float]) -> None:
    args = await prepared(billing, tool)
    receipt = await billing.ok(tool, **args)
    billing.later(**window)

    with pytest.raises(AssertionError, match="code=window_closed"):
        await billing.undo(tool, args, receipt)


DEATHS = [("crash_before", "absent"), ("crash_inside", "absent"), ("crash_after", "committed")]


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.parametrize(("tool", "fault", "state"), [
    *(("create_refund", fault, state) for fault, state in DEATHS),
    ("record_invoice", "crash_inside", "absent"),
])  # fmt: skip
async def test_a_killed_write_retried_has_one_effect(
    tool: str, fault: str, state: str, tmp_path: Path
) -> None:
    stocked(tmp_path)
    args = {**WRITES[tool][1], "idempotency_key": KEY}
    before = tables(tmp_path)

    assert killed(tmp_path, f"{fault}:{tool}", tool, args) == 137

    rows = {"create_refund": "refunds", "record_invoice": "invoices"}[tool]
    assert len(tables(tmp_path)[rows]) == len(before[rows]) + (state == "committed")
    async with open_desk("billing", tmp_path, WORLD="none") as desk:
        assert (await desk.ok("get_receipt", idempotency_key=KEY))["state"] == state
        retried = await desk.ok(tool, **args)
        assert retried["replayed"] == (state == "committed")
        assert await desk.ok(tool, **args) == {**retried, "replayed": True}
    assert len(tables(tmp_path)[rows]) == len(before[rows]) + 1
    assert kept(tmp_path) == (REFUND["amount_minor"] if tool == "create_refund" else 0)


def killed(folder: Path, fault: str, tool: str, arguments: Mapping[str, Any]) -> int:
    """A server of its own is asked once, and dies on the way; its exit code."""
    meta: dict[str, Any] = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params: dict[str, Any] = {"name": tool, "arguments": arguments, "_meta": meta}
    with subprocess.Popen(
        [sys.executable, "-c", ALONE],
        env=environ_alone(folder, FAULT=fault),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        encoding="utf-8",
    ) as process:
        assert process.stdin is not None
        process.stdin.write(
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}) + "\n"
        )
        process.stdin.flush()
        return process.wait(timeout=30)
