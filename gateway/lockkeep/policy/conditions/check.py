"""A tree in a scope becomes checked code: its type, how to run it, what it reads, what it proves when true or false."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from lockkeep.policy.conditions import runtime
from lockkeep.policy.conditions.checked import NOTHING, Code, Path, Root, Run, Scope
from lockkeep.policy.conditions.functions import call
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.operators import binary
from lockkeep.policy.conditions.parser import Attr, Binary, Call, Choice, Index, Items, Lit, Name, Tree, Unary
from lockkeep.policy.conditions.runtime import MISSING, Env, Money, Value
from lockkeep.policy.conditions.types import ANY, BOOL, DURATION, MONEY, NUMBER, TEXT, Type
from lockkeep.policy.positions import nearest

LITERALS = {"number": NUMBER, "money": MONEY, "duration": DURATION, "text": TEXT, "bool": BOOL}

MEANT = {
    "args": "the argument", "call": "of the call itself", "read": "the look-up", "values": "the value of this file",
}  # fmt: skip


class Checker:
    """Checks one condition; raises Unreadable at the first thing that does not fit."""

    def condition(self, tree: Tree, scope: Scope) -> Code:
        """Code that answers true or false."""
        code = self.value(tree, scope)
        if code.type.kind not in ("bool", "any"):
            raise Unreadable(
                code.at, f"a condition is true or false, this is {code.type}", "compare it with something"
            )
        return replace(code, run=_truth(code.run, code.label), op=code.op if code.type.kind == "bool" else "")

    def value(self, tree: Tree, scope: Scope) -> Code:
        """Code whose value is certainly there."""
        return self.sure(self.maybe(tree, scope), scope)

    def sure(self, code: Code, scope: Scope) -> Code:
        if code.type.maybe and not scope.knows(code.path):
            name = code.label or "this"
            raise Unreadable(
                code.at,
                f"'{name}' can be missing or null",
                f"guard it: has({name}) && …, or default({name}, …)",
            )
        op = code.op if code.op in ("literal", "field") or not code.type.maybe else ""
        return replace(code, type=code.type.sure(), run=_needed(code.run, code.label or "a value"), op=op)

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
        """A field. Lenient: whatever it belongs to may be missing, too."""
        if scope.reads and isinstance(tree.of, Name) and tree.of.name == "read":
            return _looked_up(tree, scope)
        if lenient and isinstance(tree.of, Attr):
            before = self.attribute(tree.of, scope, lenient=True)
        else:
            before = self.maybe(tree.of, scope)
        of = before if lenient else self.sure(before, scope)
        if of.type.kind not in ("object", "any"):
            raise Unreadable(tree.at, f"'{of.label}' is {of.type} and has no fields")
        found = of.type.attribute(tree.name)
        if found is None:
            raise Unreadable(
                tree.at, f"'{of.label}' has no field '{tree.name}'", nearest(tree.name, of.type.names())
            )
        label = f"{of.label}.{tree.name}" if of.label else tree.name
        path = (*of.path, tree.name) if of.path is not None else None
        kind = replace(found, maybe=found.maybe or (lenient and before.type.maybe))
        return Code(
            kind,
            _field(of.run, tree.name, found),
            tree.at,
            of.reads,
            path=path,
            label=label,
            op=_field_op(path),
        )

    def index(self, tree: Index, scope: Scope) -> Code:
        of, index = self.value(tree.of, scope), self.value(tree.index, scope)
        if of.type.kind not in ("list", "any") or index.type.kind not in ("number", "any"):
            raise Unreadable(tree.at, "only a list is indexed, by a whole number")
        item = of.type.item or ANY

        def run(env: Env) -> Value:
            items, at = of.run(env), runtime.number(index.run(env))
            if not runtime.is_array(items):
                raise runtime.EvalError(f"'{of.label}' is not a list")
            there = isinstance(at, int) and 0 <= at < len(items)
            return runtime.converted(item.kind, items[int(at)]) if there else MISSING

        reads = of.reads | index.reads
        return Code(replace(item, maybe=True), run, tree.at, reads, parts=(of, index), label=f"{of.label}[…]")

    def unary(self, tree: Unary, scope: Scope) -> Code:
        if tree.op == "!":
            code = self.condition(tree.of, scope)
            return Code(
                BOOL, _opposite(code.run), tree.at, code.reads, sure=code.sure_not, sure_not=code.sure,
                parts=(code,), label=code.label, op="not",
            )  # fmt: skip
        code = self.value(tree.of, scope)
        if code.type.kind not in ("number", "money", "duration", "any"):
            raise Unreadable(tree.at, f"'-' before {code.type}")
        kind, value = replace(code.type, options=()), _negative(code.value) if code.literal else None
        return Code(
            kind, lambda env: _negative(code.run(env)), tree.at, code.reads, literal=code.literal, value=value,
            parts=(code,),
        )  # fmt: skip

    def binary(self, tree: Binary, scope: Scope) -> Code:
        if tree.op in ("&&", "||"):
            return self.logic(tree, scope)
        if tree.op in ("==", "!=") and (null := self.null_test(tree, scope)):
            return null
        left, right = self.value(tree.left, scope), self.value(tree.right, scope)
        kind, run = binary(tree, left, right)
        reads, parts = left.reads | right.reads, (left, right)
        if tree.op == "in":
            return Code(
                kind,
                lambda env: runtime.among(left.run(env), right.run(env), env),
                tree.at,
                reads,
                parts=parts,
                op="in",
            )
        return Code(kind, _two(left.run, right.run, run), tree.at, reads, parts=parts, op=tree.op)

    def logic(self, tree: Binary, scope: Scope) -> Code:
        left = self.condition(tree.left, scope)
        both = tree.op == "&&"
        right = self.condition(tree.right, scope.knowing(left.sure if both else left.sure_not))
        a, b = left.run, right.run
        reads, parts = left.reads | right.reads, (left, right)
        if both:
            return Code(
                BOOL, lambda env: a(env) and b(env), tree.at, reads, left.sure | right.sure, left.sure_not & right.sure_not,
                parts=parts, label="&&", op="and",
            )  # fmt: skip
        return Code(
            BOOL, lambda env: a(env) or b(env), tree.at, reads, left.sure & right.sure, left.sure_not | right.sure_not,
            parts=parts, label="||", op="or",
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
        return replace(code, run=_opposite(code.run), sure=code.sure_not, sure_not=code.sure, op="")

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

        return Code(
            BOOL, there, code.at, code.reads, sure=proved, parts=(code,), label=f"has({code.label})", op="has"
        )

    def choice(self, tree: Choice, scope: Scope) -> Code:
        test = self.condition(tree.test, scope)
        yes = self.maybe(tree.yes, scope.knowing(test.sure))
        no = self.maybe(tree.no, scope.knowing(test.sure_not))
        kind = _either(tree, _known(yes, scope.knowing(test.sure)), _known(no, scope.knowing(test.sure_not)))

        def run(env: Env) -> Value:
            return yes.run(env) if test.run(env) else no.run(env)

        return Code(kind, run, tree.at, test.reads | yes.reads | no.reads, parts=(test, yes, no))

    def items(self, tree: Items, scope: Scope) -> Code:
        codes = [self.value(item, scope) for item in tree.items]
        kinds = {code.type.kind for code in codes}
        if len(kinds) > 1 and "any" not in kinds:
            raise Unreadable(tree.at, "the items of a list are of one type")
        runs = [code.run for code in codes]
        item = replace(codes[0].type, options=()) if len(kinds) == 1 else ANY
        literal = all(code.literal for code in codes)
        reads = frozenset[str]().union(*(code.reads for code in codes))
        return Code(
            Type("list", item=item), lambda env: [run(env) for run in runs], tree.at, reads, literal=literal,
            value=[code.value for code in codes] if literal else None, parts=tuple(codes),
        )  # fmt: skip


def _literal(tree: Lit) -> Code:
    value: Value = tree.value
    if tree.kind == "money":
        value = Money(*value)
    elif tree.kind == "duration":
        value = timedelta(seconds=value)
    elif tree.kind == "null":
        raise Unreadable(tree.at, "null is only compared, with == or !=")
    return Code(LITERALS[tree.kind], lambda env: value, tree.at, literal=True, value=value, op="literal")


def _name(tree: Name, scope: Scope) -> Code:
    if scope.reads and tree.name == "read":
        raise Unreadable(tree.at, "'read' alone is no value", f"write read.{min(scope.reads)}")
    roots = scope.names.get(tree.name, ())
    if not roots:
        raise Unreadable(tree.at, f"'{tree.name}' is not known here", nearest(tree.name, scope.names))
    if len({root.path for root in roots}) > 1:
        ways = " or ".join(".".join(root.path) for root in roots)
        meant = [f"{'.'.join(root.path)} is {MEANT.get(root.path[0], 'another')}" for root in roots]
        raise Unreadable(tree.at, f"'{tree.name}' is ambiguous: write {ways}", ", ".join(meant))
    return _of(roots[0], tree.at, tree.name)


def _looked_up(tree: Attr, scope: Scope) -> Code:
    """`read.NAME`: the long form is the same look-up as the bare name."""
    root = scope.reads.get(tree.name)
    if root is None:
        raise Unreadable(
            tree.at, f"there is no look-up '{tree.name}' for this tool", nearest(tree.name, scope.reads)
        )
    return _of(root, tree.at, f"read.{tree.name}")


def _of(root: Root, at: int, label: str) -> Code:
    return Code(root.type, root.run, at, root.reads, path=root.path, label=label, op=_field_op(root.path))


def _field_op(path: Path | None) -> str:
    return "field" if path is not None and len(path) == 2 and path[0] in ("args", "call") else ""


def _field(before: Run, name: str, found: Type) -> Run:
    if found.kind == "money":
        return lambda env: runtime.money_view(before(env), name)
    return lambda env: runtime.converted(found.kind, runtime.attribute(before(env), name))


def _known(code: Code, scope: Scope) -> Type:
    return code.type.sure() if scope.knows(code.path) else code.type


def _either(tree: Choice, yes: Type, no: Type) -> Type:
    if yes.kind != no.kind and "any" not in (yes.kind, no.kind):
        raise Unreadable(tree.at, f"one side of ':' is {yes}, the other {no}")
    kind = yes if yes.kind == no.kind else ANY
    return replace(kind, maybe=yes.maybe or no.maybe, options=())


def _needed(run: Run, label: str) -> Run:
    return lambda env: runtime.needed(run(env), label)


def _opposite(run: Run) -> Run:
    return lambda env: not run(env)


def _truth(run: Run, label: str) -> Run:
    return lambda env: runtime.truth(runtime.needed(run(env), label or "a condition"))


def _two(left: Run, right: Run, run: Callable[[Value, Value], Value]) -> Run:
    return lambda env: run(left(env), right(env))


def _negative(value: Value) -> Value:
    return -value if isinstance(value, timedelta) else runtime.multiply(value, -1)


__all__ = ["Checker", "Code", "Path", "Root", "Run", "Scope"]
