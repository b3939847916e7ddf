"""What fired becomes one verdict: Deny > people > ask > allow; whom it asks, who takes over, what it counts."""

import json
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from lockkeep.model import Allow, Demand, Deny, Divert, RequireApproval, Share, Verdict, stamp
from lockkeep.policy.conditions import runtime
from lockkeep.policy.conditions.checked import Code
from lockkeep.policy.conditions.runtime import Env, EvalError, Money, Table
from lockkeep.policy.engine.course import Course, Denied, remember
from lockkeep.policy.rules.rule import Asked, Rule, Someone
from lockkeep.policy.windows import window

MILLION = 1_000_000  # sums of a field are kept in millionths


def denied(course: Course) -> Deny | None:
    """A rule that denies, then one that could not be read for, then one that could not be judged."""
    for rule in course.fired:
        if rule.kind == "deny":
            return _said(rule, course)
    if not course.errors:
        return None
    for rule, error in sorted(course.errors, key=lambda each: each[1].lookup is None):
        if _asks_instead(rule, error, course) is None:
            return _broken(rule, error)
    return None


def _asks_instead(rule: Rule, error: EvalError, course: Course) -> Demand | None:
    """A failed look-up may ask people instead of denying, where its file says so."""
    lookup = course.lookups.get((rule.home, error.lookup)) if error.lookup is not None else None
    if lookup is None or lookup.failed is None:
        return None
    return replace(
        _timed(lookup.failed.demand, course), why=f"{lookup.name} could not be read: {error.message}."
    )


def _broken(rule: Rule, error: EvalError) -> Deny:
    reason = f"Rule {rule.id} could not be judged: {error.message}."
    if error.lookup is not None:
        return Deny("policy.lookup_failed", reason, "Try again later.", "later", rule.id)
    return Deny("policy.error", reason, "", "no", rule.id)


def _said(rule: Rule, course: Course) -> Deny:
    env = course.env_of(rule)
    reason = rule.say.fill(env) if rule.say else f"Refused, because: {rule.words or 'of the hour'}."
    fix = rule.fix.fill(env) if rule.fix else ""
    only_hours = not rule.when and not rule.unless
    retry = "changed" if fix else _after(rule, course, to=False) if only_hours else "no"
    return Deny("policy.rule", reason, fix, retry, rule.id)


def _after(rule: Rule, course: Course, *, to: bool) -> str:
    """When the rule's hours next begin, or end, as a denial's retry."""
    moments = [moment for hours in rule.hours if (moment := hours.turn(course.local, to=to)) is not None]
    if not moments:
        return "no"
    moment = max(moments) if to else min(moments)
    return f"after:{moment.isoformat(timespec='seconds')}"


def not_allowed(course: Course) -> Deny:
    call = course.call
    later = [rule for rule in course.late if rule.kind == "allow"]
    reason = f"No rule allows {call.user} with agent {call.agent} to use {call.tool}."
    if not later:
        return Deny("policy.not_allowed", reason, "Ask whoever owns the policy for this agent.")
    retry = min(_after(rule, course, to=True) for rule in later)
    return Deny("policy.not_allowed", reason.removesuffix(".") + " at this hour.", "", retry)


# -- people, asks, limits ---------------------------------------------------------------------------------------


def combined(course: Course) -> Verdict:
    instead = [_asks_instead(rule, error, course) for rule, error in course.errors] if course.errors else ()
    demands = [demand for demand in instead if demand is not None]
    hands = [rule for rule in course.fired if rule.kind == "people"]
    for rule in course.fired:
        if rule.counted is not None:
            full = _count(rule, course)
            hands += [rule] if full and rule.counted.to else []
            demands += [_demand(rule, rule.counted.full, course)] if full and rule.counted.full else []
    if hands:
        return _handed(hands, course)
    demands += [_demand(rule, rule.asked, course) for rule in course.fired if rule.kind == "ask"]
    if not demands:
        return Allow(course.call.arguments)
    return RequireApproval(tuple(demands), course.call.arguments)


def _handed(rules: list[Rule], course: Course) -> Divert:
    """All of their groups; the words of the first."""
    rules = sorted(rules, key=lambda rule: rule.id)
    groups = [group for rule in rules for group in (rule.counted.to if rule.counted else rule.to)]
    first, env = rules[0], course.env_of(rules[0])
    reason = first.say.fill(env) if first.say else _why_handed(first)
    return Divert(tuple(dict.fromkeys(groups)), reason, first.fix.fill(env) if first.fix else "", first.id)


def _why_handed(rule: Rule) -> str:
    if rule.counted is not None:
        return f"The limit is reached: {rule.counted.text}."
    return f"People take over, because: {rule.words}." if rule.words else "People take over every such call."


def _demand(rule: Rule, asked: Asked | None, course: Course) -> Demand:
    if asked is None:
        raise Denied(_broken(rule, EvalError("it asks nobody")))
    limit = f"The limit is reached: {rule.counted.text}." if rule.counted else ""
    why = rule.say.fill(course.env_of(rule)) if rule.say else limit or f"{rule.words or 'Every such call'}."
    env = course.env_of(rule)
    for code in asked.recheck:
        remember(code, env, course)
    return replace(_timed(_named(rule, asked, course), course), why=why)


def _named(rule: Rule, asked: Asked, course: Course) -> Demand:
    """The demand with people in the place of the fields that stand for them."""
    demand = asked.demand
    if not asked.someone:
        return demand
    found = {name: _person(name, each, rule, course) for name, each in asked.someone.items()}
    named = {name: f"user:{person}" for name, person in found.items() if person is not None}
    unknown = [name for name in (*demand.each, *demand.any_of) if name in found and name not in named]
    if unknown and not demand.escalate:
        reason = f"People must agree, but nobody is known for {', '.join(unknown)}."
        fix = "Tell whoever keeps people.yaml: the account belongs to nobody there."
        raise Denied(Deny("policy.no_approver", reason, fix, "no", rule.id))
    instead = demand.escalate[0][1][0] if demand.escalate else ""  # nobody known: whoever comes next, at once
    swapped = {
        name: named.get(name, instead if name in found else name) for name in (*demand.each, *demand.any_of)
    }
    return replace(
        demand, each=tuple(swapped[name] for name in demand.each), any_of=tuple(swapped[name] for name in demand.any_of),
        escalate=tuple((after, tuple(named.get(name, name) for name in to)) for after, to in demand.escalate),
    )  # fmt: skip


def _person(name: str, someone: Someone, rule: Rule, course: Course) -> str | None:
    """Who it is, or None: an account that is mapped to nobody asks nobody."""
    try:
        value = someone.code.run(course.env_of(rule))
    except EvalError as error:
        raise Denied(_broken(rule, error)) from None
    if not isinstance(value, str):
        return None
    person = course.room.people.accounts.get(f"{someone.integration}:{value}")
    if person is None:
        return None
    return person.manager if someone.manager else person.id


def _timed(demand: Demand, course: Course) -> Demand:
    """When it expires and when it escalates, in the working hours of those it asks."""
    now = course.call.at

    def after(seconds: float) -> str:
        groups = () if demand.always else demand.groups
        return stamp(course.room.people.after(groups, now, seconds, course.room.zone))

    return replace(
        demand,
        ends=after(demand.expires),
        steps=tuple((after(seconds), to) for seconds, to in demand.escalate),
    )


def _count(rule: Rule, course: Course) -> bool:
    """Its share is kept for the claim; true if the limit is full and the rule has an answer to that."""
    share, counted = _share(rule, course), rule.counted
    full = False
    if counted is not None and (counted.full or counted.to):
        full = course.taken(share) + share.units > share.most
        share = replace(share, soft=True, over=full)
    course.shares.append(share)
    return full


def _share(rule: Rule, course: Course) -> Share:
    counted = rule.counted
    if counted is None:
        raise Denied(_broken(rule, EvalError("it counts nothing")))
    env = course.env_of(rule)
    try:
        values = zip(counted.for_whom, counted.keys, strict=True)
        keys = [runtime.shown(runtime.needed(run(env), code.label)) for run, code in values]
        most, units, currency = _units(counted.most, counted.of, env)
    except EvalError as error:
        raise Denied(_broken(rule, error)) from None
    since, slides, ends = window(counted.window, course.call.at, course.room.zone)
    return Share(
        rule=rule.id, key=_joined((*keys, currency) if currency else tuple(keys)), most=most, units=units, since=since,
        window=slides, ends=ends, text=counted.text,
    )  # fmt: skip


@lru_cache(4096)
def _joined(keys: tuple[str, ...]) -> str:
    return json.dumps(keys)


def _units(most: int | Money | Table, of: Code | None, env: Env) -> tuple[int, int, str]:
    """The limit, this call's part of it, and the currency of both; nothing is given back by a negative part."""
    if of is None:
        return (most, 1, "") if isinstance(most, int) else (0, 1, "")
    value = runtime.needed(of.run(env), of.label)
    if isinstance(most, int):
        part = Fraction(runtime.number(value)) * MILLION
        return most * MILLION, max(0, runtime.rounded(part)), ""
    if not isinstance(value, Money):
        raise EvalError(f"{of.label} is no amount of money")
    cap = most.entry(value.currency) if isinstance(most, Table) else most
    if cap.currency != value.currency:
        raise EvalError(f"the limit is in {cap.currency}, this call in {value.currency}")
    return runtime.rounded(cap.minor), max(0, runtime.rounded(value.minor)), cap.currency
