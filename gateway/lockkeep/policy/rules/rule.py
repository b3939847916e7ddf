"""Compiled rules: what the engine walks for one tool."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Literal

from lockkeep.model import Demand
from lockkeep.policy.conditions import runtime
from lockkeep.policy.conditions.checked import Code, Run
from lockkeep.policy.conditions.generate import generated
from lockkeep.policy.conditions.runtime import Env, EvalError, Money, Table
from lockkeep.policy.files.forms import Mode
from lockkeep.policy.hours import Hours
from lockkeep.policy.positions import Place

Kind = Literal["allow", "deny", "people", "ask", "limit"]
Path = tuple[str | int, ...]  # from the arguments to one value
PROJECTED = "projected"  # in the environment: the arguments as rules of the call's operation see them
HOLE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Condition:
    """One checked condition with its own words."""

    code: Code
    text: str
    place: Place

    @cached_property
    def run(self) -> Run:
        """The condition as one generated function; made when the first call needs it."""
        return generated([self.code])


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
class Someone:
    """`person:owner_id`, `manager-of:owner_id`: a person an account in a field stands for."""

    code: Code
    integration: str  # where the field comes from, and with it the account
    manager: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom to ask. `someone` works out the names in the demand that stand for a field."""

    demand: Demand
    someone: Mapping[str, Someone] = field(default_factory=dict[str, Someone])
    recheck: tuple[Code, ...] = ()

    @property
    def reads(self) -> frozenset[str]:
        codes = (*(each.code for each in self.someone.values()), *self.recheck)
        return frozenset[str]().union(*(code.reads for code in codes))


@dataclass(frozen=True)
class Counted:
    """A limit's number, window and keys. What is summed: `of`, or nothing for a number of calls."""

    most: int | Money | Table
    of: Code | None
    window: str
    keys: tuple[Code, ...]
    text: str
    full: Asked | None = None  # who may let it pass when it is full
    to: tuple[str, ...] = ()  # or who takes over then

    @cached_property
    def for_whom(self) -> tuple[Run, ...]:
        """The keys as generated functions."""
        return tuple(generated([code]) for code in self.keys)


@dataclass(frozen=True, slots=True)
class Cut:
    """An argument is cut to a maximum: a number, or money in the currency it comes in."""

    rule: str
    applies: Applies
    path: Path  # to the field that is changed
    value: Code  # what it is now
    most: int | float | Money | Table
    mode: Mode
    until: date | None
    operation: str | None = None
    projects: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """What of an answer is shown: one file's result rules for one tool."""

    rule: str
    applies: Applies
    hide: tuple[str, ...]
    detect: tuple[str, ...]
    withhold: tuple[Condition, ...]
    flag: tuple[Condition, ...]
    mode: Mode
    until: date | None
    operation: str | None = None
    projects: bool = False


@dataclass(frozen=True, slots=True)
class TakenBack:
    """Who may undo, how long, and who must agree; narrows what the manifest says."""

    rule: str
    applies: Applies
    who: frozenset[str]
    within: float | None
    asked: Asked | None
    operation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One entry for one tool. `source` is what a digest of the rules covers."""

    id: str
    file: str  # the policy it stands in: its look-ups are that file's
    kind: Kind
    place: Place
    applies: Applies
    source: str
    operation: str | None = None  # the one thing a wide tool does that it speaks about
    projects: bool = False  # whether it sees that operation's own arguments
    when: tuple[Condition, ...] = ()
    unless: tuple[Condition, ...] = ()
    say: Template | None = None
    fix: Template | None = None
    who: Who = field(default_factory=Who)
    asked: Asked | None = None
    counted: Counted | None = None
    to: tuple[str, ...] = ()  # whose desk takes over
    mode: Mode = "enforce"
    until: date | None = None  # the last day in force, in the gateway's zone
    hours: tuple[Hours, ...] = ()  # all of them hold when it speaks

    @property
    def home(self) -> str:
        """Whose look-ups it uses: its file's, asked with the arguments it sees."""
        return home_of(self.file, self.operation if self.projects else None)

    @property
    def told(self) -> frozenset[str]:
        """The look-ups its texts and its people need."""
        texts = frozenset[str]().union(*(text.reads for text in (self.say, self.fix) if text))
        full = self.counted.full if self.counted else None
        return texts.union(*(asked.reads for asked in (self.asked, full) if asked))

    @property
    def reads(self) -> frozenset[str]:
        """Every look-up of its conditions, numbers, texts and people."""
        of = (self.counted.of,) if self.counted and self.counted.of else ()
        conditions = (condition.code for condition in (*self.when, *self.unless))
        return self.told.union(*(code.reads for code in (*conditions, *of)))

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
    cache: float = 0.0  # seconds an answer stays good for the same arguments
    failed: Asked | None = None  # who is asked when it fails
    projects: bool = False

    @property
    def reads(self) -> frozenset[str]:
        return frozenset[str]().union(*(code.reads for code in self.arguments.values()))


@dataclass(frozen=True, slots=True)
class ToolRules:
    """Everything that is said about one tool; look-ups are kept apart by the file that declares them."""

    rules: tuple[Rule, ...] = ()
    cuts: tuple[Cut, ...] = ()
    shown: tuple[Shown, ...] = ()
    undo: tuple[TakenBack, ...] = ()
    lookups: Mapping[tuple[str, str], Lookup] = field(default_factory=dict[tuple[str, str], Lookup])

    def with_more(self, other: "ToolRules") -> "ToolRules":
        """What two blocks say adds up."""
        return ToolRules(
            self.rules + other.rules, self.cuts + other.cuts, self.shown + other.shown, self.undo + other.undo,
            {**self.lookups, **other.lookups},
        )  # fmt: skip


def together(said: Iterable[Mapping[str, ToolRules]]) -> dict[str, ToolRules]:
    """Everything that is said about each tool, by however many files and blocks."""
    found: dict[str, ToolRules] = {}
    for part in said:
        for tool, rules in part.items():
            found[tool] = found[tool].with_more(rules) if tool in found else rules
    return found


def home_of(file: str, operation: str | None) -> str:
    """Under which name a file's look-ups are kept, for rules that see the tool's or an operation's arguments."""
    return f"{file}@{operation}" if operation else file


def as_seen(env: Env, projects: bool) -> Env:
    """The environment of who sees the operation's own arguments."""
    return {**env, "args": env[PROJECTED]} if projects else env


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
