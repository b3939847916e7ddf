"""The names a condition may use for one tool: its arguments, the call, the caller, the look-ups of the file."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from lockkeep.model import Json, Tool, is_object
from lockkeep.policy.conditions import runtime
from lockkeep.policy.conditions.checked import Root, Run, Scope
from lockkeep.policy.conditions.runtime import Env, FailedLookup, Value, is_array
from lockkeep.policy.conditions.types import ANY, MONEY, TEXT, TIME, Type, of_schema
from lockkeep.policy.files.constants import LONG, type_of
from lockkeep.upstream.exported import exported_schema


class Projected(Protocol):
    """An operation's own arguments."""

    @property
    def type(self) -> Type: ...
    def same_fields(self, names: Iterable[str]) -> set[str]: ...


USER = Type(
    "object", fields={"id": TEXT, "roles": Type("list", item=TEXT), "manager": replace(TEXT, maybe=True)}
)
TOOL = Type("object", fields={"name": TEXT, "operation": TEXT, "integration": TEXT, "class": TEXT})
RUN = Type(
    "object",
    maybe=True,
    fields={
        "id": TEXT,
        **{name: replace(TEXT, maybe=True) for name in ("workflow", "subject", "lane", "step")},
    },
)
CALLER: Mapping[str, Type] = {
    "user": USER,
    "agent": TEXT,
    "host": TEXT,
    "tool": TOOL,
    "run": RUN,
    "now": TIME,
}


def scope_of(
    tool: Tool,
    reads: Mapping[str, Type],
    declared: Iterable[str] = (),
    values: Mapping[str, Value] | None = None,
    projection: Projected | None = None,
) -> Scope:
    """Bare and long names; a bare name with two meanings keeps both, and is an error only where it is used.

    `declared` are the file's look-ups: those without a type are not used for this tool, but no other thing has their name.
    `projection` are the arguments of one of a wide tool's operations, under names of their own.
    """
    names: dict[str, list[Root]] = {}
    _add(names, "args", projection.type if projection else of_schema(exported_schema(tool)))
    facts = _facts(tool)
    same = _same_field(tool, names, facts) if projection is None else projection.same_fields(names)
    _add(names, "call", Type("object", fields={**CALLER, **facts}), hidden=same)
    looked_up = {
        name: Root(("read", name), reads.get(name, ANY), _read(name), frozenset({name}))
        for name in {*reads, *declared}
    }
    for name, root in looked_up.items():
        if name not in LONG:
            names.setdefault(name, []).append(root)
    _add_values(names, values or {})
    return Scope({name: tuple(roots) for name, roots in names.items()}, reads=looked_up)


def with_result(scope: Scope, kind: Type) -> Scope:
    """Where the answer is known: `result`."""
    return scope.with_item("result", Root(("result",), kind, lambda env: env["result"]))


def _add_values(names: dict[str, list[Root]], values: Mapping[str, Value]) -> None:
    """Constants of the file, by their own names and as `values.x`."""
    if not values:
        return
    kinds = {name: type_of(value) for name, value in values.items()}
    names["values"] = [Root(("values",), Type("object", fields=kinds), lambda _: dict(values))]
    for name, value in values.items():
        names.setdefault(name, []).append(Root(("values", name), kinds[name], _constant(value)))


def _constant(value: Value) -> Run:
    return lambda _: value


def arguments_of(tool: Tool) -> Scope:
    """The names a manifest's expressions may use: `args`, and nothing else."""
    return Scope({"args": (_long("args", of_schema(exported_schema(tool))),)})


def lenient(scope: Scope) -> Scope:
    """Where a missing value is no mistake at load: it fails when it is run."""
    return replace(scope, trusting=True)


def _facts(tool: Tool) -> dict[str, Type]:
    facts: dict[str, Type] = {}
    if _says(tool, "subject"):
        facts["subject"] = replace(TEXT, maybe=True)
    if _says(tool, "amount"):
        facts["amount"] = replace(MONEY, maybe=True)
    return facts


def _same_field(tool: Tool, names: Mapping[str, list[Root]], facts: Mapping[str, Type]) -> set[str]:
    """Facts that are the argument of the same name: two names for one field are no clash."""
    said = {"subject": "args.subject", "amount": {"minor": "args.amount_minor", "currency": "args.currency"}}
    return {
        name
        for name in facts
        if name in names and tool.effect.get(name) == said[name] and not _operations_say(tool, name)
    }


def _says(tool: Tool, fact: str) -> bool:
    return bool(tool.effect.get(fact)) or _operations_say(tool, fact)


def _operations_say(tool: Tool, fact: str) -> bool:
    """Whether one of a wide tool's operations says it for itself."""
    said: Json = tool.effect.get("operations")
    return is_array(said) and any(is_object(each) and bool(each.get(fact)) for each in said)


def _add(
    names: dict[str, list[Root]], long: str, kind: Type, hidden: Iterable[str] = frozenset[str]()
) -> None:
    """The long name, and every field of it as a bare one."""
    names.setdefault(long, []).append(_long(long, kind))
    for name in kind.names():
        field = kind.attribute(name)
        if field is not None and name not in LONG and name not in hidden:
            names.setdefault(name, []).append(Root((long, name), field, _field(long, name, field)))


def _long(name: str, kind: Type) -> Root:
    def run(env: Env) -> Value:
        return env[name]

    return Root((name,), kind, run)


def _field(key: str, name: str, kind: Type) -> Run:
    if kind.kind == "money":
        return lambda env: runtime.money_view(env[key], name)
    return lambda env: runtime.converted(kind.kind, runtime.attribute(env[key], name))


def _read(name: str) -> Run:
    """An answer nobody asked for has failed: it is never just missing."""
    return lambda env: env["read"].get(name, FailedLookup(name, "it was not made"))
