"""Manifests: what each tool does. Files beat the server's own word; both count only as accepted."""

from collections.abc import Mapping
from dataclasses import dataclass

from lockkeep.model import RISKS, Amount, Arguments, Json, Tool
from lockkeep.policy import runtime
from lockkeep.policy.check import Checker, Code, Root, Scope
from lockkeep.policy.lexer import Unreadable
from lockkeep.policy.parser import parse
from lockkeep.policy.positions import Listing, Node, Problems, Text, nearest
from lockkeep.policy.positions import Mapping as Node_
from lockkeep.policy.reading import Reader, begins
from lockkeep.policy.runtime import MISSING, MOST_STEPS, STEPS, EvalError
from lockkeep.policy.scope import arguments_of
from lockkeep.policy.types import ANY

ENTRY = (
    "operation", "class", "subject", "amount", "amounts", "idempotency", "version", "before", "undo", "verify", "errors",
    "checks", "pii", "hidden", "export", "simulate", "settle_after_s", "review",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Effects:
    """A tool's manifest with its expressions checked."""

    subject: Code | None = None
    minor: Code | None = None
    currency: Code | None = None

    def subject_of(self, arguments: Arguments) -> str | None:
        value = _value(self.subject, arguments)
        return None if value is None else runtime.shown(value)

    def amount_of(self, arguments: Arguments) -> Amount | None:
        minor, currency = _value(self.minor, arguments), _value(self.currency, arguments)
        return (
            Amount(minor=minor, currency=currency)
            if isinstance(minor, int) and isinstance(currency, str)
            else None
        )


def read(root: Node, problems: Problems) -> tuple[str, Mapping[str, Mapping[str, Json]]] | None:
    """The integration's name and its entries, as plain values."""
    reader = Reader(root, "a manifest", problems, ("api", "manifest", "description", "tools"))
    name, tools = begins(reader, "manifest"), reader.need("tools")
    if name is None or not isinstance(tools, Node_):
        return None
    found: dict[str, Mapping[str, Json]] = {}
    for key, value in tools.entries:
        inner = Reader(value, f"manifest of {key.text}", problems, ENTRY)
        risk = inner.text("class", needed=True)
        if risk is not None and risk.text not in RISKS:
            problems.add(risk.place, f"there is no class '{risk.text}'", nearest(risk.text, RISKS))
        entry = plain(value)
        # a person still has to look at it: left out of the catalog until the mark is gone
        if entry.get("review") is not True:
            found[key.text] = entry
    return name, found


def effects(tool: Tool) -> Effects:
    """The manifest's expressions, checked against the tool's schema; raises Unreadable if they do not fit."""
    scope = arguments_of(tool)
    amount = tool.effect.get("amount") or {}
    return Effects(
        _code(tool.effect.get("subject"), scope),
        _code(amount.get("minor"), scope),
        _code(amount.get("currency"), scope),
    )


def judge(expression: str, values: Mapping[str, Json]) -> bool:
    """A manifest's yes-or-no expression over named values of open shape; no answer is no."""
    names = {name: (Root((name,), ANY, lambda env, key=name: env[key]),) for name in values}
    try:
        code = Checker().condition(parse(expression), _trusting(Scope(names), expression))
        return bool(code.run({**values, STEPS: [MOST_STEPS]}))
    except (Unreadable, EvalError):
        return False


def filled(template: Json, values: Mapping[str, Json]) -> Json:
    """The `=` rule: a text that begins with `=` is an expression, `==x` is the text `=x`."""
    if isinstance(template, Mapping):
        return {key: filled(value, values) for key, value in template.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if not isinstance(template, str) or not template.startswith("="):
        return template
    if template.startswith("=="):
        return template[1:]
    names = {name: (Root((name,), ANY, lambda env, key=name: env[key]),) for name in values}
    code = Checker().maybe(parse(template[1:]), _trusting(Scope(names), template[1:]))
    value = code.run({**values, STEPS: [MOST_STEPS]})
    return None if value is MISSING else value


def plain(node: Node) -> Json:
    """The node's value without its places."""
    if isinstance(node, Text):
        return node.value
    if isinstance(node, Listing):
        return [plain(item) for item in node.items]
    return {key.text: plain(value) for key, value in node.entries}


def _code(expression: Json, scope: Scope) -> Code | None:
    return (
        Checker().maybe(parse(expression), _trusting(scope, expression))
        if isinstance(expression, str)
        else None
    )


def _trusting(scope: Scope, expression: str) -> Scope:
    """Manifests speak of answers as they come: what is missing makes the expression fail, not the load."""
    from lockkeep.policy.compile import lenient

    return lenient(scope, parse(expression))


def _value(code: Code | None, arguments: Arguments) -> Json:
    if code is None:
        return None
    try:
        value = code.run({"args": arguments, STEPS: [MOST_STEPS]})
    except EvalError:
        return None
    return None if value is MISSING else value
