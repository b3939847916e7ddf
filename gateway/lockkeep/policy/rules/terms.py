"""The conditions of a workflow file: each is checked with the names known in its place, and its mistake told there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from lockkeep.policy.conditions.check import Checker
from lockkeep.policy.conditions.checked import Code, Path, Root, Run, Scope
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import Tree, names_in, parse
from lockkeep.policy.conditions.runtime import MISSING, Env, Value, converted
from lockkeep.policy.conditions.types import TEXT, TIME, Type
from lockkeep.policy.files.places import spot
from lockkeep.policy.positions import Problems, Text
from lockkeep.policy.rules.rule import HOLE, Condition, Template
from lockkeep.policy.rules.scope import lenient

CHECKER = Checker()
RUN = Type(
    "object",
    fields={"id": TEXT, "workflow": TEXT, "subject": TEXT, "lane": TEXT, "step": replace(TEXT, maybe=True)},
)


@dataclass(frozen=True, slots=True)
class Names:
    """The names that mean something in one place of the file.

    `broken` are those complained about already: what uses them is passed over, so that one mistake is one message.
    `trusting`: a value that may be missing is no mistake here; it fails when it is used.
    `gap`: some name was lost by a mistake, so one that is not known may be that one.
    """

    scope: Scope = field(default_factory=lambda: Scope({}))
    broken: frozenset[str] = frozenset()
    trusting: bool = False
    gap: bool = False

    def having(self, name: str, kind: Type | None) -> "Names":
        """One name more; without a type it is a broken one."""
        if kind is None:
            return replace(self, broken=self.broken | {name})
        return replace(
            self, scope=self.scope.with_item(name, Root((name,), kind, _value_of(name, kind.kind)))
        )

    def knowing(self, paths: frozenset[Path]) -> "Names":
        return replace(self, scope=self.scope.knowing(paths))

    def breaks(self, tree: Tree) -> bool:
        used = {path[0] for path in names_in(tree)}
        return bool(self.broken & used) or (self.gap and not used <= self.scope.names.keys())

    def means(self, name: str) -> bool:
        return name in self.scope.names or name in self.broken

    def scope_for(self, tree: Tree) -> Scope:
        return lenient(self.scope) if self.trusting else self.scope


class Terms:
    """Reads the conditions of one set of files."""

    def __init__(self, texts: Mapping[str, str], problems: Problems) -> None:
        self.lines = {file: text.splitlines() for file, text in texts.items()}
        self.problems = problems

    def say(
        self, at: Text, message: str, hint: str = "", *, code: str = "condition", offset: int | None = None
    ) -> None:
        place = at.place if offset is None else spot(at, offset, self.lines[at.place.file])
        self.problems.add(place, message, hint, code=code)

    def condition(self, text: Text, names: Names) -> Code | None:
        return self._checked(CHECKER.condition, text, names)

    def value(self, text: Text, names: Names, begin: int = 0) -> Code | None:
        """A value that is certainly there. `begin`: where in the text the condition begins."""
        return self._checked(CHECKER.value, text, names, begin)

    def maybe(self, text: Text, names: Names) -> Code | None:
        return self._checked(CHECKER.maybe, text, names)

    def conditions(self, texts: tuple[Text, ...], names: Names) -> tuple[tuple[Condition, ...], Names]:
        """All hold, in order; each, and what comes after them, may rely on what they have shown to be there."""
        found: list[Condition] = []
        for text in texts:
            code = self.condition(text, names)
            if code is None:
                names = replace(names, trusting=True)  # who knows what it would have shown
                continue
            found.append(Condition(code, text.text, text.place))
            names = names.knowing(code.sure)
        return tuple(found), names

    def template(self, text: Text, names: Names) -> Template:
        """A text for people; what stands in its braces are names."""
        parts: list[str | Code] = []
        at = 0
        for hole in HOLE.finditer(text.text):
            parts.append(text.text[at : hole.start()])
            parts += [code] if (code := self._named(text, hole[1], hole.start(1), names)) else []
            at = hole.end()
        return Template((*parts, text.text[at:]))

    def speaks_of(self, text: Text, name: str) -> bool:
        """Whether the condition uses this name; what cannot be read uses none."""
        try:
            return name in {path[0] for path in names_in(parse(text.text))}
        except Unreadable:
            return False

    def _checked(
        self, check: Callable[[Tree, Scope], Code], text: Text, names: Names, begin: int = 0
    ) -> Code | None:
        try:
            tree = parse(text.text[begin:])
            return None if names.breaks(tree) else check(tree, names.scope_for(tree))
        except Unreadable as error:
            self.say(text, error.message, error.hint, offset=begin + error.at)
            return None

    def _named(self, text: Text, name: str, offset: int, names: Names) -> Code | None:
        try:
            if not all(part.isidentifier() for part in name.split(".")):
                raise Unreadable(0, f"'{name}' is no name", "only names stand in braces")
            tree = parse(name)
            return None if names.breaks(tree) else CHECKER.maybe(tree, lenient(names.scope))
        except Unreadable as error:
            message = f"{error.message} (in the text's braces)"
            self.say(text, message, error.hint, offset=offset + error.at)
            return None


def _value_of(name: str, kind: str) -> Run:
    """A step that was left out has no result."""

    def run(env: Env) -> Value:
        return converted(kind, env.get(name, MISSING))

    return run


NOW = Names().having("now", TIME)
IN_A_RUN = NOW.having("subject", TEXT).having("run", RUN)
