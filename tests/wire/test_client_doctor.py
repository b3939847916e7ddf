"""`lockkeep-client doctor`: one seeded fault each, found with its remedy."""

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.client.stand_in import NAMES, TOKEN, StandIn

from lockkeep_client.credentials import Credentials
from lockkeep_client.doctor import Report, examine

ALL = ["token", "discover", "initialize", "tools/list", "lockkeep_status"]


async def report_on(url: str, file: Path, env: Mapping[str, str], ahead: timedelta = timedelta()) -> Report:
    """The doctor's report with these credentials."""
    return await examine(f"{url}/mcp", Credentials(env=env, file=file), datetime.now(UTC) + ahead)


def codes(report: Report) -> list[str]:
    """What was found; each has a remedy."""
    assert all(finding.says and finding.remedy for finding in report.findings)
    return [finding.code for finding in report.findings]


async def test_a_gateway_in_order_has_no_finding(tmp_path: Path) -> None:
    async with StandIn().running() as gateway:
        report = await report_on(gateway.url, tmp_path / "token", {"LOCKKEEP_TOKEN": TOKEN})
    assert (report.passed, report.findings) == (ALL, [])


@pytest.mark.parametrize(
    ("gateway", "expected"),
    [
        (StandIn(tools=(*NAMES, "crm_" + "x" * 37)), ["tool_names_long"]),
        (StandIn(tools=(*NAMES, *(f"crm_{n}" for n in range(128)))), ["too_many_tools"]),
        (StandIn(tools=("crm_assign_owner",)), ["not_a_gateway"]),
        (StandIn(name="something-else"), ["not_a_gateway"]),
        (StandIn(instead=(200, "text/html", b"<html>")), ["not_a_gateway"]),
        (StandIn(instead=(302, "text/html", b"")), ["not_a_gateway"]),
        (StandIn(instead=(502, "text/html", b"")), ["not_a_gateway"]),
        (StandIn(instead=(401, "text/plain", b"")), ["unauthorized"]),
    ],
)
async def test_a_fault_of_the_gateway_is_found(tmp_path: Path, gateway: StandIn, expected: list[str]) -> None:
    async with gateway.running():
        assert codes(await report_on(gateway.url, tmp_path / "token", {"LOCKKEEP_TOKEN": TOKEN})) == expected


async def test_faults_on_this_machine_are_found(tmp_path: Path) -> None:
    file = tmp_path / "token"
    async with StandIn().running() as gateway:
        none = await report_on(gateway.url, file, {})
        malformed = await report_on(gateway.url, file, {"LOCKKEEP_TOKEN": "two words"})
        clock = await report_on(gateway.url, file, {"LOCKKEEP_TOKEN": TOKEN}, timedelta(minutes=5))
        Credentials(env={}, file=file).store(TOKEN)
        file.chmod(0o644)
        opened = await report_on(gateway.url, file, {})
    down = await report_on(gateway.url, file, {"LOCKKEEP_TOKEN": TOKEN})

    assert codes(none) == codes(malformed) == ["no_token", "unauthorized"]
    assert "expired" in none.findings[1].says
    assert codes(clock) == ["clock_off"]
    assert codes(opened) == ["token_file_open"]
    assert (codes(down), down.reachable) == (["token_file_open", "unreachable"], False)


async def test_the_command_prints_json_and_ends_with_one_for_a_finding(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lockkeep_client", "doctor", "--json", "--url"]
    env = {"HOME": str(tmp_path), "LOCKKEEP_TOKEN": TOKEN}
    async with StandIn().running() as gateway:
        fine = subprocess.run([*command, gateway.url], env=env, capture_output=True)
    down = subprocess.run(
        [*command[:4], "--url", gateway.url], env=env, capture_output=True, encoding="utf-8"
    )

    assert json.loads(fine.stdout) == {"url": f"{gateway.url}/mcp", "ok": True, "passed": ALL, "findings": []}
    assert (fine.returncode, down.returncode) == (0, 1)
    assert "wrong unreachable: " in down.stdout
    assert TOKEN not in down.stdout + down.stderr + fine.stderr.decode()
