"""A condition in words. What cannot be said well is quoted as it stands in the file, and nothing is left out."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from typing import cast

from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import (
    Attr,
    Binary,
    Call,
    Choice,
    Index,
    Items,
    Lit,
    Name,
    Tree,
    Unary,
    parse,
    path_of,
)
from lockkeep.policy.conditions.runtime import Money, Table, Value, is_array

MOST_CLAUSES = 16  # a sentence with more of them is harder to read than the condition
MOST_BRACKETS = 3
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
IS = {"<": "below ", "<=": "at most ", ">": "above ", ">=": "at least ", "==": "", "!=": "not "}
OF_TIMES = {"<": "before ", "<=": "not after ", ">": "after ", ">=": "not before ", "==": "", "!=": "not "}
OF_SPANS = {
    "<": "less than ", "<=": "at most ", ">": "more than ", ">=": "at least ", "==": "exactly ", "!=": "not exactly ",
}  # fmt: skip
ADD = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
SEARCHES = {
    "startsWith": ("begins with", "does not begin with"), "endsWith": ("ends with", "does not end with"),
    "contains": ("contains", "does not contain"), "like": ("looks like", "does not look like"),
}  # fmt: skip
VERBS = ("has", "can", "needs", "wants")
LONG = ("args", "call", "read", "values")
OWN = {"now": "now", "user": "the caller", "result": "the answer"}
# A name that ends so would be read as the beginning of something else.
AFTER = ("at", "by", "for", "from", "in", "of", "on", "to", "until", "with")
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
SIMPLE, AND, OR = 0, 1, 2


class _Unsayable(Exception):
    """Words would be worse than the condition itself."""


@dataclass(frozen=True, slots=True)
class Words:
    """Says conditions of one file. `values` are the file's own, `item` the name that a loop goes by."""

    values: Mapping[str, Value] = field(default_factory=dict[str, Value])
    item: str | None = None

    def all(self, texts: Iterable[str]) -> str:
        """All of these conditions hold."""
        return self._joined([self._said(text, _tree(text)) for text in texts])[0]

    def condition(self, text: str) -> str:
        return self._said(text, _tree(text))[0]

    def named(self, path: str) -> str:
        """The name of a value: `payment.refundable` is the payment's refundable."""
        tree = _tree(path)
        return self._noun(tree) if tree is not None else path

    def tree(self, tree: Tree) -> str | None:
        """A value that stands alone, as an argument of a look-up does; None if it cannot be said."""
        try:
            return self._noun(tree)
        except _Unsayable:
            return None

    def _said(self, text: str, tree: Tree | None) -> tuple[str, int]:
        try:
            if tree is None or _clauses(tree) > MOST_CLAUSES or _brackets(tree) > MOST_BRACKETS:
                raise _Unsayable
            return self._clause(tree)
        except _Unsayable:
            return f"this holds: {quoted(text)}", OR

    # -- what is true or false ----------------------------------------------------------------------------------

    def _clause(self, tree: Tree) -> tuple[str, int]:
        """The words, and how loosely they hang together."""
        match tree:
            case Binary() if tree.op == "&&":
                return self._joined([self._clause(part) for part in _flat(tree.op, tree)])
            case Binary() if tree.op == "||":
                return _either([self._clause(part) for part in _flat(tree.op, tree)]), OR
            case Binary():
                return self._compared(tree.op, tree.left, tree.right), SIMPLE
            case Unary() if tree.op == "!":
                return self._not(tree.of)
            case Call():
                return self._called(tree, yes=True), SIMPLE
            case Choice():
                return self._chosen(tree), OR
            case Lit():
                return "always" if tree.value is True else "never", SIMPLE
            case _:
                return self._holds(tree, "is"), SIMPLE

    def _not(self, tree: Tree) -> tuple[str, int]:
        match tree:
            case Unary() if tree.op == "!":
                return self._clause(tree.of)
            case Binary() if tree.op in OPPOSITE:
                return self._compared(OPPOSITE[tree.op], tree.left, tree.right), SIMPLE
            case Binary() if tree.op == "in":
                return self._among(tree, yes=False), SIMPLE
            case Call():
                return self._called(tree, yes=False), SIMPLE
            case Name() | Attr():
                return self._holds(tree, "is not"), SIMPLE
            case _:
                return f"it is not so that ({self._clause(tree)[0]})", SIMPLE

    def _joined(self, parts: list[tuple[str, int]]) -> tuple[str, int]:
        said = [f"({text})" if loose > AND and len(parts) > 1 else text for text, loose in parts]
        return " and ".join(said), parts[0][1] if len(parts) == 1 else AND

    def _holds(self, tree: Tree, verb: str) -> str:
        """A value that is true or false itself."""
        if not isinstance(tree, Attr) or (isinstance(tree.of, Name) and tree.of.name in LONG):
            return f"{self._noun(tree)} {verb} true"
        first, _, rest = words(tree.name).partition(" ")
        if first in ("is", "was") and rest:  # `is_new` is new
            return f"{self._noun(tree.of)} {verb.replace('is', first)} {rest}"
        if first in VERBS and rest:
            before = "" if verb == "is" else "it is not so that "
            return f"{before}{self._noun(tree.of)} {first} {rest}"
        return f"{self._noun(tree.of)} {verb} {label(tree.name)}"

    def _compared(self, op: str, left: Tree, right: Tree) -> str:
        if op == "in":
            return self._among(Binary(op, left, right, 0), yes=True)
        if isinstance(left, Lit) and not isinstance(right, Lit):
            op, left, right = MIRRORED[op], right, left
        if said := self._ago(op, left, right) or self._any_case(op, left, right):
            return said
        subject, verb = self._noun(left), _verb(left)
        if isinstance(right, Lit) and right.kind in ("null", "text", "bool"):
            yes = op == "=="
            if right.kind == "null":
                return f"{subject} {verb} {'missing' if yes else 'known'}"
            if right.value == "" and op in ("==", "!="):
                return f"{subject} {verb} {'' if yes else 'not '}empty"
            if right.kind == "bool":
                return self._clause(left)[0] if yes == (right.value is True) else self._not(left)[0]
        times = OF_TIMES if _is_time(left) or _is_time(right) else IS
        return f"{subject} {verb} {times[op]}{self._noun(right)}"

    def _any_case(self, op: str, left: Tree, right: Tree) -> str | None:
        """`lower(a) == lower(b)`."""
        if op not in ("==", "!=") or not (_is_lower(left) and _is_lower(right)):
            return None
        one, other = cast("Call", left).args[0], cast("Call", right).args[0]
        return f"{self._noun(one)} {_verb(one)} {IS[op]}{self._noun(other)} (capital letters do not matter)"

    def _ago(self, op: str, left: Tree, right: Tree) -> str | None:
        """`now - x > 30 days`: x is more than 30 days ago."""
        if not (
            isinstance(left, Binary)
            and left.op == "-"
            and isinstance(right, Lit)
            and right.kind == "duration"
        ):
            return None
        before, after = left.left, left.right
        if _is_now(before) and not isinstance(after, Lit):
            other, where, beyond = after, "ago", "still to come"
        elif _is_now(after):
            other, where, beyond = before, "ahead", "past"
        else:
            return None
        also = f", or {beyond}" if op in ("<", "<=", "!=") else ""
        return f"{self._noun(other)} {_verb(other)} {OF_SPANS[op]}{self._noun(right)} {where}{also}"

    def _among(self, tree: Binary, *, yes: bool) -> str:
        if isinstance(tree.right, Items):
            these = _listed([self._noun(item) for item in tree.right.items])
            if len(tree.right.items) == 1:
                return f"{self._noun(tree.left)} {_verb(tree.left)} {'' if yes else 'not '}{these}"
            return f"{self._noun(tree.left)} {_verb(tree.left)} {'one of' if yes else 'none of'} {these}"
        if these := self._constants(tree.right):
            few, many = ("", "one of ") if yes else ("not ", "none of ")
            which = few if len(these) == 1 else many
            return f"{self._noun(tree.left)} {_verb(tree.left)} {which}{self._noun(tree.right)}"
        if isinstance(tree.left, Lit):
            said = ("include", "do not include") if _many(tree.right) else ("includes", "does not include")
            return f"{self._noun(tree.right)} {said[0 if yes else 1]} {self._noun(tree.left)}"
        return f"{self._noun(tree.left)} {_verb(tree.left)} {'' if yes else 'not '}among {self._noun(tree.right)}"

    def _constants(self, tree: Tree) -> tuple[Value, ...]:
        """The entries of a list among the file's values."""
        found = self.values.get(tree.name) if isinstance(tree, Name) and tree.name != self.item else None
        return tuple(found) if is_array(found) else ()

    def _called(self, tree: Call, *, yes: bool) -> str:
        if tree.of is None and tree.name == "has":
            return f"{self._noun(tree.args[0])} {_verb(tree.args[0])} {'known' if yes else 'missing'}"
        if tree.of is None and tree.name == "default":
            return self._boolean_default(tree, yes=yes)
        if tree.name in SEARCHES and tree.of is not None:
            return f"{self._noun(tree.of)} {SEARCHES[tree.name][0 if yes else 1]} {self._noun(tree.args[0])}"
        if tree.name in ("exists", "all") and tree.of is not None:
            some = (
                ("at least one of", "none of")
                if tree.name == "exists"
                else ("every one of", "not every one of")
            )
            return f"{some[0 if yes else 1]} {self._noun(tree.of)} fits ({self._each(tree)})"
        raise _Unsayable

    def _boolean_default(self, tree: Call, *, yes: bool) -> str:
        value, other = tree.args
        if not (isinstance(other, Lit) and other.kind == "bool"):
            raise _Unsayable
        if other.value is yes:  # what is missing counts as this
            said = self._clause(value)[0] if yes else self._not(value)[0]
            return f"({said}, or this is not known)"
        return f"{self._clause(value)[0]}" if yes else f"{self._not(value)[0]}"

    def _each(self, tree: Call) -> str:
        """What holds for an item, which is `it`; a loop inside of a loop would have two of them."""
        name, body = tree.args
        if self.item is not None or not isinstance(name, Name):
            raise _Unsayable
        return Words(self.values, name.name)._clause(body)[0]

    def _chosen(self, tree: Choice) -> str:
        """`a ? b : c ? d : e` as one list."""
        said: list[str] = []
        rest: Tree = tree
        while isinstance(rest, Choice):
            said.append(f"if {self._clause(rest.test)[0]}, then {self._clause(rest.yes)[0]}")
            rest = rest.no
        return "; ".join([*said, f"otherwise {self._clause(rest)[0]}"])

    # -- what is named ------------------------------------------------------------------------------------------

    def _noun(self, tree: Tree) -> str:
        match tree:
            case Lit():
                return literal(tree)
            case Name():
                return self._name(tree.name)
            case Attr():
                return self._field(tree)
            case Index():
                return self._numbered(tree)
            case Items():
                return _listed([self._noun(item) for item in tree.items])
            case Unary() if tree.op == "-":
                return f"minus {self._noun(tree.of)}"
            case Binary():
                return self._sum(tree)
            case Call():
                return self._worked_out(tree)
            case Choice():
                return f"({self._noun(tree.yes)} if {self._clause(tree.test)[0]}, otherwise {self._noun(tree.no)})"
            case _:
                raise _Unsayable

    def _name(self, name: str) -> str:
        if name == self.item:
            return "it"
        if name in self.values:
            return f"{value(self.values[name])} ({words(name)})"
        return OWN.get(name, f"the {label(name)}")

    def _field(self, tree: Attr) -> str:
        if isinstance(tree.of, Name):
            if tree.of.name == self.item:
                return f"its {label(tree.name)}"
            long = {"args": "the argument", "read": "the looked-up", "call": "the call's"}.get(tree.of.name)
            if tree.of.name == "values" and tree.name in self.values:
                return self._name(tree.name)
            if long is not None:
                known = tree.of.name == "call" and tree.name not in ("amount", "subject")
                return self._name(tree.name) if known else f"{long} {label(tree.name)}"
            return f"{_owner(self._name(tree.of.name))} {label(tree.name)}"
        return f"the {label(tree.name)} of {self._noun(tree.of)}"

    def _numbered(self, tree: Index) -> str:
        if isinstance(tree.index, Lit) and isinstance(tree.index.value, int):
            which = "the first" if tree.index.value == 0 else f"number {tree.index.value + 1}"
            return f"{which} of {self._noun(tree.of)}"
        raise _Unsayable

    def _sum(self, tree: Binary) -> str:
        if tree.op not in ADD:
            raise _Unsayable
        if _is_now(tree.left) and isinstance(tree.right, Lit) and tree.right.kind == "duration":
            span = self._noun(tree.right)
            return f"{span} ago" if tree.op == "-" else f"{span} from now"
        left, right = ((f"({self._noun(part)})" if isinstance(part, Binary) else self._noun(part)) for part in (tree.left, tree.right))  # fmt: skip
        return f"{left} {ADD[tree.op]} {right}"

    def _worked_out(self, tree: Call) -> str:
        if tree.of is not None:
            if tree.name == "first":
                return f"the first of {self._noun(tree.of)} that fits ({self._each(tree)})"
            if tree.name == "sum" and self.item is None and isinstance(tree.args[0], Name):
                part = Words(self.values, tree.args[0].name)._noun(tree.args[1])
                return f"the sum over {self._noun(tree.of)} of ({part})"
            raise _Unsayable
        said = [self._noun(arg) for arg in tree.args]
        if tree.name == "default" and len(said) == 2:
            other = "empty" if said[1] == '""' else f"or {said[1]}"
            return f"{said[0]} ({other} if that is missing)"
        forms: dict[str, Callable[[], str]] = {
            "size": lambda: f"the {'number' if _many(tree.args[0]) else 'size'} of {said[0]}", "lower": lambda: f"{said[0]} in small letters",
            "round": lambda: f"{said[0]} rounded", "min": lambda: f"the smallest of {_listed(said)}",
            "max": lambda: f"the largest of {_listed(said)}",
        }  # fmt: skip
        if tree.name not in forms:
            raise _Unsayable
        return forms[tree.name]()


# -- words for single things ----------------------------------------------------------------------------------------


def words(name: str) -> str:
    """`placed_at` and `placedAt` are "placed at"."""
    return " ".join(CAMEL.sub("_", name).lower().replace("_", " ").split())


def label(name: str) -> str:
    """A name inside of a sentence: `the "schedule at" is missing`."""
    said = words(name)
    return f'"{said}"' if said.rpartition(" ")[2] in AFTER else said


def quoted(text: str) -> str:
    """A condition as it stands in the file, on one line."""
    return f"`{' '.join(text.split())}`"


def literal(tree: Lit) -> str:
    if tree.kind == "money":
        return str(Money(*cast("tuple[int, str]", tree.value)))
    if tree.kind == "duration":
        return span(cast("int", tree.value))
    return "nothing" if tree.kind == "null" else value(tree.value)


def value(found: Value) -> str:
    """A constant, as people write it."""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, timedelta):
        return span(found.total_seconds())
    if isinstance(found, Fraction):
        return f"{float(found):.15g}"
    if isinstance(found, Money | Table | int | float):
        return str(found)
    return _listed([value(each) for each in found]) if is_array(found) else f'"{found}"'


def span(seconds: float) -> str:
    """The largest unit that says it whole."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds and seconds % size == 0:
            return _counted(int(seconds // size), unit)
    return _counted(int(seconds), "second")


def listed(said: Iterable[str], last: str = "and") -> str:
    """`a, b and c`."""
    *before, end = said
    return f"{', '.join(before)} {last} {end}" if before else end


def _listed(said: list[str]) -> str:
    return listed(said, "or") if said else "nothing"


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


def _owner(noun: str) -> str:
    return "its" if noun == "it" else f"{noun}'s"


def _many(tree: Tree) -> bool:
    """Whether a name sounds as if it stood for several."""
    last = words(tree.name).split()[-1] if isinstance(tree, Name | Attr) else ""
    return last.endswith("s") and not last.endswith(("ss", "us", "is")) and last != "address"


def _is_lower(tree: Tree) -> bool:
    return isinstance(tree, Call) and tree.of is None and tree.name == "lower" and len(tree.args) == 1


def _verb(tree: Tree) -> str:
    return "are" if _many(tree) else "is"


def _either(parts: list[tuple[str, int]]) -> str:
    return " or ".join(f"({text})" if loose != SIMPLE else text for text, loose in parts)


# -- trees ----------------------------------------------------------------------------------------------------------


def _tree(text: str) -> Tree | None:
    try:
        return parse(text)
    except Unreadable:
        return None


def _flat(op: str, tree: Tree) -> list[Tree]:
    if isinstance(tree, Binary) and tree.op == op:
        return [*_flat(op, tree.left), *_flat(op, tree.right)]
    return [tree]


def _is_now(tree: Tree) -> bool:
    return path_of(tree) in (("now",), ("call", "now"))


def _is_time(tree: Tree) -> bool:
    """As far as the words alone tell."""
    return _is_now(tree) or (isinstance(tree, Binary) and tree.op in "+-" and _is_now(tree.left))


def _parts(tree: Tree) -> tuple[Tree, ...]:
    """The clauses that a clause is made of."""
    match tree:
        case Binary() if tree.op in ("&&", "||"):
            return (tree.left, tree.right)
        case Unary() if tree.op == "!":
            return (tree.of,)
        case Choice():
            return (tree.test, tree.yes, tree.no)
        case Call() if tree.name in ("exists", "all", "first") and len(tree.args) == 2:
            return (tree.args[1],)
        case _:
            return ()


def _clauses(tree: Tree) -> int:
    return sum(map(_clauses, _parts(tree))) or 1


def _brackets(tree: Tree) -> int:
    """How often the words would nest."""
    inner = [
        _brackets(part) + (type(part) is not type(tree) or getattr(part, "op", "") != getattr(tree, "op", ""))
        for part in _parts(tree)
    ]
    return max(inner, default=0)
