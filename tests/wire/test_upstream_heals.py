"""Integrations die, hang and come back; the gateway heals by itself, and nothing is sent twice meanwhile."""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import mcp.client.stdio
import pytest
from mcp.server import Server

from lockkeep.errors import IntegrationDown, UnknownServer
from lockkeep.model import Integration, Tool
from lockkeep.upstream import ConnectionStatus, Pace, ReadFailed, Supervisor, Upstream

from .fixture_servers.book import Book
from .fixture_servers.gateway_side import (
    FAST,
    NOON,
    Changes,
    Side,
    claim,
    connected,
    in_process,
    installing,
    over_wire,
)
from .fixture_servers.over_http import Era, served

ERAS: tuple[Era, ...] = ("modern", "legacy")
HERE = Path(__file__).parent / "fixture_servers"
COMMAND = (sys.executable, str(HERE / "stdio_book.py"))
BARE = (sys.executable, str(HERE / "stdio_bare.py"))


@pytest.fixture
def quick_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK grants a command two seconds to end; a frozen one uses them up."""
    monkeypatch.setattr(mcp.client.stdio, "PROCESS_TERMINATION_TIMEOUT", 0.1)
    monkeypatch.setattr(mcp.client.stdio, "FORCE_KILL_TIMEOUT", 0.1)


@pytest.mark.parametrize("era", ERAS)
async def test_a_server_that_was_gone_for_a_moment_is_used_again_within_a_second(era: Era) -> None:
    book = Book()
    async with over_wire(book, era, pace=Pace()) as (side, wire):
        await wire.disconnect()
        during = await side.send("book.add", text="during")
        await side.down("book")
        await wire.connect()
        returned = anyio.current_time()
        await side.up("book")
        took = anyio.current_time() - returned
        after = await side.send("book.add", text="after")

    assert (during.state, after.state, took < 1) == ("failed", "succeeded", True)
    assert [arguments["text"] for _, arguments in book.ran] == ["after"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_server_restarted_unnoticed_heals_without_help(era: Era) -> None:
    first, second = Book(), Book()
    async with served(second.server(), era) as port, over_wire(first, era) as (side, wire):
        wire.target = port
        wire.break_all()
        states = [(await side.send("book.add")).state]
        with anyio.fail_after(5):
            while states[-1] != "succeeded":
                await side.up("book")
                states.append((await side.send("book.add")).state)

    assert (states[-1], len(second.ran), first.ran) == ("succeeded", 1, [])
    assert set(states[:-1]) <= {"unknown", "failed"}


@pytest.mark.parametrize("era", ERAS)
async def test_a_server_that_hangs_is_found_out_and_used_again_once_it_answers(era: Era) -> None:
    pace = replace(FAST, open_limit=0.3, probe_limit=0.1)
    async with over_wire(Book(), era, pace) as (side, wire):
        wire.fault, wire.everywhere = "silence", True
        hung = await side.send("book.add", timeout=0.1)
        await side.down("book")
        meanwhile = await side.send("book.add", timeout=5)
        wire.everywhere = False
        await side.up("book")
        after = await side.send("book.add")

    assert [a.state for a in (hung, meanwhile, after)] == ["unknown", "failed", "succeeded"]


async def test_an_idle_server_that_died_is_noticed_by_probes_alone() -> None:
    pace = replace(FAST, probe_every=0.05)
    async with over_wire(Book(), "legacy", pace) as (side, wire):
        await wire.disconnect()
        await side.down("book")
        await wire.connect()
        await side.up("book")


@pytest.mark.usefixtures("quick_close")
async def test_a_command_that_dies_or_freezes_is_started_anew() -> None:
    async with connected(Integration(name="book", command=BARE)) as side:
        pids = [await _pid(side)]
        died = await side.send("book.add", do="die")
        await side.down("book")
        await side.up("book")

        pids.append(await _pid(side))
        os.kill(pids[-1], signal.SIGKILL)  # while idle: no call finds out
        await side.down("book")
        await side.up("book")

        pids.append(await _pid(side))
        frozen = await side.send("book.add", do="freeze", timeout=0.1)
        await side.down("book")
        await side.up("book")
        with pytest.raises(ProcessLookupError):
            os.kill(pids[-1], 0)
        pids.append(await _pid(side))

    assert (died.state, frozen.state, len(set(pids))) == ("unknown", "unknown", 4)


async def test_a_command_gets_the_allowed_environment_and_its_own_and_its_secret_stays_out_of_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", logger="lockkeep")
    monkeypatch.setenv("LOCKKEEP_TOKEN", "gateway-secret")
    env = {"BOOK_TOKEN": "env:MY_TOKEN", "BOOK_MODE": "plain"}
    integration = Integration(name="book", command=COMMAND, env=env)
    async with connected(integration, environ={"MY_TOKEN": "canary-secret"}) as side:
        seen = await side.upstream.read(side.tools["book.look"], {})

    allowed = {*mcp.client.stdio.get_default_environment(), "BOOK_TOKEN", "BOOK_MODE", "LC_CTYPE"}
    assert (seen["secret"], set(seen["environ"]) - allowed) == ("canary-secret", set())
    assert "book writes: started with ***" in caplog.text
    assert "canary-secret" not in caplog.text


async def test_while_an_integration_is_down_calls_get_a_clear_answer_and_the_others_work() -> None:
    def servers(name: str) -> Any:
        if name == "ghost":
            raise UnknownServer(name)
        return installing(Book())(name)

    good, bad = Integration(name="book", in_process=True), Integration(name="ghost", in_process=True)
    locked = Integration(name="locked", url="http://127.0.0.1:9/mcp", bearer="literal-secret")
    changes = Changes()
    supervisor = Supervisor(
        [good, bad, locked], on_change=changes, servers=servers, environ={}, pace=FAST, now=lambda: NOON
    )
    async with supervisor.running():
        await changes.until(lambda: supervisor.state("book").up and {"ghost", "locked"} <= set(changes.heard))
        tool = _other_integration(await _tool(supervisor), "ghost")
        upstream = Upstream(supervisor, dict)
        answer = await upstream.send(claim(tool, {}), tool)
        with pytest.raises(ReadFailed):
            await upstream.read(replace(tool, effect={"class": "read"}), {})
        with pytest.raises(IntegrationDown):
            supervisor.closed(tool)

        assert (answer.state, supervisor.listing("ghost")) == ("failed", None)
        assert supervisor.states() == (
            ConnectionStatus(
                integration="book", up=True, since=NOON, revision="2026-07-28", server="book", version="7"
            ),
            ConnectionStatus(
                integration="ghost",
                up=False,
                since=NOON,
                reason="No installed tool server has that name. (ghost)",
            ),
            ConnectionStatus(
                integration="locked",
                up=False,
                since=NOON,
                reason="A credential reference cannot be read. Use env:NAME or file:PATH, and make the file "
                "readable by its owner only. (a literal where a reference is needed; it is not shown here)",
            ),
        )
        assert await supervisor.wait_ready(0.01) is False


async def test_a_credential_file_that_is_mended_heals_the_integration(tmp_path: Path) -> None:
    token = tmp_path / "token"
    book = Book()
    async with served(book.server()) as port:
        integration = Integration(name="book", url=f"http://127.0.0.1:{port}/mcp", bearer=f"file:{token}")
        changes = Changes()
        supervisor = Supervisor([integration], on_change=changes, pace=FAST)
        async with supervisor.running():
            await changes.until(lambda: "token" in supervisor.state("book").reason)
            token.write_text("value\n", encoding="utf-8")
            token.chmod(0o600)
            await changes.until(lambda: supervisor.state("book").up)


async def test_a_restart_closes_and_opens_anew() -> None:
    async with in_process(Book()) as side:
        before = side.supervisor.connection("book").client()
        status = await side.supervisor.restart("book")
        after = side.supervisor.connection("book").client()
        answer = await side.send("book.add", text="x")

    assert (status.up, before is after, answer.state) == (True, False, "succeeded")


async def test_a_connection_outlives_the_limit_for_opening_it() -> None:
    async with over_wire(Book(), pace=replace(FAST, open_limit=0.5)) as (side, _):
        before = side.supervisor.connection("book").client()
        states = [(await side.send("book.add", do="wait", timeout=0.7)).state]
        states.append((await side.send("book.add")).state)
        after = side.supervisor.connection("book").client()

    assert (states, before is after) == (["unknown", "succeeded"], True)


async def test_a_new_gateway_yaml_touches_only_what_changed() -> None:
    seen: list[Mapping[str, str]] = []

    def servers(name: str) -> Any:
        def build(environ: Mapping[str, str]) -> Server[Any]:
            seen.append(environ)
            return Book().server()

        return build

    environ = {"LOCKKEEP_CRM_SEED": "7", "LOCKKEEP_TOKEN": "not theirs", "CALENDAR": "env:x"}
    crm = Integration(name="crm", in_process=True)
    calendar = Integration(name="cal", in_process=True, server="calendar", env={"MODE": "a"})
    billing = Integration(name="billing", in_process=True)
    async with connected(crm, calendar, billing, servers=servers, environ=environ) as side:
        kept = side.supervisor.connection("crm").client()
        changed, dropped = (side.supervisor.connection(name) for name in ("cal", "billing"))
        side.changes.heard.clear()
        await side.supervisor.replace([crm, replace(calendar, env={"MODE": "b"}), replace(crm, name="fresh")])
        assert await side.supervisor.wait_ready(5)

        assert side.supervisor.connection("crm").client() is kept
        assert side.supervisor.connection("cal") is not changed
        assert (changed.gone.is_set(), dropped.gone.is_set()) == (True, True)
        assert [status.integration for status in side.supervisor.states()] == ["cal", "crm", "fresh"]
        assert set(side.changes.heard) == {"billing", "cal", "fresh"}
    assert seen == [{"LOCKKEEP_CRM_SEED": "7"}, {"MODE": "a"}, {}, {"MODE": "b"}, {}]


@pytest.mark.parametrize("era", ERAS)
async def test_callers_on_breaking_connections_never_get_each_others_answer(era: Era) -> None:
    book, states = Book(), list[str]()

    async def caller(side: Side, who: int) -> None:
        for turn in range(2):
            mine = f"{who}/{turn}"
            answer = await side.upstream.send(claim(side.tools["book.add"], {"text": mine}, mine), timeout=5)
            states.append(answer.state)
            if answer.state == "succeeded":
                assert answer.result is not None
                assert answer.result["structuredContent"] == {"said": mine, "key": mine}
            else:
                await side.up("book")

    async with over_wire(book, era) as (side, wire):
        wire.break_every = 17
        with anyio.fail_after(10):
            async with anyio.create_task_group() as callers:
                for who in range(50):
                    callers.start_soon(caller, side, who)

    texts = [arguments["text"] for _, arguments in book.ran]
    assert (len(states), len(texts) == len(set(texts)), "succeeded" in states) == (100, True, True)
    assert len(states) - states.count("succeeded") >= 5  # connections did break


async def _pid(side: Side) -> int:
    answer = await side.send("book.look")
    assert answer.result is not None
    return answer.result["structuredContent"]["pid"]


async def _tool(supervisor: Supervisor) -> Tool:
    side = Side(supervisor, Upstream(supervisor, dict), Changes(), {})
    side.accept_all("book")
    return side.tools["book.add"]


def _other_integration(tool: Tool, name: str) -> Tool:
    return replace(tool, integration=name, name=f"{name}.add")


async def test_a_listener_that_fails_ends_no_connection() -> None:
    heard = anyio.Event()

    def fail(name: str) -> None:
        heard.set()
        raise RuntimeError("canary")

    supervisor = Supervisor(
        [Integration(name="book", in_process=True)],
        on_change=fail,
        servers=installing(Book()),
        environ={},
        pace=FAST,
    )
    async with supervisor.running():
        with anyio.fail_after(5):
            await heard.wait()
        assert await supervisor.wait_ready(5)
        await supervisor.restart("book")
        assert supervisor.state("book").up
