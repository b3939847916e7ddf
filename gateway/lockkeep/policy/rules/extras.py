"""What a block says beside its entries, compiled for one tool: `change`, `results`, `undo`."""

from typing import Protocol

from lockkeep.policy.conditions.check import Checker
from lockkeep.policy.conditions.checked import Scope
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import names_in, parse
from lockkeep.policy.conditions.runtime import Money, Table
from lockkeep.policy.conditions.types import Type, of_answer
from lockkeep.policy.files import forms
from lockkeep.policy.positions import Text, nearest
from lockkeep.policy.rules import asked
from lockkeep.policy.rules.projection import Projection
from lockkeep.policy.rules.rule import Applies, Asked, Condition, Cut, Path, Shown, TakenBack
from lockkeep.policy.rules.scope import lenient, with_result

Bound = int | float | Money | Table


class Compiler(asked.Says, Protocol):
    roles: frozenset[str]


class Block(asked.Block, Protocol):
    file: forms.PolicyFile
    block: forms.Block
    applies: Applies
    at: forms.When
    operation: str | None
    projection: Projection | None

    @property
    def all(self) -> Compiler: ...
    def id_of(self, name: str) -> str: ...
    def asked(self, rule: str, form: forms.Asking, scope: Scope) -> Asked: ...
    def conditions(self, texts: tuple[Text, ...], scope: Scope, whole: bool = True) -> tuple[tuple[Condition, ...], Scope]: ...  # fmt: skip


class Extras:
    def __init__(self, block: Block, scope: Scope) -> None:
        self.one, self.scope = block, scope

    def cuts(self) -> tuple[Cut, ...]:
        found = [cut for change in self.one.block.change if (cut := self._cut(change)) is not None]
        return tuple(cut for cut in found if cut.mode != "off")

    def _cut(self, change: forms.Change) -> Cut | None:
        name, arguments = change.argument.text, self.scope.names["args"][0].type
        kind, most = arguments.attribute(name), self._most(change)
        if kind is None or (kind.kind == "any" and name not in arguments.fields):
            hint = nearest(name, arguments.names())
            message = f"{self.one.tool.name} has no argument '{name}'"
            self.one.all.say(change.argument, message, hint, code="unknown-name")
            return None
        if most is None:
            return None
        money = isinstance(most, Money | Table)
        if kind.kind != ("money" if money else "number"):
            message = f"'{name}' is {kind}; it cannot be cut to {most}"
            hint = "numbers and amounts can be cut"
            if kind.kind == "money":
                hint = f"write the currency: at_most {most} EUR"
            self.one.all.say(change.most, message, hint, tool=self.one.tool.name)
            return None
        path = self._path(change.argument, f"{name}_minor" if money else name)
        if path is None:
            return None
        tree = parse(f"args.{name}")
        value = Checker().maybe(tree, lenient(self.scope))
        at = change.at.within(self.one.at)
        return Cut(
            self.one.id_of(forms.change_name(name)), self.one.applies, path, value, most, at.mode, at.until,
            self.one.operation, self.one.projection is not None,
        )  # fmt: skip

    def _path(self, argument: Text, name: str) -> Path | None:
        """Where the value stands in what is sent."""
        projection = self.one.projection
        if projection is None:
            return (name,)
        path = projection.paths.get(name)
        if path is None:
            message = f"'{name}' is worked out from several arguments, so there is nothing to cut"
            self.one.all.say(argument, message, "deny it, or ask people", tool=self.one.tool.name)
        return path

    def _most(self, change: forms.Change) -> Bound | None:
        if not isinstance(change.bound, str):
            return change.bound
        values = self.one.file.values
        found = values.get(change.bound)
        if isinstance(found, int | float | Money | Table) and not isinstance(found, bool):
            return found
        if change.bound in values:
            self.one.all.say(
                change.most,
                f"'{change.bound}' is no number and no amount",
                "a maximum is a number, an amount or a table",
            )
        else:
            hint = nearest(change.bound, values) or "write it under values:"
            self.one.all.say(change.most, f"there is no value '{change.bound}'", hint, code="unknown-name")
        return None

    def shown(self) -> tuple[Shown, ...]:
        form = self.one.block.results
        if form is None:
            return ()
        kind, at = of_answer(self.one.tool.output or {}), form.at.within(self.one.at)
        scope = with_result(self.scope, kind)
        withhold, _ = self.one.conditions(self._without_look_ups(form.withhold), scope)
        flag, _ = self.one.conditions(self._without_look_ups(form.flag), scope)
        hide = tuple(text.text for text in form.hide)
        for text in form.hide:
            self._field(text, kind)
        if at.mode == "off":
            return ()
        rule = self.one.id_of("results")
        return (
            Shown(
                rule, self.one.applies, hide, form.detect, withhold, flag, at.mode, at.until, self.one.operation,
                self.one.projection is not None,
            ),
        )  # fmt: skip

    def _without_look_ups(self, texts: tuple[Text, ...]) -> tuple[Text, ...]:
        """The conditions that speak of the call and its answer alone; of the others it is told that they do not."""
        left: list[Text] = []
        for text in texts:
            facts = [".".join(path) for path in _paths(text.text) if self._is_look_up(path)]
            if facts:
                message, hint = (
                    f"a result rule looks nothing up, as '{facts[0]}' is",
                    "use result and the arguments",
                )
                self.one.all.say(text, message, hint, tool=self.one.tool.name)
            else:
                left.append(text)
        return tuple(left)

    def _is_look_up(self, path: tuple[str, ...]) -> bool:
        """By its long form, or by a bare name that means nothing else here."""
        first, *_ = path
        meanings = {root.path for root in self.scope.names.get(first, ())}
        return first == "read" or (first in self.scope.reads and len(meanings) == 1)

    def _field(self, text: Text, kind: Type) -> None:
        """A field to hide is one of the answer's, in this tool or in another of the block."""
        if len(self.one.block.patterns) > 1 or any(
            "*" in each or "@" in each for each in self.one.block.patterns
        ):
            return
        try:
            tree = parse(f"result.{text.text}")
            scope = with_result(self.scope, kind)
            Checker().maybe(tree, lenient(scope))
        except Unreadable as error:
            self.one.all.say(text, error.message, error.hint, tool=self.one.tool.name)

    def undo(self) -> tuple[TakenBack, ...]:
        form = self.one.block.undo
        if form is None:
            return ()
        self.one.all.known(form.who, self.one.all.roles, "role")
        rule = self.one.id_of("undo")
        agreed = self.one.asked(rule, form.asking, self.scope) if form.asking else None
        return (
            TakenBack(
                rule,
                self.one.applies,
                frozenset(text.text for text in form.who),
                form.within,
                agreed,
                self.one.operation,
            ),
        )


def _paths(text: str) -> list[tuple[str, ...]]:
    """The names a condition speaks of; one that cannot be read is told elsewhere."""
    try:
        return sorted(names_in(parse(text)))
    except Unreadable:
        return []
