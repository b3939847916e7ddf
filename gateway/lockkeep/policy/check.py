"""A tree in a scope becomes checked code: its type, how to run it, what it reads, what it proves when true or false."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from lockkeep.policy import runtime
from lockkeep.policy.lexer import Unreadable
from lockkeep.policy.parser import Attr, Binary, Call, Choice, Index, Items, Lit, Name, Tree, Unary, path_of
from lockkeep.policy.positions import nearest
from lockkeep.policy.runtime import MISSING, Env, Money, Value
from lockkeep.policy.types import ANY, BOOL, DURATION, MONEY, NULL, NUMBER, TEXT, TIME, Type

Path = tuple[str, ...]
Run = Callable[[Env], Value]
NOTHING: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True)
class Code:
    """Checked code. `reads`: the look-ups it touches; `sure`, `sure_not`: what is there if it is true, or false."""

    type: Type
    run: Run
    at: int
    reads: frozenset[str] = frozenset()
    sure: frozenset[Path] = NOTHING
    sure_not: frozenset[Path] = NOTHING
    path: Path | None = None
    literal: bool = False
    value: Value = None
    parts: tuple["Code", ...] = ()
    label: str = ""


@dataclass(frozen=True, slots=True)
class Root:
    """What a bare name stands for."""

    path: Path
    type: Type
    run: Run
    reads: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scope:
    """The names a condition may use. A name with two meanings is an error where it is used."""

    names: Mapping[str, tuple[Root, ...]]
    known: frozenset[Path] = NOTHING

    def knowing(self, more: frozenset[Path]) -> "Scope":
        return replace(self, known=self.known | more) if more else self

    def with_item(self, name: str, root: Root) -> "Scope":
        return replace(self, names={**self.names, name: (root,)})


@dataclass(slots=True)
class Checker:
    """Checks one condition; raises Unreadable at the first thing that does not fit."""

    depth: int = field(default=0)

    def condition(self, tree: Tree, scope: Scope) -> Code:
        """Code that answers true or false."""
        code = self.value(tree, scope)
        if code.type.kind not in ("bool", "any"):
            raise Unreadable(
                code.at, f"a condition is true or false, this is {code.type}", "compare it with something"
            )
        return replace(code, run=_truth(code.run, code.label))

    def value(self, tree: Tree, scope: Scope) -> Code:
        """Code whose value is certainly there."""
        return self.sure(self.maybe(tree, scope), scope)

    def sure(self, code: Code, scope: Scope) -> Code:
        if code.type.maybe and not (code.path is not None and code.path in scope.known):
            name = code.label or "this"
            raise Unreadable(
                code.at,
                f"'{name}' can be missing or null",
                f"guard it: has({name}) && …, or default({name}, …)",
            )
        run, label = code.run, code.label
        return replace(
            code, type=code.type.sure(), run=lambda env: runtime.needed(run(env), label or "a value")
        )

    def maybe(self, tree: Tree, scope: Scope) -> Code:
        """Code whose value may be missing."""
        match tree:
            case Lit():
                return _literal(tree)
            case Name():
                return _name(tree, scope)
            case Attr():
                return self.attribute(tree, scope)
            case Index():
                return self.index(tree, scope)
            case Call():
                from lockkeep.policy.functions import (
                    call,  # the two need each other: functions check their arguments
                )

                return call(self, tree, scope)
            case Unary():
                return self.unary(tree, scope)
            case Binary():
                return self.binary(tree, scope)
            case Choice():
                return self.choice(tree, scope)
            case Items():
                return self.items(tree, scope)

    def attribute(self, tree: Attr, scope: Scope, lenient: bool = False) -> Code:
        before = self.maybe(tree.of, scope)
        of = before if lenient else self.sure(before, scope)
        found = of.type.attribute(tree.name)
        label = f"{of.label}.{tree.name}" if of.label else tree.name
        if of.type.kind not in ("object", "any"):
            raise Unreadable(tree.at, f"'{of.label}' is {of.type} and has no fields")
        if found is None:
            raise Unreadable(
                tree.at, f"'{of.label}' has no field '{tree.name}'", nearest(tree.name, of.type.names())
            )
        run = _field(of.run, tree.name, found)
        path = (*of.path, tree.name) if of.path is not None else None
        maybe = found.maybe or (lenient and before.type.maybe)
        return Code(replace(found, maybe=maybe), run, tree.at, of.reads, path=path, label=label)

    def index(self, tree: Index, scope: Scope) -> Code:
        of, index = self.value(tree.of, scope), self.value(tree.index, scope)
        if of.type.kind not in ("list", "any") or index.type.kind not in ("number", "any"):
            raise Unreadable(tree.at, "only a list is indexed, by a whole number")
        item, convert = of.type.item or ANY, _converter(of.type.item or ANY)

        def run(env: Env) -> Value:
            items, at = of.run(env), index.run(env)
            if not isinstance(items, list) or not isinstance(at, int) or not 0 <= at < len(items):  # pyright: ignore[reportUnknownArgumentType]
                return MISSING
            return convert(items[at])

        return Code(replace(item, maybe=True), run, tree.at, of.reads | index.reads, label=f"{of.label}[…]")

    def unary(self, tree: Unary, scope: Scope) -> Code:
        if tree.op == "!":
            code = self.condition(tree.of, scope)
            run = code.run
            return replace(
                code,
                run=lambda env: not run(env),
                sure=code.sure_not,
                sure_not=code.sure,
                parts=(code,),
                path=None,
            )
        code = self.value(tree.of, scope)
        if code.type.kind not in ("number", "money", "duration", "any"):
            raise Unreadable(tree.at, f"'-' before {code.type}")
        run = code.run

        def negative(env: Env) -> Value:
            value = run(env)
            return -value if isinstance(value, timedelta) else runtime.multiply(value, -1)

        return replace(code, run=negative, path=None, value=_negated(code), at=tree.at)

    def binary(self, tree: Binary, scope: Scope) -> Code:
        if tree.op in ("&&", "||"):
            return self.logic(tree, scope)
        if tree.op in ("==", "!=") and (null := self.null_test(tree, scope)):
            return null
        left, right = self.value(tree.left, scope), self.value(tree.right, scope)
        from lockkeep.policy.operators import binary

        kind, run = binary(tree, left, right)
        return Code(
            kind, _two(left.run, right.run, run), tree.at, left.reads | right.reads, parts=(left, right)
        )

    def logic(self, tree: Binary, scope: Scope) -> Code:
        left = self.condition(tree.left, scope)
        both = tree.op == "&&"
        right = self.condition(tree.right, scope.knowing(left.sure if both else left.sure_not))
        a, b = left.run, right.run
        reads, parts = left.reads | right.reads, (left, right)
        if both:
            return Code(
                BOOL, lambda env: a(env) and b(env), tree.at, reads, left.sure | right.sure, left.sure_not & right.sure_not,
                parts=parts, label="&&",
            )  # fmt: skip
        return Code(
            BOOL, lambda env: a(env) or b(env), tree.at, reads, left.sure & right.sure, left.sure_not | right.sure_not,
            parts=parts, label="||",
        )  # fmt: skip

    def null_test(self, tree: Binary, scope: Scope) -> Code | None:
        sides = (tree.left, tree.right)
        other = next(
            (side for side, null in (sides, sides[::-1]) if isinstance(null, Lit) and null.kind == "null"),
            None,
        )
        if other is None:
            return None
        code = self.present(other, scope)
        if tree.op == "!=":
            return code
        run = code.run
        return replace(code, run=lambda env: not run(env), sure=code.sure_not, sure_not=code.sure)

    def present(self, tree: Tree, scope: Scope) -> Code:
        """`has(x)`, and `x != null`: there and not null."""
        code = (
            self.attribute(tree, scope, lenient=True) if isinstance(tree, Attr) else self.maybe(tree, scope)
        )
        run, path = code.run, code.path
        proved = frozenset(path[:length] for length in range(1, len(path) + 1)) if path else NOTHING

        def there(env: Env) -> bool:
            value = run(env)
            runtime.touched(value)
            return value is not MISSING and value is not None

        return Code(BOOL, there, code.at, code.reads, sure=proved, label=f"has({code.label})")

    def choice(self, tree: Choice, scope: Scope) -> Code:
        test = self.condition(tree.test, scope)
        yes = self.maybe(tree.yes, scope.knowing(test.sure))
        no = self.maybe(tree.no, scope.knowing(test.sure_not))
        if yes.type.kind != no.type.kind and "any" not in (yes.type.kind, no.type.kind):
            raise Unreadable(tree.at, f"one side of ':' is {yes.type}, the other {no.type}")
        run: Run = lambda env: yes.run(env) if test.run(env) else no.run(env)  # noqa: E731
        kind = replace(yes.type, maybe=yes.type.maybe or no.type.maybe, options=())
        return Code(kind, run, tree.at, test.reads | yes.reads | no.reads, parts=(test, yes, no))

    def items(self, tree: Items, scope: Scope) -> Code:
        codes = [self.value(item, scope) for item in tree.items]
        kinds = {code.type.kind for code in codes}
        if len(kinds) > 1 and "any" not in kinds:
            raise Unreadable(tree.at, "the items of a list are of one type")
        runs = [code.run for code in codes]
        item = replace(codes[0].type, options=()) if codes else ANY
        literal = all(code.literal for code in codes)
        reads = frozenset[str]().union(*(code.reads for code in codes))
        return Code(
            Type("list", item=item), lambda env: [run(env) for run in runs], tree.at, reads, literal=literal,
            value=[code.value for code in codes] if literal else None, parts=tuple(codes),
        )  # fmt: skip


def _literal(tree: Lit) -> Code:
    kinds = {"number": NUMBER, "money": MONEY, "duration": DURATION, "text": TEXT, "bool": BOOL, "null": NULL}
    value: Value = tree.value
    if tree.kind == "money":
        value = Money(*value)
    elif tree.kind == "duration":
        value = timedelta(seconds=value)
    elif tree.kind == "null":
        raise Unreadable(tree.at, "null is only compared, with == or !=")
    return Code(kinds[tree.kind], lambda env: value, tree.at, literal=True, value=value)


def _name(tree: Name, scope: Scope) -> Code:
    roots = scope.names.get(tree.name, ())
    if not roots:
        raise Unreadable(tree.at, f"'{tree.name}' is not known here", nearest(tree.name, scope.names))
    if len({root.path for root in roots}) > 1:
        ways = " or ".join(".".join(root.path) for root in roots)
        raise Unreadable(tree.at, f"'{tree.name}' is ambiguous: write {ways}")
    root = roots[0]
    return Code(root.type, root.run, tree.at, root.reads, path=root.path, label=tree.name)


def _field(before: Run, name: str, found: Type) -> Run:
    if found.kind == "money":
        return lambda env: runtime.money_view(before(env), name)
    convert = _converter(found)

    def run(env: Env) -> Value:
        value = runtime.attribute(before(env), name)
        return value if value is MISSING else convert(value)

    return run


def _converter(kind: Type) -> Callable[[Value], Value]:
    return runtime.CONVERT.get(kind.kind, lambda value: value)


converter = _converter


def _truth(run: Run, label: str) -> Run:
    return lambda env: runtime.truth(runtime.needed(run(env), label or "a condition"))


def _two(left: Run, right: Run, run: Callable[[Value, Value], Value]) -> Run:
    return lambda env: run(left(env), right(env))


def _negated(code: Code) -> Value:
    return (
        runtime.multiply(code.value, -1) if code.literal and code.type.kind in ("number", "money") else None
    )


ORDER = {
    "<": runtime.ordered(operator.lt), "<=": runtime.ordered(operator.le), ">": runtime.ordered(operator.gt),
    ">=": runtime.ordered(operator.ge),
}  # fmt: skip
__all__ = ["ORDER", "TIME", "Checker", "Code", "Root", "Scope", "converter", "path_of"]
