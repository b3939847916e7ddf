"""What conditions compute with: money, exact numbers, times, and errors instead of guesses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from lockkeep.policy.lexer import EXPONENTS

Value = Any  # bool, int, Fraction, str, datetime, timedelta, Money, list, dict, MISSING or FAILED
Env = dict[str, Any]
BIGGEST = 2**53
LONGEST = 4_000
STEPS = "$steps"
MOST_STEPS = 20_000


class Missing:
    """A value that is not there, or null."""

    def __repr__(self) -> str:
        return "(unknown)"


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class FailedLookup:
    """A look-up that gave no answer: whatever touches it fails, even `has`."""

    name: str
    reason: str


class EvalError(Exception):
    """A condition has no answer; the rule it stands in decides what that means."""

    def __init__(self, message: str, lookup: str | None = None) -> None:
        super().__init__(message)
        self.message, self.lookup = message, lookup


@dataclass(frozen=True, slots=True)
class Money:
    """Minor units of one currency; a fraction of a minor unit can come out of a product."""

    minor: int | Fraction
    currency: str

    def __str__(self) -> str:
        digits = EXPONENTS.get(self.currency, 2)
        return f"{float(self.minor / 10**digits if digits else self.minor):.{digits}f} {self.currency}"


def attribute(value: Value, name: str) -> Value:
    """A field; MISSING if it, or what it would belong to, is not there."""
    touched(value)
    if value is MISSING:
        return MISSING
    if not isinstance(value, Mapping):
        raise EvalError(f"'{name}' is asked of something without fields")
    found: Value = value.get(name)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] - JSON
    return MISSING if found is None else found


def money_view(value: Value, name: str) -> Value:
    """`X` out of `X_minor` and `currency` of the same object."""
    minor, currency = attribute(value, f"{name}_minor"), attribute(value, "currency")
    if minor is MISSING or currency is MISSING:
        return MISSING
    return Money(number(minor), str(currency))


def touched(value: Value) -> None:
    if isinstance(value, FailedLookup):
        raise EvalError(f"the look-up {value.name} gave no answer: {value.reason}", lookup=value.name)


def needed(value: Value, what: str) -> Value:
    """The value; an error if it is missing."""
    touched(value)
    if value is MISSING or value is None:
        raise EvalError(f"{what} is missing")
    return value


def number(value: Value) -> int | Fraction:
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction):
        raise EvalError("a number is expected")
    exact = Fraction(str(value)) if isinstance(value, float) else value
    if abs(exact) > BIGGEST:
        raise EvalError("a number is larger than 2^53")
    return int(exact) if isinstance(exact, Fraction) and exact.denominator == 1 else exact


def time(value: Value) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise EvalError("a time is not written as RFC 3339") from None
    if found.tzinfo is None:
        raise EvalError("a time has no offset")
    return found


def text(value: Value) -> str:
    if not isinstance(value, str):
        raise EvalError("text is expected")
    return value


def bounded(value: Value) -> str:
    """Text short enough to search in."""
    found = text(value)
    if len(found) > LONGEST:
        raise EvalError(f"a text is longer than {LONGEST} characters")
    return found


def truth(value: Value) -> bool:
    if not isinstance(value, bool):
        raise EvalError("true or false is expected")
    return value


def plain(value: Value) -> Value:
    """A value of an open schema, its numbers made exact."""
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


CONVERT: dict[str, Callable[[Value], Value]] = {
    "number": number, "text": text, "bool": truth, "time": time, "any": plain,
}  # fmt: skip


def kind_of(value: Value) -> str:
    for kind, types in KINDS:
        if isinstance(value, types):
            return kind
    return "any"


KINDS: tuple[tuple[str, Any], ...] = (
    ("bool", bool), ("number", (int, Fraction)), ("money", Money), ("text", str), ("time", datetime),
    ("duration", timedelta), ("list", (list, tuple)), ("object", dict),
)  # fmt: skip


def same(left: Value, right: Value) -> bool:
    """Equality; money of two currencies has no answer."""
    touched(left)
    touched(right)
    if left is MISSING or right is MISSING:
        return left is right
    if isinstance(left, Money) or isinstance(right, Money):
        return _comparable(left, right, lambda a, b: a == b)
    if kind_of(left) != kind_of(right):
        raise EvalError(f"{kind_of(left)} is compared with {kind_of(right)}")
    return bool(left == right)


def ordered(op: Callable[[Any, Any], bool]) -> Callable[[Value, Value], bool]:
    def compare(left: Value, right: Value) -> bool:
        if isinstance(left, Money) or isinstance(right, Money):
            return _comparable(left, right, op)
        if kind_of(left) != kind_of(right) or kind_of(left) not in ("number", "time", "duration", "text"):
            raise EvalError(f"{kind_of(left)} is compared with {kind_of(right)}")
        return op(left, right)

    return compare


def _comparable(left: Value, right: Value, op: Callable[[Any, Any], bool]) -> bool:
    if isinstance(left, Money) and isinstance(right, Money):
        if left.currency != right.currency:
            raise EvalError(f"{left.currency} is compared with {right.currency}")
        return op(left.minor, right.minor)
    if isinstance(left, Money) and right == 0:
        return op(left.minor, 0)
    if isinstance(right, Money) and left == 0:
        return op(0, right.minor)
    raise EvalError("money is compared with something else")


def add(left: Value, right: Value, sign: int = 1) -> Value:
    if isinstance(left, Money) and isinstance(right, Money):
        if left.currency != right.currency:
            raise EvalError(f"{left.currency} and {right.currency} are added")
        return Money(left.minor + sign * right.minor, left.currency)
    if isinstance(left, datetime) and isinstance(right, datetime) and sign < 0:
        return left - right
    if isinstance(right, timedelta) and isinstance(left, datetime | timedelta):
        return _within(lambda: left + sign * right)
    if isinstance(left, str) and isinstance(right, str) and sign > 0:
        return bounded(left + right)
    return number(number(left) + sign * number(right))


def multiply(left: Value, right: Value) -> Value:
    if isinstance(left, Money):
        return Money(left.minor * number(right), left.currency)
    if isinstance(right, Money):
        return Money(right.minor * number(left), right.currency)
    return number(number(left) * number(right))


def divide(left: Value, right: Value) -> Value:
    by = number(right)
    if by == 0:
        raise EvalError("something is divided by zero")
    if isinstance(left, Money):
        return Money(Fraction(left.minor) / by, left.currency)
    return number(Fraction(number(left)) / by)


def remainder(left: Value, right: Value) -> Value:
    a, b = number(left), number(right)
    if b == 0:
        raise EvalError("something is divided by zero")
    return number(abs(a) % abs(b) * (1 if a >= 0 else -1))  # the sign of the dividend, as in CEL


def rounded(value: Value) -> int:
    """To the nearest whole number, halves away from zero."""
    exact = Fraction(number(value))
    whole = (abs(exact) + Fraction(1, 2)).__floor__()
    return whole if exact >= 0 else -whole


def step(env: Env) -> None:
    """One turn of a loop; a decision has a bounded number of them."""
    env[STEPS][0] -= 1
    if env[STEPS][0] < 0:
        raise EvalError(f"more than {MOST_STEPS} steps in one decision")


def _within(work: Callable[[], Value]) -> Value:
    try:
        return work()
    except OverflowError:
        raise EvalError("a time is out of range") from None


def shown(value: Value) -> str:
    """For people: money with its currency, callers' values cut and without control characters."""
    if isinstance(value, FailedLookup) or value is MISSING:
        return "(unknown)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Fraction):
        return str(float(value))
    if isinstance(value, datetime):
        return value.isoformat(timespec="minutes")
    raw = str(value)
    clean = "".join(char if char.isprintable() else "·" for char in raw)
    return clean if len(clean) <= 200 else clean[:200] + "…"
