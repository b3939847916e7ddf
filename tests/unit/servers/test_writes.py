"""What every writer of every server keeps: one effect a key, undo, dry run, versions (TC5, TC7, TC8, TC9)."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.unit.servers.desk import Desk, open_desk
from tests.unit.servers.writes import CHANGES, EVENT, IDS, LEAD, WRITES, Prepared, ends_it, sampled, tables

KEY = "step-0001"
NAMES = ("server", "tool", "prepared", "arguments")
each_write = pytest.mark.parametrize(NAMES, sampled(WRITES), ids=IDS)
each_change = pytest.mark.parametrize(NAMES, sampled(CHANGES))
each_open_write = pytest.mark.parametrize(NAMES, sampled([write for write in WRITES if not ends_it(write)]))


@each_write
async def test_a_key_used_twice_has_one_effect_and_one_receipt(
    server: str, tool: str, prepared: Prepared, arguments: dict[str, Any], tmp_path: Path
) -> None:
    async with open_desk(server, tmp_path) as desk:
        args = {**await prepared(desk), **arguments, "idempotency_key": KEY}

        first = await desk.ok(tool, **args)
        stored = tables(tmp_path, whole=True)
        second = await desk.ok(tool, **args)

        assert second == {**first, "replayed": True}
        assert tables(tmp_path, whole=True) == stored


@each_write
async def test_a_dry_run_predicts_the_change_and_leaves_the_store_as_it_was(
    server: str, tool: str, prepared: Prepared, arguments: dict[str, Any], tmp_path: Path
) -> None:
    async with open_desk(server, tmp_path) as desk:
        args = {**await prepared(desk), **arguments, "idempotency_key": KEY}
        before = tables(tmp_path, whole=True)
        (file,) = tmp_path.glob("*.sqlite-wal")
        log = file.read_bytes()

        predicted = await desk.ok(tool, **args, dry_run=True)

        assert (tables(tmp_path, whole=True), file.read_bytes()) == (before, log)
        assert await desk.ok(tool, **args) == {**predicted, "applied": True}


@each_write
async def test_undo_by_the_manifest_brings_the_store_back(
    server: str, tool: str, prepared: Prepared, arguments: dict[str, Any], tmp_path: Path
) -> None:
    async with open_desk(server, tmp_path) as desk:
        args = {**await prepared(desk), **arguments, "idempotency_key": KEY}
        before = tables(tmp_path)

        receipt = await desk.ok(tool, **args)
        assert tables(tmp_path) != before
        await desk.undo(tool, args, receipt)

        left = [row for name, rows in tables(tmp_path).items() for row in rows if row not in before[name]]
        if receipt["before"] is not None:
            assert left == []
        else:  # the declared residue: the row itself, out of every list
            assert [row["id"] for row in left] == [receipt["id"]]
            assert left[0].get("archived_at") is not None or left[0].get("status") == "cancelled"
            assert (await desk.effect(tool))["undo"]["restores"] == "compensates"


@each_open_write
async def test_undo_keeps_what_a_third_party_changed_meanwhile(
    server: str, tool: str, prepared: Prepared, arguments: dict[str, Any], tmp_path: Path
) -> None:
    async with open_desk(server, tmp_path) as desk:
        args = {**await prepared(desk), **arguments, "idempotency_key": KEY}
        receipt = await desk.ok(tool, **args)
        await _somebody_changes(desk, receipt["id"])
        between = tables(tmp_path)

        with pytest.raises(AssertionError, match="code=conflict"):
            await desk.undo(tool, args, receipt)

        assert tables(tmp_path) == between


async def _somebody_changes(desk: Desk, id: str) -> None:
    if desk.server == "calendar":
        asked = {"calendar": "rep_1", "event_id": id, "scope": "all", "changes": {"title": "Third"}}
        await desk.ok("update_event", **asked)
    elif id.startswith("act_"):
        await desk.ok("archive", kind="activity", id=id, reason="tidy")
    else:
        kind = {"led": "lead", "del": "deal"}[id[:3]]
        await desk.ok("update", kind=kind, id=id, changes={"name": "Third"})


@pytest.mark.parametrize(
    ("server", "tool", "arguments"), [("crm", "upsert_lead", LEAD), ("calendar", "create_event", EVENT)]
)
async def test_a_key_with_other_arguments_is_a_conflict(
    server: str, tool: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    async with open_desk(server, tmp_path) as desk:
        await desk.ok(tool, **arguments, idempotency_key=KEY)
        stored = tables(tmp_path, whole=True)
        name = "company" if server == "crm" else "title"

        error = await desk.refused(tool, **{**arguments, name: "Other"}, idempotency_key=KEY)

        assert (error["code"], tables(tmp_path, whole=True)) == ("idempotency_conflict", stored)


@pytest.mark.parametrize(
    ("server", "tool", "arguments"), [("crm", "upsert_lead", LEAD), ("calendar", "create_event", EVENT)]
)
async def test_sixteen_callers_with_one_key_have_one_effect(
    server: str, tool: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    async with open_desk(server, tmp_path) as desk:
        answers: list[dict[str, Any]] = []

        async def call() -> None:
            answers.append(await desk.ok(tool, **arguments, idempotency_key=KEY))

        async with anyio.create_task_group() as callers:
            for _ in range(16):
                callers.start_soon(call)

        assert len({answer["id"] for answer in answers}) == 1
        assert sorted(answer["replayed"] for answer in answers) == [False] + [True] * 15


@pytest.mark.parametrize(
    ("server", "tool", "arguments"), [("crm", "upsert_lead", LEAD), ("calendar", "create_event", EVENT)]
)
async def test_get_receipt_tells_committed_absent_and_fenced_apart(
    server: str, tool: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    async with open_desk(server, tmp_path) as desk:
        receipt = await desk.ok(tool, **arguments, idempotency_key=KEY)

        assert await desk.ok("get_receipt", idempotency_key="never-used") == {"state": "absent"}
        assert await desk.ok("get_receipt", idempotency_key="fenced-key", fence=True) == {
            "state": "cancelled"
        }
        assert await desk.ok("get_receipt", idempotency_key="fenced-key") == {"state": "cancelled"}
        for fence in (False, True):
            found = await desk.ok("get_receipt", idempotency_key=KEY, fence=fence)
            assert found == {"state": "committed", "tool": tool, "receipt": receipt}


@pytest.mark.parametrize(
    ("server", "tool", "arguments"), [("crm", "upsert_lead", LEAD), ("calendar", "create_event", EVENT)]
)
async def test_a_fenced_key_never_runs(
    server: str, tool: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    async with open_desk(server, tmp_path) as desk:
        await desk.ok("get_receipt", idempotency_key=KEY, fence=True)
        stored = tables(tmp_path, whole=True)

        error = await desk.refused(tool, **arguments, idempotency_key=KEY)

        assert (error["code"], tables(tmp_path, whole=True)) == ("cancelled", stored)


@pytest.mark.parametrize(
    ("server", "tool", "arguments"), [("crm", "upsert_lead", LEAD), ("calendar", "create_event", EVENT)]
)
async def test_a_refused_attempt_leaves_its_key_free(
    server: str, tool: str, arguments: dict[str, Any], tmp_path: Path
) -> None:
    async with open_desk(server, tmp_path) as desk:
        bad = {"email": "no"} if server == "crm" else {"end": arguments["start"]}

        assert (await desk.refused(tool, **{**arguments, **bad}, idempotency_key=KEY))[
            "code"
        ] == "check_failed"
        assert await desk.ok("get_receipt", idempotency_key=KEY) == {"state": "absent"}
        assert (await desk.ok(tool, **arguments, idempotency_key=KEY))["replayed"] is False


@each_change
async def test_a_stale_version_writes_nothing(
    server: str, tool: str, prepared: Prepared, arguments: dict[str, Any], tmp_path: Path
) -> None:
    async with open_desk(server, tmp_path) as desk:
        args = {**await prepared(desk), **arguments}
        stored = tables(tmp_path, whole=True)

        error = await desk.refused(tool, **args, expected_version="0")

        assert (error["code"], tables(tmp_path, whole=True)) == ("conflict", stored)


async def test_two_servers_on_one_file_share_their_keys(tmp_path: Path) -> None:
    async with open_desk("crm", tmp_path) as one, open_desk("crm", tmp_path) as other:
        answers: list[tuple[int, str]] = []

        async def call(desk: Desk, number: int) -> None:
            lead = {**LEAD, "email": f"n{number}@kestrel.example"}
            made = await desk.ok("upsert_lead", **lead, idempotency_key=f"step-{number:04}")
            answers.append((number, made["id"]))

        async with anyio.create_task_group() as callers:
            for number in range(20):
                callers.start_soon(call, one, number)
                callers.start_soon(call, other, number)

    assert len(answers) == 40
    assert len(set(answers)) == len({id for _, id in answers}) == 20
