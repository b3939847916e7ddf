"""Y3: each name of the shipped files misspelt in turn is an error, on its line."""

import os
import re
from collections.abc import Iterator, Mapping

import pytest
from tests.unit.policies.test_starter import tools

from lockkeep.cli.start import starter_files
from lockkeep.policy.bundle import load
from lockkeep.policy.conditions.lexer import Unreadable, lex
from lockkeep.policy.files.places import spot
from lockkeep.policy.positions import Listing, Node, Place, Problems, Text, parse
from lockkeep.policy.positions import Mapping as Node_
from lockkeep.policy.rules.rule import HOLE

LEAST = 0.97
CONDITIONS = ("when", "unless", "withhold", "flag")
TEMPLATES = ("say", "fix")
NAMED = ("owner", "from", "any_of", "to", "agents", "roles", "users", "who", "edit", "recheck", "hide", "groups", "allow", "people", "mode", "confirm", "detect", "manager")  # fmt: skip
WORDS = {"true", "false", "null", "and", "or", "not", "in", "x", "o"}  # no names, or names of one's own
MADE_HERE = (
    "values",
    "read",
    "people",
    "groups",
    "agents",
    "integrations",
)  # whose keys are names of one's own
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def names(file: str, text: str) -> Iterator[tuple[Place, str]]:
    """Where each name of the file stands that means something there is; not those that the file makes itself."""
    root = parse(file, text, Problems())
    assert isinstance(root, Node_)
    lines = text.splitlines()
    policy = root.get("policy") is not None
    for key, value in root.entries:
        yield key.place, key.text
        if key.text in MADE_HERE and isinstance(value, Node_) and (key.text != "people" or not policy):
            for _, inner in value.entries:
                if key.text == "read" and isinstance(inner, Text):
                    yield from _in_condition(inner, lines)
                elif key.text != "values":
                    yield from _below(inner, lines, key.text)
        elif key.text == "tools" and isinstance(value, Node_):
            for tool, block in value.entries:
                yield from _words(tool)
                yield from _below(block, lines, "")
        else:
            yield from _of_key(key.text, value, lines)


def _below(node: Node, lines: list[str], within: str) -> Iterator[tuple[Place, str]]:
    if isinstance(node, Listing):
        for item in node.items:
            yield from _below(item, lines, within)
    elif isinstance(node, Node_):
        for key, value in node.entries:
            if not (within == "groups" and key.text == "roles"):  # there a role is made
                yield key.place, key.text
                yield from _of_key(key.text, value, lines)


def _of_key(key: str, node: Node, lines: list[str]) -> Iterator[tuple[Place, str]]:
    items = node.items if isinstance(node, Listing) else (node,)
    for item in items:
        if isinstance(item, Node_):
            yield from _below(item, lines, key)
        elif not isinstance(item, Text):
            continue
        elif key in CONDITIONS:
            yield from _in_condition(item, lines)
        elif key in TEMPLATES:
            for hole in HOLE.finditer(item.text):
                for word in WORD.finditer(hole[1]):
                    yield spot(item, hole.start(1) + word.start(), lines), word[0]
        elif key in ("limit", "up_to"):
            for word in WORD.finditer(item.text):
                yield spot(item, word.start(), lines), word[0]
        elif key in NAMED and not item.style:
            yield from _words(item)


def _in_condition(text: Text, lines: list[str]) -> Iterator[tuple[Place, str]]:
    try:
        tokens = lex(text.text)
    except Unreadable:  # pragma: no cover - the shipped files load
        return
    for token in tokens:
        if token.kind == "name" and token.value not in WORDS:
            yield spot(text, token.at, lines), str(token.value)


def _words(text: Text) -> Iterator[tuple[Place, str]]:
    for word in WORD.finditer(text.text):
        yield Place(text.place.file, text.place.line, text.place.column + word.start()), word[0]


def misspelt(word: str) -> str:
    """Two letters turned; a short one with a letter more."""
    if len(word) > 3 and word[1] != word[2]:
        return word[0] + word[2] + word[1] + word[3:]
    return word + "q"


def missed(files: Mapping[str, str], every: int, least: int) -> tuple[int, list[str]]:
    """How many were tried, and those without an error on their line."""
    found = [
        each
        for file in files
        if "/" not in file and file.endswith(".yaml")
        for each in names(file, files[file])
    ]
    assert len(found) > least
    left: list[str] = []
    for place, word in found[::every]:
        lines = files[place.file].splitlines()
        line, column = lines[place.line - 1], place.column - 1
        assert line[column:].startswith(word), f"{place}: {word}"
        lines[place.line - 1] = line[:column] + misspelt(word) + line[column + len(word) :]
        _, problems = load({**files, place.file: "\n".join(lines) + "\n"})
        if (place.file, place.line) not in {(each.place.file, each.place.line) for each in problems}:
            left.append(
                f"{place}: {word} -> {misspelt(word)}: {'; '.join(map(str, problems[:2])) or 'loads'}"
            )
    return len(found[::every]), left


@pytest.mark.full
def test_a_misspelt_name_is_an_error_on_its_line() -> None:
    tried, left = missed({**starter_files([]), "catalog.lock.json": tools()}, every=8, least=100)

    assert len(left) <= (1 - LEAST) * tried + 1, "\n".join(left)


@pytest.mark.full
def test_each_name_of_all_starters_misspelt_is_an_error_on_its_line() -> None:
    every = 1 if os.environ.get("WHOLE_PROOFS") else 10  # the whole takes minutes
    tried, left = missed({**starter_files(["all"]), "catalog.lock.json": tools()}, every=every, least=500)

    assert len(left) <= (1 - LEAST) * tried + 1, "\n".join(left)
