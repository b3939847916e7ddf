"""How a decision is made: select, pass A without look-ups, look-ups, pass B, combine. Deny > people > ask > allow."""

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from lockkeep.model import Allow, Basis, Deny, Divert, Json, ToolCall, Verdict
from lockkeep.policy.conditions.runtime import MOST_STEPS, STEPS, Env, EvalError
from lockkeep.policy.engine.combining import combined, denied, not_allowed
from lockkeep.policy.engine.course import Course, Denied, Heard, Room, Taken, nothing_taken, remember, safe
from lockkeep.policy.engine.cutting import cut_down, would_cut
from lockkeep.policy.engine.index import Index, Plan, Step
from lockkeep.policy.engine.lookups import LookUps
from lockkeep.policy.rules.rule import Rule, ToolRules, as_seen, needed_by

logger = logging.getLogger(__name__)
FIRST_DAYS = "gateway/observe"
Later = Callable[[], Awaitable[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, what it rests on, and every rule's part in it.

    `changed`: arguments that were cut, if any were. `later`: reads what only watching rules want, and says what they
    would have said; the verdict does not wait for it.
    """

    verdict: Verdict
    basis: Basis
    heard: tuple[Heard, ...] = ()
    changed: Mapping[str, Json] | None = None
    later: Later | None = None


async def decide(
    call: ToolCall,
    index: Index,
    env: Env,
    *,
    room: Room,
    facts: LookUps,
    taken: Taken = nothing_taken,
    telling: bool = True,
    changes: bool = True,
    granted: tuple[Rule, ...] = (),
) -> Decision:
    """The verdict on this call, whatever happens: a surprise denies."""
    env[STEPS] = [MOST_STEPS]
    course = Course(call, env, room, index.rules.lookups, facts, telling, taken)
    plan: Plan | None = None
    try:
        plan = index.plan(call, None)
        if granted:
            plan = plan.granting(granted)
        if room.observes(call) and not granted:
            return await _only_observed(plan.watched(), course)
        for rule in plan.not_for if telling else ():
            course.tell(rule, "not for you")
        verdict = await _verdict(plan, course)
        stops = isinstance(verdict, Deny | Divert)
        changed = cut_down(plan.cuts, course) if changes and plan.cuts and not stops else None
        decision = _decided(verdict, plan, course, changed)
        return await _watched(decision, plan, course) if plan.watches else decision
    except Denied as error:
        return _decided(error.deny, plan, course)
    except Exception as error:
        logger.exception("the rules of %s could not be judged", call.tool)
        reason = f"The rules of {call.tool} could not be judged: {type(error).__name__}."
        return _decided(Deny("policy.error", reason), plan, course)


async def _only_observed(plan: Plan, course: Course) -> Decision:
    """First days of a gateway: one rule lets it pass, and all others say what they would have said."""
    decision = _decided(Allow(course.call.arguments), plan, course)
    decision = replace(decision, basis=replace(decision.basis, fired=(FIRST_DAYS,)))
    return await _watched(decision, plan, course)


async def _watched(decision: Decision, plan: Plan, course: Course) -> Decision:
    """What rules that only observe would have said: now if it takes no wait, else later."""
    wanted = {(step.rule.home, name) for step in plan.observed for name in step.rule.reads}
    if course.facts.live and wanted - course.answers.keys():
        return replace(decision, later=partial(_observe_later, plan, wanted, course))
    await _look_up(wanted - course.answers.keys(), course)
    basis = replace(decision.basis, observed=_observe(plan, course), looked_up=course.facts.record)
    return replace(decision, basis=basis, heard=tuple(course.heard.values()))


async def _observe_later(plan: Plan, wanted: set[tuple[str, str]], course: Course) -> tuple[str, ...]:
    await _look_up(wanted, course)
    return _observe(plan, course)


async def _verdict(plan: Plan, course: Course) -> Verdict:
    """Look-ups are made at most once each, and only if the answer depends on them."""
    open_allows = _pass_a(plan.allows, course)
    allowed = bool(course.fired)
    if not open_allows and not allowed:
        return not_allowed(course)
    open_others = _pass_a(plan.others, course)
    if verdict := denied(course):
        return verdict

    undecided = [*([] if allowed else open_allows), *open_others] if open_allows or open_others else []
    if plan.reads:
        await _look_up(_wanted(undecided, course), course)
    for step in undecided:
        _judge(step, course, whole=True)
    if not allowed and not any(rule.kind == "allow" for rule in course.fired):
        return not_allowed(course)
    return denied(course) or combined(course)


def _wanted(undecided: Iterable[Step], course: Course) -> set[tuple[str, str]]:
    """The facts that are still needed, and those that texts and people want."""
    wanted = {(step.rule.home, name) for step in undecided for name in step.rule.reads}
    return wanted | {(rule.home, name) for rule in course.fired if rule.kind != "allow" for name in rule.told}


async def _look_up(wanted: set[tuple[str, str]], course: Course) -> None:
    if wanted:
        kept = course.room.kept if course.call.agreed is None else None  # never after people agreed
        needed = needed_by(wanted, course.lookups)
        course.answers |= await course.facts.answers(needed, course.lookups, course.env, kept)


def may_use(rules: ToolRules, *, user: str, agent: str, roles: frozenset[str]) -> bool:
    """Whether a list of tools shows it to this caller: some allow fits, and no deny always holds.

    The call itself is the check.
    """
    speaking = [rule for rule in rules.rules if rule.mode == "enforce" and rule.applies.to(agent, None)]
    allowed = any(rule.kind == "allow" and rule.who.fits(user, agent, roles) for rule in speaking)
    return allowed and not any(rule.kind == "deny" and _always(rule) for rule in speaking)


def _always(rule: Rule) -> bool:
    """Whether it holds for every call of the tool, at any time."""
    timed = rule.hours or rule.until or rule.operation or rule.unless
    return not timed and all(each.code.literal and each.code.value is True for each in rule.when)


def _pass_a(steps: Iterable[Step], course: Course) -> list[Step]:
    """What can be decided without look-ups is; returns what could not be."""
    left: list[Step] = []
    for step in steps:
        if step.timed and not _now(step.rule, course):
            continue
        if step.whole and not course.telling:
            try:
                if step.fires(as_seen(course.env, step.rule.projects)):
                    course.fired.append(step.rule)
            except Exception as surprise:  # nothing a rule meets may become an answer it did not give
                _failed(step.rule, surprise, course)
        elif step.whole:
            _judge(step, course, whole=True)
        elif not step.leading or _judge(step, course, whole=False):
            left.append(step)
    return left


def _now(rule: Rule, course: Course) -> bool:
    """Whether the clock lets it speak."""
    local = course.local
    if rule.until is not None and local.date() > rule.until:
        course.tell(rule, "false", f"in force until {rule.until.isoformat()}")
        return False
    if all(hours.hold(local) for hours in rule.hours):
        return True
    course.tell(rule, "false", f"outside its hours (it is {local:%a %H:%M})")
    course.late.append(rule)
    return False


def _judge(step: Step, course: Course, *, whole: bool) -> bool:
    """Whether the rule fires (or, not `whole`, whether its leading conditions hold)."""
    try:
        said = _fires(step, course, whole)
    except Exception as surprise:
        _failed(step.rule, surprise, course)
        return False
    if said and whole:
        course.fired.append(step.rule)
    return said


def _failed(rule: Rule, surprise: Exception, course: Course) -> None:
    """A rule without an answer: an allow then grants nothing, anything else denies."""
    error = surprise if isinstance(surprise, EvalError) else EvalError(type(surprise).__name__)
    course.tell(rule, "error", error.message)
    if rule.kind != "allow":
        course.errors.append((rule, error))


def _fires(step: Step, course: Course, whole: bool) -> bool:
    rule, env = step.rule, course.env_of(step.rule)
    when = step.when if whole else step.leading
    if course.facts_wanted and step.reads:
        for condition in (*rule.when, *rule.unless):
            remember(condition.code, env, course)
    for place, run in enumerate(when):
        if not run(env):
            course.tell_condition(rule, "false", (rule.when[place],), env)
            return False
    if not whole:
        return True
    for place, run in enumerate(step.unless):
        if not run(env):
            course.tell_condition(rule, "true", (rule.unless[place],), env, "not: ")
            return True
    if step.unless:
        course.tell(rule, "false", "all of unless holds")
        return False
    course.tell_condition(rule, "true", rule.when, env)
    return True


def _observe(plan: Plan, course: Course) -> tuple[str, ...]:
    """What rules that only observe would have said; they decide nothing."""
    found: list[str] = []
    for step in plan.observed:
        rule = step.rule
        if step.timed and not _now(rule, course):
            continue
        if any((rule.home, name) not in course.answers for name in rule.reads):
            course.tell(rule, "not needed", "observed only; its facts were not read")
            continue
        try:
            said = _fires(step, course, whole=True)
        except Exception as error:  # it is only watched
            course.tell(rule, "error", str(error))
            continue
        if said:
            found.append(f"{rule.kind} {rule.id}")
            course.tell(rule, "observed", course.heard[rule.id].why if course.telling else "")
    return (*found, *(f"change {rule}" for rule in would_cut(plan.cuts, course)))


def _rechecked(plan: Plan, course: Course) -> str:
    """The rules for this call, and the facts that must not move while people think."""
    if not plan.reads:
        return plan.digest
    facts: list[str] = []
    for rule in course.fired:
        codes = rule.asked.recheck if rule.asked else ()
        facts += [f"{code.label}={safe(code, course.env_of(rule))}" for code in codes]
    return hashlib.sha256(json.dumps([plan.digest, facts]).encode()).hexdigest() if facts else plan.digest


def _decided(
    verdict: Verdict,
    plan: Plan | None,
    course: Course,
    changed: Mapping[str, Json] | None = None,
) -> Decision:
    basis = Basis(
        generation=course.room.generation,
        rules=_rechecked(plan, course) if plan else "",
        fired=tuple(rule.id for rule in course.fired),
        facts=course.shown,
        looked_up=course.facts.record,
        shares=() if isinstance(verdict, Deny | Divert) else tuple(course.shares),
    )
    return Decision(verdict, basis, tuple(course.heard.values()), changed)
