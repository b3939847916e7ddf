"""The manifest's expressions, evaluated by the gateway's own language: what is proven here is what a gateway will do.

The one module of the servers that imports anything of the gateway.
"""

from collections.abc import Mapping
from typing import Any, cast

from lockkeep.policy.rules.manifest import EvalError, Unreadable, filled, judge

Values = Mapping[str, Any]


class CannotFill(ValueError):
    """An expression cannot be read, or has no answer for these values."""


def fill(template: Any, values: Values) -> Any:
    """Return the template with every `=` text worked out.

    Raises:
        CannotFill: one of them cannot be.
    """
    try:
        return filled(template, values)
    except (Unreadable, EvalError) as error:
        raise CannotFill(f"{shown(template)}: {error}") from None


def value(expression: str, values: Values) -> Any:
    """Return what an expression (without its `=`) comes to."""
    return fill(f"={expression}", values)


def holds(expression: str, values: Values) -> bool:
    """A yes-or-no expression as the gateway takes it: what cannot be answered is no."""
    return judge(expression, values)


def entry_for(effect: Mapping[str, Any], args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the entry of the operation these arguments mean: what it does not say stands in the tool's own."""
    base = {name: part for name, part in effect.items() if name != "operations"}
    for operation in cast(list[dict[str, Any]], effect.get("operations", [])):
        if holds(str(operation.get("when", "false")), {"args": args}):
            return {**base, **{name: part for name, part in operation.items() if name != "when"}}
    return base


def image(entry: Mapping[str, Any], values: Values) -> Any:
    """Return `before`: what the receipt says of it. One that is read ahead is already among the values."""
    said = entry.get("before")
    return value(said, values) if isinstance(said, str) else values.get("before")


def plan(entry: Mapping[str, Any], values: Values) -> tuple[str, dict[str, Any]] | None:
    """Return the call that takes the write back; None if the manifest has none for it.

    Raises:
        CannotFill: the case that holds cannot be filled in.
    """
    undo = entry.get("undo")
    if not isinstance(undo, Mapping):
        return None
    for case in cast(list[dict[str, Any]], cast(Mapping[str, Any], undo).get("cases", [])):
        if "when" not in case or holds(case["when"], values):
            return case["tool"], fill(case.get("with", {}), values)
    return None


def shown(template: Any) -> str:
    text = str(template)
    return text if len(text) <= 200 else text[:197] + "..."
