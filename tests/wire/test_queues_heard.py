"""A queue counts as held only if its server shows it; whatever else happens is said by `lockkeep kill` (P5)."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import CallToolResult

from crash.command import Ran, command
from house import GATEWAY, House, free_port, house
from lockkeep.app import utc_now
from lockkeep.cli.switches import SEEN_WITHIN
from lockkeep.ledger import generations
from shop import ok

from .test_queues import HOLD, Post, recorded, until, until_seen

SHOWN = {
    "with": {"paused": "=args.paused", "reason": "=args.reason"},
    "applied": "result.paused == args.paused",
}
TWO = GATEWAY.replace(
    "  shop: {in_process: true}\n", "  shop: {in_process: true}\n  mail: {in_process: true}\n"
)
ONE_BACK_END = TWO.replace("mail: {in_process: true}", "mail: {in_process: true, server: shop}")


class Shown(Post):
    """A post whose manifest says what its answer shows; it can say yes and do nothing."""

    def __init__(self, *, obeys: bool = True) -> None:
        super().__init__()
        effect = {**(HOLD.meta or {})["lockkeep/effect"], "queue": SHOWN}
        self.tools = [*self.tools[:-1], HOLD.model_copy(update={"meta": {"lockkeep/effect": effect}})]
        self.obeys = obeys
        self.behave = self._say

    async def _say(self, tool: str, arguments: Mapping[str, Any]) -> CallToolResult | None:
        if tool != "hold":
            return None
        self.told.append((arguments["paused"], arguments["reason"]))
        if self.obeys:
            self.paused = arguments["paused"]
        return ok({"applied": True, "id": "queue", "paused": self.paused})


class Hanging(Post):
    """It takes the question, and never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.behave = self._hang

    async def _hang(self, tool: str, arguments: Mapping[str, Any]) -> CallToolResult | None:
        if tool == "hold":
            await anyio.sleep_forever()
        return None


def environ(folder: Path, port: int | None = None) -> dict[str, str]:
    return {
        "LOCKKEEP_DATA": str(folder / "data"),
        "LOCKKEEP_POLICIES": str(folder / "policies"),
        "LOCKKEEP_PORT": str(port or free_port()),
    }


async def kill(folder: Path, *words: str) -> Ran:
    """The real command, beside the gateway of this test or without one."""
    return await command(environ(folder), "kill", *words, "--reason", "Wrong prices", "--json")


@asynccontextmanager
async def two(folder: Path, shop: Post, mail: Post, gateway: str = TWO) -> AsyncGenerator[House]:
    """A gateway before two integrations; where they are one back end, both are `shop`."""
    posts = {"shop": shop, "mail": mail}
    async with house(folder, shop, servers=lambda name: posts[name].build, gateway=gateway) as home:
        yield home


async def state_of(home: House, integration: str, *states: str) -> None:
    with anyio.fail_after(10):
        while {row["integration"]: row["state"] for row in home.store.read.all("queues_all")}.get(
            integration
        ) not in states:
            await anyio.sleep(0.02)


# -- what shows that it heard -------------------------------------------------------------------------------------


@pytest.mark.promise("P5")
async def test_a_queue_that_says_yes_and_shows_no_is_told_again_and_reported(tmp_path: Path) -> None:
    post = Shown(obeys=False)
    async with house(tmp_path, post) as home:
        ran = await kill(tmp_path)

        assert (ran.code, ran.data["confirmed"]) == (1, True)
        assert ran.data["queues"] == {"shop": "its answer does not show that it is paused"}
        assert "not held: the queue of shop (its answer does not show that it is paused)" in ran.err
        post.obeys = True
        await until(post, paused=True)
        await recorded(home, "queue.not_told", "queue.held")
        post.obeys = False
        await home.lift()
        await recorded(home, "queue.not_told", "queue.held", "queue.not_told")
        assert post.paused  # that it goes on has to be shown, too
        post.obeys = True
        await until(post, paused=False)
        assert home.sound()


@pytest.mark.promise("P5")
async def test_a_queue_that_shows_that_it_is_paused_is_held(tmp_path: Path) -> None:
    post = Shown()
    async with house(tmp_path, post):
        ran = await kill(tmp_path)

    assert (ran.code, ran.data["queues"], post.paused) == (0, {"shop": None}, True)


# -- how long it may take -----------------------------------------------------------------------------------------


@pytest.mark.promise("P5")
async def test_servers_that_hang_hold_kill_up_for_two_seconds_only_and_are_named(tmp_path: Path) -> None:
    async with two(tmp_path, Hanging(), Hanging()):
        began = time.monotonic()
        ran = await kill(tmp_path)
        took = time.monotonic() - began

    assert 2 <= took < SEEN_WITHIN
    assert (ran.code, ran.data["confirmed"]) == (1, True)
    assert ran.data["queues"] == dict.fromkeys(("mail", "shop"), "no answer within 2 seconds")
    assert "not held: the queue of shop (no answer within 2 seconds); stop that server itself" in ran.err


# -- what is not there any more -----------------------------------------------------------------------------------


@pytest.mark.promise("P5")
async def test_a_queue_whose_integration_left_gateway_yaml_is_named_with_and_without_a_gateway(
    tmp_path: Path,
) -> None:
    shop, mail = Post(), Post()
    async with two(tmp_path, shop, mail) as home:
        await home.rules(gateway=GATEWAY)
        beside = await kill(tmp_path)
        elsewhere = await kill(tmp_path, "integration:shop")
    alone = await kill(tmp_path)

    gone = "gateway.yaml names no such integration any more"
    assert (beside.code, beside.data["queues"]) == (1, {"shop": None, "mail": gone})
    assert (elsewhere.code, elsewhere.data["queues"]) == (0, {"shop": None})
    assert (alone.code, alone.data["queues"]) == (1, {"mail": gone})
    assert f"not held: the queue of mail ({gone}); stop that server itself" in alone.err
    assert (shop.paused, mail.told) == (True, [])


@pytest.mark.promise("P5")
async def test_rules_that_do_not_load_are_no_reason_to_say_nothing_of_queues(tmp_path: Path) -> None:
    post = Post()
    async with house(tmp_path, post) as home:
        loaded = await kill(tmp_path, "agent:other")
        current = generations.current(home.store.read)
        assert current is not None
        broken = {**current.files, "rules.yaml": "allow: everybody\n"}
        await home.store.write(
            lambda tx: generations.activate(
                tx, broken, after=current.id, by="test", reason="test", now=utc_now()
            )
        )
        beside = await kill(tmp_path)  # the gateway goes on with the last rules that loaded
        assert post.paused
    alone = await kill(tmp_path)

    assert (loaded.code, loaded.data["queues_known"]) == (0, True)
    for ran in (beside, alone):
        assert (ran.code, ran.data["confirmed"], ran.data["queues_known"]) == (1, True, False)
        assert "not held: the rules in force do not load" in ran.err
        assert "stop every server that sends by itself" in ran.err
    assert beside.data["queues"] == {"shop": None}
    assert alone.data["queues"] == {"shop": "no gateway runs here that could tell it"}


# -- one back end in two integrations -----------------------------------------------------------------------------


@pytest.mark.promise("P5")
async def test_one_back_end_in_two_integrations_goes_on_when_neither_is_stopped_any_more(
    tmp_path: Path,
) -> None:
    post = Post()
    async with two(tmp_path, post, post, ONE_BACK_END) as home:
        for scope in ("integration:shop", "integration:mail"):
            switch = await home.throw(scope)
            await until_seen(home, switch.id)
        await home.lift("integration:shop")
        for _ in range(3):
            await home.gateway.queues.run_once()
        assert [paused for paused, _ in post.told if not paused] == []

        await home.lift("integration:mail")
        await until(post, paused=False)
        await state_of(home, "shop", "released")
        await state_of(home, "mail", "released")
        assert home.sound()


@pytest.mark.promise("P5")
async def test_a_kill_pauses_one_back_end_through_both_of_its_integrations(tmp_path: Path) -> None:
    post = Post()
    async with two(tmp_path, post, post, ONE_BACK_END) as home:
        ran = await kill(tmp_path)

        assert (ran.code, ran.data["queues"], post.paused) == (0, {"shop": None, "mail": None}, True)
        assert [paused for paused, _ in post.told] == [True, True]
        await home.lift()
        await until(post, paused=False)


@pytest.mark.promise("P5")
async def test_one_queue_behind_two_addresses_is_paused_again_as_soon_as_one_lets_it_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway cannot know that it is one queue. It asks the stopped one again whenever another goes on."""
    monkeypatch.setattr("lockkeep.rounds.SLOW", 3600)  # it is in the same look, not half a second later
    post = Post()
    async with two(tmp_path, post, post) as home:
        first = await home.throw("integration:shop")
        await until_seen(home, first.id)
        second = await home.throw("integration:mail")
        await until_seen(home, second.id)
        told = len(post.told)

        await home.lift("integration:shop")
        await home.gateway.queues.run_once()
        assert ([paused for paused, _ in post.told[told:]], post.paused) == ([False, True], True)

        await home.lift("integration:mail")
        await home.gateway.queues.run_once()
        assert not post.paused
