"""Posts to Slack: the fake is driven by Slack's own SDK first, then by our adapter behind the server."""

import json
import os
import sqlite3
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest

pytest.importorskip("slack_sdk", reason="the chat adapter needs slack_sdk: pip install 'lockkeep[slack]'")

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from tests.backends.fakes.slack import TOKEN, FakeSlack, slack_server
from tests.unit.servers.desk import MONDAY, Desk
from tests.unit.servers.office import KEY, office, rows, state

from lockkeep_servers.check.cases import WORLD
from lockkeep_servers.check.reading import read_cases
from lockkeep_servers.check.run import check
from lockkeep_servers.check.target import named
from lockkeep_servers.kit.errors import NotFound, Unavailable
from lockkeep_servers.notify import port
from lockkeep_servers.notify.adapters.effects import reference_of
from lockkeep_servers.notify.adapters.slack import SlackChat
from lockkeep_servers.notify.server import SERVICE

Call = Callable[[Any], Any]
POST = {"channel": "ops", "text": "Stock is low", "ref": "ord_1"}


# Slack's own SDK against the fake


async def sdk(slack: FakeSlack, call: Call, token: str = TOKEN) -> dict[str, Any]:
    """What the SDK makes of it: its data, or the error it raised."""

    def ask() -> dict[str, Any]:
        try:
            return call(WebClient(token, base_url=slack.url, retry_handlers=[])).data
        except SlackApiError as error:
            refused: Any = error.response
            return {"status": refused.status_code, **refused.data}

    return await anyio.to_thread.run_sync(ask)


async def test_the_sdk_posts_finds_and_deletes() -> None:
    metadata = {"event_type": "lockkeep_message", "event_payload": {"reference": "r1"}}
    async with slack_server() as slack:
        assert (await sdk(slack, lambda web: web.auth_test()))["user_id"] == "U0BOT"
        posted = await sdk(
            slack, lambda web: web.chat_postMessage(channel="C0OPS", text="Hi", metadata=metadata)
        )
        plain = await sdk(slack, lambda web: web.conversations_history(channel="C0OPS"))
        whole = await sdk(
            slack, lambda web: web.conversations_history(channel="C0OPS", include_all_metadata=True)
        )
        gone = await sdk(slack, lambda web: web.chat_delete(channel="C0OPS", ts=posted["ts"]))
        again = await sdk(slack, lambda web: web.chat_delete(channel="C0OPS", ts=posted["ts"]))

    assert posted["message"]["text"] == "Hi"
    assert "metadata" not in plain["messages"][0]
    assert whole["messages"][0]["metadata"] == metadata
    assert (gone["ok"], again["error"]) == (True, "message_not_found")


async def test_the_sdk_walks_the_pages_of_a_history() -> None:
    async with slack_server() as slack:
        for number in range(7):
            await sdk(
                slack, lambda web, number=number: web.chat_postMessage(channel="C0OPS", text=str(number))
            )

        def walk(web: Any) -> Any:
            seen = [
                m["text"]
                for page in web.conversations_history(channel="C0OPS", limit=3)
                for m in page["messages"]
            ]
            return type("Seen", (), {"data": {"seen": seen}})

        assert await sdk(slack, walk) == {"seen": list("6543210")}


def says(channel: str = "C0OPS", **given: Any) -> Call:
    """The SDK warns of some of these itself, so the call is put together here."""
    return lambda web: web.api_call("chat.postMessage", json={"channel": channel, "text": "x", **given})


REFUSED: list[tuple[Call, str]] = [
    (says("C0NONE"), "channel_not_found"),
    (says("C0BOARD"), "not_in_channel"),
    (says(text=""), "no_text"),
    (says(text="x" * 40_001), "msg_too_long"),
    (says(metadata={"event_type": "a b", "event_payload": {}}), "invalid_metadata_format"),
    (lambda web: web.conversations_history(channel="C0OPS", limit=5000), "invalid_limit"),
    (lambda web: web.conversations_history(channel="C0OPS", cursor="mine"), "invalid_cursor"),
]


@pytest.mark.parametrize(("call", "error"), REFUSED, ids=[error for _, error in REFUSED])
async def test_the_sdk_hears_what_slack_refuses(call: Call, error: str) -> None:
    async with slack_server() as slack:
        assert (await sdk(slack, call))["error"] == error


async def test_the_sdk_hears_of_bad_tokens_scopes_and_limits() -> None:
    async with slack_server() as slack:
        assert (await sdk(slack, lambda web: web.auth_test(), token="xoxb-other"))["error"] == "invalid_auth"
        slack.breaks.append("429")
        assert (await sdk(slack, lambda web: web.auth_test()))["status"] == 429
        slack.scopes.clear()
        refused = await sdk(slack, lambda web: web.chat_postMessage(channel="C0OPS", text="x"))
    assert (refused["error"], refused["needed"]) == ("missing_scope", "chat:write")


# Our adapter, behind the server


def slack_settings(slack: FakeSlack, **settings: str) -> dict[str, str]:
    channels = "ops=C0OPS sales=C0SALES board=C0BOARD none=C0NONE"
    return {
        "CHAT_ADAPTER": "slack", "SLACK_TOKEN": TOKEN, "SLACK_URL": slack.url, "CHANNELS": channels, **settings,
    }  # fmt: skip


@asynccontextmanager
async def posting(folder: Path, **settings: str) -> AsyncGenerator[tuple[FakeSlack, Desk]]:
    async with slack_server() as slack, office(folder, MONDAY, **slack_settings(slack, **settings)) as desk:
        yield slack, desk


async def test_a_post_goes_once_and_undo_deletes_it(tmp_path: Path) -> None:
    async with posting(tmp_path) as (slack, desk):
        asked = {**POST, "idempotency_key": KEY}
        receipt = await desk.ok("post", **asked)
        assert await desk.ok("post", **asked) == {**receipt, "replayed": True}
        assert slack.texts() == ["Stock is low"]
        assert slack.channels["C0OPS"][0]["metadata"]["event_payload"] == {
            "reference": reference_of("post", KEY)
        }

        undone = await desk.undo("post", asked, receipt)

        assert (undone["after"], slack.texts()) == ({"state": "cancelled"}, [])
        assert await state(desk, receipt["id"]) == "cancelled"
        twice = await desk.ok("cancel", message_id=receipt["id"], reason="x", idempotency_key="step-0009")
        assert (twice["after"], slack.calls("chat.delete")) == ({}, 1)
        assert (await desk.ok("get_receipt", idempotency_key="step-0009"))["state"] == "committed"


async def test_a_dry_run_asks_slack_nothing_and_predicts_the_answer(tmp_path: Path) -> None:
    async with posting(tmp_path) as (slack, desk):
        predicted = await desk.ok("post", **POST, idempotency_key=KEY, dry_run=True)
        assert (slack.asked, rows(tmp_path, "SELECT * FROM messages")) == ([], [])
        assert await desk.ok("post", **POST, idempotency_key=KEY) == {**predicted, "applied": True}


async def test_a_text_pings_nobody_and_makes_no_link(tmp_path: Path) -> None:
    text = "<!channel> <@U1> <https://evil.example|our bank> & more"
    async with posting(tmp_path) as (slack, desk):
        await desk.ok("post", **{**POST, "text": text}, idempotency_key=KEY)

        assert slack.texts() == [
            "&lt;!channel&gt; &lt;@U1&gt; &lt;https://evil.example|our bank&gt; &amp; more"
        ]
        given = slack.asked[-1][1]
    assert (given["parse"], given["link_names"], given["unfurl_links"], given["mrkdwn"]) == (
        "none",
        False,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("channel", "breaks", "code", "retry"),
    [
        ("ops", "429", "rate_limited", "after:7"),
        ("ops", "invalid_auth", "auth", "no"),
        ("ops", "token_revoked", "auth", "no"),
        ("ops", "missing_scope", "forbidden", "no"),
        ("ops", "is_archived", "forbidden", "no"),
        ("ops", "msg_too_long", "invalid", "no"),
        ("board", "", "forbidden", "no"),
        ("none", "", "not_found", "no"),
    ],
)
async def test_what_slack_refuses_was_not_applied_and_its_key_is_free(
    channel: str, breaks: str, code: str, retry: str, tmp_path: Path
) -> None:
    async with posting(tmp_path) as (slack, desk):
        slack.breaks += [breaks] if breaks else []
        error = await desk.refused("post", **{**POST, "channel": channel}, idempotency_key=KEY)

        assert (error["code"], error["retry"]) == (code, retry)
        assert await desk.ok("get_receipt", idempotency_key=KEY) == {"state": "absent"}
        assert rows(tmp_path, "SELECT * FROM messages") == []
        if channel == "ops":
            await desk.ok("post", **POST, idempotency_key=KEY)
            assert slack.texts() == ["Stock is low"]


LOST = [
    "reset",
    "500",
    "503",
    "html",
    "half",
    "list",
    "redirect",
    "without_ts",
    "internal_error",
    "fatal_error",
    "who_knows",
]


@pytest.mark.parametrize("how", LOST)
async def test_a_post_whose_answer_was_lost_is_found_by_its_reference(how: str, tmp_path: Path) -> None:
    async with posting(tmp_path) as (slack, desk):
        slack.breaks.append(f"{how}_after")
        receipt = await desk.ok("post", **POST, idempotency_key=KEY)

        assert (slack.texts(), slack.calls("chat.postMessage")) == (["Stock is low"], 1)
        assert await state(desk, receipt["id"]) == "sent"
        await desk.ok("cancel", message_id=receipt["id"], reason="x")
        assert slack.texts() == []


@pytest.mark.parametrize("how", LOST)
async def test_a_post_that_is_not_found_is_unknown_until_it_surely_is_not_there(
    how: str, tmp_path: Path
) -> None:
    async with posting(tmp_path) as (slack, desk):
        slack.breaks.append(how)
        error = await desk.refused("post", **POST, idempotency_key=KEY)
        assert (error["code"], error["retry"]) == ("unknown_outcome", "verify")
        assert await state(desk, error["details"]["message_id"]) == "unknown"
        assert (await desk.refused("post", **POST, idempotency_key=KEY))["code"] == "unknown_outcome"
        assert (await desk.ok("get_receipt", idempotency_key=KEY, fence=True))["state"] == "unknown"
        assert slack.calls("chat.postMessage") == 1

        desk.later(seconds=90)

        assert await desk.ok("get_receipt", idempotency_key=KEY) == {"state": "absent"}
        await desk.ok("post", **POST, idempotency_key=KEY)
    assert slack.texts() == ["Stock is low"]


async def test_what_cannot_be_looked_up_stays_unknown(tmp_path: Path) -> None:
    async with posting(tmp_path) as (slack, desk):
        slack.breaks += ["reset_after", "503"]
        assert (await desk.refused("post", **POST, idempotency_key=KEY))["code"] == "unknown_outcome"
        desk.later(minutes=10)
        slack.scopes.discard("channels:history")
        assert (await desk.ok("get_receipt", idempotency_key=KEY))["state"] == "unknown"
        slack.scopes.add("channels:history")

        found = await desk.ok("get_receipt", idempotency_key=KEY, fence=True)

        assert (found["state"], found["receipt"]["after"]["state"]) == ("committed", "sent")
    assert (slack.texts(), slack.calls("chat.postMessage")) == (["Stock is low"], 1)


async def test_a_deletion_whose_answer_was_lost_is_looked_up_too(tmp_path: Path) -> None:
    async with posting(tmp_path) as (slack, desk):
        receipt = await desk.ok("post", **POST, idempotency_key=KEY)
        slack.breaks.append("reset")
        asked = {"message_id": receipt["id"], "reason": "x", "idempotency_key": "step-0002"}
        assert (await desk.refused("cancel", **asked))["code"] == "unknown_outcome"
        assert (slack.texts(), await state(desk, receipt["id"])) == (["Stock is low"], "sent")
        desk.later(seconds=90)
        slack.breaks += ["", "reset_after"]

        await desk.ok("cancel", **asked)

        assert (slack.texts(), await state(desk, receipt["id"])) == ([], "cancelled")


async def test_a_post_that_people_deleted_already_is_cancelled_all_the_same(tmp_path: Path) -> None:
    async with posting(tmp_path) as (slack, desk):
        receipt = await desk.ok("post", **POST, idempotency_key=KEY)
        slack.channels["C0OPS"].clear()

        await desk.ok("cancel", message_id=receipt["id"], reason="x")

        assert await state(desk, receipt["id"]) == "cancelled"


async def test_an_unknown_post_can_be_withdrawn(tmp_path: Path) -> None:
    async with posting(tmp_path) as (slack, desk):
        slack.breaks += ["reset_after", "503"]
        error = await desk.refused("post", **POST, idempotency_key=KEY)

        await desk.ok("cancel", message_id=error["details"]["message_id"], reason="x")

        assert slack.texts() == []
        desk.later(seconds=90)
        assert (await desk.ok("get_receipt", idempotency_key=KEY))["state"] == "committed"


async def test_sixteen_callers_with_one_key_make_one_post(tmp_path: Path) -> None:
    async with posting(tmp_path) as (slack, desk):
        codes: list[str] = []

        async def call() -> None:
            is_error, answer, _ = await desk.answer("post", **POST, idempotency_key=KEY)
            codes.append(answer["error"]["code"] if is_error else "ok")

        async with anyio.create_task_group() as callers:
            for _ in range(16):
                callers.start_soon(call)
        assert (await desk.ok("post", **POST, idempotency_key=KEY))["replayed"] is True

    assert set(codes) <= {"ok", "in_progress"}
    assert (slack.texts(), slack.calls("chat.postMessage")) == (["Stock is low"], 1)


async def test_a_fenced_key_never_posts_and_other_arguments_are_a_conflict(tmp_path: Path) -> None:
    async with posting(tmp_path) as (slack, desk):
        await desk.ok("get_receipt", idempotency_key="fenced-key", fence=True)
        assert (await desk.refused("post", **POST, idempotency_key="fenced-key"))["code"] == "cancelled"
        await desk.ok("post", **POST, idempotency_key=KEY)
        other = await desk.refused("post", **{**POST, "text": "Else"}, idempotency_key=KEY)
    assert (other["code"], slack.texts()) == ("idempotency_conflict", ["Stock is low"])


def begun(folder: Path) -> None:
    """The store as a kill leaves it between Slack's answer and our settling: begun on record."""
    connection = sqlite3.connect(folder / "notify.sqlite")
    with connection:
        connection.execute(
            "UPDATE receipts SET state = 'started', receipt = NULL, "
            "images = json_object('message', json_extract(receipt, '$.id'), 'receipt', receipt)"
        )
        connection.execute("UPDATE messages SET status = 'sending', place = NULL")
    connection.close()


async def test_what_was_begun_and_is_there_counts_at_once(tmp_path: Path) -> None:
    async with posting(tmp_path) as (slack, desk):
        receipt = await desk.ok("post", **POST, idempotency_key=KEY)
        begun(tmp_path)

        assert await desk.ok("post", **POST, idempotency_key=KEY) == {**receipt, "replayed": True}
        assert await state(desk, receipt["id"]) == "sent"
    assert slack.calls("chat.postMessage") == 1


async def test_what_was_begun_and_is_not_there_may_still_come_for_a_while(tmp_path: Path) -> None:
    async with posting(tmp_path) as (slack, desk):
        receipt = await desk.ok("post", **POST, idempotency_key=KEY)
        begun(tmp_path)
        slack.channels["C0OPS"].clear()
        assert (await desk.ok("get_receipt", idempotency_key=KEY, fence=True))["state"] == "started"
        assert (await desk.refused("post", **POST, idempotency_key=KEY))["code"] == "in_progress"
        assert (await desk.refused("cancel", message_id=receipt["id"], reason="x"))["code"] == "unavailable"

        desk.later(seconds=90)

        assert await desk.ok("get_receipt", idempotency_key=KEY, fence=True) == {"state": "cancelled"}
        assert rows(tmp_path, "SELECT * FROM messages") == []
    assert slack.calls("chat.postMessage") == 1


async def test_a_store_that_is_locked_after_slack_said_yes_promises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockkeep_servers.kit.sqlite.BUSY_S", 0.1)
    other = sqlite3.connect(tmp_path / "notify.sqlite", isolation_level=None)
    async with posting(tmp_path) as (slack, desk):
        slack.meanwhile = lambda: other.execute("BEGIN IMMEDIATE") and None
        assert (await desk.refused("post", **POST, idempotency_key=KEY))["code"] == "unknown_outcome"
        other.execute("ROLLBACK")
        other.close()

        assert (await desk.ok("post", **POST, idempotency_key=KEY))["replayed"] is True
    assert (slack.texts(), slack.calls("chat.postMessage")) == (["Stock is low"], 1)


async def test_a_full_disk_after_slack_said_yes_is_unknown_and_then_found(tmp_path: Path) -> None:
    async with slack_server() as slack:
        async with office(tmp_path, MONDAY, **slack_settings(slack, FAULT="disk_full:post")) as desk:
            assert (await desk.refused("post", **POST, idempotency_key=KEY))["code"] == "unknown_outcome"
        async with office(tmp_path, MONDAY, **slack_settings(slack)) as desk:
            assert (await desk.ok("post", **POST, idempotency_key=KEY))["replayed"] is True
    assert (slack.texts(), slack.calls("chat.postMessage")) == (["Stock is low"], 1)


ONE_POST = """
import json, os, sys
from datetime import datetime
import anyio
from lockkeep_servers.kit.arguments import parse
from lockkeep_servers.kit.receipts import Attempt
from lockkeep_servers.notify.port import Post
from lockkeep_servers.notify.server import SERVICE

async def main():
    now = datetime.fromisoformat(sys.argv[1])
    mailroom = SERVICE.open(SERVICE.settings(os.environ), lambda: now)
    ask = parse(Post, json.loads(sys.argv[2]))
    async with mailroom.session():
        await mailroom.post(ask, Attempt.of("post", ask))

anyio.run(main)
"""


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.parametrize("fault", ["crash_before:post", "crash_inside:post", "crash_after:post"])
async def test_a_killed_post_retried_is_there_once(fault: str, tmp_path: Path) -> None:
    async with slack_server() as slack:
        given = {"DATA": str(tmp_path), **slack_settings(slack), "FAULT": fault}
        environ = {**os.environ, **{f"LOCKKEEP_NOTIFY_{key}": value for key, value in given.items()}}
        asked = json.dumps({**POST, "idempotency_key": KEY})
        command = [sys.executable, "-c", ONE_POST, MONDAY.isoformat(), asked]
        died = await anyio.run_process(command, env=environ, check=False)
        assert died.returncode == 137
        assert slack.calls("chat.postMessage") == (fault != "crash_before:post")

        async with office(tmp_path, MONDAY, **slack_settings(slack)) as desk:
            desk.later(seconds=90)
            receipt = await desk.ok("post", **POST, idempotency_key=KEY)
            assert receipt["replayed"] == (fault != "crash_before:post")
            assert await state(desk, receipt["id"]) == "sent"

    assert (slack.texts(), slack.calls("chat.postMessage")) == (["Stock is low"], 1)


async def test_the_server_by_itself_settles_what_a_killed_one_began(tmp_path: Path) -> None:
    async with posting(tmp_path) as (slack, desk):
        receipt = await desk.ok("post", **POST)  # without a key nobody ever asks for its receipt
        begun(tmp_path)
        async with office(tmp_path, desk.now, **slack_settings(slack)) as other:
            other.later(seconds=120)
            with anyio.fail_after(10):
                while await state(other, receipt["id"]) != "sent":
                    await anyio.sleep(0.01)


async def test_the_token_follows_no_redirect(tmp_path: Path) -> None:
    async with posting(tmp_path) as (slack, desk):
        slack.breaks.append("redirect")
        await desk.refused("post", **POST, idempotency_key=KEY)
    assert "elsewhere" not in {method for method, _ in slack.asked}


async def test_slack_out_of_reach_means_not_applied(tmp_path: Path) -> None:
    async with slack_server() as slack:
        pass
    async with office(tmp_path, MONDAY, **slack_settings(slack)) as desk:
        error = await desk.refused("post", **POST, idempotency_key=KEY)

        assert (error["code"], error["retry"]) == ("unavailable", "same-key")
        assert await desk.ok("get_receipt", idempotency_key=KEY) == {"state": "absent"}


async def test_a_history_too_long_to_see_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lockkeep_servers.notify.adapters.slack.PAGE", 2)
    async with slack_server() as slack:
        chat = SlackChat(TOKEN, slack.url)
        for number in range(30):
            await chat.post(port.Note("C0OPS", f"n{number}", f"r{number}"))
        assert (await chat.find("C0OPS", "r29", slack.now - 60) or "").startswith("C0OPS/")
        assert await chat.find("C0OPS", "r29", slack.now + 3600) is None
        with pytest.raises(Unavailable):
            await chat.find("C0OPS", "r0", slack.now - 60)
        with pytest.raises(NotFound):
            await chat.find("C0NONE", "r0", 0)


@pytest.mark.parametrize(("token", "level"), [(TOKEN, "ok"), ("xoxb-other", "unusable")])
async def test_the_doctor_asks_slack_who_we_are(token: str, level: str, tmp_path: Path) -> None:
    async with slack_server() as slack:
        settings = {"DATA": str(tmp_path), **slack_settings(slack, SLACK_TOKEN=token)}
        found = await SERVICE.examine({f"LOCKKEEP_NOTIFY_{key}": value for key, value in settings.items()})

    assert [one.level for one in found if "Slack" in one.what] == [level]
    assert {method for method, _ in slack.asked} == {"auth.test"}
    assert token not in str(found)


async def test_nothing_private_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    async with posting(tmp_path) as (slack, desk):
        for how in ("500_after", "html", "reset", "invalid_auth"):
            slack.breaks.append(how)
            await desk.answer("post", **{**POST, "text": "canary-text"}, idempotency_key=f"step-{how}")
    said = "\n".join(
        record.getMessage() for record in caplog.records if record.name.startswith(("slack", "lockkeep"))
    )
    assert "tool=notify.post" in said
    assert not [word for word in ("canary-text", TOKEN, "sadness", "Log in") if word in said]


@pytest.mark.full
async def test_the_ten_points_hold(tmp_path: Path) -> None:
    numbers = count()
    async with slack_server() as slack:

        def fresh() -> dict[str, str]:
            slack.channels["C0OPS"].clear()
            given = {
                "DATA": str(tmp_path / str(next(numbers))),
                **WORLD,
                **slack_settings(slack, CHANNELS="ops=C0OPS"),
            }
            return {f"LOCKKEEP_NOTIFY_{key}": value for key, value in given.items()}

        cases = read_cases(SERVICE.folder / "conformance.yaml")
        report = await check(named("notify", "slack", fresh=fresh), cases)

    assert [(each.point, each.tool, each.case, each.sentence) for each in report.failed] == []
    assert report.reaches("silver")
