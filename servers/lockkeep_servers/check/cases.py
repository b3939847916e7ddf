"""`conformance.yaml`: what can be asked of a server, so that the ten points can be proven on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2027, 3, 1, 7, 0, tzinfo=UTC)
WORLD: Mapping[str, str] = {"WORLD": "demo", "WORLD_SIZE": "small", "WORLD_DAY": "2027-03-01"}
Template = Mapping[str, Any]


class CasesError(ValueError):
    """The cases cannot be used. The sentence names the place."""


@dataclass(frozen=True)
class Ask:
    """One call to make; texts that begin with `=` are filled in then."""

    tool: str
    arguments: Template


@dataclass(frozen=True)
class Step:
    """Something done before: a call whose answer gets a name, or a while that passes."""

    ask: Ask | None
    name: str = ""
    later: timedelta = timedelta()


@dataclass(frozen=True, kw_only=True)
class Write:
    """One sound call of a writer."""

    tool: str
    name: str
    arguments: Template
    prepare: tuple[Step, ...] = ()
    other: Template | None = None
    snapshot: tuple[Ask, ...] = ()
    between: Ask | None = None
    late: str = ""
    ignore: frozenset[str] = frozenset()
    stale: str = "0"
    settings: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """One call that must be refused with this code, or be answered with this warning."""

    ask: Ask
    code: str
    check: str
    warns: str
    prepare: tuple[Step, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class Pages:
    """One listing to walk through, and how a row arrives meanwhile."""

    ask: Ask
    items: str
    key: tuple[str, ...]
    arrive: Ask | None
    prepare: tuple[Step, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class Gap:
    """What a back end cannot do, by its nature."""

    reason: str
    adapter: str = ""
    point: str = ""
    tool: str = ""
    case: str = ""
    check: str = ""


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Everything the file says; without a file, nothing."""

    there: bool = False
    now: datetime = NOW
    settings: Mapping[str, str] = field(default_factory=lambda: WORLD)
    history: frozenset[str] = frozenset()
    snapshot: tuple[Ask, ...] = ()
    reads: tuple[Ask, ...] = ()
    writes: Mapping[str, tuple[Write, ...]] = field(default_factory=dict[str, tuple[Write, ...]])
    refusals: tuple[Refusal, ...] = ()
    pages: tuple[Pages, ...] = ()
    gaps: tuple[Gap, ...] = ()

    def each(self, *, sample: bool = False) -> list[Write]:
        """Every case; of a sample, the first of each tool."""
        return [case for cases in self.writes.values() for case in (cases[:1] if sample else cases)]
