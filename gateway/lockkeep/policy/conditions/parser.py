"""Tokens become a tree. The grammar stands in docs/reference/policy-files.md; precedence is CEL's."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from lockkeep.policy.conditions.lexer import Token, Unreadable, lex

DEEPEST = 40


@dataclass(frozen=True, slots=True)
class Lit:
    """number, money (minor, currency), duration (seconds), text, bool or null."""

    kind: str
    value: object
    at: int


@dataclass(frozen=True, slots=True)
class Name:
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Attr:
    of: "Tree"
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Index:
    of: "Tree"
    index: "Tree"
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function, or with `of` a method."""

    name: str
    args: tuple["Tree", ...]
    of: "Tree | None"
    at: int


@dataclass(frozen=True, slots=True)
class Unary:
    op: str
    of: "Tree"
    at: int


@dataclass(frozen=True, slots=True)
class Binary:
    op: str
    left: "Tree"
    right: "Tree"
    at: int


@dataclass(frozen=True, slots=True)
class Choice:
    test: "Tree"
    yes: "Tree"
    no: "Tree"
    at: int


@dataclass(frozen=True, slots=True)
class Items:
    items: tuple["Tree", ...]
    at: int


Tree = Lit | Name | Attr | Index | Call | Unary | Binary | Choice | Items
WORDS = {"and": "&&", "or": "||"}
COMPARE = ("==", "!=", "<", "<=", ">", ">=", "in")
LITERALS = {"true": ("bool", True), "false": ("bool", False), "null": ("null", None)}


def parse(text: str) -> Tree:
    """The condition's tree; raises Unreadable with the offset."""
    reader = _Reader(lex(text))
    tree = reader.condition()
    if reader.now.kind != "end":
        raise Unreadable(reader.now.at, f"'{_show(reader.now)}' is not expected here", _chained(reader))
    _not_too_deep(tree)
    return tree


def parse_lookup(text: str) -> tuple[str, tuple[tuple[str | None, Tree], ...]]:
    """`integration.tool(name=condition, condition)` as the tool and its arguments, named or bare."""
    reader = _Reader(lex(text))
    found = reader.lookup()
    if reader.now.kind != "end":
        raise Unreadable(
            reader.now.at,
            f"'{_show(reader.now)}' is not expected here",
            "one look-up: integration.tool(arguments)",
        )
    for _, tree in found[1]:
        _not_too_deep(tree)
    return found


def names_in(tree: Tree) -> set[tuple[str, ...]]:
    """Every path the tree speaks of, from its first name on; items of loops included."""
    path = path_of(tree)
    return {path} if path is not None else set[tuple[str, ...]]().union(*map(names_in, below(tree)))


def below(tree: Tree) -> tuple[Tree, ...]:
    """The tree's own parts."""
    match tree:
        case Attr() | Unary():
            return (tree.of,)
        case Index():
            return (tree.of, tree.index)
        case Call():
            return (tree.of, *tree.args) if tree.of else tree.args
        case Binary():
            return (tree.left, tree.right)
        case Choice():
            return (tree.test, tree.yes, tree.no)
        case Items():
            return tree.items
        case Lit() | Name():
            return ()


def path_of(tree: Tree) -> tuple[str, ...] | None:
    """`a.b.c` as a tuple of its names; None for anything else."""
    if isinstance(tree, Name):
        return (tree.name,)
    if isinstance(tree, Attr) and (before := path_of(tree.of)) is not None:
        return (*before, tree.name)
    return None


def _not_too_deep(tree: Tree) -> None:
    """Long chains make deep trees without a single bracket; everything after this may walk them by recursion."""
    level: list[Tree] = [tree]
    for _ in range(DEEPEST):
        level = [part for each in level for part in below(each)]
        if not level:
            return
    raise Unreadable(level[0].at, f"this is nested deeper than {DEEPEST} levels", "split it into a list")


class _Reader:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.place, self.depth = tokens, 0, 0

    @property
    def now(self) -> Token:
        return self.tokens[self.place]

    def step(self) -> Token:
        """The token here; the end is never passed."""
        token = self.now
        self.place = min(self.place + 1, len(self.tokens) - 1)
        return token

    def take(self, *ops: str) -> Token | None:
        """The next token if it is one of these operators (word forms included)."""
        token = self.now
        value = WORDS.get(str(token.value), token.value) if token.kind == "name" else token.value
        word = token.kind == "name" and token.value in ("and", "or", "in", "not")
        return self.step() if (token.kind == "op" or word) and value in ops else None

    def need(self, op: str) -> None:
        if not self.take(op):
            raise Unreadable(self.now.at, f"'{op}' is missing here", f"found {_show(self.now)}")

    def condition(self) -> Tree:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable(self.now.at, f"this is nested deeper than {DEEPEST} levels")
        tree = self.logic("||", lambda: self.logic("&&", self.negation))
        if mark := self.take("?"):
            yes = self.condition()
            self.need(":")
            tree = Choice(tree, yes, self.condition(), mark.at)
        self.depth -= 1
        return tree

    def logic(self, op: str, part: Callable[[], Tree]) -> Tree:
        parts, marks = [part()], list[int]()
        while token := self.take(op):
            marks.append(token.at)
            parts.append(part())
        return _balanced(op, parts, marks)

    def chain(self, ops: tuple[str, ...], part: Callable[[], Tree]) -> Tree:
        tree = part()
        while token := self.take(*ops):
            tree = Binary(str(token.value), tree, part(), token.at)
        return tree

    def negation(self) -> Tree:
        if token := self.take("not"):
            self.depth += 1
            if self.depth > DEEPEST:
                raise Unreadable(token.at, f"this is nested deeper than {DEEPEST} levels")
            tree = Unary("!", self.negation(), token.at)
            self.depth -= 1
            return tree
        tree = self.sum()
        if token := self.take(*COMPARE):
            tree = Binary(str(token.value), tree, self.sum(), token.at)
        return tree

    def sum(self) -> Tree:
        return self.chain(("+", "-"), lambda: self.chain(("*", "/", "%"), self.unary))

    def unary(self) -> Tree:
        if token := self.take("!", "-"):
            self.depth += 1
            if self.depth > DEEPEST:
                raise Unreadable(token.at, f"this is nested deeper than {DEEPEST} levels")
            tree = Unary(str(token.value), self.unary(), token.at)
            self.depth -= 1
            return tree
        return self.postfix()

    def postfix(self) -> Tree:
        tree = self.primary()
        while token := self.take(".", "["):
            if token.value == "[":
                tree = Index(tree, self.condition(), token.at)
                self.need("]")
                continue
            name = self.step()
            if name.kind != "name":
                raise Unreadable(name.at, "a name is missing after '.'")
            tree = (
                Call(str(name.value), self.arguments(), tree, name.at)
                if self.take("(")
                else Attr(tree, str(name.value), name.at)
            )
        return tree

    def primary(self) -> Tree:
        token = self.step()
        if token.kind in ("number", "money", "duration", "text"):
            return Lit(token.kind, token.value, token.at)
        if token.kind == "name" and token.value in LITERALS:
            return Lit(*LITERALS[str(token.value)], token.at)
        if token.kind == "name" and token.value not in ("and", "or", "in", "not"):
            name = str(token.value)
            return Call(name, self.arguments(), None, token.at) if self.take("(") else Name(name, token.at)
        if token.value == "(":
            tree = self.condition()
            self.need(")")
            return tree
        if token.value == "[":
            return Items(self.arguments("]"), token.at)
        raise Unreadable(
            token.at,
            f"a value is missing here, found {_show(token)}",
            "an operator needs something on both sides",
        )

    def lookup(self) -> tuple[str, tuple[tuple[str | None, Tree], ...]]:
        integration, dot, tool, bracket = self.step(), self.take("."), self.step(), self.take("(")
        if integration.kind != "name" or tool.kind != "name" or not dot or not bracket:
            raise Unreadable(
                integration.at, "a look-up is written integration.tool(arguments)", "as in crm.get(id)"
            )
        found: list[tuple[str | None, Tree]] = []
        while not self.take(")"):
            if found:
                self.need(",")
            named = self.now.kind == "name" and self.tokens[self.place + 1].value == "="
            at, name = self.now.at, str(self.step().value) if named else None
            if named:
                self.step()
            if name is not None and name in dict(found):
                raise Unreadable(at, f"'{name}' is given twice")
            found.append((name, self.condition()))
        return f"{integration.value}.{tool.value}", tuple(found)

    def arguments(self, close: str = ")") -> tuple[Tree, ...]:
        if self.take(close):
            return ()
        found = [self.condition()]
        while self.take(","):
            found.append(self.condition())
        self.need(close)
        return tuple(found)


def _balanced(op: str, parts: list[Tree], marks: list[int]) -> Tree:
    """The same order and the same answers as one after the other, in a tree that is never deep."""
    if not marks:
        return parts[0]
    middle = len(marks) // 2
    left = _balanced(op, parts[: middle + 1], marks[:middle])
    return Binary(op, left, _balanced(op, parts[middle + 1 :], marks[middle + 1 :]), marks[middle])


def _show(token: Token) -> str:
    return (
        "the end"
        if token.kind == "end"
        else str(token.value if not isinstance(token.value, Fraction) else float(token.value))
    )


def _chained(reader: _Reader) -> str:
    value = reader.now.value
    if value in COMPARE:
        return "comparisons are not chained: write a < b && b < c"
    if value == "=":
        return "compare with =="
    return "join conditions with && or ||"
