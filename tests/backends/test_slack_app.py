"""The fake workspace with buttons, driven by Slack's own SDK: posts, renewals, whispers, signatures, Socket Mode."""

import json
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest

pytest.importorskip("slack_sdk", reason="Slack's own SDK drives the fake: pip install 'lockkeep[slack]'")

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode.builtin.client import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from tests.backends.fakes.slack import TOKEN
from tests.backends.fakes.slack_app import APP_TOKEN, SIGNING_SECRET, SlackApp, signed, slack_app

from lockkeep.notify.slackpress import is_signed
from told import until

BUTTON = {"type": "button", "action_id": "go", "value": "v", "text": {"type": "plain_text", "text": "Go"}}
BLOCKS: list[Any] = [{"type": "actions", "elements": [BUTTON]}]


async def sdk(slack: SlackApp, method: str, token: str = TOKEN, **body: Any) -> dict[str, Any]:
    def ask() -> dict[str, Any]:
        try:
            web: Any = WebClient(token, base_url=slack.url, retry_handlers=[])
            return dict(web.api_call(method, json=body).data)
        except SlackApiError as error:
            refused: Any = error.response
            return dict(refused.data)

    return await anyio.to_thread.run_sync(ask)


async def test_the_sdk_posts_buttons_renews_a_message_and_whispers() -> None:
    async with slack_app() as slack:
        posted = await sdk(slack, "chat.postMessage", channel="C0OPS", text="Hi", blocks=BLOCKS)
        shown = slack.buttons()
        await sdk(slack, "chat.update", channel="C0OPS", ts=posted["ts"], text="Over", blocks=[])
        gone = await sdk(slack, "chat.update", channel="C0OPS", ts="1.1", text="Over")
        whispered = await sdk(slack, "chat.postEphemeral", channel="C0OPS", user="U2", text="psst")
        large = await sdk(slack, "chat.postMessage", channel="C0OPS", text="Hi", blocks=BLOCKS * 51)

    assert [*shown] == ["go"]
    assert (slack.messages[0]["text"], slack.buttons()) == ("Over", {})
    assert (gone["error"], large["error"], whispered["ok"]) == ("message_not_found", "invalid_blocks", True)


async def test_the_sdk_verifies_what_the_fake_signs_and_we_agree_with_the_sdk() -> None:
    body = urlencode({"payload": json.dumps({"type": "block_actions"})}).encode()
    stamp = str(int(time.time()))
    right, wrong = signed(SIGNING_SECRET, stamp, body), signed("other", stamp, body)
    verifier = SignatureVerifier(SIGNING_SECRET)
    for signature in (right, wrong, ""):
        theirs = verifier.is_valid(body, stamp, signature)
        assert (
            is_signed(SIGNING_SECRET, body, stamp, signature, datetime.now(UTC))
            == theirs
            == (signature == right)
        )


async def test_the_sdk_listens_over_a_socket_and_confirms() -> None:
    heard: list[str] = []

    def listener(client: Any, request: Any) -> None:
        heard.append(request.payload["type"])
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))

    async with slack_app(sockets=True) as slack:
        client: Any = SocketModeClient(
            APP_TOKEN, web_client=WebClient(base_url=slack.url), auto_reconnect_enabled=False
        )
        client.proxy = None
        client.socket_mode_request_listeners.append(listener)
        try:
            await anyio.to_thread.run_sync(client.connect)
            socket = await slack.socket()
            assert await socket.press({"type": "block_actions"}, "env-1")
            await until(lambda: heard == ["block_actions"])
        finally:
            await anyio.to_thread.run_sync(client.close)


async def test_the_sdk_hears_that_a_token_is_of_another_kind() -> None:
    async with slack_app(sockets=True) as slack:
        assert (await sdk(slack, "apps.connections.open", TOKEN))["error"] == "invalid_auth"
        assert (await sdk(slack, "apps.connections.open", APP_TOKEN))["url"].startswith("ws://127.0.0.1:")
