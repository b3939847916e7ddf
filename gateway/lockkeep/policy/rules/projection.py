"""`args` of an operation: its arguments under names of our own, so that one rule fits any vendor's tool."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from lockkeep.model import Arguments, Json, is_object
from lockkeep.policy.conditions.check import Checker
from lockkeep.policy.conditions.checked import Code, Scope
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import Attr, Index, Lit, Name, Tree, below, parse
from lockkeep.policy.conditions.runtime import MISSING, STEPS, EvalError, as_json, is_array
from lockkeep.policy.conditions.types import Type, money_views
from lockkeep.policy.rules.rule import Path
from lockkeep.policy.rules.scope import lenient


@dataclass(frozen=True, slots=True)
class Projection:
    """What rules of one operation see as its arguments."""

    type: Type
    said: Mapping[str, str]  # the expressions, as the manifest writes them
    codes: Mapping[str, Code]
    paths: Mapping[str, Path]  # those that are one plain place: only they can be changed
    lists: tuple[tuple[Code, int], ...]  # lists it takes entries from, and how many: more would go unseen
    facts: Mapping[str, Json]  # `subject` and `amount` of the operation, as the manifest writes them

    def of(self, arguments: Arguments, steps: list[int]) -> Arguments:
        """The arguments as rules see them. Raises EvalError where they cannot be told."""
        env = {"args": arguments, STEPS: steps}
        for code, most in self.lists:
            items = code.run(env)
            if is_array(items) and len(items) > most:
                raise EvalError(f"{code.label} has more than {most} {'entry' if most == 1 else 'entries'}")
        found = {name: code.run(env) for name, code in self.codes.items()}
        return {name: as_json(value) for name, value in found.items() if value is not MISSING}

    def same_fields(self, names: Iterable[str]) -> set[str]:
        """Facts that are the argument of the same name: two names for one field are no clash."""
        own = {"subject": self.said.get("subject"), "amount": _amount(self.said)}
        return {name for name in names if name in own and own[name] and own[name] == self.facts.get(name)}


def _amount(said: Mapping[str, str]) -> Json:
    parts = {"minor": said.get("amount_minor"), "currency": said.get("currency")}
    return parts if all(parts.values()) else None


def projection(said: Json, facts: Mapping[str, Json], scope: Scope) -> Projection | None:
    """Checked against the tool's schema; None if the operation says none. Raises Unreadable."""
    if said is None:
        return None
    if not is_object(said) or not all(isinstance(each, str) for each in said.values()):
        raise Unreadable(0, "args is {name: = expression}", 'id: "= args.objects[0].id"')
    texts = {name: str(text).removeprefix("=").strip() for name, text in said.items()}
    trees = {name: parse(text) for name, text in texts.items()}
    codes = {name: Checker().maybe(tree, lenient(scope)) for name, tree in trees.items()}
    for name, code in codes.items():
        if code.type.kind in ("money", "duration", "table"):
            hint = f"project its parts: {name}_minor and currency" if code.type.kind == "money" else ""
            raise Unreadable(0, f"args.{name} is {code.type}, which no argument is", hint)
    kinds = {name: _kind(code, scope) for name, code in codes.items()}
    return Projection(
        type=Type("object", fields={**kinds, **money_views(kinds)}),
        said=texts,
        codes=codes,
        paths={name: path for name, tree in trees.items() if (path := _path(tree)) is not None},
        lists=tuple(_lists(trees.values(), scope)),
        facts=facts,
    )


def _kind(code: Code, scope: Scope) -> Type:
    """Only a required argument itself is certainly there."""
    own = code.path is not None and len(code.path) == 2 and not code.type.maybe
    sure = own and not scope.names["args"][0].type.fields[code.path[1]].maybe if code.path else False
    return replace(code.type, maybe=not sure)


def _path(tree: Tree) -> Path | None:
    """`args.objects[0].id` as a path; None if it is more than one plain place."""
    match tree:
        case Attr(of=Name(name="args"), name=name):
            return (name,)
        case Attr(of=of, name=name):
            return None if (path := _path(of)) is None else (*path, name)
        case Index(of=of, index=Lit(kind="number", value=int() as number)):
            return None if (path := _path(of)) is None else (*path, number)
        case _:
            return None


def _lists(trees: Iterable[Tree], scope: Scope) -> Iterator[tuple[Code, int]]:
    """Every list an entry is taken from by number. What is taken otherwise could be any entry, or one of many."""
    most: dict[str, tuple[Tree, int]] = {}
    for index in (each for tree in trees for each in _indexes(tree)):
        if not isinstance(index.index, Lit) or not isinstance(index.index.value, int):
            raise Unreadable(index.at, "an entry of a list is named by its number", "args.objects[0].id")
        key = repr(_path(index.of) or index.of)
        most[key] = index.of, max(index.index.value + 1, most.get(key, (index.of, 0))[1])
    for tree, number in most.values():
        yield Checker().maybe(tree, lenient(scope)), number


def _indexes(tree: Tree) -> Iterator[Index]:
    if isinstance(tree, Index):
        yield tree
    for part in below(tree):
        yield from _indexes(part)
