"""What makes a set hard to keep: unused names, untested and unnamed entries, refusals without words, open workflows."""

import re
from collections.abc import Iterable, Iterator

from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import names_in, parse, parse_lookup
from lockkeep.policy.conditions.types import of_answer
from lockkeep.policy.files import forms
from lockkeep.policy.lint.coverage import coverage
from lockkeep.policy.lint.material import Finding, Material, Said, named, place_of
from lockkeep.policy.positions import Listing, Mapping, Node, Place, Text
from lockkeep.policy.rules.rule import HOLE

NUMBERED = re.compile(r"(deny|ask|people|limit)-[0-9]+")
FEWEST_TOOLS, MOST_TOOLS = 5, 12


def kept(material: Material) -> Iterator[Finding]:
    yield from _untyped(material)
    yield from _unused(material)
    yield from _untested(material)
    yield from _unnamed(material)
    yield from _wordless(material)
    yield from _workflows(material)


def _untyped(material: Material) -> Iterator[Finding]:
    """A look-up whose answer nobody describes: a misspelt field is found by the first call, not by check."""
    for file in material.files:
        used = {
            name: lookup.tool
            for rules in material.rules.rules.values()
            for (own, name), lookup in rules.lookups.items()
            if own == file.name
        }
        for read in file.reads:
            tool = material.rules.tools.get(used.get(read.name.text, ""))
            kind = of_answer(tool.output or {}) if tool else None
            if tool is not None and kind is not None and (kind.kind == "any" or kind.open):
                message = f"{tool.name} does not say what it answers, so fields of '{read.name.text}' are not checked"
                hint = "ask for an output schema, and test what the rules read of it"
                yield Finding(kind="untyped-lookup", place=read.name.place, message=message, hint=hint)


def _unused(material: Material) -> Iterator[Finding]:
    for file in material.files:
        used = _names(file)
        looked_up = {
            name for rules in material.rules.rules.values() for own, name in rules.lookups if own == file.name
        }
        for name in file.values:
            if name not in used:
                place = place_of(material.nodes[file.file], "values", name) or file.owner.place
                yield Finding(
                    kind="unused", place=place, message=f"no rule of this file uses the value '{name}'", hint="take it out"
                )  # fmt: skip
        for read in file.reads:
            if read.name.text not in looked_up:
                message = f"no rule of this file needs the look-up '{read.name.text}'"
                yield Finding(kind="unused", place=read.name.place, message=message, hint="take it out")


def _names(file: forms.PolicyFile) -> set[str]:
    """Every word of a path that the file's rules and look-ups speak of."""
    words = {word for text in _texts(file) for word in _words(text)}
    return words | {word for read in file.reads for word in _words_of_call(read.call.text)}


def _words(text: str) -> set[str]:
    try:
        return {word for path in names_in(parse(text)) for word in path[:2]}
    except Unreadable:
        return set()


def _words_of_call(text: str) -> set[str]:
    try:
        _, arguments = parse_lookup(text)
    except Unreadable:
        return set()
    return {word for _, tree in arguments for path in names_in(tree) for word in path[:2]}


def _texts(file: forms.PolicyFile) -> Iterator[str]:
    for read in file.reads:
        yield from (value.text.removeprefix("=") for _, value in read.arguments or ())
    for block in file.blocks:
        for _, entry in block.entries:
            yield from _of_entry(entry)
        yield from (change.bound for change in block.change if isinstance(change.bound, str))
        if block.results is not None:
            yield from (text.text for text in (*block.results.withhold, *block.results.flag))


def _of_entry(entry: forms.Entry) -> Iterator[str]:
    yield from (text.text for text in (*entry.when, *entry.unless))
    for text in (entry.say, entry.fix):
        yield from (hole[1] for hole in HOLE.finditer(text.text if text else ""))
    if isinstance(entry, forms.Limit):
        yield from (each for each in (entry.most, entry.of) if isinstance(each, str))


# -- tests --------------------------------------------------------------------------------------------------------


def _untested(material: Material) -> Iterator[Finding]:
    """An entry that no case makes fire may say anything."""
    for file in coverage(material, material.fired) if material.fired is not None else ():
        if file.missed and not file.fired:
            hint = "write a test file for it; lockkeep policy test --coverage lists the entries"
            message = "no test file makes any entry of this file fire"
            yield Finding(kind="untested", place=Place(file.file, 1, 1), message=message, hint=hint)
            continue
        for each in file.missed:
            hint = f"add a case with by: [{each.rule.rpartition('/')[2]}]"
            message = f"no test case makes this {each.what} fire"
            yield Finding(
                kind="untested", place=each.place, message=message, hint=hint, rule=each.rule, also=each.also
            )


def _unnamed(material: Material) -> Iterator[Finding]:
    """A test that names an entry by its number means another one when an entry is added before it."""
    numbered = {
        said.id: said
        for said in material.said
        if NUMBERED.fullmatch(said.entry.name) and not _only_limit(said)
    }
    for file, node in material.nodes.items():
        if not file.startswith("tests/"):
            continue
        for text in _references(node):
            said = next(
                (each for name, each in numbered.items() if _means(text.text, name)),
                None,
            )
            if said is not None:
                message = f"'{text.text}' means another entry as soon as one is added before it"
                hint = f"give the {said.kind} at {said.entry.place} a name, and use that"
                yield Finding(
                    kind="unnamed-reference", place=text.place, message=message, hint=hint, rule=said.id
                )


def _only_limit(said: Said) -> bool:
    """A block's one limit is mostly a plain text, and there is nothing to mix it up with."""
    return said.kind == "limit" and len(said.block.limit) == 1


def _means(text: str, rule: str) -> bool:
    return text == rule or (NUMBERED.fullmatch(text) is not None and rule.endswith(f"/{text}")) or rule.endswith(f"/{text}")  # fmt: skip


def _references(node: Node) -> Iterator[Text]:
    """The rules a test file speaks of: `by`, `observed`, and the keys of `used`."""
    root = node if isinstance(node, Mapping) else None
    cases = root.get("cases") if root else None
    parts = [*(cases.items if isinstance(cases, Listing) else ()), root.get("given") if root else None]
    for part in parts:
        if not isinstance(part, Mapping):
            continue
        for key in ("by", "observed"):
            yield from _listed(part.get(key))
        used = part.get("used")
        yield from (name for name, _ in used.entries) if isinstance(used, Mapping) else ()


def _listed(node: Node | None) -> Iterable[Text]:
    items = node.items if isinstance(node, Listing) else (node,)
    return [item for item in items if isinstance(item, Text)]


# -- words, workflows ---------------------------------------------------------------------------------------------


def _wordless(material: Material) -> Iterator[Finding]:
    for said in material.of_kind("deny"):
        if said.entry.say is None:
            message = "this deny says nothing: agents and people read the bare condition as the reason"
            yield said.finding("no-say", message, "add say: why, in a sentence; and fix: what to do instead")


def _workflows(material: Material) -> Iterator[Finding]:
    for workflow in material.rules.workflows.values():
        for step in workflow.steps:
            if step.call is not None and step.call.open:
                left = named(step.call.open)
                message = f"step '{step.id}' leaves {left} open: the agent, or a person, fills it in"
                hint = f"write with: {{{step.call.open[0]}: …}}, or let it be, on purpose"
                yield Finding(
                    kind="open-argument", place=step.place, message=message, hint=hint, also=(workflow.place,)
                )
        count = len(workflow.tools)
        if not FEWEST_TOOLS <= count <= MOST_TOOLS:
            few = count < FEWEST_TOOLS
            message = f"the workflow has {count} tool{'' if count == 1 else 's'}; {FEWEST_TOOLS} to {MOST_TOOLS} work best with an agent"
            hint = "is something read or done outside of it?" if few else "split it into two workflows"
            yield Finding(kind="workflow-tools", place=workflow.place, message=message, hint=hint)
