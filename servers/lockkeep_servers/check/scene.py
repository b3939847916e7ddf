"""A server, its cases, and one case set up in a fresh store: what every point starts from."""

import secrets
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, cast

import jsonschema_rs
from mcp_types import Tool

from lockkeep_servers.check import store
from lockkeep_servers.check.cases import Ask, Cases, Step, Write
from lockkeep_servers.check.desk import Answer, Desk, effect_of
from lockkeep_servers.check.moving import still
from lockkeep_servers.check.nursery import Nursery
from lockkeep_servers.check.results import Book
from lockkeep_servers.check.target import Environ, Target
from lockkeep_servers.check.undoing import CannotFill, entry_for, fill
from lockkeep_servers.kit.faults import Trouble

Tell = Callable[[str], None]


class Unprepared(Exception):
    """A case cannot be set up as its file says. The sentence names the step."""


@dataclass(frozen=True)
class Prepared:
    """What a case starts from: a store, the answers of what was done before, and how late it is by then."""

    environ: Environ
    named: Mapping[str, Any]
    now: datetime | None


@dataclass
class Room:
    """One server and everything known about it."""

    target: Target
    cases: Cases
    nursery: Nursery
    sample: bool = False
    tell: Tell = lambda _: None
    tools: Mapping[str, Tool] = field(default_factory=dict[str, Tool])
    answers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    _run: str = field(
        default_factory=lambda: secrets.token_hex(4)
    )  # a back end may know the keys of other runs
    _keys: Iterator[int] = field(default_factory=lambda: count(1))
    _prepared: dict[int, Prepared] = field(default_factory=dict[int, Prepared])

    def know(self, tools: Iterable[Tool]) -> None:
        """Note the tools, and how their answers must look."""
        self.tools = {tool.name: tool for tool in tools}
        self.answers = {
            tool.name: jsonschema_rs.Draft202012Validator(tool.output_schema)
            for tool in self.tools.values()
            if tool.output_schema is not None and standard(tool.output_schema)
        }

    def new_key(self) -> str:
        return f"check-{self._run}-{next(self._keys)}"

    def effect(self, tool: str) -> Mapping[str, Any]:
        return effect_of(self.tools[tool]) if tool in self.tools else {}

    def takes(self, tool: str) -> Mapping[str, Any]:
        """The tool's arguments, by name."""
        if tool not in self.tools:
            return {}
        return cast(Mapping[str, Any], self.tools[tool].input_schema.get("properties", {}))

    def needs(self, tool: str) -> Sequence[str]:
        return cast(list[str], self.tools[tool].input_schema.get("required", []))

    def key_of(self, tool: str) -> str:
        """The argument that takes the key; empty if the tool takes none."""
        said: Any = self.effect(tool).get("idempotency")
        return str(cast(Mapping[str, Any], said).get("arg", "")) if isinstance(said, Mapping) else ""

    @property
    def receipts(self) -> frozenset[str]:
        """The tools that tell what became of a key."""
        named = (self.effect(tool).get("verify") for tool in self.tools)
        return frozenset(str(cast(Any, each)["tool"]) for each in named if isinstance(each, Mapping))

    @property
    def writers(self) -> list[str]:
        return [
            tool
            for tool in self.tools
            if self.effect(tool).get("class", "write") != "read" and tool not in self.receipts
        ]

    @property
    def readers(self) -> list[str]:
        return [tool for tool in self.tools if self.effect(tool).get("class") == "read"]

    def may(self, *asks: Ask | None) -> bool:
        """Whether all of these may be called at this back end."""
        return self.target.writable or all(ask is None or ask.tool in self.readers for ask in asks)

    def each(self, *, every: bool = False) -> list[Write]:
        """The cases to play: of a sample the first of each tool."""
        return [case for case in self.cases.each(sample=self.sample and not every) if case.tool in self.tools]

    def new(self, settings: Environ) -> Environ:
        return self.target.new(self.cases.settings, settings)

    @asynccontextmanager
    async def opened(
        self, environ: Environ, trouble: Trouble | None = None, now: datetime | None = None
    ) -> AsyncGenerator["Counter"]:
        async with self.target.opened(environ, trouble, now) as desk:
            desk.answers = self.answers
            desk.only = None if self.target.writable else self.readers
            yield Counter(self, desk)

    @asynccontextmanager
    async def fresh(self, settings: Environ | None = None) -> AsyncGenerator["Counter"]:
        async with self.opened(self.new(settings or {})) as counter:
            yield counter

    @asynccontextmanager
    async def scene(self, case: Write, trouble: Trouble | None = None) -> AsyncGenerator["Scene"]:
        """The case in a fresh store, everything before it done."""
        start = await self.prepared(case)
        async with self.opened(start.environ, trouble, start.now) as counter:
            yield counter.scene(case, start)

    async def prepared(self, case: Write) -> Prepared:
        """A fresh store in which everything before the case was done; of an embedded one, a copy."""
        known = self._prepared.get(id(case))
        if known is None:
            known = await self._prepare(case)
            if not self.target.embedded:
                return known
            self._prepared[id(case)] = known
        folder = self.target.stores.copy(self.target.store_of(known.environ))
        return Prepared({**known.environ, self.target.key("DATA"): str(folder)}, known.named, known.now)

    async def _prepare(self, case: Write) -> Prepared:
        environ = self.new(case.settings)
        if not case.prepare:
            return Prepared(environ, {}, None)
        async with self.opened(environ) as counter:
            try:
                named, why = await counter.prepared(case.prepare), ""
            except (Unprepared, CannotFill) as error:
                named, why = dict[str, Any](), str(error)
            now = counter.desk.clock.now if counter.desk.clock is not None else None
        if why:  # raised outside of the connection, which would wrap it
            raise Unprepared(why)
        return Prepared(environ, named, now)


@dataclass
class Counter:
    """A desk where a call's texts are filled in, and a writer gets a key."""

    room: Room
    desk: Desk

    async def ask(self, ask: Ask, values: Mapping[str, Any], *, key: str = "") -> Answer:
        return await self.desk.call(ask.tool, self.filled(ask, values, key=key))

    def filled(self, ask: Ask, values: Mapping[str, Any], *, key: str = "") -> dict[str, Any]:
        arguments = cast(dict[str, Any], fill(dict(ask.arguments), values))
        name = self.room.key_of(ask.tool)
        return {name: key or self.room.new_key(), **arguments} if name else arguments

    async def prepared(self, steps: Iterable[Step]) -> dict[str, Any]:
        """Return the answers of the steps, by their names.

        Raises:
            Unprepared: a step was refused, or time cannot pass here.
        """
        named: dict[str, Any] = {}
        for step in steps:
            if step.ask is None:
                if self.desk.clock is None:
                    raise Unprepared("time cannot be moved here")
                self.desk.clock.later(step.later)
                continue
            answer = await self.ask(step.ask, named)
            if not answer.ok:
                raise Unprepared(f"its step {step.ask.tool} was answered with {answer.shown}")
            named |= {step.name: answer.content} if step.name else {}
        return named

    def scene(self, case: Write, start: Prepared) -> "Scene":
        arguments = fill(dict(case.arguments), start.named)
        return Scene(self.room, self.desk, case, start, cast(dict[str, Any], arguments), self.room.new_key())

    async def picture(self, more: Iterable[Ask] = (), values: Mapping[str, Any] | None = None) -> Any:
        """Everything there is to see: the rows of an embedded store, else what the snapshot's reads show."""
        if self.room.target.embedded:
            return store.tables(self.room.target.store_of(self.desk.environ))
        return await self.reads((*self.room.cases.snapshot, *more), values or {})

    async def reads(self, asks: Iterable[Ask], values: Mapping[str, Any]) -> list[Any]:
        shown: list[Any] = []
        for ask in asks:
            pages = await self.desk.pages(ask.tool, self.filled(ask, values))
            if not pages[0].closed:
                raise Unprepared(f"the snapshot's {ask.tool} was answered with {pages[0].shown}")
            shown += [page.content for page in pages]
        return shown

    @property
    def sees(self) -> bool:
        """Whether a change would be noticed at all."""
        return self.room.target.embedded or bool(self.room.cases.snapshot)


@dataclass
class Scene(Counter):
    """One case, ready to be called."""

    case: Write
    start: Prepared
    arguments: Mapping[str, Any]
    key: str  # of this step, unless a call says another

    @property
    def where(self) -> dict[str, str]:
        """What a finding is about."""
        return {"tool": self.tool, "case": self.case.name}

    @property
    def named(self) -> Mapping[str, Any]:
        return self.start.named

    @property
    def tool(self) -> str:
        return self.case.tool

    @property
    def entry(self) -> Mapping[str, Any]:
        """The manifest's entry for these very arguments."""
        return entry_for(self.room.effect(self.tool), self.meant())

    def meant(self, key: str = "") -> dict[str, Any]:
        """The arguments as the gateway's expressions see them: with the defaults of the schema."""
        defaults = {
            name: part["default"] for name, part in self.room.takes(self.tool).items() if "default" in part
        }
        return {**defaults, **self.given(key)}

    def given(self, key: str = "") -> dict[str, Any]:
        name = self.room.key_of(self.tool)
        return {**self.arguments, **({name: key or self.key} if name else {})}

    async def call(self, key: str = "", **more: Any) -> Answer:
        return await self.desk.call(self.tool, {**self.given(key), **more})

    async def seen(self) -> Any:
        return await self.picture(self.case.snapshot, self.named)

    async def shown(self) -> Any:
        """What the reads show, without what moves with every change."""
        return still(await self.reads((*self.room.cases.snapshot, *self.case.snapshot), self.named))

    async def verify(self, key: str = "", *, fence: bool = False) -> Answer:
        """Ask for the receipt of a key, by the manifest; `fence` is left out unless it is asked for."""
        said = cast(Mapping[str, Any], self.entry["verify"])
        given = cast(dict[str, Any], fill(said.get("with", {}), {"args": self.meant(key)}))
        if "fence" in given:
            given["fence"] = fence
        return await self.desk.call(str(said["tool"]), given)

    @property
    def sees(self) -> bool:
        return super().sees or bool(self.case.snapshot)


def standard(schema: Mapping[str, Any]) -> bool:
    """Whether it is a JSON Schema at all."""
    try:
        jsonschema_rs.Draft202012Validator(dict(schema))
    except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError):
        return False
    return True


async def each_case(
    room: Room, book: Book, play: Callable[[Write], Awaitable[None]], cases: Iterable[Write]
) -> None:
    """Play every case; one that cannot be set up, or whose texts cannot be filled, is a finding of its own."""
    for case in cases:
        room.tell(f"{book.point} {case.tool}")
        try:
            await play(case)
        except* (Unprepared, CannotFill) as group:
            book.expect(
                False, "case", f"The case cannot be played: {_first(group)}.", tool=case.tool, case=case.name,
                fix="Correct the case in conformance.yaml, or the server.",
            )  # fmt: skip


def _first(group: BaseExceptionGroup[Exception]) -> str:
    error: Exception | BaseExceptionGroup[Exception] = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error).rstrip(".")
