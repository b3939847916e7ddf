"""What checking makes of a tree: code with its type, and the names it may speak of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from lockkeep.policy.conditions.parser import Tree
from lockkeep.policy.conditions.runtime import Env, Value
from lockkeep.policy.conditions.types import Type

Path = tuple[str, ...]
Run = Callable[[Env], Value]
NOTHING: frozenset[Path] = frozenset()


@dataclass(frozen=True, slots=True)
class Code:
    """Checked code. `reads`: the look-ups it touches; `sure`, `sure_not`: what is there if it is true, or false."""

    type: Type
    run: Run
    at: int
    reads: frozenset[str] = frozenset()
    sure: frozenset[Path] = NOTHING
    sure_not: frozenset[Path] = NOTHING
    path: Path | None = None
    literal: bool = False
    value: Value = None
    parts: tuple["Code", ...] = ()
    label: str = ""
    op: str = ""  # what `generate` knows how to write; anything else is called as it is


@dataclass(frozen=True, slots=True)
class Root:
    """What a name stands for."""

    path: Path
    type: Type
    run: Run
    reads: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scope:
    """The names a condition may use. A name with two meanings is an error where it is used."""

    names: Mapping[str, tuple[Root, ...]]
    known: frozenset[Path] = NOTHING
    reads: Mapping[str, Root] = field(default_factory=dict[str, Root])  # `read.NAME`
    trusting: bool = False  # nothing is asked to be guarded: what is missing fails when it is run

    def knows(self, path: Path | None) -> bool:
        """Whether the value is sure to be there, or taken to be."""
        return self.trusting or (path is not None and path in self.known)

    def knowing(self, more: frozenset[Path]) -> "Scope":
        return replace(self, known=self.known | more) if more else self

    def with_item(self, name: str, root: Root) -> "Scope":
        return replace(self, names={**self.names, name: (root,)})


class Checks(Protocol):
    """The checker, as functions need it for their arguments."""

    def condition(self, tree: Tree, scope: Scope) -> Code: ...
    def value(self, tree: Tree, scope: Scope) -> Code: ...
    def maybe(self, tree: Tree, scope: Scope) -> Code: ...
    def present(self, tree: Tree, scope: Scope) -> Code: ...
