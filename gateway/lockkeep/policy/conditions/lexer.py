"""The text of a condition becomes tokens that know their offset."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from lockkeep.policy.conditions.currencies import CODES, decimals
from lockkeep.policy.positions import nearest

MOST = 2_000
BIGGEST = 2**53
LONGEST = 100 * 366 * 86400  # seconds; times stay in range whatever is added to them
UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
Kind = Literal["number", "money", "duration", "text", "name", "op", "end"]

TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>[0-9]+(?:\.[0-9]+)?)(?:[ ]*(?!(?:and|or|in|not)\b)(?P<word>[A-Za-z]+)\b)?
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<op>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]=])""",
    re.VERBOSE,
)
ESCAPE = re.compile(r"\\(.)")
ESCAPES = {"n": "\n", "t": "\t", '"': '"', "'": "'", "\\": "\\"}


class Unreadable(Exception):
    """The condition cannot be read at this offset."""

    def __init__(self, at: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.at, self.message, self.hint = at, message, hint


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    value: object  # number: int|Fraction; money: (minor, currency); duration: seconds; text, name, op: str
    at: int


def lex(text: str) -> list[Token]:
    """All tokens, with an end token; raises Unreadable at the first thing that is none."""
    if len(text) > MOST:
        raise Unreadable(
            MOST, f"a condition has at most {MOST} characters", "split it into a list under when:"
        )
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise Unreadable(at, f"'{text[at]}' is not understood here", _hint(text, at))
        if not match["space"]:
            tokens.append(_token(match, at))
        at = match.end()
    return [*tokens, Token("end", "", len(text))]


def _token(match: re.Match[str], at: int) -> Token:
    if match["number"]:
        return _number(match["number"], match["word"], at)
    if match["text"]:
        return Token("text", _text(match["text"][1:-1], at + 1), at)
    return Token("name", match["name"], at) if match["name"] else Token("op", match["op"], at)


def _text(written: str, at: int) -> str:
    """Elsewhere \\u00e9 is a letter: left as six characters, it would make a rule that never fires."""
    for escape in ESCAPE.finditer(written):
        if escape[1] not in ESCAPES:
            hint = "write the character itself; a backslash is \\\\"
            raise Unreadable(at + escape.start(), f"'{escape[0]}' is no escape", hint)
    return ESCAPE.sub(lambda escape: ESCAPES[escape[1]], written)


def _number(number: str, word: str | None, at: int) -> Token:
    value = Fraction(number)
    if value > BIGGEST:
        raise Unreadable(at, "a number is at most 2^53")
    if word is None:
        return Token("number", int(value) if value.denominator == 1 else value, at)
    unit = UNITS.get(word.removesuffix("s"))
    if unit is not None and word.islower():
        return Token("duration", _seconds(number, unit, at), at)
    if word in CODES:
        return Token("money", (_minor(number, word, at), word), at)
    raise Unreadable(at, f"'{word}' is no currency and no unit of time", _unit_hint(number, word))


def _seconds(number: str, unit: int, at: int) -> int:
    if "." in number:
        raise Unreadable(at, "a duration is a whole number", "write 90 minutes instead of 1.5 hours")
    seconds = int(number) * unit
    if seconds > LONGEST:
        raise Unreadable(at, "a duration is at most 100 years")
    return seconds


def _minor(number: str, currency: str, at: int) -> int:
    minor = Fraction(number) * 10 ** decimals(currency)
    if minor.denominator != 1:
        message = f"{number} {currency} has more decimals than the currency"
        raise Unreadable(at, message, f"{currency} has {decimals(currency)}")
    if minor > BIGGEST:
        raise Unreadable(at, "an amount of money is at most 2^53 minor units")
    return int(minor)


def _unit_hint(number: str, word: str) -> str:
    if word.upper() in CODES:
        return f"write {number} {word.upper()}"
    swapped = [code for code in sorted(CODES) if sorted(code) == sorted(word)]
    close = nearest(word, CODES) if word.isupper() else nearest(word.lower(), [f"{unit}s" for unit in UNITS])
    if swapped or close.startswith("did you mean"):
        return f"did you mean {swapped[0]}?" if swapped else close
    return "write 100 EUR, 30 days, 90 minutes, 2 hours or 1 week"


def _hint(text: str, at: int) -> str:
    if text[at] in "\"'":
        return "the text is not closed"
    return {"&": "write && or and", "|": "write || or or"}.get(text[at], "")
