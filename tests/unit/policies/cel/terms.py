"""A condition in three readings: ours, the same in CEL, and CEL that says what differs on purpose.

`cel` has the same words and brackets as ours, so CEL's own parser must find the same meaning; only what CEL has no word for is
translated: `2` beside decimals is `2.0`, `2 hours` is `duration("7200s")`, `has(x)` also asks that x is not null, `and` is `&&`.
`strict` is fully in brackets and says where an error stays: `a || b` is `a ? true : b`, a loop is written out item by item, a
division by zero and a comparison of unlike kinds are errors. So `strict` is equal in value and in error; `cel` has the same
value wherever ours has one, for CEL drops some errors and never adds one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

CHOICE, OR, AND, NOT, COMPARE, SUM, PRODUCT, UNARY, POSTFIX = range(9)
EXACT = 2**50  # what a double holds exactly; both sides then compute the same number
LONGEST_LIST = 3
ERROR = "(1 / 0 == 1)"


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a condition. Of a number also: how large it can be, and how many binary places it can have."""

    ours: str
    cel: str
    strict: str
    level: int = POSTFIX
    most: int = 0
    fine: int = 0

    def at(self, level: int) -> "Term":
        """In brackets, where it binds weaker than its place needs."""
        if self.level >= level:
            return self
        return replace(self, ours=f"({self.ours})", cel=f"({self.cel})", level=POSTFIX)


@dataclass(frozen=True, slots=True)
class Perhaps:
    """A value that can be missing: it may be used only where something says that it is there."""

    kind: str
    value: Term
    there: str
    null: bool = False  # only null, never missing: then `x == null` is the same in CEL


@dataclass(frozen=True, slots=True)
class Known:
    """What may be used in this place."""

    terms: Mapping[str, tuple[Term, ...]]
    optional: tuple[Perhaps, ...]
    loops: int = 0

    def with_term(self, kind: str, *more: Term) -> "Known":
        return replace(self, terms={**self.terms, kind: (*self.terms.get(kind, ()), *more)})


def same(text: str, **more: int) -> Term:
    return Term(text, text, text, **more)


def renamed(ours: str, in_cel: str, **more: int) -> Term:
    return Term(ours, in_cel, in_cel, **more)


def joined(op: str, left: Term, right: Term, level: int) -> Term:
    one, two = left.at(level), right.at(level + 1)
    return Term(
        f"{one.ours} {op} {two.ours}",
        f"{one.cel} {op} {two.cel}",
        f"({left.strict} {op} {right.strict})",
        level,
    )


def compare(op: str, left: Term, right: Term) -> Term:
    """Never chained: on both sides stands a sum, or brackets."""
    return replace(joined(op, left.at(SUM), right.at(SUM), COMPARE), level=COMPARE)


def both(left: Term, right: Term, word: bool) -> Term:
    return replace(
        _words("and", "&&", left, right, AND, word), strict=f"({left.strict} ? {right.strict} : false)"
    )


def either(left: Term, right: Term, word: bool) -> Term:
    return replace(
        _words("or", "||", left, right, OR, word), strict=f"({left.strict} ? true : {right.strict})"
    )


def _words(word: str, op: str, left: Term, right: Term, level: int, as_word: bool) -> Term:
    term = joined(op, left, right, level)
    one, two = left.at(level), right.at(level + 1)
    return replace(term, ours=f"{one.ours} {word} {two.ours}") if as_word else term


def negation(of: Term, word: bool) -> Term:
    """`not` binds weaker than a comparison, `!` stronger."""
    strict = f"(!{of.strict})"
    if word:
        inner = of.at(NOT)
        return Term(f"not {inner.ours}", f"!({inner.cel})", strict, NOT)
    inner = of.at(UNARY)
    return Term(f"!{inner.ours}", f"!{inner.cel}", strict, UNARY)


def chosen(test: Term, yes: Term, no: Term) -> Term:
    one, two = test.at(OR), yes.at(OR)  # CEL's grammar wants brackets around a choice between ? and :
    return Term(
        f"{one.ours} ? {two.ours} : {no.ours}", f"{one.cel} ? {two.cel} : {no.cel}",
        f"({test.strict} ? {yes.strict} : {no.strict})", CHOICE, max(yes.most, no.most), max(yes.fine, no.fine),
    )  # fmt: skip


def listed(items: Sequence[Term]) -> Term:
    return ways(lambda texts: f"[{', '.join(texts)}]", *items)


def ways(make: Callable[[Sequence[str]], str], *parts: Term) -> Term:
    """The same written around each reading of the parts."""
    return Term(
        make([part.ours for part in parts]),
        make([part.cel for part in parts]),
        make([part.strict for part in parts]),
    )


def walked(name: str, of: Term, item: str, body: Term, anything: bool) -> Term:
    """A loop; `strict` is written out, for CEL's own loops forget an error as soon as another item decides."""
    strict = ends = "false" if name == "exists" else "true"
    for at in reversed(range(LONGEST_LIST)):
        here = re.sub(rf"\b{item}\b", lambda _, at=at: f"{of.strict}[{at}]", body.strict)
        decided = f"{here} ? true : {strict}" if name == "exists" else f"{here} ? {strict} : false"
        strict = f"(size({of.strict}) <= {at} ? {ends} : {decided})"
    if anything:
        strict = f"(type({of.strict}) == list ? {strict} : {ERROR})"
    return Term(f"{of.ours}.{name}({item}, {body.ours})", f"{of.cel}.{name}({item}, {body.cel})", strict)
