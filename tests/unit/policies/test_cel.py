"""The conditions against official CEL (Google's C++, by its own Python package): what reads like CEL means what CEL says.

Where the two differ on purpose, the difference is shown below, and the oracle translates it or does without. To try other
conditions: `PROOF_SEED=2`. A mismatch names its seed and its number; the two of them make the same condition again.
"""

import os
import re
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from tests.unit.policies.cel.draw import START, Draw
from tests.unit.policies.cel.oracle import FAILED, Facts, by_cel, by_us, facts

from lockkeep.policy.conditions.lexer import MOST, Unreadable

SEED = os.environ.get("PROOF_SEED", "1")
ROWS = 60
REFUSED = "refused"
LONG = ' + duration("3162240000s")'


def rows_of(seed: str) -> list[Facts]:
    chance = Random(seed)
    return [facts(chance) for _ in range(ROWS)]


@pytest.mark.promise("P6")
@pytest.mark.parametrize("count", [500, pytest.param(20_000, marks=pytest.mark.full)])
def test_a_random_condition_means_what_official_cel_says(count: int) -> None:
    """In value, and in what is an error."""
    rows, heard, number = rows_of(SEED), Counter[str](), 0
    while heard["conditions"] < count:
        number += 1
        draw = Draw(Random(f"{SEED}/{number}"))
        kind, term = draw.root()
        some = draw.chance.sample(rows, 3)
        ours = _ours(term.ours, kind, some)
        if ours is None:
            continue
        heard["conditions"] += 1
        answers = zip(ours, by_cel(term.strict, some), by_cel(term.cel, some), strict=True)
        for row, (us, strict, plain) in zip(some, answers, strict=True):
            said = f"seed {SEED}, number {number}: {term.ours}\nCEL: {term.cel}\nexactly: {term.strict}\n{row.arguments}"
            assert us == strict, said
            assert plain == us or us == FAILED, said
            heard["error" if us == FAILED else str(us)] += 1

    answers_ = sum(heard.values()) - heard["conditions"]
    assert heard["error"] > 0.1 * answers_  # the sample says something about each of them
    assert min(heard["('bool', True)"], heard["('bool', False)"]) > 0.15 * answers_


def _ours(text: str, kind: str, rows: list[Facts]) -> list[Any] | None:
    """Our answers; None if a budget of ours refuses the condition, and nothing else may."""
    try:
        return by_us(text, kind, rows)
    except Unreadable as error:
        if len(text) <= MOST and "nested deeper" not in error.message:
            raise
        return None


# What is different on purpose: the condition, our answer, the same in CEL, and CEL's answer.
DIFFERENT: dict[str, tuple[str, Any, str, Any]] = {
    "one number type": ("1.5 > 1", True, "1.5 > 1", REFUSED),
    "a whole number is a number": ("k == 3.0", True, "k == 3.0", REFUSED),
    "decimals are exact": ("0.1 + 0.2 == 0.3", True, "0.1 + 0.2 == 0.3", False),
    "division is exact": ("7 / 2 == 3", False, "7 / 2 == 3", True),
    "a third is a third": ("1 / 49 * 49 == 1", True, "1.0 / 49.0 * 49.0 == 1.0", False),
    "a remainder of decimals": ("5.5 % 2 == 1.5", True, "5.5 % 2.0 == 1.5", REFUSED),
    "division by zero": ("n / 0 > 1", FAILED, "n / 0.0 > 1.0", True),
    "over 2^53": ("k * 9007199254740992 > 0", FAILED, "k * 9007199254740992 > 0", True),
    "over 2^53, written out": ("k < 9007199254740993", REFUSED, "k < 9007199254740993", True),
    "the left error stays, or": ("1 % l == 1 || true", FAILED, "1 % l == 1 || true", True),
    "the left error stays, and": ("1 % l == 1 && false", FAILED, "1 % l == 1 && false", False),
    "the left error stays, exists": ("[0, 1].exists(i, 1 % i == 0)", FAILED, "[0, 1].exists(i, 1 % i == 0)", True),
    "the left error stays, all": ("[0, 1].all(i, 1 % i == 1)", FAILED, "[0, 1].all(i, 1 % i == 1)", False),
    "null is not there": ("has(args.nul)", False, "has(args.nul)", True),
    "nothing is in what is not there": ("has(args.deep.a)", False, "has(args.deep.a)", FAILED),
    "a bare name": ("has(perhaps)", False, "has(perhaps)", REFUSED),
    "missing is null": ("args.perhaps == null", True, "args.perhaps == null", FAILED),
    "what can be missing is guarded": ("args.perhaps == 1.0", REFUSED, "args.perhaps == 1.0", FAILED),
    "an item can be missing": ('names[7] == "a"', REFUSED, 'names[7] == "a"', FAILED),
    "an item that is missing": ("has(names[7])", False, "has(names[7])", REFUSED),
    "unlike kinds": ('x == "a"', FAILED, 'x == "a"', False),
    "unlike kinds in a list": ('x in ["a"]', FAILED, 'x in ["a"]', False),
    "null is equal to nothing": ("y == y", FAILED, "y == y", True),
    "chained": ("1 < 2 == true", REFUSED, "1 < 2 == true", True),
    "words": ("not b and true or false", False, "not b and true or false", REFUSED),
    "lengths of time": ("90 minutes == 1 hour + 30 minutes", True, '90 minutes == duration("90m")', REFUSED),
    "long lengths of time": (
        "at + 36600 days + 36600 days + 36600 days - at > 1 day", True,
        f"timestamp(at) {LONG * 3} - timestamp(at) > duration('1s')", FAILED,
    ),
    "money": ("1 EUR < 2 EUR", True, "1 EUR < 2 EUR", REFUSED),
    "times are known by their schema": ('at == "2026-11-19T09:00:00Z"', REFUSED, 'at == "2026-11-19T09:00:00Z"', True),
    "a microsecond is the least": ("at == due", True, 'timestamp("2026-11-19T09:00:00.0000001Z") == timestamp(at)', False),
    "no order of true and false": ("false < true", REFUSED, "false < true", True),
    "lists of one type": ('size([1, "a"]) == 2', REFUSED, 'size([1, "a"]) == 2', True),
    "objects are no lists": ('"a" in thing', REFUSED, '"a" in thing', True),
    "fields are named": ('thing["a"] == 1.0', REFUSED, 'thing["a"] == 1.0', True),
    "null is no value": ("null == null", REFUSED, "null == null", True),
    "letters by number": ('"\\u00e9" == "é"', REFUSED, '"\\u00e9" == "é"', True),
    "letters by shorter numbers": ('"\\x41" == "A"', REFUSED, '"\\x41" == "A"', True),
    "rare escapes": ("'\\101\\?' == 'A?'", REFUSED, "'\\101\\?' == 'A?'", True),
    "texts over two lines": ('"a\nb" == "a\\nb"', True, '"a\nb" == "a\\nb"', REFUSED),
    "raw texts": ('r"a" == "a"', REFUSED, 'r"a" == "a"', True),
    "texts in three quotes": ('"""a""" == "a"', REFUSED, '"""a""" == "a"', True),
    "exponents": ("1e3 == 1000.0", REFUSED, "1e3 == 1000.0", True),
    "numbers without a zero": (".5 == 0.5", REFUSED, ".5 == 0.5", True),
    "sixteens": ("0x1F == 31", REFUSED, "0x1F == 31", True),
    "unsigned": ("1u == 1u", REFUSED, "1u == 1u", True),
    "size is a function": ("names.size() == 2", REFUSED, "names.size() == 2", True),
    "no regular expressions": ('t.matches("a.*")', REFUSED, 't.matches("a.*")', True),
    "no other loops": ('names.exists_one(i, i == "a")', REFUSED, 'names.exists_one(i, i == "a")', True),
    "no new lists": ("numbers.map(i, i) == numbers", REFUSED, "numbers.map(i, i) == numbers", True),
    "no objects of one's own": ('{"a": 1} == {"a": 1}', REFUSED, '{"a": 1} == {"a": 1}', True),
    "no types as values": ("type(b) == bool", REFUSED, "type(b) == bool", True),
    "no conversions": ('int("1") == 1', REFUSED, 'int("1") == 1', True),
    "a comma too many": ("k in [3,]", REFUSED, "k in [3,]", True),
    "a choice in a choice": ("b ? c ? true : false : true", True, "b ? c ? true : false : true", REFUSED),
    "lower knows every letter": ('lower("É") == "é"', True, '"É".lowerAscii() == "é"', False),
}  # fmt: skip
ONE_ROW = {
    "k": 3, "l": 0, "n": 2.0, "m": 2.5, "p": 1.0, "t": "abc", "u": "b", "b": True, "c": True, "at": "2026-11-19T09:00:00Z",
    "due": "2026-11-19T09:00:00.0000001Z", "names": ["a", "b"], "numbers": [1.0, 2.5], "lines": [], "x": 1.0, "y": None, "z": {},
    "thing": {"a": 1.0}, "other": {}, "nul": None,
}  # fmt: skip


@pytest.mark.parametrize(("ours", "us", "in_cel", "them"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_differs_from_cel_on_purpose_differs_as_said(ours: str, us: Any, in_cel: str, them: Any) -> None:
    row = Facts(ONE_ROW, {**ONE_ROW, "args": ONE_ROW})

    def answer(by: Callable[[], list[Any]], refused: type[Exception]) -> Any:
        try:
            (said,) = by()
        except refused:
            return REFUSED
        return said if said == FAILED else said[1]

    assert answer(lambda: by_us(ours, "bool", [row]), Unreadable) == us
    assert answer(lambda: by_cel(in_cel, [row]), RuntimeError) == them


PIECE = re.compile(r"""[A-Za-z_][\w.]*\(|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[\w.]+|&&|\|\||[=!<>]=|\S""")
ALIKE = (("&&", "||", "==", "!="), ("==", "!=", "<", "<=", ">", ">=", "in", "&&", "||"), ("+", "-", "*"))


@pytest.mark.promise("P6")
@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.full)])
def test_a_torn_condition_that_both_can_read_means_the_same_to_both(count: int) -> None:
    """The same characters to both; what CEL reads otherwise must be refused."""
    rows, shared = rows_of(SEED), 0
    for number in range(count):
        text = _torn(Random(f"{SEED}/torn/{number}"))
        some = Random(number).sample(rows, 3)
        try:
            ours = by_us(text, "bool", some)
            theirs = by_cel(text, some)
        except (Unreadable, RuntimeError):  # RuntimeError is how CEL refuses
            continue
        shared += 1
        for row, us, them in zip(some, ours, theirs, strict=True):
            assert us in (FAILED, them), f"seed {SEED}, torn {number}: {text}\n{row.arguments}"
    assert shared > 0.1 * count


def _torn(chance: Random) -> str:
    """Two drawn conditions that read alike, joined without brackets; then brackets, signs and operators are changed."""
    draw, found = Draw(chance), list[str]()
    while len(found) < 3:
        term = draw.truth(chance.randrange(3), START)
        found += [term.ours] if term.ours == term.cel else []
    joint = chance.choice(
        ("{} && {}", "{} || {}", "{} == {}", "{} ? {} : {}", "! {} && {}", "{} || ! {}", "{}")
    )
    pieces = PIECE.findall(joint.format(*found))
    for _ in range(chance.randrange(4)):
        _change(pieces, chance)
    return " ".join(pieces)


def _change(pieces: list[str], chance: Random) -> None:
    at = chance.randrange(len(pieces))
    if pieces[at] == "(":
        closed = next((end for end in range(at, len(pieces)) if pieces[at : end + 1].count(")") > 0), at)
        pieces[closed] = pieces[at] = ""
    elif alike := [each for group in ALIKE if pieces[at] in group for each in group]:
        pieces[at] = chance.choice(alike)
    else:
        pieces[at] = chance.choice(("-", "!", "(", "")) + pieces[at] + chance.choice(("", "", ")"))
