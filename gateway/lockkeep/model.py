"""The words of the design as frozen values. Nothing here reads a clock, a file or a socket.

Money is in integer minor units with an ISO 4217 currency, durations in seconds, times aware and in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeGuard

Json = Any  # a value of JSON; JSON Schema decides its shape where it enters
Arguments = Mapping[str, Json]

Risk = Literal["read", "note", "write", "money", "customer_visible", "irreversible"]
RISKS: tuple[Risk, ...] = ("read", "note", "write", "money", "customer_visible", "irreversible")

CallState = Literal[
    "denied", "diverted", "pending_approval", "executing", "succeeded", "failed", "unknown", "not_applied", "needs_human",
    "expired", "cancelled", "undone",
]  # fmt: skip
ApprovalState = Literal[
    "pending", "approved", "denied", "expired", "cancelled", "superseded", "void", "consumed", "revoked"
]
SwitchMode = Literal["pause", "drain", "kill"]  # the first two let reads, and what is on the wire, go on


def is_object(value: object) -> TypeGuard[Mapping[str, Json]]:
    """Whether this JSON value is an object."""
    return isinstance(value, Mapping)


def stamp(moment: datetime) -> str:
    """UTC text of fixed width: sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text: str) -> datetime:
    """The aware time that `stamp` wrote."""
    return datetime.fromisoformat(text)


# -- who and what -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """One MCP server behind the gateway, as gateway.yaml names it. Exactly one of command, url, in_process is set."""

    name: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])  # name -> literal, env:NAME or file:PATH
    url: str | None = None
    bearer: str | None = None  # env:NAME or file:PATH
    in_process: bool = False  # an installed tool server, found by the integration's name (or `server`)
    server: str | None = None
    alias: Mapping[str, str] = field(
        default_factory=dict[str, str]
    )  # the server's tool name -> our tool name
    timeout: float = 30.0  # seconds for one call

    @property
    def address(self) -> object:
        """Where the server is; two integrations with one address are one back end."""
        if self.in_process:
            return self.server or self.name
        return self.url or (self.command, tuple(sorted(self.env.items())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool as accepted: what it says, what it takes, what it does. `pin` is the hash over all of that."""

    name: str  # integration.tool, as in policies and audit
    integration: str
    server_name: str  # what the server itself calls it
    exported: str  # what hosts see
    title: str | None
    description: str
    input: Mapping[str, Json]  # the server's own schema, as pinned
    output: Mapping[str, Json] | None
    annotations: Mapping[str, Json]
    effect: Mapping[str, Json]  # the accepted manifest entry
    pin: str

    @property
    def risk(self) -> Risk:
        return self.effect["class"]

    @property
    def hidden(self) -> tuple[str, ...]:
        return tuple(self.effect.get("hidden", ()))

    @property
    def offered(self) -> bool:
        """False for service tools: those are for the gateway and undo only."""
        return bool(self.effect.get("export", True))

    @property
    def reads(self) -> bool:
        return self.risk == "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Money in minor units."""

    minor: int
    currency: str


# -- a call -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One tool call as it came in, or as the approvals worker rebuilt it from its row."""

    id: str
    tool: str  # the exported name
    arguments: Json
    user: str
    agent: str
    host: str
    at: datetime
    key: str | None = None
    run: str | None = None
    step: str | None = None
    agreed: str | None = None  # the approval this request comes from
    undo_of: str | None = None  # the call it takes back: a person's own request, never a host's
    edited: str | None = None  # who changed the parked call that this one takes the place of


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """What every gate sees. No gate changes it."""

    id: str
    tool: str
    exported: str  # the name it was asked for by
    operation: str
    integration: str
    risk: Risk
    pin: str
    arguments: Arguments  # canonical: as asked, with the schema's defaults
    projected: Arguments | None = None  # as rules of its operation see them, where that has names of its own
    user: str
    agent: str
    host: str
    roles: frozenset[str]
    at: datetime
    asked: str  # digest that finds repeats
    generation: int  # of the policy set whose tools and people were looked up
    subject: str | None = None
    amount: Amount | None = None
    key: str | None = None
    run: str | None = None
    step: str | None = None
    agreed: str | None = None
    undo_of: str | None = None
    edited: str | None = None
    secret: frozenset[str] = frozenset()  # arguments the tool declares secret: they are not kept
    unresolved: Deny | None = None  # what prepare could not resolve; the arguments gate says it

    @property
    def reads(self) -> bool:
        return self.risk == "read"


# -- verdicts ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Allow:
    """Go on. Only policy's Allow names what may be sent."""

    arguments: Arguments | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """Stop, with a code of the closed table, a reason for people and a fix for the agent."""

    code: str
    reason: str
    fix: str = ""
    retry: str = "no"  # no | changed | later | after:TIME
    rule: str | None = None

    @property
    def name(self) -> str:
        return self.rule or self.code


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One rule's wish for people: one place per group of `each`, or `count` people out of `any_of`."""

    rule: str
    each: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    count: int = 1
    confirm: bool = False  # the requester's own yes, in the inbox or the CLI
    expires: float = 8 * 3600.0  # of the groups' working hours, unless `always`
    why: str = ""
    always: bool = False
    escalate: tuple[tuple[float, tuple[str, ...]], ...] = ()  # after so long, these may fill a place, too
    edit: tuple[str, ...] = ()  # arguments an approver may change
    recheck: tuple[str, ...] = ()  # facts that must not have moved when it runs
    reason: bool = False  # a vote needs words
    slack_up_to: str | None = None
    ends: str | None = None  # when it expires, counted in hours
    steps: tuple[tuple[str, tuple[str, ...]], ...] = ()  # `escalate` as times that are still to come
    also: tuple[str, ...] = ()  # whom it was escalated to

    @property
    def groups(self) -> tuple[str, ...]:
        return (*(self.each or self.any_of), *self.also)

    @property
    def wish(self) -> Demand:
        """The rule's wish alone, without what it said to people and what became of it since."""
        return replace(self, why="", ends=None, steps=(), also=())


@dataclass(frozen=True, slots=True)
class RequireApproval:
    """People must agree to exactly these arguments."""

    demands: tuple[Demand, ...]
    arguments: Arguments


@dataclass(frozen=True, slots=True)
class Divert:
    """The agent stops here; people of these groups take over."""

    to: tuple[str, ...]
    reason: str
    fix: str = ""
    rule: str | None = None


Verdict = Allow | Deny | Divert | RequireApproval


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A part of a limit: `units` of at most `most` since `since`, for this key."""

    rule: str
    key: str  # whose share; empty: everyone's
    most: int  # calls, minor units of money, or millionths of a field
    units: int = 1
    over: bool = False  # people let it pass, or are asked to
    soft: bool = False  # when it is full, the gates have more to say than no
    since: datetime
    window: float | None = None  # seconds, if the window slides
    ends: datetime | None = None  # if it follows the calendar
    text: str = ""


@dataclass(frozen=True, slots=True)
class LookedUp:
    """One question the gateway put to an integration for a decision, and what came of it."""

    question: str  # JSON: [tool, arguments]; empty if it could not even be put
    names: tuple[str, ...]  # `file/look-up` that put it
    ms: int = 0
    answer: Json = None
    failed: str = ""  # why there is no answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a policy verdict rests on: kept with the call, and part of what people agree to."""

    generation: int = 0
    rules: str = ""  # digest of the compiled rules for this tool and caller
    fired: tuple[str, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict[str, Json])  # for people: name -> what was read
    looked_up: tuple[LookedUp, ...] = ()  # everything that was read for it
    shares: tuple[Share, ...] = ()
    observed: tuple[str, ...] = ()  # what rules that only observe would have said: `kind rule`


@dataclass(frozen=True, slots=True)
class Finding:
    """What one gate said."""

    gate: str
    verdict: Verdict
    basis: Basis | None = None

    @property
    def ends_the_walk(self) -> bool:
        return isinstance(self.verdict, Deny | Divert)


# -- claim, answer, outcome -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to send this call once. Only the ledger's claim makes one."""

    call: ToolCall
    arguments: Arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a send ended. `result` is the server's CallToolResult as JSON (camelCase keys), if it gave one."""

    state: Literal["succeeded", "failed", "unknown"]
    result: Mapping[str, Json] | None = None
    reason: str = ""
    withheld: bool = False  # it happened, but the answer breaks the pinned output schema
    undo: UndoRecord | None = None  # how it can be taken back


Restores = Literal["exact", "compensates", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRecord:
    """How one write can be taken back, as its manifest and its answer say right after it happened."""

    restores: Restores
    residue: str = ""  # what stays when it only compensates
    until: datetime | None = None  # the last moment for it
    tool: str | None = None  # the tool that takes it back; None: there is none
    arguments: Mapping[str, Json] = field(default_factory=dict[str, Json])
    before: Json = None  # the fields it changed, as they were; None: it made something new
    after: Json = None
    version: Json = None
    id: Json = None  # of the record, where the integration names one
    why: str = ""  # why it cannot be taken back


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    call: str
    result: Mapping[str, Json]
    withheld: bool = False
    deduplicated: bool = False
    rule: str | None = None  # that keeps the answer back
    flags: tuple[str, ...] = ()  # rules that want people to look at it
    edited: str = ""  # what an approver changed before they let it pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Known not to have been applied."""

    call: str
    reason: str
    result: Mapping[str, Json] | None = None
    deduplicated: bool = False
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    deny: Deny
    call: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """People are asked. The gateway executes after they agree."""

    call: str
    approval: str
    reason: str
    approvers: tuple[str, ...]
    expires_at: datetime
    confirm: bool = False
    rules: tuple[str, ...] = ()
    edited: str = ""  # what an approver changed: others are asked about the call as it is now


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """It was claimed; whether it happened is not known (yet)."""

    call: str
    executing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Ended without being sent, by time or by a stop; or it was sent, and taken back again."""

    call: str
    state: Literal["expired", "cancelled", "undone"]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diverted:
    """Handed to people: nothing was sent, and the agent shall not try another way."""

    call: str
    to: tuple[str, ...]
    reason: str
    fix: str = ""
    rule: str | None = None


Outcome = Succeeded | Failed | Denied | Diverted | Pending | Unknown | Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A thrown switch. Scope: `all`, or integration:, tool:, agent:, user: and a name."""

    id: int
    scope: str
    mode: SwitchMode
    reason: str
    by: str
    at: datetime
    undo_allowed_by: str | None = None  # who let calls be taken back while it stops all others


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A human being of people.yaml."""

    id: str
    groups: frozenset[str]
    roles: frozenset[str]
    accounts: tuple[str, ...] = ()
    manager: str | None = None
    lent: Mapping[str, frozenset[str]] = field(
        default_factory=dict[str, frozenset[str]]
    )  # seats of others, by whose they are

    @property
    def seats(self) -> frozenset[str]:
        """What a demand may name to mean this person: a group, or the person alone."""
        return self.own.union(*self.lent.values())

    @property
    def own(self) -> frozenset[str]:
        """Their own seat, whoever else lends them one."""
        return self.groups | {f"user:{self.id}"}


Tools = Mapping[str, Tool]
