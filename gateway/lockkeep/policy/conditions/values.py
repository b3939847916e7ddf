"""What conditions compute with: money, exact numbers, times; what is missing, and what has failed."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, TypeGuard

from lockkeep.model import Json, is_object
from lockkeep.policy.conditions.currencies import decimals
from lockkeep.policy.conditions.lexer import BIGGEST

Value = (
    Any  # bool, int, Fraction, str, datetime, timedelta, Money, list, dict, MISSING, FailedLookup or Unclear
)
Env = dict[str, Any]
LONGEST = 4_000
FINEST = 4_000  # bits of a denominator: sums of many different fractions stay cheap


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


@dataclass(frozen=True, slots=True)
class Unclear:
    """A fact of the call that could not be worked out: whatever touches it fails, even `has`."""

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
        digits = decimals(self.currency)
        whole, rest = divmod(abs(rounded(self.minor)), 10**digits)
        sign = "-" if rounded(self.minor) < 0 else ""
        return f"{sign}{whole}{f'.{rest:0{digits}}' if digits else ''} {self.currency}"


@dataclass(frozen=True)
class Table:
    """One amount for each of some currencies, in minor units: the entry of the other side's currency counts."""

    name: str
    entries: Mapping[str, int]

    def entry(self, currency: str) -> Money:
        if currency not in self.entries:
            raise EvalError(f"{self.name} has no entry for {currency}")
        return Money(self.entries[currency], currency)

    def __str__(self) -> str:
        return " / ".join(str(Money(minor, currency)) for currency, minor in sorted(self.entries.items()))


def is_array(value: object) -> TypeGuard[list[Json]]:
    return isinstance(value, list)


def attribute(value: Value, name: str) -> Value:
    """A field; MISSING if it, or what it would belong to, is not there."""
    touched(value)
    if value is MISSING:
        return MISSING
    if not is_object(value):
        raise EvalError(f"'{name}' is asked of something without fields")
    found: Value = value.get(name)
    return MISSING if found is None else found


def money_view(value: Value, name: str) -> Value:
    """The money `X`, or `X` out of `X_minor` and `currency` of the same object."""
    there = attribute(value, name)
    if isinstance(there, Money | FailedLookup | Unclear):
        return there
    minor, currency = attribute(value, f"{name}_minor"), attribute(value, "currency")
    if minor is MISSING or currency is MISSING:
        return MISSING
    exact = number(minor)
    if not isinstance(exact, int):
        raise EvalError(f"{name}_minor is no whole number of minor units")
    return Money(exact, text(currency))


def touched(value: Value) -> None:
    if isinstance(value, FailedLookup):
        raise EvalError(f"the look-up {value.name} gave no answer: {value.reason}", lookup=value.name)
    if isinstance(value, Unclear):
        raise EvalError(value.reason)


def needed(value: Value, what: str) -> Value:
    """The value; an error if it is missing."""
    touched(value)
    if value is MISSING or value is None:
        raise EvalError(f"{what} is missing")
    return value


def number(value: Value) -> int | Fraction:
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction):
        raise EvalError("a number is expected")
    if isinstance(value, float) and not math.isfinite(value):
        raise EvalError("a number is not finite")
    exact = Fraction(str(value)) if isinstance(value, float) else value
    if abs(exact) > BIGGEST:
        raise EvalError("a number is larger than 2^53")
    if isinstance(exact, Fraction) and exact.denominator.bit_length() > FINEST:
        raise EvalError("a number has too many decimals")
    return int(exact) if exact.denominator == 1 else exact


def time(value: Value) -> datetime:
    found = value if isinstance(value, datetime) else _read_time(text(value))
    if found.tzinfo is None:
        raise EvalError("a time has no offset")
    within(lambda: instant(found))
    return found


def _read_time(value: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise EvalError("a time is not written as RFC 3339") from None


def instant(value: datetime) -> datetime:
    """In UTC: within one zone, Python compares and subtracts wall clocks, which jump twice a year."""
    return value.astimezone(UTC)


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


def size(value: Value) -> int:
    if isinstance(value, str) or is_array(value):
        return len(value)
    raise EvalError("size is asked of something that is no text and no list")


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


def converted(kind: str, value: Value) -> Value:
    """The value as its type says it is; what is missing, or failed, stays so."""
    if value is None or value is MISSING:
        return MISSING
    convert = CONVERT.get(kind)
    return value if convert is None or isinstance(value, FailedLookup | Unclear) else convert(value)


def kind_of(value: Value) -> str:
    return next((kind for kind, types in KINDS if isinstance(value, types)), "any")


KINDS: tuple[tuple[str, Any], ...] = (
    ("bool", bool), ("number", (int, Fraction)), ("money", Money), ("table", Table), ("text", str), ("time", datetime),
    ("duration", timedelta), ("list", list), ("object", Mapping),
)  # fmt: skip


def rounded(value: Value) -> int:
    """To the nearest whole number, halves away from zero."""
    exact = Fraction(number(value))
    whole = (abs(exact) + Fraction(1, 2)).__floor__()
    return whole if exact >= 0 else -whole


def within(work: Callable[[], Value]) -> Value:
    try:
        return work()
    except OverflowError:
        raise EvalError("a time is out of range") from None


def as_json(value: Value) -> Json:
    """As an argument of a tool."""
    touched(value)
    if value is MISSING:
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, Money | Table | timedelta):
        raise EvalError(f"{kind_of(value)} is no argument of a tool")
    return [as_json(each) for each in value] if is_array(value) else value


def shown(value: Value) -> str:
    """For people: money with its currency, callers' values cut and without control characters."""
    if value.__class__ is str and len(value) <= 200 and value.isprintable():
        return value  # by far the most
    if isinstance(value, FailedLookup | Unclear) or value is MISSING or value is None:
        return "(unknown)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Fraction):
        return str(float(value))
    if isinstance(value, datetime):
        return value.isoformat(timespec="minutes")
    clean = "".join(char if char.isprintable() else "·" for char in str(value))
    return clean if len(clean) <= 200 else clean[:200] + "…"
