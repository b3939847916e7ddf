"""What lint looks at: the files' forms beside the rules they became, the day, and what is known of the past."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from lockkeep.model import Json, Tool, is_object
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.conditions.runtime import is_array
from lockkeep.policy.files.forms import Block, Entry, PolicyFile
from lockkeep.policy.positions import Mapping as Node_
from lockkeep.policy.positions import Node, Place, Problems, parse
from lockkeep.policy.rules.rule import Applies, Rule
from lockkeep.policy.show import policyfiles

WRITES = ("write", "money", "customer_visible", "irreversible")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something a careful reader would ask about. A comment on its line, or on one of `also`, silences it."""

    kind: str
    place: Place
    message: str
    hint: str = ""
    rule: str | None = None
    also: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One entry of a block, and the rules it became: one for each tool, or operation of a tool, of the block."""

    file: PolicyFile
    block: Block
    kind: str
    entry: Entry
    id: str
    rules: Mapping[str, Rule]

    @property
    def enforced(self) -> dict[str, Rule]:
        return {tool: rule for tool, rule in self.rules.items() if rule.mode == "enforce"}

    def finding(self, kind: str, message: str, hint: str = "", *, place: Place | None = None) -> Finding:
        also = (self.entry.place, self.block.key.place)
        return Finding(
            kind=kind, place=place or self.entry.place, message=message, hint=hint, rule=self.id, also=also
        )


@dataclass(frozen=True, kw_only=True)
class Material:
    rules: PolicySet
    today: date
    since: Mapping[str, date] = field(default_factory=dict[str, date])  # rule -> since when it only observes
    fired: frozenset[str] | None = None  # what the test files make fire; None if they were not run

    @cached_property
    def nodes(self) -> dict[str, Node]:
        found = {
            name: parse(name, text, Problems())
            for name, text in sorted(self.rules.files.items())
            if name.endswith(".yaml")
        }
        return {name: node for name, node in found.items() if node is not None}

    @cached_property
    def files(self) -> tuple[PolicyFile, ...]:
        return tuple(policyfiles.read(self.rules.files))

    @cached_property
    def said(self) -> tuple[Said, ...]:
        """Every entry that is not off, in the order of the files."""
        rules: dict[str, dict[str, Rule]] = {}
        for tool, of_tool in self.rules.rules.items():
            for rule in of_tool.rules:
                rules.setdefault(rule.id, {})[rule.operation or tool] = rule
        found: list[Said] = []
        for form, block in self.blocks:
            for kind, entry in block.entries:
                name = id_of(form, block, entry.name)
                one = Said(file=form, block=block, kind=kind, entry=entry, id=name, rules=rules.get(name, {}))
                found += [one] if one.rules else []
        return tuple(found)

    @cached_property
    def blocks(self) -> tuple[tuple[PolicyFile, Block], ...]:
        return tuple((form, block) for form in self.files for block in form.blocks)

    def of_kind(self, *kinds: str) -> Iterator[Said]:
        return (each for each in self.said if each.kind in kinds)

    def allows(self) -> Iterator[tuple[Said, dict[str, Rule]]]:
        """Every allow in force, with its rules for the tools that write."""
        for said in self.of_kind("allow"):
            writers = {name: rule for name, rule in said.enforced.items() if self.risk(name) in WRITES}
            if writers:
                yield said, writers

    @cached_property
    def homes(self) -> dict[str, Tool]:
        """Operations of wide tools, and the tool that does them."""
        return {
            rule.operation: self.rules.tools[name]
            for name, of_tool in self.rules.rules.items()
            for rule in of_tool.rules
            if rule.operation is not None
        }

    def tool(self, name: str) -> Tool:
        """The tool of this name, or the one that does what is named."""
        return self.homes.get(name) or self.rules.tools[name]

    def risk(self, name: str) -> str:
        """The class of a tool, or of one thing that it does."""
        said: Json = self.tool(name).effect.get("operations") if name in self.homes else None
        own = (
            [each for each in said if is_object(each) and each.get("operation") == name]
            if is_array(said)
            else []
        )
        return str(own[0]["class"]) if own and "class" in own[0] else self.tool(name).risk

    def about(self, name: str) -> list[Rule]:
        """The rules that are asked at every such call."""
        asked = (None, name) if name in self.homes else (None,)
        return [rule for rule in self.rules.rules_of(self.tool(name).name).rules if rule.operation in asked]

    def guarded(self, tool: str, allow: Rule, *kinds: str) -> bool:
        """Whether one of these kinds is in force for every call this allow lets through."""
        return any(
            rule.kind in kinds and rule.mode == "enforce" and covers(rule.applies, allow.applies)
            for rule in self.about(tool)
        )


def covers(outer: Applies, inner: Applies) -> bool:
    """Whether every call the inner one speaks about is one of the outer's."""
    if outer.everywhere:
        return True
    if inner.everywhere:
        return False
    agents = not outer.agents or (bool(inner.agents) and inner.agents <= outer.agents)
    workflows = not outer.workflows or (bool(inner.workflows) and inner.workflows <= outer.workflows)
    return agents and workflows


def id_of(file: PolicyFile, block: Block, name: str) -> str:
    """As the compiler names its rules."""
    return f"{file.name}/{''.join(block.key.text.split())}/{name}"


def place_of(node: Node, *path: str) -> Place | None:
    """Where the key at the end of the path stands."""
    found: Place | None = None
    for name in path:
        key = node.key(name) if isinstance(node, Node_) else None
        found = key.place if key else None
        node = (node.get(name) or node) if isinstance(node, Node_) else node
    return found


def named(tools: Iterable[str], most: int = 3) -> str:
    """A few names in words."""
    names = sorted(tools)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
