"""One decision under way: what has fired, what could not be judged, what was read, what is told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from lockkeep.model import Deny, Json, Risk, Share, ToolCall
from lockkeep.policy.conditions import runtime
from lockkeep.policy.conditions.checked import Code
from lockkeep.policy.conditions.runtime import Env, EvalError, Value
from lockkeep.policy.engine.lookups import Kept, LookUps
from lockkeep.policy.files.people import People
from lockkeep.policy.rules.rule import Condition, Lookup, Rule, as_seen

Fired = Literal["true", "false", "error", "not for you", "not needed", "observed"]
Taken = Callable[[Share], int]
OBSERVED: frozenset[Risk] = frozenset(
    {"read", "note", "write"}
)  # what may go on while a gateway only observes


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of one rule in one decision, and the words that decided it."""

    rule: str
    kind: str
    said: Fired
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What decisions need to know beside the call and its rules."""

    generation: int
    zone: ZoneInfo
    people: People
    kept: Kept
    observe_until: date | None = None

    def observes(self, call: ToolCall) -> bool:
        """First days: whether the rules for this call only observe. Money and worse are governed as ever."""
        if self.observe_until is None or call.risk not in OBSERVED:
            return False
        return call.at.astimezone(self.zone).date() <= self.observe_until


class Denied(Exception):
    """The walk ends here with this denial."""

    def __init__(self, deny: Deny) -> None:
        super().__init__(deny.code)
        self.deny = deny


def nothing_taken(_: Share) -> int:
    return 0


@dataclass(slots=True)
class Course:
    """One decision under way."""

    call: ToolCall
    env: Env
    room: Room
    lookups: Mapping[tuple[str, str], Lookup]
    facts: LookUps
    telling: bool = False  # whether every rule's part is wanted
    taken: Taken = nothing_taken
    answers: dict[tuple[str, str], Value] = field(default_factory=dict[tuple[str, str], Value])
    heard: dict[str, Heard] = field(default_factory=dict[str, Heard])
    fired: list[Rule] = field(default_factory=list[Rule])
    errors: list[tuple[Rule, EvalError]] = field(default_factory=list[tuple[Rule, EvalError]])
    late: list[Rule] = field(default_factory=list[Rule])  # what only its hours kept from firing
    shown: dict[str, Json] = field(default_factory=dict[str, Json])  # facts, as people see them
    shares: list[Share] = field(default_factory=list[Share])

    def env_of(self, rule: Rule) -> Env:
        """The environment with the look-ups of the rule's own file."""
        env = as_seen(self.env, rule.projects)
        if not self.answers:
            return env
        reads = {name: value for (home, name), value in self.answers.items() if home == rule.home}
        return {**env, "read": reads}

    @property
    def local(self) -> datetime:
        return self.call.at.astimezone(self.room.zone)

    @property
    def facts_wanted(self) -> bool:
        """Facts the gateway read itself are kept, for the card and the record."""
        return bool(self.answers)

    def tell_condition(
        self, rule: Rule, said: Fired, conditions: tuple[Condition, ...], env: Env, before: str = ""
    ) -> None:
        """What decided, with the values it saw."""
        if self.telling:
            self.tell(rule, said, "; ".join(before + deciding(each, env) for each in conditions))

    def tell(self, rule: Rule, said: Fired, why: str = "") -> None:
        if self.telling:
            self.heard[rule.id] = Heard(rule.id, rule.kind, said, why)


def deciding(condition: Condition, env: Env) -> str:
    """The condition with the values of its leaves: `lead.value > 100000 USD (lead.value = 5.00 USD)`."""
    values = {leaf.label: safe(leaf, env) for leaf in leaves(condition.code) if leaf.label}
    shown = ", ".join(f"{name} = {value}" for name, value in values.items())
    return f"{condition.text} ({shown})" if shown else condition.text


def leaves(code: Code) -> list[Code]:
    """The parts that stand for a value someone gave: arguments, facts, the caller."""
    found = [leaf for part in code.parts for leaf in leaves(part)]
    return [code] if code.path is not None and not found else found


def remember(code: Code, env: Env, course: Course) -> None:
    """Facts the gateway read itself, for the card and the record."""
    if not code.reads:
        return
    for leaf in leaves(code):
        if leaf.path is not None and leaf.path[0] == "read":
            course.shown[".".join(leaf.path[1:])] = safe(leaf, env)


def safe(leaf: Code, env: Env) -> str:
    try:
        value = leaf.run(env)
    except (EvalError, KeyError):
        return "(unknown)"
    return f"a list of {len(value)}" if runtime.is_array(value) else runtime.shown(value)
