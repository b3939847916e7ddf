"""YAML as nodes that know where they stand. YAML 1.2 core: `on`, `no`, `12:30`, `010` and dates stay text."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

MOST_BYTES = 1_000_000
DEEPEST = 40
LONGEST_NUMBER = 300  # digits; a longer one stays text
Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A spot in a file, counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong, where it is, and what to do about it."""

    place: Place
    message: str
    hint: str = ""
    level: str = "error"
    code: str = "form"
    rule: str | None = None

    def __str__(self) -> str:
        text = f"{self.place}: {self.level}: {self.message}"
        return f"{text}\n    hint: {self.hint}" if self.hint else text


@dataclass(slots=True)
class Problems:
    """Everything found wrong so far; reading goes on, so that one run names all of it."""

    found: list[Problem] = field(default_factory=list[Problem])

    def add(
        self, place: Place, message: str, hint: str = "", *, code: str = "form", rule: str | None = None
    ) -> None:
        self.found.append(Problem(place, message, hint, code=code, rule=rule))

    def __bool__(self) -> bool:
        return bool(self.found)


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar: its value under YAML 1.2 core, its text, and how it was quoted."""

    place: Place
    value: Scalar
    text: str
    style: str | None = None

    @property
    def kind(self) -> str:
        names = {
            bool: "true or false",
            int: "a number",
            float: "a number",
            str: "text",
            type(None): "nothing",
        }
        return names[type(self.value)]


@dataclass(frozen=True, slots=True)
class Listing:
    place: Place
    items: tuple["Node", ...]
    kind: str = "a list"


@dataclass(frozen=True, slots=True)
class Mapping:
    place: Place
    entries: tuple[tuple[Text, "Node"], ...]
    kind: str = "a mapping"

    def get(self, key: str) -> "Node | None":
        return next((node for name, node in self.entries if name.text == key), None)

    def key(self, name: str) -> Text | None:
        return next((key for key, _ in self.entries if key.text == name), None)


Node = Text | Listing | Mapping

CORE = (
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), "-+0123456789"),
    ("float", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"), "-+0123456789"),
)


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    found: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for name, pattern, first in CORE:
        for char in first:
            found.setdefault(char, []).append((f"tag:yaml.org,2002:{name}", pattern))
    return found


class _Careful(yaml.SafeLoader):
    """PyYAML in Python: slow, and the one whose messages `_said` knows."""

    yaml_implicit_resolvers: Any = _resolvers()


_FAST: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml: twelve times as fast


class _Quick(_FAST):
    yaml_implicit_resolvers: Any = _resolvers()


class _NotUsed(Exception):
    """YAML that policy files do without."""

    def __init__(self, place: Place, message: str, hint: str) -> None:
        super().__init__(message)
        self.said = (place, message, hint)


def parse(file: str, text: str, problems: Problems) -> Node | None:
    """The file's one document; everything that is not plain YAML is said with its place."""
    before = len(problems.found)
    if len(text.encode(errors="replace")) > MOST_BYTES:
        problems.add(Place(file, 1, 1), "the file is larger than 1 MB", "split it by business area")
        return None
    try:
        root = _composed(file, text)
    except _NotUsed as error:
        problems.add(*error.said, code="yaml")
        return None
    except yaml.MarkedYAMLError as error:
        problems.add(*_said(file, text, error), code="yaml")
        return None
    except yaml.reader.ReaderError as error:
        place = _place_of(file, text, error.position)
        message = f"the character U+{ord(text[error.position]):04X} cannot stand here"
        problems.add(place, message, "take it out; save the file as UTF-8 text", code="yaml")
        return None
    if root is None:
        problems.add(Place(file, 1, 1), "the file is empty", "begin with: api: lockkeep/v1")
        return None
    node = _node(file, root, problems)
    return None if len(problems.found) > before else node


def _composed(file: str, text: str) -> yaml.Node | None:
    try:
        return _composed_by(_Quick, file, text)
    except (yaml.YAMLError, UnicodeEncodeError):
        return _composed_by(_Careful, file, text)


def _composed_by(kind: type[yaml.SafeLoader], file: str, text: str) -> yaml.Node | None:
    _nothing_special(kind, file, text)
    loader = kind(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _place_of(file: str, text: str, at: int) -> Place:
    lines = text[:at].splitlines() or [""]
    if text[:at].endswith("\n"):
        lines.append("")
    return Place(file, len(lines), len(lines[-1]) + 1)


def nearest(word: str, known: Iterable[str]) -> str:
    """A `did you mean`, or the list of what there is."""
    names = sorted(set(known))
    close = difflib.get_close_matches(word, names, 1, 0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"known: {', '.join(names[:12])}{' …' if len(names) > 12 else ''}" if names else ""


def _nothing_special(kind: type[yaml.SafeLoader], file: str, text: str) -> None:
    """Raises at the first anchor, alias or tag, and before nesting gets so deep that reading it would not end well."""
    depth = 0
    for event in yaml.parse(text, kind):
        mark = event.start_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            hint = "write it out; a text that begins with & or * needs quotes"
            raise _NotUsed(place, "anchors and aliases are not used here", hint)
        if tag := getattr(event, "tag", None):
            raise _NotUsed(place, f"tags are not used here: {tag}", "a text that begins with ! needs quotes")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise _NotUsed(place, f"this is nested deeper than {DEEPEST} levels", "make it flatter")


def _node(file: str, node: yaml.Node, problems: Problems) -> Node:
    place = Place(file, node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, yaml.MappingNode):
        entries: list[tuple[Text, Node]] = []
        first: dict[str, Place] = {}
        for key_node, value_node in node.value:
            key = _node(file, key_node, problems)
            if not isinstance(key, Text):
                problems.add(key.place, "a key must be text", "put it into quotes")
                continue
            if key.text in first:
                problems.add(
                    key.place,
                    f"the key '{key.text}' stands twice here",
                    f"the first one: {first[key.text]}",
                    code="duplicate",
                )
                continue
            first[key.text] = key.place
            entries.append((key, _node(file, value_node, problems)))
        return Mapping(place, tuple(entries))
    if isinstance(node, yaml.SequenceNode):
        return Listing(place, tuple(_node(file, item, problems) for item in node.value))
    assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - YAML has no fourth kind
    return Text(place, _value(node), node.value, node.style or None)


def _value(node: yaml.ScalarNode) -> Scalar:
    if node.style or len(node.value) > LONGEST_NUMBER:  # libyaml says '' where PyYAML says None
        return node.value
    if node.tag.endswith(":bool"):
        return node.value.lower() == "true"
    if node.tag.endswith(":null"):
        return None
    if node.tag.endswith(":int"):
        return int(node.value)
    return float(node.value) if node.tag.endswith(":float") else node.value


def _said(file: str, text: str, error: yaml.MarkedYAMLError) -> tuple[Place, str, str]:
    mark = error.problem_mark or error.context_mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
    line = text.splitlines()[place.line - 1] if mark and place.line <= len(text.splitlines()) else ""
    said = error.problem or "this is not YAML"
    if "\t" in line[: line.find(line.strip())] or "'\\t'" in said:
        column = line.find("\t") + 1 or place.column
        return Place(file, place.line, column), "a tab cannot be used to indent", "use spaces"
    if "mapping values are not allowed" in said:
        return place, "a text that holds ': ' needs quotes", 'write it as "…"'
    if "expected a single document" in (error.context or "") or "expected a single document" in said:
        return place, "a file holds one document", "take the --- out and make two files"
    return (
        place,
        f"this is not YAML: {said}",
        "texts that begin with { [ @ * or hold ': ' or ' #' need quotes",
    )
