"""A request becomes the ToolCall every gate sees. Pure: no clock, no store, no network. It denies nothing itself."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from lockkeep.ledger import digests, redaction
from lockkeep.model import Arguments, Deny, Json, Request, Risk, Tool, ToolCall
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.conditions.runtime import shown
from lockkeep.policy.positions import nearest
from lockkeep.policy.rules.manifest import Effects
from lockkeep.policy.rules.operations import Unmatched

BIGGEST = 2**53 - 1
LONGEST_KEY = 200
LARGEST = 256 * 1024  # characters of JSON
DEEPEST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the gateway knows about a request as of now: the tool, the caller's roles, the rules in force."""

    tool: Tool | None
    effects: Effects
    roles: frozenset[str]
    generation: int
    defaults: Mapping[str, Json] = field(default_factory=dict[str, Json])  # the schema's own
    secret: frozenset[str] = frozenset()  # arguments the schema declares to be given and never shown
    no_rules: Deny | None = None  # why there are none in force
    offered: tuple[str, ...] = ()  # names to suggest when the tool is unknown


def no_rules(refused: int) -> Deny:
    """Without rules everything is denied; a generation that does not load is named."""
    which = (
        f"Policy generation {refused} does not load in this release"
        if refused
        else "No policy set is in force"
    )
    return Deny(
        "policy.none_loaded",
        f"{which}, so everything is denied.",
        "Tell whoever keeps the policy files.",
        "later",
    )


def known_of(
    rules: PolicySet, tool: Tool | None, roles: frozenset[str], offered: tuple[str, ...] = ()
) -> Known:
    """What these rules know of this tool, for a caller with these roles."""
    return Known(
        tool=tool,
        effects=rules.effects_of(tool.name) if tool else Effects(),
        roles=roles,
        generation=rules.generation,
        defaults=rules.defaults[tool.name] if tool else {},
        secret=rules.secret.get(tool.name, frozenset()) if tool else frozenset(),
        offered=offered,
    )


def prepare(request: Request, known: Known) -> ToolCall:
    """Tool, class, canonical arguments, subject, amount and digest; what cannot be resolved stands in `unresolved`."""
    arguments, unresolved = _canonical(request.arguments)
    if request.key is not None and not 0 < len(request.key) <= LONGEST_KEY:
        reason = f"An idempotency key has 1 to {LONGEST_KEY} characters."
        unresolved = unresolved or Deny("arguments.idempotency_key", reason, "Use a shorter key.", "changed")
    tool = known.tool
    if tool is None:
        return _unknown(request, known, arguments, unresolved)
    full = {**known.defaults, **arguments}  # rules and people see what will run
    operation, risk, effects, projected, fault = _operation(tool, known.effects, full)
    return ToolCall(
        id=request.id,
        tool=tool.name,
        exported=request.tool,
        operation=operation,
        integration=tool.integration,
        risk=risk,
        pin=tool.pin,
        arguments=full,
        projected=projected,
        user=request.user,
        agent=request.agent,
        host=request.host,
        roles=known.roles,
        at=request.at,
        asked=_asked(tool.name, full, request),
        generation=known.generation,
        subject=effects.subject_of(full),
        amount=effects.amount_of(full),
        key=_key(request.key) if unresolved is None else None,
        run=request.run,
        step=request.step,
        agreed=request.agreed,
        undo_of=request.undo_of,
        edited=request.edited,
        secret=known.secret,
        unresolved=unresolved or fault,
    )


def _key(key: str | None) -> str | None:
    """As it is kept: one that looks like a secret as its digest."""
    if key is None or redaction.text(key) == key:
        return key
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def _operation(
    tool: Tool, effects: Effects, full: Arguments
) -> tuple[str, Risk, Effects, Arguments | None, Deny | None]:
    """What the tool does with these arguments: name, class, expressions, projection, and why that cannot be told."""
    name = tool.effect.get("operation") or tool.name
    found = effects.operations.of(full) if effects.operations else None
    if found is None:
        return name, tool.risk, effects, None, None
    if isinstance(found, Unmatched):
        deny = (
            Deny("arguments.mixed", found.reason, "Make one call for each.", "changed")
            if found.mixed
            else Deny("arguments.operation", found.reason, "Ask for something that is described.", "changed")
        )
        return name, tool.risk, effects, None, deny
    does = found.operation
    return does.name, does.risk, effects.within(does.name), found.projected, None


def _unknown(request: Request, known: Known, arguments: Arguments, unresolved: Deny | None) -> ToolCall:
    """A tool nobody accepted: judged as the worst kind, and denied on the record."""
    name = redaction.text("".join(char if char.isprintable() else "·" for char in request.tool)[:200])[:80]
    hint = nearest(name, known.offered).removesuffix("?") if known.offered else "no tools are open to you"
    deny = Deny("arguments.unknown_tool", f"There is no tool {name}.", f"Look at tools/list; {hint}.")
    return ToolCall(
        id=request.id, tool=name, exported=name, operation=name, integration="", risk="irreversible", pin="",
        arguments=arguments, user=request.user, agent=request.agent, host=request.host, roles=known.roles, at=request.at,
        asked=_asked(name, arguments, request), generation=known.generation, run=request.run, step=request.step,
        agreed=request.agreed, undo_of=request.undo_of, edited=request.edited, unresolved=unresolved or known.no_rules or deny,
    )  # fmt: skip


def _asked(tool: str, arguments: Arguments, request: Request) -> str:
    try:
        return digests.asked(
            tool=tool, arguments=arguments, user=request.user, agent=request.agent, run=request.run
        )
    except (ValueError, RecursionError):  # never canonical: `_canonical` has said so already
        return hashlib.sha256(request.id.encode()).hexdigest()


def _canonical(arguments: Json) -> tuple[Arguments, Deny | None]:
    """The arguments, if they have one canonical form; else none, and why."""
    if arguments is None:
        return {}, None
    if not isinstance(arguments, Mapping):
        return {}, Deny("arguments.invalid", "The arguments are not an object.", "Send an object.", "changed")
    given = cast("Arguments", arguments)
    if _too_large(given):
        reason = f"The arguments are larger than {LARGEST // 1024} KB. They were not kept."
        return {}, Deny("arguments.invalid", reason, "Send less at once.", "changed")
    fault = _fault(given, "arguments", 0)
    if fault is None:
        return given, None
    return {}, Deny(
        "arguments.not_canonical",
        f"{shown(fault)}. The arguments were not kept.",
        "Send plain JSON values.",
        "changed",
    )


def _too_large(arguments: Arguments) -> bool:
    """Judging and keeping them must not hold up other callers. What cannot be written as JSON is judged next."""
    try:
        return len(json.dumps(arguments)) > LARGEST
    except (ValueError, TypeError, RecursionError):
        return False


def _fault(value: Json, path: str, depth: int) -> str | None:
    if depth > DEEPEST:
        return f"{path[:80]} is nested deeper than {DEEPEST} levels"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{path} is not a finite number"
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) > BIGGEST:
        return f"{path} is beyond 2^53"
    if isinstance(value, str) and not _encodable(value):
        return f"{path} holds half a character (a lone surrogate)"
    if isinstance(value, Mapping):
        for key, part in cast("Mapping[str, Json]", value).items():
            if not _encodable(key):
                return f"{path} has a key with half a character"
            if fault := _fault(part, f"{path}.{key}", depth + 1):
                return fault
    elif isinstance(value, list):
        for index, part in enumerate(cast("list[Json]", value)):
            if fault := _fault(part, f"{path}[{index}]", depth + 1):
                return fault
    return None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
