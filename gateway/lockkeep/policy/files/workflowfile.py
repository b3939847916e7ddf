"""workflows/NAME.yaml: a workflow file's nodes become its form, not yet checked against tools, people or types."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lockkeep.policy.files import figures, triggers
from lockkeep.policy.files.figures import Baseline, Benefits, Costs, Pause, Promote
from lockkeep.policy.files.reading import ID, Reader, begins
from lockkeep.policy.files.schedule import Schedule
from lockkeep.policy.files.triggers import Manual, Poll, Trigger, Webhook
from lockkeep.policy.positions import Listing, Node, Place, Problems, Text, nearest
from lockkeep.policy.positions import Mapping as Node_

FOLDER = "workflows/"
TOP = (
    "api", "workflow", "description", "owner", "agents", "guide", "trigger", "subject", "deadline", "steps", "tools", "sequence",
    "end_state", "stage", "rest", "promote", "pause", "truth", "baseline", "costs", "benefits",
)  # fmt: skip
STEP = ("id", "call", "with", "value", "when", "each", "as", "on")
ON = ("denied", "failed")
SEQUENCE = ("tool", "after", "at_most", "require", "say")
END_STATE = ("call", "require", "within")
TRUTH = ("call", "window", "map")
EFFECT = ("tool", "when", "same")
STAGES = (0, 10, 25, 50, 75, 100)
MOST_RUNS = 1_000  # that `at_most` may say
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
WORDS = frozenset({"true", "false", "null", "and", "or", "not", "in"})  # conditions read them otherwise
Otherwise = Literal["people", "stop", "skip"]
OTHERWISE: tuple[Otherwise, ...] = ("people", "stop", "skip")
Rest = Literal["shadow", "human"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    id: Text
    place: Place
    call: Text | None = None
    given: Node_ | None = None  # `with`
    value: Text | None = None
    when: tuple[Text, ...] = ()
    each: Text | None = None
    item: Text | None = None  # `as`
    denied: Otherwise = "people"
    failed: Otherwise = "people"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What of a run's calls must come before this tool's, how often it may be called, and what must hold then."""

    tool: Text
    place: Place
    after: tuple[Text, ...] = ()
    at_most: int | None = None
    require: tuple[Text, ...] = ()
    say: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndState:
    call: Text
    require: tuple[Text, ...]
    within: float = 0.0  # seconds that may pass until it holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The call of ours that would have had the effect that `when` sees; `same` are arguments it would have had."""

    tool: Text
    when: tuple[Text, ...]
    same: Node_


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What people did, read that many seconds after the subject came."""

    call: Text
    window: float
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowFile:
    place: Place
    name: str
    description: str
    owner: Text
    agents: tuple[Text, ...]
    guide: Text | None
    trigger: Trigger
    subject: Text | None
    deadline: float | None
    steps: tuple[Step, ...]
    tools: tuple[Text, ...]
    sequence: tuple[Order, ...]
    end_state: EndState | None
    stage: int
    rest: Rest
    promote: Promote
    pause: Pause
    truth: Truth | None
    baseline: Baseline
    costs: Costs
    benefits: Benefits


def read_all(nodes: Mapping[str, Node], problems: Problems) -> list[WorkflowFile]:
    """The workflow files among the files of a set."""
    found = [read(name, node, problems) for name, node in nodes.items() if name.startswith(FOLDER)]
    return [form for form in found if form is not None]


def read(file: str, root: Node, problems: Problems) -> WorkflowFile | None:
    """The file's form; None if something in it is wrong: the check would only blame what hangs on that."""
    before = len(problems.found)
    reader = Reader(root, "a workflow file", problems, TOP)
    name, owner, agents = _named(file, reader), reader.text("owner", needed=True), _agents(reader)
    description, guide = reader.text("description", needed=True), reader.text("guide")
    trigger, subject = triggers.read(reader), reader.text("subject")
    steps, tools = _steps(reader), reader.names("tools")
    sequence = reader.each("sequence", lambda node: _order(node, problems))
    end_state, truth = _end_state(reader.get("end_state"), problems), _truth(reader.get("truth"), problems)
    deadline, stage, rest = reader.seconds("deadline"), _stage(reader), _rest(reader)
    promote, pause = (
        figures.promote(reader.get("promote"), problems),
        figures.pause(reader.get("pause"), problems),
    )
    baseline, costs, benefits = figures.return_on_investment(reader)
    if trigger is not None:
        _subject_fits(reader, trigger, subject)
    if len(problems.found) > before or not (name and description and owner and trigger):
        return None
    return WorkflowFile(
        place=reader.place, name=name, description=description.text, owner=owner, agents=agents, guide=guide,
        trigger=trigger, subject=subject, deadline=deadline, steps=steps, tools=tools, sequence=sequence,
        end_state=end_state, stage=stage, rest=rest or ("shadow" if truth else "human"), promote=promote, pause=pause,
        truth=truth, baseline=baseline, costs=costs, benefits=benefits,
    )  # fmt: skip


def _named(file: str, reader: Reader) -> str | None:
    """The file's own id, which is its name in the folder, too: commands and rules use it."""
    name, stem = begins(reader, "workflow"), id_of(file)
    node = reader.get("workflow")
    if name is not None and node is not None and name != stem and ID.fullmatch(name):
        message = f"the workflow '{name}' stands in the file {stem}.yaml"
        reader.problems.add(node.place, message, f"write workflow: {stem}, or name the file {name}.yaml")
    return name


def _agents(reader: Reader) -> tuple[Text, ...]:
    node = reader.need("agents")
    if isinstance(node, Listing) and not node.items:
        reader.problems.add(node.place, "nobody may open a run", "agents: [NAME], as in gateway.yaml")
        return ()
    return reader.names("agents")


def _subject_fits(reader: Reader, trigger: Trigger, subject: Text | None) -> None:
    """What a run is about comes from what began it; each subject has one run."""
    if isinstance(trigger, Poll | Webhook):
        reader.need("subject")
    elif subject is not None and isinstance(trigger, Schedule | Manual):
        about = "the time it is due" if isinstance(trigger, Schedule) else "what its opener names"
        message = f"the subject of such a run is {about}"
        reader.problems.add(subject.place, message, "leave subject out")


def _steps(reader: Reader) -> tuple[Step, ...]:
    node = reader.need("steps")
    if isinstance(node, Listing) and not node.items:
        reader.problems.add(node.place, "'steps' is an empty list", "name at least one call")
    return reader.each("steps", lambda item: _step(item, reader.problems))


def _step(node: Node, problems: Problems) -> Step | None:
    inner = Reader(node, "a step", problems, STEP)
    name = inner.text("id", needed=True)
    call, value, each, item = inner.text("call"), inner.text("value"), inner.text("each"), inner.text("as")
    if (inner.get("call") is None) == (inner.get("value") is None):
        inner.complain(
            ("call", "value"), "a step has a call, or a value", "call: integration.tool, or value: CONDITION"
        )
    for key in ("with", "on"):
        if value is not None and call is None and (other := inner.get(key)) is not None:
            problems.add(other.place, f"'{key}' belongs to a call, this step keeps a value", "take it out")
    if item is not None and inner.get("each") is None and "each" not in inner.meant:
        problems.add(item.place, "'as' names the item of 'each', which is not here", "add each: LIST")
    for text, what in ((name, "a step"), (item, "an item")):
        if text is not None and (not NAME.fullmatch(text.text) or text.text in WORDS):
            hint = "a-z, 0-9 and _, beginning with a letter; conditions use it"
            problems.add(text.place, f"'{text.text}' is no name for {what}", hint)
    on = inner.get("on")
    after = Reader(on, "on", problems, ON) if on is not None else None
    return Step(
        id=name, place=inner.place, call=call, given=_given(inner, "with"), value=value, when=inner.some("when"), each=each,
        item=item, denied=_otherwise(after, "denied"), failed=_otherwise(after, "failed"),
    ) if name is not None else None  # fmt: skip


def _given(inner: Reader, key: str) -> Node_ | None:
    node = inner.get(key)
    if node is None or isinstance(node, Node_):
        return node
    hint = "argument: VALUE; a value that begins with = is a condition"
    inner.problems.add(node.place, f"'{key}' is {node.kind}; a mapping (argument: value) is expected", hint)
    return None


def _otherwise(after: Reader | None, key: str) -> Otherwise:
    text = after.text(key) if after is not None else None
    found: Otherwise | None = next(
        (each for each in OTHERWISE if text is not None and each == text.text), None
    )
    if after is not None and text is not None and found is None:
        after.problems.add(
            text.place,
            f"after '{key}' comes people, stop or skip, not '{text.text}'",
            nearest(text.text, OTHERWISE),
        )
    return found or "people"


def _order(node: Node, problems: Problems) -> Order | None:
    inner = Reader(node, "an entry of sequence", problems, SEQUENCE)
    tool, after, require = inner.text("tool", needed=True), inner.names("after"), inner.some("require")
    at_most = inner.number("at_most", 1, MOST_RUNS, 1) if inner.get("at_most") is not None else None
    if not any(inner.get(key) is not None for key in ("after", "at_most", "require")):
        message = "an entry of sequence needs 'after', 'at_most' or 'require'"
        inner.complain(
            ("after", "at_most", "require"), message, "after: [TOOL], at_most: 1, require: CONDITION"
        )
    return (
        Order(
            tool=tool, place=inner.place, after=after, at_most=at_most, require=require, say=inner.text("say")
        )
        if tool
        else None
    )


def _end_state(node: Node | None, problems: Problems) -> EndState | None:
    if node is None:
        return None
    inner = Reader(node, "end_state", problems, END_STATE)
    call, require = inner.text("call", needed=True), inner.some("require")
    inner.need("require")
    return EndState(call=call, require=require, within=inner.seconds("within") or 0.0) if call else None


def _truth(node: Node | None, problems: Problems) -> Truth | None:
    if node is None:
        return None
    inner = Reader(node, "truth", problems, TRUTH)
    call, window, effects = inner.text("call", needed=True), inner.seconds("window"), inner.need("map")
    inner.need("window")
    if isinstance(effects, Listing) and not effects.items:
        problems.add(effects.place, "'map' is an empty list", "name the call that would have had the effect")
    found = inner.each("map", lambda item: _effect(item, problems))
    return Truth(call=call, window=window, effects=found) if call and window else None


def _effect(node: Node, problems: Problems) -> Effect | None:
    inner = Reader(node, "an entry of map", problems, EFFECT)
    tool, when, same = inner.text("tool", needed=True), inner.some("when"), _given(inner, "same")
    inner.need("same")
    return Effect(tool=tool, when=when, same=same) if tool and same else None


def _stage(reader: Reader) -> int:
    node = reader.get("stage")
    value = node.value if isinstance(node, Text) else None
    if node is not None and (isinstance(value, bool) or value not in STAGES):
        reader.problems.add(
            node.place, f"a stage is one of {', '.join(map(str, STAGES))} per cent", "stage: 10"
        )
    return value if isinstance(value, int) else 0


def _rest(reader: Reader) -> Rest | None:
    text = reader.text("rest")
    if text is not None and text.text not in ("shadow", "human"):
        reader.problems.add(
            text.place, f"rest is shadow or human, not '{text.text}'", nearest(text.text, ("shadow", "human"))
        )
    return "human" if text is not None and text.text == "human" else "shadow" if text is not None else None


def id_of(file: str) -> str:
    """`workflows/lead-routing.yaml` is the workflow `lead-routing`."""
    return file.removeprefix(FOLDER).removesuffix(".yaml")
