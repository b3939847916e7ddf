"""Where a drill takes place: a data folder, a policy set and people of its own, and gateways over them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import uvicorn
from anyio import to_thread
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult, RequestParamsMeta

from lockkeep.app import Gateway, random_id, running, utc_now
from lockkeep.cli.drill.sandbox import NAME, Sandbox
from lockkeep.cli.here import Here
from lockkeep.errors import LockkeepError
from lockkeep.ledger import approvals, callers, generations
from lockkeep.model import Json, is_object
from lockkeep.policy.bundle import load
from lockkeep.policy.inforce import InForce
from lockkeep.settings import Settings
from lockkeep.store import Row, Store
from lockkeep.upstream import Lock, Supervisor, accept, propose, write_lock

LIMIT = 15.0  # seconds; nothing in a drill takes as long
ASKED, FIRST, SECOND = "ada", "bo", "cy"  # the one whose agents call, and two who decide and stop
RULES = "drill.yaml"
FILES = {
    "gateway.yaml": f"""\
api: lockkeep/v1
gateway: drill
integrations:
  {NAME}: {{in_process: true}}
agents:
  rehearser: {{owner: {ASKED}}}
""",
    "people.yaml": f"""\
api: lockkeep/v1
people:
  {ASKED}: {{groups: [staff]}}
  {FIRST}: {{groups: [lead]}}
  {SECOND}: {{groups: [lead]}}
groups: {{staff: , lead: }}
""",
    RULES: f"""\
api: lockkeep/v1
policy: drill
owner: lead
applies_to: {{everywhere: true}}
tools:
  {NAME}.read: {{allow: anyone}}
  {NAME}.write: {{allow: anyone}}
  {NAME}.sign:
    allow: anyone
    ask: {{from: [lead], say: This is a rehearsal.}}
""",
}


class DrillBroken(LockkeepError):
    """The drill could not go on."""


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


Command = Callable[[Mapping[str, str], Sequence[str]], Ran]


def typed(environ: Mapping[str, str], words: Sequence[str]) -> Ran:
    """`lockkeep WORDS`, as people start it."""
    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "lockkeep.cli", *words], env=dict(environ), capture_output=True, encoding="utf-8",
        timeout=4 * LIMIT, check=False,
    )  # fmt: skip
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@dataclass
class Ground:
    """One installation that is thrown away afterwards."""

    folder: Path
    command: Command = typed
    port: int = field(default_factory=lambda: _free_port())
    tokens: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def settings(self) -> Settings:
        return Settings(data=self.folder / "data", policies=self.folder / "policies", port=self.port, hold_s=0.0, stop_s=2.0)  # fmt: skip

    @property
    def sandbox(self) -> Sandbox:
        return Sandbox(self.settings.data / NAME)

    def environ(self, person: str | None = None, data: Path | None = None) -> dict[str, str]:
        """Of a command here: nothing of the company's own settings is in it."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("LOCKKEEP_")}
        own |= {
            "LOCKKEEP_DATA": str(data or self.settings.data),
            "LOCKKEEP_POLICIES": str(self.settings.policies),
        }
        own |= {"LOCKKEEP_PORT": str(self.port), "LOCKKEEP_HOLD_S": "0", "LOCKKEEP_STOP_S": "2"}
        return own | ({"LOCKKEEP_TOKEN": self.tokens[person]} if person else {})

    async def lockkeep(self, *words: str, by: str | None = None) -> Ran:
        return await to_thread.run_sync(self.command, self.environ(by), words)

    @contextmanager
    def here(self) -> Generator[Here]:
        """The store beside the gateway, as commands open it."""
        store = Store(self.settings.store)
        try:
            in_force = InForce(store)
            in_force.refresh()
            yield Here(self.settings, store, in_force)
        finally:
            store.close()

    async def prepare(self) -> None:
        """Rules in force, and a token for the agent and for everybody."""
        self.settings.data.mkdir(parents=True, mode=0o700)
        files = {**FILES, "catalog.lock.json": await self._lock()}
        for name, text in files.items():
            self.settings.policies.mkdir(exist_ok=True)
            (self.settings.policies / name).write_text(text, encoding="utf-8")
        with self.here() as place:
            now = utc_now()
            place.store.write_now(
                lambda tx: generations.activate(tx, files, after=0, by="drill", reason="drill", now=now)
            )
            for name, agent in (("agent", "rehearser"), (FIRST, None), (SECOND, None)):
                user = ASKED if agent else name
                self.tokens[name] = place.store.write_now(
                    partial(callers.create_token, token_id=random_id("tok"), user=user, agent=agent, by="drill", now=now)
                )  # fmt: skip

    async def _lock(self) -> str:
        """The sandbox's tools, accepted as they are."""
        loaded, problems = load({name: text for name, text in FILES.items() if name != RULES})
        if loaded is None:
            raise DrillBroken(f"the drill's own rules do not load: {problems[0]}")
        integration = loaded.integrations[NAME]
        supervisor = Supervisor(
            [integration], on_change=lambda _: None, servers=self.sandbox.servers(), environ={}
        )
        async with supervisor.running():
            await supervisor.wait_ready(LIMIT)
            if (listing := supervisor.listing(NAME)) is None:
                raise DrillBroken(f"the sandbox does not answer: {supervisor.state(NAME).reason}")
            proposal = propose(integration, listing)
            return write_lock(accept(Lock(), proposal, proposal.hash))

    # -- gateways and callers -----------------------------------------------------------------------------------

    @asynccontextmanager
    async def gateway(self) -> AsyncGenerator[Gateway]:
        """A gateway in this process, served over HTTP on this machine."""
        async with running(self.settings, servers=self.sandbox.servers()) as gateway:
            config = uvicorn.Config(
                gateway.asgi(),
                host="127.0.0.1",
                port=self.port,
                log_config=None,
                lifespan="on",
                ws="none",
                timeout_graceful_shutdown=2,
            )
            server = _Server(config)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_to_its_end, server)
                with anyio.fail_after(LIMIT):
                    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                        await anyio.sleep(0.005)
                try:
                    yield gateway
                finally:
                    gateway.holds.stopping.set()
                    server.should_exit = True

    @asynccontextmanager
    async def child(self) -> AsyncGenerator[subprocess.Popen[bytes]]:
        """A gateway process of its own, which can be killed."""
        command = [sys.executable, "-m", "lockkeep.cli.drill.child"]
        with (self.folder / "child.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603, ASYNC220 - our own program; starting it is quick
                command, env=self.environ(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            await self._answers(process)
            yield process
        finally:
            process.kill()
            await to_thread.run_sync(process.wait)

    async def _answers(self, process: "subprocess.Popen[bytes]") -> None:
        async with httpx2.AsyncClient(trust_env=False) as http:
            with anyio.move_on_after(2 * LIMIT):
                while process.poll() is None:
                    with suppress(httpx2.HTTPError):
                        if (await http.get(f"{self.settings.url}/readyz")).status_code == 200:
                            return
                    await anyio.sleep(0.05)
        raise DrillBroken("the gateway process did not start")

    @asynccontextmanager
    async def caller(self) -> AsyncGenerator[Client]:
        """An MCP client of the agent, over HTTP."""
        headers = {"Authorization": f"Bearer {self.tokens['agent']}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=LIMIT, trust_env=False) as http,
            Client(
                streamable_http_client(f"{self.settings.url}/mcp", http_client=http),
                mode="2026-07-28",
                cache=None,
            ) as client,
        ):
            yield client

    # -- what is on record --------------------------------------------------------------------------------------

    def approve(self, store: Store, approval: str, person: str) -> bool:
        """That person says yes, as in the inbox."""
        with self.here() as place:
            row = approvals.find(store.read, approval)
            said = store.write_now(
                lambda tx: approvals.vote(
                    tx, row["id"], place.people.persons.get(person), "approve", shown=row["bound"], reason="drill",
                    channel="drill", now=utc_now(), people=place.people.persons, owner=ASKED,
                )
            )  # fmt: skip
        return isinstance(said, approvals.Voted)

    def calls(self) -> list[Row]:
        """All calls, the newest first."""
        with self.here() as place:
            return place.store.read.all(
                "calls_list", state=None, tool=None, agent=None, user=None, count=100_000
            )


async def _to_its_end(server: uvicorn.Server) -> None:
    """Also when an exercise breaks off: its sockets are closed in order."""
    with anyio.CancelScope(shield=True):
        await server.serve()


async def call(client: Client, tool: str, run: str | None = None, **arguments: Json) -> dict[str, Json]:
    """One `tools/call`; the structured half of its answer."""
    meta = RequestParamsMeta(**{"lockkeep/run": run}) if run else None
    params = CallToolRequestParams(name=f"{NAME}_{tool}", arguments=arguments, _meta=meta)
    answer = await client.session.send_request(
        CallToolRequest(params=params), CallToolResult, request_read_timeout_seconds=LIMIT
    )
    content: Json = answer.structured_content
    if not is_object(content):
        raise DrillBroken(f"{tool} was answered without content")
    return dict(content)


async def until(holds: Callable[[], bool]) -> bool:
    """Whether it comes true in time."""
    with anyio.move_on_after(LIMIT):
        while not holds():  # noqa: ASYNC110 - of what other processes write there is no event
            await anyio.sleep(0.02)
        return True
    return False


class _Server(uvicorn.Server):
    """Leaves the signals to the command that runs the drill."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
