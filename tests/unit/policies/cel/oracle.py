"""What conditions say of the same values: ours, and official CEL (Google's C++, by its own Python package)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from random import Random
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_math, ext_strings
from tests.unit.policies.cel.draw import TEXTS
from tests.unit.policies.cel.terms import LONGEST_LIST
from tests.unit.policies.room import NUMBER, TEXT, TIME, WHOLE, env, fields, tool

from lockkeep.policy.conditions.check import Checker
from lockkeep.policy.conditions.parser import parse
from lockkeep.policy.conditions.runtime import EvalError, is_array, is_object
from lockkeep.policy.rules.scope import scope_of

BOOL = {"type": "boolean"}
TOOL = tool(
    "lab.cel", "note",
    fields(
        {
            "k": WHOLE, "l": WHOLE, "n": NUMBER, "m": NUMBER, "p": NUMBER, "t": TEXT, "u": TEXT, "b": BOOL, "c": BOOL, "at": TIME,
            "due": TIME, "names": {"type": "array", "items": TEXT}, "numbers": {"type": "array", "items": NUMBER},
            "lines": {"type": "array", "items": fields({"sku": TEXT, "price": NUMBER, "note": TEXT}, "sku", "price")},
            "x": {}, "y": {}, "z": {}, "thing": fields({"a": NUMBER, "b": TEXT}), "other": fields({"a": NUMBER, "b": TEXT}),
            "perhaps": NUMBER, "word": TEXT, "nul": {"type": ["string", "null"]}, "both": {"type": ["number", "null"]},
            "deep": fields({"a": {**fields({"c": {"type": ["number", "null"]}}), "type": ["object", "null"]}}),
        },
        "k", "l", "n", "m", "p", "t", "u", "b", "c", "at", "due", "names", "numbers", "lines", "x", "y", "z", "thing", "other", "nul",
    ),
)  # fmt: skip

NEAR = (
    "2026-11-19T09:00:00Z", "2026-11-19T10:00:00+01:00", "2026-11-19T09:30:00+01:00", "2026-11-20T09:00:00.25Z", "2026-11-19T08:59:00-00:01",
    "2024-02-29T23:59:59-11:30", "1969-12-31T23:00:00Z", "yesterday", "2026-11-19T09:00:00", "2026-02-30T09:00:00Z",
)  # fmt: skip
# Where time ends. CEL's durations end after 292 years, so the moments of one row are never further apart.
FAR = (("9999-12-30T00:00:00Z", "9999-01-01T12:00:00Z"), ("0001-01-02T00:00:00Z", "0001-11-30T00:00:00Z"))


@dataclass(frozen=True, slots=True)
class Facts:
    """The same values, as arguments of a call and as variables of CEL."""

    arguments: Mapping[str, Any]
    variables: Mapping[str, Any]
    held: list[Any] = field(default_factory=list[Any])

    def activation(self) -> Any:
        if not self.held:
            self.held.append(environment().Activation(self.variables))
        return self.held[0]


def facts(chance: Random) -> Facts:
    def number() -> float:
        return chance.choice((0.0, 1.0, 2.0, 2.5, -3.0, 0.125, 64.0, chance.randrange(-512, 512) / 8))

    def some(of: Sequence[Any]) -> list[Any]:
        return [chance.choice(of) for _ in range(chance.randrange(LONGEST_LIST + 1))]

    def line() -> dict[str, Any]:
        note = {"note": chance.choice(TEXTS)} if chance.random() < 0.5 else {}
        return {"sku": chance.choice(TEXTS[:6]), "price": number(), **note}

    def thing() -> dict[str, Any]:
        return chance.choice(({}, {"a": 1.0}, {"a": 1.0, "b": "x"}, {"b": "x", "a": 1.0}, {"b": "y"}))

    moments = chance.choice((NEAR, NEAR, NEAR, NEAR, *FAR))
    anything: list[Any] = [
        True, False, 0.0, 2.5, "a", "abc", "", None, [], [1.0, 2.0], [1.0, "a"], [True, "a"], [None], ["a", 2.5],
    ]  # fmt: skip
    any_two = (chance.choice(anything), chance.choice(anything))
    x, y = chance.choice((any_two, any_two, ([True, "a"], [1.0, "a"]), ([1.0, 2.0], [1.0, 2.0])))
    given: dict[str, Any] = {
        "k": chance.choice((-7, -5, -2, -1, 0, 1, 3, 4)), "l": chance.choice((0, 1, 2, 3, -3, 20)), "n": number(), "m": number(),
        "p": chance.choice((0.0, 1.0, 2.0, -4.0, 8.0, 0.5, 0.25, 0.0)), "t": chance.choice(TEXTS), "u": chance.choice(TEXTS),
        "b": chance.random() < 0.5, "c": chance.random() < 0.5, "at": chance.choice(moments), "due": chance.choice(moments),
        "names": some(TEXTS[:6]), "numbers": [number() for _ in range(chance.randrange(LONGEST_LIST + 1))],
        "lines": [line() for _ in range(chance.randrange(LONGEST_LIST + 1))], "x": x, "y": y,
        "z": chance.choice((None, {}, {"a": None}, {"a": 3.0}, {"a": "x"}, {"a": 1.0}, 5.0, "a", [1.0])), "thing": thing(),
        "other": thing(), "nul": chance.choice((None, "a", "abc")),
    }  # fmt: skip
    perhaps: dict[str, Any] = {
        "perhaps": number(), "word": chance.choice(TEXTS), "both": chance.choice((None, number())),
        "deep": chance.choice(({}, {"a": None}, {"a": {}}, {"a": {"c": None}}, {"a": {"c": number()}})),
    }  # fmt: skip
    given |= {name: value for name, value in perhaps.items() if chance.random() < 0.6}
    ours = {name: _as_sent(value, chance) for name, value in given.items()}
    return Facts(ours, {**{name: given[name] for name in VARIABLES}, "args": given})


def _as_sent(value: Any, chance: Random) -> Any:
    """One number type: agents send 2 or 2.0, as they like."""
    if is_array(value):
        return [_as_sent(each, chance) for each in value]
    if is_object(value):
        return {name: _as_sent(each, chance) for name, each in value.items()}
    if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
        return chance.choice((int(value), float(value)))
    return value


T: Any = cel.Type
VARIABLES: Mapping[str, Any] = {
    "k": T.INT, "l": T.INT, "n": T.DOUBLE, "m": T.DOUBLE, "p": T.DOUBLE, "t": T.STRING, "u": T.STRING, "b": T.BOOL, "c": T.BOOL,
    "at": T.STRING, "due": T.STRING, "names": T.List(T.STRING), "numbers": T.List(T.DOUBLE), "x": T.DYN, "y": T.DYN, "z": T.DYN,
    "lines": T.List(T.Map(T.STRING, T.DYN)), "thing": T.Map(T.STRING, T.DYN), "other": T.Map(T.STRING, T.DYN), "nul": T.DYN,
}  # fmt: skip
FAILED = "an error"


@cache
def environment() -> Any:
    made: Any = cel.NewEnv(
        variables={**VARIABLES, "args": T.Map(T.STRING, T.DYN)},
        extensions=[ext_math.ExtMath(), ext_strings.ExtStrings()],
    )
    return made


def by_cel(text: str, rows: Sequence[Facts]) -> list[Any]:
    """What official CEL says of each row. What it cannot compile is the oracle's own mistake, and raises."""
    compiled: Any = environment().compile(text)
    return [_told(compiled.eval(row.activation())) for row in rows]


def _told(answer: Any) -> Any:
    return FAILED if answer.type().name() == "ERROR" else alike(answer.plain_value())


def by_us(text: str, kind: str, rows: Sequence[Facts]) -> list[Any]:
    """What we say of each row. Nothing but an EvalError may come out, and nothing drawn here is refused."""
    checker, tree = Checker(), parse(text)
    code = (checker.condition if kind == "bool" else checker.value)(tree, scope_of(TOOL, {}))
    found: list[Any] = []
    for row in rows:
        about = env()
        about["args"] = row.arguments
        try:
            found.append(alike(code.run(about)))
        except EvalError:
            found.append(FAILED)
    return found


def alike(value: Any) -> Any:
    """Exact, and with its kind: true is never 1."""
    if isinstance(value, datetime):
        return "time", (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    if isinstance(value, int | float | Fraction) and not isinstance(value, bool):
        return "number", Fraction(value) if math.isfinite(value) else str(value)
    return type(value).__name__, value
