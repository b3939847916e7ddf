"""What a workflow file says, part by part, so that two of them can be compared by what they mean and not by their lines."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import cast

from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import Attr, Lit, Name, Tree, parse_lookup
from lockkeep.policy.files.figures import Baseline, Benefits, Costs, Pause, Promote, ToNext, ToShadow
from lockkeep.policy.files.schedule import Schedule
from lockkeep.policy.files.triggers import Inbox, Manual, Poll, Trigger, Webhook
from lockkeep.policy.files.workflowfile import Effect, EndState, Order, Step, Truth, WorkflowFile, read_all
from lockkeep.policy.positions import Listing, Node, Problems, Text, parse
from lockkeep.policy.positions import Mapping as Node_
from lockkeep.policy.show.facets import shape, tree_shape
from lockkeep.policy.show.plain import Words, span

WHOLE = ""  # what is said of the workflow as such
ARGUMENT = "argument "
Figures = Baseline | Benefits | Costs | Pause | Promote | ToNext | ToShadow


@dataclass(frozen=True, slots=True)
class Piece:
    """`key` is compared, `said` is printed."""

    key: object
    said: str


Parts = Mapping[str, Mapping[str, Piece]]  # "step assign" -> "when" -> what it says


def read(files: Mapping[str, str]) -> dict[str, WorkflowFile]:
    """The workflow files of a set that loads, by name."""
    problems = Problems()
    nodes = {
        name: node
        for name, text in sorted(files.items())
        if name.startswith("workflows/") and name.endswith(".yaml") and (node := parse(name, text, problems))
    }
    return {form.name: form for form in read_all(nodes, problems)}


def parts(form: WorkflowFile) -> Parts:
    """Everything that makes a difference, by what it is called in a diff. The order of steps is compared apart."""
    found: dict[str, Mapping[str, Piece]] = {WHOLE: _whole(form)}
    found |= {f"step {step.id.text}": _step(step) for step in form.steps}
    found |= _orders(form.sequence)
    found |= {"end state": _end_state(form.end_state)} if form.end_state else {}
    found |= {"truth": _truth(form.truth)} if form.truth else {}
    figures = (("promotion", form.promote), ("pause", form.pause), ("baseline", form.baseline), ("costs", form.costs), ("benefits", form.benefits))  # fmt: skip
    return {**found, **{name: dict(_figures(each)) for name, each in figures}}


def _whole(form: WorkflowFile) -> dict[str, Piece]:
    return {
        "description": _plain(" ".join(form.description.split())),
        "owner": _plain(form.owner.text),
        "agents": _names(form.agents),
        "guide": _plain(form.guide.text if form.guide else "none"),
        "trigger": _trigger(form.trigger),
        "subject": _condition(form.subject, "what the trigger says"),
        "deadline": Piece(form.deadline, span(form.deadline) if form.deadline else "none"),
        "tools": _names(form.tools),
        "stage": _plain(str(form.stage)),
        "rest": _plain(form.rest),
    }


def _trigger(found: Trigger) -> Piece:
    match found:
        case Poll():
            said = f"{_line(found.call)} every {span(found.every)}, each of {_line(found.each)}"
            return Piece(("poll", _called(found.call), found.every, shape(found.each.text)), said)
        case Webhook():
            said = f"a webhook{f', each of {_line(found.each)}' if found.each else ''}"
            return Piece(("webhook", found.secret, found.each and shape(found.each.text)), f"{said}, signed with {found.secret}")  # fmt: skip
        case Schedule():
            key = found.minutes, found.hours, found.days, found.months, found.weekdays
            return Piece(("schedule", key), f"the schedule {found.text}")
        case Inbox():
            where = f"the folder {found.folder}" if found.folder else f"the mailbox {found.mailbox}"
            return Piece(("file", found), f"documents {found.match} in {where}")
        case Manual():
            return Piece("manual", "whoever opens a run")


# -- steps ----------------------------------------------------------------------------------------------------------


def _step(step: Step) -> dict[str, Piece]:
    tool, given = _call(step)
    return {
        "call": _plain(tool or "none"),
        **{f"{ARGUMENT}{name}": piece for name, piece in given.items()},
        "value": _condition(step.value, "none"),
        "when": _conditions(step.when, "always"),
        "each": _condition(step.each, "once"),
        "item": _plain(step.item.text if step.item else "item"),
        "after denied": _plain(step.denied),
        "after failed": _plain(step.failed),
    }


def _call(step: Step) -> tuple[str, dict[str, Piece]]:
    """The tool and its arguments: on one line, and under `with`, they mean the same."""
    if step.call is None:
        return "", {}
    try:
        tool, arguments = parse_lookup(step.call.text)
    except Unreadable:  # `with` stands beside it, so it is the tool alone
        tool, arguments = step.call.text.strip(), ()
    found = {name or _last(tree): Piece(tree_shape(tree), _said(tree)) for name, tree in arguments}
    found |= {key.text: _given(value) for key, value in (step.given.entries if step.given else ())}
    return tool, found


def _called(call: Text) -> object:
    try:
        tool, arguments = parse_lookup(call.text)
    except Unreadable:
        return call.text
    return tool, frozenset((name or _last(tree), tree_shape(tree)) for name, tree in arguments)


def _last(tree: Tree) -> str:
    """A bare argument is for the parameter of its last word."""
    return tree.name if isinstance(tree, Name | Attr) else ""


def _given(node: Node) -> Piece:
    """A text that begins with `=` is a condition, `==x` the text `=x`, anything else as it stands."""
    if not isinstance(node, Text):
        return Piece(_deep(node), "a list" if isinstance(node, Listing) else "a mapping")
    if isinstance(node.value, str) and node.text.startswith("=") and not node.text.startswith("=="):
        return Piece(shape(node.text[1:]), " ".join(node.text[1:].split()))
    text = node.text.removeprefix("=") if isinstance(node.value, str) else node.text
    kind = "text" if isinstance(node.value, str) else "bool" if isinstance(node.value, bool) else "number"
    if kind == "number":
        return Piece(shape(text), text)
    literal = Lit(kind, node.value if kind == "bool" else text, 0)
    return Piece(tree_shape(literal), _said(literal))


def _deep(node: Node) -> object:
    if isinstance(node, Text):
        return _given(node).key
    if isinstance(node, Listing):
        return tuple(_deep(item) for item in node.items)
    return frozenset((key.text, _deep(value)) for key, value in node.entries)


def _said(tree: Tree) -> str:
    return Words().tree(tree) or "a value that is worked out"


# -- what must hold -------------------------------------------------------------------------------------------------


def _orders(entries: Iterable[Order]) -> dict[str, Mapping[str, Piece]]:
    """By tool; further entries for the same tool are numbered."""
    found: dict[str, Mapping[str, Piece]] = {}
    for each in entries:
        name = f"order for {each.tool.text}"
        number = sum(key == name or key.startswith(f"{name} (") for key in found) + 1
        found[name if number == 1 else f"{name} ({number})"] = {
            "after": _names(each.after),
            "at most": Piece(each.at_most, f"{each.at_most} in a run" if each.at_most else "any number"),
            "require": _conditions(each.require, "nothing"),
            "say": _plain(_line(each.say) if each.say else "nothing"),
        }
    return found


def _end_state(found: EndState) -> dict[str, Piece]:
    return {
        "call": Piece(_called(found.call), _line(found.call)),
        "require": _conditions(found.require, "nothing"),
        "within": Piece(found.within, span(found.within) if found.within else "at once"),
    }


def _truth(found: Truth) -> dict[str, Piece]:
    return {
        "call": Piece(_called(found.call), _line(found.call)),
        "window": Piece(found.window, span(found.window)),
        "effects": Piece(
            frozenset(_effect(each) for each in found.effects),
            "; ".join(f"{each.tool.text}{_if(each)} with {_same(each.same)}" for each in found.effects),
        ),
    }


def _effect(found: Effect) -> object:
    return found.tool.text, tuple(shape(text.text) for text in found.when), _deep(found.same)


def _if(found: Effect) -> str:
    return f" when {' and '.join(map(_line, found.when))}" if found.when else ""


def _same(given: Node_) -> str:
    return ", ".join(f"{key.text} {_given(value).said}" for key, value in given.entries)


def _figures(found: Figures) -> Iterator[tuple[str, Piece]]:
    for each in fields(found):
        value: object = getattr(found, each.name)
        if isinstance(value, ToShadow | ToNext):
            inner = cast("Figures", value)
            yield from ((f"{each.name} {name}", piece) for name, piece in _figures(inner))
        else:
            said = f"{value:g}" if isinstance(value, float) else str(value)
            yield each.name.replace("_", " "), Piece(value, "not said" if value is None else said)


# -- small things ---------------------------------------------------------------------------------------------------


def _plain(text: str) -> Piece:
    return Piece(text, text)


def _names(texts: Iterable[Text]) -> Piece:
    found = frozenset(text.text for text in texts)
    return Piece(found, ", ".join(sorted(found)) or "none")


def _condition(text: Text | None, otherwise: str) -> Piece:
    return _conditions((text,) if text else (), otherwise)


def _conditions(texts: tuple[Text, ...], otherwise: str) -> Piece:
    return Piece(tuple(shape(text.text) for text in texts), " and ".join(map(_line, texts)) or otherwise)


def _line(text: Text) -> str:
    return " ".join(text.text.split())
