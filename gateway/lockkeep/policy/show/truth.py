"""Whether conditions can hold at all: literals, bounds and options. What it does not understand counts as possible.

A condition becomes alternatives, each a set of plain facts that hold together (`amount > 100 EUR`, `kind == "lead"`).
An alternative whose facts exclude one another can never hold.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from itertools import product
from typing import Literal, cast

from lockkeep.policy.conditions.checked import Code
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import Binary, Call, Choice, Lit, Tree, Unary, below, parse
from lockkeep.policy.conditions.runtime import EvalError, Money, Value, is_array
from lockkeep.policy.rules.rule import Condition, Rule

MOST = 256  # alternatives; beyond that nothing is claimed
OPPOSITE = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}
MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
ANY_CURRENCY = "*"  # of 0, which needs none
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """`key op number`. `unit`: the currency, `s` for durations, empty for plain numbers."""

    key: Key
    op: str
    number: Fraction
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Among:
    """The text is (or is not) one of these; `options` are all it can be, where the schema says."""

    key: Key
    values: frozenset[str]
    yes: bool
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fact:
    """Anything else, which holds or does not."""

    key: Key
    yes: bool


Plain = Bound | Among | Fact
Alternative = frozenset[Plain]


@dataclass(frozen=True, slots=True)
class Truth:
    """Alternatives of which one holds. `known` is false where there were too many to look at."""

    alternatives: tuple[Alternative, ...] = ()
    known: bool = True

    @property
    def never(self) -> bool:
        return self.known and all(_excluded(each) for each in self.alternatives)

    def also(self, other: "Truth") -> "Truth":
        """Both hold."""
        if not (self.known and other.known) or len(self.alternatives) * len(other.alternatives) > MOST:
            return UNKNOWN
        pairs = product(self.alternatives, other.alternatives)
        return Truth(tuple(dict.fromkeys(left | right for left, right in pairs)))

    def otherwise(self, other: "Truth") -> "Truth":
        """One of them holds."""
        if not (self.known and other.known) or len(self.alternatives) + len(other.alternatives) > MOST:
            return UNKNOWN
        return Truth((*self.alternatives, *other.alternatives))


UNKNOWN = Truth(known=False)
ALWAYS, NEVER = Truth((frozenset(),)), Truth()


def holds(condition: Condition, yes: bool = True) -> Truth:
    """When the condition is true, or (not `yes`) false."""
    try:
        return _of(parse(condition.text), condition.code, yes)
    except Unreadable:
        return UNKNOWN


def all_hold(conditions: Iterable[Condition]) -> Truth:
    found = ALWAYS
    for condition in conditions:
        found = found.also(holds(condition))
    return found


def some_fails(conditions: Iterable[Condition]) -> Truth:
    found = NEVER
    for condition in conditions:
        found = found.otherwise(holds(condition, yes=False))
    return found


def parts(conditions: Iterable[Condition]) -> list[Truth]:
    """What `&&`, or a list, joins: each for itself."""
    found: list[Truth] = []
    for condition in conditions:
        try:
            found += [_of(tree, code, True) for tree, code in _joined(parse(condition.text), condition.code)]
        except Unreadable:
            found.append(UNKNOWN)
    return found


def fires(rule: Rule) -> Truth:
    """When the rule fires, as far as its conditions say it."""
    return all_hold(rule.when).also(some_fails(rule.unless) if rule.unless else ALWAYS)


def stays_silent(rule: Rule) -> Truth:
    return some_fails(rule.when).otherwise(all_hold(rule.unless) if rule.unless else NEVER)


def compared(old: Rule, new: Rule) -> Literal["less", "more", "same", "other"]:
    """Whether the new rule fires for fewer calls than the old one, for more, or the same; `other` where nobody can tell."""
    fewer = fires(new).also(stays_silent(old)).never
    more = fires(old).also(stays_silent(new)).never
    return "same" if fewer and more else "less" if fewer else "more" if more else "other"


def below_zero(*paths: tuple[str, ...]) -> Truth:
    """That these fields, which are names of one amount, are less than nothing; so they are there, too."""
    less = {Bound(("path", *path), "<", Fraction(0), ANY_CURRENCY) for path in paths}
    return Truth((frozenset[Plain](less),)).also(are_there(*paths))


def are_there(*paths: tuple[str, ...]) -> Truth:
    """That each of these fields has a value; so has all that it is part of."""
    steps = {path[:length] for path in paths for length in range(1, len(path) + 1)}
    return Truth((frozenset[Plain](Fact(("has", ("path", *step)), yes=True) for step in steps),))


# -- conditions become alternatives -------------------------------------------------------------------------------


def _of(tree: Tree, code: Code, yes: bool) -> Truth:
    fixed, value = constant(code)
    if fixed and isinstance(value, bool):
        return ALWAYS if value == yes else NEVER
    match tree:
        case Binary() if tree.op in ("&&", "||") and len(code.parts) == 2:
            left, right = _of(tree.left, code.parts[0], yes), _of(tree.right, code.parts[1], yes)
            return left.also(right) if (tree.op == "&&") == yes else left.otherwise(right)
        case Unary() if tree.op == "!":
            return _of(tree.of, code.parts[0], not yes)
        case Choice():
            return _chosen(tree, code, yes)
        case Binary() if _is_null(tree.left) or _is_null(tree.right):
            other = tree.right if _is_null(tree.left) else tree.left
            return _one(Fact(("has", _key(other, code.parts[0])), (tree.op == "!=") == yes))
        case Binary() if tree.op in OPPOSITE:
            return _compared(tree, code, tree.op if yes else OPPOSITE[tree.op])
        case Binary() if tree.op == "in":
            return _among(tree, code, yes)
        case Call() if tree.name == "has" and tree.of is None:
            return _one(Fact(("has", _key(tree.args[0], code.parts[0])), yes))
        case _:
            return _one(Fact(_key(tree, code), yes))


def _joined(tree: Tree, code: Code) -> list[tuple[Tree, Code]]:
    if isinstance(tree, Binary) and tree.op == "&&" and len(code.parts) == 2:
        return [*_joined(tree.left, code.parts[0]), *_joined(tree.right, code.parts[1])]
    return [(tree, code)]


def _chosen(tree: Choice, code: Code, yes: bool) -> Truth:
    test, first, second = code.parts
    one = _of(tree.test, test, True).also(_of(tree.yes, first, yes))
    return one.otherwise(_of(tree.test, test, False).also(_of(tree.no, second, yes)))


def _compared(tree: Binary, code: Code, op: str) -> Truth:
    left, right = code.parts
    fixed_left, fixed_right = constant(left), constant(right)
    if fixed_left[0] and fixed_right[0]:
        return _worked_out(code, tree.op == op)
    if fixed_right[0]:
        return _with_literal(_key(tree.left, left), left, op, fixed_right[1])
    if fixed_left[0]:
        return _with_literal(_key(tree.right, right), right, MIRRORED[op], fixed_left[1])
    one, other = _key(tree.left, left), _key(tree.right, right)
    if op in ("==", "!="):
        return _one(Fact(("==", *sorted((one, other), key=str)), op == "=="))
    first, second = (one, other) if op in ("<", ">=") else (other, one)
    return _one(Fact(("<", first, second), op in ("<", ">")))


def _worked_out(code: Code, as_written: bool) -> Truth:
    """Two fixed values."""
    try:
        return ALWAYS if bool(code.run({})) == as_written else NEVER
    except (EvalError, KeyError):
        return UNKNOWN


def _with_literal(key: Key, code: Code, op: str, value: Value) -> Truth:
    measured = _measured(value)
    if measured is not None:
        number, unit = measured
        unit = ANY_CURRENCY if code.type.kind == "money" and not unit else unit
        if op == "!=":
            under, over = Bound(key, "<", number, unit), Bound(key, ">", number, unit)
            return _one(under).otherwise(_one(over))
        if op == "==":
            return Truth((frozenset({Bound(key, "<=", number, unit), Bound(key, ">=", number, unit)}),))
        return _one(Bound(key, op, number, unit))
    if isinstance(value, bool):
        return _one(Fact(key, value == (op == "==")))
    if isinstance(value, str) and op in ("==", "!="):
        return _one(Among(key, frozenset({value}), op == "==", code.type.options))
    return _one(Fact((op, key, str(value)), True))


def _among(tree: Binary, code: Code, yes: bool) -> Truth:
    item, items = code.parts
    fixed, values = constant(items)
    if fixed and is_array(values) and values and all(isinstance(value, str) for value in values):
        words = cast("list[str]", values)
        return _one(Among(_key(tree.left, item), frozenset(words), yes, item.type.options))
    return _one(Fact(_key(tree, code), yes))


def constant(code: Code) -> tuple[bool, Value]:
    """Whether it is the same in every call, and what."""
    if code.literal:
        return True, code.value
    if code.path is not None and code.path[0] == "values" and len(code.path) == 2:
        return True, code.run({})
    return False, None


def _measured(value: Value) -> tuple[Fraction, str] | None:
    """The number and its unit, of what has an order."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Fraction):
        return Fraction(value), ""
    if isinstance(value, Money):
        return Fraction(value.minor), value.currency
    if isinstance(value, timedelta):
        return Fraction(value // timedelta(microseconds=1)), "s"
    return None


def _one(fact: Plain) -> Truth:
    return Truth((frozenset({fact}),))


def _is_null(tree: Tree) -> bool:
    return isinstance(tree, Lit) and tree.kind == "null"


def _key(tree: Tree, code: Code) -> Key:
    """One name for one thing: the path of a field, else the words as they stand."""
    if code.path is not None and not code.path[0].startswith("$"):
        return ("path", *code.path)
    return shape(tree)


def shape(tree: Tree) -> Key:
    """The tree without its places."""
    own = [
        str(getattr(tree, name)) for name in ("op", "name", "kind", "value") if hasattr(tree, name)
    ]  # what tells one from another of its sort
    return (type(tree).__name__, *own, *(shape(part) for part in below(tree)))


# -- facts that exclude one another -------------------------------------------------------------------------------


@dataclass(slots=True)
class _Range:
    """What the bounds of one key leave."""

    low: Fraction | None = None
    high: Fraction | None = None
    open_low: bool = False
    open_high: bool = False

    def narrow(self, bound: Bound) -> None:
        number, is_open = bound.number, bound.op in ("<", ">")
        if bound.op in (">", ">="):
            if self.low is None or (number, is_open) > (self.low, self.open_low):
                self.low, self.open_low = number, is_open
        elif self.high is None or (number, not is_open) < (self.high, not self.open_high):
            self.high, self.open_high = number, is_open

    @property
    def empty(self) -> bool:
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and (self.open_low or self.open_high))


@dataclass(slots=True)
class _Words:
    """What is left of the texts one key can be."""

    allowed: frozenset[str] | None = None
    excluded: set[str] = field(default_factory=set[str])

    def narrow(self, among: Among) -> None:
        if among.options and self.allowed is None:
            self.allowed = frozenset(among.options)
        if among.yes:
            self.allowed = among.values if self.allowed is None else self.allowed & among.values
        else:
            self.excluded |= among.values

    @property
    def empty(self) -> bool:
        return self.allowed is not None and not self.allowed - self.excluded


def _excluded(facts: Alternative) -> bool:
    said = {(each.key, each.yes) for each in facts if isinstance(each, Fact)}
    if any((key, not yes) in said for key, yes in said):
        return True
    return _words_excluded(facts) or _bounds_excluded([each for each in facts if isinstance(each, Bound)])


def _words_excluded(facts: Alternative) -> bool:
    words: dict[Key, _Words] = {}
    for each in facts:
        if isinstance(each, Among):
            words.setdefault(each.key, _Words()).narrow(each)
    return any(each.empty for each in words.values())


def _bounds_excluded(bounds: list[Bound]) -> bool:
    """Each currency for itself: what compares two of them is an error, not a contradiction."""
    for key in {bound.key for bound in bounds}:
        own = [bound for bound in bounds if bound.key == key]
        units = {bound.unit for bound in own if bound.unit != ANY_CURRENCY} or {ANY_CURRENCY}
        for unit in units:
            left = _Range()
            if key[:2] == ("Call", "size"):
                left.low = Fraction(0)  # nothing has fewer than no items
            for bound in own:
                if bound.unit in (unit, ANY_CURRENCY):
                    left.narrow(bound)
            if left.empty:
                return True
    return False
