"""JSON with comments, edited by text span: comments, order, blanks and unknown keys stay where they are."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_BLANKS = re.compile(r"(?:[ \t\r\n\ufeff]|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_SCALAR = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null')
_REST_OF_LINE = re.compile(r"[ \t]*(?:/\*[^\n]*?\*/[ \t]*)*(?://[^\n]*?)?(?=\r?\n|$)")
_INDENTED = re.compile(r'\n([ \t]+)"')
MOST_NESTED = 200


class NotJson(Exception):
    """The text does not parse. `line` and `column` say where."""

    def __init__(self, text: str, at: int, expected: str) -> None:
        self.line = text.count("\n", 0, at) + 1
        self.column = at - (text.rfind("\n", 0, at) + 1) + 1
        super().__init__(f"line {self.line}, column {self.column}: {expected}")


@dataclass(frozen=True)
class Value:
    """A value and where it stands; `plain` is what it means."""

    start: int
    end: int
    plain: Any
    members: tuple["Member", ...] = ()  # of an object
    items: tuple["Member", ...] = ()  # of an array; their key is empty

    def member(self, key: str) -> "Member | None":
        """The member that counts, which is the last of this name."""
        return next((member for member in reversed(self.members) if member.key == key), None)


@dataclass(frozen=True)
class Member:
    """A member of an object or an item of an array, with the comma after it."""

    key: str
    start: int
    value: Value
    comma: int | None


def parse(text: str) -> Value:
    """The object this text is; a text of blanks and comments is an empty one, standing at its end."""
    at = _skip(text, 0)
    if at == len(text):
        return Value(at, at, {})
    root = _value(text, at, 0)
    if not isinstance(root.plain, dict):
        raise NotJson(text, at, "an object was expected")
    if (end := _skip(text, root.end)) != len(text):
        raise NotJson(text, end, "nothing more was expected")
    return root


def with_member(text: str, path: Sequence[str], value: object) -> str:
    """The text with this value at the path, everything else as it was."""
    node = parse(text)
    if node.start == node.end:  # nothing but blanks
        return text + _dump(_nested(path, value), _Style.of(text), "") + _Style.of(text).newline
    for depth, key in enumerate(path):
        _must_be(text, node, dict)
        member = node.member(key)
        if member is None:
            return _insert(
                text, node, node.members, f"{json.dumps(key)}: ", _nested(path[depth + 1 :], value)
            )
        node = member.value
    fresh = _dump(value, _Style.of(text), _indent_at(text, node.start))
    return text[: node.start] + fresh + text[node.end :]


def with_item(text: str, key: str, value: object) -> str:
    """The text with this value at the end of a top-level array, which is made if need be."""
    member = parse(text).member(key)
    if member is None:
        return with_member(text, (key,), [value])
    _must_be(text, member.value, list)
    return _insert(text, member.value, member.value.items, "", value)


def without(text: str, siblings: Sequence[Member], index: int) -> str:
    """The text without one member or item, its comma, and the blanks before it."""
    gone = siblings[index]
    head = len(text[: gone.start].rstrip())
    if gone.comma is not None:
        return text[:head] + text[gone.comma + 1 :]
    before = siblings[index - 1].comma if index else None
    if before is None:
        return text[:head] + text[gone.value.end :]
    return (text[:before] + text[before + 1 : max(head, before + 1)]) + text[gone.value.end :]


@dataclass(frozen=True)
class _Style:
    newline: str
    unit: str

    @classmethod
    def of(cls, text: str) -> "_Style":
        indented = _INDENTED.search(text)
        return cls("\r\n" if "\r\n" in text else "\n", indented[1] if indented else "  ")


def _insert(text: str, parent: Value, siblings: Sequence[Member], label: str, value: object) -> str:
    style = _Style.of(text)
    outer = _indent_at(text, parent.start)
    inner = _indent_at(text, siblings[-1].start) if siblings else outer
    inner = inner if inner != outer else outer + style.unit
    fresh = f"{style.newline}{inner}{label}{_dump(value, style, inner)}"
    if not siblings:
        kept = text[parent.start + 1 : parent.end - 1].rstrip()
        return f"{text[: parent.start + 1]}{kept}{fresh}{style.newline}{outer}{text[parent.end - 1 :]}"
    last = siblings[-1]
    after = last.value.end if last.comma is None else last.comma + 1
    rest = _REST_OF_LINE.match(text, after)  # a comment behind the last value stays with it
    at = rest.end() if rest else after
    close = "" if "\n" in text[at : parent.end] else style.newline + outer
    if last.comma is None:
        return f"{text[: last.value.end]},{text[last.value.end : at]}{fresh}{close}{text[at:]}"
    return f"{text[:at]}{fresh},{close}{text[at:]}"


def _dump(value: object, style: _Style, indent: str) -> str:
    lines = json.dumps(value, indent=style.unit, ensure_ascii=False).split("\n")
    return f"{style.newline}{indent}".join(lines)


def _nested(path: Sequence[str], value: object) -> object:
    for key in reversed(path):
        value = {key: value}
    return value


def _indent_at(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at].lstrip("\ufeff")
    return line[: len(line) - len(line.lstrip(" \t"))]


def _must_be(text: str, node: Value, kind: type[dict[str, Any]] | type[list[Any]]) -> None:
    if not isinstance(node.plain, kind):
        raise NotJson(text, node.start, "an object was expected" if kind is dict else "an array was expected")


def _skip(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at


def _value(text: str, at: int, depth: int) -> Value:
    if depth > MOST_NESTED:
        raise NotJson(text, at, "nested too deeply")
    if text.startswith("{", at):
        return _children(text, at, "}", depth)
    if text.startswith("[", at):
        return _children(text, at, "]", depth)
    scalar = _SCALAR.match(text, at)
    if scalar is None:
        raise NotJson(text, at, "a value was expected")
    try:
        return Value(at, scalar.end(), json.loads(scalar[0]))
    except ValueError:
        raise NotJson(text, at, "a value was expected") from None


def _children(text: str, start: int, closing: str, depth: int) -> Value:
    children: list[Member] = []
    at = _skip(text, start + 1)
    while not text.startswith(closing, at):
        if children and children[-1].comma is None:
            raise NotJson(text, at, f"a comma or {closing} was expected")
        begin, key = at, ""
        if closing == "}":
            key, at = _member_key(text, at)
        value = _value(text, at, depth + 1)
        end = _skip(text, value.end)
        comma = end if text.startswith(",", end) else None
        children.append(Member(key, begin, value, comma))
        at = end if comma is None else _skip(text, end + 1)
    if closing == "}":
        return Value(
            start, at + 1, {child.key: child.value.plain for child in children}, members=tuple(children)
        )
    return Value(start, at + 1, [child.value.plain for child in children], items=tuple(children))


def _member_key(text: str, at: int) -> tuple[str, int]:
    name = _SCALAR.match(text, at)
    if name is None or not name[0].startswith('"'):
        raise NotJson(text, at, "a name in double quotes was expected")
    colon = _skip(text, name.end())
    if not text.startswith(":", colon):
        raise NotJson(text, colon, "a colon was expected")
    try:
        return json.loads(name[0]), _skip(text, colon + 1)
    except ValueError:
        raise NotJson(text, at, "a name in double quotes was expected") from None
