"""`values`: numbers, texts, lists, money, durations and tables of money that a policy file gives a name."""

import re
from datetime import timedelta
from fractions import Fraction
from typing import cast

from lockkeep.policy.conditions.currencies import CODES
from lockkeep.policy.conditions.lexer import Unreadable, lex
from lockkeep.policy.conditions.runtime import Money, Table, Value
from lockkeep.policy.conditions.types import BOOL, DURATION, MONEY, NUMBER, TABLE, TEXT, Type
from lockkeep.policy.positions import Listing, Mapping, Node, Problems, Text, nearest

NAME = re.compile(r"[a-z][a-z0-9_]*")
AMOUNT = re.compile(r"-?[0-9]+(?:\.[0-9]+)? *[A-Za-z]+")
HINT = "a number, a text, a list, 100 EUR, 30 days, or a table {EUR: 100, USD: 110}"
LONG = ("args", "call", "read", "values")  # the first words of long names: never anything else


def read(node: Node | None, problems: Problems) -> dict[str, Value]:
    """Name to value; what is wrong is said and left out."""
    if node is None:
        return {}
    if not isinstance(node, Mapping):
        problems.add(node.place, f"'values' is {node.kind}; name: value is expected", HINT)
        return {}
    found: dict[str, Value] = {}
    for key, value in node.entries:
        if not NAME.fullmatch(key.text):
            hint = "a-z, 0-9 and _, beginning with a letter"
            problems.add(key.place, f"'{key.text}' is no name for a value", hint)
        elif key.text in LONG:
            hint = f"{', '.join(LONG)} begin the long names; take another name"
            problems.add(key.place, f"a value cannot be called '{key.text}'", hint)
        elif (one := _value(key.text, value, problems)) is not None:
            found[key.text] = one
    return found


def type_of(value: Value) -> Type:
    if isinstance(value, list):
        return Type("list", item=type_of(value[0]))
    kinds: tuple[tuple[type | tuple[type, ...], Type], ...] = (
        (bool, BOOL), ((int, Fraction), NUMBER), (Money, MONEY), (timedelta, DURATION), (Table, TABLE),
    )  # fmt: skip
    return next((kind for python, kind in kinds if isinstance(value, python)), TEXT)


def amount(text: Text, problems: Problems) -> Money | timedelta | None:
    """`100 EUR` or `30 days`; None, and nothing said, if it is written as neither."""
    if not AMOUNT.fullmatch(text.text.strip()):
        return None
    try:
        *sign, token, _ = lex(text.text.strip())
    except Unreadable as error:
        problems.add(text.place, error.message, error.hint)
        return None
    if token.kind == "duration" and isinstance(token.value, int) and not sign:
        return timedelta(seconds=token.value)
    if token.kind == "money":
        minor, currency = cast("tuple[int, str]", token.value)
        return Money(-minor if sign else minor, currency)
    return None


def _value(name: str, node: Node, problems: Problems) -> Value | None:
    if isinstance(node, Mapping):
        return _table(name, node, problems)
    if isinstance(node, Listing):
        return _list(name, node, problems)
    return _plain(name, node, problems)


def _plain(name: str, node: Text, problems: Problems) -> Value | None:
    value = node.value
    if value is None:
        problems.add(node.place, f"the value '{name}' is nothing", HINT)
        return None
    if isinstance(value, float):
        return Fraction(node.text)
    if not isinstance(value, str) or node.style:
        return value
    before = len(problems.found)
    found = amount(node, problems)
    return None if len(problems.found) > before else found or value


def _list(name: str, node: Listing, problems: Problems) -> list[Value] | None:
    if not node.items:
        problems.add(node.place, f"the value '{name}' is an empty list", "name something, or leave it out")
        return None
    found: list[Value] = []
    for item in node.items:
        if not isinstance(item, Text):
            problems.add(
                item.place, f"an item of '{name}' is {item.kind}", "a list holds numbers, texts or amounts"
            )
            return None
        found.append(_plain(name, item, problems))
    if None in found:
        return None
    if len({type_of(item).kind for item in found}) > 1:
        problems.add(node.place, f"the items of '{name}' are not of one type", "write two values")
        return None
    return found


def _table(name: str, node: Mapping, problems: Problems) -> Table | None:
    entries: dict[str, int] = {}
    before = len(problems.found)
    for key, value in node.entries:
        if key.text not in CODES:
            close = _meant(key.text.upper())
            hint = close if close.startswith("did") else "currencies are ISO 4217 codes, as in EUR"
            problems.add(key.place, f"'{key.text}' is no currency", hint)
            continue
        number = value.text if isinstance(value, Text) and isinstance(value.value, int | float) else None
        if number is None or (isinstance(value, Text) and isinstance(value.value, bool)):
            problems.add(value.place, f"'{name}' says a number for each currency", "{EUR: 100, USD: 110.50}")
            continue
        try:
            token = lex(f"{number.lstrip('-+')} {key.text}")[0]
        except Unreadable as error:
            problems.add(value.place, error.message, error.hint)
            continue
        minor, _ = cast("tuple[int, str]", token.value)
        entries[key.text] = -minor if number.startswith("-") else minor
    if not node.entries:
        problems.add(node.place, f"the table '{name}' is empty", "{EUR: 100, USD: 110.50}")
    return None if len(problems.found) > before else Table(name, entries)


def _meant(code: str) -> str:
    """The currency that was probably meant: with the same letters first, as UDS is USD."""
    turned = [each for each in CODES if sorted(each) == sorted(code)]
    return f"did you mean {turned[0]}?" if len(turned) == 1 else nearest(code, CODES)
