"""Limits, compiled: what is counted or summed, for whom, and what happens when it is full."""

from typing import Protocol

from lockkeep.model import Json, is_object
from lockkeep.policy.conditions.check import Checker
from lockkeep.policy.conditions.checked import Code, Scope
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import parse
from lockkeep.policy.conditions.runtime import Money, Table, is_array
from lockkeep.policy.files import forms
from lockkeep.policy.positions import nearest
from lockkeep.policy.rules import asked
from lockkeep.policy.rules.rule import Asked, Counted
from lockkeep.policy.rules.scope import lenient

KEYS = ("agent", "user", "run", "workflow", "subject", "tool")
NAMED = {"user": "call.user.id", "tool": "call.tool.name", "run": "call.run.id", "workflow": "call.run.workflow",
    "agent": "call.agent", "subject": "call.subject"}  # fmt: skip


PLAIN = ("text", "number", "bool", "any")  # what tells one thing from another, and comes again


class Block(asked.Block, Protocol):
    file: forms.PolicyFile

    def asked(self, rule: str, form: forms.Asking, scope: Scope) -> Asked: ...


class Limits:
    """Compiles the limits of one block for one tool."""

    def __init__(self, block: Block, scope: Scope) -> None:
        self.block, self.scope = block, scope

    def counted(self, rule: str, entry: forms.Limit) -> Counted | None:
        """The limit's number, window and keys; None if something is wrong with it."""
        most = self._most(entry)
        keys = tuple(code for key in entry.keys if (code := self._key(entry, key)) is not None)
        self.block.all.known(entry.to, self.block.all.people.groups, "group")
        full = self.block.asked(rule, entry.asking, self.scope) if entry.asking else None
        if most is None:
            return None
        return Counted(
            most, self._of(entry, most), entry.window, keys, entry.text.text.strip(), full,
            tuple(text.text for text in entry.to),
        )  # fmt: skip

    def _most(self, entry: forms.Limit) -> int | Money | Table | None:
        if not isinstance(entry.most, str):
            return entry.most
        values = self.block.file.values
        found = values.get(entry.most)
        if entry.most not in values:
            message, hint = (
                f"there is no value '{entry.most}'",
                nearest(entry.most, values) or "write it under values:",
            )
        elif isinstance(found, Money | Table) or (isinstance(found, int) and not isinstance(found, bool)):
            return found
        else:
            message, hint = (
                f"'{entry.most}' is no number and no amount",
                "a limit is a number, an amount or a table",
            )
        self.block.all.say(entry.text, message, hint, offset=0)
        return None

    def _of(self, entry: forms.Limit, most: int | Money | Table) -> Code | None:
        """What is summed; nothing for a number of calls."""
        money = isinstance(most, Money | Table)
        if entry.of is None and not money:
            return None
        path = entry.of or "call.amount"
        try:
            tree = parse(path)
            if self.block.reads.breaks(tree):
                return None
            code = Checker().maybe(tree, lenient(self.scope))
            wanted = "money" if money else "number"
            if code.type.kind not in (wanted, "any"):
                hint = "5000 EUR of an amount, 500 of a number"
                raise Unreadable(
                    0, f"'{path}' is {code.type}, the limit is {'money' if money else 'a number'}", hint
                )
            return code
        except Unreadable as error:
            at = entry.text.text.find(path)
            message = error.message if entry.of else "this call has no amount to sum"
            hint = error.hint if entry.of else "write 5000 EUR of FIELD per day"
            self.block.all.say(entry.text, message, hint, offset=max(at, 0), tool=self.block.tool.name)
            return None

    def _broken(self, code: Code) -> bool:
        """Whether it is an argument whose number may have decimals: hardly one of them comes twice."""
        if code.type.kind != "number" or code.path is None or code.path[0] != "args":
            return False
        part: Json = self.block.tool.input
        for name in code.path[1:]:
            properties: Json = part.get("properties") if is_object(part) else None
            part = properties.get(name) if is_object(properties) else None
        said: Json = part.get("type") if is_object(part) else None
        options: Json = part.get("enum") if is_object(part) else None
        return "number" in (said if is_array(said) else [said]) and not is_array(options)

    def _key(self, entry: forms.Limit, key: str) -> Code | None:
        """What a limit is counted for: one plain value the caller cannot leave to chance."""
        tree = parse(NAMED.get(key, key))
        try:
            code = Checker().maybe(tree, lenient(self.scope))
            hint = f"per {', '.join(KEYS)}, or an argument that is a text or a whole number"
            if code.reads:
                raise Unreadable(0, f"a limit is not counted per fact of a look-up, as '{key}' is", hint)
            if code.type.kind not in PLAIN or self._broken(code):
                kind = "a number that need not be whole" if code.type.kind == "number" else str(code.type)
                raise Unreadable(0, f"a limit is counted per plain value, '{key}' is {kind}", hint)
            return code
        except Unreadable as error:
            names = {*KEYS, *self.scope.names} - {"args", "call", "read", "now", "values"}
            hint = nearest(key, names) if key not in names and "." not in key else error.hint
            at = entry.text.text.index(f" {key}", entry.text.text.index(entry.window)) + 1
            self.block.all.say(entry.text, error.message, hint, offset=at, tool=self.block.tool.name)
            return None
