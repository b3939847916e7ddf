"""`change`: arguments over their maximum are cut to it, the smallest counting."""

from copy import deepcopy
from fractions import Fraction

from lockkeep.model import Deny, Json
from lockkeep.policy.conditions import runtime
from lockkeep.policy.conditions.runtime import MISSING, Env, EvalError, Money, Table
from lockkeep.policy.engine.course import Course, Denied
from lockkeep.policy.rules.rule import Cut, Path, as_seen


def cut_down(cuts: tuple[Cut, ...], course: Course) -> dict[str, Json] | None:
    """The arguments with every cut made, the smallest counting; None if none was needed."""
    changed: dict[Path, int | float] = {}
    for cut in cuts:
        if cut.mode != "enforce" or not _in_force(cut, course):
            continue
        try:
            most = _over(cut, course.env)
        except EvalError as error:
            raise Denied(
                Deny("policy.error", f"Rule {cut.rule} could not be judged: {error.message}.", rule=cut.rule)
            ) from None
        if most is not None:
            changed[cut.path] = min(most, changed.get(cut.path, most))
    if not changed:
        return None
    arguments = deepcopy(dict(course.call.arguments))
    for path, most in changed.items():
        _put(arguments, path, most)
    return arguments


def _put(value: Json, path: Path, most: int | float) -> None:
    """It was read there just now, so the way is there."""
    for step in path[:-1]:
        value = value[step]
    value[path[-1]] = most


def value_at(arguments: Json, path: Path) -> Json:
    """What stands there; None where the way ends."""
    for step in path:
        try:
            arguments = arguments[step]
        except (KeyError, IndexError, TypeError):
            return None
    return arguments


def would_cut(cuts: tuple[Cut, ...], course: Course) -> list[str]:
    """The rules that only observe, and would have cut something."""
    return [
        cut.rule for cut in cuts if cut.mode == "observe" and _in_force(cut, course) and _cuts(cut, course)
    ]


def _cuts(cut: Cut, course: Course) -> bool:
    try:
        return _over(cut, course.env) is not None
    except EvalError:
        return False


def _in_force(cut: Cut, course: Course) -> bool:
    return cut.until is None or course.local.date() <= cut.until


def _over(cut: Cut, env: Env) -> int | float | None:
    """What the argument becomes, if it is over the maximum."""
    value = cut.value.run(as_seen(env, cut.projects))
    if value is MISSING:
        return None
    if isinstance(cut.most, Money | Table):
        if not isinstance(value, Money):
            raise EvalError(f"{cut.path[-1]} is no amount of money")
        most = cut.most.entry(value.currency) if isinstance(cut.most, Table) else cut.most
        if most.currency != value.currency:
            raise EvalError(f"the maximum is in {most.currency}, this call in {value.currency}")
        return runtime.rounded(most.minor) if value.minor > most.minor else None
    return cut.most if runtime.number(value) > Fraction(str(cut.most)) else None
