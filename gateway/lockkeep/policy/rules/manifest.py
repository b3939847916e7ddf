"""Manifests: what each tool does. Files beat the server's own word; both count only as accepted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from lockkeep.model import RISKS, Amount, Arguments, Json, Tool
from lockkeep.policy.conditions import runtime
from lockkeep.policy.conditions.check import Checker
from lockkeep.policy.conditions.checked import Code, Root, Run, Scope
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import parse
from lockkeep.policy.conditions.runtime import (
    MISSING,
    MOST_STEPS,
    STEPS,
    Env,
    EvalError,
    Missing,
    Money,
    Unclear,
    Value,
    as_json,
    is_array,
    is_object,
)  # fmt: skip
from lockkeep.policy.conditions.types import ANY
from lockkeep.policy.files.reading import Reader, begins
from lockkeep.policy.positions import Listing, Node, Problems, Text, nearest
from lockkeep.policy.positions import Mapping as Node_
from lockkeep.policy.rules.operations import Operations, operations
from lockkeep.policy.rules.scope import arguments_of, lenient

TOP = ("api", "manifest", "description", "servers", "tools")
ENTRY = (
    "operation", "class", "subject", "amount", "amounts", "idempotency", "version", "before", "undo", "verify", "errors",
    "checks", "pii", "hidden", "export", "simulate", "settle_after_s", "queue", "operations", "each", "review",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Effects:
    """A tool's manifest with its expressions checked."""

    subject: Code | None = None
    minor: Code | None = None
    currency: Code | None = None
    operations: Operations | None = None
    of_operation: Mapping[str, "Effects"] = field(default_factory=dict[str, "Effects"])

    def within(self, operation: str) -> "Effects":
        """What one of a wide tool's operations says for itself; this, if it does one thing."""
        return self.of_operation.get(operation, self)

    def subject_of(self, arguments: Arguments) -> str | None:
        value = _value(self.subject, arguments)
        return None if isinstance(value, Missing | Unclear) else runtime.shown(value)

    def amount_of(self, arguments: Arguments) -> Amount | None:
        """The call's money, if it says any that can be read; `money` tells the two apart."""
        money = self.money(arguments)
        if isinstance(money, Money) and isinstance(money.minor, int):
            return Amount(minor=money.minor, currency=money.currency)
        return None

    def money(self, arguments: Arguments) -> Money | Missing | Unclear:
        """What `call.amount` is. Arguments that say an amount nobody can read are never 'no amount'."""
        if self.minor is None or self.currency is None:
            return MISSING
        minor, currency = _value(self.minor, arguments), _value(self.currency, arguments)
        if isinstance(minor, Missing):
            return MISSING
        if isinstance(minor, int) and not isinstance(minor, bool) and isinstance(currency, str):
            return Money(minor, currency)
        return Unclear("the amount of this call cannot be read from its arguments")


def read(root: Node, problems: Problems) -> tuple[str, Mapping[str, Mapping[str, Json]]] | None:
    """The integration's name and its entries, as plain values."""
    reader = Reader(root, "a manifest", problems, TOP)
    name, tools = begins(reader, "manifest"), reader.need("tools")
    if tools is not None and not isinstance(tools, Node_):
        problems.add(
            tools.place, f"'tools' is {tools.kind}; TOOL: {{class: …}} is expected", "TOOL: {class: read}"
        )
    if name is None or not isinstance(tools, Node_):
        return None
    found: dict[str, Mapping[str, Json]] = {}
    for key, value in tools.entries:
        inner = Reader(value, f"manifest of {key.text}", problems, ENTRY)
        if inner.node is None:
            continue
        risk = inner.text("class", needed=True)
        if risk is not None and risk.text not in RISKS:
            problems.add(
                risk.place, f"there is no class '{risk.text}'", nearest(risk.text, RISKS), code="unknown-name"
            )
        found[key.text] = plain(value)
    return name, found


def effects(tool: Tool) -> Effects:
    """The manifest's expressions, checked against the tool's schema; raises Unreadable if they do not fit."""
    scope, many = arguments_of(tool), operations(tool)
    each = {one.name: _effects(one.entry, scope) for one in many.all} if many else {}
    return replace(_effects(tool.effect, scope), operations=many, of_operation=each)


def _effects(entry: Mapping[str, Json], scope: Scope) -> Effects:
    subject = _code(entry.get("subject"), "subject", scope)
    said: Json = entry.get("amount")
    if said is None:
        return Effects(subject)
    if not is_object(said) or not {"minor", "currency"} <= said.keys():
        raise Unreadable(0, "amount is {minor: expression, currency: expression}")
    minor, currency = (
        _code(said["minor"], "amount.minor", scope),
        _code(said["currency"], "amount.currency", scope),
    )
    for code, kind in ((minor, "number"), (currency, "text")):
        if code is not None and code.type.kind not in (kind, "any"):
            raise Unreadable(0, f"amount is made of a number and a currency, this is {code.type}")
    return Effects(subject, minor, currency)


def judge(expression: str, values: Mapping[str, Json]) -> bool:
    """A manifest's yes-or-no expression over named values of open shape; no answer is no."""
    try:
        return bool(condition(expression, values).run({**values, STEPS: [MOST_STEPS]}))
    except (Unreadable, EvalError):
        return False


def condition(expression: str, names: Iterable[str]) -> Code:
    """A yes-or-no expression over values of open shape with these names; raises Unreadable."""
    return _condition(expression, frozenset(names))


def filled(template: Json, values: Mapping[str, Json]) -> Json:
    """The `=` rule: a text that begins with `=` is an expression, `==x` is the text `=x`."""
    if is_object(template):
        return {key: filled(value, values) for key, value in template.items()}
    if is_array(template):
        return [filled(value, values) for value in template]
    if not isinstance(template, str) or not template.startswith("="):
        return template
    if template.startswith("=="):
        return template[1:]
    code = _expression(template[1:], frozenset(values))
    return as_json(code.run({**values, STEPS: [MOST_STEPS]}))


@lru_cache(maxsize=2_000)  # manifests say the same for every call
def _condition(expression: str, names: frozenset[str]) -> Code:
    return Checker().condition(parse(expression), lenient(_open(names)))


@lru_cache(maxsize=2_000)
def _expression(expression: str, names: frozenset[str]) -> Code:
    return Checker().maybe(parse(expression), lenient(_open(names)))


def plain(node: Node) -> Json:
    """The node's value without its places."""
    if isinstance(node, Text):
        return node.value
    if isinstance(node, Listing):
        return [plain(item) for item in node.items]
    return {key.text: plain(value) for key, value in node.entries}


def _open(names: Iterable[str]) -> Scope:
    def value(name: str) -> Run:
        def run(env: Env) -> Value:
            return env[name]

        return run

    return Scope({name: (Root((name,), ANY, value(name)),) for name in names})


def _code(expression: Json, what: str, scope: Scope) -> Code | None:
    """Checked. Manifests speak of answers as they come: what is missing makes it fail later, not the load now."""
    if expression is None:
        return None
    if not isinstance(expression, str):
        raise Unreadable(0, f"{what} is an expression, as in args.id")
    tree = parse(expression)
    return Checker().maybe(tree, lenient(scope))


def _value(code: Code | None, arguments: Arguments) -> Value:
    """MISSING where the arguments leave it out, Unclear where it cannot be worked out."""
    if code is None:
        return MISSING
    try:
        value = code.run({"args": arguments, STEPS: [MOST_STEPS]})
    except EvalError as error:
        return Unclear(error.message)
    return MISSING if value is None else value
