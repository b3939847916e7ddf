"""The look-ups of one file, compiled for one tool as its rules come to need them."""

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

from lockkeep.model import Demand, Json, Tool
from lockkeep.policy.conditions.check import Checker
from lockkeep.policy.conditions.checked import Code, Scope
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import Attr, Lit, Name, Tree, names_in, parse, parse_lookup
from lockkeep.policy.conditions.runtime import shown
from lockkeep.policy.conditions.types import Type, of_answer, of_schema
from lockkeep.policy.files import forms
from lockkeep.policy.files.people import People
from lockkeep.policy.positions import Text, nearest
from lockkeep.policy.rules.rule import Asked, Lookup
from lockkeep.policy.rules.scope import scope_of

EXPIRES = 8 * 3600.0
TOOL = re.compile(r"[a-z][a-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*")


class Says(Protocol):
    """Where mistakes are told, which tools read, and who there is."""

    def say(
        self, at: Text, message: str, hint: str = "", *, offset: int | None = None, tool: str = ""
    ) -> None: ...
    def read_tool(self, at: Text, name: str) -> Tool | None: ...
    def known(self, names: Iterable[Text], there: Iterable[str], what: str) -> None: ...
    @property
    def people(self) -> People: ...


class Reads:
    """`lookups` and `types` hold what was needed; `broken` what does not compile, so that one mistake is one message."""

    def __init__(self, says: Says, file: forms.PolicyFile, tool: Tool) -> None:
        self.all, self.tool = says, tool
        self.reads = {read.name.text: read for read in file.reads}
        self.values = file.values
        self.file = file
        self.lookups: dict[str, Lookup] = {}
        self.types: dict[str, Type] = {}
        self.broken: set[str] = set()
        self._open: list[str] = []

    def scope(self) -> Scope:
        return scope_of(self.tool, self.types, self.reads, self.values)

    def breaks(self, tree: Tree) -> bool:
        """Whether it speaks of a look-up that was complained about already."""
        return bool(self.broken & {_look_up_of(path) for path in names_in(tree)})

    def needs(self, paths: Iterable[tuple[str, ...]]) -> None:
        for path in sorted(paths):
            name = _look_up_of(path)
            if name in self.reads and name not in self.types and name not in self.broken:
                self._lookup(self.reads[name])

    def _lookup(self, read: forms.Read) -> None:
        name = read.name.text
        if name in self._open:
            circle = [*self._open[self._open.index(name) :], name]
            self.broken |= set(circle)
            message = f"the look-ups go in a circle: {' -> '.join(circle)}"
            self.all.say(self.reads[min(circle)].name, message, "take one of them out of the circle")
            return
        self._open.append(name)
        try:
            tool_name, arguments = self._said(read)
            tool = self.all.read_tool(read.call, tool_name)
            self.needs({path for _, tree in arguments for path in names_in(tree)})
            if tool is not None and not any(self.breaks(tree) for _, tree in arguments):
                self._add(read, tool, arguments)
        except Unreadable as error:
            self.all.say(read.call, error.message, error.hint, offset=error.at, tool=self.tool.name)
        finally:
            self._open.pop()
        if name not in self.types:
            self.broken.add(name)

    def _said(self, read: forms.Read) -> tuple[str, tuple[tuple[str | None, Tree], ...]]:
        """The tool and its arguments, from one line or from `call` and `with`."""
        if read.arguments is None:
            return parse_lookup(read.call.text)
        if not TOOL.fullmatch(read.call.text.strip()):
            raise Unreadable(0, "with 'with', call is the tool alone", "call: integration.tool")
        return read.call.text.strip(), tuple((key.text, self._given(text)) for key, text in read.arguments)

    def _given(self, text: Text) -> Tree:
        """A text that begins with `=` is a condition, `==x` the text `=x`, anything else a literal."""
        said = text.text
        if text.style is None and isinstance(text.value, bool | int | float):
            return parse(said)
        if not said.startswith("=") or said.startswith("=="):
            return Lit("text", said.removeprefix("=") if said.startswith("==") else said, 0)
        try:
            return parse(said[1:])
        except Unreadable as error:
            self.all.say(text, error.message, error.hint, offset=error.at + 1)
            raise Unreadable(0, f"'{said}' cannot be read") from None

    def _failed(self, read: forms.Read) -> Asked | None:
        """Who is asked when the look-up fails: groups only, since facts are not at hand then."""
        form = read.on_error
        if form is None:
            return None
        self.all.known((*form.each, *form.any_of), self.all.people.groups, "group")
        demand = Demand(
            rule=f"{self.file.name}/read/{read.name.text}", each=tuple(text.text for text in form.each),
            any_of=tuple(text.text for text in form.any_of), count=form.count, confirm=form.confirm,
            expires=form.expires or EXPIRES, always=form.always, reason=form.reason,
        )  # fmt: skip
        return Asked(demand)

    def _add(self, read: forms.Read, tool: Tool, arguments: tuple[tuple[str | None, Tree], ...]) -> None:
        scope = self.scope()
        found: dict[str, Code] = {}
        literal: dict[str, Json] = {}
        for given, tree in arguments:
            parameter, code = self._argument(tool, given, tree, scope)
            if parameter in found:
                raise Unreadable(code.at, f"'{parameter}' is given twice")
            found[parameter] = code
            if isinstance(tree, Lit):
                literal[parameter] = code.value
        missing = [name for name in tool.input.get("required", ()) if name not in found]
        if missing:
            raise Unreadable(0, f"{tool.name} needs {', '.join(missing)}", f"write {missing[0]}=…")
        name = read.name.text
        source = [read.call.text, *(f"{key.text}: {text.text}" for key, text in read.arguments or ())]
        self.lookups[name] = Lookup(
            name, tool.name, found, read.timeout, "; ".join(source), read.cache, self._failed(read)
        )
        self.types[name] = of_answer(tool.output or {}).narrowed(literal)

    def _argument(self, tool: Tool, given: str | None, tree: Tree, scope: Scope) -> tuple[str, Code]:
        """The parameter and its value, which fits as far as the schema tells."""
        properties: Mapping[str, Json] = tool.input.get("properties", {})
        parameter = given or _parameter(tool, tree)
        at = tree.at
        if parameter is None or parameter not in properties:
            shown_as = f"'{parameter}'" if parameter else "this value"
            hint = nearest(parameter or "", properties)
            raise Unreadable(at, f"{tool.name} has no parameter for {shown_as}", hint)
        kind, code = of_schema(tool.input).fields[parameter], Checker().maybe(tree, scope)
        if code.type.kind != kind.kind and "any" not in (code.type.kind, kind.kind):
            raise Unreadable(code.at, f"{parameter} of {tool.name} is {kind}, this is {code.type}")
        if kind.options and code.literal and code.value not in kind.options:
            message = f"{parameter} of {tool.name} is never {shown(code.value)}"
            raise Unreadable(code.at, message, nearest(str(code.value), kind.options))
        return parameter, code


def _parameter(tool: Tool, tree: Tree) -> str | None:
    """A bare argument: its last word is a parameter, or the tool has one required parameter."""
    names: Mapping[str, Json] = tool.input.get("properties", {})
    last = tree.name if isinstance(tree, Name | Attr) else None
    if last in names:
        return last
    required: list[str] = tool.input.get("required", [])
    return required[0] if len(required) == 1 else last


def _look_up_of(path: tuple[str, ...]) -> str:
    """The look-up a path would speak of, in its short or its long form."""
    first, *rest = path
    return rest[0] if first == "read" and rest else first
