"""kill beside a gateway in another process: one that is frozen, one that is saturated, one that is dead (P5)."""

import os
import signal
import time
from pathlib import Path

import anyio
import pytest
from mcp_types import CallToolResult

from crash.command import command
from crash.place import LIMIT, Launcher, Place, prepared, rules
from crash.test_two_processes import LEAD, load
from house import said
from lockkeep.cli import switches as stop

KILL = ("kill", "--reason", "Wrong prices", "--json")


async def write(place: Place, email: str, heard: list[CallToolResult]) -> None:
    await place.try_call("crm.upsert_lead", {**LEAD, "email": email}, heard)


@pytest.mark.crash
@pytest.mark.full
@pytest.mark.promise("P5")
async def test_a_frozen_gateway_is_named_and_sends_nothing_that_waited_when_it_thaws(
    tmp_path: Path, launcher: Launcher, lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop, "SEEN_WITHIN", 0.5)
    place = await prepared(tmp_path, rules("crm"), lock=lock)
    heard: list[CallToolResult] = []
    async with launcher.gateway(place) as gateway, anyio.create_task_group() as group:
        await write(place, "before@kestrel.example", heard)
        os.kill(gateway.pid, signal.SIGSTOP)
        for number in range(3):  # they arrive at its socket, and wait there
            group.start_soon(write, place, f"frozen{number}@kestrel.example", heard)
        await anyio.sleep(0.2)
        frozen = await command(place.environ, *KILL)
        os.kill(gateway.pid, signal.SIGCONT)
        with anyio.fail_after(LIMIT):
            while len(heard) < 4:
                await anyio.sleep(0.02)
        thawed = await command(place.environ, *KILL)

        assert (frozen.code, frozen.data["confirmed"], f"process {gateway.pid}" in frozen.err) == (
            1,
            False,
            True,
        )
        assert [said(answer).get("code", "ok") for answer in heard] == ["ok"] + ["switch.killed"] * 3
        assert (thawed.code, thawed.data["confirmed"]) == (0, True)
        assert len(place.receipts()) == 1


@pytest.mark.crash
@pytest.mark.full
@pytest.mark.promise("P5")
async def test_a_frozen_gateway_that_is_ended_sends_nothing_and_the_next_one_neither(
    tmp_path: Path, launcher: Launcher, lock: str
) -> None:
    place = await prepared(tmp_path, rules("crm"), lock=lock)
    heard: list[CallToolResult] = []
    async with launcher.gateway(place) as gateway, anyio.create_task_group() as group:
        os.kill(gateway.pid, signal.SIGSTOP)
        group.start_soon(write, place, "frozen@kestrel.example", heard)
        await anyio.sleep(0.2)
        gateway.kill()
        killed = await command(place.environ, *KILL)
        assert (killed.code, killed.data["confirmed"], await gateway.ended()) == (0, True, signal.SIGKILL)
    async with launcher.gateway(place):
        code = said(await place.call("crm.upsert_lead", {**LEAD, "email": "after@kestrel.example"}))["code"]

        assert (code, heard, place.receipts()) == ("switch.killed", [], {})


@pytest.mark.crash
@pytest.mark.full
@pytest.mark.promise("P5")
async def test_fifty_kills_of_a_saturated_gateway(tmp_path: Path, launcher: Launcher, lock: str) -> None:
    """The figures are printed; how fast it is depends on the machine and fails nothing."""
    place = await prepared(tmp_path, rules("crm"), lock=lock)
    over, heard, took = anyio.Event(), list[CallToolResult](), list[float]()
    olga = place.environ | {"LOCKKEEP_TOKEN": place.tokens["olga's own"]}
    async with launcher.gateway(place), anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(load, place, f"host{number}-", over, heard)
        for _ in range(50):
            before, began = len(heard), time.monotonic()
            killed = await command(place.environ, *KILL)
            took.append(time.monotonic() - began)
            lifted = await command(olga, "resume", "all", "--reason", "mended")
            assert (killed.code, lifted.code) == (0, 0)
            with anyio.fail_after(LIMIT):
                while len(heard) < before + 8:
                    await anyio.sleep(0.01)
        over.set()

    took.sort()
    slow = sum(each >= 1 for each in took)
    print(
        f"kill, saturated: median {took[25] * 1000:.0f} ms, slowest {took[-1] * 1000:.0f} ms, {slow} of 50 took 1 s or more"
    )
    assert place.tampering() == []
