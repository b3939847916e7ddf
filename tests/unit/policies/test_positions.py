"""YAML 1.2 core with places, and nothing of YAML that surprises."""

from typing import Any

import pytest

from lockkeep.policy.files.places import spot
from lockkeep.policy.positions import Listing, Mapping, Node, Place, Problems, Text, nearest, parse
from lockkeep.policy.rules.manifest import plain


def read(text: str) -> Node:
    problems = Problems()
    node = parse("f.yaml", text, problems)
    assert node is not None, problems.found
    return node


def text_at(node: Node, key: str) -> Text:
    node = node.items[0] if isinstance(node, Listing) else node
    found = node.get(key) if isinstance(node, Mapping) else None
    assert isinstance(found, Text)
    return found


def told(text: str) -> list[str]:
    problems = Problems()
    assert parse("f.yaml", text, problems) is None
    return [f"{each.place.line}:{each.place.column}: {each.message}" for each in problems.found]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("no", "no"), ("Yes", "Yes"), ("12:30", "12:30"), ("010", "010"), ("2026-11-20", "2026-11-20"), ("0x1F", "0x1F"),
        ("1_000", "1_000"), ("1e3", "1e3"), (".5", ".5"), ("=", "="), ("<<", "<<"), ("true", True), ("FALSE", False), ("~", None),
        ("null", None), ("", None), ("12", 12), ("-7", -7), ("+7", 7), ("1.50", 1.5), ("1.0e2", 100.0), ("'true'", "true"), ('"12"', "12"),
        ("1" * 400, "1" * 400), ("9" * 5000, "9" * 5000), ("1" * 400 + ".0", "1" * 400 + ".0"), (".inf", ".inf"), (".nan", ".nan"),
    ],
)  # fmt: skip
def test_a_scalar_is_what_yaml_core_says(text: str, value: Any) -> None:
    found = plain(read(f"key: {text}"))["key"]
    assert (found, type(found)) == (value, type(value))


def test_every_node_knows_its_place() -> None:
    node = read("a: one\nb:\n  - {c: 'two'}\n")
    assert node == Mapping(
        Place("f.yaml", 1, 1),
        (
            (Text(Place("f.yaml", 1, 1), "a", "a"), Text(Place("f.yaml", 1, 4), "one", "one")),
            (
                Text(Place("f.yaml", 2, 1), "b", "b"),
                Listing(
                    Place("f.yaml", 3, 3),
                    (
                        Mapping(
                            Place("f.yaml", 3, 5),
                            (
                                (
                                    Text(Place("f.yaml", 3, 6), "c", "c"),
                                    Text(Place("f.yaml", 3, 9), "two", "two", "'"),
                                ),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "2:1: the key 'a' stands twice here"), ("{a: 1, 'a': 2}", "1:8: the key 'a' stands twice here"),
        ("a: &x 1", "1:4: anchors and aliases are not used here"), ("a: *x", "1:4: anchors and aliases are not used here"),
        ("a: !!str 1", "1:4: tags are not used here: tag:yaml.org,2002:str"), ("a: !x 1", "1:4: tags are not used here: !x"),
        ("a:\n\tb: 1", "2:1: a tab cannot be used to indent"), ("a: 1\n---\nb: 2", "2:1: a file holds one document"),
        ("", "1:1: the file is empty"), ("# only this", "1:1: the file is empty"), ("a" * 1_000_001, "1:1: the file is larger than 1 MB"),
        ("a: \x00", "1:4: the character U+0000 cannot stand here"), ("a: 1\nb: \ud800", "2:4: the character U+D800 cannot stand here"),
        ("[" * 1000, "1:41: this is nested deeper than 40 levels"), ("- " * 1000, "1:81: this is nested deeper than 40 levels"),
        ("{" * 41 + "a", "1:41: this is nested deeper than 40 levels"), ("? [a]\n: 1", "1:3: a key must be text"),
        ("a: 'b", "1:6: this is not YAML: found unexpected end of stream"),
    ],
)  # fmt: skip
def test_what_is_more_than_plain_yaml_is_told_with_its_place(text: str, said: str) -> None:
    assert told(text) == [said]


def test_one_bad_file_hides_nothing_of_the_next() -> None:
    problems = Problems()
    assert parse("a.yaml", "a: &x 1", problems) is None
    assert parse("b.yaml", "a: 1", problems) is not None
    assert parse("c.yaml", "b: &x 1", problems) is None
    assert [each.place.file for each in problems.found] == ["a.yaml", "c.yaml"]


@pytest.mark.parametrize(
    "text",
    [
        "k: one HERE two", "k: 'one HERE two'", 'k: "one HERE two"', "k: >\n  one\n  HERE two", "k: |\n  one\n    HERE two",
        "k: >-\n\n  one\n\n  HERE\n", "k: one\n  HERE two", "k: 'it''s\n  HERE'", 'k: "a\\"b\\\\ \\u0041\\x41\\n HERE"', 'k: "a\\\n  b HERE"',
        "{a: 1, k: one HERE}", "- k: >\n    one\n      more\n    HERE", "k: 'one\n\n  HERE'", "k: |\n  zwölf €\n  HERE",
    ],
)  # fmt: skip
def test_an_offset_of_a_text_is_found_again_in_the_file(text: str) -> None:
    lines = text.splitlines()
    line = next(number for number, each in enumerate(lines) if "HERE" in each)
    value = text_at(read(text), "k")

    assert spot(value, value.text.index("HERE"), lines) == Place(
        "f.yaml", line + 1, lines[line].index("HERE") + 1
    )


def test_the_end_of_a_text_is_right_behind_it() -> None:
    value = text_at(read("k: >\n  one\n  two\n"), "k")
    assert spot(value, len(value.text), ["k: >", "  one", "  two"]) == Place("f.yaml", 3, 6)


def test_the_nearest_name_or_the_first_twelve_are_told() -> None:
    assert nearest("amuont", ["amount", "payment"]) == "did you mean amount?"
    assert nearest("zzz", ["b", "a", "a"]) == "known: a, b"
    assert nearest("zzz", [f"n{number:02}" for number in range(13)]).endswith("n11 …")
    assert nearest("zzz", []) == ""
