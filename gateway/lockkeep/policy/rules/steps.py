"""The steps of a workflow file, checked in their order: each may use the results of those before it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from lockkeep.policy.conditions.checked import Code
from lockkeep.policy.conditions.types import ANY, Type
from lockkeep.policy.files import workflowfile
from lockkeep.policy.files.workflowfile import Otherwise
from lockkeep.policy.positions import Place, Text
from lockkeep.policy.rules.plannedcalls import PlannedCall, Planner
from lockkeep.policy.rules.rule import Condition
from lockkeep.policy.rules.terms import IN_A_RUN, Names

ITEM = "item"


@dataclass(frozen=True, slots=True)
class Each:
    """Once for every item of a list for which `when` holds; the result is the list of their results."""

    of: Code
    item: str
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A call, or a value that is kept. Without `when` it is always taken; left out, it has no result."""

    id: str
    place: Place
    call: PlannedCall | None = None
    value: Code | None = None
    when: tuple[Condition, ...] = ()
    each: Each | None = None
    denied: Otherwise = "people"
    failed: Otherwise = "people"


class Steps:
    """What is wrong stays out; `whole` says whether nothing was."""

    def __init__(self, planner: Planner) -> None:
        self.planner, self.terms = planner, planner.terms
        self.whole = True

    def checked(self, forms: Iterable[workflowfile.Step]) -> tuple[Step, ...]:
        names = IN_A_RUN
        found: list[Step] = []
        for form in forms:
            name = form.id.text
            if names.means(name):
                taken = name in IN_A_RUN.scope.names
                message = f"'{name}' has a meaning already" if taken else f"two steps are called '{name}'"
                self.terms.say(form.id, message, "give this step another name", code="duplicate")
                self.whole, names = False, replace(names, gap=True)
                continue
            step, result = self._step(form, names)
            names = names.having(name, result)
            found += [step] if step else []
            self.whole &= step is not None
        return tuple(found)

    def _step(self, form: workflowfile.Step, names: Names) -> tuple[Step | None, Type | None]:
        """The step and the type of its result, as far as they are right."""
        item = (form.item.text if form.item else ITEM) if form.each else None
        before = tuple(text for text in form.when if item is None or not self.terms.speaks_of(text, item))
        when, names = self.terms.conditions(before, names)
        each = None
        if form.each is not None and item is not None:
            each, names = self._each(form, form.each, item, names)
        call = self.planner.of_step(form.call, form.given, names) if form.call else None
        value = self.terms.maybe(form.value, names) if form.value else None
        kind = call.answer if call else value.type if value else None
        right = len(when) + len(each.when if each else ()) == len(form.when) and (each is None) == (
            item is None
        )
        if kind is None or not right:
            return None, None
        step = Step(
            id=form.id.text,
            place=form.place,
            call=call,
            value=value,
            when=when,
            each=each,
            denied=form.denied,
            failed=form.failed,
        )
        skipped = each is None and "skip" in (form.denied, form.failed)
        if each is not None:  # what was skipped of it is not in the list
            kind = Type("list", item=kind.sure())
        return step, replace(kind, maybe=kind.maybe or bool(when) or skipped)

    def _each(
        self, form: workflowfile.Step, text: Text, item: str, names: Names
    ) -> tuple[Each | None, Names]:
        """The list, and the conditions that speak of its item, which is one name more from here on."""
        if names.means(item) or item == form.id.text:
            hint = "give the item another name: as: NAME"
            self.terms.say(form.item or text, f"'{item}' has a meaning already", hint, code="duplicate")
            return None, names.having(item, None)
        of = self.terms.value(text, names)
        if of is not None and of.type.kind not in ("list", "any"):
            self.terms.say(text, f"'each' goes over a list, this is {of.type}", offset=of.at)
            of = None
        names = names.having(item, (of.type.item or ANY) if of else None)
        texts = tuple(each for each in form.when if self.terms.speaks_of(each, item))
        when, names = self.terms.conditions(texts, names)
        return (Each(of, item, when) if of else None), names
