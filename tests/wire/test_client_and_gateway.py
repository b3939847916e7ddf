"""The thin client against the real gateway: outcomes, waiting, the bridge, the doctor."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from house import House, house
from lockkeep_client import Denied, GatewayClient, GatewayClientSync, NotLoggedIn, Pending, Succeeded

ASK = """\
api: lockkeep/v1
policy: pay
owner: lead
applies_to: {agents: [robot]}
tools:
  shop.read: {allow: anyone}
  shop.pay:
    allow: anyone
    ask:
      - when: amount > 100 EUR
        from: [lead]
"""
PAY = {"id": "p1", "amount_minor": 50_000, "currency": "EUR"}


async def connected(home: House) -> GatewayClient:
    return GatewayClient(home.url, await home.token("ana", "robot"))


async def test_a_program_gets_one_of_a_closed_set_of_outcomes(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ASK) as home, await connected(home) as client:
        read = await client.call("shop.read", {"id": "t1"})
        denied = await client.call("shop.write", {"id": "t1", "text": "x"})
        asked = await client.call("shop.pay", PAY)
        assert isinstance(asked, Pending)
        await home.vote(asked.approval_id, "bo")
        done = await client.wait(asked, timeout=10)
        names = [tool.name for tool in await client.tools()]

    assert (isinstance(read, Succeeded), isinstance(denied, Denied), isinstance(done, Succeeded)) == (
        True,
        True,
        True,
    )
    assert isinstance(denied, Denied)
    assert denied.code == "policy.not_allowed"
    assert home.shop.effects == [("pay", PAY)]
    assert names == ["lockkeep_status", "lockkeep_wait", "shop_pay", "shop_read"]


async def test_the_synchronous_twin_does_the_same(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ASK) as home:
        token = await home.token("ana", "robot")

        def work() -> list[str]:
            with GatewayClientSync(home.url, token) as client:
                return [
                    type(client.call(tool, {"id": "t1"})).__name__ for tool in ("shop.read", "shop.blunt")
                ]

        assert await anyio.to_thread.run_sync(work) == ["Succeeded", "Denied"]


async def test_a_wrong_token_is_said_and_nothing_else(tmp_path: Path) -> None:
    async with house(tmp_path) as home, GatewayClient(home.url, "lk_wrong") as client:
        with pytest.raises(NotLoggedIn):
            await client.call("shop.read", {"id": "t1"})


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_a_stdio_host_reaches_the_gateway_through_the_bridge(tmp_path: Path, mode: str) -> None:
    async with house(tmp_path, rules=ASK) as home:
        env = {
            **os.environ,
            "LOCKKEEP_URL": home.url,
            "LOCKKEEP_TOKEN": await home.token("ana", "robot"),
            "HOME": str(tmp_path),
        }
        bridge = StdioServerParameters(
            command=sys.executable, args=["-m", "lockkeep_client", "bridge"], env=env
        )
        async with Client(stdio_client(bridge), mode=mode) as client:
            await client.list_tools()
            read = await client.call_tool("shop_read", {"id": "t1"})
            asked = await client.call_tool("shop_pay", PAY)

    assert read.structured_content == {"id": "t1"}
    assert (asked.structured_content or {})["status"] == "pending_approval"


async def test_the_clients_doctor_finds_a_healthy_gateway_healthy(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        env = {
            **os.environ,
            "LOCKKEEP_URL": home.url,
            "LOCKKEEP_TOKEN": await home.token("ana", "robot"),
            "HOME": str(tmp_path),
        }

        def doctor() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "lockkeep_client", "doctor", "--json"],
                env=env,
                capture_output=True,
                encoding="utf-8",
                check=False,
            )

        said = await anyio.to_thread.run_sync(doctor)
        found: Any = json.loads(said.stdout)

    assert (said.returncode, found) == (0, found)
