"""A workflow, checked against the accepted tools, the people and the agents: what a later run goes by."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lockkeep.model import Tools
from lockkeep.policy.conditions.checked import Code
from lockkeep.policy.conditions.types import ANY, TEXT, Type
from lockkeep.policy.files import workflowfile
from lockkeep.policy.files.figures import Baseline, Benefits, Costs, Pause, Promote
from lockkeep.policy.files.gatewayfile import GatewayFile
from lockkeep.policy.files.people import People
from lockkeep.policy.files.schedule import Schedule
from lockkeep.policy.files.triggers import Inbox, Manual, Poll, Webhook
from lockkeep.policy.files.workflowfile import FOLDER, Rest, WorkflowFile
from lockkeep.policy.positions import Place, Problems, Text, nearest
from lockkeep.policy.rules.plannedcalls import OwnTools, PlannedCall, Planner
from lockkeep.policy.rules.rule import Condition
from lockkeep.policy.rules.sequence import Order, ordered
from lockkeep.policy.rules.steps import Step, Steps
from lockkeep.policy.rules.terms import IN_A_RUN, NOW, Names, Terms

DOCUMENT = Type("object", fields={"id": TEXT, "name": TEXT})  # what a trigger with `file` finds


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """`call` is asked every so many seconds; `each` is the list of items in its answer, `result`."""

    call: PlannedCall
    every: float
    each: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooked:
    """What is sent is `result`; `each` is the list of items in it, or all of it is one."""

    secret: str  # a reference
    each: Code | None = None


Trigger = Polled | Hooked | Schedule | Inbox | Manual


@dataclass(frozen=True, slots=True, kw_only=True)
class EndState:
    """Read when a run says that it is done: every `require` holds within so many seconds, or it failed."""

    call: PlannedCall
    require: tuple[Condition, ...]
    within: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Where `when` holds, a person did what this tool with these arguments would have done."""

    tool: str
    when: tuple[Condition, ...]
    same: Mapping[str, Code]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What people did, read that many seconds after the subject came."""

    call: PlannedCall
    window: float
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """One workflows/NAME.yaml."""

    place: Place
    name: str
    description: str
    owner: str
    agents: tuple[str, ...]
    guide: str | None  # a file of the set
    trigger: Trigger
    subject: Code | None  # of `item`; None: the document's id, the time it is due, or what the opener names
    deadline: float | None
    steps: tuple[Step, ...]
    tools: tuple[str, ...]
    sequence: tuple[Order, ...]
    end_state: EndState | None
    stage: int
    rest: Rest
    truth: Truth | None
    promote: Promote = field(default_factory=Promote)
    pause: Pause = field(default_factory=Pause)
    baseline: Baseline = field(default_factory=Baseline)
    costs: Costs = field(default_factory=Costs)
    benefits: Benefits = field(default_factory=Benefits)

    @property
    def open(self) -> dict[str, tuple[str, ...]]:
        """By step: the required arguments that an agent or a person fills in."""
        return {step.id: step.call.open for step in self.steps if step.call and step.call.open}


class Workflows:
    """Checks the workflow files of one set."""

    def __init__(
        self, tools: Tools, people: People, gateway: GatewayFile, texts: Mapping[str, str], problems: Problems
    ) -> None:
        self.tools, self.people, self.gateway, self.texts = tools, people, gateway, texts
        self.problems = problems
        self.terms = Terms(texts, problems)
        self.planner = Planner(tools, self.terms)

    def checked(self, forms: Iterable[WorkflowFile]) -> dict[str, Workflow]:
        """By name; one with a mistake is left out, and the mistake is told."""
        return {form.name: found for form in forms if (found := self._workflow(form)) is not None}

    def _workflow(self, form: WorkflowFile) -> Workflow | None:
        before = len(self.problems.found)
        self._known((form.owner,), self.people.groups, "group")
        self._known(form.agents, self.gateway.agents, "agent")
        guide = self._guide(form.guide)
        trigger, item = self._trigger(form.trigger)
        subject = self._subject(form.subject, item)
        steps = Steps(self.planner)
        found = steps.checked(form.steps)
        more = [tool.name for text in form.tools if (tool := self.planner.tool(text, text.text))]
        tools = tuple(dict.fromkeys([*(step.call.tool for step in found if step.call), *more]))
        own = OwnTools(self.planner, tools if steps.whole and len(more) == len(form.tools) else None)
        sequence = ordered(form.sequence, own)
        end_state, truth = self._end_state(form.end_state), self._truth(form.truth, own)
        if len(self.problems.found) > before or trigger is None:
            return None
        return Workflow(
            place=form.place, name=form.name, description=form.description, owner=form.owner.text,
            agents=tuple(text.text for text in form.agents), guide=guide, trigger=trigger, subject=subject,
            deadline=form.deadline, steps=found, tools=tools, sequence=sequence, end_state=end_state, stage=form.stage,
            rest=form.rest, truth=truth, promote=form.promote, pause=form.pause, baseline=form.baseline,
            costs=form.costs, benefits=form.benefits,
        )  # fmt: skip

    def _known(self, names: Iterable[Text], there: Iterable[str], what: str) -> None:
        for name in names:
            if name.text not in there:
                hint = nearest(name.text, there) or "none is known yet"
                self.terms.say(name, f"there is no {what} '{name.text}'", hint, code="unknown-name")

    def _guide(self, text: Text | None) -> str | None:
        if text is None:
            return None
        guides = [
            name.removeprefix(FOLDER)
            for name in self.texts
            if name.startswith(FOLDER) and name.endswith(".md")
        ]
        if text.text not in guides:
            hint = nearest(text.text, guides) or "a guide is a Markdown file beside this one: NAME.md"
            self.terms.say(text, f"there is no file {FOLDER}{text.text}", hint, code="unknown-name")
        return f"{FOLDER}{text.text}"

    def _trigger(self, form: workflowfile.Trigger) -> tuple[Trigger | None, Names]:
        """The trigger, and the names that its `subject` may use."""
        if isinstance(form, Poll):
            call = self.planner.look_up(form.call, NOW)
            each, item = self._list(form.each, NOW.having("result", call.answer if call else None))
            trigger = Polled(call=call, every=form.every, each=each) if call and each else None
            return trigger, NOW.having("item", item)
        if isinstance(form, Webhook):
            names = Names(NOW.scope, trusting=True)  # nobody says what will be sent
            if form.each is None:
                return Hooked(secret=form.secret), names.having("item", ANY)
            each, item = self._list(form.each, names.having("result", ANY))
            return Hooked(secret=form.secret, each=each), names.having("item", item)
        return form, NOW.having("item", DOCUMENT) if isinstance(form, Inbox) else NOW

    def _list(self, text: Text, names: Names) -> tuple[Code | None, Type | None]:
        """A list and the type of its items."""
        code = self.terms.value(text, names)
        if code is not None and code.type.kind not in ("list", "any"):
            self.terms.say(text, f"'each' goes over a list, this is {code.type}", offset=code.at)
            code = None
        return code, (code.type.item or ANY) if code else None

    def _subject(self, text: Text | None, names: Names) -> Code | None:
        code = self.terms.value(text, names) if text is not None else None
        if text is not None and code is not None and code.type.kind not in ("text", "any"):
            self.terms.say(
                text,
                f"a subject is text, this is {code.type}",
                "name what tells one from another",
                offset=code.at,
            )
        return code

    def _end_state(self, form: workflowfile.EndState | None) -> EndState | None:
        if form is None:
            return None
        call = self.planner.look_up(form.call, IN_A_RUN)
        require, _ = self.terms.conditions(
            form.require, IN_A_RUN.having("result", call.answer if call else None)
        )
        return EndState(call=call, require=require, within=form.within) if call else None

    def _truth(self, form: workflowfile.Truth | None, own: OwnTools) -> Truth | None:
        if form is None:
            return None
        call = self.planner.look_up(form.call, IN_A_RUN)
        names = IN_A_RUN.having("result", call.answer if call else None)
        effects = [each for effect in form.effects if (each := self._effect(effect, names, own))]
        return Truth(call=call, window=form.window, effects=tuple(effects)) if call else None

    def _effect(self, form: workflowfile.Effect, names: Names, own: OwnTools) -> Effect | None:
        tool = own.tool(form.tool)
        when, names = self.terms.conditions(form.when, names)
        if tool is None:
            return None
        if tool.reads:
            message = f"{tool.name} only reads, so it has no effect that people could have had"
            self.terms.say(form.tool, message, "name a tool that writes", code="unknown-tool")
            return None
        same = self.planner.given(tool, form.same, names)
        return Effect(tool=tool.name, when=when, same=same) if same is not None else None
