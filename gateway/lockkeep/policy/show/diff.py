"""`lockkeep policy diff`: two policy sets compared by what they mean. Where things stand, and in which order, says nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from zoneinfo import ZoneInfo

from lockkeep.model import Integration, Json
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.files import forms
from lockkeep.policy.files.channels import ChannelEntry
from lockkeep.policy.files.workflowfile import WorkflowFile
from lockkeep.policy.hours import Hours
from lockkeep.policy.rules.rule import Rule
from lockkeep.policy.show import policyfiles, workflowparts
from lockkeep.policy.show.facets import Way, facets, grew, way, weighed
from lockkeep.policy.show.plain import listed, value
from lockkeep.policy.show.policyfiles import Item
from lockkeep.policy.show.sentences import entry, hours_said
from lockkeep.policy.show.workflowparts import ARGUMENT, WHOLE, Parts, Piece

GROUPS = (
    "gained access", "weaker asks", "removed denies", "raised limits", "more is shown", "values", "look-ups", "changed",
    "people", "gateway", "workflows", "pins", "stricter", "lost access", "words",
)  # fmt: skip
WEAKER = {
    "allow": "changed", "deny": "removed denies", "ask": "weaker asks", "people": "weaker asks", "limit": "raised limits",
    "change": "raised limits", "results": "more is shown", "undo": "changed",
}  # fmt: skip
MOST_NAMES = 6


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same. `before` is empty for what is new, `after` for what is gone."""

    group: str
    what: str
    before: str = ""
    after: str = ""
    rule: str = ""
    tools: tuple[str, ...] = ()


def compare(old: PolicySet, new: PolicySet) -> list[Difference]:
    """Every difference, the most dangerous first."""
    before, after = policyfiles.read(old.files), policyfiles.read(new.files)
    found = [
        *_access(old, new), *_entries(_by_tool(before, old), _by_tool(after, new)), *_values(before, after),
        *_reads(before, after), *_people(old, new), *_gateway(old, new), *_workflows(old, new), *_pins(old, new),
        *_owners(before, after),
    ]  # fmt: skip
    return sorted(
        _merged(found), key=lambda each: (GROUPS.index(each.group), each.rule, each.tools, each.what)
    )


def as_text(found: Sequence[Difference]) -> Iterator[str]:
    """A heading for each group, a line for each difference."""
    for group in GROUPS:
        there = [each for each in found if each.group == group]
        if there:
            yield group[:1].upper() + group[1:]
            yield from (f"  {_line(each)}" for each in there)


def as_data(found: Iterable[Difference]) -> list[dict[str, Json]]:
    return [
        {
            "group": each.group, "what": each.what, "before": each.before or None, "after": each.after or None,
            "rule": each.rule or None, "tools": list(each.tools),
        }
        for each in found
    ]  # fmt: skip


def _line(each: Difference) -> str:
    about = each.rule or _some(each.tools)
    said = f"{about}: {each.what}" if about else each.what
    if each.before and each.after:
        return f"{said}: {each.after} (was: {each.before})"
    return f"{said}: {each.before or each.after}" if each.before or each.after else said


def _merged(found: Iterable[Difference]) -> list[Difference]:
    """The same difference for several tools is one."""
    tools: dict[Difference, list[str]] = {}
    for each in found:
        tools.setdefault(replace(each, tools=()), []).extend(each.tools)
    return [replace(each, tools=tuple(dict.fromkeys(names))) for each, names in tools.items()]


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return (
        listed(names)
        if more <= 1 and names
        else f"{', '.join(names[:MOST_NAMES])} and {more} more"
        if names
        else ""
    )


# -- who may use what -----------------------------------------------------------------------------------------------


def _access(old: PolicySet, new: PolicySet) -> Iterator[Difference]:
    """Tools that somebody can use now and could not, and the other way round. Its conditions are weighed with the entry."""
    users = sorted({*old.people.persons, *new.people.persons})
    agents = sorted({*old.gateway.agents, *new.gateway.agents})
    for tool in sorted({*old.rules, *new.rules}):
        allows = [
            [rule for rule in rules.rules_of(tool).rules if rule.kind == "allow"] for rules in (old, new)
        ]
        callers = _callers(users, agents, [rule for side in allows for rule in side])
        before = {each for each in callers if _may(old, allows[0], each)}
        after = {each for each in callers if _may(new, allows[1], each)}
        for group, found in (("gained access", after - before), ("lost access", before - after)):
            yield from (Difference(group, who, tools=(tool,)) for who in _said(found, users))


@dataclass(frozen=True, slots=True, order=True)
class _Caller:
    """Somebody with an agent; in runs of a workflow, for one operation, or (empty) in general."""

    agent: str
    user: str
    run: str = ""
    operation: str = ""


def _callers(users: Iterable[str], agents: Iterable[str], allows: Iterable[Rule]) -> list[_Caller]:
    rules = list(allows)
    runs = {"", *(name for rule in rules for name in rule.applies.workflows)}
    operations = {"", *(rule.operation or "" for rule in rules)}
    ways = [(run, operation) for run in sorted(runs) for operation in sorted(operations)]
    return [_Caller(agent, user, *way) for agent in agents for user in users for way in ways]


def _may(current: PolicySet, allows: Iterable[Rule], caller: _Caller) -> bool:
    if caller.user not in current.people.persons or caller.agent not in current.gateway.agents:
        return False
    roles = current.people.roles(caller.user)
    return any(
        rule.mode == "enforce" and rule.operation in (None, caller.operation)
        and rule.applies.to(caller.agent, caller.run or None) and rule.who.fits(caller.user, caller.agent, roles)
        for rule in allows
    )  # fmt: skip


def _said(callers: set[_Caller], users: Sequence[str]) -> Iterator[str]:
    """By agent: `ana and bo with the agent desk`. What is so in general is not said of runs and operations again."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for each in sorted(callers):
        if (each.run or each.operation) and _Caller(each.agent, each.user) in callers:
            continue
        found.setdefault((each.agent, each.run, each.operation), []).append(each.user)
    for (agent, run, operation), names in found.items():
        who = "everybody" if len(names) == len(users) and len(users) > 1 else _some(names)
        ways = f"{f' in runs of {run}' if run else ''}{f' for {operation}' if operation else ''}"
        yield f"{who} with the agent {agent}{ways}"


# -- entries --------------------------------------------------------------------------------------------------------


def _by_tool(files: Iterable[forms.PolicyFile], current: PolicySet) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {tool: [] for tool in current.tools}
    rules = {
        (tool, rule.id, rule.operation): rule
        for tool, of_tool in current.rules.items()
        for rule in of_tool.rules
    }
    for file in files:
        for block in file.blocks:
            for tool, operation in policyfiles.called(block, current.tools):
                found[tool] += [
                    replace(item, operation=operation, rule=rules.get((tool, item.id, operation)))
                    for item in policyfiles.items(file, block)
                ]
    return found


def _entries(old: Mapping[str, list[Item]], new: Mapping[str, list[Item]]) -> Iterator[Difference]:
    """Tool by tool: what is the same is left out, wherever it stands; then what has the same name is compared."""
    ids_old, ids_new = _ids(old), _ids(new)
    for tool in sorted({*old, *new}):
        left, right = _unequal(old.get(tool, []), new.get(tool, []))
        named = {_name(item): item for item in right}
        for item in left:
            other = named.pop(_name(item), None)
            if other is not None:
                yield from (replace(each, tools=(tool,)) for each in _changed(item, other))
            elif tool in new or item.id not in ids_new:
                yield replace(_gone(item), tools=(tool,))
        for item in named.values():
            if tool in old or item.id not in ids_old:
                yield replace(_came(item), tools=(tool,))


def _ids(items: Mapping[str, list[Item]]) -> set[str]:
    return {item.id for each in items.values() for item in each}


def _name(item: Item) -> tuple[str, ...]:
    return item.file.name, item.kind, item.name, item.operation or ""


def _unequal(old: Sequence[Item], new: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """Without the pairs that mean the same; one that kept its name is paired with its own."""
    waiting: dict[object, list[Item]] = {}
    for item in new:
        waiting.setdefault(_meaning(item), []).append(item)
    left: list[Item] = []
    for item in old:
        same = waiting.get(_meaning(item), [])
        if same:
            same.remove(next((each for each in same if _name(each) == _name(item)), same[0]))
        else:
            left.append(item)
    return left, [item for items in waiting.values() for item in items]


def _meaning(item: Item) -> tuple[object, ...]:
    """Everything that makes a difference: two entries with the same one mean the same."""
    return item.kind, *((what, facet.key) for what, facet in facets(item).items())


def _changed(old: Item, new: Item) -> Iterator[Difference]:
    before, after = facets(old), facets(new)
    for what in before:
        if what in after and before[what].key != after[what].key:
            found = way(old.kind, what, before[what], after[what])
            if what == "condition" and found == "other" and old.rule and new.rule:
                found = weighed(old.kind, old.rule, new.rule)
            if what == "condition" and old.kind == "allow":
                yield _of_allow(found, before[what].said, after[what].said, new.id)
                continue
            yield Difference(_group(old.kind, found), what, before[what].said or "nothing", after[what].said or "nothing", new.id)  # fmt: skip


def _of_allow(found: Way, before: str, after: str, rule: str) -> Difference:
    """A condition on who calls: a looser one lets through what was refused, though nobody's name is new."""
    ways = {
        "weaker": ("gained access", "condition, looser"),
        "stricter": ("stricter", "condition, stricter"),
        "words": ("words", "condition"),
    }
    group, what = ways.get(found, ("changed", "condition"))
    return Difference(group, what, before, after, rule)


def _group(kind: str, found: Way) -> str:
    return {"weaker": WEAKER[kind], "stricter": "stricter", "other": "changed", "words": "words"}[found]


def _gone(item: Item) -> Difference:
    group = (
        "lost access"
        if item.kind == "allow"
        else WEAKER[item.kind]
        if item.at.mode == "enforce"
        else "changed"
    )
    return Difference(group, f"removed ({item.kind})", before=entry(item), rule=item.id)


def _came(item: Item) -> Difference:
    group = (
        "gained access" if item.kind == "allow" else "stricter" if item.at.mode == "enforce" else "changed"
    )
    return Difference(group, f"added ({item.kind})", after=entry(item), rule=item.id)


# -- what entries rest on -------------------------------------------------------------------------------------------


def _values(old: Sequence[forms.PolicyFile], new: Sequence[forms.PolicyFile]) -> Iterator[Difference]:
    before = {(file.name, name): each for file in old for name, each in file.values.items()}
    after = {(file.name, name): each for file in new for name, each in file.values.items()}
    for file, name in sorted({*before, *after}):
        was, now = before.get((file, name)), after.get((file, name))
        if was != now:
            what = {True: "raised", False: "lowered"}.get(grew(was, now)) or "changed"  # pyright: ignore[reportArgumentType]
            what = "new" if was is None else "removed" if now is None else what
            yield Difference("values", f"value {name} of {file}, {what}", _value(was), _value(now))


def _value(found: object) -> str:
    return "" if found is None else value(found)


def _reads(old: Sequence[forms.PolicyFile], new: Sequence[forms.PolicyFile]) -> Iterator[Difference]:
    before = {f"{file.name}/read/{read.name.text}": _look_up(read) for file in old for read in file.reads}
    after = {f"{file.name}/read/{read.name.text}": _look_up(read) for file in new for read in file.reads}
    yield from _texts("look-ups", "look-up", before, after)


def _look_up(read: forms.Read) -> str:
    given = [f"{key.text}: {text.text}" for key, text in read.arguments or ()]
    failed = [f"if it fails, ask {', '.join(text.text for text in (*read.on_error.each, *read.on_error.any_of))}"] if read.on_error else []  # fmt: skip
    kept = [f"kept {read.cache:g} s"] if read.cache else []
    return "; ".join([" ".join(read.call.text.split()), *given, *kept, *failed])


def _owners(old: Sequence[forms.PolicyFile], new: Sequence[forms.PolicyFile]) -> Iterator[Difference]:
    before, after = {file.name: file.owner.text for file in old}, {file.name: file.owner.text for file in new}
    both = before.keys() & after.keys()
    yield from _texts(
        "words", "owner of", {name: before[name] for name in both}, {name: after[name] for name in both}
    )


# -- the other files ------------------------------------------------------------------------------------------------


def _people(old: PolicySet, new: PolicySet) -> Iterator[Difference]:
    def persons(rules: PolicySet) -> dict[str, str]:
        return {
            each.id: f"groups {_sorted(each.groups)}; accounts {_sorted(each.accounts)}; manager {each.manager or 'nobody'}"
            for each in rules.people.persons.values()
        }

    def groups(rules: PolicySet) -> dict[str, str]:
        working = rules.people.working
        return {
            name: f"roles {_sorted(roles)}; working {_working(working.get(name))}"
            for name, roles in rules.people.groups.items()
        }

    yield from _texts("people", "person", persons(old), persons(new))
    yield from _texts("people", "group", groups(old), groups(new))
    duties = [{name: _sorted(each) for name, each in rules.people.duties.items()} for rules in (old, new)]
    yield from _texts("people", "duty", *duties)
    if old.people.resume_self != new.people.resume_self:
        yield Difference("people", "resume_self", str(old.people.resume_self).lower(), str(new.people.resume_self).lower())  # fmt: skip


def _working(found: tuple[Hours, ZoneInfo | None] | None) -> str:
    if found is None:
        return "at all hours"
    return f"{hours_said((found[0],))}{f' in {found[1]}' if found[1] else ''}"


def _gateway(old: PolicySet, new: PolicySet) -> Iterator[Difference]:
    sides = (old.gateway, new.gateway)
    integrations = [{name: _integration(each) for name, each in side.integrations.items()} for side in sides]
    yield from _texts("gateway", "integration", *integrations)
    yield from _texts("gateway", "agent", *({name: f"owner {owner or 'nobody'}" for name, owner in side.agents.items()} for side in sides))  # fmt: skip
    yield from _texts("gateway", "channel", *({name: _channel(each) for name, each in side.notify.items()} for side in sides))  # fmt: skip
    if old.gateway.zone != new.gateway.zone:
        yield Difference("gateway", "time zone", old.gateway.zone, new.gateway.zone)


def _integration(found: Integration) -> str:
    """What it says; secrets are references, and only those stand here."""
    said = {each.name: getattr(found, each.name) for each in fields(found) if each.name != "name"}
    return "; ".join(f"{name} {each}" for name, each in said.items() if each)


def _channel(found: ChannelEntry) -> str:
    """What it says; secrets are references, and only those stand here."""
    said = {**found.values, **{name: ", ".join(each) for name, each in found.lists.items() if each}}
    parts = (f"{name} {each}" for name, each in said.items())
    return "; ".join([f"kind {found.kind}", f"about {', '.join(found.about)}", *parts])


def _workflows(old: PolicySet, new: PolicySet) -> Iterator[Difference]:
    before, after = workflowparts.read(old.files), workflowparts.read(new.files)
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            what = f"workflow {name} {'added' if was is None else 'removed'}"
            yield Difference(
                "workflows", what, was.description if was else "", now.description if now else ""
            )
            continue
        yield from _parts(name, workflowparts.parts(was), workflowparts.parts(now))
        yield from _moved(name, was, now)
        guides = [current.workflows[name].guide for current in (old, new)]
        if all(guides) and old.files.get(str(guides[0])) != new.files.get(str(guides[1])):
            yield Difference("workflows", f"guide of {name} changed")


def _parts(name: str, before: Parts, after: Parts) -> Iterator[Difference]:
    """Steps, orders and the rest of a workflow that came, went, or say something else."""
    for part in dict.fromkeys((*before, *after)):
        was, now = before.get(part, {}), after.get(part, {})
        if not was or not now:
            what = f"{part} of {name} {'added' if now else 'removed'}"
            yield Difference("workflows", what, _together(was), _together(now))
            continue
        for piece in dict.fromkeys((*was, *now)):
            missing = Piece(None, "open" if piece.startswith(ARGUMENT) else "nothing")
            left, right = was.get(piece, missing), now.get(piece, missing)
            if left.key != right.key:
                what = f"{part} of {name}, {piece}" if part != WHOLE else f"{piece} of {name}"
                yield Difference("workflows", what, left.said, right.said)


def _together(pieces: Mapping[str, Piece]) -> str:
    """All that a step or an order says, but for what it leaves out."""
    usual = {"none", "nothing", "always", "once", "item", "any number", "at once", "people"}
    return "; ".join(f"{name} {piece.said}" for name, piece in pieces.items() if piece.said not in usual)


def _moved(name: str, old: WorkflowFile, new: WorkflowFile) -> Iterator[Difference]:
    """Steps that are in both, in another order."""
    before, after = ([step.id.text for step in form.steps] for form in (old, new))
    same = [[each for each in side if each in before and each in after] for side in (before, after)]
    if same[0] != same[1]:
        yield Difference("workflows", f"order of the steps of {name}", ", ".join(before), ", ".join(after))


def _pins(old: PolicySet, new: PolicySet) -> Iterator[Difference]:
    for tool in sorted({*old.tools, *new.tools}):
        before, after = old.tools.get(tool), new.tools.get(tool)
        if before is None or after is None:
            what = "accepted" if before is None else "no longer accepted"
            yield Difference("pins", what, tools=(tool,))
        elif before.pin != after.pin:
            yield Difference("pins", "another pin", before.pin[:12], after.pin[:12], tools=(tool,))


def _texts(
    group: str, what: str, before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        was, now = before.get(name, ""), after.get(name, "")
        if was != now or (name in before) != (name in after):
            new = "" if name in before and name in after else " added" if name in after else " removed"
            yield Difference(group, f"{what} {name}{new}", was, now)


def _sorted(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
