"""A gateway and command lines on one store: nothing is lost, nothing is locked, the chain is sound (P2, P5, P7)."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from mcp_types import CallToolResult

from crash.command import Ran, command
from crash.place import LIMIT, Launcher, Place, called, prepared, rules
from house import free_port, said

LEAD = {"company": "Kestrel", "name": "Ida", "country": "DE", "source": "event"}
NOTE = {"kind": "lead", "type": "note", "body": "Called back."}


def script(environ: Mapping[str, str], *words: str) -> Ran:
    """A command line of its own process, as people start it."""
    ran = subprocess.run(
        [sys.executable, "-c", "from lockkeep.cli import main; main()", *words],
        env=environ, capture_output=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    return Ran(ran.returncode, ran.stdout, ran.stderr)


async def load(place: Place, name: str, stop: anyio.Event, heard: list[CallToolResult]) -> None:
    """One host that writes on and on."""
    number = 0
    while not stop.is_set():
        number += 1
        heard.append(
            await place.call("crm.upsert_lead", {**LEAD, "email": f"{name}{number}@kestrel.example"})
        )


async def busy_with_people(place: Place, rounds: int) -> list[Ran]:
    """What people do at the command line while agents work."""
    done: list[Ran] = []

    async def run(*words: str, who: str = "") -> Ran:
        environ = place.environ | ({"LOCKKEEP_TOKEN": place.tokens[f"{who}'s own"]} if who else {})
        done.append(await command(environ, *words, "--json"))
        return done[-1]

    for number in range(rounds):
        await run("calls", "list")
        await run("token", "create", "--user", "ana", "--agent", "robot")
        asked = said(await place.call("crm.log_activity", {**NOTE, "id": f"led_{number}"}))
        shown = await run("approvals", "show", asked["approval_id"])
        await run(
            "approvals",
            "deny",
            asked["approval_id"],
            "--reason",
            "no",
            "--digest",
            shown.data["bound"],
            who="bo",
        )
        await run("pause", "tool:crm.archive", "--reason", "not today", who="bo")
        await run("resume", "tool:crm.archive", "--reason", "again", who="olga")
        await run("audit", "tail")
    return done


async def check_under_load(place: Place, launcher: Launcher, rounds: int) -> None:
    stop, heard = anyio.Event(), list[CallToolResult]()
    scripts, done = list[Ran](), list[Ran]()
    async with launcher.gateway(place), anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(load, place, name, stop, heard)

        async def outside() -> None:
            create = ("token", "create", "--user", "ana", "--agent", "robot", "--json")
            scripts.append(await to_thread.run_sync(script, place.environ, *create))

        async with anyio.create_task_group() as people:
            people.start_soon(outside)
            done += await busy_with_people(place, rounds)
        stop.set()

    rows = {row["id"]: row["state"] for row in place.calls()}
    assert [(ran.code, ran.err) for ran in (*done, *scripts)] == [(0, "")] * len(done + scripts)
    assert len(heard) > rounds
    assert {called(answer) for answer in heard} == {
        (call, state) for call, state in rows.items() if state == "succeeded"
    }
    assert place.receipts() == {called(answer)[0]: "committed" for answer in heard}
    assert len(place.events("token.created")) == len(place.tokens) + rounds + 1
    assert len(place.events("approval.denied")) == len(place.events("switch.thrown")) == rounds
    assert place.tampering() == []


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.promise("P2", "P7")
async def test_command_lines_beside_a_busy_gateway_lose_nothing(
    tmp_path: Path, launcher: Launcher, lock: str
) -> None:
    place = await prepared(tmp_path, rules("crm", ask="crm.log_activity"), lock=lock)
    await check_under_load(place, launcher, rounds=2)


@pytest.mark.crash
@pytest.mark.full
@pytest.mark.promise("P2", "P7")
async def test_command_lines_beside_a_busy_gateway_lose_nothing_in_twenty_rounds(
    tmp_path: Path, launcher: Launcher, lock: str
) -> None:
    place = await prepared(tmp_path, rules("crm", ask="crm.log_activity"), lock=lock)
    await check_under_load(place, launcher, rounds=20)


@pytest.mark.crash
@pytest.mark.promise("P5")
@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.full)])
async def test_once_kill_returns_no_write_begins_until_another_person_lifts_it(
    tmp_path: Path, launcher: Launcher, lock: str, times: int
) -> None:
    place = await prepared(tmp_path, rules("crm"), lock=lock)
    stop, heard = anyio.Event(), list[CallToolResult]()
    bo, olga = ({"LOCKKEEP_TOKEN": place.tokens[f"{name}'s own"]} for name in ("bo", "olga"))
    async with launcher.gateway(place), anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(load, place, name, stop, heard)
        for _ in range(times):
            killed = await command(place.environ | bo, "kill", "--reason", "Wrong prices", "--json")
            wire: list[str] = killed.data["on_the_wire"]
            with anyio.fail_after(LIMIT):
                while [row for row in place.calls() if row["state"] == "executing"]:
                    await anyio.sleep(0.01)
            before = place.receipts()
            answered = len(heard)
            with anyio.fail_after(LIMIT):
                while len(heard) < answered + 6:
                    await anyio.sleep(0.01)
            after = place.receipts()  # once it is lifted, writes begin again
            lifted = await command(place.environ | olga, "resume", "all", "--reason", "mended", "--json")
            assert (killed.code, killed.data["confirmed"], lifted.code, set(wire) - set(before)) == (
                0,
                True,
                0,
                set(),
            )
            assert [said(answer)["code"] for answer in heard[answered + 3 : answered + 6]] == [
                "switch.killed"
            ] * 3
            assert after == before
        stop.set()


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.promise("P2")
async def test_a_second_gateway_on_the_folder_is_refused_with_the_pid_of_the_first(
    tmp_path: Path, launcher: Launcher, lock: str
) -> None:
    place = await prepared(tmp_path, rules("crm"), lock=lock)
    async with launcher.gateway(place) as first:
        second = await to_thread.run_sync(
            script, place.environ | {"LOCKKEEP_PORT": str(free_port())}, "serve"
        )
        answers = said(await place.call("lockkeep_status", {}))

    assert (second.code, second.out, f"process {first.pid} holds" in second.err) == (2, "", True)
    assert len(second.err.splitlines()) == 1
    assert answers["calls"] == []
