"""Forms become compiled rules: patterns find their tools, conditions are checked for each, names must exist."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import cast

from lockkeep.model import Json, Tool, Tools, is_object
from lockkeep.policy.conditions.check import Checker
from lockkeep.policy.conditions.checked import Code, Scope
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import Tree, names_in, parse, parse_lookup
from lockkeep.policy.conditions.runtime import is_array, like
from lockkeep.policy.files import forms
from lockkeep.policy.files.gatewayfile import GatewayFile
from lockkeep.policy.files.people import People
from lockkeep.policy.files.places import spot
from lockkeep.policy.positions import Problems, Text, nearest
from lockkeep.policy.rules.asked import Askings, fields_of
from lockkeep.policy.rules.extras import Extras
from lockkeep.policy.rules.limiting import Limits
from lockkeep.policy.rules.manifest import Effects
from lockkeep.policy.rules.projection import Projection
from lockkeep.policy.rules.reads import Reads
from lockkeep.policy.rules.rule import (
    HOLE,
    Applies,
    Asked,
    Condition,
    Rule,
    Template,
    ToolRules,
    Who,
    home_of,
    together,
)
from lockkeep.policy.rules.scope import lenient

ALONE = ("read", "note", "write")  # where the requester's own yes may be all that is asked
OF_ARGUMENTS = (("call", "amount"), ("call", "subject"))  # made of them by the manifest
PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")


class Compiler:
    """Compiles policy files against the accepted tools, the people and the gateway file."""

    def __init__(
        self,
        tools: Tools,
        people: People,
        gateway: GatewayFile,
        texts: Mapping[str, str],
        problems: Problems,
        workflows: Iterable[str] = (),
        effects: Mapping[str, Effects] | None = None,
    ) -> None:
        self.effects = effects or {}
        self.workflows = frozenset(workflows)
        self.tools, self.people, self.gateway, self.problems = tools, people, gateway, problems
        self.lines = {file: text.splitlines() for file, text in texts.items()}
        self.roles = frozenset[str]().union(*people.groups.values()) if people.groups else frozenset[str]()
        self._said: set[tuple[object, ...]] = set()

    def compile(self, file: forms.PolicyFile) -> dict[str, ToolRules]:
        """What this file says of each tool."""
        self.known((file.owner,), self.people.groups, "group")
        applies = self._applies(file.applies)
        found: list[tuple[str, ToolRules]] = []
        for block in file.blocks:
            for tool, operation in self._matching(block):
                found.append((tool.name, OneTool(self, file, block, tool, applies, operation).compile()))
        self._unused_reads(file, {name for _, rules in found for _, name in rules.lookups})
        return together({tool: rules} for tool, rules in found)

    def _matching(self, block: forms.Block) -> list[tuple[Tool, str | None]]:
        """The tools the key names; with the operation, where it names one thing a wide tool does."""
        found: dict[tuple[str, str | None], tuple[Tool, str | None]] = {}
        for pattern, offset in _places(block):
            matches = self._called(pattern)
            if not matches and not self._to_come(pattern):
                self._unknown(block, pattern, offset)
            more = len(block.entries) - (block.allow is not None)
            if pattern.endswith("@read") and (more or block.change or block.undo):
                hint = "name the tools it is for, in a block of their own"
                self.say(block.key, "a block for @read has only 'allow' and 'results'", hint, offset=offset)
            found |= {(tool.name, operation): (tool, operation) for tool, operation in matches}
        return list(found.values())

    def _called(self, pattern: str) -> list[tuple[Tool, str | None]]:
        """Tools by name or pattern; else every tool that has an operation of exactly this name."""
        tool = self.tools.get(pattern)
        if tool is not None:
            return [(tool, None)] if tool.offered else []
        offered = [each for each in self.tools.values() if each.offered]
        if "*" in pattern or "@" in pattern:
            return [(each, None) for each in offered if _matches(pattern, each)]
        return [(each, pattern) for each in offered if pattern in operations_of(each)]

    def _unknown(self, block: forms.Block, pattern: str, offset: int) -> None:
        if pattern in self.tools:
            why, hint = f"'{pattern}' is for the gateway only", "agents never see it, so no rule speaks of it"
        else:
            offered = [name for name, tool in self.tools.items() if tool.offered]
            known = [*offered, *(name for tool in self.tools.values() for name in operations_of(tool))]
            why = f"no accepted tool is called '{pattern}'"
            hint = nearest(pattern, known) or "accept the integration's tools first: lockkeep catalog accept"
        self.say(block.key, why, hint, code="unknown-tool", offset=offset)

    def _to_come(self, pattern: str) -> bool:
        """A pattern over an integration that is connected to, and of which no tool is accepted yet, is no mistake."""
        integration, _, rest = pattern.partition(".")
        accepted = any(tool.integration == integration for tool in self.tools.values())
        return integration in self.gateway.integrations and not accepted and ("*" in rest or rest == "@read")

    def _applies(self, form: forms.Applies) -> Applies:
        self.known(form.agents, self.gateway.agents, "agent")
        self.known(form.workflows, self.workflows, "workflow")
        return Applies(_words(form.agents), _words(form.workflows), form.everywhere)

    def known(self, names: Iterable[Text], there: Iterable[str], what: str) -> None:
        for name in names:
            if name.text not in there:
                hint = nearest(name.text, there) or "none is known yet"
                self.say(name, f"there is no {what} '{name.text}'", hint, code="unknown-name")

    def who(self, form: forms.Allow) -> Who:
        self.known(form.roles, self.roles, "role")
        self.known(form.users, self.people.persons, "person")
        self.known(form.agents, self.gateway.agents, "agent")
        nobody_named = not (form.roles or form.users or form.agents)
        anyone = form.anyone or (nobody_named and bool(form.when or form.at.hours))
        return Who(anyone, _words(form.roles), _words(form.users), _words(form.agents))

    def say(
        self,
        at: Text,
        message: str,
        hint: str = "",
        *,
        code: str = "condition",
        offset: int | None = None,
        tool: str = "",
    ) -> None:
        """Each mistake once, with the first tool it is one for: conditions are checked for every tool of the block."""
        place = at.place if offset is None else spot(at, offset, self.lines[at.place.file])
        if (place, message) not in self._said:
            self._said.add((place, message))
            self.problems.add(place, f"{message} (tool {tool})" if tool else message, hint, code=code)

    def _unused_reads(self, file: forms.PolicyFile, used: set[str]) -> None:
        for read in file.reads:
            if read.name.text not in used:
                self._lookup_shape(read)

    def _lookup_shape(self, read: forms.Read) -> None:
        """A look-up no rule needs must still be readable and name a tool that reads."""
        if read.arguments is not None:
            if "(" not in read.call.text:  # a rule that uses it has said so
                self.read_tool(read.call, read.call.text.strip())
            return
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
            message = f"{name} does not only read (it is {tool.risk}), and a look-up never writes"
            self.say(at, message, nearest(name, [each.name for each in self.tools.values() if each.reads]))
        else:
            return tool
        return None


class OneTool:
    """One block of one file, compiled for one tool."""

    def __init__(
        self,
        compiler: Compiler,
        file: forms.PolicyFile,
        block: forms.Block,
        tool: Tool,
        applies: Applies,
        operation: str | None = None,
    ) -> None:
        self.operation = operation
        self.all, self.file, self.block, self.tool, self.applies = compiler, file, block, tool, applies
        self.projection = self._projection(compiler.effects.get(tool.name))
        self.reads = Reads(compiler, file, tool, self.projection)
        self.at = block.at.within(file.at)
        self._trees: dict[int, Tree | None] = {}

    def compile(self) -> ToolRules:
        for _, entry in self.block.entries:
            self._prepare_lookups(entry)
        scope = self.reads.scope()
        rules = tuple(self._rule(kind, entry, scope) for kind, entry in self.block.entries)
        more = Extras(self, scope)
        home = home_of(self.file.name, self.operation if self.projection else None)
        return ToolRules(
            rules=tuple(rule for rule in rules if rule.mode != "off"),
            cuts=more.cuts(),
            shown=more.shown(),
            undo=more.undo(),
            lookups={(home, name): lookup for name, lookup in self.reads.lookups.items()},
        )

    def _projection(self, effects: Effects | None) -> Projection | None:
        """The arguments this block's rules see, if the operation it names has its own."""
        of = effects.operations.named(self.operation) if effects and effects.operations else None
        return of.projection if of else None

    def id_of(self, name: str) -> str:
        key = "".join(self.block.key.text.split())  # ids stand on the machine-readable line of a denial
        return f"{self.file.name}/{key}/{name}"

    def _rule(self, kind: str, entry: forms.Entry, scope: Scope) -> Rule:
        when, after = self.conditions(entry.when, scope)
        unless, _ = self.conditions(entry.unless, after, whole=len(when) == len(entry.when))
        at = entry.at.within(self.at)
        rule = Rule(
            id=self.id_of(entry.name), operation=self.operation, file=self.file.name, kind=kind, place=entry.place, applies=self.applies,  # pyright: ignore[reportArgumentType]
            source=self._source(kind, entry), when=when, unless=unless, say=self._template(entry.say, after),
            fix=self._template(entry.fix, after), mode=at.mode, until=at.until,
            hours=tuple(each for each in (self.file.opening, self.block.opening, entry.opening) if each.windows),
            projects=self.projection is not None,
        )  # fmt: skip
        match entry:
            case forms.Allow():
                return replace(rule, who=self._who(entry, scope))
            case forms.Ask():
                self._own_yes(entry)
                return replace(rule, asked=self.asked(rule.id, entry.asking, after))
            case forms.Hand():
                self.all.known(entry.to, self.all.people.groups, "group")
                return replace(rule, to=tuple(text.text for text in entry.to))
            case forms.Limit():
                return replace(rule, counted=Limits(self, after).counted(rule.id, entry))
            case _:
                return rule

    def _who(self, entry: forms.Allow, scope: Scope) -> Who:
        for text in entry.when:
            if self._speaks_of_arguments(text, scope):
                message = "who may use a tool never depends on its arguments"
                self.all.say(text, message, "put the condition under deny or ask")
        return self.all.who(entry)

    def _own_yes(self, entry: forms.Ask) -> None:
        asking = entry.asking
        if asking.confirm and not (asking.each or asking.any_of) and self.tool.risk not in ALONE:
            message = f"the requester's own yes is not enough for a tool of class {self.tool.risk}"
            at = next(iter(entry.when), self.block.key)
            self.all.say(replace(at, place=entry.place), message, "add from: [group]", tool=self.tool.name)

    def asked(self, rule: str, form: forms.Asking, scope: Scope) -> Asked:
        """Whom this asks, with every name checked."""
        return Askings(self, scope).asked(rule, form)

    def conditions(
        self, texts: tuple[Text, ...], scope: Scope, whole: bool = True
    ) -> tuple[tuple[Condition, ...], Scope]:
        """All hold, in order; each may rely on what those before have shown to be there.

        After one that is wrong (`whole`), nothing is known to be missing: one mistake is one message.
        """
        found: list[Condition] = []
        for text in texts:
            tree = self.tree(text)
            if tree is None or self.reads.breaks(tree):
                whole = False
                continue
            try:
                code = Checker().condition(tree, scope if whole else lenient(scope))
            except Unreadable as error:
                self._say(text, error)
                whole = False
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
            if not PATH.fullmatch(name):
                raise Unreadable(0, f"'{name}' is no name", "only names stand in braces")
            tree = parse(name)
            return None if self.reads.breaks(tree) else Checker().maybe(tree, lenient(scope))
        except Unreadable as error:
            message = f"{error.message} (in the text's braces)"
            self.all.say(text, message, error.hint, offset=offset + error.at)
            return None

    # -- look-ups -----------------------------------------------------------------------------------------------

    def _prepare_lookups(self, entry: forms.Entry) -> None:
        for text in (*entry.when, *entry.unless):
            if (tree := self.tree(text)) is not None:
                self.reads.needs(names_in(tree))
        for text in (entry.say, entry.fix):
            if text is not None:
                self.reads.needs({tuple(hole[1].split(".")) for hole in HOLE.finditer(text.text)})
        if isinstance(entry, forms.Limit) and entry.of is not None:
            self.reads.needs({tuple(entry.of.split("."))})
        for asking in (getattr(entry, "asking", None), self.block.undo.asking if self.block.undo else None):
            if asking is not None:
                self.reads.needs(fields_of(asking))

    # -- small things -------------------------------------------------------------------------------------------

    def tree(self, text: Text) -> Tree | None:
        if id(text) not in self._trees:
            try:
                self._trees[id(text)] = parse(text.text)
            except Unreadable as error:
                self._say(text, error)
                self._trees[id(text)] = None
        return self._trees[id(text)]

    def _speaks_of_arguments(self, text: Text, scope: Scope) -> bool:
        tree = self.tree(text)
        paths = names_in(tree) if tree is not None else set[tuple[str, ...]]()
        meant = {(*root.path, *path[1:]) for path in paths for root in scope.names.get(path[0], ())}
        return any(path[0] == "args" or path[:2] in OF_ARGUMENTS for path in meant)

    def _say(self, text: Text, error: Unreadable) -> None:
        self.all.say(text, error.message, error.hint, offset=error.at, tool=self.tool.name)

    def _values_of(self, entry: forms.Entry) -> set[str]:
        """The file's values this entry speaks of; the others may change without touching it."""
        trees = [tree for text in (*entry.when, *entry.unless) if (tree := self.tree(text)) is not None]
        paths: set[tuple[str, ...]] = {path for tree in trees for path in names_in(tree)}
        texts = (entry.say, entry.fix)
        paths |= {tuple(hole[1].split(".")) for text in texts if text for hole in HOLE.finditer(text.text)}
        if isinstance(entry, forms.Limit):
            paths |= {(str(entry.most),), tuple((entry.of or "").split("."))}
        names = {
            path[1] if path[:1] == ("values",) and len(path) > 1 else next(iter(path), "") for path in paths
        }
        return names & self.file.values.keys()

    def _source(self, kind: str, entry: forms.Entry) -> str:
        """What people agree to be judged by: everything the entry says, wherever in the file it stands."""
        said = {
            name: _plain(getattr(entry, name))
            for name in entry.__dataclass_fields__
            if name not in ("place", "key", "opening")
        }
        values = {name: self.file.said_values[name] for name in sorted(self._values_of(entry))}
        around = [_plain(self.file.at), _plain(self.block.at), values]
        return json.dumps([self.file.name, kind, said, around], sort_keys=True, default=str)


def _plain(value: object) -> Json:
    if isinstance(value, Text):
        return value.text
    if isinstance(value, tuple):
        return [_plain(item) for item in cast("tuple[object, ...]", value)]
    if isinstance(value, forms.When | forms.Asking):
        said = {name: getattr(value, name) for name in value.__dataclass_fields__ if name != "place"}
        return {name: _plain(each) for name, each in said.items()}
    return value


def _words(texts: Iterable[Text]) -> frozenset[str]:
    return frozenset(text.text for text in texts)


def _places(block: forms.Block) -> list[tuple[str, int]]:
    """Every pattern of the key and where in it."""
    found: list[tuple[str, int]] = []
    at = 0
    for part in block.key.text.split(","):
        if part.strip():
            found.append((part.strip(), at + len(part) - len(part.lstrip())))
        at += len(part) + 1
    return found


def operations_of(tool: Tool) -> list[str]:
    """The names of what a wide tool does."""
    said: Json = tool.effect.get("operations")
    return [str(each.get("operation")) for each in said if is_object(each)] if is_array(said) else []


def _matches(pattern: str, tool: Tool) -> bool:
    integration, _, rest = pattern.partition(".")
    if pattern == "@read":
        return tool.reads
    if rest == "@read":
        return tool.integration == integration and tool.reads
    return like(tool.name, pattern) and integration == tool.integration
