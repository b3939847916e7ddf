"""`change`: arguments over their maximum are cut to it, the smallest counting."""

from fractions import Fraction

from lockkeep.model import Deny, Json
from lockkeep.policy.conditions import runtime
from lockkeep.policy.conditions.runtime import MISSING, Env, EvalError, Money, Table
from lockkeep.policy.engine.course import Course, Denied
from lockkeep.policy.rules.rule import Cut


def cut_down(cuts: tuple[Cut, ...], course: Course) -> dict[str, Json] | None:
    """The arguments with every cut made, the smallest counting; None if none was needed."""
    changed: dict[str, Json] = {}
    for cut in cuts:
        if cut.mode != "enforce" or (cut.until is not None and course.local.date() > cut.until):
            continue
        try:
            most = _over(cut, course.env)
        except EvalError as error:
            raise Denied(
                Deny("policy.error", f"Rule {cut.rule} could not be judged: {error.message}.", rule=cut.rule)
            ) from None
        if most is not None:
            changed[cut.argument] = min(most, changed.get(cut.argument, most))
    return {**course.call.arguments, **changed} if changed else None


def _over(cut: Cut, env: Env) -> int | float | None:
    """What the argument becomes, if it is over the maximum."""
    value = cut.value.run(env)
    if value is MISSING:
        return None
    if isinstance(cut.most, Money | Table):
        if not isinstance(value, Money):
            raise EvalError(f"{cut.argument} is no amount of money")
        most = cut.most.entry(value.currency) if isinstance(cut.most, Table) else cut.most
        if most.currency != value.currency:
            raise EvalError(f"the maximum is in {most.currency}, this call in {value.currency}")
        return runtime.rounded(most.minor) if value.minor > most.minor else None
    return cut.most if runtime.number(value) > Fraction(str(cut.most)) else None
