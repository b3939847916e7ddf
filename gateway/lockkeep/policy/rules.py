"""Compiled rules: what the engine walks for one tool."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from lockkeep.model import Demand
from lockkeep.policy import runtime
from lockkeep.policy.checked import Code
from lockkeep.policy.positions import Place
from lockkeep.policy.runtime import Env, EvalError

Kind = Literal["allow", "deny", "ask", "limit"]
HOLE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Condition:
    """One checked condition with its own words."""

    code: Code
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Template:
    """A text for people with names in braces."""

    parts: tuple[str | Code, ...]

    @property
    def reads(self) -> frozenset[str]:
        return frozenset[str]().union(*(part.reads for part in self.parts if isinstance(part, Code)))

    def fill(self, env: Env) -> str:
        return "".join(part if isinstance(part, str) else _shown(part, env) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Applies:
    """Whose calls the rule's file speaks about."""

    agents: frozenset[str]
    workflows: frozenset[str]
    everywhere: bool

    def to(self, agent: str, workflow: str | None) -> bool:
        if self.everywhere:
            return True
        return (not self.agents or agent in self.agents) and (
            not self.workflows or workflow in self.workflows
        )


@dataclass(frozen=True, slots=True)
class Who:
    """Whom an allow permits."""

    anyone: bool = False
    roles: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()

    def fits(self, user: str, agent: str, roles: frozenset[str]) -> bool:
        if self.anyone:
            return True
        return (
            bool(self.roles or self.users or self.agents)
            and (not self.roles or bool(self.roles & roles))
            and (not self.users or user in self.users)
            and (not self.agents or agent in self.agents)
        )


@dataclass(frozen=True, slots=True)
class Counted:
    """A limit's number, window and keys."""

    most: int
    window: str
    keys: tuple[Code, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One entry for one tool. `source` is what a digest of the rules covers."""

    id: str
    file: str  # the policy it stands in: its look-ups are that file's
    kind: Kind
    place: Place
    applies: Applies
    source: str
    when: tuple[Condition, ...] = ()
    unless: tuple[Condition, ...] = ()
    say: Template | None = None
    fix: Template | None = None
    who: Who = field(default_factory=Who)
    demand: Demand | None = None
    counted: Counted | None = None

    @property
    def reads(self) -> frozenset[str]:
        return self.told.union(*(condition.code.reads for condition in (*self.when, *self.unless)))

    @property
    def told(self) -> frozenset[str]:
        """The look-ups its texts speak of."""
        return frozenset[str]().union(*(text.reads for text in (self.say, self.fix) if text))

    @property
    def words(self) -> str:
        """The conditions as they stand in the file."""
        when = [condition.text for condition in self.when]
        unless = [f"not ({condition.text})" for condition in self.unless]
        return " and ".join([*when, *unless])


@dataclass(frozen=True, slots=True)
class Lookup:
    """A fact to read: the tool, its arguments as code, and the look-ups it needs first."""

    name: str
    tool: str
    arguments: Mapping[str, Code]
    timeout: float
    source: str

    @property
    def reads(self) -> frozenset[str]:
        return frozenset[str]().union(*(code.reads for code in self.arguments.values()))


@dataclass(frozen=True, slots=True)
class ToolRules:
    """Everything that is said about one tool; look-ups are kept apart by the file that declares them."""

    rules: tuple[Rule, ...] = ()
    lookups: Mapping[tuple[str, str], Lookup] = field(default_factory=dict[tuple[str, str], Lookup])


def needed_by(
    names: Iterable[tuple[str, str]], lookups: Mapping[tuple[str, str], Lookup]
) -> set[tuple[str, str]]:
    """These look-ups and all that they need themselves."""
    found: set[tuple[str, str]] = set()
    more = set(names)
    while more:
        found |= more
        more = {(file, name) for file, each in more for name in lookups[file, each].reads} - found
    return found


def _shown(code: Code, env: Env) -> str:
    try:
        return runtime.shown(code.run(env))
    except EvalError:
        return "(unknown)"
