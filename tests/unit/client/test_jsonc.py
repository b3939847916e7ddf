"""Editing JSON with comments by text span."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockkeep_client.jsonc import NotJson, parse, with_item, with_member, without

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


EXAMPLES = pytest.mark.parametrize("examples", [30, pytest.param(100, marks=pytest.mark.full)])


@EXAMPLES
def test_plain_json_means_what_json_says(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, database=None)
    @given(st.dictionaries(st.text(), JSON, max_size=4), st.sampled_from([None, 2, "\t"]))
    def means_the_same(value: dict[str, Any], indent: int | str | None) -> None:
        assert parse(json.dumps(value, indent=indent)).plain == value

    means_the_same()


@EXAMPLES
def test_an_added_member_is_there_and_can_be_taken_out_again(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, database=None)
    @given(st.dictionaries(st.text(), JSON, max_size=3), JSON, st.sampled_from([None, 4]))
    def added_and_taken_out(value: dict[str, Any], fresh: Any, indent: int | None) -> None:
        text = json.dumps(value | {"s": {"other": 1}}, indent=indent)
        added = with_member(text, ("s", "ours"), fresh)
        servers = parse(added).member("s")

        assert parse(added).plain == value | {"s": {"other": 1, "ours": fresh}}
        assert servers is not None
        assert parse(without(added, servers.value.members, 1)).plain == value | {"s": {"other": 1}}

    added_and_taken_out()


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("", '{\n  "s": {\n    "o": 1\n  }\n}\n'),
        ("// mine\n", '// mine\n{\n  "s": {\n    "o": 1\n  }\n}\n'),
        ("{}", '{\n  "s": {\n    "o": 1\n  }\n}'),
        ('{"s": {"a": 1}}', '{"s": {"a": 1,\n  "o": 1\n}}'),
        ('{\n\t"s": {} // none\n}', '{\n\t"s": {\n\t\t"o": 1\n\t} // none\n}'),
        ('{\n  "s": {\n    "a": 1 // one\n  }\n}', '{\n  "s": {\n    "a": 1, // one\n    "o": 1\n  }\n}'),
        (
            '{\n  "s": {\n    "a": 1, /* x */\n  },\n}',
            '{\n  "s": {\n    "a": 1, /* x */\n    "o": 1,\n  },\n}',
        ),
        ('{\r\n  "a": 1\r\n}\r\n', '{\r\n  "a": 1,\r\n  "s": {\r\n    "o": 1\r\n  }\r\n}\r\n'),
        ('\ufeff{"s": {"o": 0}}', '\ufeff{"s": {"o": 1}}'),
        ('{"s": 1, "s": {"o": 0} /* the last counts */}', '{"s": 1, "s": {"o": 1} /* the last counts */}'),
    ],
)
def test_everything_around_the_member_stays(text: str, after: str) -> None:
    assert with_member(text, ("s", "o"), 1) == after


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("{}", '{\n  "i": [\n    1\n  ]\n}'),
        ('{"i": []}', '{"i": [\n  1\n]}'),
        ('{\n  "i": [\n    0,\n  ]\n}', '{\n  "i": [\n    0,\n    1,\n  ]\n}'),
    ],
)
def test_an_item_is_added_at_the_end(text: str, after: str) -> None:
    assert with_item(text, "i", 1) == after


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("{", 1, 2),
        ('{"a": }', 1, 7),
        ('{"a": 1\n "b": 2}', 2, 2),
        ("{'a': 1}", 1, 2),
        ('{"a" 1}', 1, 6),
        ('{"a": 1} x', 1, 10),
        ("[]", 1, 1),
        ('{\n  "a": 01\n}', 2, 8),
        ('{"a": "\t"}', 1, 7),
        ('{"a": "\\x"}', 1, 7),
        ("{,}", 1, 2),
        ("{ /* open", 1, 3),
        ("[" * 300, 1, 202),
    ],
)
def test_what_does_not_parse_is_named_by_line_and_column(text: str, line: int, column: int) -> None:
    with pytest.raises(NotJson) as raised:
        parse(text)
    assert (raised.value.line, raised.value.column) == (line, column)
