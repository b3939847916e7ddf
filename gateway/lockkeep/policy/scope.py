"""The names a condition may use for one tool: its arguments, the call, the caller, the look-ups of the file."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from lockkeep.model import Tool
from lockkeep.policy import runtime
from lockkeep.policy.check import Root, Scope, converter
from lockkeep.policy.runtime import MISSING, Env, Value
from lockkeep.policy.types import MONEY, TEXT, TIME, Type, of_schema
from lockkeep.upstream.exported import exported_schema

USER = Type(
    "object", fields={"id": TEXT, "roles": Type("list", item=TEXT), "manager": replace(TEXT, maybe=True)}
)
TOOL = Type("object", fields={"name": TEXT, "operation": TEXT, "integration": TEXT, "class": TEXT})
RUN = Type("object", maybe=True, fields={"id": TEXT, "step": replace(TEXT, maybe=True)})
CALLER: Mapping[str, Type] = {
    "user": USER,
    "agent": TEXT,
    "host": TEXT,
    "tool": TOOL,
    "run": RUN,
    "now": TIME,
}


def scope_of(tool: Tool, reads: Mapping[str, Type]) -> Scope:
    """Bare and long names; a bare name with two meanings keeps both, and is an error only where it is used."""
    arguments = of_schema(exported_schema(tool))
    names: dict[str, list[Root]] = {}
    _add(names, "args", "args", arguments)
    call = Type("object", fields={**CALLER, **_facts(tool)})
    _add(names, "call", "call", call)
    for name in _same_field(tool):
        names[name] = [root for root in names[name] if root.path[0] == "args"] or names[name]
    looked_up = Type("object", fields=reads)
    names["read"] = [Root(("read",), looked_up, lambda env: env["read"])]
    for name, kind in reads.items():
        names.setdefault(name, []).append(
            Root(("read", name), kind, lambda env, key=name: _read(env, key), frozenset({name}))
        )
    return Scope({name: tuple(roots) for name, roots in names.items()})


def arguments_of(tool: Tool) -> Scope:
    """The names a manifest's expressions may use: `args`, and nothing else."""
    names: dict[str, list[Root]] = {}
    _add(names, "args", "args", of_schema(exported_schema(tool)))
    return Scope({"args": tuple(names["args"])})


def _facts(tool: Tool) -> dict[str, Type]:
    facts: dict[str, Type] = {}
    if tool.effect.get("subject"):
        facts["subject"] = replace(TEXT, maybe=True)
    if tool.effect.get("amount"):
        facts["amount"] = replace(MONEY, maybe=True)
    return facts


def _same_field(tool: Tool) -> list[str]:
    """Names of the manifest that only point at an argument of that name: two names for one field are no clash."""
    amount = tool.effect.get("amount") or {}
    found = ["amount"] if (amount.get("minor"), amount.get("currency")) == ("args.amount_minor", "args.currency") else []
    return [*found, "subject"] if tool.effect.get("subject") == "args.subject" else found


def _add(names: dict[str, list[Root]], long: str, key: str, kind: Type) -> None:
    """The long name, and every field of it as a bare one."""
    names.setdefault(long, []).append(Root((long,), kind, lambda env: env[key]))
    for name in kind.names():
        field = kind.attribute(name)
        if field is not None:
            names.setdefault(name, []).append(Root((long, name), field, _field(key, name, field)))


def _field(key: str, name: str, kind: Type) -> Callable[[Env], Value]:
    if kind.kind == "money" and key == "args":
        return lambda env: runtime.money_view(env[key], name)
    convert = converter(kind)

    def run(env: Env) -> Value:
        value = runtime.attribute(env[key], name)
        return value if value is MISSING else convert(value)

    return run


def _read(env: Env, name: str) -> Value:
    return env["read"].get(name, MISSING)
