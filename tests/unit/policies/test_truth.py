"""Lint never says of a condition that can hold that it cannot: checked against every value of a small grid."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from tests.unit.policies.room import checked, env

from lockkeep.policy.conditions.runtime import EvalError
from lockkeep.policy.positions import Place
from lockkeep.policy.rules.rule import Condition
from lockkeep.policy.show.truth import holds, parts

ATOMS = (
    "n > 2", "n >= 2", "n < 2", "n <= 3", "n == 2", "n != 2", "2 < n", "m < n", "n >= m", "n == m", "b", "b == false",
    "kind == 'lead'", "kind != 'lead'", "kind in ['lead', 'deal']", "t == 'abc'", "t in ['abc', 'x']", "has(perhaps)",
    "perhaps == null", "amount > 20 EUR", "amount <= 50 EUR", "amount < 0", "size(names) < 1", "size(names) >= 0",
    "t.startsWith('a')", "true", "1 > 2", "(b ? n > 2 : n < 2)",
)  # fmt: skip
SHAPES = ("{0} && {1}", "{0} || {1}", "!({0}) && {1}", "!({0} && {1})", "({0} ? {1} : {0})", "!({0} || {1})")


def condition(text: str) -> Condition:
    return Condition(checked(text), text, Place("f", 1, 1))


def grid() -> Iterator[dict[str, Any]]:
    for n, m, b, kind, t, minor, names, perhaps in product(
        (1, 2, 3),
        (2, 3),
        (True, False),
        ("lead", "deal"),
        ("abc", "y"),
        (-5, 1000, 5000),
        ([], ["a"]),
        (None, 1),
    ):
        yield {
            "n": n,
            "m": m,
            "b": b,
            "kind": kind,
            "t": t,
            "amount_minor": minor,
            "names": names,
            "perhaps": perhaps,
        }


GRID = list(grid())[::7]  # a sample that still has each value beside most others


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_said_never_to_hold_holds_nowhere(shape: str) -> None:
    claimed = 0
    for first, second in product(ATOMS, ATOMS):
        found = condition(shape.format(first, second))
        never, always = holds(found).never, holds(found, yes=False).never
        if never == always:  # nothing is claimed
            assert not never
            continue
        claimed += 1
        for values in GRID[claimed % 9 :: 9]:
            try:
                got = found.code.run(env(**values))
            except EvalError:  # no answer is not the other one
                continue
            assert got is always, f"{found.text} is {got} for {values}"
    assert claimed > 20


@pytest.mark.parametrize(
    "text",
    [
        "n > 5 && n < 3", "n == 2 && n != 2", "kind == 'lead' && kind == 'deal'", "kind != 'lead' && kind != 'deal'",
        "amount > 100 EUR && amount < 50 EUR", "amount < 0 && amount > 5 EUR", "size(names) < 0", "b && !b", "m < n && n <= m",
        "has(perhaps) && perhaps == null", "1 > 2", "!(kind in ['lead', 'deal'])", "t == 'a' && t in ['b', 'c']",
        "now - at > 2 days && now - at < 1 day", "names.exists(i, i == t) && !names.exists(i, i == t)",
    ],
)  # fmt: skip
def test_what_excludes_itself_is_seen(text: str) -> None:
    assert holds(condition(text)).never


@pytest.mark.parametrize(
    "text",
    [
        "n > 3 && n < 5", "amount > 100 EUR && amount < 50 USD", "kind == 'lead' || kind == 'deal'", "t == 'a' && u == 'b'",
        "n > m && m > 2", "t == 'a' || t == 'b'", "size(names) <= 0",
    ],
)  # fmt: skip
def test_what_may_hold_is_left_alone(text: str) -> None:
    assert not holds(condition(text)).never


def test_too_many_alternatives_claim_nothing() -> None:
    text = " && ".join(f"(n > {number} || m < {number})" for number in range(12))
    assert not holds(condition(text)).known
    assert len(parts([condition("n > 1 && m > 2"), condition("b")])) == 3
