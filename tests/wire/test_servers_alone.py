"""A server alone, as a process: stdio in both eras, HTTP with its door (TS10, TS12, G24)."""

import json
import os
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

import anyio
import httpx2
import pytest
import uvicorn
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from lockkeep_servers.calendar.server import SERVICE as CALENDAR
from lockkeep_servers.kit.run import http_app, run
from lockkeep_servers.kit.settings import SettingError
from lockkeep_servers.kit.stdio import serve_stdio

MODERN, LEGACY = "2026-07-28", "2025-11-25"
META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}


def environ_of(server: str, folder: Path) -> dict[str, str]:
    prefix = f"LOCKKEEP_{server.upper()}_"
    world = {"DATA": str(folder), "WORLD": "demo", "WORLD_SIZE": "small", "WORLD_DAY": "2027-03-01"}
    return {**os.environ, **{prefix + key: value for key, value in world.items()}}


def command_of(server: str) -> list[str]:
    return [sys.executable, "-c", f"from lockkeep_servers.{server}.server import main; main()"]


async def test_a_server_answers_over_stdio(tmp_path: Path) -> None:
    command, *arguments = command_of("crm")
    process = StdioServerParameters(command=command, args=arguments, env=environ_of("crm", tmp_path))

    with anyio.fail_after(20):
        async with Client(process) as client:
            found = await client.call_tool("get", {"kind": "deal", "id": "del_1"})

    assert found.structured_content["record"]["value_minor"] == 750_000


def request(id: int, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def discover(id: int, version: str = MODERN) -> dict[str, Any]:
    return request(id, "server/discover", _meta={**META, "io.modelcontextprotocol/protocolVersion": version})


INITIALIZE = request(
    7, "initialize", protocolVersion=LEGACY, capabilities={}, clientInfo={"name": "host", "version": "1"}
)
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
SEQUENCES: dict[str, list[dict[str, Any]]] = {
    "modern": [discover(1), request(2, "tools/list", _meta=META)],
    "legacy": [INITIALIZE, INITIALIZED, request(2, "tools/list")],
    "probe, then legacy": [discover(1), INITIALIZE, INITIALIZED, request(2, "tools/list")],
    "unknown probe, then legacy": [
        discover(1, "2031-01-01"),
        INITIALIZE,
        INITIALIZED,
        request(2, "tools/list"),
    ],
}


@contextmanager
def pipe() -> Generator[tuple[TextIO, TextIO]]:
    reads, writes = os.pipe()
    with open(reads, encoding="utf-8") as reader, open(writes, "w", encoding="utf-8") as writer:  # noqa: PTH123
        yield reader, writer


@pytest.mark.parametrize("order", SEQUENCES)
async def test_a_probe_does_not_decide_the_era(order: str, tmp_path: Path) -> None:
    server = CALENDAR.build({"LOCKKEEP_CALENDAR_DATA": str(tmp_path)})
    answers: dict[int, dict[str, Any]] = {}
    with pipe() as (given, asks), pipe() as (hears, said), anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve_stdio, server, anyio.wrap_file(given), anyio.wrap_file(said))
            for message in SEQUENCES[order]:
                asks.write(json.dumps(message) + "\n")
                asks.flush()
                if "id" in message:
                    answer = json.loads(await anyio.to_thread.run_sync(hears.readline))
                    answers[answer["id"]] = answer
            asks.close()

    assert len(answers[2]["result"]["tools"]) == 9
    if order.startswith("unknown"):
        assert answers[1]["error"]["code"] == -32022
        assert answers[1]["error"]["data"]["supported"] == [MODERN]
    elif 1 in answers:
        assert answers[1]["result"]["supportedVersions"] == [MODERN]


class Announced(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@asynccontextmanager
async def served(folder: Path, **settings: str) -> AsyncGenerator[str]:
    """The calendar over HTTP on a free port of this machine."""
    environ = {
        "LOCKKEEP_CALENDAR_DATA": str(folder),
        **{f"LOCKKEEP_CALENDAR_{k}": v for k, v in settings.items()},
    }
    app = http_app(CALENDAR, environ, "127.0.0.1")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = Announced(uvicorn.Config(app, log_level="error", lifespan="on", ws="none"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            with anyio.fail_after(10):
                await server.listens.wait()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
            server.should_exit = True


@pytest.mark.parametrize("mode", [MODERN, "legacy"])
async def test_a_server_answers_over_http_in_both_eras(mode: str, tmp_path: Path) -> None:
    async with (
        served(tmp_path, SERVICE_KEY="let-me-in") as url,
        httpx2.AsyncClient(headers={"Authorization": "Bearer let-me-in"}) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        assert len((await client.list_tools()).tools) == 9


Headers = dict[str, str]
DOORS: list[tuple[str, Callable[[Headers], Headers], int]] = [
    ("no key", lambda given: {k: v for k, v in given.items() if k != "Authorization"}, 401),
    ("wrong key", lambda given: {**given, "Authorization": "Bearer let-me-out"}, 401),
    ("another scheme", lambda given: {**given, "Authorization": "Basic let-me-in"}, 401),
    ("no scheme", lambda given: {**given, "Authorization": "let-me-in"}, 401),
    ("more than the key", lambda given: {**given, "Authorization": "Bearer let-me-in let-me-in"}, 401),
    ("foreign host", lambda given: {**given, "Host": "evil.example"}, 421),
    ("foreign origin", lambda given: {**given, "Origin": "https://evil.example"}, 403),
]


async def test_the_door_refuses_strangers(tmp_path: Path) -> None:
    good = {
        "Authorization": "Bearer let-me-in", "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list",
    }  # fmt: skip
    async with served(tmp_path, SERVICE_KEY="let-me-in") as url, httpx2.AsyncClient(verify=False) as http:
        body = request(1, "tools/list", _meta=META)
        seen = {
            name: (await http.post(url, json=body, headers=change(good))).status_code
            for name, change, _ in DOORS
        }

        assert (await http.post(url, json=body, headers=good)).status_code == 200
        assert (await http.get(url, headers=good)).status_code == 405
        assert seen == {name: status for name, _, status in DOORS}


@pytest.mark.parametrize(("settings", "words"), [
    ({}, "SERVICE_KEY"),
    ({"SERVICE_KEY": "k"}, "ALLOWED_HOSTS"),
    ({"SERVICE_KEY": "k", "ALLOWED_HOSTS": "calendar.example:8713", "FAULT": "slow:get_event:1"}, "FAULT"),
])  # fmt: skip
def test_beyond_loopback_a_server_starts_only_with_a_key_and_a_name(
    settings: dict[str, str], words: str, tmp_path: Path
) -> None:
    environ = {
        "LOCKKEEP_CALENDAR_DATA": str(tmp_path),
        **{f"LOCKKEEP_CALENDAR_{k}": v for k, v in settings.items()},
    }

    with pytest.raises(SettingError, match=words):
        http_app(CALENDAR, environ, "0.0.0.0")


@pytest.mark.parametrize(("arguments", "environ", "words"), [
    (["--http", "there"], {}, "HOST"),
    ([], {"LOCKKEEP_CALENDAR_ADAPTER": "unknown"}, "embedded"),
])  # fmt: skip
def test_a_start_that_cannot_be_says_why(
    arguments: list[str], environ: dict[str, str], words: str, tmp_path: Path
) -> None:
    given = {**environ_of("calendar", tmp_path), **environ}

    with pytest.raises(SystemExit, match=words):
        run(CALENDAR, arguments, given)


def test_a_wrong_argument_is_answered_with_the_right_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(CALENDAR, ["--port", "8713"], {})

    assert "usage: lockkeep-calendar [-h] [--http [HOST:]PORT]" in capsys.readouterr().err


@pytest.mark.parametrize("as_json", [False, True])
def test_doctor_looks_and_writes_nothing_unless_it_is_told_to(
    as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"LOCKKEEP_CALENDAR_DATA": str(tmp_path / "store")}

    def examined(*more: str) -> tuple[int, list[str]]:
        with pytest.raises(SystemExit) as ended:
            run(CALENDAR, ["doctor", *more, *(["--json"] if as_json else [])], environ)
        said = capsys.readouterr().out
        found = (
            [each["level"] for each in json.loads(said)["findings"]]
            if as_json
            else [line.split()[0].lower() for line in said.splitlines()]
        )
        return cast(int, ended.value.code), found

    assert examined() == (1, ["warning"])
    assert not (tmp_path / "store").exists()
    assert examined("--setup") == (0, ["ok"])
    assert examined() == (0, ["ok"])
    (tmp_path / "store" / "calendar.sqlite").write_bytes(b"SQLite format 3\x00 and then nothing that fits")
    assert examined() == (2, ["unusable"])
