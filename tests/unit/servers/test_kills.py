"""A process killed before, inside or after the effect: a retry with the same key ends in one effect (TC6)."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.servers import killed
from tests.unit.servers.desk import open_desk, world_folder
from tests.unit.servers.writes import EVENT, LEAD, tables

ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "crm": ("upsert_lead", LEAD),
    "calendar": ("create_event", EVENT),
}
KEY = "step-0001"


def start(server: str, folder: Path, fault: str) -> subprocess.CompletedProcess[str]:
    arguments = json.dumps({**ASKED[server][1], "idempotency_key": KEY})
    command = [sys.executable, str(killed.__file__), server, str(folder), fault, arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=30, check=False)


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.parametrize("server", ASKED)
@pytest.mark.parametrize(
    ("fault", "state"), [("crash_before", "absent"), ("crash_inside", "absent"), ("crash_after", "committed")]
)
async def test_a_killed_write_retried_has_one_effect(
    server: str, fault: str, state: str, tmp_path: Path
) -> None:
    shutil.copytree(world_folder(server), tmp_path, dirs_exist_ok=True)
    tool, arguments = ASKED[server]
    rows = {"crm": "records", "calendar": "events"}[server]
    before = len(tables(tmp_path)[rows])

    died = start(server, tmp_path, f"{fault}:{tool}")

    assert (died.returncode, died.stdout) == (137, "")
    async with open_desk(server, tmp_path) as desk:
        assert (await desk.ok("get_receipt", idempotency_key=KEY))["state"] == state
        retried = await desk.ok(tool, **arguments, idempotency_key=KEY)
        assert retried["replayed"] == (state == "committed")
        assert await desk.ok(tool, **arguments, idempotency_key=KEY) == {**retried, "replayed": True}
    assert len(tables(tmp_path)[rows]) == before + 1


@pytest.mark.full
@pytest.mark.crash
async def test_a_late_arrival_finds_its_key_fenced(tmp_path: Path) -> None:
    shutil.copytree(world_folder("crm"), tmp_path, dirs_exist_ok=True)
    assert start("crm", tmp_path, "crash_before:upsert_lead").returncode == 137
    async with open_desk("crm", tmp_path) as desk:
        await desk.ok("get_receipt", idempotency_key=KEY, fence=True)
        stored = tables(tmp_path, whole=True)

    late = start("crm", tmp_path, "")

    assert (late.returncode, "Cancelled" in late.stderr) == (1, True)
    assert tables(tmp_path, whole=True) == stored
