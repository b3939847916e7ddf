"""How a decision is made: select, pass A without look-ups, look-ups, pass B, combine. Deny > ask > allow."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

import anyio

from lockkeep.model import Allow, Basis, Demand, Deny, Json, RequireApproval, Share, ToolCall, Verdict
from lockkeep.policy import runtime
from lockkeep.policy.check import Code
from lockkeep.policy.rules import Condition, Lookup, Rule, ToolRules
from lockkeep.policy.runtime import MISSING, MOST_STEPS, STEPS, Env, EvalError, FailedLookup, Money, Value
from lockkeep.policy.windows import window

LookUp = Callable[[str, Mapping[str, Json], float], Awaitable[Json]]
Fired = Literal["true", "false", "error", "not for you", "not needed"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of one rule in one decision, and the words that decided it."""

    rule: str
    kind: str
    said: Fired
    why: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, what it rests on, and every rule's part in it."""

    verdict: Verdict
    basis: Basis
    heard: tuple[Heard, ...]


@dataclass(slots=True)
class _Course:
    """One decision under way."""

    call: ToolCall
    env: Env
    lookups: Mapping[tuple[str, str], Lookup]
    answers: dict[tuple[str, str], Value] = field(default_factory=dict[tuple[str, str], Value])
    heard: dict[str, Heard] = field(default_factory=dict[str, Heard])
    fired: list[Rule] = field(default_factory=list[Rule])
    errors: list[tuple[Rule, EvalError]] = field(default_factory=list[tuple[Rule, EvalError]])
    facts: dict[str, Json] = field(default_factory=dict[str, Json])
    given: Mapping[str, Value] | None = None  # answers of a test or of a recorded call, instead of look-ups

    def env_of(self, rule: Rule) -> Env:
        """The environment with the look-ups of the rule's own file."""
        reads = {name: value for (file, name), value in self.answers.items() if file == rule.file}
        return {**self.env, "read": reads}


async def decide(
    call: ToolCall,
    rules: ToolRules,
    env: Env,
    *,
    look_up: LookUp,
    generation: int,
    zone: ZoneInfo,
    given: Mapping[str, Value] | None = None,
) -> Decision:
    """The verdict on this call. Look-ups are made at most once each, and only if the answer depends on them."""
    course = _Course(call, {**env, STEPS: [MOST_STEPS]}, rules.lookups, given=given)
    selected = [rule for rule in rules.rules if _for_caller(rule, course)]
    allows = [rule for rule in selected if rule.kind == "allow"]
    others = [rule for rule in selected if rule.kind != "allow"]
    basis = Basis(generation=generation, rules=digest_of(selected, rules.lookups))

    open_allows = _pass_a(allows, course)
    if not open_allows and not _any(course.fired, "allow"):
        return _decided(_not_allowed(call), basis, course)
    open_others = _pass_a(others, course)
    if verdict := _denied(course):
        return _decided(verdict, basis, course)

    undecided = [*([] if _any(course.fired, "allow") else open_allows), *open_others]
    await _look_up(undecided, course, look_up)
    for rule in undecided:
        _judge(rule, rule.when, rule.unless, course)
    if not _any(course.fired, "allow"):
        return _decided(_not_allowed(call), basis, course)
    verdict = _denied(course) or _combined(course)
    shares = () if isinstance(verdict, Deny) else _shares(course, zone)
    if isinstance(shares, Deny):
        verdict, shares = shares, ()
    return _decided(verdict, replace(basis, shares=shares), course)


def may_use(rules: ToolRules, *, user: str, agent: str, roles: frozenset[str]) -> bool:
    """Whether a list of tools shows it to this caller: some allow fits. The call itself is the check."""
    return any(
        rule.kind == "allow" and rule.applies.to(agent, None) and rule.who.fits(user, agent, roles)
        for rule in rules.rules
    )


def digest_of(selected: Iterable[Rule], lookups: Mapping[tuple[str, str], Lookup]) -> str:
    """The rules for this call: an unrelated edit of the files leaves it as it is."""
    chosen = list(selected)
    files = {rule.file for rule in chosen}
    sources = sorted(rule.source for rule in chosen)
    read = sorted([file, name, lookup.source] for (file, name), lookup in lookups.items() if file in files)
    return hashlib.sha256(json.dumps([sources, read]).encode()).hexdigest()


def _for_caller(rule: Rule, course: _Course) -> bool:
    call = course.call
    fits = rule.applies.to(call.agent, None)
    if fits and rule.kind == "allow":
        fits = rule.who.fits(call.user, call.agent, call.roles)
    if not fits:
        course.heard[rule.id] = Heard(rule.id, rule.kind, "not for you")
    return fits


def _pass_a(rules: Iterable[Rule], course: _Course) -> list[Rule]:
    """What can be decided without look-ups is; returns what could not be."""
    left: list[Rule] = []
    for rule in rules:
        leading = _leading(rule.when)
        if not rule.reads or (
            len(leading) == len(rule.when) and not any(each.code.reads for each in rule.unless)
        ):
            _judge(rule, rule.when, rule.unless, course)
        elif not leading or _judge(rule, leading, (), course, final=False):
            left.append(rule)
    return left


def _leading(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    found: list[Condition] = []
    for condition in conditions:
        if condition.code.reads:
            break
        found.append(condition)
    return tuple(found)


def _judge(
    rule: Rule,
    when: tuple[Condition, ...],
    unless: tuple[Condition, ...],
    course: _Course,
    *,
    final: bool = True,
) -> bool:
    """Whether the rule fires; on an error the rule's kind decides what that means."""
    env = course.env_of(rule)
    try:
        said, why = _fires(when, unless, env, course)
    except EvalError as error:
        course.heard[rule.id] = Heard(rule.id, rule.kind, "error", error.message)
        if rule.kind != "allow":  # an allow in error grants nothing; anything else in error denies
            course.errors.append((rule, error))
        return False
    if said and not final:
        return True
    course.heard[rule.id] = Heard(rule.id, rule.kind, "true" if said else "false", why)
    if said:
        course.fired.append(rule)
    return said


def _fires(
    when: tuple[Condition, ...], unless: tuple[Condition, ...], env: Env, course: _Course
) -> tuple[bool, str]:
    for condition in when:
        _remember(condition.code, env, course)
        if not condition.code.run(env):
            return False, _deciding(condition, env)
    if not unless:
        return True, "; ".join(_deciding(condition, env) for condition in when)
    for condition in unless:
        _remember(condition.code, env, course)
        if not condition.code.run(env):
            return True, f"not: {_deciding(condition, env)}"
    return False, "all of unless holds"


def _deciding(condition: Condition, env: Env) -> str:
    """The condition with the values of its leaves: `lead.value > 100000 USD (lead.value = 5.00 USD)`."""
    values = {leaf.label: _safe(leaf, env) for leaf in leaves(condition.code) if leaf.label}
    shown = ", ".join(f"{name} = {value}" for name, value in values.items())
    return f"{condition.text} ({shown})" if shown else condition.text


def leaves(code: Code) -> list[Code]:
    """The parts that stand for a value someone gave: arguments, facts, the caller."""
    found = [leaf for part in code.parts for leaf in leaves(part)]
    return [code] if code.path is not None and not found else found


def _remember(code: Code, env: Env, course: _Course) -> None:
    """Facts the gateway read itself, for the card and the record."""
    for leaf in leaves(code):
        if leaf.path is not None and leaf.path[0] == "read":
            course.facts[".".join(leaf.path[1:])] = _safe(leaf, env)


def _safe(leaf: Code, env: Env) -> str:
    try:
        value = leaf.run(env)
    except (EvalError, KeyError):
        return "(unknown)"
    return f"a list of {len(value)}" if isinstance(value, list) else runtime.shown(value)


async def _look_up(rules: list[Rule], course: _Course, look_up: LookUp) -> None:
    """Every look-up these rules need, in parallel where none waits for another."""
    wanted = {(rule.file, name) for rule in rules for name in rule.reads}
    while more := {
        (file, name)
        for file, each in wanted
        for name in course.lookups[file, each].reads
        if (file, name) not in wanted
    }:
        wanted |= more
    if course.given is not None:
        for file, name in wanted:
            course.answers[file, name] = course.given.get(name, FailedLookup(name, "no answer was given"))
        return
    made: dict[str, Value] = {}
    while wanted:
        ready = [
            key
            for key in sorted(wanted)
            if all((key[0], name) not in wanted for name in course.lookups[key].reads)
        ]
        async with anyio.create_task_group() as group:
            for key in ready:
                group.start_soon(_one, key, course, look_up, made)
        wanted -= set(ready)


async def _one(key: tuple[str, str], course: _Course, look_up: LookUp, made: dict[str, Value]) -> None:
    lookup = course.lookups[key]
    reads = {name: value for (file, name), value in course.answers.items() if file == key[0]}
    try:
        arguments = {
            name: _json(code.run({**course.env, "read": reads})) for name, code in lookup.arguments.items()
        }
        if any(value is MISSING for value in arguments.values()):
            raise EvalError("one of its arguments is missing")
        same = f"{lookup.tool} {json.dumps(arguments, sort_keys=True)}"
        if same not in made:
            with anyio.fail_after(lookup.timeout):
                made[same] = await look_up(lookup.tool, arguments, lookup.timeout)
        course.answers[key] = made[same]
    except EvalError as error:
        course.answers[key] = FailedLookup(lookup.name, error.message)
    except TimeoutError:
        course.answers[key] = FailedLookup(lookup.name, f"no answer in {lookup.timeout:g} seconds")
    except Exception as error:  # whatever a look-up does, the decision stays ours
        course.answers[key] = FailedLookup(lookup.name, type(error).__name__)


def _json(value: Value) -> Json:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Money):
        return float(value.minor)
    return float(value) if type(value).__name__ == "Fraction" else value


def _any(rules: Iterable[Rule], kind: str) -> bool:
    return any(rule.kind == kind for rule in rules)


def _denied(course: _Course) -> Deny | None:
    for rule in course.fired:
        if rule.kind == "deny":
            return _said(rule, course)
    for rule, error in course.errors:
        if error.lookup is not None:
            reason = f"Rule {rule.id} could not be judged: {error.message}."
            return Deny("policy.lookup_failed", reason, "Try again later.", "later", rule.id)
        return Deny(
            "policy.error", f"Rule {rule.id} could not be judged: {error.message}.", "", "no", rule.id
        )
    return None


def _said(rule: Rule, course: _Course) -> Deny:
    env = course.env_of(rule)
    reason = rule.say.fill(env) if rule.say else f"Refused, because: {rule.words}."
    fix = rule.fix.fill(env) if rule.fix else ""
    return Deny("policy.rule", reason, fix, "changed" if fix else "no", rule.id)


def _not_allowed(call: ToolCall) -> Deny:
    reason = f"No rule allows {call.user} with agent {call.agent} to use {call.tool}."
    return Deny("policy.not_allowed", reason, "Ask whoever owns the policy for this agent.")


def _combined(course: _Course) -> Verdict:
    asks = [rule for rule in course.fired if rule.kind == "ask"]
    if not asks:
        return Allow(course.call.arguments)
    return RequireApproval(tuple(_demand(rule, course) for rule in asks), course.call.arguments)


def _demand(rule: Rule, course: _Course) -> Demand:
    if rule.demand is None:
        raise EvalError(f"{rule.id} asks nobody")
    why = rule.say.fill(course.env_of(rule)) if rule.say else f"{rule.words or 'Every such call'}."
    return replace(rule.demand, why=why)


def _shares(course: _Course, zone: ZoneInfo) -> tuple[Share, ...] | Deny:
    found: list[Share] = []
    for rule in course.fired:
        if rule.counted is None:
            continue
        env = course.env_of(rule)
        try:
            key = json.dumps(
                [runtime.shown(runtime.needed(code.run(env), code.label)) for code in rule.counted.keys]
            )
        except EvalError as error:
            return Deny(
                "policy.error", f"Rule {rule.id} could not be judged: {error.message}.", "", "no", rule.id
            )
        since, slides, ends = window(rule.counted.window, course.call.at, zone)
        found.append(
            Share(
                rule=rule.id,
                key=key,
                most=rule.counted.most,
                since=since,
                window=slides,
                ends=ends,
                text=rule.counted.text,
            )
        )
    return tuple(found)


def _decided(verdict: Verdict, basis: Basis, course: _Course) -> Decision:
    fired = tuple(rule.id for rule in course.fired)
    return Decision(
        verdict, replace(basis, fired=fired, facts=dict(course.facts)), tuple(course.heard.values())
    )
