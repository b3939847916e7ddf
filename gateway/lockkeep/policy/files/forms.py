"""What a policy file says, with places: read from nodes, not yet checked against tools, people or types."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from lockkeep.policy.conditions.runtime import Money, Value
from lockkeep.policy.hours import Hours
from lockkeep.policy.positions import Place, Text

Mode = Literal["enforce", "observe", "off"]
MODES: tuple[Mode, ...] = ("enforce", "observe", "off")  # the later one is the weaker


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """When a file, a block or an entry speaks at all. The weakest mode and the first end of all three count."""

    mode: Mode = "enforce"
    until: date | None = None  # the last day in force
    hours: tuple[Text, ...] = ()

    def within(self, outer: "When") -> "When":
        """Mode and end of this inside the other's; hours are kept apart, since all of them must hold."""
        mode = MODES[max(MODES.index(self.mode), MODES.index(outer.mode))]
        ends = [each for each in (self.until, outer.until) if each is not None]
        return When(mode=mode, until=min(ends, default=None), hours=self.hours)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Fires if every `when` is true and, where there is an `unless`, some of it is false."""

    name: str
    place: Place
    when: tuple[Text, ...] = ()
    unless: tuple[Text, ...] = ()
    say: Text | None = None
    fix: Text | None = None
    at: When = field(default_factory=When)
    opening: Hours = field(default_factory=Hours)  # `at.hours`, read


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow(Entry):
    """Who may use it. Empty tuples do not restrict."""

    anyone: bool = False
    roles: tuple[Text, ...] = ()
    users: tuple[Text, ...] = ()
    agents: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Whom to ask, and how: one of each of `each`, or `count` of `any_of`, or the requester's own yes."""

    place: Place
    each: tuple[Text, ...] = ()
    any_of: tuple[Text, ...] = ()
    count: int = 1
    confirm: bool = False
    expires: float | None = None  # seconds of working hours, unless `always`
    always: bool = False
    escalate: tuple[tuple[float, tuple[Text, ...]], ...] = ()
    edit: tuple[Text, ...] = ()
    recheck: tuple[Text, ...] = ()
    reason: bool = False
    slack_up_to: Money | Literal["all"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask(Entry):
    """People must agree first."""

    asking: Asking


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand(Entry):
    """The agent stops; people of these groups take over."""

    to: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit(Entry):
    """At most so many calls, or so much of a field or of money, per window, for each value of the keys."""

    text: Text
    most: int | Money | str  # a str names one of `values`
    of: str | None = None  # the field that is summed; money without one sums `amount`
    window: str
    keys: tuple[str, ...] = ()
    asking: Asking | None = None  # who may let it pass when it is full
    to: tuple[Text, ...] = ()  # or who takes over then


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Cuts an argument to a maximum."""

    argument: Text
    most: Text  # what stands after `at_most`
    bound: int | float | Money | str  # a str names one of `values`
    at: When = field(default_factory=When)


def change_name(argument: str) -> str:
    """What a change is called in ids."""
    return f"change-{argument.replace('_', '-')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What of an answer is shown."""

    place: Place
    hide: tuple[Text, ...] = ()
    detect: tuple[str, ...] = ()
    withhold: tuple[Text, ...] = ()
    flag: tuple[Text, ...] = ()
    at: When = field(default_factory=When)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """Who may take it back, how long; narrows the manifest's undo."""

    place: Place
    who: tuple[Text, ...] = ()
    within: float | None = None  # seconds
    asking: Asking | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What one file says about some tools."""

    key: Text
    patterns: tuple[str, ...]
    allow: Allow | None = None
    deny: tuple[Entry, ...] = ()
    ask: tuple[Ask, ...] = ()
    people: tuple[Hand, ...] = ()
    limit: tuple[Limit, ...] = ()
    change: tuple[Change, ...] = ()
    results: Results | None = None
    undo: Undo | None = None
    at: When = field(default_factory=When)
    opening: Hours = field(default_factory=Hours)

    @property
    def entries(self) -> tuple[tuple[str, Entry], ...]:
        """Every entry with its kind, in the order of the file's own words."""
        return (
            *((("allow", self.allow),) if self.allow else ()),
            *(("deny", entry) for entry in self.deny),
            *(("people", entry) for entry in self.people),
            *(("ask", entry) for entry in self.ask),
            *(("limit", entry) for entry in self.limit),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A fact the gateway looks up itself: `integration.tool(arguments)`."""

    name: Text
    call: Text
    arguments: tuple[tuple[Text, Text], ...] | None = (
        None  # `with`: parameter and text; None: they stand in `call`
    )
    timeout: float = 5.0
    cache: float = 0.0  # seconds
    on_error: Asking | None = None  # who is asked if it fails; None: refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Applies:
    """Whose calls a file speaks about. Any within a key, every key given."""

    agents: tuple[Text, ...] = ()
    workflows: tuple[Text, ...] = ()
    everywhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFile:
    file: str
    name: str
    owner: Text
    applies: Applies
    reads: tuple[Read, ...]
    blocks: tuple[Block, ...]
    description: str = ""
    values: Mapping[str, Value] = field(default_factory=dict[str, Value])
    said_values: Mapping[str, str] = field(default_factory=dict[str, str])  # as they stand in the file
    at: When = field(default_factory=When)
    opening: Hours = field(default_factory=Hours)
