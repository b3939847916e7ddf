"""The shipped servers behind a whole gateway: every write tool, with the calls its conformance file proves it with."""

import shutil
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from house import House, house, text, utc_now
from lockkeep_servers.check.cases import Ask, Step, Write
from lockkeep_servers.check.desk import Clock
from lockkeep_servers.check.moving import still
from lockkeep_servers.check.nursery import Nursery
from lockkeep_servers.check.points.undo import rows_left, rows_of
from lockkeep_servers.check.reading import FILE, read_cases
from lockkeep_servers.check.scene import Room, Scene
from lockkeep_servers.check.target import named
from lockkeep_servers.kit.faults import Trouble
from undo_desk import Console

SERVERS = ("billing", "calendar", "carrier", "commerce", "crm", "notify", "ticketing")
GATEWAY = """\
api: lockkeep/v1
gateway: house
integrations:
  {server}: {{in_process: true}}
agents:
  robot: {{owner: olga}}
"""
RULES = """\
api: lockkeep/v1
policy: desk
owner: lead
applies_to: {{agents: [robot]}}
tools:
  "{server}.*": {{allow: anyone}}
"""
ACCOUNT = {"customer_id": "con_13", "email": "ida@kestrel.example", "plan": "Pro"}
MADE = (Step(Ask("create_account", ACCOUNT), name="account"),)
SEEN = (Ask("get", {"kind": "account", "id": "=account.id"}),)
MOVED = {"id": "=account.id", "status": "onboarding_started", "reason": "next"}
ONBOARDING = (  # a toolset that conformance.yaml leaves out
    Write(
        tool="create_account",
        name="a customer",
        arguments=ACCOUNT,
        between=Ask(
            "set_account_status", {"id": "=result.id", "status": "onboarding_started", "reason": "third"}
        ),
    ),
    Write(
        tool="set_account_status",
        name="a step",
        arguments=MOVED,
        prepare=MADE,
        snapshot=SEEN,
        ignore=frozenset({"changes"}),
        between=Ask("set_account_status", {"id": "=account.id", "status": "active", "reason": "third"}),
    ),
    Write(
        tool="set_account_status",
        name="closed, for good",
        arguments={**MOVED, "status": "closed"},
        prepare=(*MADE, Step(Ask("set_account_status", MOVED))),
        snapshot=SEEN,
    ),
)


class Server:
    """One shipped server, its cases, and a ledger in which its tools are accepted."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        target = named(name)
        assert target.folder is not None
        cases = read_cases(target.folder / FILE)
        target.now = cases.now
        if name == "crm":
            cases = replace(
                cases,
                history=cases.history | {"account_changes"},
                settings={**cases.settings, "TOOLSETS": "sales,onboarding"},
                writes={
                    **cases.writes,
                    **{
                        tool: tuple(case for case in ONBOARDING if case.tool == tool)
                        for tool in ("create_account", "set_account_status")
                    },
                },
            )
        self.room = Room(target, cases, Nursery())
        self._ledger: Path | None = None

    async def meet(self) -> None:
        async with self.room.fresh() as counter:
            self.room.know(await counter.desk.tools())

    @property
    def offered(self) -> list[str]:
        """The writers that hosts see."""
        return [tool for tool in self.room.writers if self.room.effect(tool).get("export", True)]

    def cases(self, *tools: str) -> Sequence[Write]:
        """Every case of the writers that hosts see."""
        return [case for case in self.room.each() if case.tool in (tools or self.offered)]

    @asynccontextmanager
    async def played(self, case: Write) -> AsyncGenerator["Played"]:
        """The case ready to be called, through a gateway, in a world of its own."""
        start = await self.room.prepared(case)
        now = start.now or self.room.target.now
        folder = self.room.target.stores.empty()
        if self._ledger is None:
            self._ledger = self.room.target.stores.empty()
            async with self._house(self._ledger, start.environ, Clock(now)):
                pass  # its tools are accepted once
        shutil.copytree(self._ledger, folder, dirs_exist_ok=True)
        clock = Clock(now)
        async with (
            self.room.opened(start.environ, now=now) as counter,
            self._house(folder, start.environ, clock) as home,
        ):
            home.clock.ahead = now - utc_now()
            yield Played(home, folder, self.name, counter.scene(case, start))

    def _house(self, folder: Path, environ: Mapping[str, str], clock: Clock) -> Any:
        def build(_name: str) -> Any:
            def made(_: Mapping[str, str]) -> Any:
                return self.room.target.start(environ, clock, Trouble())

            return made

        gateway, rules = GATEWAY.format(server=self.name), RULES.format(server=self.name)
        return house(folder, servers=build, gateway=gateway, rules=rules)

    def close(self) -> None:
        self.room.target.stores.clear()
        self.room.nursery.close()


@dataclass(frozen=True)
class World:
    """What the reads show, and what the store holds."""

    shown: Any
    rows: Any


class Played(Console):
    """One case at one server behind one gateway; others work at the server itself."""

    def __init__(self, home: House, folder: Path, server: str, scene: Scene) -> None:
        super().__init__(home, folder)
        self.server, self.scene = server, scene

    async def world(self) -> World:
        return World(await self.scene.shown(), rows_of(self.scene))

    async def do(self) -> tuple[str, Mapping[str, Any]]:
        """The agent's call: its id at the gateway, and its answer."""
        tool = f"{self.server}.{self.scene.tool}"
        answer = await self.home.call(tool, self.scene.arguments)
        assert not answer.is_error, text(answer)
        return self.newest(tool), dict(answer.structured_content or {})

    async def others(self, between: Ask, result: Mapping[str, Any], call: str) -> None:
        """Somebody else changes what was done, at the server itself."""
        values = {**self.scene.named, "args": self.scene.meant(), "result": result, "call": call}
        theirs = await self.scene.ask(between, values)
        assert theirs.ok, theirs.shown

    def differs(self, before: World, now: World, residue: frozenset[str]) -> str:
        """What is not as it was, beside what the case declares to stay."""
        was, shown = (still(each.shown, self.scene.case.ignore) for each in (before, now))
        left = rows_left(before.rows, now.rows, residue) if before.rows is not None else []
        return "; ".join([*(["the reads show something else"] if was != shown else []), *left[:3]])
