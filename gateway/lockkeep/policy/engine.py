"""How a decision is made: select, pass A without look-ups, look-ups, pass B, combine. Deny > ask > allow."""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from zoneinfo import ZoneInfo

from lockkeep.model import Allow, Basis, Demand, Deny, Json, RequireApproval, Share, ToolCall, Verdict
from lockkeep.policy import runtime
from lockkeep.policy.checked import Code
from lockkeep.policy.lookups import LookUp, answers
from lockkeep.policy.rules import Condition, Counted, Lookup, Rule, ToolRules, needed_by
from lockkeep.policy.runtime import MOST_STEPS, STEPS, Env, EvalError, FailedLookup, Value
from lockkeep.policy.windows import window

logger = logging.getLogger(__name__)
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


class _Denied(Exception):
    """The walk ends here with this denial."""

    def __init__(self, deny: Deny) -> None:
        super().__init__(deny.code)
        self.deny = deny


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
    """The verdict on this call, whatever happens: a surprise denies."""
    course = _Course(call, {**env, STEPS: [MOST_STEPS]}, rules.lookups, given=given)
    basis = Basis(generation=generation)
    try:
        # by id: the order of files and entries decides nothing
        in_order = sorted(rules.rules, key=lambda rule: rule.id)
        selected = [rule for rule in in_order if _for_caller(rule, course)]
        basis = replace(basis, rules=digest_of(selected, rules.lookups))
        verdict = await _verdict(selected, course, look_up)
        shares = () if isinstance(verdict, Deny) else _shares(course, zone)
        return _decided(verdict, replace(basis, shares=shares), course)
    except _Denied as error:
        return _decided(error.deny, basis, course)
    except Exception as error:
        logger.exception("the rules of %s could not be judged", call.tool)
        reason = f"The rules of {call.tool} could not be judged: {type(error).__name__}."
        return _decided(Deny("policy.error", reason), basis, course)


async def _verdict(selected: list[Rule], course: _Course, look_up: LookUp) -> Verdict:
    """Look-ups are made at most once each, and only if the answer depends on them."""
    open_allows = _pass_a([rule for rule in selected if rule.kind == "allow"], course)
    if not open_allows and not _any(course.fired, "allow"):
        return _not_allowed(course.call)
    open_others = _pass_a([rule for rule in selected if rule.kind != "allow"], course)
    if verdict := _denied(course):
        return verdict

    undecided = [*([] if _any(course.fired, "allow") else open_allows), *open_others]
    wanted = {(rule.file, name) for rule in undecided for name in rule.reads}
    wanted |= {(rule.file, name) for rule in course.fired if rule.kind == "ask" for name in rule.told}
    needed = needed_by(wanted, course.lookups)
    course.answers = await answers(needed, course.lookups, course.env, look_up, course.given)
    for rule in undecided:
        _judge(rule, rule.when, rule.unless, course)
    if not _any(course.fired, "allow"):
        return _not_allowed(course.call)
    return _denied(course) or _combined(course)


def may_use(rules: ToolRules, *, user: str, agent: str, roles: frozenset[str]) -> bool:
    """Whether a list of tools shows it to this caller: some allow fits. The call itself is the check."""
    return any(
        rule.kind == "allow" and rule.applies.to(agent, None) and rule.who.fits(user, agent, roles)
        for rule in rules.rules
    )


def digest_of(selected: Iterable[Rule], lookups: Mapping[tuple[str, str], Lookup]) -> str:
    """The rules for this call: an unrelated edit of the files leaves it as it is."""
    chosen = list(selected)
    sources = sorted(rule.source for rule in chosen)
    needed = needed_by({(rule.file, name) for rule in chosen for name in rule.reads}, lookups)
    read = sorted([file, name, lookups[file, name].source] for file, name in needed)
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
    try:
        said, why = _fires(when, unless, course.env_of(rule), course)
    except Exception as surprise:  # nothing a rule meets may become an answer it did not give
        error = surprise if isinstance(surprise, EvalError) else EvalError(type(surprise).__name__)
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
    return f"a list of {len(value)}" if runtime.is_array(value) else runtime.shown(value)


def _any(rules: Iterable[Rule], kind: str) -> bool:
    return any(rule.kind == kind for rule in rules)


def _denied(course: _Course) -> Deny | None:
    """A rule that denies, then one that could not be read for, then one that could not be judged."""
    for rule in course.fired:
        if rule.kind == "deny":
            return _said(rule, course)
    for rule, error in sorted(course.errors, key=lambda each: each[1].lookup is None):
        return _error(rule, error)
    return None


def _error(rule: Rule, error: EvalError) -> Deny:
    reason = f"Rule {rule.id} could not be judged: {error.message}."
    if error.lookup is not None:
        return Deny("policy.lookup_failed", reason, "Try again later.", "later", rule.id)
    return Deny("policy.error", reason, "", "no", rule.id)


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
        raise _Denied(_error(rule, EvalError("it asks nobody")))
    why = rule.say.fill(course.env_of(rule)) if rule.say else f"{rule.words or 'Every such call'}."
    return replace(rule.demand, why=why)


def _shares(course: _Course, zone: ZoneInfo) -> tuple[Share, ...]:
    return tuple(_share(rule, rule.counted, course, zone) for rule in course.fired if rule.counted)


def _share(rule: Rule, counted: Counted, course: _Course, zone: ZoneInfo) -> Share:
    env = course.env_of(rule)
    try:
        keys = [runtime.shown(runtime.needed(code.run(env), code.label)) for code in counted.keys]
    except EvalError as error:
        raise _Denied(_error(rule, error)) from None
    since, slides, ends = window(counted.window, course.call.at, zone)
    return Share(
        rule=rule.id,
        key=json.dumps(keys),
        most=counted.most,
        since=since,
        window=slides,
        ends=ends,
        text=counted.text,
    )


def _decided(verdict: Verdict, basis: Basis, course: _Course) -> Decision:
    fired = tuple(rule.id for rule in course.fired)
    read = {
        f"{file}/{name}": answer
        for (file, name), answer in sorted(course.answers.items())
        if not isinstance(answer, FailedLookup)
    }
    basis = replace(basis, fired=fired, facts=dict(course.facts), answers=read)
    return Decision(verdict, basis, tuple(course.heard.values()))
