"""The look-ups of one file, compiled for one tool as its rules come to need them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
from lockkeep.policy.rules.projection import Projection
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


@dataclass(frozen=True, slots=True)
class _Given:
    """One argument as it stands: the condition begins at `begin` of the text. `key` is its parameter under `with`."""

    tree: Tree
    text: Text
    begin: int = 0
    name: str | None = None
    key: Text | None = None


class Reads:
    """`lookups` and `types` hold what was needed; `broken` what does not compile, so that one mistake is one message."""

    def __init__(
        self, says: Says, file: forms.PolicyFile, tool: Tool, projection: Projection | None = None
    ) -> None:
        self.all, self.tool, self.projection = says, tool, projection
        self.reads = {read.name.text: read for read in file.reads}
        self.values = file.values
        self.file = file
        self.lookups: dict[str, Lookup] = {}
        self.types: dict[str, Type] = {}
        self.broken: set[str] = set()
        self._open: list[str] = []

    def scope(self) -> Scope:
        return scope_of(self.tool, self.types, self.reads, self.values, self.projection)

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
            if arguments is not None:
                self.needs({path for each in arguments for path in names_in(each.tree)})
                if tool is not None and not any(self.breaks(each.tree) for each in arguments):
                    self._add(read, tool, arguments)
        except Unreadable as error:
            self.all.say(read.call, error.message, error.hint, offset=error.at, tool=self.tool.name)
        finally:
            self._open.pop()
        if name not in self.types:
            self.broken.add(name)

    def _said(self, read: forms.Read) -> tuple[str, Sequence[_Given] | None]:
        """The tool and its arguments, from one line or from `call` and `with`. None: one was complained about."""
        if read.arguments is None:
            name, arguments = parse_lookup(read.call.text)
            return name, [_Given(tree, read.call, name=parameter) for parameter, tree in arguments]
        if not TOOL.fullmatch(read.call.text.strip()):
            raise Unreadable(0, "with 'with', call is the tool alone", "call: integration.tool")
        given = [self._given(key, text) for key, text in read.arguments]
        there = [each for each in given if each is not None]
        return read.call.text.strip(), there if len(there) == len(given) else None

    def _given(self, key: Text, text: Text) -> _Given | None:
        """A text that begins with `=` is a condition, `==x` the text `=x`, anything else a literal."""
        said = text.text
        plain = text.style is None and isinstance(text.value, bool | int | float)
        if not plain and (not said.startswith("=") or said.startswith("==")):
            literal = Lit("text", said.removeprefix("=") if said.startswith("==") else said, 0)
            return _Given(literal, text, name=key.text, key=key)
        begin = 0 if plain else 1
        try:
            return _Given(parse(said[begin:]), text, begin, key.text, key)
        except Unreadable as error:
            self._wrong(text, error, begin)
            return None

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

    def _add(self, read: forms.Read, tool: Tool, arguments: Sequence[_Given]) -> None:
        scope = self.scope()
        found: dict[str, Code] = {}
        literal: dict[str, Json] = {}
        for given in arguments:
            parameter = self._named(tool, given)
            code = self._value(tool, parameter, given, scope) if parameter is not None else None
            if parameter is None or code is None:
                return
            if parameter in found:
                raise Unreadable(code.at, f"'{parameter}' is given twice", "take one out")
            found[parameter] = code
            if isinstance(given.tree, Lit):
                literal[parameter] = code.value
        missing = [name for name in tool.input.get("required", ()) if name not in found]
        if missing:
            hint = f"write {missing[0]}=…" if read.arguments is None else f"add {missing[0]}: … under with"
            raise Unreadable(0, f"{tool.name} needs {', '.join(missing)}", hint)
        name = read.name.text
        source = [read.call.text, *(f"{key.text}: {text.text}" for key, text in read.arguments or ())]
        self.lookups[name] = Lookup(
            name,
            tool.name,
            found,
            read.timeout,
            "; ".join(source),
            read.cache,
            self._failed(read),
            self.projection is not None,
        )
        self.types[name] = of_answer(tool.output or {}).narrowed(literal)

    def _named(self, tool: Tool, given: _Given) -> str | None:
        """The parameter that this argument is for; None, and said, if the tool has none like it."""
        properties: Mapping[str, Json] = tool.input.get("properties", {})
        parameter = given.name or _parameter(tool, given.tree)
        if parameter is not None and parameter in properties:
            return parameter
        shown_as = f"'{parameter}'" if parameter else "this value"
        message = f"{tool.name} has no parameter for {shown_as}"
        error = Unreadable(0 if given.key else given.tree.at, message, nearest(parameter or "", properties))
        self._wrong(given.key or given.text, error)
        return None

    def _value(self, tool: Tool, parameter: str, given: _Given, scope: Scope) -> Code | None:
        """What the parameter gets, which fits as far as the schema tells; None, and said, if it does not."""
        kind = of_schema(tool.input).fields[parameter]
        try:
            code = Checker().maybe(given.tree, scope)
            if code.type.kind != kind.kind and "any" not in (code.type.kind, kind.kind):
                message = f"{parameter} of {tool.name} is {kind}, this is {code.type}"
                raise Unreadable(code.at, message, _meant(given))
            if kind.options and code.literal and code.value not in kind.options:
                message = f"{parameter} of {tool.name} is never {shown(code.value)}"
                raise Unreadable(code.at, message, nearest(str(code.value), kind.options))
        except Unreadable as error:
            self._wrong(given.text, error, given.begin)
            return None
        return code

    def _wrong(self, at: Text, error: Unreadable, begin: int = 0) -> None:
        """Told where it stands: under `with`, that is the line of its own parameter."""
        self.all.say(at, error.message, error.hint, offset=begin + error.at, tool=self.tool.name)


def _parameter(tool: Tool, tree: Tree) -> str | None:
    """A bare argument: its last word is a parameter, or the tool has one required parameter."""
    names: Mapping[str, Json] = tool.input.get("properties", {})
    last = tree.name if isinstance(tree, Name | Attr) else None
    if last in names:
        return last
    required: list[str] = tool.input.get("required", [])
    return required[0] if len(required) == 1 else last


def _meant(given: _Given) -> str:
    """A name under `with` whose `=` was left out is a text."""
    text = given.key is not None and isinstance(given.tree, Lit) and given.tree.kind == "text"
    return f"a condition begins with =, as in = {given.text.text}" if text else ""


def _look_up_of(path: tuple[str, ...]) -> str:
    """The look-up a path would speak of, in its short or its long form."""
    first, *rest = path
    return rest[0] if first == "read" and rest else first
