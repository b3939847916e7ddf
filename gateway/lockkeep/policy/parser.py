"""Tokens become a tree. The grammar stands in docs/reference/conditions.md; precedence is CEL's."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from lockkeep.policy.lexer import Token, Unreadable, lex

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
    return found


def names_in(tree: Tree) -> set[tuple[str, ...]]:
    """Every path the tree speaks of, from its first name on; items of loops included."""
    path = path_of(tree)
    if path is not None:
        return {path}
    match tree:
        case Attr():
            return names_in(tree.of)
        case Index():
            return names_in(tree.of) | names_in(tree.index)
        case Call():
            return set[tuple[str, ...]]().union(
                *map(names_in, tree.args), names_in(tree.of) if tree.of else set()
            )
        case Unary():
            return names_in(tree.of)
        case Binary():
            return names_in(tree.left) | names_in(tree.right)
        case Choice():
            return names_in(tree.test) | names_in(tree.yes) | names_in(tree.no)
        case Items():
            return set[tuple[str, ...]]().union(*map(names_in, tree.items))
        case _:
            return set()


def path_of(tree: Tree) -> tuple[str, ...] | None:
    """`a.b.c` as a tuple of its names; None for anything else."""
    if isinstance(tree, Name):
        return (tree.name,)
    if isinstance(tree, Attr) and (before := path_of(tree.of)) is not None:
        return (*before, tree.name)
    return None


class _Reader:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.place, self.depth = tokens, 0, 0

    @property
    def now(self) -> Token:
        return self.tokens[self.place]

    def step(self) -> Token:
        self.place += 1
        return self.tokens[self.place - 1]

    def take(self, *ops: str) -> Token | None:
        """The next token if it is one of these operators (word forms included)."""
        token = self.now
        value = WORDS.get(str(token.value), token.value) if token.kind == "name" else token.value
        word = token.kind == "name" and token.value in ("and", "or", "in", "not")
        if (token.kind == "op" or word) and value in ops:
            self.place += 1
            return token
        return None

    def need(self, op: str) -> None:
        if not self.take(op):
            raise Unreadable(self.now.at, f"'{op}' is missing here", f"found {_show(self.now)}")

    def condition(self) -> Tree:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable(self.now.at, f"this is nested deeper than {DEEPEST} levels")
        tree = self.chain(("||",), lambda: self.chain(("&&",), self.negation))
        if mark := self.take("?"):
            yes = self.condition()
            self.need(":")
            tree = Choice(tree, yes, self.condition(), mark.at)
        self.depth -= 1
        return tree

    def chain(self, ops: tuple[str, ...], part: Callable[[], Tree]) -> Tree:
        tree = part()
        while token := self.take(*ops):
            op = WORDS.get(str(token.value), str(token.value))
            tree = Binary(op, tree, part(), token.at)
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
        integration = self.step()
        self.need(".")
        tool = self.step()
        if integration.kind != "name" or tool.kind != "name":
            raise Unreadable(integration.at, "a look-up is written integration.tool(arguments)")
        self.need("(")
        found: list[tuple[str | None, Tree]] = []
        while not self.take(")"):
            if found:
                self.need(",")
            named = self.now.kind == "name" and self.tokens[self.place + 1].value == "="
            name = str(self.step().value) if named else None
            if named:
                self.step()
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
