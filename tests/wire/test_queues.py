"""What an integration would start later by itself is held while a switch covers it (P5)."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import CallToolResult, Tool

from house import House, house
from shop import RECEIPT, TEXT, Shop, ok

HOLD = Tool(
    name="hold",
    description="Hold what waits.",
    input_schema={
        "type": "object",
        "properties": {"paused": {"type": "boolean"}, "reason": TEXT},
        "required": ["paused", "reason"],
        "additionalProperties": False,
    },
    output_schema=RECEIPT,
    _meta={
        "lockkeep/effect": {
            "class": "write",
            "undo": "none",
            "errors": "atomic",
            "export": False,
            "queue": {"with": {"paused": "=args.paused", "reason": "=args.reason"}},
        }
    },
)


class Post(Shop):
    """A shop with a queue. It remembers what it was told, and can be deaf."""

    def __init__(self, *, paused: bool = False) -> None:
        super().__init__()
        self.tools = [*self.tools, HOLD]
        self.paused, self.deaf = paused, False
        self.told: list[tuple[bool, str]] = []
        self.behave = self._hold

    async def _hold(self, tool: str, arguments: Mapping[str, Any]) -> CallToolResult | None:
        if tool != "hold":
            return None
        if self.deaf:
            raise ConnectionResetError
        self.told.append((arguments["paused"], arguments["reason"]))
        changed = self.paused != arguments["paused"]
        before, self.paused = self.paused, arguments["paused"]
        images: dict[str, Any] = (
            {"before": {"paused": before}, "after": {"paused": self.paused}}
            if changed
            else {"before": {}, "after": {}}
        )
        return ok({"applied": True, "id": "queue", **images})


@asynccontextmanager
async def office(folder: Path, post: Post) -> AsyncGenerator[House]:
    async with house(folder, post) as home:
        yield home


async def until_seen(home: House, switch: int) -> None:
    """As `lockkeep kill` waits."""
    with anyio.fail_after(10):
        while (row := home.store.read.one("seen")) is None or row["switch"] < switch:
            await anyio.sleep(0.02)


async def until(post: Post, *, paused: bool) -> None:
    with anyio.fail_after(10):
        while post.paused is not paused:
            await anyio.sleep(0.02)


async def recorded(home: House, *events: str) -> None:
    """Until these, and no others, are on the record."""
    with anyio.fail_after(10):
        while [each["type"] for each in home.audit() if each["type"].startswith("queue.")] != list(events):
            await anyio.sleep(0.02)


@pytest.mark.promise("P5")
@pytest.mark.parametrize("mode", ["kill", "pause"])
@pytest.mark.parametrize("scope", ["all", "integration:shop", "tool:shop.write"])
async def test_the_queue_is_held_before_kill_returns_and_let_go_after_the_lift(
    tmp_path: Path, scope: str, mode: Any
) -> None:
    post = Post()
    async with office(tmp_path, post) as home:
        switch = await home.throw(scope, mode)
        await until_seen(home, switch.id)
        assert post.told == [(True, "Wrong prices")]

        await home.lift(scope)
        await recorded(home, "queue.held", "queue.released")
        assert not post.paused
        assert home.sound()


@pytest.mark.promise("P5")
async def test_a_switch_about_somebody_else_leaves_the_queue_alone(tmp_path: Path) -> None:
    post = Post()
    async with office(tmp_path, post) as home:
        for scope in ("agent:other", "user:bo", "integration:other"):
            switch = await home.throw(scope)
            await until_seen(home, switch.id)

        assert post.told == []


@pytest.mark.promise("P5")
@pytest.mark.parametrize("scope", ["agent:robot", "user:ana"])
async def test_what_a_stopped_agent_or_user_has_queued_is_held(tmp_path: Path, scope: str) -> None:
    post = Post()
    async with office(tmp_path, post) as home:
        await home.call("shop.write", {"id": "t1", "text": "hello"})
        switch = await home.throw(scope)
        await until_seen(home, switch.id)

        assert post.paused


@pytest.mark.promise("P5")
async def test_a_queue_that_does_not_hear_is_on_record_and_told_until_it_hears(tmp_path: Path) -> None:
    post = Post()
    async with office(tmp_path, post) as home:
        post.deaf = True
        switch = await home.throw()
        await until_seen(home, switch.id)
        (row,) = home.store.read.all("queues_all")
        assert (row["state"], bool(row["failure"])) == ("holding", True)

        post.deaf = False
        await until(post, paused=True)
        await recorded(home, "queue.not_told", "queue.held")


@pytest.mark.promise("P5")
async def test_a_queue_that_people_paused_before_stays_paused_after_the_lift(tmp_path: Path) -> None:
    post = Post(paused=True)
    async with office(tmp_path, post) as home:
        switch = await home.throw()
        await until_seen(home, switch.id)
        await home.lift()
        await home.gateway.queues.run_once()

        assert post.paused
        assert [paused for paused, _ in post.told] == [True]

        post.paused = False  # they let it go on; the next stop holds it anew
        again = await home.throw()
        await until_seen(home, again.id)
        assert post.paused
        await home.lift()
        await until(post, paused=False)


@pytest.mark.promise("P5")
async def test_a_newer_switch_asks_again_whatever_became_of_the_queue_meanwhile(tmp_path: Path) -> None:
    post = Post()
    async with office(tmp_path, post) as home:
        first = await home.throw()
        await until_seen(home, first.id)
        post.paused = False  # somebody let it go on at the server
        second = await home.throw("integration:shop")
        await until_seen(home, second.id)

        assert post.paused
        await home.lift()
        await home.lift("integration:shop")
        await until(post, paused=False)


@pytest.mark.promise("P5")
async def test_the_file_that_kills_holds_the_queue_too(tmp_path: Path) -> None:
    post = Post()
    async with office(tmp_path, post) as home:
        (home.gateway.settings.data / "KILL").touch()
        await until(post, paused=True)

    assert post.told[0][1].startswith("the file KILL")


@pytest.mark.promise("P5")
async def test_a_gateway_that_died_while_it_told_the_queue_tells_it_again(tmp_path: Path) -> None:
    post = Post()
    async with office(tmp_path, post) as home:
        post.deaf = True
        switch = await home.throw()
        await until_seen(home, switch.id)
    post.deaf, post.paused = False, True  # it had heard, and the answer was lost
    async with office(tmp_path, post) as home:
        with anyio.fail_after(10):
            while home.store.read.all("queues_all")[0]["state"] != "held":
                await anyio.sleep(0.02)
        await home.lift()
        await until(post, paused=False)


@pytest.mark.promise("P5")
async def test_the_file_that_kills_holds_the_queue_while_the_store_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = Post()
    async with office(tmp_path, post) as home:

        def gone(_: object) -> list[object]:
            raise OSError("the disk is gone")

        monkeypatch.setattr("lockkeep.queues.switches.thrown", gone)
        (home.gateway.settings.data / "KILL").touch()
        with pytest.raises(OSError, match="gone"):
            await home.gateway.queues.run_once()

        assert post.paused
        monkeypatch.undo()
