"""The one URL: both protocol eras, tokens, and what bad requests get. Each refusal leaves a record, none a stack trace."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from house import House, house, said, send
from lockkeep.ledger import callers
from lockkeep.model import Claim
from lockkeep.surface.web import OpenRoute, refuse_open_routes

MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
}
HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def frame(method: str = "tools/call", params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    chosen = {"name": "shop_read", "arguments": {"id": "t1"}} if params is None else dict(params)
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**chosen, "_meta": META}}


def modern(name: str = "shop_read", method: str = "tools/call") -> dict[str, str]:
    return {**HEADERS, "MCP-Protocol-Version": MODERN, "Mcp-Method": method, "Mcp-Name": name}


@asynccontextmanager
async def raw(home: House, *, token: str | None = None) -> AsyncGenerator[httpx2.AsyncClient]:
    secret = await home.token("ana", "robot") if token is None else token
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    async with httpx2.AsyncClient(headers=headers, trust_env=False, verify=False, timeout=20) as http:
        yield http


def answer(response: httpx2.Response) -> dict[str, Any]:
    text = response.text
    if response.headers["content-type"].startswith("text/event-stream"):
        text = next(line[5:] for line in text.splitlines() if line.startswith("data:") and '"id"' in line)
    return json.loads(text)


@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25"])
async def test_a_legacy_host_needs_no_session(tmp_path: Path, revision: str) -> None:
    async with house(tmp_path) as home, raw(home) as http:
        headers = {**HEADERS, "MCP-Protocol-Version": revision, "Mcp-Session-Id": "from-before-a-restart"}
        call = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "shop_read", "arguments": {"id": "t1"}},
        }
        response = await http.post(f"{home.url}/mcp", json=call, headers=headers)

        assert answer(response)["result"]["structuredContent"] == {"id": "t1"}


async def test_a_modern_host_calls_with_one_request(tmp_path: Path) -> None:
    async with house(tmp_path) as home, raw(home) as http:
        response = await http.post(f"{home.url}/mcp", json=frame(), headers=modern())

        assert answer(response)["result"]["structuredContent"] == {"id": "t1"}
        assert home.audit()[-1]["type"] == "call.settled"
        (row,) = home.store.read.all("calls_list", state=None, tool=None, agent=None, user=None, count=9)
        assert row["host"] == "raw"


@pytest.mark.promise("P6")
@pytest.mark.parametrize("token", ["", "nonsense", "lk_" + "A" * 43])
@pytest.mark.parametrize("path", ["/mcp"])
async def test_without_a_good_token_nothing_runs(tmp_path: Path, token: str, path: str) -> None:
    async with house(tmp_path) as home, raw(home, token=token) as http:
        response = await http.post(f"{home.url}{path}", json=frame(), headers=modern())

        assert (response.status_code, response.headers["www-authenticate"].split()[0]) == (401, "Bearer")
        assert home.shop.reads == []
        assert [(each["type"], each["status"]) for each in home.audit()[-1:]] == [("request.refused", 401)]


@pytest.mark.promise("P6")
async def test_a_revoked_token_ends_at_once(tmp_path: Path) -> None:
    async with house(tmp_path) as home, raw(home) as http:
        first = await http.post(f"{home.url}/mcp", json=frame(), headers=modern())
        (token,) = home.store.read.all("tokens_list")
        await home.store.write(lambda tx: callers.revoke(tx, token["id"], by="test", now=home.clock()))
        second = await http.post(f"{home.url}/mcp", json=frame(), headers=modern())

        assert (first.status_code, second.status_code) == (200, 401)


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ("{", modern(), 400, -32700),
        ("[]", modern(), 400, -32600),
        (json.dumps([frame()]), modern(), 400, -32600),
        (json.dumps({"hello": 1}), modern(), 400, None),
        (json.dumps(frame()), modern("shop_write"), 400, -32020),
        (json.dumps(frame()), {**HEADERS, "MCP-Protocol-Version": MODERN}, 400, -32020),
        (json.dumps(frame()).replace(MODERN, "2999-01-01"), {**modern(), "MCP-Protocol-Version": "2999-01-01"}, 400, -32022),
        (json.dumps(frame("tools/destroy", {})), modern("", "tools/destroy"), 404, -32601),
        (json.dumps({**frame(), "params": {"name": "shop_read"}}), modern(), 400, -32602),
    ],
)  # fmt: skip
async def test_a_malformed_request_gets_the_right_error_a_record_and_no_trace(
    tmp_path: Path, body: str, headers: dict[str, str], status: int, code: int | None
) -> None:
    async with house(tmp_path) as home, raw(home) as http:
        response = await http.post(f"{home.url}/mcp", content=body.encode(), headers=headers)

        assert response.status_code == status
        if code is not None:
            assert response.json()["error"]["code"] == code
        assert "Traceback" not in response.text
        assert (home.shop.reads, home.audit()[-1]["type"]) == ([], "request.refused")


@pytest.mark.parametrize(
    ("header", "status"), [({"Host": "evil.example"}, 421), ({"Origin": "https://evil.example"}, 403)]
)
async def test_foreign_hosts_and_origins_are_refused(
    tmp_path: Path, header: dict[str, str], status: int
) -> None:
    async with house(tmp_path) as home, raw(home) as http:
        response = await http.post(f"{home.url}/mcp", json=frame(), headers={**modern(), **header})

        assert (response.status_code, home.shop.reads) == (status, [])


async def test_get_is_answered_at_once_and_is_no_stream(tmp_path: Path) -> None:
    async with house(tmp_path) as home, raw(home) as http:
        response = await http.get(f"{home.url}/mcp", headers={"Accept": "text/event-stream"})

        assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_no_host_is_sent_into_an_oauth_dance(tmp_path: Path) -> None:
    async with house(tmp_path) as home, raw(home, token="") as http:
        paths = (
            "oauth-protected-resource/mcp",
            "oauth-protected-resource",
            "oauth-authorization-server",
            "openid-configuration",
        )
        found = [(await http.get(f"{home.url}/.well-known/{path}")).status_code for path in paths]

        assert found == [404, 404, 404, 404]


async def test_an_unknown_workflow_path_is_not_found(tmp_path: Path) -> None:
    async with house(tmp_path) as home, raw(home, token="") as http:
        response = await http.post(f"{home.url}/mcp/lead-routing", json=frame(), headers=modern())

        assert (response.status_code, home.shop.reads) == (404, [])


def test_a_second_route_to_the_endpoint_stops_the_start() -> None:
    async def open_endpoint(_scope: Any, _receive: Any, _send: Any) -> None: ...

    with pytest.raises(OpenRoute):
        refuse_open_routes(Starlette(routes=[Route("/mcp/{workflow}", endpoint=open_endpoint)]))


async def test_a_flood_of_wrong_tokens_does_not_fill_the_log(tmp_path: Path) -> None:
    async with house(tmp_path) as home, raw(home, token="nonsense") as http:
        for _ in range(70):
            await http.post(f"{home.url}/mcp", json=frame(), headers=modern())

        refused = [each for each in home.audit() if each["type"] == "request.refused"]
        assert 60 <= len(refused) <= 62


async def test_modern_hosts_hear_that_the_list_has_changed(tmp_path: Path) -> None:
    async with house(tmp_path) as home, home.client() as client:
        heard = anyio.Event()

        async def listen() -> None:
            async with client.listen(tools_list_changed=True) as events:
                async for _ in events:
                    heard.set()
                    return

        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            with anyio.fail_after(10):
                while not heard.is_set():
                    files = home.gateway.in_force.current
                    assert files is not None
                    await home.rules(
                        extra=f"api: lockkeep/v1\npolicy: extra\nowner: lead\napplies_to: {{everywhere: true}}\ndescription: n{files.generation}\n"
                    )
                    with anyio.move_on_after(1):
                        await heard.wait()
            group.cancel_scope.cancel()


async def test_the_gateway_asks_its_own_list_for_no_call(tmp_path: Path) -> None:
    async with house(tmp_path) as home, home.client() as client:
        await client.list_tools()
        before = len(home.shop.reads)
        await send(client, "shop.read", {"id": "t1"})

        assert len(home.shop.reads) - before == 1


async def test_health_and_readiness_say_what_is_down(tmp_path: Path) -> None:
    async with house(tmp_path) as home, raw(home, token="") as http:
        alive, ready = await http.get(f"{home.url}/healthz"), await http.get(f"{home.url}/readyz")

        assert (alive.json(), ready.json()) == ({"ok": True}, {"ready": True, "policy": 1, "down": {}})


@pytest.mark.promise("P10")
async def test_no_inbound_token_or_cookie_reaches_a_server(tmp_path: Path) -> None:
    seen: list[Claim] = []
    async with house(tmp_path) as home, raw(home) as http:
        original = home.gateway.upstream.send

        async def keep(claim: Claim, **more: Any) -> Any:
            seen.append(claim)
            return await original(claim, **more)

        home.gateway.upstream.send = keep  # pyright: ignore[reportAttributeAccessIssue]
        await http.post(f"{home.url}/mcp", json=frame(), headers={**modern(), "Cookie": "canary=1"})
        secret = await home.token("ana", "robot")

    assert [secret in repr(claim) or "canary" in repr(claim) for claim in seen] == [False]


async def test_hostile_text_in_every_field_is_kept_as_text(tmp_path: Path) -> None:
    hostile = "\u202e<script>alert(1)</script>{{7*7}}\x00\x1b[2J'; DROP TABLE calls;--"
    async with house(tmp_path) as home:
        result = await home.call("shop.write", {"id": "t1", "text": hostile})
        strange = await home.call(
            hostile, {hostile: hostile}, meta={"lockkeep/run": hostile, "lockkeep/step": hostile}
        )

        assert said(result)["applied"]
        assert said(strange)["code"] == "arguments.unknown_tool"
        assert (home.states(), home.sound()) == (["succeeded", "denied"], True)


async def test_white_space_around_a_header_value_is_no_part_of_it(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        token, port, body = (
            await home.token("ana", "robot"),
            home.gateway.settings.port,
            json.dumps(frame()).encode(),
        )
        lines = [f"{name}:  {value}  " for name, value in modern().items()]
        lines += [f"Host: 127.0.0.1:{port}", f"Authorization: Bearer {token}", f"Content-Length: {len(body)}"]
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send("\r\n".join(["POST /mcp HTTP/1.1", *lines, "", ""]).encode() + body)
            first = (await stream.receive()).split(b"\r\n")[0]

    assert b" 200 " in first
    assert home.shop.reads == ["t1"]
