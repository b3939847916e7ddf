"""A data folder with a policy set in force, gateways over it that may die, and what is left afterwards."""

import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio import to_thread
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from crash import doomed
from house import free_port, send
from lockkeep.app import embedded_environment, random_id
from lockkeep.ledger import approvals, audit, callers, generations
from lockkeep.policy.bundle import load
from lockkeep.policy.files.gatewayfile import read as read_gateway
from lockkeep.policy.positions import Problems, parse
from lockkeep.store import Row, Store
from lockkeep.upstream import Lock, Supervisor, accept, propose, write_lock

LIMIT = 20.0  # seconds; nothing here takes as long
PEOPLE = """\
api: lockkeep/v1
people:
  ana: {groups: [staff]}
  bo: {groups: [lead]}
  olga: {groups: [lead]}
groups: {staff: , lead: }
"""
GATEWAY = """\
api: lockkeep/v1
gateway: crash
integrations:
  crm: {in_process: true}
agents:
  robot: {owner: olga}
"""


def rules(server: str, ask: str = "") -> str:
    asks = f"\n  {ask}:\n    ask: {{from: [lead], say: Look at it first.}}" if ask else ""
    return (
        f"api: lockkeep/v1\npolicy: {server}\nowner: lead\napplies_to: {{everywhere: true}}\n"
        f"tools:\n  {server}.*: {{allow: anyone}}{asks}\n"
    )


@dataclass
class Place:
    """One installation. The store is opened beside the gateway, as the command line does."""

    folder: Path
    port: int = field(default_factory=free_port)
    tokens: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("LOCKKEEP_")}
        own |= {"LOCKKEEP_DATA": str(self.data), "LOCKKEEP_POLICIES": str(self.folder / "policies")}
        return own | {"LOCKKEEP_PORT": str(self.port)}

    @contextmanager
    def store(self) -> Generator[Store]:
        store = Store(self.data / "lockkeep.db")
        try:
            yield store
        finally:
            store.close()

    def calls(self) -> list[dict[str, Any]]:
        with self.store() as store:
            rows = store.read.all("calls_list", state=None, tool=None, agent=None, user=None, count=10_000)
            return [dict(row) for row in reversed(rows)]

    def approvals(self) -> list[Row]:
        with self.store() as store:
            return store.read.all("approvals_list", state=None, count=100)

    def tampering(self) -> list[audit.Tampering]:
        with self.store() as store:
            rows = store.read.all("audit_from", seq=1, count=1_000_000)
            return audit.verify((row["seq"], row["hash"], row["record"]) for row in rows)

    def events(self, kind: str) -> list[dict[str, Any]]:
        with self.store() as store:
            rows = store.read.all("audit_from", seq=1, count=1_000_000)
        return [found for row in rows if (found := json.loads(row["record"]))["type"] == kind]

    def receipts(self, server: str = "crm") -> dict[str, str]:
        """What the server itself knows of every key it has seen."""
        return dict(self.at_the_server(server, "SELECT key, state FROM receipts"))

    def at_the_server(self, server: str, query: str) -> list[Any]:
        """Rows of the server's own file."""
        db = sqlite3.connect(self.data / server / f"{server}.sqlite")
        try:
            return db.execute(query).fetchall()
        finally:
            db.close()

    async def until(self, *states: str) -> list[dict[str, Any]]:
        """Waits until the calls, oldest first, are in these states."""
        with anyio.fail_after(LIMIT):
            while True:
                found = self.calls()
                if [row["state"] for row in found] == list(states):
                    return found
                await anyio.sleep(0.02)

    async def call(self, tool: str, arguments: Mapping[str, Any], user: str = "ana") -> CallToolResult:
        headers = {"Authorization": f"Bearer {self.tokens[user]}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=LIMIT, trust_env=False, verify=False) as http,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=http), mode="2026-07-28") as client,
        ):
            return await send(client, tool, arguments)

    async def try_call(self, tool: str, arguments: Mapping[str, Any], heard: list[CallToolResult]) -> None:
        """A host that keeps what it is answered; a dead gateway answers nothing."""
        with suppress(Exception):
            heard.append(await self.call(tool, arguments))


async def prepared(
    folder: Path, rules: str, *, gateway: str = GATEWAY, lock: str | None = None, people: str = PEOPLE
) -> Place:
    """Policies in force, and a token of ana's agent and one of every person's own."""
    place = Place(folder)
    texts = {"gateway.yaml": gateway, "people.yaml": people, "rules.yaml": rules}
    texts["catalog.lock.json"] = lock or await listed(gateway, place.data)
    for name, text in texts.items():
        (folder / "policies").mkdir(parents=True, exist_ok=True)
        (folder / "policies" / name).write_text(text, encoding="utf-8")
    loaded, problems = load(texts)
    assert loaded is not None, problems
    now = datetime.now(UTC)
    with place.store() as store:
        store.write_now(
            partial(generations.activate, files=texts, after=0, by="test", reason="test", now=now)
        )
        for name, agent in [("ana", "robot"), *((person, None) for person in loaded.people.persons)]:
            secret = store.write_now(
                partial(
                    callers.create_token,
                    token_id=random_id("tok"),
                    user=name,
                    agent=agent,
                    by="test",
                    now=now,
                )
            )
            place.tokens[name if agent else f"{name}'s own"] = secret
    return place


async def listed(gateway: str, data: Path) -> str:
    """The lock over what the servers of this gateway.yaml list."""
    root = parse("gateway.yaml", gateway, Problems())
    assert root is not None
    integrations = read_gateway(root, Problems()).integrations
    supervisor = Supervisor(
        integrations.values(), on_change=lambda _: None, environ=embedded_environment(data)
    )
    lock = Lock()
    async with supervisor.running():
        assert await supervisor.wait_ready(LIMIT)
        for each in integrations.values():
            listing = supervisor.listing(each.name)
            assert listing is not None
            proposal = propose(each, listing)
            lock = accept(lock, proposal, proposal.hash)
    return write_lock(lock)


class Dying:
    """One gateway process of its own."""

    def __init__(self, place: Place, pid: int, ended: "anyio.Event", how: list[int]) -> None:
        self.place, self.pid, self._ended, self._how = place, pid, ended, how

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    async def ended(self) -> int:
        """The signal it died of."""
        with anyio.fail_after(LIMIT):
            await self._ended.wait()
        return self._how[0]

    async def answers(self) -> None:
        """Until it serves."""
        async with httpx2.AsyncClient(trust_env=False, verify=False) as http:
            with anyio.fail_after(LIMIT):
                while not self._ended.is_set():
                    with suppress(httpx2.HTTPError):
                        if (await http.get(f"{self.place.url}/readyz")).status_code == 200:
                            return
                    await anyio.sleep(0.01)
        raise AssertionError((self.place.folder / "gateway.log").read_text(encoding="utf-8"))


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Place], None]) -> Place:
    """An installation that one worker makes and all of them copy."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"once-{name}"
    folder.mkdir(exist_ok=True)
    tokens = folder / "tokens.json"
    with (folder / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tokens.exists():
            place = Place(folder)
            make(place)
            tokens.write_text(json.dumps(place.tokens), encoding="utf-8")
    return Place(folder, tokens=json.loads(tokens.read_text(encoding="utf-8")))


class Launcher:
    """The warm process of doomed.py: one gateway at a time."""

    def __init__(self) -> None:
        command = [sys.executable, str(doomed.__file__)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def _order(self, order: Mapping[str, Any]) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    @asynccontextmanager
    async def gateway(self, place: Place, point: str = "") -> AsyncGenerator[Dying]:
        """A gateway that answers; it is dead, by kill -9, when this ends."""
        order = {
            "data": str(place.data), "policies": str(place.folder / "policies"), "port": place.port, "point": point,
            "log": str(place.folder / "gateway.log"),
        }  # fmt: skip
        pid = await to_thread.run_sync(self._order, order)
        dying = Dying(place, pid, anyio.Event(), [])
        async with anyio.create_task_group() as group:
            group.start_soon(self._wait, dying)
            try:
                await dying.answers()
                yield dying
            finally:
                dying.kill()
                with anyio.CancelScope(shield=True):
                    await dying.ended()

    async def _wait(self, dying: Dying) -> None:
        with anyio.CancelScope(shield=True):
            dying._how.append(await to_thread.run_sync(self._line))  # pyright: ignore[reportPrivateUsage]
        dying._ended.set()  # pyright: ignore[reportPrivateUsage]

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()


def called(answer: CallToolResult) -> tuple[str, str]:
    """Which call the answer speaks of, and as what."""
    mark: dict[str, str] = (answer.meta or {})["lockkeep/call"]
    return mark["id"], mark["outcome"]


def finished(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["state"] == "succeeded"]


__all__ = [
    "GATEWAY",
    "LIMIT",
    "Dying",
    "Launcher",
    "Place",
    "approvals",
    "called",
    "finished",
    "listed",
    "prepared",
    "rules",
]
