"""The policy files of a set as their forms: every entry with its id, and the tools that every block is about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lockkeep.model import Tools
from lockkeep.policy.conditions.runtime import like
from lockkeep.policy.files import forms, simple
from lockkeep.policy.hours import Hours
from lockkeep.policy.positions import Place, Problems, parse
from lockkeep.policy.rules.compile import operations_of
from lockkeep.policy.rules.rule import Rule

NOT_POLICIES = ("gateway.yaml", "people.yaml")
Form = forms.Entry | forms.Change | forms.Results | forms.Undo


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that a block says and that has an id. `at` is what counts of file, block and entry together."""

    id: str
    name: str
    kind: str
    file: forms.PolicyFile
    block: forms.Block
    form: Form
    place: Place
    at: forms.When
    openings: tuple[Hours, ...]  # all of them hold when it speaks
    rule: Rule | None = None  # what it was compiled to, for one tool
    operation: str | None = None  # the one thing a wide tool does that it speaks about


def read(files: Mapping[str, str]) -> list[forms.PolicyFile]:
    """The forms of a set that loads, in the order of their ids."""
    names = [name for name in files if name.endswith(".yaml") and "/" not in name]
    found: list[forms.PolicyFile] = []
    for name in sorted(set(names) - set(NOT_POLICIES)):
        problems = Problems()
        node = parse(name, files[name], problems)
        form = simple.read(name, node, problems) if node is not None else None
        found += [form] if form is not None else []
    return sorted(found, key=lambda form: form.name)


def items(file: forms.PolicyFile, block: forms.Block) -> list[Item]:
    """Everything of the block that has an id, in the order of the file's own words."""
    found = [_item(file, block, kind, entry.name, entry, entry.place) for kind, entry in block.entries]
    for change in block.change:
        name = f"change-{change.argument.text.replace('_', '-')}"
        found.append(_item(file, block, "change", name, change, change.argument.place))
    for name, extra in (("results", block.results), ("undo", block.undo)):
        if extra is not None:
            found.append(_item(file, block, name, name, extra, extra.place))
    return found


def called(block: forms.Block, tools: Tools) -> list[tuple[str, str | None]]:
    """The accepted tools that the block's key means; with the operation, where it names one thing a wide tool does."""
    there = [tool for tool in tools.values() if tool.offered]
    found: set[tuple[str, str | None]] = set()
    for pattern in block.patterns:
        if pattern in tools or "*" in pattern or "@" in pattern:
            found |= {(tool.name, None) for tool in there if _fits(pattern, tool.name, tool.reads)}
        else:
            found |= {(tool.name, pattern) for tool in there if pattern in operations_of(tool)}
    return sorted(found, key=str)


def by_id(files: Iterable[forms.PolicyFile]) -> dict[str, Item]:
    return {item.id: item for file in files for block in file.blocks for item in items(file, block)}


def _item(file: forms.PolicyFile, block: forms.Block, kind: str, name: str, form: Form, place: Place) -> Item:
    own = forms.When() if isinstance(form, forms.Undo) else form.at
    own_hours = form.opening if isinstance(form, forms.Entry) else Hours()
    key = "".join(block.key.text.split())
    return Item(
        id=f"{file.name}/{key}/{name}", name=name, kind=kind, file=file, block=block, form=form, place=place,
        at=replace(own.within(block.at.within(file.at)), hours=()),
        openings=tuple(each for each in (file.opening, block.opening, own_hours) if each.windows),
    )  # fmt: skip


def _fits(pattern: str, name: str, reads: bool) -> bool:
    integration, _, rest = pattern.partition(".")
    if pattern == "@read":
        return reads
    if rest == "@read":
        return reads and name.partition(".")[0] == integration
    return like(name, pattern) and name.partition(".")[0] == integration
