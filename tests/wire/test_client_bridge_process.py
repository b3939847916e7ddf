"""`lockkeep-client bridge` as hosts start it: a process, driven by the SDK's own stdio client."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from mcp import Client, MCPError, StdioServerParameters
from mcp.shared.subscriptions import ToolsListChanged
from mcp_types import ElicitRequestParams, ElicitResult
from tests.unit.client.stand_in import NAMES, TOKEN, StandIn

BRIDGE = [sys.executable, "-m", "lockkeep_client", "bridge"]
MODES = ("2026-07-28", "auto", "legacy")


@pytest.fixture(scope="module")
async def running() -> AsyncGenerator[StandIn]:
    async with StandIn().running() as started:
        yield started


@pytest.fixture
def gateway(running: StandIn) -> StandIn:
    running.reset()
    return running


def environment(tmp_path: Path, url: str) -> dict[str, str]:
    """What a host gives the bridge; a browser started from here would leave a trace."""
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\ntouch {tmp_path}/opened\n", encoding="utf-8")
    browser.chmod(0o700)
    return {"HOME": str(tmp_path), "LOCKKEEP_URL": url, "LOCKKEEP_TOKEN": TOKEN, "BROWSER": str(browser)}


def sdk_client(tmp_path: Path, url: str, mode: str, **options: Any) -> Client:
    """The SDK's client with our bridge as its stdio server."""
    server = StdioServerParameters(command=BRIDGE[0], args=BRIDGE[1:], env=environment(tmp_path, url))
    return Client(server, mode=mode, read_timeout_seconds=10, **options)


@pytest.mark.parametrize("mode", MODES)
async def test_the_sdk_client_works_through_the_bridge(gateway: StandIn, tmp_path: Path, mode: str) -> None:
    seen: list[tuple[float, float | None, str | None]] = []

    async def tell(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with sdk_client(tmp_path, gateway.url, mode) as client:
        tools = await client.list_tools()
        done = await client.call_tool("crm_progress", {"n": 1}, progress_callback=tell)
        denied = await client.call_tool("crm_stopped", {})

    assert [tool.name for tool in tools.tools] == list(NAMES)
    assert done.structured_content == {"lead": "led_1", "args": {"n": 1}}
    assert seen == [(1, 2, "1 of 2"), (2, 2, "2 of 2")]
    assert denied.is_error


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_a_host_that_gives_up_cancels_behind_the_gateway(
    gateway: StandIn, tmp_path: Path, mode: str
) -> None:
    async with sdk_client(tmp_path, gateway.url, mode) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "crm_slow")
            assert await to_thread.run_sync(gateway.begun.wait, 10)
            tasks.cancel_scope.cancel()
        assert await to_thread.run_sync(gateway.ended.wait, 10)
        assert not (await client.call_tool("crm_assign_owner", {})).is_error


async def test_a_modern_host_hears_that_the_tools_changed(gateway: StandIn, tmp_path: Path) -> None:
    async with sdk_client(tmp_path, gateway.url, "2026-07-28") as client:
        with anyio.fail_after(10):
            async with client.listen(tools_list_changed=True) as events:
                await client.call_tool("crm_changed", {})
                assert await anext(aiter(events)) == ToolsListChanged()


async def test_a_question_of_a_legacy_gateway_is_asked_and_answered(tmp_path: Path) -> None:
    async def answer(context: object, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"sure": True})

    async with (
        StandIn(stateless=False).running() as gateway,
        sdk_client(tmp_path, gateway.url, "legacy", elicitation_callback=answer) as client,
    ):
        result = await client.call_tool("crm_asks", {})

    assert result.structured_content == {"action": "accept", "content": {"sure": True}}


@pytest.mark.parametrize("mode", MODES)
async def test_without_a_gateway_the_sdk_client_still_connects(tmp_path: Path, mode: str) -> None:
    async with sdk_client(tmp_path, StandIn().url, mode) as client:
        tools = await client.list_tools()
        status = await client.call_tool("lockkeep_status", {})
        with pytest.raises(MCPError):
            await client.list_prompts()

    assert [tool.name for tool in tools.tools] == ["lockkeep_status"]
    assert status.structured_content is not None
    assert "lockkeep-client doctor" in status.structured_content["next"]
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("way", ["end of input", "SIGTERM", "closed stdout"])
def test_the_bridge_ends_within_a_second(gateway: StandIn, tmp_path: Path, way: str) -> None:
    ping = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'
    env = {**os.environ, **environment(tmp_path, gateway.url)}
    with subprocess.Popen(
        BRIDGE, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as bridge:
        assert bridge.stdin
        assert bridge.stdout
        bridge.stdin.write(ping)
        bridge.stdin.flush()
        assert bridge.stdout.readline().startswith(b'{"jsonrpc"')
        if way == "SIGTERM":
            bridge.send_signal(signal.SIGTERM)
        elif way == "closed stdout":
            bridge.stdout.close()
            bridge.stdin.write(ping)
            bridge.stdin.flush()
        else:
            bridge.stdin.close()

        assert bridge.wait(1) == 0


def test_the_token_is_in_no_log_and_no_output_of_the_bridge(gateway: StandIn, tmp_path: Path) -> None:
    gateway.instead = (401, "text/plain", b"")
    ask = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n'
    env = {**os.environ, **environment(tmp_path, gateway.url)}
    done = subprocess.run(BRIDGE, env=env, input=ask, capture_output=True, timeout=10)

    log = (tmp_path / ".config" / "lockkeep" / "bridge.log").read_bytes()
    assert b"tools/list" in log
    assert b"tools/list" in done.stderr
    assert TOKEN.encode() not in done.stdout + done.stderr + log
