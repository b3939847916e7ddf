"""Generated code always says what the checked code says, value or error (P6)."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.policies.room import ARGUMENTS, checked, env

from lockkeep.policy.conditions.generate import generated
from lockkeep.policy.conditions.runtime import MOST_STEPS, STEPS, EvalError

CONDITIONS = [
    "n > 1", "n == m", "n != 2", "t == \"abc\"", "t < u", "b", "!b", "not b and n > 1", "b || n / 0 > 1", "n / 0 > 1 || b",
    "amount > 20 EUR", "amount == 50 EUR", "amount <= 50 EUR", "amount > 0", "50 EUR < amount", "kind in [\"lead\"]",
    "t in [\"abc\", \"x\"]", "t in names", "n in [1, 2]", "has(perhaps)", "has(perhaps) && perhaps > 1", "has(nul)",
    "nul == null", "nul != null && nul == \"x\"", "perhaps == null", "x == 1", "x == y", "has(x) && x == 1",
    "default(perhaps, 3) > 2", "size(names) == 2", "t.startsWith(\"a\") && u.endsWith(\"d\")", "has(deep.a.b.c)",
    "numbers.all(i, i > 0)", "lines.exists(l, l.price > 1 EUR)", "(n > 1) == b", "user.id == \"ana\" && agent == \"desk\"",
    "tool.class == \"note\"", "now - at > 1 hours", "args.n > 1 && args.t == \"abc\"", "n > 1 ? b : !b", "-n < 0",
    "n * 2 + 1 > m && !(t == u)", "b == true", "kind == \"deal\" or kind == \"lead\"",
]  # fmt: skip
ANY = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**54), 2**54), st.floats(allow_nan=False), st.text(max_size=4),
    st.sampled_from(["abc", "lead", "EUR", "USD", 5000, 2, 2.5, [], ["abc"], {}]),
)  # fmt: skip


def said(run: Any, given: dict[str, Any]) -> tuple[str, object]:
    """The answer, or the error and its words."""
    try:
        return "answer", run({**env(**given), STEPS: [MOST_STEPS]})
    except EvalError as error:
        return "error", error.message


@pytest.mark.promise("P6")
@pytest.mark.parametrize("text", CONDITIONS)
def test_plain_arguments(text: str) -> None:
    code = checked(text)

    assert said(generated([code]), {}) == said(code.run, {})


@pytest.mark.full
@pytest.mark.promise("P6")
@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_whatever_stands_in_the_arguments(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(ARGUMENTS)), unique=True, max_size=4))
    arguments = {name: data.draw(ANY) for name in names}
    for text in data.draw(st.lists(st.sampled_from(CONDITIONS), min_size=5, max_size=5)):
        code = checked(text)
        assert said(generated([code]), arguments) == said(code.run, arguments), text


def test_when_and_unless_are_one_function() -> None:
    when, unless = [checked("n > 1"), checked("b")], [checked('t == "abc"'), checked("m > 5")]
    fires = generated(when, unless)

    assert [fires(env()), fires(env(m=6)), fires(env(b=False)), fires(env(n=0))] == [
        True,
        False,
        False,
        False,
    ]


def test_no_text_of_a_user_reaches_the_compiler() -> None:
    hostile = "abc\\\"'); import os #"
    code = checked(f't == "{hostile}"')

    assert said(generated([code]), {"t": hostile.replace('\\"', '"')}) == ("answer", True)
