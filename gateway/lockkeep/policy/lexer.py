"""The text of a condition becomes tokens that know their offset."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

MOST = 2_000
UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
Kind = Literal["number", "money", "duration", "text", "name", "op", "end"]

# ISO 4217 minor digits that are not 2
EXPONENTS = {
    "BHD": 3, "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "IQD": 3, "ISK": 0, "JOD": 3, "JPY": 0, "KMF": 0, "KRW": 0, "KWD": 3,
    "LYD": 3, "OMR": 3, "PYG": 0, "RWF": 0, "TND": 3, "UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
}  # fmt: skip

TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>\d+(?:\.\d+)?)(?:[ ]*(?!(?:and|or|in|not)\b)(?P<word>[A-Za-z]+)\b)?
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<op>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]=])""",
    re.VERBOSE,
)
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
        return Token("text", re.sub(r"\\(.)", lambda m: ESCAPES.get(m[1], m[0]), match["text"][1:-1]), at)
    return Token("name", match["name"], at) if match["name"] else Token("op", match["op"], at)


def _number(number: str, word: str | None, at: int) -> Token:
    value = Fraction(number)
    plain = int(value) if value.denominator == 1 else value
    if word is None:
        return Token("number", plain, at)
    unit = UNITS.get(word.removesuffix("s"))
    if unit is not None and word.islower():
        if "." in number:
            raise Unreadable(at, "a duration is a whole number", "write 90 minutes instead of 1.5 hours")
        return Token("duration", int(value) * unit, at)
    if re.fullmatch(r"[A-Z]{3}", word):
        minor = value * 10 ** EXPONENTS.get(word, 2)
        if minor.denominator != 1:
            raise Unreadable(
                at,
                f"{number} {word} has more decimals than the currency",
                f"{word} has {EXPONENTS.get(word, 2)}",
            )
        return Token("money", (int(minor), word), at)
    raise Unreadable(
        at,
        f"'{word}' is no currency and no unit of time",
        "write 100 EUR, 30 days, 90 minutes, 2 hours or 1 week",
    )


def _hint(text: str, at: int) -> str:
    if text[at] in "\"'":
        return "the text is not closed"
    return {"&": "write && or and", "|": "write || or or"}.get(text[at], "")
