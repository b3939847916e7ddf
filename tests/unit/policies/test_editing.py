"""A file people also edit gets one entry more, and nothing else moves."""

import pytest

from lockkeep.errors import BadPolicySet
from lockkeep.policy.files.editing import with_entry

NEW = "  zoe: {groups: [a]}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("people:\n  ana: {}\n", "people:\n  ana: {}\n" + NEW),
        ("people:\n  ana: {}", "people:\n  ana: {}\n" + NEW),
        ("people:\n  ana: {} # first\n# the rest\ngroups:\n  a:\n", "people:\n  ana: {} # first\n" + NEW + "# the rest\ngroups:\n  a:\n"),
        ("people:\n  ana:\n    groups: [a]\n\n    accounts: [x]\n\ngroups:\n  a:\n", "people:\n  ana:\n    groups: [a]\n\n    accounts: [x]\n" + NEW + "\ngroups:\n  a:\n"),
        ("people:\n    ana: {}\n    bo: {}\ngroups:\n", "people:\n    ana: {}\n    bo: {}\n    zoe: {groups: [a]}\ngroups:\n"),
        ("people:\ngroups:\n  a:\n", "people:\n" + NEW + "groups:\n  a:\n"),
        ("people: {}  # nobody\n", "people:\n" + NEW),
        ("groups:\n  people: {}\n  a:\npeople: {}\n", "groups:\n  people: {}\n  a:\npeople:\n" + NEW),
        ("groups:\n  a:\n", "groups:\n  a:\npeople:\n" + NEW),
    ],
)  # fmt: skip
def test_an_entry_stands_at_the_end_of_its_section(before: str, after: str) -> None:
    assert with_entry("people.yaml", before, "people", "zoe", "{groups: [a]}") == after


@pytest.mark.parametrize(
    "before",
    ["people: {ana: {}}\n", "people:\n  zoe: {}\n", "people: [ana]\n", "people: &x {}\n", "- people\n", "{people: {}}\n", "people:\n  ? ana\n  : x\n  ? bo\n  : |\n   text\n"],
)  # fmt: skip
def test_what_cannot_be_edited_safely_is_left_to_people(before: str) -> None:
    with pytest.raises(BadPolicySet):
        with_entry("people.yaml", before, "people", "zoe", "{groups: [a]}")


@pytest.mark.parametrize("name", ["a: b", "{", "x #", "", "- y", "a\n  b"])
def test_a_name_that_would_be_something_else_is_refused(name: str) -> None:
    with pytest.raises(BadPolicySet):
        with_entry("people.yaml", "people:\n  ana: {}\n", "people", name, "{groups: [a]}")
