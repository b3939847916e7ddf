"""`GatewayClient` and its twin against a real MCP server."""

import inspect
import socket
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from anyio import to_thread
from tests.unit.client.cut import CUTS, NEVER_ARRIVES, cutting
from tests.unit.client.stand_in import NAMES, TOKEN, StandIn

from lockkeep_client import (
    BadRequest,
    Denied,
    Failed,
    GatewayClient,
    GatewayClientSync,
    GatewayUnreachable,
    NotLoggedIn,
    Pending,
    Progress,
    Succeeded,
    Unknown,
)

ASK = "Ask status() what happened; do not send the call again under a new key."
PARKED = Pending(
    call_id="call_1",
    approval_id="apr_1",
    reason="More than 10 leads at once.",
    approvers=("ana", "ben"),
    expires_at=datetime(2026, 11, 23, 9, tzinfo=UTC),
    url="http://127.0.0.1:8700/approvals/apr_1",
    next="Call lockkeep_wait.",
)


@pytest.fixture(scope="module")
async def running() -> AsyncGenerator[StandIn]:
    async with StandIn().running() as started:
        yield started


@pytest.fixture
def gateway(running: StandIn) -> StandIn:
    running.reset()
    return running


@pytest.fixture
async def client(gateway: StandIn) -> AsyncGenerator[GatewayClient]:
    async with GatewayClient(gateway.url, TOKEN) as entered:
        yield entered


def without_text(outcome: Any) -> Any:
    """The outcome as programs compare it; the text is for models."""
    return type(outcome)(**{**vars(outcome), "text": ""})


async def test_a_call_that_happened_is_succeeded_with_its_value(
    client: GatewayClient, gateway: StandIn
) -> None:
    outcome = await client.call("crm_assign_owner", {"lead": "led_1"})

    assert without_text(outcome) == Succeeded(
        call_id="call_1", value={"lead": "led_1", "args": {"lead": "led_1"}}
    )
    assert gateway.effects == [{"lead": "led_1"}]


async def test_a_dotted_name_is_the_exported_name(client: GatewayClient, gateway: StandIn) -> None:
    await client.call("crm.assign_owner")

    assert gateway.posts[-1]["mcp-name"] == "crm_assign_owner"


async def test_a_name_that_http_cannot_carry_arrives_whole(client: GatewayClient, gateway: StandIn) -> None:
    await client.call("crm.größe", {"für": "ä"})

    assert gateway.effects == [{"für": "ä"}]


async def test_run_step_and_key_travel_in_meta(client: GatewayClient, gateway: StandIn) -> None:
    await client.call("crm.assign_owner", run="run_1", step="assign", idempotency_key="k1")
    await client.call("crm.assign_owner")

    ours = [
        {key: value for key, value in meta.items() if key.startswith("lockkeep/")} for meta in gateway.metas
    ]
    assert ours == [
        {"lockkeep/run": "run_1", "lockkeep/step": "assign", "lockkeep/idempotency_key": "k1"},
        {},
    ]


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (
            "crm.stopped",
            Denied(
                call_id="call_1",
                code="policy.rule",
                rule="crm/no-weekend",
                reason="Not at weekends.",
                fix="Try on Monday.",
                retry="after:2026-11-23",
            ),
        ),
        ("crm.parked", PARKED),
        ("crm.later", Unknown(call_id="call_1", next="Ask.")),
        ("crm.taken", Failed(call_id="call_1", error={"code": "conflict"})),
        ("crm.novel", Unknown(call_id="call_1", next=ASK, extra={"note": 1, "outcome": "quarantined"})),
    ],
)
async def test_each_answer_of_the_gateway_is_one_outcome(
    client: GatewayClient, tool: str, expected: object
) -> None:
    assert without_text(await client.call(tool)) == expected


async def test_progress_is_told_while_the_call_runs(client: GatewayClient) -> None:
    seen: list[Progress] = []

    outcome = await client.call("crm.progress", on_progress=seen.append)

    assert seen == [Progress(1, 2, "1 of 2"), Progress(2, 2, "2 of 2")]
    assert isinstance(outcome, Succeeded)


async def test_a_progress_callback_that_fails_does_not_lose_the_outcome(client: GatewayClient) -> None:
    def fails(_: Progress) -> None:
        raise RuntimeError

    assert isinstance(await client.call("crm.progress", on_progress=fails), Succeeded)


async def test_waiting_ends_with_the_decision(client: GatewayClient, gateway: StandIn) -> None:
    outcomes: list[object] = []

    async def wait() -> None:
        outcomes.append(without_text(await client.wait(PARKED, timeout=20)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        assert await to_thread.run_sync(gateway.begun.wait, 10)
        gateway.decided.set()

    assert outcomes == [Succeeded(call_id="call_1", value={"lead": "led_1"})]


async def test_waiting_in_vain_ends_pending(client: GatewayClient) -> None:
    assert without_text(await client.wait("apr_1", timeout=0)) == PARKED


async def test_waiting_goes_on_while_the_gateway_cannot_answer(
    client: GatewayClient, gateway: StandIn
) -> None:
    gateway.instead = (502, "text/html", b"")
    gateway.decided.set()
    outcomes: list[object] = []

    async def wait() -> None:
        outcomes.append(without_text(await client.wait("apr_1", timeout=20)))

    with pytest.raises(GatewayUnreachable):
        await client.wait("apr_1", timeout=0)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            while len(gateway.posts) < 2:
                await anyio.sleep(0.005)
            gateway.instead = None

    assert outcomes == [Succeeded(call_id="call_1", value={"lead": "led_1"})]


async def test_a_gateway_that_hangs_does_not_hold_a_wait_longer(
    client: GatewayClient, gateway: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockkeep_client.gateway.SLACK_S", 0.1)
    gateway.hangs = True
    with anyio.fail_after(5), pytest.raises(GatewayUnreachable):
        await client.wait("apr_1", timeout=0)


async def test_status_and_tools_are_what_the_gateway_says(client: GatewayClient) -> None:
    assert await client.status() == {"user": "ana", "calls": []}
    assert await client.status("call_9") == {"found": False, "next": "-"}
    assert [tool.name for tool in await client.tools()] == list(NAMES)


async def test_a_workflows_tools_are_behind_its_own_address() -> None:
    async with StandIn(workflows=("leads",)).running() as gateway:
        async with GatewayClient(gateway.url, TOKEN, workflow="leads") as client:
            assert isinstance(await client.call("crm.assign_owner"), Succeeded)
        async with GatewayClient(gateway.url, TOKEN, workflow="lead") as other:
            with pytest.raises(BadRequest):
                await other.call("crm.assign_owner")


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("tool", ["crm.assign_owner", "crm.progress"])
async def test_a_call_whose_connection_breaks_is_unknown_and_sent_once(
    gateway: StandIn, cut: str, tool: str
) -> None:
    async with cutting(gateway.port, cut) as url, GatewayClient(url, TOKEN) as client:
        outcome = await client.call(tool, {"n": 1}, on_progress=lambda _: None)

    assert without_text(outcome) == Unknown(next=ASK)
    assert gateway.effects == ([] if cut in NEVER_ARRIVES else [{"n": 1}])


@pytest.mark.parametrize("cut", ["after the request", "in the body"])
async def test_a_read_whose_connection_breaks_decided_nothing(gateway: StandIn, cut: str) -> None:
    async with cutting(gateway.port, cut) as url, GatewayClient(url, TOKEN) as client:
        with pytest.raises(GatewayUnreachable):
            await client.status()


async def test_a_call_that_takes_too_long_is_unknown(gateway: StandIn) -> None:
    async with GatewayClient(gateway.url, TOKEN, timeout=0.3) as client:
        assert without_text(await client.call("crm.slow")) == Unknown(next=ASK)


@pytest.mark.parametrize(
    ("instead", "expected"),
    [
        ((401, "text/plain", b""), NotLoggedIn),
        ((403, "text/plain", b""), NotLoggedIn),
        ((302, "text/html", b""), GatewayUnreachable),
        ((404, "text/html", b"<html>"), BadRequest),
        ((413, "text/plain", b""), BadRequest),
        ((429, "text/plain", b""), GatewayUnreachable),
        (
            (400, "application/json", b'{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"x"}}'),
            BadRequest,
        ),
    ],
)
async def test_a_refusal_before_any_decision_is_raised(
    client: GatewayClient, gateway: StandIn, instead: tuple[int, str, bytes], expected: type[Exception]
) -> None:
    gateway.instead = instead
    with pytest.raises(expected):
        await client.call("crm.assign_owner")


@pytest.mark.parametrize(
    "instead",
    [
        (200, "text/html", b"<html>Sign in</html>"),
        (200, "application/json", b'{"jsonrpc":"2.0","id":1}'),
        (200, "application/json", b'{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"x"}}'),
        (200, "application/json", b'{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required"}}'),
        (200, "application/json", b"[1"),
        (200, "text/event-stream", b"event: message\ndata: {\n\n"),
        (202, "text/plain", b""),
        (502, "text/html", b"<html>"),
        (504, "text/html", b"<html>"),
    ],
)
async def test_an_answer_that_leaves_doubt_is_unknown(
    client: GatewayClient, gateway: StandIn, instead: tuple[int, str, bytes]
) -> None:
    gateway.instead = instead
    assert without_text(await client.call("crm.assign_owner")) == Unknown(next=ASK)


async def test_without_a_listener_the_gateway_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with GatewayClient(f"http://127.0.0.1:{port}", TOKEN) as client:
        with pytest.raises(GatewayUnreachable):
            await client.call("crm.assign_owner")


@pytest.mark.parametrize("args", [{"n": float("nan")}, {"n": object()}, {"n": "x" * 4 * 1024 * 1024}])
async def test_arguments_that_cannot_be_sent_are_a_bad_request(
    client: GatewayClient, args: dict[str, Any]
) -> None:
    with pytest.raises(BadRequest):
        await client.call("crm.assign_owner", args)


def test_a_token_with_blanks_is_refused_without_being_quoted() -> None:
    with GatewayClientSync("http://127.0.0.1:1", "two words") as client, pytest.raises(NotLoggedIn) as raised:
        client.tools()
    assert "two words" not in str(raised.value)


async def test_the_sync_twin_gives_the_same_answers(gateway: StandIn) -> None:
    def use() -> list[object]:
        gateway.decided.set()
        with GatewayClientSync(gateway.url, TOKEN) as client:
            parked = client.call("crm.parked", run="run_1")
            assert isinstance(parked, Pending)
            return [
                without_text(parked),
                without_text(client.wait(parked, timeout=5)),
                client.status(),
                [tool.name for tool in client.tools()],
            ]

    assert await to_thread.run_sync(use) == [
        PARKED,
        Succeeded(call_id="call_1", value={"lead": "led_1"}),
        {"user": "ana", "calls": []},
        list(NAMES),
    ]


@pytest.mark.parametrize("method", ["__init__", "call", "wait", "status", "tools"])
def test_the_twins_take_the_same_arguments(method: str) -> None:
    one, other = (inspect.signature(getattr(kind, method)) for kind in (GatewayClient, GatewayClientSync))
    assert one == other
