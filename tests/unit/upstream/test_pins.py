"""The same description has the same pin, whatever order its keys come in; any other value has another one."""

import copy
import random
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockkeep.upstream import Listed, Listing
from lockkeep.upstream.pins import pin, said, said_by

LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
KEY = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3), max_leaves=12
)
OBJECT = st.dictionaries(KEY, VALUE, max_size=4)
TOOL: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "name": KEY,
        "title": st.none() | KEY,
        "description": KEY,
        "input": OBJECT,
        "output": st.none() | OBJECT,
        "annotations": OBJECT,
        "effect": st.none() | OBJECT,
    }
)


def shuffled(value: Any, order: random.Random) -> Any:
    if isinstance(value, list):
        return [shuffled(each, order) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    items = list(cast("dict[str, Any]", value).items())
    order.shuffle(items)
    return {key: shuffled(each, order) for key, each in items}


def changed(value: Any) -> Iterator[Any]:
    """Values that each differ from this one in one place: something added, taken away or altered."""
    if isinstance(value, dict):
        yield from _changed_object(cast("dict[str, Any]", value))
    elif isinstance(value, list):
        yield from _changed_list(cast("list[Any]", value))
    else:
        yield f"{value}x"


def _changed_object(value: dict[str, Any]) -> Iterator[Any]:
    yield {**value, "a longer key": 1}
    for key, each in value.items():
        yield {k: v for k, v in value.items() if k != key}
        for other in changed(each):
            yield {**value, key: other}


def _changed_list(value: list[Any]) -> Iterator[Any]:
    yield [*value, 1]
    for place, each in enumerate(value):
        for other in changed(each):
            yield [*value[:place], other, *value[place + 1 :]]


@pytest.mark.parametrize("examples", [20, pytest.param(80, marks=pytest.mark.full)])
def test_reordered_keys_keep_the_pin(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, database=None)
    @given(TOOL, OBJECT, st.randoms(use_true_random=False))
    def reordered(tool: dict[str, Any], effect: dict[str, Any], order: random.Random) -> None:
        again = shuffled(copy.deepcopy(tool), order)
        assert pin(said(Listed(**again)), shuffled(effect, order)) == pin(said(Listed(**tool)), effect)

    reordered()


@pytest.mark.parametrize("examples", [10, pytest.param(30, marks=pytest.mark.full)])
def test_any_changed_value_gives_another_pin(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, database=None)
    @given(TOOL, OBJECT)
    def another(tool: dict[str, Any], effect: dict[str, Any]) -> None:
        before = pin(said(Listed(**tool)), effect)
        for part in tool:
            for other in changed(tool[part]):
                assert pin(said(Listed(**{**tool, part: other})), effect) != before, (part, other)
        for other in changed(effect):
            assert pin(said(Listed(**tool)), other) != before, other

    another()


@pytest.mark.parametrize("bad", [2**53, float("nan"), "\ud800"])
def test_a_tool_without_a_canonical_form_has_no_digest_so_it_stays_closed(bad: Any) -> None:
    tools = tuple(
        Listed(name=n, input={"default": v}, annotations={}) for n, v in (("bad", bad), ("good", 1))
    )

    assert list(said_by(Listing(server="s", version="1", protocol="p", tools=tools))) == ["good"]
