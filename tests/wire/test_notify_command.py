"""`lockkeep notify test`, `status` and `doctor`: whether people are told, and what is wrong, in plain words."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.backends.fakes.slack import TOKEN
from tests.backends.fakes.slack_app import SIGNING_SECRET, slack_app
from typer.testing import CliRunner

from lockkeep.cli.commands import app
from lockkeep.errors import NotFound
from told import SECRET, ask, listener, telling, until
from wire.test_told_in_slack import SLACK

HOOK = "  siem: {{kind: webhook, url: {url}, secret: env:HOOK_SECRET}}\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "LOCKKEEP_DATA": str(tmp_path / "data"), "LOCKKEEP_POLICIES": str(tmp_path / "policies"), "HOOK_SECRET": SECRET,
        "SLACK_TOKEN": TOKEN, "SLACK_SECRET": SIGNING_SECRET,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


async def run(*words: str) -> Any:
    """The command in a thread, so that those it talks to can answer."""
    return await anyio.to_thread.run_sync(lambda: CliRunner().invoke(app, [*words, "--json"]))


async def test_each_channel_gets_a_test_message_and_says_what_is_wrong(tmp_path: Path) -> None:
    async with slack_app() as slack, listener() as out:
        slack.breaks = ["not_in_channel"]
        async with telling(tmp_path, SLACK.format(url=slack.url) + HOOK.format(url=out.url)) as home:
            wrong = await run("notify", "test")
            right = await run("notify", "test", "ops")
            unknown = await run("notify", "test", "opps")
            quiet = json.loads((await run("status")).output)["notify"]
            out.answers = ["503 Busy"] * 9
            await ask(home)
            await until(lambda: bool(home.troubles()))
            loud = json.loads((await run("status")).output)["notify"]
            doctor = {each["check"]: each for each in json.loads((await run("doctor")).output)}

    assert (wrong.exit_code, right.exit_code) == (1, 0)
    assert json.loads(wrong.output) == [
        {
            "channel": "ops",
            "kind": "slack",
            "ok": False,
            "says": "the Slack app is not in the channel; invite it there",
        },
        {"channel": "siem", "kind": "webhook", "ok": True, "says": "127.0.0.1 is 127.0.0.1"},
    ]
    assert json.loads(right.output)[0]["says"] == "Slack knows us as bot in T"
    assert slack.texts()[0] == "Test message of house"
    assert out.events[0] == "test"
    assert isinstance(unknown.exception, NotFound)
    assert (quiet, loud) == (
        ["ops, siem: all told"],
        ["siem: 1 message not delivered yet: 127.0.0.1 answered 503"],
    )
    assert not doctor["people are told"]["ok"]


@pytest.mark.full
async def test_without_a_channel_it_says_how_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with telling(tmp_path, HOOK.format(url="https://hook.example/")) as home:
        monkeypatch.delenv("HOOK_SECRET")
        missing = json.loads((await run("notify", "test")).output)
        rules = home.gateway.in_force.current
        assert rules is not None
        await home.rules(gateway=rules.files["gateway.yaml"].partition("notify:")[0])
        none = await run("notify", "test")

    assert missing[0]["says"].startswith("secret: ")
    assert "env:HOOK_SECRET is not set" in missing[0]["says"]
    assert "names no channel" in str(none.exception)
