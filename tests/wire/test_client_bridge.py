"""The bridge between a raw stdio host and a real MCP server, in both eras."""

import json
import logging
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from anyio import to_thread
from tests.unit.client.cut import CUTS, NEVER_ARRIVES, cutting
from tests.unit.client.stand_in import NAMES, TOKEN, StandIn
from tests.unit.client.stdio_host import ERAS, Host, hosting

from lockkeep_client.wire import MAX_FRAME

UNKNOWN = (
    "The connection to the gateway was lost after the call was sent: outcome unknown; ask lockkeep_status."
)
OPENING = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "host", "version": "1"},
}


@pytest.fixture(scope="module")
async def running() -> AsyncGenerator[StandIn]:
    async with StandIn().running() as started:
        yield started


@pytest.fixture
def gateway(running: StandIn) -> StandIn:
    running.reset()
    return running


@pytest.fixture(params=ERAS)
async def host(request: pytest.FixtureRequest, gateway: StandIn) -> AsyncGenerator[Host]:
    async with hosting(gateway.url, request.param) as entered:
        yield entered


def lead(answer: dict[str, Any]) -> tuple[Any, Any]:
    """The id and the arguments that came back."""
    return answer["id"], answer["result"]["structuredContent"]["args"]


async def test_a_call_comes_back_with_everything_the_gateway_said(host: Host) -> None:
    answer = await host.ask(host.call("a", "crm_assign_owner", lead="led_1"))

    assert answer["result"]["structuredContent"] == {"lead": "led_1", "args": {"lead": "led_1"}}
    assert answer["result"]["_meta"]["lockkeep/call"] == {
        "id": "call_1",
        "outcome": "succeeded",
        "deduplicated": False,
    }


async def test_a_denial_comes_back_as_a_result(host: Host) -> None:
    answer = await host.ask(host.call(1, "crm_stopped"))

    assert answer["result"]["isError"] is True
    assert answer["result"]["content"][0]["text"].startswith("DENIED rule=crm/no-weekend")


async def test_progress_comes_before_the_answer(host: Host) -> None:
    await host.say(host.call(1, "crm_progress", {"progressToken": "p"}))

    told = [await host.hear(), await host.hear(), await host.hear()]
    assert [frame.get("params", {}).get("progress") for frame in told] == [1, 2, None]
    assert lead(told[2]) == (1, {})


async def test_names_and_arguments_need_not_be_ascii(host: Host) -> None:
    assert lead(await host.ask(host.call(1, "crm_größe", größe="ü\u2028"))) == (1, {"größe": "ü\u2028"})


async def test_cancelling_closes_the_post_and_is_not_answered(host: Host, gateway: StandIn) -> None:
    await host.say(host.call(1, "crm_slow"))
    assert await to_thread.run_sync(gateway.begun.wait, 10)
    posts = len(gateway.posts)

    await host.say(host.cancelled("1"), host.cancelled(1))

    assert await to_thread.run_sync(gateway.ended.wait, 10)
    assert lead(await host.ask(host.call(2, "crm_assign_owner"))) == (2, {})
    assert len(gateway.posts) == posts + 1


async def test_fifty_calls_at_once_each_get_their_own_answer(host: Host, gateway: StandIn) -> None:
    await host.say(*(host.call(n, "crm_assign_owner", n=n) for n in range(50)))

    answers = [await host.hear() for _ in range(50)]
    assert sorted(lead(answer) for answer in answers) == [(n, {"n": n}) for n in range(50)]
    assert len(gateway.effects) == 50


async def test_a_frame_of_four_mib_passes_and_one_byte_more_does_not(host: Host, gateway: StandIn) -> None:
    empty = len(json.dumps(host.call(1, "crm_assign_owner", text=""), ensure_ascii=False))
    just, over = (host.call(1, "crm_assign_owner", text="x" * (MAX_FRAME - empty + more)) for more in (0, 1))

    assert lead(await host.ask(just)) == (1, just["params"]["arguments"])
    assert await host.ask(over) == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": -32600, "message": "The request is larger than the gateway takes (4 MiB)."},
    }
    assert (len(gateway.effects), len(gateway.posts)) == (1, 1)


@pytest.mark.parametrize(
    ("line", "code"), [(b"{nonsense\n", -32700), (b"[]\n", -32600), (b"7\n", -32600), (b"\xff\n", -32700)]
)
async def test_a_line_that_is_no_frame_is_answered_and_not_sent(
    host: Host, gateway: StandIn, line: bytes, code: int
) -> None:
    await host.say(b"\n", line)

    answer = await host.hear()
    assert (answer["id"], answer["error"]["code"], gateway.posts) == (None, code, [])


async def test_the_frame_is_posted_byte_for_byte_with_the_token(gateway: StandIn) -> None:
    async with hosting(gateway.url) as host:
        frame = json.dumps(host.call(1, "crm_assign_owner", n=1.50), indent=None, separators=(" ,", " : "))
        await host.say(frame.encode() + b"\n")
        await host.hear()

    sent = gateway.posts[-1]
    assert (sent["content-length"], sent["authorization"]) == (str(len(frame)), f"Bearer {TOKEN}")


async def test_a_refusal_without_an_id_gets_the_requests_id(gateway: StandIn) -> None:
    gateway.instead = (
        400,
        "application/json",
        b'{"jsonrpc":"2.0","id":null,\n"error":{"code":-32600,"message":"x"}}',
    )
    async with hosting(gateway.url) as host:
        answer = await host.ask(host.call("a", "crm_assign_owner"))

    assert answer == {"jsonrpc": "2.0", "id": "a", "error": {"code": -32600, "message": "x"}}


@pytest.mark.parametrize(
    "eras", [("modern", "legacy"), ("legacy", "modern"), ("odd", "legacy"), ("legacy", "odd", "modern")]
)
async def test_hosts_may_try_the_eras_in_any_order(gateway: StandIn, eras: tuple[str, ...]) -> None:
    async with hosting(gateway.url) as host:
        for era in eras:
            host.era = "legacy" if era == "legacy" else "modern"
            opening = (
                host.request(1, "initialize", **OPENING)
                if era == "legacy"
                else host.request(1, "server/discover")
            )
            if era == "odd":
                opening["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2099-01-01"
            answer = await host.ask(opening)
            assert ("error" in answer) == (era == "odd")
        assert lead(await host.ask(host.call(2, "crm_assign_owner"))) == (2, {})


async def test_the_negotiated_version_goes_with_every_legacy_frame(gateway: StandIn) -> None:
    async with hosting(gateway.url, "legacy") as host:
        await host.ask(host.request(1, "initialize", **OPENING))
        await host.ask(host.request(2, "tools/list"))

    assert [post.get("mcp-protocol-version") for post in gateway.posts] == [None, "2025-06-18"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_restart_of_the_gateway_is_not_noticed(era: str) -> None:
    gateway = StandIn()
    async with hosting(gateway.url, era) as host:
        for id in (1, 2):
            async with gateway.running():
                assert lead(await host.ask(host.call(id, "crm_assign_owner"))) == (id, {})


async def test_a_session_a_legacy_gateway_forgot_is_opened_anew() -> None:
    gateway = StandIn(stateless=False)
    async with hosting(gateway.url, "legacy") as host:
        async with gateway.running():
            await host.say(host.request(1, "initialize", **OPENING))
            await host.hear()
            await host.say({"jsonrpc": "2.0", "method": "notifications/initialized"})
            assert lead(await host.ask(host.call(2, "crm_assign_owner", n=2))) == (2, {"n": 2})
        async with gateway.running():
            assert lead(await host.ask(host.call(3, "crm_assign_owner", n=3))) == (3, {"n": 3})
            assert await host.hang_up() == []

    assert gateway.effects == [{"n": 2}, {"n": 3}]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("cut", CUTS)
async def test_a_call_whose_connection_breaks_is_answered_unknown_and_sent_once(
    gateway: StandIn, cut: str, era: str
) -> None:
    async with cutting(gateway.port, cut) as url, hosting(url, era) as host:
        answer = await host.ask(host.call(1, "crm_progress", n=1))

    assert answer == {"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": UNKNOWN}}
    assert gateway.effects == ([] if cut in NEVER_ARRIVES else [{"n": 1}])


@pytest.mark.parametrize(
    "instead", [(502, "text/html", b"<html>"), (200, "text/html", b"<html>"), (202, "x/y", b"")]
)
async def test_an_odd_answer_to_a_call_is_unknown(
    host: Host, gateway: StandIn, instead: tuple[int, str, bytes]
) -> None:
    gateway.instead = instead

    assert (await host.ask(host.call(1, "crm_assign_owner")))["error"] == {"code": -32000, "message": UNKNOWN}


async def offered(host: Host) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """The tools, what lockkeep_status says, and what any other call gets."""
    opening = "server/discover" if host.era == "modern" else "initialize"
    assert "result" in await host.ask(
        host.request(1, opening, **(OPENING if opening == "initialize" else {}))
    )
    tools = (await host.ask(host.request(2, "tools/list")))["result"]["tools"]
    status = (await host.ask(host.call(3, "lockkeep_status")))["result"]
    other = (await host.ask(host.call(4, "crm_assign_owner")))["result"]
    return [tool["name"] for tool in tools], status["structuredContent"], other["structuredContent"]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("trouble", "command"),
    [
        ("no token", "token set"),
        ("down", "doctor"),
        ("502", "doctor"),
        ("page", "doctor"),
        ("hung", "doctor"),
    ],
)
async def test_without_a_gateway_only_status_is_offered_and_says_what_to_run(
    gateway: StandIn, monkeypatch: pytest.MonkeyPatch, era: str, trouble: str, command: str
) -> None:
    monkeypatch.setattr("lockkeep_client.bridge.SETUP_S", 0.1)
    url = StandIn().url if trouble == "down" else gateway.url
    gateway.instead = {"502": (502, "text/html", b"<html>"), "page": (200, "text/html", b"<html>")}.get(
        trouble
    )
    async with hosting(url, era, None if trouble == "no token" else TOKEN) as host:
        if trouble in ("no token", "down"):
            tools, status, other = await offered(host)
            assert (other["status"], other["retry"]) == ("denied", "later")
        else:
            gateway.hangs = trouble == "hung"
            tools = [
                tool["name"] for tool in (await host.ask(host.request(2, "tools/list")))["result"]["tools"]
            ]
            gateway.hangs, gateway.instead = False, (502, "text/html", b"")
            status = (await host.ask(host.call(3, "lockkeep_status")))["result"]["structuredContent"]
    assert tools == ["lockkeep_status"]
    assert f"lockkeep-client {command}" in status["next"]


async def test_a_legacy_host_hears_of_the_tools_when_the_gateway_comes_up() -> None:
    gateway = StandIn()
    async with hosting(gateway.url, "legacy") as host:
        assert (await offered(host))[0] == ["lockkeep_status"]
        async with gateway.running():
            answer = await host.ask(host.call(5, "lockkeep_status"))
            assert answer["result"]["structuredContent"] == {"user": "ana", "calls": []}
            assert await host.hear() == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
            listed = (await host.ask(host.request(6, "tools/list")))["result"]["tools"]

    assert [tool["name"] for tool in listed] == list(NAMES)


async def test_a_gateway_that_went_away_does_not_empty_the_hosts_list() -> None:
    gateway = StandIn()
    async with hosting(gateway.url) as host:
        async with gateway.running():
            await host.ask(host.request(1, "tools/list"))
        assert (await host.ask(host.request(2, "tools/list")))["error"]["code"] == -32000


async def test_answers_under_way_still_come_after_the_host_closed_its_end(host: Host) -> None:
    await host.say(host.call(1, "crm_assign_owner"))

    assert [lead(answer) for answer in await host.hang_up()] == [(1, {})]


async def test_what_hangs_does_not_hold_up_the_end(host: Host, gateway: StandIn) -> None:
    await host.say(host.call(1, "crm_slow"))
    assert await to_thread.run_sync(gateway.begun.wait, 10)

    assert await host.hang_up() == []


async def test_frames_and_token_are_never_logged(gateway: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    gateway.instead = (502, "text/html", b"secret-answer")
    with caplog.at_level(logging.DEBUG, logger="lockkeep_client"):
        async with hosting(gateway.url) as host:
            await host.ask(host.call(1, "crm_assign_owner", note="secret-argument"))
            await host.ask(host.request(2, "tools/list"))

    assert "tools/call: HTTP 502 text/html" in caplog.text
    assert not [word for word in ("secret", "crm_", TOKEN) if word in caplog.text]
