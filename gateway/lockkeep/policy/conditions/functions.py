"""The functions of conditions. A closed list: no regular expressions, no functions of one's own."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from lockkeep.policy.conditions import runtime
from lockkeep.policy.conditions.checked import Checks, Code, Root, Run, Scope
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import Call, Name, Tree
from lockkeep.policy.conditions.runtime import MISSING, Env, Value
from lockkeep.policy.conditions.types import ANY, BOOL, NUMBER, TEXT
from lockkeep.policy.positions import nearest

FUNCTIONS = ("has", "default", "size", "lower", "min", "max", "round")
METHODS = ("startsWith", "endsWith", "contains", "like", "exists", "all", "sum", "first")
LOOPS = ("exists", "all", "sum", "first")


def call(checker: Checks, tree: Call, scope: Scope) -> Code:
    """Checked code for a function or a method."""
    if tree.of is None:
        if tree.name not in FUNCTIONS:
            raise Unreadable(tree.at, f"there is no function '{tree.name}'", nearest(tree.name, FUNCTIONS))
        return FREE[tree.name](checker, tree, scope)
    if tree.name not in METHODS:
        raise Unreadable(tree.at, f"there is no function '.{tree.name}'", nearest(tree.name, METHODS))
    return (
        _loop(checker, tree, tree.of, scope) if tree.name in LOOPS else _search(checker, tree, tree.of, scope)
    )


def _count(tree: Call, *allowed: int) -> None:
    if len(tree.args) not in allowed:
        raise Unreadable(
            tree.at, f"{tree.name} takes {' or '.join(map(str, allowed))} values, here are {len(tree.args)}"
        )


def _has(checker: Checks, tree: Call, scope: Scope) -> Code:
    _count(tree, 1)
    return checker.present(tree.args[0], scope)


def _default(checker: Checks, tree: Call, scope: Scope) -> Code:
    _count(tree, 2)
    first = checker.present(tree.args[0], scope)  # the left side may be missing on the way, too
    value = checker.maybe(tree.args[0], scope.knowing(first.sure))
    other = checker.value(tree.args[1], scope)
    if (
        value.type.kind != other.type.kind
        and "any" not in (value.type.kind, other.type.kind)
        and not _zero(value, other)
    ):
        raise Unreadable(tree.at, f"default for {value.type} is {other.type}")

    def run(env: Env) -> Value:
        return value.run(env) if first.run(env) else other.run(env)

    return Code(
        replace(value.type, maybe=False, options=()),
        run,
        tree.at,
        value.reads | other.reads,
        parts=(value, other),
        label=f"default({value.label})",
    )


def _zero(value: Code, other: Code) -> bool:
    return value.type.kind == "money" and other.literal and other.value == 0


def _size(checker: Checks, tree: Call, scope: Scope) -> Code:
    _count(tree, 1)
    of = checker.value(tree.args[0], scope)
    if of.type.kind not in ("text", "list", "any"):
        raise Unreadable(tree.at, f"size of {of.type}")
    return Code(
        NUMBER,
        lambda env: runtime.size(of.run(env)),
        tree.at,
        of.reads,
        parts=(of,),
        label=f"size({of.label})",
        op="size",
    )


def _lower(checker: Checks, tree: Call, scope: Scope) -> Code:
    _count(tree, 1)
    of = _text(checker, tree.args[0], scope)
    return Code(
        TEXT, lambda env: runtime.bounded(of.run(env)).lower(), tree.at, of.reads, parts=(of,),
        label=f"lower({of.label})",
    )  # fmt: skip


def _round(checker: Checks, tree: Call, scope: Scope) -> Code:
    _count(tree, 1)
    of = checker.value(tree.args[0], scope)
    if of.type.kind not in ("number", "any"):
        raise Unreadable(tree.at, f"round of {of.type}")
    return Code(NUMBER, lambda env: runtime.rounded(of.run(env)), tree.at, of.reads, parts=(of,))


def _extreme(checker: Checks, tree: Call, scope: Scope) -> Code:
    codes = [checker.value(arg, scope) for arg in tree.args]
    kinds = {code.type.kind for code in codes}
    if len(codes) < 2 or len(kinds) > 1 or not kinds <= {"number", "money", "time", "duration"}:
        raise Unreadable(
            tree.at, f"{tree.name} takes two or more numbers, amounts, times or durations of one type"
        )
    less = runtime.ordered(lambda a, b: a < b)
    wanted = tree.name == "min"

    def run(env: Env) -> Value:
        best, *rest = [code.run(env) for code in codes]
        for value in rest:
            if less(value, best) == wanted:
                best = value
        return best

    reads = frozenset[str]().union(*(code.reads for code in codes))
    return Code(replace(codes[0].type, options=()), run, tree.at, reads, parts=tuple(codes))


def _text(checker: Checks, tree: Tree, scope: Scope) -> Code:
    code = checker.value(tree, scope)
    if code.type.kind not in ("text", "any"):
        raise Unreadable(code.at, f"text is expected, this is {code.type}")
    return code


def _search(checker: Checks, tree: Call, of_tree: Tree, scope: Scope) -> Code:
    """startsWith, endsWith, contains, like: text in text."""
    _count(tree, 1)
    of, what = _text(checker, of_tree, scope), _text(checker, tree.args[0], scope)
    test = SEARCH[tree.name]

    def run(env: Env) -> bool:
        return test(runtime.bounded(of.run(env)), runtime.bounded(what.run(env)))

    return Code(BOOL, run, tree.at, of.reads | what.reads, parts=(of, what), op=tree.name)


def _loop(checker: Checks, tree: Call, of_tree: Tree, scope: Scope) -> Code:
    """exists, all, sum, first over a list, with a name for the item."""
    _count(tree, 2)
    of = checker.value(of_tree, scope)
    name, body_tree = tree.args
    if of.type.kind not in ("list", "any"):
        raise Unreadable(tree.at, f"{tree.name} goes over a list, this is {of.type}")
    if not isinstance(name, Name):
        raise Unreadable(tree.at, f"{tree.name} names its item first", f"write .{tree.name}(x, …)")
    if name.name in scope.names:
        raise Unreadable(name.at, f"'{name.name}' has a meaning already", "give the item another name")
    item = of.type.item or ANY
    inner = scope.with_item(name.name, Root(("$" + name.name,), item, _item(name.name)))
    body = checker.value(body_tree, inner) if tree.name == "sum" else checker.condition(body_tree, inner)
    if tree.name == "sum" and body.type.kind not in ("number", "money", "any"):
        raise Unreadable(body.at, f"sum adds numbers or money, this is {body.type}")
    each = _each(of, name.name, item.kind, body)
    kind = {"exists": BOOL, "all": BOOL, "sum": body.type, "first": replace(item, maybe=True)}[tree.name]
    return Code(
        kind,
        GATHER[tree.name](each),
        tree.at,
        of.reads | body.reads,
        parts=(of,),
        label=f"{of.label}.{tree.name}(…)",
    )


Walk = Callable[[Env], Iterator[tuple[Value, Value]]]


def _item(name: str) -> Run:
    def run(env: Env) -> Value:
        return env[name]

    return run


def _each(of: Code, name: str, kind: str, body: Code) -> Walk:
    def walk(env: Env) -> Iterator[tuple[Value, Value]]:
        items = of.run(env)
        if not runtime.is_array(items):
            raise runtime.EvalError(f"'{of.label}' is not a list")
        for raw in items:
            runtime.step(env)
            item = runtime.converted(kind, raw)
            yield item, body.run({**env, name: item})

    return walk


def _sum(walk: Walk) -> Callable[[Env], Value]:
    def run(env: Env) -> Value:
        total: Value = None
        for _, value in walk(env):
            total = value if total is None else runtime.add(total, value)
        return 0 if total is None else total

    return run


GATHER: dict[str, Callable[[Walk], Callable[[Env], Value]]] = {
    "exists": lambda walk: lambda env: any(value for _, value in walk(env)),
    "all": lambda walk: lambda env: all(value for _, value in walk(env)),
    "sum": _sum,
    "first": lambda walk: lambda env: next((item for item, value in walk(env) if value), MISSING),
}
SEARCH: dict[str, Callable[[str, str], bool]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": lambda text, what: what in text,
    "like": runtime.like,
}
FREE: dict[str, Callable[[Checks, Call, Scope], Code]] = {
    "has": _has, "default": _default, "size": _size, "lower": _lower, "round": _round, "min": _extreme, "max": _extreme,
}  # fmt: skip
