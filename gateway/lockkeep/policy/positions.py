"""YAML as nodes that know where they stand. YAML 1.2 core: `on`, `no`, `12:30`, `010` and dates stay text."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

MOST_BYTES = 1_000_000
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
    ("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"),
        "-+0123456789",
    ),
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: Any = {}  # noqa: RUF012 - PyYAML's own seam; filled below, never changed after


for _tag, _pattern, _first in CORE:
    _Loader.add_implicit_resolver(_tag, _pattern, _first)


def parse(file: str, text: str, problems: Problems) -> Node | None:
    """The file's one document; everything that is not plain YAML is said with its place."""
    if len(text.encode()) > MOST_BYTES:
        problems.add(Place(file, 1, 1), "the file is larger than 1 MB", "split it by business area")
        return None
    try:
        loader = _Loader(text)
        try:
            _no_anchors(file, text, problems)
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        problems.add(*_said(file, text, error), code="yaml")
        return None
    except (yaml.YAMLError, UnicodeError) as error:
        problems.add(
            Place(file, 1, 1),
            f"this is not YAML: {type(error).__name__}",
            "save it as UTF-8 text",
            code="yaml",
        )
        return None
    if root is None:
        problems.add(Place(file, 1, 1), "the file is empty", "begin with: api: lockkeep/v1")
        return None
    return None if problems else _node(file, root, problems)


def nearest(word: str, known: Iterable[str]) -> str:
    """A `did you mean`, or the list of what there is."""
    names = sorted(set(known))
    close = difflib.get_close_matches(word, names, 1, 0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"known: {', '.join(names[:12])}{' …' if len(names) > 12 else ''}" if names else ""


def _no_anchors(file: str, text: str, problems: Problems) -> None:
    for event in yaml.parse(text, _Loader):
        mark = event.start_mark
        place = Place(file, mark.line + 1, mark.column + 1)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            problems.add(place, "anchors and aliases are not used here", "write it out", code="yaml")
        elif getattr(event, "tag", None):
            problems.add(place, f"tags are not used here: {event.tag}", "leave the tag out", code="yaml")


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
    return Text(place, _value(node), node.value, node.style)


def _value(node: yaml.ScalarNode) -> Scalar:
    if node.style is not None:
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
        return Place(file, place.line, line.find("\t") + 1), "a tab cannot be used to indent", "use spaces"
    if "mapping values are not allowed" in said:
        return place, "a text that holds ': ' needs quotes", 'write it as "…"'
    if "expected a single document" in (error.context or "") or "expected a single document" in said:
        return place, "a file holds one document", "take the --- out and make two files"
    return (
        place,
        f"this is not YAML: {said}",
        "texts that begin with { [ @ * or hold ': ' or ' #' need quotes",
    )
