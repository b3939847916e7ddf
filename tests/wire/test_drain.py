"""Drain: writes stop, what is on the wire ends first, reads go on (P5)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.crash.command import Ran, command

from house import house, said
from shop import Shop

WRITE = {"id": "t1", "text": "x"}


@pytest.mark.promise("P5")
async def test_drain_returns_when_what_was_sent_has_ended_and_nothing_else_begins(tmp_path: Path) -> None:
    shop, go = Shop(), anyio.Event()

    async def slow(name: str, _arguments: Mapping[str, Any]) -> None:
        if name == "write":
            await go.wait()

    shop.behave = slow
    ran: list[Ran] = []
    async with house(tmp_path, shop) as home, anyio.create_task_group() as group:
        group.start_soon(home.call, "shop.write", WRITE)
        await shop.arrived.wait()
        environ = {
            "LOCKKEEP_DATA": str(tmp_path / "data"),
            "LOCKKEEP_TOKEN": await home.token("bo", None),
            "PATH": "",
        }

        async def drain() -> None:
            ran.append(await command(environ, "drain", "all", "--reason", "upgrade", "--json"))

        group.start_soon(drain)
        with anyio.fail_after(5):
            while not home.store.read.all("switches_thrown"):
                await anyio.sleep(0.01)
        late = said(await home.call("shop.write", {**WRITE, "id": "t2"}))
        read = said(await home.call("shop.read", {"id": "t1"}))
        waits = not ran
        go.set()
        with anyio.fail_after(5):
            while not ran:
                await anyio.sleep(0.01)

        assert (late["code"], read["id"], waits) == ("switch.draining", "t1", True)
    assert (ran[0].code, ran[0].data["on_the_wire"]) == (0, [])
    assert [effect[1]["id"] for effect in shop.effects] == ["t1"]


async def test_what_does_not_end_in_time_is_named(tmp_path: Path) -> None:
    shop = Shop()

    async def never(name: str, _arguments: Mapping[str, Any]) -> None:
        if name == "write":
            await anyio.sleep(1)

    shop.behave = never
    async with house(tmp_path, shop) as home, anyio.create_task_group() as group:
        group.start_soon(home.call, "shop.write", WRITE)
        await shop.arrived.wait()
        environ = {
            "LOCKKEEP_DATA": str(tmp_path / "data"),
            "LOCKKEEP_TOKEN": await home.token("bo", None),
            "PATH": "",
        }
        ran = await command(environ, "drain", "all", "--reason", "x", "--within", "0.2", "--json")

        assert (ran.code, len(ran.data["on_the_wire"])) == (1, 1)
        assert "not drained" in ran.err
