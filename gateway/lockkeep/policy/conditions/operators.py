"""What `==`, `<`, `in`, `+` and the others mean for each pair of types; nonsense is an error at load."""

import operator
from collections.abc import Callable

from lockkeep.policy.conditions import runtime
from lockkeep.policy.conditions.checked import Code
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import Binary
from lockkeep.policy.conditions.runtime import Value
from lockkeep.policy.conditions.types import ANY, BOOL, DURATION, MONEY, NUMBER, TEXT, TIME, Type
from lockkeep.policy.positions import nearest

Two = Callable[[Value, Value], Value]
SUMS: dict[tuple[str, str, str], Type] = {
    ("number", "+", "number"): NUMBER, ("number", "-", "number"): NUMBER, ("money", "+", "money"): MONEY,
    ("money", "-", "money"): MONEY, ("time", "-", "time"): DURATION, ("time", "+", "duration"): TIME,
    ("time", "-", "duration"): TIME, ("duration", "+", "duration"): DURATION, ("duration", "-", "duration"): DURATION,
    ("text", "+", "text"): TEXT,
}  # fmt: skip
PRODUCTS: dict[tuple[str, str, str], Type] = {
    ("number", "*", "number"): NUMBER, ("number", "/", "number"): NUMBER, ("number", "%", "number"): NUMBER,
    ("money", "*", "number"): MONEY, ("number", "*", "money"): MONEY, ("money", "/", "number"): MONEY,
}  # fmt: skip
ORDER: dict[str, Two] = {
    "<": runtime.ordered(operator.lt), "<=": runtime.ordered(operator.le), ">": runtime.ordered(operator.gt),
    ">=": runtime.ordered(operator.ge),
}  # fmt: skip
RUNS: dict[str, Two] = {
    "+": runtime.add, "-": lambda a, b: runtime.add(a, b, -1), "*": runtime.multiply, "/": runtime.divide,
    "%": runtime.remainder,
}  # fmt: skip


def binary(tree: Binary, left: Code, right: Code) -> tuple[Type, Two]:
    """The result's type and how to compute it."""
    if tree.op == "in":  # walks a list, so the checker runs it with the decision's budget
        _membership(tree, left, right)
        return BOOL, runtime.same
    if tree.op in ("==", "!="):
        _comparable(tree, left, right)
        return BOOL, runtime.same if tree.op == "==" else lambda a, b: not runtime.same(a, b)
    if tree.op in ORDER:
        _comparable(tree, left, right)
        if left.type.kind in ("bool", "list", "object"):
            raise Unreadable(tree.at, f"{left.type} has no order", "compare with == or !=")
        return BOOL, ORDER[tree.op]
    kind = {**SUMS, **PRODUCTS}.get((left.type.kind, tree.op, right.type.kind))
    if kind is None and "any" in (left.type.kind, right.type.kind):
        kind = ANY
    if kind is None:
        raise Unreadable(
            tree.at, f"{left.type} {tree.op} {right.type} has no meaning", _sum_hint(left, right)
        )
    if tree.op in "+-" and left.literal and right.literal and kind.kind == "money":
        _one_currency(tree, left.value, right.value)
    return kind, RUNS[tree.op]


def _comparable(tree: Binary, left: Code, right: Code) -> None:
    kinds = {left.type.kind, right.type.kind}
    if "money" in kinds and "number" in kinds:
        bare = left if left.type.kind == "number" else right
        if not (bare.literal and bare.value == 0):
            shown = f" {runtime.shown(bare.value)}" if bare.literal else ""
            raise Unreadable(
                bare.at, f"an amount of money is compared with the bare number{shown}", _currency_hint(bare)
            )
    elif "table" in kinds:
        if not kinds & {"money", "any"}:
            hint = "a table stands beside an amount: amount > name_of_table"
            raise Unreadable(tree.at, f"{left.type} is compared with {right.type}", hint)
    elif len(kinds) > 1 and "any" not in kinds:
        raise Unreadable(tree.at, f"{left.type} is compared with {right.type}", _kinds_hint(left, right))
    if left.literal and right.literal and kinds == {"money"}:
        _one_currency(tree, left.value, right.value)
    for options, literal in ((left.type.options, right), (right.type.options, left)):
        if options and literal.literal and literal.value not in options:
            raise Unreadable(
                literal.at,
                f"it is never {runtime.shown(literal.value)}",
                nearest(str(literal.value), options),
            )


def _membership(tree: Binary, left: Code, right: Code) -> None:
    item = right.type.item
    if right.type.kind not in ("list", "any"):
        raise Unreadable(tree.at, f"'in' needs a list, this is {right.type}", "write x in [a, b]")
    if item and item.kind != left.type.kind and "any" not in (item.kind, left.type.kind):
        raise Unreadable(tree.at, f"{left.type} is looked for in a list of {item.kind}s")
    options = left.type.options
    for value in right.value or () if right.literal and options else ():
        if value not in options:
            raise Unreadable(right.at, f"it is never {runtime.shown(value)}", nearest(str(value), options))


def _one_currency(tree: Binary, left: Value, right: Value) -> None:
    if left.currency != right.currency:
        raise Unreadable(tree.at, f"{left.currency} and {right.currency} do not go together")


def _kinds_hint(left: Code, right: Code) -> str:
    kinds = {left.type.kind, right.type.kind}
    if "bool" in kinds:
        name = (left if left.type.kind == "bool" else right).label or "it"
        return f"what is true or false stands alone: {name}, or !{name}"
    if kinds == {"text", "number"}:
        return 'a text has quotes, as in "5", and a number has none'
    return ""


def _sum_hint(left: Code, right: Code) -> str:
    kinds = {left.type.kind, right.type.kind}
    return "write the currency, as in 100 EUR" if kinds == {"money", "number"} else ""


def _currency_hint(bare: Code) -> str:
    return (
        f"write the currency: {runtime.shown(bare.value)} EUR"
        if bare.literal
        else "compare with an amount of money"
    )
