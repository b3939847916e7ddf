"""What a call of a wide tool really does: the first operation of its manifest whose `when` holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lockkeep.model import RISKS, Arguments, Json, Risk, Tool, is_object
from lockkeep.policy.conditions.check import Checker
from lockkeep.policy.conditions.checked import Code, Root, Scope
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import parse
from lockkeep.policy.conditions.runtime import MOST_STEPS, STEPS, EvalError, is_array
from lockkeep.policy.conditions.types import ANY
from lockkeep.policy.rules.projection import Projection, projection
from lockkeep.policy.rules.scope import arguments_of, lenient

ENTRY = frozenset(
    {"when", "operation", "args", "class", "subject", "amount", "undo", "before", "simulate", "pii"}
)
MOST_ITEMS = 200
ITEM = "item"  # one entry of the list that `each` names


@dataclass(frozen=True, slots=True)
class Operation:
    """One of the things a wide tool does. `entry` is the tool's manifest with what this one says for itself."""

    name: str
    risk: Risk
    when: Code
    entry: Mapping[str, Json]
    projection: Projection | None = None


@dataclass(frozen=True, slots=True)
class Doing:
    """What one call does: the operation, and its arguments as rules of that operation see them."""

    operation: Operation
    projected: Arguments | None


@dataclass(frozen=True, slots=True)
class Unmatched:
    """No operation could be told, or (`mixed`) more than one."""

    reason: str
    mixed: bool = False


@dataclass(frozen=True, slots=True)
class Operations:
    """All of a tool's, in the order of its manifest."""

    tool: str
    all: tuple[Operation, ...]
    each: Code | None

    def named(self, name: str | None) -> Operation | None:
        return next((each for each in self.all if each.name == name), None)

    def of(self, arguments: Arguments) -> Doing | Unmatched:
        """The one operation these arguments ask for. What cannot be told, for any reason, is unmatched."""
        try:
            found = {operation.name: operation for operation in self._found(arguments)}
        except (EvalError, _NothingFits) as error:
            reason = f"{self.tool} does many things, and its manifest knows none that fits these arguments"
            return Unmatched(f"{reason} ({error.message}).")
        if len(found) == 1:
            return self._doing(next(iter(found.values())), arguments)
        reason = f"One call of {self.tool} does one thing; this one would do {', '.join(sorted(found))}."
        return Unmatched(reason, mixed=True)

    def _doing(self, operation: Operation, arguments: Arguments) -> Doing | Unmatched:
        if operation.projection is None:
            return Doing(operation, None)
        try:
            return Doing(operation, operation.projection.of(arguments, [MOST_STEPS]))
        except EvalError as error:
            return Unmatched(f"What rules of {operation.name} speak of cannot be told: {error.message}.")

    def _found(self, arguments: Arguments) -> Iterator[Operation]:
        steps = [MOST_STEPS]  # for the whole call: a long list must not hold up others
        if self.each is None:
            yield self._one(arguments, None, steps)
            return
        items = self.each.run({"args": arguments, STEPS: steps})
        if not is_array(items) or not items:
            raise _NothingFits("there is nothing in its list")
        if len(items) > MOST_ITEMS:
            raise _NothingFits(f"its list has more than {MOST_ITEMS} entries")
        for item in items:
            yield self._one(arguments, item, steps)

    def _one(self, arguments: Arguments, item: Json, steps: list[int]) -> Operation:
        for operation in self.all:
            if operation.when.run({"args": arguments, ITEM: item, STEPS: steps}) is True:
                return operation
        raise _NothingFits("no `when` holds")


class _NothingFits(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def operations(tool: Tool) -> Operations | None:
    """The tool's operations with their conditions checked; None if it does one thing. Raises Unreadable."""
    said: Json = tool.effect.get("operations")
    if said is None:
        return None
    if not is_array(said) or not said:
        raise Unreadable(0, "operations is a list of {when, operation, class, …}")
    arguments = arguments_of(tool)
    item = Root((ITEM,), ANY, lambda env: env[ITEM])
    scope = Scope({**arguments.names, ITEM: (item,)})
    found = [_operation(tool, entry, scope) for entry in said]
    if len({each.name for each in found}) < len(found):
        raise Unreadable(0, "two operations have one name", "join their conditions with ||")
    return Operations(tool.name, tuple(found), _each(tool, arguments))


def _operation(tool: Tool, said: Json, scope: Scope) -> Operation:
    if not is_object(said) or not {"when", "operation"} <= said.keys():
        raise Unreadable(0, "an operation is {when: condition, operation: name, …}")
    if unknown := sorted(said.keys() - ENTRY):
        raise Unreadable(0, f"an operation has no '{unknown[0]}'")
    when, name, risk = said["when"], said["operation"], said.get("class", tool.risk)
    if not isinstance(when, str) or not isinstance(name, str) or not name:
        raise Unreadable(0, "when and operation are texts")
    if risk not in RISKS:
        raise Unreadable(0, f"operation {name}: there is no class '{risk}'")
    if RISKS.index(risk) > RISKS.index(tool.risk):
        raise Unreadable(
            0, f"operation {name} is graver than its tool", f"the tool's class must be {risk}, too"
        )
    tree = parse(when)
    entry = {**tool.effect, **said, "class": risk}
    projected = projection(said.get("args"), entry, arguments_of(tool))
    return Operation(name, risk, Checker().condition(tree, lenient(scope)), entry, projected)


def _each(tool: Tool, scope: Scope) -> Code | None:
    said: Json = tool.effect.get("each")
    if said is None:
        return None
    if not isinstance(said, str):
        raise Unreadable(0, "each is an expression, as in args.objects")
    tree = parse(said)
    return Checker().maybe(tree, lenient(scope))
