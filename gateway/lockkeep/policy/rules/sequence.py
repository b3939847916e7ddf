"""The order of a workflow's calls: what must have succeeded before, how often, and what must hold."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lockkeep.policy.conditions.checked import Root, Scope
from lockkeep.policy.conditions.runtime import Env, Value, attribute
from lockkeep.policy.conditions.types import TEXT
from lockkeep.policy.files import workflowfile
from lockkeep.policy.positions import Place
from lockkeep.policy.rules.plannedcalls import OwnTools
from lockkeep.policy.rules.rule import Condition, Template
from lockkeep.policy.rules.scope import scope_of
from lockkeep.policy.rules.terms import RUN, Names


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`after`: what must have succeeded in this run; `at_most`: how often; `require`: what must hold."""

    tool: str
    place: Place
    after: tuple[str, ...] = ()
    at_most: int | None = None
    require: tuple[Condition, ...] = ()
    say: Template | None = None


def ordered(forms: Iterable[workflowfile.Order], own: OwnTools) -> tuple[Order, ...]:
    """One entry for each tool; what is wrong is told and left out."""
    found: dict[str, Order] = {}
    at: dict[str, workflowfile.Order] = {}
    for form in forms:
        name = form.tool.text
        if name in at:
            own.terms.say(form.tool, f"sequence speaks of {name} twice", "write one entry", code="duplicate")
        elif (order := _order(form, own)) is not None:
            found[name] = order
        at.setdefault(name, form)
    if circle := _circle({name: order.after for name, order in found.items()}):
        way = " -> ".join([*circle, circle[0]])
        own.terms.say(at[min(circle)].tool, f"these tools wait for each other: {way}", "take one 'after' out")
    return tuple(found.values())


def _order(form: workflowfile.Order, own: OwnTools) -> Order | None:
    tool, before = own.tool(form.tool), [own.tool(text) for text in form.after]
    if tool is None or None in before:
        return None
    require, names = own.terms.conditions(form.require, _names(scope_of(tool, {})))
    return Order(
        tool=tool.name, place=form.place, after=tuple(text.text for text in form.after), at_most=form.at_most, require=require,
        say=own.terms.template(form.say, names) if form.say else None,
    )  # fmt: skip


def _names(scope: Scope) -> Names:
    """The call's own names; but `subject` is the run's: the manifest makes the call's one of the arguments to be checked.

    An argument of the same name makes it ambiguous, as anywhere.
    """
    names = dict(scope.names)
    for root in (Root(("run",), RUN, _run), Root(("run", "subject"), TEXT, _subject)):
        name = root.path[-1]
        names[name] = (*(each for each in names.get(name, ()) if each.path[0] == "args"), root)
    return Names(replace(scope, names=names))


def _run(env: Env) -> Value:
    return env["call"]["run"]


def _subject(env: Env) -> Value:
    return attribute(_run(env), "subject")


def _circle(after: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Tools each of which waits for the next, and the last one for the first; empty if there are none."""
    done: set[str] = set()

    def walk(way: list[str]) -> list[str]:
        for each in after.get(way[-1], ()):
            if each in way:
                return way[way.index(each) :]
            if each not in done and (found := walk([*way, each])):
                return found
        done.add(way[-1])
        return []

    for start in sorted(after):
        if start not in done and (found := walk([start])):
            return found
    return []
