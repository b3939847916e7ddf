"""What a condition means: types, guards, precedence, arithmetic, functions, and errors instead of guesses."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.unit.policies.room import A_LEAD, PAID, checked, env, holds

from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import parse
from lockkeep.policy.conditions.runtime import MOST_STEPS, STEPS, EvalError, FailedLookup, Money


@pytest.mark.parametrize(
    "text",
    [
        "n == 2 && m == 3", "n + m * 2 == 8", "(n + m) * 2 == 10", "n - m - 1 == -2", "7 / 2 == 3.5", "-7 % 3 == -1",
        "0.1 + 0.2 == 0.3", "not b or n == 2", "!(b) || b", "not n == 3", "b ? n == 2 : n == 3", "n > 1 ? true : n / 0 > 1",
        't == "abc"', 't + u == "abcbcd"', "t < u", "\"it's\" != 'x'", '"a\\"b" == \'a"b\'', "n in [1, 2]", 't in ["abc"]',
        "!(n in [])", "names.exists(i, i == \"a\")", "names.all(i, size(i) == 1)", "numbers.sum(i, i) == 3.5",
        "size(names) == 2 && size(t) == 3", "default(names[0], \"\") == \"a\"", "!has(names[5])",
        "default(names.first(i, i > \"a\"), \"none\") == \"b\"", "!has(names.first(i, i == \"z\"))", 'lower("ABC") == t',
        "min(n, m) == 2 && max(n, m, 9) == 9", "round(2.5) == 3 && round(-2.5) == -3", 't.startsWith("a") && t.endsWith("c")',
        't.contains("b") && t.like("a*c") && !t.like("b*")', "b == true && b != false", "-n == -2", "- -n == 2",
        "kind == \"lead\"", "kind in [\"lead\", \"deal\"]", "args.n == n", "call.user.id == user.id", "!has(user.manager)",
        "\"support\" in user.roles", "!has(run)", "tool.class == \"note\"", "n == 2 and m == 3 or false", "100 == 100.0",
    ],
)  # fmt: skip
def test_a_condition_that_holds(text: str) -> None:
    assert holds(text) is True


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("true || false && false", "true || (false && false)"),
        ("not true && false", "(not true) && false"),
        ("not 1 == 2", "not (1 == 2)"),
        ("-2 + 3 == 1", "((-2) + 3) == 1"),
        ("2 + 3 * 4 == 14", "(2 + (3 * 4)) == 14"),
        ("8 / 4 / 2 == 1", "((8 / 4) / 2) == 1"),
        ("true ? false : true ? true : true", "true ? false : (true ? true : true)"),
        ("false || true ? true : false", "(false || true) ? true : false"),
    ],
)
def test_precedence_is_that_of_the_grammar(text: str, tree: str) -> None:
    def shape(of: Any) -> Any:
        parts = [getattr(of, name, None) for name in ("left", "right", "of", "test", "yes", "no")]
        return (
            type(of).__name__,
            getattr(of, "op", None),
            getattr(of, "value", None),
            [shape(p) for p in parts if p],
        )

    assert shape(parse(text)) == shape(parse(tree))
    assert holds(text) == holds(tree)


@pytest.mark.parametrize(
    "text",
    [
        "amount == 50 EUR", "amount > 49.99 EUR", "amount < 50.01 EUR", "amount > 0", "0 < amount", "amount + 1 EUR == 51 EUR",
        "amount * 2 == 100 EUR", "2 * amount == 100 EUR", "amount / 2 == 25 EUR", "-amount == -50 EUR", "amount - 60 EUR < 0",
        "max(amount, 60 EUR) == 60 EUR", "lines.sum(l, l.price) == 3.50 EUR", "lines.all(l, l.price > 0)",
        "lines.sum(l, l.price * 2) <= 7 EUR", "amount_minor == 5000", "args.amount == amount", "amount in [50 EUR]",
        "1500 JPY == 1500 JPY", "1.234 KWD < 1.235 KWD", "2 JPY > 1 JPY", "0.001 BHD > 0",
    ],
)  # fmt: skip
def test_money_compares_and_adds_with_money_of_its_currency(text: str) -> None:
    assert holds(text) is True


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (95000, "EUR", "950.00 EUR"), (-1, "EUR", "-0.01 EUR"), (5, "JPY", "5 JPY"), (1234, "KWD", "1.234 KWD"),
        (2**53 - 1, "USD", "90071992547409.91 USD"), (0, "EUR", "0.00 EUR"), (-1234567, "BHD", "-1234.567 BHD"),
    ],
)  # fmt: skip
def test_money_is_printed_exactly_with_the_decimals_of_its_currency(
    minor: int, currency: str, shown: str
) -> None:
    assert str(Money(minor, currency)) == shown


def test_a_sum_over_nothing_is_no_money_and_compares_with_any() -> None:
    assert holds(
        "lines.sum(l, l.price) == 0 && lines.sum(l, l.price) < 1 EUR && lines.all(l, false)", lines=[]
    )
    assert holds("lines.sum(l, l.price) + 1 EUR == 1 EUR", lines=[])


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("amount > 100 USD", {}), ("amount + 1 USD > 0", {}), ("amount > 0", {"amount_minor": 10.5}),
        ("amount > 0", {"amount_minor": "10"}), ("amount > 0", {"currency": 5}), ("amount == 50 EUR", {"amount_minor": True}),
        ("n / 0 > 1", {}), ("n % 0 == 1", {}), ("n * n > 1", {"n": 2**52}), ("n > 1", {"n": "2"}), ("n > 1", {"n": True}),
        ("n > 1", {"n": float("nan")}), ("n > 1", {"n": float("inf")}), ("b", {"b": 1}), ('t == "a"', {"t": 5}),
        ("at < now", {"at": "yesterday"}), ("at < now", {"at": "2026-11-19T09:00:00"}), ("at < now", {"at": 20261119}),
        ("at < now", {"at": "0001-01-01T00:00:00+14:00"}), ("at + 36500 days > now", {"at": "9990-01-01T00:00:00Z"}),
        ("names.exists(i, i == \"a\")", {"names": "a"}), ("names.exists(i, i == \"a\")", {"names": [1]}),
        ("numbers.sum(i, i) > 0", {"numbers": {"a": 1}}), ("size(names) > 0", {"names": 5}), ('"a" in names', {"names": "abc"}),
        ('"a" in names', {"names": {"a": 1}}), ('"a" in names', {"names": [1, "a"]}), ("x > 1", {"x": "b"}),
        ("x", {"x": "true"}), ("x == 1", {"x": "1"}), ("x == 1", {"x": True}), ("x > 1", {"x": None}), ("x > 1", {"x": [2]}),
        ("default(x.y, 1) == 1", {"x": 5}), ("x > 100 EUR", {"x": 200}), ("x + 1 > 0", {"x": "a"}), ("size(x) > 0", {"x": 5}),
        ("n in x", {"x": "2"}), ("n in x", {"x": 2}), ("x.exists(i, i)", {"x": [1]}), ("default(names[0], t) == \"a\"", {"names": 1}),
        ("t.like(u)", {"t": "a" * 4001}), ("lower(t) == u", {"t": "a" * 4001}), ("t + t == u", {"t": "a" * 2001}),
    ],
)  # fmt: skip
def test_what_has_no_answer_is_an_error_and_never_true_or_false(text: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(EvalError):
        holds(text, **arguments)


def test_the_left_error_stays() -> None:
    with pytest.raises(EvalError):
        holds("n / 0 > 1 || true")
    assert holds("true || n / 0 > 1")
    assert not holds("false && n / 0 > 1")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("perhaps > 1", "perhaps"), ("1 < perhaps", "perhaps"), ("has(perhaps) || perhaps > 1", "perhaps"),
        ("!has(perhaps) && perhaps > 1", "perhaps"), ("(has(perhaps) || b) && perhaps > 1", "perhaps"),
        ('nul == "x"', "nul"), ("deep.a.b.c > 1", "deep"), ("has(deep) && deep.a.b.c > 1", "deep.a"),
        ("lead.value > 1 EUR", "lead.value"), ("run.id == t", "run"), ("user.manager == t", "user.manager"),
        ("names[0] == t", "names[…]"), ("lines.exists(l, l.note == t)", "l.note"),
        ("lines.exists(l, has(l.note)) && lines.exists(l, l.note == t)", "l.note"),
        ("names.first(i, true) == t", "names.first(…)"), ("b ? perhaps > 1 : true", "perhaps"),
    ],
)  # fmt: skip
def test_an_optional_value_must_be_guarded(text: str, name: str) -> None:
    with pytest.raises(Unreadable) as said:
        checked(text)
    assert said.value.message == f"'{name}' can be missing or null"


@pytest.mark.parametrize(
    "text",
    [
        "has(perhaps) && perhaps > 1", "perhaps != null && perhaps > 1", "!has(perhaps) || perhaps > 1",
        "perhaps == null || perhaps > 1", "has(perhaps) ? perhaps > 1 : false", "default(perhaps, 0) > 1",
        "null != perhaps && perhaps > 1", "not (perhaps == null) and perhaps > 1", "has(deep.a.b.c) && deep.a.b.c > 1",
        "default(deep.a.b.c, 0) > 1", "lines.exists(l, has(l.note) && l.note == t) && b", "has(lead.value) && lead.value > 0",
        "(has(perhaps) ? perhaps : 0) > 1", "b && has(perhaps) && (perhaps > 1 || perhaps > 2)",
        "has(read.lead.country) && lead.country == t", "opt == null || default(opt.size, 3) > 2",
    ],
)  # fmt: skip
def test_a_guard_in_any_of_its_forms_is_understood(text: str) -> None:
    assert holds(text, {"lead": A_LEAD}) in (True, False)


def test_has_and_null_say_whether_a_value_is_there() -> None:
    assert holds("!has(perhaps) && perhaps == null && nul == null && !has(deep.a.b.c)")
    assert holds("has(perhaps) && !has(deep.a.b.c)", perhaps=0, deep={"a": {}})
    assert holds("has(deep.a.b.c) && has(deep.a)", deep={"a": {"b": {"c": 0}}})
    assert holds("default(deep.a.b.c, 7) == 7", deep={"a": None})


@pytest.mark.parametrize(
    "text",
    [
        "has(lead)", "has(lead.country)", "!has(lead.country)", "lead == null", "lead.country == null", "has(read.lead)",
        "has(read.lead.country)", 'default(lead.country, "x") == "x"', 'lead.kind == "lead"', "has(lead.value)",
        "read.lead.country != null", 'default(read.lead.country, "DE") == "DE"',
    ],
)  # fmt: skip
@pytest.mark.parametrize("read", [{"lead": FailedLookup("lead", "down")}, {}])
def test_has_of_a_look_up_that_failed_or_was_never_made_fails_and_is_never_false(
    text: str, read: Any
) -> None:
    with pytest.raises(EvalError) as said:
        holds(text, read)
    assert said.value.lookup == "lead"


def test_the_long_form_of_a_look_up_is_the_same_look_up() -> None:
    short, long = checked('lead.kind == "lead"'), checked('read.lead.kind == "lead"')
    assert (short.reads, long.reads) == (frozenset({"lead"}), frozenset({"lead"}))
    assert holds('read.lead.kind == "lead"', {"lead": A_LEAD})


def test_a_look_up_with_a_literal_argument_has_one_of_its_shapes() -> None:
    assert holds("has(lead.country)", {"lead": A_LEAD})
    with pytest.raises(Unreadable, match="'lead' has no field 'email'"):
        checked("has(lead.email)")


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (
            "2026-11-19T09:00:00Z",
            "now - at == 24 hours && now - at >= 1 day && now - at < 2 days && at + 1 day == now",
        ),
        ("2026-11-20T10:00:00+01:00", "at == now && !(at < now) && at - now == now - at"),
        (
            "2026-11-13T09:00:00Z",
            "now - at == 1 week && now - 7 days == at && now - at > 90 minutes + 30 seconds",
        ),
    ],
)
def test_times_are_compared_as_moments(at: str, text: str) -> None:
    assert holds(text, at=at)


def test_an_hour_is_an_hour_on_the_night_the_clocks_go_back() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))  # and again an hour later
    assert holds(
        "(now + 1 hour) - now == 1 hour && now + 1 hour > now && now + 1 hour != now && (now + 2 hours) - now == 120 minutes",
        now=first,
    )
    assert holds("now + 24 hours == now + 1 day && (now + 1 day) - now == 24 hours", now=first)


def test_a_decision_has_a_bounded_number_of_loop_steps() -> None:
    many = list(range(150))
    assert holds("numbers.all(i, i >= 0)", numbers=list(range(1000)))
    with pytest.raises(EvalError, match=f"more than {MOST_STEPS} steps"):
        holds("numbers.all(i, numbers.all(j, j >= 0))", numbers=many)
    with pytest.raises(EvalError, match="steps"):
        holds("numbers.all(i, !(i + 1000000 in numbers))", numbers=list(range(2000)))


def test_true_is_never_one_however_deep_it_stands() -> None:
    assert holds("has(x) && has(y) && x == y", x=[{"a": [1, 2.50]}], y=[{"a": [1.0, 2.5]}])
    assert not holds("has(x) && has(y) && x == y", x=[{"a": [True]}], y=[{"a": [1]}])
    assert not holds("has(x) && has(y) && x == y", x=[1], y=[1, 2])


def test_null_is_in_no_list() -> None:
    assert not holds('"z" in names', names=[None, "a"])
    assert holds('"a" in names', names=[None, "a"])


@pytest.mark.parametrize(
    ("text", "pattern", "fits"),
    [
        ("ana@acme.com", "*@acme.com", True), ("ana@acme.com.evil", "*@acme.com", False), ("aXb", "a?b", False), ("a?b", "a?b", True),
        ("", "*", True), ("", "", True), ("a", "", False), ("aa", "a*a", True), ("a", "a*a", False), ("a.c", "a[.]c", False),
        ("a" * 3000, "*".join("a" * 900), True), ("a" * 3000, "*".join("a" * 900) + "b", False),
    ],
)  # fmt: skip
def test_like_knows_the_star_and_nothing_else(text: str, pattern: str, fits: bool) -> None:
    assert holds("t.like(u)", t=text, u=pattern) is fits


@pytest.mark.parametrize("count", [2, 300])
@pytest.mark.parametrize("op", ["&&", "||"])
def test_long_lists_of_conditions_are_no_deep_ones(op: str, count: int) -> None:
    text = f" {op} ".join(["b"] * count)
    assert holds(text) is True


@pytest.mark.parametrize(
    "text",
    ["(" * 41 + "b" + ")" * 41, "!" * 41 + "b", "not " * 41 + "b", "-" * 41 + "n == 2", "n" + " + n" * 41 + " == 1",
     "x" + ".x" * 41, "names" + "[0]" * 41, "b ? b : " * 41 + "b", "[" * 41 + "]" * 41 + " == names"],
)  # fmt: skip
def test_nesting_has_an_end(text: str) -> None:
    with pytest.raises(Unreadable, match="nested deeper than 40 levels"):
        parse(text)


def test_forty_levels_are_not_too_deep() -> None:
    assert holds("(" * 39 + "b" + ")" * 39)


def test_a_condition_has_at_most_2000_characters() -> None:
    assert holds("b" + " " * 1999)
    with pytest.raises(Unreadable, match="at most 2000 characters"):
        parse("b" + " " * 2000)


def test_the_payment_of_a_refund_is_money_too() -> None:
    paid = {"payment": PAID}
    assert holds("payment.refundable == 900 EUR && amount <= payment.refundable && !payment.disputed", paid)
    assert holds('now - payment.at > 30 days && default(payment.order_id, "") == "o"', paid)


def test_fractions_stay_small_enough_to_count_with() -> None:
    with pytest.raises(EvalError, match="decimals"):
        holds("numbers.sum(i, 1 / i) > 0", numbers=[2**40 + 2 * each + 1 for each in range(300)])


def test_steps_are_those_of_the_decision() -> None:
    budget = env()
    checked("numbers.all(i, i > 0)").run(budget)
    assert budget[STEPS] == [MOST_STEPS - 2]
