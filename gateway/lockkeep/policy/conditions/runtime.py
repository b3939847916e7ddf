"""What the operators do with values. Nonsense is an error, never a guess."""

import operator
from collections.abc import Callable
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from lockkeep.policy.conditions.values import (
    LONGEST,
    MISSING,
    Env,
    EvalError,
    FailedLookup,
    Missing,
    Money,
    Table,
    Unclear,
    Value,
    as_json,
    attribute,
    bounded,
    converted,
    instant,
    is_array,
    is_object,
    kind_of,
    money_view,
    needed,
    number,
    plain,
    rounded,
    shown,
    size,
    text,
    time,
    touched,
    truth,
    within,
)

STEPS = "$steps"
MOST_STEPS = 20_000
ITEMS_PER_STEP = 5  # `in` walks a list, too
__all__ = [
    "LONGEST", "MISSING", "MOST_STEPS", "STEPS", "Env", "EvalError", "FailedLookup", "Missing", "Money", "Table", "Unclear", "Value",
    "add", "among", "as_json", "attribute", "bounded", "converted", "divide", "is_array", "is_object", "kind_of", "like",
    "money_view", "multiply", "needed", "number", "ordered", "plain", "remainder", "rounded", "same", "shown", "size",
    "step", "text", "time", "touched", "truth",
]  # fmt: skip


def same(left: Value, right: Value) -> bool:
    """Equality; money of two currencies, or values of two kinds, have no answer."""
    left, right = needed(left, "a value"), needed(right, "a value")
    if isinstance(left, Money | Table) or isinstance(right, Money | Table):
        return _of_money(left, right, operator.eq)
    if kind_of(left) != kind_of(right):
        raise EvalError(f"{kind_of(left)} is compared with {kind_of(right)}")
    return _equal(left, right)


def _equal(left: Value, right: Value) -> bool:
    """All the way down, kinds first: true is never 1."""
    left, right = plain(left), plain(right)
    if kind_of(left) != kind_of(right):
        return False
    if is_array(left) and is_array(right):
        if max(len(left), len(right)) > LONGEST:
            raise EvalError(f"a list is longer than {LONGEST} items")
        return len(left) == len(right) and all(map(_equal, left, right))
    if is_object(left) and is_object(right):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, datetime) and isinstance(right, datetime):
        return instant(left) == instant(right)
    return bool(left == right)


def among(item: Value, items: Value, env: Env) -> bool:
    """`in`: null is in no list."""
    touched(items)
    if not is_array(items):
        raise EvalError("'in' needs a list")
    step(env, len(items) // ITEMS_PER_STEP)
    return any(each is not None and same(item, plain(each)) for each in items)


def ordered(op: Callable[[Any, Any], bool]) -> Callable[[Value, Value], bool]:
    def compare(left: Value, right: Value) -> bool:
        if isinstance(left, Money | Table) or isinstance(right, Money | Table):
            return _of_money(left, right, op)
        kind = kind_of(left)
        if kind != kind_of(right) or kind not in ("number", "time", "duration", "text"):
            raise EvalError(f"{kind} is compared with {kind_of(right)}")
        return op(instant(left), instant(right)) if kind == "time" else op(left, right)

    return compare


def _zero(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value == 0


def _of_money(left: Value, right: Value, op: Callable[[Any, Any], bool]) -> bool:
    """Both of one currency; 0 needs none; a table stands for its entry of the other side's currency."""
    if isinstance(left, Table) and isinstance(right, Money):
        left = left.entry(right.currency)
    elif isinstance(right, Table) and isinstance(left, Money):
        right = right.entry(left.currency)
    if isinstance(left, Money) and isinstance(right, Money):
        if left.currency != right.currency:
            raise EvalError(f"{left.currency} is compared with {right.currency}")
        return op(left.minor, right.minor)
    if isinstance(left, Money) and _zero(right):
        return op(left.minor, 0)
    if isinstance(right, Money) and _zero(left):
        return op(0, right.minor)
    raise EvalError("money is compared with something else")


def add(left: Value, right: Value, sign: int = 1) -> Value:
    if isinstance(left, Money) or isinstance(right, Money):
        return _add_money(left, right, sign)
    if isinstance(left, datetime) and isinstance(right, datetime) and sign < 0:
        return instant(left) - instant(right)
    if isinstance(right, timedelta) and isinstance(left, datetime):
        return within(lambda: (instant(left) + sign * right).astimezone(left.tzinfo))
    if isinstance(right, timedelta) and isinstance(left, timedelta):
        return within(lambda: left + sign * right)
    if isinstance(left, str) and isinstance(right, str) and sign > 0:
        return bounded(left + right)
    return number(number(left) + sign * number(right))


def _add_money(left: Value, right: Value, sign: int) -> Value:
    currency = left.currency if isinstance(left, Money) else right.currency
    amounts = [Money(0, currency) if _zero(each) else each for each in (left, right)]
    if not all(isinstance(each, Money) for each in amounts):
        raise EvalError("money is added to something else")
    if amounts[0].currency != amounts[1].currency:
        raise EvalError(f"{amounts[0].currency} and {amounts[1].currency} are added")
    return Money(number(amounts[0].minor + sign * amounts[1].minor), currency)


def multiply(left: Value, right: Value) -> Value:
    if isinstance(left, Money):
        return Money(number(left.minor * number(right)), left.currency)
    if isinstance(right, Money):
        return multiply(right, left)
    return number(number(left) * number(right))


def divide(left: Value, right: Value) -> Value:
    by = number(right)
    if by == 0:
        raise EvalError("something is divided by zero")
    if isinstance(left, Money):
        return Money(number(Fraction(left.minor) / by), left.currency)
    return number(Fraction(number(left)) / by)


def remainder(left: Value, right: Value) -> Value:
    a, b = number(left), number(right)
    if b == 0:
        raise EvalError("something is divided by zero")
    return number(abs(a) % abs(b) * (1 if a >= 0 else -1))  # the sign of the dividend, as in CEL


def step(env: Env, steps: int = 1) -> None:
    """Turns of a loop; a decision has a bounded number of them."""
    env[STEPS][0] -= steps
    if env[STEPS][0] < 0:
        raise EvalError(f"more than {MOST_STEPS} steps in one decision")


def like(value: str, pattern: str) -> bool:
    """`*` stands for anything; everything else for itself. Linear: the parts are found one after the other."""
    first, *rest = pattern.split("*")
    if not rest:
        return value == pattern
    if not value.startswith(first):
        return False
    at = len(first)
    for part in rest[:-1]:
        found = value.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return len(value) - at >= len(rest[-1]) and value.endswith(rest[-1])
