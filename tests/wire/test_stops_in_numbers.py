"""The kill switch under load, for every scope and mode, and in the moments between look and send (P5)."""

import getpass
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio import to_thread

from crash.command import Ran, command
from house import PEOPLE, House, house, said, send
from lockkeep.cli import switches as stop
from lockkeep.cli.here import Here
from lockkeep.ledger import switches
from lockkeep.model import SwitchMode
from shop import TOOLS, Shop
from wire.test_address import META, answer, modern, raw

WRITE = {"id": "t1", "text": "x"}
WORK = 0.004  # seconds a write takes at the shop


# -- K1: a load of writes, and kills in between ------------------------------------------------------------------


class Storm:
    """Callers that write over raw HTTP on and on, and what the shop heard of them, in order."""

    def __init__(self, home: House) -> None:
        self.home, self.over, self.answers, self.applied = home, False, 0, 0
        self.arrived: list[str] = []
        self.codes: set[str] = set()
        home.shop.behave = self._arrives

    async def _arrives(self, _tool: str, arguments: Mapping[str, Any]) -> None:
        self.arrived.append(str(arguments["idempotency_key"]))
        await anyio.sleep(WORK)

    @asynccontextmanager
    async def of(self, callers: int) -> AsyncGenerator[None]:
        async with raw(self.home) as http, anyio.create_task_group() as group:
            for number in range(callers):
                group.start_soon(self._one, http, f"c{number}")
            try:
                yield
            finally:
                self.over = True

    async def _one(self, http: httpx2.AsyncClient, name: str) -> None:
        number = 0
        while not self.over:
            number += 1
            params = {
                "name": "shop_write",
                "arguments": {"id": f"{name}-{number}", "text": "x"},
                "_meta": META,
            }
            frame = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            response = await http.post(f"{self.home.url}/mcp", json=frame, headers=modern("shop_write"))
            content = answer(response)["result"]["structuredContent"]
            self.answers += 1
            self.applied += bool(content.get("applied"))
            if not content.get("applied"):
                self.codes.add(str(content.get("code", content["status"])))

    async def more(self, count: int, of: Callable[["Storm"], int]) -> None:
        wanted = of(self) + count
        with anyio.fail_after(20):
            while of(self) < wanted:
                await anyio.sleep(0.005)


def kill(home: House) -> tuple[stop.Stopped, float]:
    """What the command `lockkeep kill` does, beside the gateway; and how long it took."""
    place = Here(home.gateway.settings, home.store, home.gateway.in_force)
    began = time.monotonic()
    return stop.stopped(place, "all", "kill", "Wrong prices", "olga"), time.monotonic() - began


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("rounds", "kills", "callers"), [(1, 2, 4), pytest.param(5, 20, 16, marks=pytest.mark.full)]
)
async def test_no_send_begins_after_kill_has_returned(
    tmp_path: Path, rounds: int, kills: int, callers: int
) -> None:
    took: list[float] = []
    rates: list[float] = []
    for number in range(rounds):
        async with house(tmp_path / str(number)) as home:
            storm = Storm(home)
            late, busy = await killed_again_and_again(storm, kills, callers, took)
            rates.append(storm.applied / busy)

            assert (late, claims_while_stopped(home)) == ([], [])
            assert len(home.shop.effects) == storm.applied
            assert storm.codes <= {"switch.killed", "failed"}

    print(f"{min(rates):.0f} calls/s or more, {rounds * kills} kills, slowest {max(took) * 1000:.0f} ms")


async def killed_again_and_again(
    storm: Storm, kills: int, callers: int, took: list[float]
) -> tuple[list[str], float]:
    """What arrived after `kill` had returned and was not said to be on the wire; seconds in which calls ran."""
    late: list[str] = []
    busy = 0.0
    async with storm.of(callers):
        for _ in range(kills):
            began = time.monotonic()
            await storm.more(2 * callers, lambda storm: storm.applied)
            busy += time.monotonic() - began
            done, seconds = await to_thread.run_sync(kill, storm.home)
            arrived = len(storm.arrived)
            await storm.more(2 * callers, lambda storm: storm.answers)
            late += [key for key in storm.arrived[arrived:] if key not in done.wire]
            took.append(seconds)
            assert done.confirmed
            await storm.home.lift()
    return late, busy


def claims_while_stopped(home: House) -> list[str]:
    """In the order of the database."""
    found: list[str] = []
    stopped = False
    for record in home.audit():
        if record["type"] in ("switch.thrown", "switch.lifted"):
            stopped = record["type"] == "switch.thrown"
        elif record["type"] == "call.claimed" and stopped:
            found.append(record["call"])
    return found


# -- K5: every scope, every mode, reads and writes ---------------------------------------------------------------

SCOPES = (
    "all",
    "integration:shop",
    "tool:{}",
    "agent:robot",
    "user:ana",
    "tool:shop.pay",
)  # the last: something else
CODES: dict[SwitchMode, str] = {"kill": "switch.killed", "pause": "switch.paused", "drain": "switch.draining"}
KINDS: dict[str, dict[str, Any]] = {"shop.read": {"id": "t1"}, "shop.write": WRITE}


@pytest.mark.promise("P5")
async def test_each_scope_and_mode_stops_what_it_says_of_reads_and_writes(tmp_path: Path) -> None:
    wrong: dict[tuple[str, str, str], str] = {}
    async with house(tmp_path) as home, home.client() as client:
        cells = list(product(SCOPES, CODES, KINDS))
        for number, (scope, mode, tool) in enumerate(cells):
            named = scope.format(tool)
            await home.throw(named, mode)
            before = len(home.shop.effects) + len(home.shop.reads)
            heard = said(await send(client, tool, {**KINDS[tool], "id": f"t{number}"})).get("code", "ok")
            ran = len(home.shop.effects) + len(home.shop.reads) - before
            stops = scope != SCOPES[-1] and (mode == "kill" or tool == "shop.write")
            expected = CODES[mode] if stops else "ok"
            if (heard, ran) != (expected, int(not stops)):
                wrong[scope, mode, tool] = f"{heard}, ran {ran} times"
            await home.lift(named)

    assert wrong == {}


# -- K6: lifting, restart, the file KILL, the owner of the folder ------------------------------------------------

RESUME = PEOPLE + "duties: {resume: [finance]}\n"


async def lockkeep(home: House, *words: str, by: str | None = None, token: str = "") -> Ran:
    environ = {"LOCKKEEP_DATA": str(home.gateway.settings.data), "PATH": ""}
    if secret := token or (await home.token(by, None) if by else ""):
        environ["LOCKKEEP_TOKEN"] = secret
    return await command(environ, *words)


LIFTS: dict[str, tuple[str, str, str, int]] = {  # people.yaml, who threw it, who lifts it, exit code
    "the one who threw it": (PEOPLE, "bo", "bo", 2),
    "another person": (PEOPLE, "bo", "cy", 0),
    "another person without the duty": (RESUME, "cy", "bo", 2),
    "another person with the duty": (RESUME, "bo", "dee", 0),
    "the one who threw it, where one may": (PEOPLE + "resume_self: true\n", "bo", "bo", 0),
    "the owner of the folder": (PEOPLE, "bo", "", 0),
    "the owner of the folder who threw it": (PEOPLE, "", "", 2),
}


@pytest.mark.promise("P5")
@pytest.mark.parametrize("name", LIFTS)
async def test_who_may_lift_a_stop(tmp_path: Path, name: str) -> None:
    people, thrower, lifter, code = LIFTS[name]
    async with house(tmp_path, people=people) as home:
        await home.throw(by=thrower or f"local:{getpass.getuser()}")
        ran = await lockkeep(home, "resume", "all", "--reason", "r", by=lifter or None)
        left = len(switches.thrown(home.store.read))

    assert (ran.code, left) == (code, int(code != 0))


@pytest.mark.promise("P5")
async def test_a_stop_is_lifted_by_its_own_scope_and_by_somebody_who_threw_none_of_it(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.throw("all", by="bo")
        await home.throw("all", by="cy")
        await home.throw("tool:shop.pay", by="bo")
        codes = [
            (await lockkeep(home, "resume", scope, "--reason", "r", by=who)).code
            for scope, who in (("tool:shop", "dee"), ("all", "bo"), ("all", "cy"), ("all", "dee"))
        ]
        left = [each.scope for each in switches.thrown(home.store.read)]

    assert (codes, left) == ([2, 2, 2, 0], ["tool:shop.pay"])


@pytest.mark.promise("P5")
async def test_an_agents_token_lifts_nothing_and_hinders_no_kill(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.throw(by="bo")
        token = await home.token("ana", "robot")
        lifted = await lockkeep(home, "resume", "all", "--reason", "r", token=token)
        owner = [
            await lockkeep(home, "kill", "tool:shop.pay", "--reason", "r", "--json", token=each)
            for each in (token, "lk_" + "A" * 43, "")
        ]

    assert lifted.code == 2
    assert [(ran.code, json.loads(ran.out)["by"]) for ran in owner] == [(0, f"local:{getpass.getuser()}")] * 3


@pytest.mark.promise("P5")
@pytest.mark.parametrize("mode", list(CODES))
async def test_a_stop_outlives_a_restart(tmp_path: Path, mode: SwitchMode) -> None:
    async with house(tmp_path) as home:
        await home.throw("all", mode)
    async with house(tmp_path) as home:
        code = said(await home.call("shop.write", WRITE))["code"]

    assert (code.startswith("switch."), home.shop.effects) == (True, [])


@pytest.mark.promise("P5")
async def test_the_file_stops_a_call_that_is_claimed_already_and_outlives_a_restart(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        original = home.gateway.ledger.claim

        async def then_the_file(*args: Any) -> Any:
            claim = await original(*args)
            (tmp_path / "data" / "KILL").touch()
            return claim

        home.gateway.ledger.claim = then_the_file  # pyright: ignore[reportAttributeAccessIssue]
        first = said(await home.call("shop.write", WRITE))["status"]
        effects = list(home.shop.effects)
    async with house(tmp_path) as home:
        second = said(await home.call("shop.write", {**WRITE, "id": "t2"}))["code"]
        (tmp_path / "data" / "KILL").unlink()
        third = said(await home.call("shop.write", {**WRITE, "id": "t3"}))

    assert (first, effects, second, third["applied"]) == ("failed", [], "switch.killed", True)


# -- between the last look and the send ---------------------------------------------------------------------------


def with_before() -> list[Any]:
    """The shop, whose writes are preceded by a read of what stands."""
    found = [tool.model_copy(deep=True) for tool in TOOLS]
    (write,) = [tool for tool in found if tool.name == "write"]
    assert write.meta is not None
    write.meta["lockkeep/effect"]["before"] = {"tool": "read", "with": {"id": "=args.id"}}
    return found


@pytest.mark.promise("P5")
async def test_a_kill_while_the_state_before_is_read_drops_the_write_unsent(tmp_path: Path) -> None:
    shop, reading, go = Shop(tools=with_before()), anyio.Event(), anyio.Event()

    async def waits(tool: str, _arguments: Mapping[str, Any]) -> None:
        if tool == "read":
            reading.set()
            await go.wait()

    shop.behave = waits
    heard: list[Any] = []
    async with house(tmp_path, shop) as home:

        async def asks() -> None:
            heard.append(said(await home.call("shop.write", WRITE))["status"])

        async def kills() -> None:
            await reading.wait()
            heard.append((await to_thread.run_sync(kill, home))[0].confirmed)
            go.set()

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(asks)
                group.start_soon(kills)

        assert (heard, home.states(), shop.effects) == ([True, "failed"], ["failed"], [])
