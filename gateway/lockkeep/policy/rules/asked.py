"""Whom a rule asks, with every name checked: groups, `user:ana`, `person:owner_id`, `manager-of:owner_id`."""

from collections.abc import Iterable
from typing import Protocol

from lockkeep.model import Demand, Tool
from lockkeep.policy.conditions.check import Checker
from lockkeep.policy.conditions.checked import Code, Scope
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import parse
from lockkeep.policy.files import forms
from lockkeep.policy.files.people import People
from lockkeep.policy.positions import Text, nearest
from lockkeep.policy.rules.reads import EXPIRES, Reads
from lockkeep.policy.rules.rule import Asked, Someone
from lockkeep.policy.rules.scope import lenient

USER, PERSON, MANAGER = "user:", "person:", "manager-of:"


class Says(Protocol):
    """Where mistakes are told, and who there is."""

    people: People

    def say(
        self, at: Text, message: str, hint: str = "", *, code: str = "condition", offset: int | None = None, tool: str = ""
    ) -> None: ...  # fmt: skip
    def known(self, names: Iterable[Text], there: Iterable[str], what: str) -> None: ...


class Block(Protocol):
    """The block that asks, compiled for one tool."""

    @property
    def all(self) -> Says: ...
    @property
    def tool(self) -> Tool: ...
    @property
    def reads(self) -> Reads: ...


def fields_of(form: forms.Asking) -> set[tuple[str, ...]]:
    """The paths of the facts it speaks of."""
    named = [
        text.text.partition(":")[2] for text in _everybody(form) if text.text.startswith((PERSON, MANAGER))
    ]
    return {tuple(path.split(".")) for path in (*named, *(text.text for text in form.recheck))}


class Askings:
    """Compiles what asks people, in the scope of one entry."""

    def __init__(self, block: Block, scope: Scope) -> None:
        self.block, self.scope = block, scope

    def asked(self, rule: str, form: forms.Asking) -> Asked:
        someone = {
            text.text: found for text in _everybody(form) if (found := self._someone(text)) is not None
        }
        demand = Demand(
            rule=rule, each=_texts(form.each), any_of=_texts(form.any_of), count=form.count, confirm=form.confirm,
            expires=form.expires or EXPIRES, always=form.always,
            escalate=tuple((after, _texts(to)) for after, to in form.escalate), edit=self._edit(form),
            recheck=_texts(form.recheck), reason=form.reason,
            slack_up_to=None if form.slack_up_to is None else str(form.slack_up_to),
        )  # fmt: skip
        return Asked(
            demand, someone, tuple(code for text in form.recheck if (code := self._fact(text)) is not None)
        )

    def _someone(self, text: Text) -> Someone | None:
        """The field behind a name; None for groups and users, which must be in people.yaml."""
        kind, colon, path = text.text.partition(":")
        people = self.block.all.people
        if not colon:
            self.block.all.known([text], people.groups, "group")
        elif kind == "user":
            if path not in people.persons:
                hint = nearest(path, people.persons)
                self.block.all.say(text, f"there is no person '{path}'", hint, code="unknown-name")
        elif kind in ("person", "manager-of") and not path.strip():
            self.block.all.say(text, f"'{text.text}' names no field", f"{kind}:FIELD, as in {kind}:owner_id")
        elif kind in ("person", "manager-of"):
            code = self._code(text, path, len(kind) + 1)
            if code is not None and code.type.kind not in ("text", "any"):
                message, hint = f"'{path}' is {code.type}; an account is text", "name a field that holds one"
                offset = len(kind) + 1
                self.block.all.say(text, message, hint, offset=offset, tool=self.block.tool.name)
            return (
                None if code is None else Someone(code, self._integration(code), manager=kind == "manager-of")
            )
        else:
            hint = "a group, user:NAME, person:FIELD or manager-of:FIELD"
            self.block.all.say(text, f"'{kind}:' names nobody", hint)
        return None

    def _integration(self, code: Code) -> str:
        """Where the field comes from: the look-up's integration, else the tool's own."""
        lookup = next(
            (self.block.reads.lookups[name] for name in code.reads if name in self.block.reads.lookups), None
        )
        return lookup.tool.partition(".")[0] if lookup else self.block.tool.integration

    def _fact(self, text: Text) -> Code | None:
        code = self._code(text, text.text, 0)
        if code is not None and not code.reads:
            self.block.all.say(
                text, f"'{text.text}' is no fact of a look-up", "name one, as in payment.disputed"
            )
            return None
        return code

    def _code(self, text: Text, path: str, offset: int) -> Code | None:
        try:
            tree = parse(path)
            return None if self.block.reads.breaks(tree) else Checker().maybe(tree, lenient(self.scope))
        except Unreadable as error:
            self.block.all.say(
                text, error.message, error.hint, offset=offset + error.at, tool=self.block.tool.name
            )
            return None

    def _edit(self, form: forms.Asking) -> tuple[str, ...]:
        names = self.scope.names["args"][0].type.names()
        for text in form.edit:
            if text.text not in names:
                message = f"{self.block.tool.name} has no argument '{text.text}'"
                self.block.all.say(text, message, nearest(text.text, names), code="unknown-name")
        return _texts(form.edit)


def _everybody(form: forms.Asking) -> tuple[Text, ...]:
    return (*form.each, *form.any_of, *(text for _, to in form.escalate for text in to))


def _texts(texts: Iterable[Text]) -> tuple[str, ...]:
    return tuple(text.text for text in texts)
