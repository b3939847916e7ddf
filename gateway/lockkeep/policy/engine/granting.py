"""Who may take a call back: `undo` of the rules narrows what the manifest offers; it never widens it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from lockkeep.model import Deny
from lockkeep.policy.files.people import People
from lockkeep.policy.positions import Place
from lockkeep.policy.rules.rule import Applies, Rule, TakenBack, ToolRules, Who

OWN = "gateway/undo"  # what lets somebody take back where no rule speaks of it
DUTY = "undo"
EVERYBODY = Applies(frozenset(), frozenset(), everywhere=True)


@dataclass(frozen=True, slots=True)
class Done:
    """The call that shall be taken back."""

    tool: str
    operation: str
    agent: str
    at: datetime  # when it happened


def granted(
    rules: ToolRules, done: Done, person: str, people: People, now: datetime
) -> tuple[Rule, ...] | Deny:
    """An allow, and whom to ask: every `undo` that speaks of the call must let this person. Without one, the duty does."""
    speaking = [each for each in rules.undo if _speaks(each, done)]
    if not speaking and not people.may(person, DUTY):
        reason = f"people.yaml does not give {person} the duty `{DUTY}`."
        return Deny("policy.not_allowed", reason, "Ask somebody who has it.")
    for each in speaking:
        if no := _refused(each, done, people.roles(person), now):
            return Deny("policy.not_allowed", no, "", "no", each.rule)
    asks = [replace(_rule(each.rule, "ask"), asked=each.asked) for each in speaking if each.asked is not None]
    return (_rule(_first(speaking), "allow"), *asks)


def _speaks(undo: TakenBack, done: Done) -> bool:
    return undo.operation in (None, done.operation) and undo.applies.to(done.agent, None)


def _refused(undo: TakenBack, done: Done, roles: frozenset[str], now: datetime) -> str:
    if undo.who and not undo.who & roles:
        return f"Only {', '.join(sorted(undo.who))} may take back {done.tool}."
    if undo.within is not None and now > done.at + timedelta(seconds=undo.within):
        return f"{done.tool} may be taken back for {undo.within:,.0f} seconds; that time is over."
    return ""


def _first(speaking: Iterable[TakenBack]) -> str:
    return min((each.rule for each in speaking), default=OWN)


def _rule(id: str, kind: str) -> Rule:
    return Rule(
        id=id, file="", kind=kind, place=Place("", 1, 1), applies=EVERYBODY, source=f"{kind} {id}", who=Who(anyone=True)  # pyright: ignore[reportArgumentType] - one of the kinds
    )  # fmt: skip
