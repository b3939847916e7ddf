"""Checked code as one Python function, for the hot path. Only quoted names and bound constants reach the compiler.

Each part is written out where its values have the plain Python class their type promises; whatever does not, and
every part this file has no words for, goes through the checked code itself. So both always say the same.
"""

from collections.abc import Iterable
from itertools import count
from typing import cast

from lockkeep.policy.conditions.checked import Code, Run
from lockkeep.policy.conditions.runtime import LONGEST, Money, Value

PLAIN: dict[str, type] = {"text": str, "bool": bool, "number": int}
COMPARED = ("==", "!=", "<", "<=", ">", ">=")


def generated(when: Iterable[Code], unless: Iterable[Code] = ()) -> Run:
    """A function that says whether all of `when` hold and, where there is an `unless`, some of it does not."""
    writer = _Writer()
    holds = [writer.expression(code) for code in when]
    not_all = [writer.expression(code) for code in unless]
    parts = [*holds, *([f"not ({' and '.join(not_all)})"] if not_all else [])]
    text = f"def run(E):\n A = E['args']\n C = E['call']\n return {' and '.join(parts) or 'True'}\n"
    exec(compile(text, "<condition>", "exec"), writer.bound)  # noqa: S102 - see above: no text of a user is in it
    return cast("Run", writer.bound["run"])


class _Writer:
    def __init__(self) -> None:
        self.bound: dict[str, object] = {
            "__builtins__": {},
            "Money": Money,
            "int": int,
            "str": str,
            "len": len,
        }  # what the text may speak of
        self._temporary, self._constant, self._called = count(), count(), count()

    def expression(self, code: Code) -> str:
        match code.op:
            case "literal":
                return self._bind(code.value)
            case "field":
                return self._field(code)
            case "has":
                return self._has(code)
            case "not":
                return f"(not {self.expression(code.parts[0])})"
            case "and" | "or":
                left, right = map(self.expression, code.parts)
                return f"({left} {code.op} {right})"
            case "in":
                return self._among(code)
            case "startsWith" | "endsWith" | "contains":
                return self._searched(code)
            case "size":
                return self._size(code)
            case op if op in COMPARED:
                return self._compared(code)
            case _:
                return self._call(code.run)

    def _field(self, code: Code) -> str:
        """An argument or a fact of the call: as it is, if it is what its type says; else by the careful way."""
        plain = PLAIN.get(code.type.kind)
        if plain is None or code.path is None:
            return self._call(code.run)
        where, name = "A" if code.path[0] == "args" else "C", self._next("t")
        kind = self._bind(plain)
        return f"({name} if ({name} := {where}.get({code.path[1]!r})).__class__ is {kind} else {self._call(code.run)})"

    def _has(self, code: Code) -> str:
        """An argument is there if it is not null; money is a view of two."""
        of = code.parts[0]
        if of.op != "field" or of.path is None or of.path[0] != "args" or of.type.kind == "money":
            return self._call(code.run)
        return f"(A.get({of.path[1]!r}) is not None)"

    def _compared(self, code: Code) -> str:
        left, right = code.parts
        kinds = {left.type.kind, right.type.kind}
        if kinds == {"money"} and right.literal:
            return self._money(code, left, right)
        if len(kinds) > 1 or not kinds <= {"text", "number", "bool"}:
            return self._call(code.run)
        return f"({self.expression(left)} {code.op} {self.expression(right)})"

    def _money(self, code: Code, left: Code, right: Code) -> str:
        """In the literal's currency the minor units are compared; else the careful way says what is wrong."""
        name, literal = self._next("t"), right.value
        minor, currency = self._bind(literal.minor), self._bind(literal.currency)
        careful = self._call(code.run)
        if left.op != "field" or left.path is None:
            return careful
        field = left.path[1]
        if left.path[0] == "args":  # a view of two fields, unless there is a field of that name
            there = f"({name} := A.get({field + '_minor'!r})).__class__ is int and A.get('currency') == {currency}"
            return f"({name} {code.op} {minor} if {there} and A.get({field!r}) is None else {careful})"
        there = f"({name} := C.get({field!r})).__class__ is Money and {name}.currency == {currency}"
        return f"({name}.minor {code.op} {minor} if {there} else {careful})"

    def _among(self, code: Code) -> str:
        item, items = code.parts
        words = items.value if items.literal else None
        if item.type.kind != "text" or not words or not all(isinstance(word, str) for word in words):
            return self._call(code.run)
        return f"({self.expression(item)} in {self._bind(frozenset(words))})"

    def _searched(self, code: Code) -> str:
        """A literal in an argument, if that is text of a bearable length."""
        of, what = code.parts
        if of.op != "field" or of.path is None or of.path[0] != "args" or not what.literal:
            return self._call(code.run)
        name, literal = self._next("t"), self._bind(what.value)
        test = f"{literal} in {name}" if code.op == "contains" else f"{name}.{code.op.lower()}({literal})"
        there = f"({name} := A.get({of.path[1]!r})).__class__ is str and len({name}) <= {LONGEST}"
        return f"({test} if {there} else {self._call(code.run)})"

    def _size(self, code: Code) -> str:
        of = code.parts[0]
        if of.op != "field" or of.path is None or of.path[0] != "args" or of.type.kind != "text":
            return self._call(code.run)
        name = self._next("t")
        there = f"({name} := A.get({of.path[1]!r})).__class__ is str"
        return f"(len({name}) if {there} else {self._call(code.run)})"

    def _call(self, run: Run) -> str:
        name = f"F{next(self._called)}"
        self.bound[name] = run
        return f"{name}(E)"

    def _bind(self, value: Value) -> str:
        name = f"k{next(self._constant)}"
        self.bound[name] = value
        return name

    def _next(self, letter: str) -> str:
        return f"{letter}{next(self._temporary)}"
