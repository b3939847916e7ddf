"""What a policy file says, with places: read from nodes, not yet checked against tools, people or types."""

from dataclasses import dataclass

from lockkeep.policy.positions import Place, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Fires if every `when` is true and, where there is an `unless`, some of it is false."""

    name: str
    place: Place
    when: tuple[Text, ...] = ()
    unless: tuple[Text, ...] = ()
    say: Text | None = None
    fix: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow(Entry):
    """Who may use it. Empty tuples do not restrict."""

    anyone: bool = False
    roles: tuple[Text, ...] = ()
    users: tuple[Text, ...] = ()
    agents: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask(Entry):
    """People must agree: one of each group of `each`, or `count` of `any_of`, or the requester's own yes."""

    each: tuple[Text, ...] = ()
    any_of: tuple[Text, ...] = ()
    count: int = 1
    confirm: bool = False
    expires: float | None = None  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit(Entry):
    """At most `most` calls per window, for each value of the keys."""

    text: Text
    most: int
    window: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What one file says about some tools."""

    key: Text
    patterns: tuple[str, ...]
    allow: Allow | None = None
    deny: tuple[Entry, ...] = ()
    ask: tuple[Ask, ...] = ()
    limit: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A fact the gateway looks up itself: `integration.tool(arguments)`."""

    name: Text
    call: Text
    timeout: float = 5.0


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
