"""Forms become compiled rules: patterns find their tools, conditions are checked for each, names must exist."""

import fnmatch
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from lockkeep.model import Demand, Json, Tool, Tools
from lockkeep.policy import forms
from lockkeep.policy.check import Checker, Code, Scope
from lockkeep.policy.gatewayfile import GatewayFile
from lockkeep.policy.lexer import Unreadable
from lockkeep.policy.parser import Lit, Tree, names_in, parse, parse_lookup
from lockkeep.policy.people import People
from lockkeep.policy.places import spot
from lockkeep.policy.positions import Problems, Text, nearest
from lockkeep.policy.rules import HOLE, Applies, Condition, Counted, Lookup, Rule, Template, ToolRules, Who
from lockkeep.policy.scope import scope_of
from lockkeep.policy.types import Type, of_schema

KEYS = ("agent", "user", "run", "workflow", "subject", "tool")
EXPIRES = 8 * 3600.0


class Compiler:
    """Compiles policy files against the accepted tools, the people and the gateway file."""

    def __init__(
        self, tools: Tools, people: People, gateway: GatewayFile, texts: Mapping[str, str], problems: Problems
    ) -> None:
        self.tools, self.people, self.gateway, self.problems = tools, people, gateway, problems
        self.lines = {file: text.splitlines() for file, text in texts.items()}
        self.roles = frozenset[str]().union(*people.groups.values()) if people.groups else frozenset[str]()
        self._said: set[tuple[object, ...]] = set()

    def compile(self, files: Iterable[forms.PolicyFile]) -> dict[str, ToolRules]:
        found: dict[str, ToolRules] = {}
        for file in files:
            self._known((file.owner,), self.people.groups, "group")
            applies = self._applies(file.applies)
            used: set[str] = set()
            for block in file.blocks:
                for tool in self._matching(block):
                    rules = _OneTool(self, file, block, tool, applies).compile()
                    used |= {name for _, name in rules.lookups}
                    before = found.get(tool.name, ToolRules())
                    found[tool.name] = ToolRules(
                        before.rules + rules.rules, {**before.lookups, **rules.lookups}
                    )
            self._unused_reads(file, used)
        return found

    def _matching(self, block: forms.Block) -> list[Tool]:
        offered = {name: tool for name, tool in self.tools.items() if tool.offered}
        found: dict[str, Tool] = {}
        for pattern in block.patterns:
            matches = [tool for tool in offered.values() if _matches(pattern, tool)]
            if not matches:
                why = (
                    f"'{pattern}' is for the gateway only"
                    if pattern in self.tools
                    else f"no accepted tool is called '{pattern}'"
                )
                hint = (
                    nearest(pattern, offered)
                    if offered
                    else "accept the integration's tools first: lockkeep catalog accept"
                )
                self.say(block.key, why, hint, code="unknown-tool")
            if pattern.endswith("@read") and (block.deny or block.ask or block.limit):
                self.say(block.key, "a block for @read has only 'allow'")
            found |= {tool.name: tool for tool in matches}
        return list(found.values())

    def _applies(self, form: forms.Applies) -> Applies:
        self._known(form.agents, self.gateway.agents, "agent")
        return Applies(_words(form.agents), _words(form.workflows), form.everywhere)

    def _known(self, names: Iterable[Text], there: Iterable[str], what: str) -> None:
        for name in names:
            if name.text not in there:
                self.say(
                    name, f"there is no {what} '{name.text}'", nearest(name.text, there), code="unknown-name"
                )

    def who(self, form: forms.Allow) -> Who:
        self._known(form.roles, self.roles, "role")
        self._known(form.users, self.people.persons, "person")
        self._known(form.agents, self.gateway.agents, "agent")
        anyone = form.anyone or (not (form.roles or form.users or form.agents) and bool(form.when))
        return Who(anyone, _words(form.roles), _words(form.users), _words(form.agents))

    def demand(self, rule: str, form: forms.Ask) -> Demand:
        self._known((*form.each, *form.any_of), self.people.groups, "group")
        return Demand(
            rule=rule, each=tuple(text.text for text in form.each), any_of=tuple(text.text for text in form.any_of),
            count=form.count, confirm=form.confirm, expires=form.expires or EXPIRES,
        )  # fmt: skip

    def say(
        self, at: Text, message: str, hint: str = "", *, code: str = "condition", offset: int | None = None
    ) -> None:
        """Each mistake once, although its condition is checked for every tool of the block."""
        place = at.place if offset is None else spot(at, offset, self.lines[at.place.file])
        if (place, message) not in self._said:
            self._said.add((place, message))
            self.problems.add(place, message, hint, code=code)

    def _unused_reads(self, file: forms.PolicyFile, used: set[str]) -> None:
        for read in file.reads:
            if read.name.text not in used:
                self._lookup_shape(read)

    def _lookup_shape(self, read: forms.Read) -> None:
        """A look-up no rule needs must still be readable and name a tool that reads."""
        try:
            tool, _ = parse_lookup(read.call.text)
        except Unreadable as error:
            self.say(read.call, error.message, error.hint, offset=error.at)
            return
        self.read_tool(read.call, tool)

    def read_tool(self, at: Text, name: str) -> Tool | None:
        tool = self.tools.get(name)
        if tool is None:
            self.say(
                at, f"no accepted tool is called '{name}'", nearest(name, self.tools), code="unknown-tool"
            )
        elif not tool.reads:
            self.say(at, f"{name} does not only read (it is {tool.risk}), and a look-up never writes")
        else:
            return tool
        return None


class _OneTool:
    """One block of one file, compiled for one tool."""

    def __init__(
        self, compiler: Compiler, file: forms.PolicyFile, block: forms.Block, tool: Tool, applies: Applies
    ) -> None:
        self.all, self.file, self.block, self.tool, self.applies = compiler, file, block, tool, applies
        self.reads = {read.name.text: read for read in file.reads}
        self.lookups: dict[str, Lookup] = {}
        self.types: dict[str, Type] = {}
        self._open: list[str] = []
        self._trees: dict[int, Tree | None] = {}

    def compile(self) -> ToolRules:
        block = self.block
        entries: list[tuple[str, forms.Entry]] = [("allow", block.allow)] if block.allow else []
        entries += [("deny", entry) for entry in block.deny]
        entries += [("ask", entry) for entry in block.ask]
        entries += [("limit", entry) for entry in block.limit]
        for _, entry in entries:
            self._prepare_lookups(entry)
        scope = scope_of(self.tool, self.types)
        rules = tuple(self._rule(kind, entry, scope) for kind, entry in entries)
        return ToolRules(rules, {(self.file.name, name): lookup for name, lookup in self.lookups.items()})

    def _rule(self, kind: str, entry: forms.Entry, scope: Scope) -> Rule:
        rule_id = f"{self.file.name}/{self.block.key.text}/{entry.name}"
        when, after = self._conditions(entry.when, scope)
        unless, _ = self._conditions(entry.unless, after)
        rule = Rule(
            id=rule_id, file=self.file.name, kind=kind, place=entry.place, applies=self.applies,  # pyright: ignore[reportArgumentType]
            source=self._source(kind, entry), when=when, unless=unless,
            say=self._template(entry.say, after), fix=self._template(entry.fix, after),
        )  # fmt: skip
        if isinstance(entry, forms.Allow):
            if any(self._speaks_of_arguments(text, scope) for text in entry.when):
                self.all.say(
                    entry.when[0],
                    "who may use a tool never depends on its arguments",
                    "put the condition under deny or ask",
                )
            return replace(rule, who=self.all.who(entry))
        if isinstance(entry, forms.Ask):
            return replace(rule, demand=self.all.demand(rule_id, entry))
        if isinstance(entry, forms.Limit):
            return replace(rule, counted=self._counted(entry, scope))
        return rule

    def _conditions(self, texts: tuple[Text, ...], scope: Scope) -> tuple[tuple[Condition, ...], Scope]:
        """All hold, in order; each may rely on what those before have shown to be there."""
        found: list[Condition] = []
        for text in texts:
            tree = self._tree(text)
            if tree is None:
                continue
            try:
                code = Checker().condition(tree, scope)
            except Unreadable as error:
                self._say(text, error)
                continue
            found.append(Condition(code, text.text, text.place))
            scope = scope.knowing(code.sure)
        return tuple(found), scope

    def _template(self, text: Text | None, scope: Scope) -> Template | None:
        if text is None:
            return None
        parts: list[str | Code] = []
        at = 0
        for hole in HOLE.finditer(text.text):
            parts.append(text.text[at : hole.start()])
            code = self._named(text, hole[1], hole.start(1), scope)
            parts += [code] if code else []
            at = hole.end()
        return Template((*parts, text.text[at:]))

    def _named(self, text: Text, name: str, offset: int, scope: Scope) -> Code | None:
        try:
            tree = parse(name)
            if not all(part.isidentifier() for part in name.split(".")):
                raise Unreadable(0, f"'{name}' is no name", "only names stand in braces")
            return Checker().maybe(tree, lenient(scope, tree))
        except Unreadable as error:
            self.all.say(
                text, f"{error.message} (in the text's braces)", error.hint, offset=offset + error.at
            )
            return None

    def _counted(self, entry: forms.Limit, scope: Scope) -> Counted:
        keys: list[Code] = []
        for key in entry.keys:
            name = {"user": "user.id", "tool": "tool.name", "run": "run.id", "workflow": "run.id"}.get(
                key, key
            )
            try:
                keys.append(Checker().maybe(parse(name), lenient(scope, parse(name))))
            except Unreadable as error:
                self.all.problems.add(
                    entry.place,
                    f"limit per '{key}': {error.message}",
                    f"{error.hint}; or one of {', '.join(KEYS)}",
                )
        return Counted(entry.most, entry.window, tuple(keys), entry.text)

    # -- look-ups -----------------------------------------------------------------------------------------------

    def _prepare_lookups(self, entry: forms.Entry) -> None:
        for text in (*entry.when, *entry.unless):
            if (tree := self._tree(text)) is not None:
                self._needs(names_in(tree))
        for text in (entry.say, entry.fix):
            if text is not None:
                self._needs({tuple(hole[1].split(".")) for hole in HOLE.finditer(text.text)})
        if isinstance(entry, forms.Limit):
            self._needs({(key,) for key in entry.keys})

    def _needs(self, paths: Iterable[tuple[str, ...]]) -> None:
        for path in sorted(paths):
            name = path[1] if path[0] == "read" and len(path) > 1 else path[0]
            if name in self.reads and name not in self.types:
                self._lookup(self.reads[name])

    def _lookup(self, read: forms.Read) -> None:
        name = read.name.text
        if name in self._open:
            circle = " -> ".join([*self._open[self._open.index(name) :], name])
            self.all.say(
                read.name, f"the look-ups go in a circle: {circle}", "take one of them out of the circle"
            )
            return
        self._open.append(name)
        try:
            tool_name, arguments = parse_lookup(read.call.text)
            tool = self.all.read_tool(read.call, tool_name)
            self._needs({path for _, tree in arguments for path in names_in(tree)})
            if tool is not None:
                self._add(read, tool, arguments)
        except Unreadable as error:
            self._say(read.call, error)
        finally:
            self._open.pop()
        self.types.setdefault(name, Type("any"))

    def _add(self, read: forms.Read, tool: Tool, arguments: tuple[tuple[str | None, Tree], ...]) -> None:
        schema = of_schema(tool.input)
        scope = scope_of(self.tool, self.types)
        found: dict[str, Code] = {}
        literal: dict[str, Json] = {}
        for given, tree in arguments:
            parameter = given or _parameter(tool, tree)
            kind = schema.fields.get(parameter) if parameter else None
            if parameter is None or kind is None:
                shown = f"'{parameter}'" if parameter else "this value"
                at = getattr(tree, "at", 0)
                raise Unreadable(
                    at, f"{tool.name} has no parameter for {shown}", nearest(parameter or "", schema.fields)
                )
            code = Checker().maybe(tree, scope)
            if code.type.kind != kind.kind and "any" not in (code.type.kind, kind.kind):
                raise Unreadable(code.at, f"{parameter} of {tool.name} is {kind}, this is {code.type}")
            found[parameter] = code
            if isinstance(tree, Lit):
                literal[parameter] = code.value
        missing = [name for name in tool.input.get("required", ()) if name not in found]
        if missing:
            raise Unreadable(0, f"{tool.name} needs {', '.join(missing)}")
        name = read.name.text
        self.lookups[name] = Lookup(name, tool.name, found, read.timeout, read.call.text)
        self.types[name] = of_schema(tool.output or {}).narrowed(literal)

    # -- small things -------------------------------------------------------------------------------------------

    def _tree(self, text: Text) -> Tree | None:
        if id(text) not in self._trees:
            try:
                self._trees[id(text)] = parse(text.text)
            except Unreadable as error:
                self._say(text, error)
                self._trees[id(text)] = None
        return self._trees[id(text)]

    def _speaks_of_arguments(self, text: Text, scope: Scope) -> bool:
        tree = self._tree(text)
        names = {path[0] for path in names_in(tree)} if tree is not None else set[str]()
        return any(root.path[0] == "args" for name in names for root in scope.names.get(name, ()))

    def _say(self, text: Text, error: Unreadable) -> None:
        self.all.say(text, f"{error.message} (tool {self.tool.name})", error.hint, offset=error.at)

    def _source(self, kind: str, entry: forms.Entry) -> str:
        """What people agree to be judged by: everything the entry says, wherever in the file it stands."""
        said = {
            name: _plain(getattr(entry, name))
            for name in entry.__dataclass_fields__
            if name not in ("place", "key")
        }
        return json.dumps([self.file.name, kind, said], sort_keys=True)


def _plain(value: object) -> Json:
    if isinstance(value, Text):
        return value.text
    if isinstance(value, tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType] - items are texts
    return value


def _words(texts: Iterable[Text]) -> frozenset[str]:
    return frozenset(text.text for text in texts)


def _matches(pattern: str, tool: Tool) -> bool:
    integration, _, rest = pattern.partition(".")
    if pattern == "@read":
        return tool.reads
    if rest == "@read":
        return tool.integration == integration and tool.reads
    if "*" in rest:
        return tool.integration == integration and fnmatch.fnmatchcase(tool.name, pattern)
    return tool.name == pattern


def _parameter(tool: Tool, tree: Tree) -> str | None:
    """A bare argument: its last word is a parameter, or the tool has one required parameter."""
    names = tool.input.get("properties", {})
    last = getattr(tree, "name", None)
    if last in names:
        return last
    required = tool.input.get("required", ())
    return required[0] if len(required) == 1 else last


def lenient(scope: Scope, tree: Tree) -> Scope:
    """For texts, where a missing value is shown as (unknown): every step of the path counts as there."""
    paths: set[tuple[str, ...]] = set()
    for path in names_in(tree):
        for root in scope.names.get(path[0], ()):
            paths |= {(*root.path, *path[1:length]) for length in range(1, len(path) + 1)}
    return scope.knowing(frozenset(paths))
