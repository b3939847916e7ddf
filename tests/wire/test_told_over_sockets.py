"""Slack's Socket Mode: buttons are heard over an outgoing connection, each envelope once, confirmed once it counts (P2, P4)."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("slack_sdk", reason="Socket Mode needs slack_sdk: pip install 'lockkeep[slack]'")

from tests.backends.fakes.slack import TOKEN
from tests.backends.fakes.slack_app import APP_TOKEN, SlackApp, slack_app

from lockkeep.errors import StoreUnavailable
from lockkeep.notify.slackcard import APPROVE, DENY
from lockkeep.notify.votes import Votes
from told import PAY, RULES, WHO, ask, telling, until
from wire.test_told_in_slack import BO, CY, TWO, Room

SLACK = (
    "  ops: {{kind: slack, channel: C0OPS, token: env:SLACK_TOKEN, app_token: env:SLACK_APP, api: '{url}'}}\n"
)


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_TOKEN", TOKEN)
    monkeypatch.setenv("SLACK_APP", APP_TOKEN)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # nobody asks it


def channel(slack: SlackApp) -> str:
    return SLACK.format(url=slack.url)


@asynccontextmanager
async def room(folder: Path, rules: str = RULES) -> AsyncGenerator[Room]:
    async with slack_app(sockets=True) as slack, telling(folder, channel(slack), rules=rules) as home:
        found = Room(home, slack)
        found.asked = await ask(home, dict(PAY))
        await until(lambda: bool(slack.messages))
        yield found


@pytest.mark.promise("P2", "P4")
async def test_a_press_over_a_socket_is_a_vote_once_however_often_the_envelope_comes(tmp_path: Path) -> None:
    async with room(tmp_path, TWO) as here:
        socket = await here.slack.socket()
        first = here.slack.pressed(APPROVE, BO)
        confirmed = [await socket.press(first, "env-1") for _ in range(3)]
        nobody = await socket.press(here.slack.pressed(APPROVE, "U404"), "env-2")
        stolen = await socket.press(here.slack.pressed(APPROVE, CY), "env-1")  # an envelope that was heard
        votes = here.votes
        await socket.press(here.slack.pressed(APPROVE, CY), "env-3")
        await until(lambda: here.home.states() == ["succeeded"])

        assert (confirmed, nobody, stolen) == ([True] * 3, True, True)
        assert votes == [("bo", "approve", "slack")]
        assert here.votes[1:] == [("cy", "approve", "slack")]
        assert len(here.refusals) == 1
        assert len(here.home.shop.effects) == 1
        assert here.home.troubles() == []


@pytest.mark.full
@pytest.mark.promise("P2", "P4")
async def test_an_envelope_of_before_a_restart_is_not_heard_again(tmp_path: Path) -> None:
    async with slack_app(sockets=True) as slack:
        async with telling(tmp_path, channel(slack), rules=TWO) as home:
            here = Room(home, slack, await ask(home, dict(PAY)))
            await until(lambda: bool(slack.messages))
            yes = slack.pressed(APPROVE, BO)
            await (await slack.socket()).press(yes, "env-1")
            assert here.votes == [("bo", "approve", "slack")]
        await until(lambda: not any(each.live for each in slack.sockets))
        async with telling(tmp_path, channel(slack), rules=TWO) as home:
            here = Room(home, slack, here.asked)
            socket = await slack.socket()
            assert await socket.press(slack.pressed(DENY, BO), "env-1")  # the same envelope, another decision
            assert (here.votes, home.states()) == ([("bo", "approve", "slack")], ["pending_approval"])


@pytest.mark.full
async def test_a_connection_that_breaks_is_made_again_and_meanwhile_status_says_so(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        first = await here.slack.socket()
        here.slack.breaks = ["503", "invalid_auth"]
        first.cut()
        await until(lambda: bool(here.home.troubles()))
        await until(lambda: not here.home.troubles())
        second = await here.slack.socket()
        assert second is not first
        assert await second.press(here.slack.pressed(APPROVE, BO), "env-1")
        await until(lambda: here.home.states() == ["succeeded"])


@pytest.mark.full
async def test_slack_asks_for_a_new_connection_and_nothing_is_lost(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        first = await here.slack.socket()
        await first.say({"type": "disconnect", "reason": "refresh_requested"})
        await until(lambda: len(here.slack.sockets) == 2)
        second = here.slack.sockets[-1]
        await until(lambda: second.live)
        assert await second.press(here.slack.pressed(APPROVE, BO), "env-1")
        await until(lambda: here.home.states() == ["succeeded"])


@pytest.mark.full
@pytest.mark.promise("P2")
async def test_a_press_that_could_not_be_kept_is_not_confirmed_and_counts_when_it_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with room(tmp_path) as here:
        socket = await here.slack.socket()
        kept, tries = Votes._cast, list[str]()  # pyright: ignore[reportPrivateUsage]

        def broken(*_: object) -> tuple[str, str]:
            tries.append("no")
            raise StoreUnavailable

        monkeypatch.setattr(Votes, "_cast", broken)
        await socket.press(here.slack.pressed(APPROVE, BO), "env-1", wait=False)
        await until(lambda: tries == ["no"])
        monkeypatch.setattr(Votes, "_cast", kept)
        assert socket.confirmed("env-1") == 0
        assert await socket.press(here.slack.pressed(APPROVE, BO), "env-1")
        await until(lambda: here.home.states() == ["succeeded"])


@pytest.mark.full
@pytest.mark.promise("P4")
@pytest.mark.parametrize("user", ["U404", WHO["ana"], WHO["olga"], WHO["dee"]])
async def test_whoever_may_not_vote_may_not_vote_over_a_socket_either(tmp_path: Path, user: str) -> None:
    async with room(tmp_path) as here:
        socket = await here.slack.socket()
        assert await socket.press(here.slack.pressed(APPROVE, user), "env-1")
        assert (here.votes, len(here.refusals), here.home.states()) == ([], 1, ["pending_approval"])


@pytest.mark.full
async def test_an_address_that_is_not_slacks_is_not_connected_to(tmp_path: Path) -> None:
    addresses = (
        "wss://evil.example/link",
        "ws://wss.slack.com/link",
        "wss://wss.slack.com:8443/link",
        "wss://slack.com.evil.example/",
    )
    for place, address in enumerate(addresses):
        async with slack_app(sockets=True) as slack:
            slack.socket_url = address
            async with telling(tmp_path / str(place), channel(slack)) as home:
                await until(lambda: bool(home.troubles()))
                assert home.troubles() == ["ops: Slack named an address that is not Slack's"]
