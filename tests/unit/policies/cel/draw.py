"""Conditions drawn at random, of every type, as deep as wanted, and none that a file would refuse."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from random import Random

from tests.unit.policies.cel.terms import (
    COMPARE,
    ERROR,
    EXACT,
    LONGEST_LIST,
    OR,
    POSTFIX,
    PRODUCT,
    SUM,
    UNARY,
    Known,
    Perhaps,
    Term,
    both,
    chosen,
    compare,
    either,
    joined,
    listed,
    negation,
    renamed,
    same,
    walked,
    ways,
)  # fmt: skip

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
ORDER = ("==", "!=", "<", "<=", ">", ">=")


def _there(path: str) -> str:
    """CEL for: every step is there and not null."""
    steps = path.split(".")
    paths = [".".join(["args", *steps[: at + 1]]) for at in range(len(steps))]
    return "(" + " && ".join(f"has({each}) && {each} != null" for each in paths) + ")"


def _missing(kind: str, path: str, **more: int) -> Perhaps:
    return Perhaps(kind, renamed(path, f"args.{path}", **more), _there(path))


def _fields(kind: str, *names: str, **more: int) -> tuple[Term, ...]:
    return (*(same(name, **more) for name in names), *(same(f"args.{name}", **more) for name in names))


START = Known(
    {
        "whole": _fields("whole", "k", "l", most=20),
        "number": _fields("number", "n", "m", most=64, fine=3),
        "by": _fields("number", "p", most=8, fine=2),
        "text": _fields("text", "t", "u"),
        "bool": _fields("bool", "b", "c"),
        "time": tuple(renamed(name, f"timestamp({name})") for name in ("at", "due", "args.at")),
        "any": _fields("any", "x", "y"),
    },
    (
        _missing("number", "perhaps", most=64, fine=3), _missing("text", "word"), _missing("number", "both", most=64, fine=3),
        _missing("number", "deep.a.c", most=64, fine=3), Perhaps("text", same("nul"), "(nul != null)", null=True),
    ),
)  # fmt: skip
TEXTS = (
    "", "a", "A", "b", "abc", "bcd", "é", "😀", "it's", 'say "a"', "two\nlines", "tab\tand \\", "i", "ünï", "\uffff",
)  # fmt: skip


class Draw:
    """One random condition after the other, from one seed."""

    def __init__(self, chance: Random) -> None:
        self.chance, self.names = chance, 0

    def root(self) -> tuple[str, Term]:
        kind = self.chance.choice(["bool"] * 7 + ["number", "text", "time", "duration"])
        depth = self.chance.choice((1, 2, 3, 3, 4))
        return kind, self.of(kind, depth, START)

    def of(self, kind: str, depth: int, known: Known) -> Term:
        makes = {
            "bool": self.truth, "number": self.number, "whole": self.whole, "text": self.text, "time": self.time,
            "duration": self.duration,
        }  # fmt: skip
        return makes[kind](depth, known)

    # -- values -------------------------------------------------------------------------------------------------

    def whole(self, depth: int, known: Known) -> Term:
        """CEL's int."""
        what = self.chance.randrange(12) if depth > 0 else self.chance.randrange(4)
        if what < 2:
            return self.chance.choice(known.terms["whole"])
        if what < 3:
            value = self.chance.choice((0, 1, 2, 3, 7, 10, 100))
            return same(str(value), most=value)
        if what < 4:
            return same(f"size({self.chance.choice(('t', 'names', 'numbers', 'lines', 'args.u'))})", most=20)
        if what < 5:
            of = self.text(depth - 1, known)
            return replace(ways(lambda texts: f"size({texts[0]})", of), most=4000)
        if what < 6:
            return self.choice("whole", depth, known)
        if what < 7:
            return self.minus(self.whole(depth - 1, known))
        return self.sum(
            self.whole(depth - 1, known), self.whole(depth - 1, known), ("+", "-", "*", "%", "%", "%")
        )

    def number(self, depth: int, known: Known) -> Term:
        """CEL's double."""
        what = self.chance.randrange(15) if depth > 0 else self.chance.randrange(5)
        if what < 3:
            return self.chance.choice(known.terms["number"])
        if what < 5:
            value = Fraction(
                self.chance.choice((0, 1, 2, 3, 10, 1000, 4096)), self.chance.choice((1, 1, 2, 8))
            )
            return renamed(self.written(value), str(float(value)), most=4096, fine=3)
        if what < 7:
            of = self.whole(depth - 1, known)
            return replace(of, cel=f"double({of.cel})", strict=f"double({of.strict})")
        if what < 8:
            return self.choice("number", depth, known)
        if what < 9:
            return self.minus(self.number(depth - 1, known))
        if what < 10:
            return self.default("number", known)
        if what < 11:
            return self.function(depth, known)
        if what < 13:
            return self.divided(self.number(depth - 1, known), self.chance.choice(known.terms["by"]))
        return self.sum(self.number(depth - 1, known), self.number(depth - 1, known), ("+", "-", "*"))

    def written(self, value: Fraction) -> str:
        """One number type: 2 and 2.0 are the same."""
        whole = value.denominator == 1 and self.chance.random() < 0.6
        return str(int(value)) if whole else str(float(value))

    def sum(self, left: Term, right: Term, ops: Sequence[str]) -> Term:
        op = self.chance.choice(ops)
        most = left.most * right.most if op == "*" else left.most + right.most
        fine = left.fine + right.fine if op == "*" else max(left.fine, right.fine)
        if most << fine >= EXACT:  # over 2^53 ours is an error, and doubles are no longer exact
            return left
        return replace(joined(op, left, right, PRODUCT if op in "*%" else SUM), most=most, fine=fine)

    def divided(self, left: Term, by: Term) -> Term:
        """By powers of two, which doubles divide by exactly, or by zero, which CEL's doubles answer with infinity."""
        most, fine = left.most * 4, left.fine + 3
        if most << fine >= EXACT:
            return left
        term = joined("/", left, by, PRODUCT)
        strict = f"({by.strict} == 0.0 ? double(1 / 0) : {left.strict} / {by.strict})"
        return replace(term, strict=strict, most=most, fine=fine)

    def minus(self, of: Term) -> Term:
        inner = of.at(UNARY)
        return Term(f"-{inner.ours}", f"-{inner.cel}", f"(-{of.strict})", UNARY, of.most, of.fine)

    def function(self, depth: int, known: Known) -> Term:
        """CEL's official extension for mathematics is the oracle here."""
        left, right = self.number(depth - 1, known), self.number(depth - 1, known)
        ours, theirs = self.chance.choice(
            (("min", "math.least"), ("max", "math.greatest"), ("round", "math.round"))
        )
        parts = (left,) if ours == "round" else (left, right)
        term = ways(lambda texts: f"{ours}({', '.join(texts)})", *parts)
        return replace(
            term,
            cel=term.cel.replace(ours, theirs, 1),
            strict=term.strict.replace(ours, theirs, 1),
            most=max(left.most, right.most) + 1,
            fine=max(left.fine, right.fine),
        )

    def text(self, depth: int, known: Known) -> Term:
        what = self.chance.randrange(10) if depth > 0 else self.chance.randrange(6)
        if what < 3:
            return self.chance.choice(known.terms["text"])
        if what < 6:
            return self.literal()
        if what < 7:
            return self.choice("text", depth, known)
        if what < 8:
            return self.default("text", known)
        if what < 9:
            of = self.text(depth - 1, known)  # only what is in ASCII is made lower by both in one way
            return Term(
                f"lower({of.ours})", f"{of.at(POSTFIX).cel}.lowerAscii()", f"{of.strict}.lowerAscii()"
            )
        return joined("+", self.text(depth - 1, known), self.text(depth - 1, known), SUM)

    def literal(self, texts: Sequence[str] = TEXTS) -> Term:
        value = self.chance.choice(texts)
        quote = self.chance.choice("'\"")
        for char, escaped in (("\\", "\\\\"), ("\n", "\\n"), ("\t", "\\t"), (quote, f"\\{quote}")):
            value = value.replace(char, escaped)
        return same(f"{quote}{value}{quote}")

    def time(self, depth: int, known: Known) -> Term:
        if depth <= 0 or self.chance.random() < 0.5:
            return self.chance.choice(known.terms["time"])
        op = self.chance.choice("+-")
        return joined(op, self.time(depth - 1, known), self.duration(depth - 1, known), SUM)

    def duration(self, depth: int, known: Known) -> Term:
        what = self.chance.randrange(4) if depth > 0 else 0
        if what == 0:
            count, (unit, seconds) = (
                self.chance.choice((1, 2, 24, 90)),
                self.chance.choice(tuple(SECONDS.items())),
            )
            plural = self.chance.choice(("", "s"))
            return renamed(f"{count} {unit}{plural}", f'duration("{count * seconds}s")')
        if what == 1:
            return joined(
                self.chance.choice("+-"),
                self.duration(depth - 1, known),
                self.duration(depth - 1, known),
                SUM,
            )
        return joined("-", self.time(depth - 1, known), self.time(depth - 1, known), SUM)

    def choice(self, kind: str, depth: int, known: Known) -> Term:
        test = self.truth(depth - 1, known)
        yes, no = self.of(kind, depth - 1, known), self.of(kind, depth - 1, known)
        return chosen(test, yes, no)

    def default(self, kind: str, known: Known) -> Term:
        """`default(x, y)`; also of an item of a list, which can be missing."""
        if kind == "text" and self.chance.random() < 0.4:
            at, other = self.chance.randrange(3), self.literal()
            there = f"(size(names) > {at} ? names[{at}] : {other.cel})"
            return renamed(f"default(names[{at}], {other.ours})", there)
        found = [each for each in known.optional if each.kind == kind]
        value = self.chance.choice(found)
        other = (
            self.chance.choice(known.terms[kind]) if self.chance.random() < 0.5 else self.of(kind, 0, known)
        )
        one = value.value
        return Term(
            f"default({one.ours}, {other.ours})",
            f"({value.there} ? {one.cel} : {other.at(OR).cel})",
            f"({value.there} ? {one.strict} : {other.strict})",
            most=max(one.most, other.most), fine=max(one.fine, other.fine),
        )  # fmt: skip

    # -- true or false ------------------------------------------------------------------------------------------

    def truth(self, depth: int, known: Known) -> Term:
        if depth <= 0:
            what = self.chance.randrange(5)
            if what == 0:
                return same(self.chance.choice(("true", "false")))
            return (
                self.chance.choice(known.terms["bool"]) if what < 3 else self.compared(self.kind(), 0, known)
            )
        what = self.chance.randrange(28)
        if what < 6:
            return self.logic(depth, known)
        if what < 12:
            return self.compared(self.kind(), depth - 1, known)
        if what < 14:
            return self.negated(self.truth(depth - 1, known))
        if what < 17:
            return self.guarded(depth, known)
        if what < 20 and known.loops < 2:
            return self.loop(depth, known)
        if what < 21:
            return self.choice("bool", depth, known)
        if what < 23:
            return self.membership(depth - 1, known)
        if what < 25:
            return self.searched(depth - 1, known)
        if what < 26:
            return self.equal_parts()
        return self.of_anything(depth - 1, known)

    def kind(self) -> str:
        return self.chance.choice(("number", "number", "whole", "text", "text", "time", "duration", "bool"))

    def compared(self, kind: str, depth: int, known: Known) -> Term:
        ops = ORDER[:2] if kind == "bool" else ORDER
        return compare(self.chance.choice(ops), self.of(kind, depth, known), self.of(kind, depth, known))

    def logic(self, depth: int, known: Known) -> Term:
        left, right = self.truth(depth - 1, known), self.truth(depth - 1, known)
        return (
            both(left, right, self.word()) if self.chance.random() < 0.5 else either(left, right, self.word())
        )

    def word(self) -> bool:
        return self.chance.random() < 0.3

    def negated(self, of: Term) -> Term:
        return negation(of, self.word())

    def guarded(self, depth: int, known: Known) -> Term:
        """What can be missing, used where it is known to be there."""
        of = self.chance.choice(known.optional)
        there, absent = self.guard(of)
        inside = known.with_term(of.kind, of.value)
        used = (
            compare(self.chance.choice(ORDER), of.value, self.of(of.kind, depth - 1, known))
            if self.chance.random() < 0.6
            else self.truth(depth - 1, inside)
        )
        what = self.chance.randrange(4)
        if what == 0:
            return both(there, used, self.word())
        if what == 1:
            return either(absent, used, self.word())
        if what == 2:
            return chosen(there, used, self.truth(depth - 1, known))
        return chosen(absent, self.truth(depth - 1, known), used)

    def guard(self, of: Perhaps) -> tuple[Term, Term]:
        """That it is there, and that it is not, in one of the forms of each."""
        there, value = of.there, of.value
        has = renamed(f"has({value.ours})", there)
        if self.chance.random() < 0.5:
            return has, negation(has, self.word())
        sides = [value.ours, "null"]
        self.chance.shuffle(sides)
        if of.null:
            there = f"{sides[0]} != {sides[1]}"
            return same(there, level=COMPARE), same(there.replace("!=", "=="), level=COMPARE)
        return (
            renamed(f"{sides[0]} != {sides[1]}", there, level=COMPARE),
            renamed(f"{sides[0]} == {sides[1]}", f"(!{there})", level=COMPARE),
        )

    def membership(self, depth: int, known: Known) -> Term:
        kind = self.chance.choice(("number", "whole", "text"))
        item = self.of(kind, depth, known)
        named = {"number": "numbers", "text": "names"}.get(kind)
        items = (
            same(named)
            if named and self.chance.random() < 0.5
            else listed([self.of(kind, 0, known) for _ in range(self.chance.randrange(4))])
        )
        return compare("in", item, items)

    def searched(self, depth: int, known: Known) -> Term:
        name = self.chance.choice(("startsWith", "endsWith", "contains"))
        of, what = self.text(depth, known), self.literal(("a", "b", "bc", "c", "😀", ""))
        inner = of.at(POSTFIX)
        return Term(
            f"{inner.ours}.{name}({what.ours})",
            f"{inner.cel}.{name}({what.cel})",
            f"{of.strict}.{name}({what.strict})",
        )

    def equal_parts(self) -> Term:
        """Lists and objects are equal part by part."""
        pairs = (
            ("thing", "other"), ("other", "args.thing"), ("names", '["a", "b"]'), ("names", "args.names"), ("names", "[]"),
            ("[[1.0, 2.0], [2.5]]", "[[1.0, 2.0], [numbers.exists(i, i == 2.0) ? 2.5 : 3.0]]"), ("numbers", "[1.0, 2.5]"),
        )  # fmt: skip
        left, right = self.chance.choice(pairs)
        return compare(self.chance.choice(ORDER[:2]), same(left), same(right))

    def loop(self, depth: int, known: Known) -> Term:
        self.names += 1
        item = f"i{self.names}"
        over = self.chance.choice(("names", "numbers", "lines", "lines", "numbers", "listed", "x"))
        inner = replace(known, loops=known.loops + 1)
        of = same(over)
        if over == "names":
            inner = inner.with_term("text", *[same(item)] * 4)
        elif over == "numbers":
            inner = inner.with_term("number", *[same(item, most=64, fine=3)] * 4)
        elif over == "lines":
            inner = inner.with_term("text", *[same(f"{item}.sku")] * 2)
            inner = inner.with_term("number", *[same(f"{item}.price", most=64, fine=3)] * 4)
            note = Perhaps("text", same(f"{item}.note"), f"has({item}.note)")
            inner = replace(inner, optional=(*inner.optional, *[note] * 3))
        elif over == "x":
            inner = inner.with_term("any", *[same(item)] * 4)
        else:
            of = listed([self.whole(0, known) for _ in range(self.chance.randrange(1, LONGEST_LIST + 1))])
            inner = inner.with_term("whole", *[same(item, most=4096)] * 4)
        return walked(
            self.chance.choice(("exists", "all")), of, item, self.body(over, item, depth, inner), over == "x"
        )

    def body(self, over: str, item: str, depth: int, known: Known) -> Term:
        """Often one that fails for some items, so that it matters where a loop ends."""
        fails = self.chance.random() < 0.6
        if over == "x" and fails:
            return self.equal_anything(same(item), 0, known)
        if over == "listed" and fails:
            rest = joined("%", self.whole(0, START), same(item), PRODUCT)
            return compare(self.chance.choice(ORDER), rest, self.whole(0, START))
        return self.truth(depth - 1, known)

    # -- open schemas -------------------------------------------------------------------------------------------

    def of_anything(self, depth: int, known: Known) -> Term:
        """A value of any kind: where it does not fit, both fail."""
        value = self.chance.choice(known.terms["any"])
        what = self.chance.randrange(9)
        if what == 0:  # as a condition
            return self.as_condition(value, self.truth(depth, known))
        if what == 1:
            return replace(negation(value, self.word()), strict=f"({value.strict} ? false : true)")
        if what == 2:
            return compare(self.chance.choice(ORDER[2:]), value, self.number(depth, known))
        if what == 3:
            return compare(self.chance.choice(ORDER[2:]), self.text(depth, known), value)
        if what == 4:
            added = joined(self.chance.choice("+-*"), value, self.number(0, START), SUM)
            return compare(self.chance.choice(ORDER[2:]), added, self.number(0, known))
        if what == 5:
            of = ways(lambda texts: f"size({texts[0]})", value)
            return compare(self.chance.choice(ORDER), of, self.whole(0, known))
        if what == 6:
            return ways(lambda texts: f"{texts[0]}.contains({texts[1]})", value, self.text(0, known))
        if what == 7:
            return self.field_of_anything()
        return self.equal_anything(value, depth, known)

    def as_condition(self, value: Term, other: Term) -> Term:
        value = replace(value, strict=f"({value.strict} ? true : false)")
        pair = (value, other) if self.chance.random() < 0.5 else (other, value)
        made = (
            both(*pair, self.word()),
            either(*pair, self.word()),
            chosen(value, other, negation(other, self.word())),
        )
        return self.chance.choice(made)

    def equal_anything(self, value: Term, depth: int, known: Known) -> Term:
        """Unlike kinds, and null, are an error; CEL says that they are not equal."""
        if self.chance.random() < 0.3:
            other, kind = self.chance.choice(known.terms["any"]), ""
        else:
            name, kind = self.chance.choice((("number", "double"), ("text", "string"), ("bool", "bool")))
            other = self.of(name, depth, known)
        term = compare(self.chance.choice(ORDER[:2]), value, other)
        alike = f"type({value.strict}) == {kind or f'type({other.strict})'}"
        return replace(
            term,
            strict=f"({alike} && type({value.strict}) != null_type ? {term.strict} : {other.strict} == {other.strict} && {ERROR})",
        )

    def field_of_anything(self) -> Term:
        """`has` of what cannot have fields is an error; of null it is false."""
        has = renamed("has(z.a)", "(type(z) == null_type ? false : has(z.a) ? z.a != null : false)")
        used = compare(self.chance.choice(ORDER[2:]), same("z.a"), renamed("2", "2.0", most=2))
        return both(has, used, self.word())
