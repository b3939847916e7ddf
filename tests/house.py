"""A whole gateway for a test: real store, real pipeline, real MCP over HTTP on loopback, in front of the shop."""

import json
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx2
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult, RequestParamsMeta

from lockkeep.app import Gateway, random_id, running, utc_now
from lockkeep.ledger import approvals, audit, callers, generations, outbox, switches
from lockkeep.ledger.approvals import Refusal, Voted
from lockkeep.model import Switch, SwitchMode, is_object
from lockkeep.policy.bundle import load
from lockkeep.settings import Settings
from lockkeep.store import Store
from lockkeep.upstream import Lock, Supervisor, accept, propose, write_lock
from lockkeep.upstream.opening import Build
from shop import Shop

Era = Literal["2026-07-28", "2025-11-25"]
GATEWAY = """\
api: lockkeep/v1
gateway: house
integrations:
  shop: {in_process: true}
agents:
  robot: {owner: olga}
  other: {owner: olga}
"""
PEOPLE = """\
api: lockkeep/v1
people:
  ana: {groups: [staff]}
  bo: {groups: [lead]}
  cy: {groups: [lead, finance]}
  dee: {groups: [finance]}
  olga: {groups: [lead, finance]}
groups:
  staff:
  lead:
  finance:
"""
ALLOW_ALL = """\
api: lockkeep/v1
policy: shop
owner: lead
applies_to: {agents: [robot, other]}
tools:
  shop.*: {allow: [staff, lead, finance]}
"""

HEAD = ALLOW_ALL.split("tools:")[0].replace(
    "{agents: [robot, other]}", "{{everywhere: true}}"
)  # for str.format


class Clock:
    """The real time plus what the test added."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


@dataclass
class House:
    """One running gateway and everything a test wants of it."""

    gateway: Gateway
    shop: Shop
    clock: Clock
    url: str
    tokens: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    @property
    def store(self) -> Store:
        return self.gateway.store

    async def token(self, user: str, agent: str | None) -> str:
        key = (user, agent or "")
        if key not in self.tokens:
            self.tokens[key] = await self.store.write(
                lambda tx: callers.create_token(
                    tx, token_id=random_id("tok"), user=user, agent=agent, by="test", now=utc_now()
                )
            )
        return self.tokens[key]

    @asynccontextmanager
    async def client(
        self, *, user: str = "ana", agent: str = "robot", era: Era = "2026-07-28"
    ) -> AsyncGenerator[Client]:
        """A real MCP client of that revision, signed in as user and agent."""
        headers = {"Authorization": f"Bearer {await self.token(user, agent)}"}
        mode = "modern" if era == "2026-07-28" else "legacy"
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False, verify=False) as http,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=http), **_mode(mode, era)) as client,
        ):
            yield client

    async def call(
        self, tool: str, arguments: Mapping[str, Any] | None = None, *, user: str = "ana", agent: str = "robot",
        era: Era = "2026-07-28", meta: Mapping[str, Any] | None = None,
    ) -> CallToolResult:  # fmt: skip
        """One `tools/call` over HTTP."""
        async with self.client(user=user, agent=agent, era=era) as client:
            return await send(client, tool, arguments, meta)

    async def vote(
        self,
        approval: str,
        person: str,
        decision: approvals.Decision = "approve",
        *,
        shown: str | None = None,
    ) -> Voted | Refusal:
        rules = self.gateway.in_force.current
        assert rules is not None
        row = approvals.find(self.store.read, approval)
        return await self.store.write(
            lambda tx: approvals.vote(
                tx, approval, rules.people.persons.get(person), decision, shown=shown or row["bound"], reason="because",
                channel="test", now=self.clock(), people=rules.people.persons, owner=rules.gateway.agents.get(row["agent"]),
            )
        )  # fmt: skip

    async def throw(self, scope: str = "all", mode: SwitchMode = "kill", by: str = "olga") -> Switch:
        return await self.store.write(
            lambda tx: switches.throw(
                tx, scope=scope, mode=mode, reason="Wrong prices", by=by, now=self.clock()
            )
        )

    async def lift(self, scope: str = "all", by: str = "bo") -> None:
        await self.store.write(
            lambda tx: switches.lift(
                tx, scope=scope, reason="mended", by=by, now=self.clock(), self_allowed=False
            )
        )

    async def rules(self, **files: str) -> None:
        """These files replace or join the policy set, and are in force when this returns."""
        current = generations.current(self.store.read)
        assert current is not None
        changed = {
            **current.files,
            **{f"{name.replace('__', '/')}.yaml": text for name, text in files.items()},
        }
        _, problems = load(changed)
        assert not problems, "\n".join(map(str, problems))
        await self.store.write(
            lambda tx: generations.activate(
                tx, changed, after=current.id, by="test", reason="test", now=utc_now()
            )
        )

    async def accept(self, integration: str) -> None:
        """The integration's tools as they are listed now are the accepted ones."""
        current = generations.current(self.store.read)
        assert current is not None
        rules, listing = self.gateway.in_force.current, self.gateway.supervisor.listing(integration)
        assert rules is not None
        assert listing is not None
        proposal = propose(rules.integrations[integration], listing)
        files = {
            **current.files,
            "catalog.lock.json": write_lock(accept(rules.lock, proposal, proposal.hash)),
        }
        await self.store.write(
            lambda tx: generations.activate(
                tx, files, after=current.id, by="test", reason="accept", now=utc_now()
            )
        )

    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(row["record"]) for row in self.store.read.all("audit_from", seq=1, count=100_000)]

    def troubles(self) -> list[str]:
        """What `lockkeep status` says of the channels."""
        return outbox.troubles(self.store.read, self.clock())

    def sound(self) -> bool:
        rows = self.store.read.all("audit_from", seq=1, count=100_000)
        return audit.verify((row["seq"], row["hash"], row["record"]) for row in rows) == []

    def states(self) -> list[str]:
        return [
            row["state"]
            for row in reversed(
                self.store.read.all("calls_list", state=None, tool=None, agent=None, user=None, count=1000)
            )
        ]


@asynccontextmanager
async def house(
    folder: Path,
    shop: Shop | None = None,
    *,
    hold_s: float = 0.0,
    servers: Callable[[str], Build] | None = None,
    **files: str,
) -> AsyncGenerator[House]:
    """A gateway over `folder`; a second one over the same folder goes on where the first one ended."""
    shop = shop or Shop()
    own = shop

    def in_process(_name: str) -> Build:
        return own.build

    build = servers or in_process
    settings = Settings(
        data=folder / "data", policies=folder / "policies", port=free_port(), hold_s=hold_s, stop_s=2
    )
    settings.data.mkdir(parents=True, exist_ok=True)
    if not settings.store.exists() and servers is None:
        await _prepared(settings, own, files)
    elif not settings.store.exists():
        await _activate(settings, build, files)
    clock = Clock()
    with anyio.fail_after(60):
        async with running(settings, clock=clock, servers=build) as gateway, _serving(gateway) as url:
            yield House(gateway, shop, clock, url)


async def send(
    client: Client,
    tool: str,
    arguments: Mapping[str, Any] | None = None,
    meta: Mapping[str, Any] | None = None,
) -> CallToolResult:
    params = CallToolRequestParams(
        name=tool.replace(".", "_", 1),
        arguments=dict(arguments or {}),
        _meta=RequestParamsMeta(**meta) if meta else None,
    )
    return await client.session.send_request(
        CallToolRequest(params=params), CallToolResult, request_read_timeout_seconds=50
    )


def said(result: CallToolResult) -> dict[str, Any]:
    content: Any = result.structured_content
    assert is_object(content)
    return dict(content)


def text(result: CallToolResult) -> str:
    return "".join(getattr(part, "text", "") for part in result.content)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _mode(mode: str, era: Era) -> dict[str, Any]:
    return {"mode": "legacy"} if mode == "legacy" else {"mode": era}


_made: dict[str, bytes] = {}


async def _prepared(settings: Settings, shop: Shop, files: Mapping[str, str]) -> None:
    """The same files over the same shop make the same store: it is made once in a process, then copied."""
    key = json.dumps([files, [tool.model_dump(mode="json") for tool in shop.tools]])
    if key in _made:
        settings.store.touch(mode=0o600)
        settings.store.write_bytes(_made[key])
        return
    await _activate(settings, lambda _: shop.build, files)
    _made[key] = settings.store.read_bytes()


async def _activate(settings: Settings, build: Callable[[str], Build], files: Mapping[str, str]) -> None:
    """Generation 1: the house's files, or the test's own, with the catalog as the servers list it."""
    texts = {"gateway.yaml": GATEWAY, "people.yaml": PEOPLE, "rules.yaml": ALLOW_ALL}
    texts |= {f"{name.replace('__', '/')}.yaml": text for name, text in files.items()}
    loaded, problems = (
        load({**texts, "rules.yaml": ALLOW_ALL.split("tools:")[0]}) if "gateway" not in files else load(texts)
    )
    assert loaded is not None, problems
    integrations = loaded.integrations
    lock = Lock()
    supervisor = Supervisor(integrations.values(), on_change=lambda _: None, servers=build, environ={})
    async with supervisor.running():
        assert await supervisor.wait_ready(10)
        for each in integrations.values():
            listing = supervisor.listing(each.name)
            assert listing is not None
            proposal = propose(each, listing)
            lock = accept(lock, proposal, proposal.hash)
    texts["catalog.lock.json"] = write_lock(lock)
    _, problems = load(texts)
    assert not problems, "\n".join(map(str, problems))
    store = Store(settings.store)
    store.write_now(
        lambda tx: generations.activate(tx, texts, after=0, by="test", reason="test", now=utc_now())
    )
    store.close()


class _Server(uvicorn.Server):
    """Looks every few milliseconds whether it shall end, not ten times a second."""

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # 0: the Date header, too
            await anyio.sleep(0.005)


@asynccontextmanager
async def _serving(gateway: Gateway) -> AsyncGenerator[str]:
    config = uvicorn.Config(
        gateway.asgi(),
        host="127.0.0.1",
        port=gateway.settings.port,
        log_config=None,
        lifespan="on",
        ws="none",
    )
    server = _Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server._serve)  # pyright: ignore[reportPrivateUsage] - serve() takes over the signals of the test run
        while not server.started:
            await anyio.sleep(0.005)
        try:
            yield gateway.settings.url
        finally:
            gateway.holds.stopping.set()
            server.should_exit = True
