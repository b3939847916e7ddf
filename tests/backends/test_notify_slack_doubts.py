"""Posts to Slack that are in doubt: nothing counts as absent while somebody may still be at it, or the page has no end."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("slack_sdk", reason="the chat adapter needs slack_sdk: pip install 'lockkeep[slack]'")

from starlette.responses import Response
from tests.backends.fakes.slack import FakeSlack, slack_server
from tests.backends.test_notify_slack import POST, posting, slack_settings
from tests.unit.servers.desk import MONDAY, Desk
from tests.unit.servers.office import KEY, office, state

from lockkeep_servers.kit.errors import ToolError, UnknownOutcome
from lockkeep_servers.kit.settings import SettingError
from lockkeep_servers.notify import port
from lockkeep_servers.notify.adapters.outside import LAPSE_S
from lockkeep_servers.notify.adapters.slack import SlackChat
from lockkeep_servers.notify.server import build

NOTE = port.Note("C0OPS", "Hi", "r1")


@asynccontextmanager
async def answering(
    monkeypatch: pytest.MonkeyPatch, status: int, headers: dict[str, str], body: bytes
) -> AsyncGenerator[SlackChat]:
    def answer(*_: object) -> Response:
        return Response(body, status, headers)

    monkeypatch.setattr(FakeSlack, "_break", answer)
    async with slack_server() as slack:
        slack.breaks += ["so"] * 5
        yield SlackChat("xoxb-fake-token", slack.url)


@pytest.mark.parametrize(("said", "retry"), [("7", "after:7"), ("9" * 30, "after:3600"), ("9" * 5000, "after:3600"), ("0", "after:1"), ("soon", "after:30")])  # fmt: skip
async def test_a_pause_has_an_end(said: str, retry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering(monkeypatch, 429, {"Retry-After": said}, b'{"ok": false, "error": "ratelimited"}') as chat:  # fmt: skip
        with pytest.raises(ToolError) as caught:
            await chat.post(NOTE)
    assert (caught.value.code, caught.value.retry) == ("rate_limited", retry)


@pytest.mark.parametrize(
    ("kind", "body"),
    [("text/html; charset=nonsense", b"sad"), ("application/json", b'{"ok": false, "error": "is_archived", "pad": "' + b"x" * 6_000_000 + b'"}')],
)  # fmt: skip
async def test_an_error_in_no_form_of_ours_proves_nothing(kind: str, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """A character set nobody knows, or more than we read."""
    async with answering(monkeypatch, 500, {"Content-Type": kind}, body) as chat:
        with pytest.raises(UnknownOutcome):
            await chat.post(NOTE)
        assert [finding.level for finding in await chat.examine()] == ["unusable"]


async def test_a_history_that_breaks_off_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"ok": true, "messages": [], "has_more": true, "is_limited": true}'
    async with answering(monkeypatch, 200, {"Content-Type": "application/json"}, body) as chat:
        with pytest.raises(ToolError) as caught:
            await chat.find("C0OPS", "r1", MONDAY.timestamp())
    assert caught.value.code == "unavailable"


@pytest.mark.parametrize("url", ["https://[", "https://slack.com:x/", "//"])
def test_an_address_that_is_none_ends_the_start(url: str, tmp_path: Path) -> None:
    given = {"DATA": str(tmp_path), "CHAT_ADAPTER": "slack", "SLACK_TOKEN": "xoxb", "SLACK_URL": url, "CHANNELS": "ops=C0OPS"}  # fmt: skip
    with pytest.raises(SettingError):
        build({f"LOCKKEEP_NOTIFY_{key}": value for key, value in given.items()}, lambda: MONDAY)


# Somebody may still be at it


@asynccontextmanager
async def at_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[tuple[FakeSlack, Desk, anyio.Event, list[Any]]]:  # fmt: skip
    """A post that is under way until it is let go, and what it was answered in the end."""
    begun, go, answers = anyio.Event(), anyio.Event(), list[Any]()
    post = SlackChat.post

    async def slow(self: SlackChat, note: port.Note) -> str:
        begun.set()
        await go.wait()
        return await post(self, note)

    monkeypatch.setattr(SlackChat, "post", slow)
    async with posting(folder) as (slack, desk), anyio.create_task_group() as tasks:

        async def call() -> None:
            answers.append(await desk.answer("post", **POST, idempotency_key=KEY))

        tasks.start_soon(call)
        await begun.wait()
        try:
            yield slack, desk, go, answers
        finally:
            go.set()


@pytest.mark.parametrize("who", ["itself", "another"])
async def test_what_somebody_is_still_at_is_not_declared_absent(
    who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_it(tmp_path, monkeypatch) as (slack, desk, go, answers):
        desk.later(seconds=LAPSE_S + 1)
        async with office(tmp_path, desk.now, **slack_settings(slack)) as other:
            asked = desk if who == "itself" else other
            assert (await asked.ok("get_receipt", idempotency_key=KEY, fence=True))["state"] == "started"
            go.set()
            while not answers:
                await anyio.sleep(0.01)
            assert (await asked.ok("get_receipt", idempotency_key=KEY, fence=True))["state"] == "committed"
    assert (answers[0][0], slack.texts()) == (False, ["Stock is low"])


@pytest.mark.parametrize("who", ["itself", "another"])
async def test_what_was_lost_late_may_still_come_for_a_while(
    who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_it(tmp_path, monkeypatch) as (slack, desk, go, answers):
        desk.later(seconds=LAPSE_S + 1)
        slack.breaks.append("reset")
        go.set()
        while not answers:
            await anyio.sleep(0.01)
        assert answers[0][1]["error"]["code"] == "unknown_outcome"
        async with office(tmp_path, desk.now, **slack_settings(slack)) as other:
            asked = desk if who == "itself" else other
            assert (await asked.ok("get_receipt", idempotency_key=KEY, fence=True))["state"] == "unknown"
            asked.later(seconds=LAPSE_S)
            assert (await asked.ok("get_receipt", idempotency_key=KEY, fence=True))["state"] == "cancelled"


async def test_a_post_that_may_still_come_is_not_withdrawn(tmp_path: Path) -> None:
    async with posting(tmp_path) as (slack, desk):
        slack.breaks.append("reset")
        id = (await desk.refused("post", **POST, idempotency_key=KEY))["details"]["message_id"]
        asked = {"message_id": id, "reason": "x", "idempotency_key": "step-0002"}
        error = await desk.refused("cancel", **asked)
        assert (error["code"], await state(desk, id)) == ("unavailable", "unknown")
        assert await desk.ok("get_receipt", idempotency_key="step-0002") == {"state": "absent"}
        desk.later(seconds=LAPSE_S)
        assert (await desk.ok("cancel", **asked))["after"] == {"state": "cancelled"}


async def test_a_look_from_before_a_second_try_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go, states = anyio.Event(), anyio.Event(), list[str]()
    post, find = SlackChat.post, SlackChat.find

    async def slow(self: SlackChat, note: port.Note) -> str:
        begun.set()
        await go.wait()
        return await post(self, note)

    async with posting(tmp_path) as (slack, desk), anyio.create_task_group() as tasks:
        slack.breaks.append("reset")
        await desk.refused("post", **POST, idempotency_key=KEY)
        desk.later(seconds=LAPSE_S)

        async def again() -> None:
            await desk.ok("post", **POST, idempotency_key=KEY)

        async def found(self: SlackChat, address: str, reference: str, since: float) -> str | None:
            """While the answer of this look travels, the other process tries again."""
            seen = await find(self, address, reference, since)
            monkeypatch.setattr(SlackChat, "find", find)
            monkeypatch.setattr(SlackChat, "post", slow)
            tasks.start_soon(again)
            await begun.wait()
            return seen

        async with office(tmp_path, desk.now, **slack_settings(slack)) as other:
            monkeypatch.setattr(SlackChat, "find", found)
            states.append((await other.ok("get_receipt", idempotency_key=KEY, fence=True))["state"])
            go.set()
            while not slack.texts():
                await anyio.sleep(0.01)
            states.append((await other.ok("get_receipt", idempotency_key=KEY, fence=True))["state"])
    assert states == ["started", "committed"]
