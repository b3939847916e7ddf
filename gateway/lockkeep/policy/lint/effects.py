"""Tools that change something: with a limit, with people for money, with a way back, in every currency."""

import re
from collections.abc import Iterator, Mapping

from lockkeep.model import Json, Tool, is_object
from lockkeep.policy.conditions.checked import Code
from lockkeep.policy.conditions.runtime import Money, Table, is_array
from lockkeep.policy.conditions.types import of_schema
from lockkeep.policy.lint.material import Finding, Material, Said, covers, named
from lockkeep.policy.rules.rule import Rule
from lockkeep.policy.show.truth import Truth, are_there, below_zero, constant, stays_silent

PATH = re.compile(r"args(?:\.[A-Za-z_][A-Za-z0-9_]*)+")


def writing(material: Material) -> Iterator[Finding]:
    for said, writers in material.allows():
        yield from _without_limit(said, writers, material)
        yield from _without_ask(said, writers, material)
        yield from _below_nothing(said, writers, material)
        yield from _without_undo(said, writers, material)
    yield from _one_currency(material)


def _without_limit(said: Said, writers: Mapping[str, Rule], material: Material) -> Iterator[Finding]:
    free = [tool for tool, rule in writers.items() if not material.guarded(tool, rule, "limit")]
    if free:
        message = f"nothing limits how often {named(free)} may be called"
        yield said.finding("write-without-limit", message, "add limit: 20 per hour per agent")


def _without_ask(said: Said, writers: Mapping[str, Rule], material: Material) -> Iterator[Finding]:
    moving = [
        tool
        for tool, rule in writers.items()
        if material.risk(tool) == "money" and not material.guarded(tool, rule, "ask", "people")
    ]
    if moving:
        message = f"{named(moving)} moves money, and nobody is asked, whatever the amount"
        hint = "add ask: [{when: amount > 100 EUR, from: [GROUP]}]"
        yield said.finding("money-without-ask", message, hint)


def _below_nothing(said: Said, writers: Mapping[str, Rule], material: Material) -> Iterator[Finding]:
    """A negative refund is a charge."""
    turned = [
        tool
        for tool, rule in writers.items()
        if any(
            not _schema_forbids(amount, material.tool(tool))
            and not _denied_below_zero(name, amount, rule, material)
            for name, amount in _amounts(tool, material)
        )
    ]
    if turned:
        message = f"nothing refuses an amount below zero for {named(turned)}; a negative refund is a charge"
        hint = "add deny: [{when: amount <= 0, say: The amount is above zero.}]"
        yield said.finding("no-lower-bound", message, hint)


def _amounts(name: str, material: Material) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """What the manifest calls the money of such a call: of the tool, or of each thing a wide tool does."""
    tool = material.tool(name)
    many: Json = tool.effect.get("operations")
    entries: list[Json] = many if is_array(many) and many else [{"operation": name}]
    for each in entries:
        entry: Mapping[str, Json] = {**tool.effect, **each} if is_object(each) else {}
        amount, operation = entry.get("amount"), str(entry.get("operation"))
        meant = name not in material.homes or operation == name
        if meant and entry.get("class") == "money" and is_object(amount):
            yield operation if operation in material.homes else name, amount


def _schema_forbids(amount: Mapping[str, Json], tool: Tool) -> bool:
    """Whether the argument behind the amount has a minimum in the tool's schema."""
    properties: Mapping[str, Json] = tool.input.get("properties", {})
    part: Json = properties.get(str(amount.get("minor")).removeprefix("args."), {})
    lowest = [part.get(key) for key in ("minimum", "exclusiveMinimum")] if is_object(part) else []
    return any(isinstance(each, int | float) and each >= 0 for each in lowest)


def _denied_below_zero(tool: str, amount: Mapping[str, Json], allow: Rule, material: Material) -> bool:
    """Whether no such call passes the denies, of which each may be guarded by something that is not always so."""
    denies = [
        rule
        for rule in material.about(tool)
        if rule.kind == "deny" and rule.mode == "enforce" and covers(rule.applies, allow.applies)
    ]
    left = _negative(amount)
    for rule in denies:
        if (rule.when or rule.unless) and not rule.hours:
            alone = stays_silent(rule)
            if _negative(amount).also(alone).never:
                return True
            left = left.also(alone)
    return left.never


def _negative(amount: Mapping[str, Json]) -> Truth:
    """That the money of the call is below zero, by all the names that rules have for it."""
    paths = [("call", "amount")]
    minor, currency = _argument(amount.get("minor")), _argument(amount.get("currency"))
    if minor:
        paths += [minor, (*minor[:-1], minor[-1].removesuffix("_minor"))]
    return below_zero(*paths).also(are_there(*([currency] if currency else [])))


def _argument(expression: Json) -> tuple[str, ...]:
    """`args.amount_minor` as a path; nothing for what is worked out."""
    return tuple(expression.split(".")) if isinstance(expression, str) and PATH.fullmatch(expression) else ()


def _without_undo(said: Said, writers: Mapping[str, Rule], material: Material) -> Iterator[Finding]:
    lasting = [
        tool
        for tool, rule in writers.items()
        if not _can_be_undone(material.tool(tool)) and not material.guarded(tool, rule, "ask", "people")
    ]
    if lasting:
        message = f"{named(lasting)} cannot be undone, and nobody looks at it before"
        yield said.finding("no-undo", message, "add an ask, or an undo to the tool's manifest")


def _can_be_undone(tool: Tool) -> bool:
    said: list[Json] = [tool.effect]
    operations: Json = tool.effect.get("operations")
    said += operations if isinstance(operations, list) else []
    return any(each.get("undo") not in (None, "none") for each in said if is_object(each))


# -- currencies ---------------------------------------------------------------------------------------------------


def _one_currency(material: Material) -> Iterator[Finding]:
    """A rule names one currency for an amount that comes in others, too: those calls are refused with an error."""
    for said in material.said:
        for tool, rule in said.enforced.items():
            if others := _left_out(tool, rule, material):
                only, more = others
                message = f"this {said.kind} speaks of {only} only; for {tool} there is also {more}, and then it is an error"
                hint = "name each: a table under values, as in {EUR: 100, USD: 110}, or a condition on the currency"
                yield said.finding("one-currency", message, hint)
                break


def _left_out(tool: str, rule: Rule, material: Material) -> tuple[str, str] | None:
    """The one currency it names, and those that can come; None if that is all there can be."""
    if _asks_for_currency(rule):  # it knows what it does
        return None
    for field, named_here in _spoken(rule).items():
        others = _possible(tool, field, material) - named_here
        if len(named_here) == 1 and others:
            return next(iter(named_here)), ", ".join(sorted(others))
    return None


def _possible(tool: str, field: str, material: Material) -> set[str]:
    """The currencies the schema lists for the tool's own amounts; else those that other rules name for the field."""
    takes = of_schema(material.tool(tool).input)
    currency = takes.attribute("currency")
    if currency is not None and currency.options and takes.attribute(field) is not None:
        return set(currency.options)
    rules = [rule for rule in material.about(tool) if rule.mode == "enforce"]
    return set[str]().union(*(_spoken(rule).get(field, set()) for rule in rules))


def _spoken(rule: Rule) -> dict[str, set[str]]:
    """By field: the currencies the rule compares it with."""
    found: dict[str, set[str]] = {}
    codes = [condition.code for condition in (*rule.when, *rule.unless)]
    while codes:
        code = codes.pop()
        codes += code.parts
        if len(code.parts) == 2:
            for one, other in (code.parts, code.parts[::-1]):
                if currencies := _of_constant(one):
                    found.setdefault(_field(other), set()).update(currencies)
    if rule.counted is not None and rule.counted.of is not None:
        found.setdefault(_field(rule.counted.of), set()).update(_of_value(rule.counted.most))
    return {field: currencies for field, currencies in found.items() if currencies}


def _asks_for_currency(rule: Rule) -> bool:
    codes = [condition.code for condition in (*rule.when, *rule.unless)]
    while codes:
        code = codes.pop()
        codes += code.parts
        if code.path is not None and code.path[-1] == "currency":
            return True
    return False


def _field(code: Code) -> str:
    """`amount` is `args.amount` and `call.amount`; what is looked up keeps its whole path."""
    if code.path is not None and code.path[0] in ("args", "call"):
        return code.path[-1]
    return code.label


def _of_constant(code: Code) -> set[str]:
    fixed, value = constant(code)
    return _of_value(value) if fixed else set()


def _of_value(value: object) -> set[str]:
    if isinstance(value, Money):
        return {value.currency}
    return set(value.entries) if isinstance(value, Table) else set()
