"""The only place that builds things: one gateway process, its tasks and its workers."""

import logging
import os
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import entry_points, version
from pathlib import Path

import anyio
from anyio.abc import TaskGroup
from mcp.server.subscriptions import InMemorySubscriptionBus, ToolsListChanged
from starlette.types import ASGIApp

from lockkeep.errors import IntegrationDown
from lockkeep.gates import hear
from lockkeep.gates.approval import approval
from lockkeep.gates.arguments import Schemas, arguments
from lockkeep.gates.policy import policy
from lockkeep.gates.switch import switch
from lockkeep.heads import Heads
from lockkeep.ledger import Ledger, audit, limits
from lockkeep.model import (
    Allow,
    Answer,
    Claim,
    Deny,
    Integration,
    Json,
    Outcome,
    Request,
    Tool,
    ToolCall,
    Tools,
    Verdict,
    moment,
)
from lockkeep.notify.announcements import Announcements
from lockkeep.pipeline import Pipeline
from lockkeep.policy.engine.engine import Later
from lockkeep.policy.engine.granting import Done, granted
from lockkeep.policy.engine.lookups import LookUps
from lockkeep.policy.inforce import InForce
from lockkeep.policy.rules.manifest import Effects
from lockkeep.policy.rules.rule import Rule
from lockkeep.prepare import Known, known_of, no_rules, prepare
from lockkeep.queues import Queues
from lockkeep.reconcile import Reconciler
from lockkeep.rounds import Rounds
from lockkeep.settings import Settings
from lockkeep.showing import Showing
from lockkeep.sinks import sinks_of
from lockkeep.store import Store
from lockkeep.store.folder import served
from lockkeep.surface import console, health, pressed, web
from lockkeep.surface.hold import Holds
from lockkeep.surface.mcp import Surface
from lockkeep.surface.refusals import Sparing
from lockkeep.undoing import Undoing
from lockkeep.upstream import Progress, ReadFailed, Supervisor, Upstream
from lockkeep.upstream.opening import Build, installed_server
from lockkeep.waysback import WaysBack

logger = logging.getLogger("lockkeep")


def utc_now() -> datetime:
    return datetime.now(UTC)


def random_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(10)}"


@dataclass(kw_only=True)
class Gateway:
    """One running gateway. Built by `running`, and by nothing else."""

    settings: Settings
    store: Store
    ledger: Ledger
    in_force: InForce
    supervisor: Supervisor
    upstream: Upstream
    holds: Holds
    heads: Heads
    bus: InMemorySubscriptionBus
    clock: Callable[[], datetime]
    new_id: Callable[[str], str]
    tasks: TaskGroup
    pipeline: Pipeline = field(init=False)
    reconciler: Reconciler = field(init=False)
    queues: Queues = field(init=False)
    announcements: Announcements = field(init=False)
    undoing: Undoing = field(init=False)
    showing: Showing = field(init=False)
    ways_back: WaysBack = field(init=False)
    _progress: dict[str, Progress] = field(default_factory=dict[str, Progress])
    _wires: set[anyio.Event] = field(default_factory=set[anyio.Event])
    _watched: dict[str, tuple[Later, LookUps]] = field(default_factory=dict[str, tuple[Later, LookUps]])
    sparing: Sparing = field(init=False)

    def __post_init__(self) -> None:
        rules = lambda: self.in_force.current  # noqa: E731 - one name for "as of now"
        self.sparing = Sparing(self.clock)
        self.showing = Showing(store=self.store, rules=rules, clock=self.clock)
        self.ways_back = WaysBack(
            rules=rules,
            ledger=self.ledger,
            read=lambda tool, args, seconds: self.upstream.read(tool, args, seconds),
        )
        schemas = Schemas()
        self.pipeline = Pipeline(
            known=self.known,
            ledger=self.ledger,
            gates={
                "switch": partial(switch, switches=self.ledger),
                "arguments": partial(arguments, tool=self.tool, closed=self.closed, schemas=schemas),
                "policy": partial(
                    policy,
                    rules=rules,
                    look_ups=lambda: LookUps(self.look_up),
                    taken=lambda share, call: limits.taken(self.store.read, share, call),
                    faults=lambda call: self.faults(schemas, call),
                    watch=self.watch,
                    grants=self.grants,
                ),
            },
            approval=partial(approval, rules=rules, store=self.store),
            send=self.send,
            in_own_task=self.in_own_task,
        )
        self.reconciler = Reconciler(
            ledger=self.ledger,
            tools=lambda: self.tools,
            read=self.upstream.read,
            record=self.ways_back.record,
        )
        self.queues = Queues(
            ledger=self.ledger,
            tools=lambda: self.tools,
            integrations=lambda: self.integrations,
            ask=self.upstream.read,
        )
        self.undoing = Undoing(
            ledger=self.ledger,
            tools=lambda: self.tools,
            prepared=self.prepared,
            judge=self.judge,
            decide=self.decide,
            rehearse=self.upstream.rehearse,
            read=self.upstream.read,
            stands=self.ways_back.stands,
            entry=self.ways_back.entry,
            down=lambda tool: not self.supervisor.state(tool.integration).up,
            new_id=self.new_id,
        )

        self.announcements = Announcements(
            ledger=self.ledger, in_force=self.in_force, url=self.settings.url, clock=self.clock
        )

    @property
    def tools(self) -> Tools:
        current = self.in_force.current
        return current.tools if current else {}

    @property
    def integrations(self) -> Mapping[str, Integration]:
        current = self.in_force.current
        return current.integrations if current else {}

    def tool(self, name: str) -> Tool | None:
        """The accepted tool as of now."""
        return self.tools.get(name)

    async def known(self, request: Request) -> Known:
        """The tool, the roles and the generation as of now."""
        self.in_force.refresh()
        current = self.in_force.current
        if current is None or self.in_force.refused:
            return Known(
                tool=None,
                effects=Effects(),
                roles=frozenset(),
                generation=0,
                no_rules=no_rules(self.in_force.refused),
            )
        tool = current.exported.get(request.tool)
        if tool is not None and not tool.offered and request.undo_of is None:
            tool = None  # service tools are for the gateway and undo only
        roles = current.people.roles(request.user)
        names = (
            ()
            if tool
            else (each.exported for each in current.offered(user=request.user, agent=request.agent))
        )
        return known_of(current, tool, roles, tuple(names))

    async def prepared(self, request: Request) -> ToolCall:
        return prepare(request, await self.known(request))

    async def judge(self, call: ToolCall) -> Verdict:
        """What arguments and rules say of a call that is not made."""
        for gate in ("arguments", "policy"):
            found = await hear(gate, self.pipeline.gates[gate](call))
            if not isinstance(found.verdict, Allow):
                return found.verdict
        return Allow()

    def grants(self, call: ToolCall) -> tuple[Rule, ...] | Deny:
        """Whether the rules let this person take back that call."""
        row, current = self.store.read.one("call_get", id=call.undo_of), self.in_force.current
        if row is None or row["state"] != "succeeded" or current is None:
            return Deny("policy.not_allowed", "There is no such call that stands.")
        done = Done(row["tool"], row["operation"], row["agent"], moment(row["settled_at"] or row["at"]))
        return granted(current.rules_of(row["tool"]), done, call.user, current.people, call.at)

    def faults(self, schemas: Schemas, call: ToolCall) -> str | None:
        """What of these arguments does not fit the tool; None if all do."""
        tool = self.tool(call.tool)
        return schemas.faults(tool, call.arguments) if tool else "the tool is gone"

    def closed(self, tool: Tool) -> str | None:
        """Why a tool cannot be used now; IntegrationDown while nobody answers."""
        if not self.supervisor.state(tool.integration).up:
            raise IntegrationDown(tool.integration)
        return self.upstream.closed(tool)

    async def look_up(self, tool: str, args: Mapping[str, Json], timeout: float) -> Json:
        found = self.tools.get(tool)
        if found is None or not found.reads:
            raise ReadFailed(f"{tool} is no accepted read")
        return await self.upstream.read(found, args, timeout)

    async def run(self, request: Request, progress: Progress) -> Outcome:
        """One request of a host; its progress token is served while it is on the wire."""
        self._progress[request.id] = progress
        try:
            return await self.decide(request)
        finally:
            self._progress.pop(request.id, None)

    async def decide(self, request: Request) -> Outcome:
        """The pipeline's answer; what rules that only observe would have said is worked out after it."""
        try:
            return await self.pipeline.run(request)
        finally:
            if (watched := self._watched.pop(request.id, None)) is not None:
                self.tasks.start_soon(self._observe, request.id, *watched)

    def watch(self, call: ToolCall, later: Later, facts: LookUps) -> None:
        """Kept until the call has its answer."""
        self._watched[call.id] = later, facts

    async def _observe(self, call: str, later: Later, facts: LookUps) -> None:
        try:
            await self.ledger.observed(call, await later(), facts.record)
        except Exception:
            logger.exception("what rules that observe say of call %s is not on record", call)

    async def send(self, claim: Claim) -> Answer:
        progress = self._progress.get(claim.call.id)
        return await self.ways_back.kept(claim, partial(self.upstream.send, claim, progress=progress))

    async def shown(self, outcome: Outcome) -> Outcome:
        """What this call's caller may see of its answer."""
        return await self.showing.shown(outcome)

    async def in_own_task(self, work: Callable[[], Awaitable[Outcome | None]]) -> Outcome | None:
        """The work goes on if the one who waits for it goes away. An exception travels to the waiter only."""
        done = anyio.Event()
        ended: list[Outcome | Exception | None] = []

        async def own() -> None:
            try:
                ended.append(await work())
            except Exception as error:
                ended.append(error)
            finally:
                self._wires.discard(done)
                done.set()

        self._wires.add(done)
        self.tasks.start_soon(own)
        await done.wait()
        if isinstance(ended[0], Exception):
            raise ended[0]
        return ended[0]

    def rounds(self) -> Rounds:
        return Rounds(
            ledger=self.ledger,
            in_force=self.in_force,
            reconcile=self.reconciler.run_once,
            hold_queues=self.queues.run_once,
            decide=self.decide,
            connect=self.connect,
            send_heads=self.heads.run_once,
            closed=self.closed,
            undo=self.undoing.run_once,
            tasks=self.tasks,
        )

    async def connect(self) -> None:
        """Exactly the integrations of the rules in force are connected to, and hosts hear that the list changed."""
        current = self.in_force.current
        await self.supervisor.replace(current.integrations.values() if current else ())
        await self.bus.publish(ToolsListChanged())

    def on_change(self, integration: str) -> None:
        """An integration came, went or lists other tools."""
        logger.debug("integration %s changed", integration)
        self.tasks.start_soon(self.bus.publish, ToolsListChanged())

    async def drain(self) -> None:
        """Held answers leave as they are; what is on the wire may finish."""
        self.holds.stopping.set()
        with anyio.move_on_after(self.settings.stop_s):
            while self._wires:
                await next(iter(self._wires)).wait()

    # -- the web ------------------------------------------------------------------------------------------------

    def asgi(self) -> ASGIApp:
        surface = Surface(
            run=self.run,
            shown=self.shown,
            rules=lambda: self.in_force.current,
            ledger=self.ledger,
            holds=self.holds,
            clock=self.clock,
            new_id=self.new_id,
            url=self.settings.url,
            hold_s=self.settings.hold_s,
            bus=self.bus,
        )
        public = (self.settings.public_url, *self.settings.allowed_hosts.split(","))
        desk = console.Desk(
            self.ledger,
            self.in_force,
            self.clock,
            self.sparing,
            self.new_id,
            secure=self.settings.url.startswith("https"),
            hosts=tuple(name for each in public if (name := console.host_name(each))),
        )
        heard = pressed.routes(desk.known_host, self.announcements.answer, self.record_refusal)
        routes = [*health.routes(self.ready, desk.known_host), *console.routes(desk), *heard]
        return web.address(
            surface.server(version("lockkeep")), self.settings, self.store, routes, self.record_refusal
        )

    def ready(self) -> Mapping[str, Json]:
        states = self.supervisor.states()
        down = {state.integration: state.reason for state in states if not state.up}
        current = self.in_force.current
        generation = current.generation if current else None
        return {"ready": current is not None and not down, "policy": generation, "down": down}

    async def record_refusal(self, status: int, path: str, host: str) -> None:
        """A request that named no call is on the record, too, but sparingly."""
        now = self.clock()
        record, missed = self.sparing.may()
        if record:
            said: dict[str, Json] = {
                "status": status,
                "path": path[:100],
                "host": host,
                "unrecorded": missed or None,
            }
            await self.store.write(lambda tx: audit.append(tx, "request.refused", now, **said), durable=False)


@asynccontextmanager
async def running(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = utc_now,
    new_id: Callable[[str], str] = random_id,
    servers: Callable[[str], Build] = installed_server,
) -> AsyncGenerator[Gateway]:
    """A gateway that decides and executes. Before it answers, what an earlier process left open is unknown."""
    async with AsyncExitStack() as stack:
        sinks = sinks_of(settings)
        stack.enter_context(served(settings.data))
        store = Store(settings.store)
        stack.callback(store.close)
        ledger = Ledger(store, folder=settings.data, clock=clock, new_id=new_id)
        in_force = InForce(store)
        in_force.refresh()
        tasks = await stack.enter_async_context(anyio.create_task_group())
        changed: list[Callable[[str], None]] = []
        current = in_force.current
        supervisor = Supervisor(
            current.integrations.values() if current else (),
            on_change=lambda name: changed[0](name) if changed else None,
            servers=servers,
            environ=embedded_environment(settings.data),
            stops=ledger.newest_switch,
        )
        gateway = Gateway(
            settings=settings,
            store=store,
            ledger=ledger,
            in_force=in_force,
            supervisor=supervisor,
            upstream=Upstream(supervisor, lambda: in_force.current.tools if in_force.current else {}),
            holds=Holds(ledger),
            heads=Heads(store=store, folder=settings.data, sinks=sinks, clock=clock),
            bus=InMemorySubscriptionBus(),
            clock=clock,
            new_id=new_id,
            tasks=tasks,
        )
        changed.append(gateway.on_change)
        await ledger.sweep(start=True)
        await store.write(lambda tx: audit.append(tx, "gateway.started", clock(), pid=os.getpid()))
        await stack.enter_async_context(supervisor.running())
        await supervisor.wait_ready(5.0)
        tasks.start_soon(gateway.rounds().run)
        tasks.start_soon(gateway.announcements.run)
        try:
            yield gateway
        finally:
            await gateway.drain()
            changed.clear()
            await store.write(lambda tx: audit.append(tx, "gateway.stopped", clock()))
            await gateway.heads.run_once(at_once=True)
            tasks.cancel_scope.cancel()


@cache
def _installed_servers() -> frozenset[str]:
    return frozenset(entry_points(group="lockkeep_servers.servers").names)


def embedded_environment(data: Path) -> dict[str, str]:
    """The environment of in-process servers: each keeps its own folder beside the ledger unless told otherwise."""
    names = {f"LOCKKEEP_{name.upper()}_DATA": str(data / name) for name in _installed_servers()}
    return {**names, **{key: value for key, value in os.environ.items() if key.startswith("LOCKKEEP_")}}
