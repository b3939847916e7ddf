"""Entries that say nothing, or less than they seem to: they never fire, always fire, or never get their turn."""

from collections.abc import Iterator
from itertools import pairwise

from lockkeep.policy.files.forms import Entry
from lockkeep.policy.hours import Hours
from lockkeep.policy.lint.material import Finding, Material, Said, covers
from lockkeep.policy.positions import Text
from lockkeep.policy.rules.rule import Condition, Rule
from lockkeep.policy.show.truth import all_hold, fires, holds, parts, stays_silent

WEEK = range(0, 7 * 24 * 60, 5)


def senseless(material: Material) -> Iterator[Finding]:
    for said in material.said:
        yield from _of_entry(said, material)


def _of_entry(said: Said, material: Material) -> Iterator[Finding]:
    rules = list(said.rules.values())
    found = [*_contradictions(said, rules)] or [*_never(said, rules)]
    if found:
        yield from found
        return
    yield from _always(said, rules)
    yield from _hidden(said, material)


def _contradictions(said: Said, rules: list[Rule]) -> Iterator[Finding]:
    """Conditions of which each may hold, and all of them never do."""
    for key, texts in (("when", said.entry.when), ("unless", said.entry.unless)):
        lists = [rule.when if key == "when" else rule.unless for rule in rules]
        if not texts or not all(_excluding(each) for each in lists):
            continue
        what = "never fires" if key == "when" else "always fires"
        message = f"these conditions exclude one another, so this {said.kind} {what}"
        yield said.finding(
            "contradiction", message, "join them with ||, or make two entries", place=texts[0].place
        )


def _excluding(conditions: tuple[Condition, ...]) -> bool:
    """Together they never hold, though each of them may."""
    return all_hold(conditions).never and not any(part.never for part in parts(conditions))


def _never(said: Said, rules: list[Rule]) -> Iterator[Finding]:
    hint = "take it out, or mend the condition"
    if all(fires(rule).never for rule in rules):
        place = next(iter((*said.entry.when, *said.entry.unless)), None)
        message = f"this {said.kind} never fires, whatever the call"
        yield said.finding("never-fires", message, hint, place=place.place if place else None)
    elif not _ever_open(rules[0].hours):
        message = f"this {said.kind} never fires: its hours and those around it have no minute in common"
        yield said.finding("never-fires", message, "change the hours of the entry, the block or the file")
    elif said.kind == "allow" and (reason := _for_nobody(rules[0])):
        yield said.finding("never-fires", f"this allow permits nobody: {reason}", "name agents of this file")


def _ever_open(all_hours: tuple[Hours, ...]) -> bool:
    return len(all_hours) < 2 or any(
        all(any(window.holds(at // 1440, at % 1440) for window in hours.windows) for hours in all_hours)
        for at in WEEK
    )


def _for_nobody(rule: Rule) -> str:
    who, applies = rule.who, rule.applies
    if who.agents and applies.agents and not who.agents & applies.agents:
        return f"the file speaks about {', '.join(sorted(applies.agents))} only"
    return ""


def _always(said: Said, rules: list[Rule]) -> Iterator[Finding]:
    for number, text in enumerate(said.entry.when):
        if all(holds(rule.when[number], yes=False).never for rule in rules):
            so = (
                "so it says nothing here" if len(said.entry.when) > 1 else f"so this {said.kind} always fires"
            )
            message, hint = f"'{_short(text)}' is always true, {so}", "mend the condition, or take it out"
            yield said.finding("always-true", message, hint, place=text.place)
    for number, text in enumerate(said.entry.unless):
        if len(said.entry.unless) > 1 and all(holds(rule.unless[number], yes=False).never for rule in rules):
            message = f"'{_short(text)}' is always true, so it says nothing here"
            yield said.finding("always-true", message, "take it out", place=text.place)
    if said.entry.unless and all(all_hold(rule.unless).never for rule in rules):
        message = f"what 'unless' asks for never holds, so this {said.kind} always fires"
        yield said.finding("always-true", message, "mend the condition", place=said.entry.unless[0].place)


def _short(text: Text) -> str:
    words = " ".join(text.text.split())
    return words if len(words) <= 60 else words[:57] + "…"


def _hidden(said: Said, material: Material) -> Iterator[Finding]:
    """An ask, a hand-over or a limit whose every call is refused before."""
    if said.kind == "deny":
        yield from _hidden_by_its_like(said)
        return
    hiding: set[str] = set()
    for tool, rule in said.enforced.items():
        deny = next(
            (each for each in material.about(tool) if _hides(each, rule)),
            None,
        )
        if deny is None:
            return
        hiding.add(deny.id)
    if hiding:
        message = f"this {said.kind} never gets its turn: {', '.join(sorted(hiding))} refuses all such calls"
        yield said.finding("hidden-by-deny", message, "take one of them out, or narrow the deny")


def _hidden_by_its_like(said: Said) -> Iterator[Finding]:
    """Of two denies of one block with the same conditions, the second adds nothing."""
    if not said.enforced:
        return
    same = [
        each for each in said.block.deny if each.at.mode == "enforce" and _words(each) == _words(said.entry)
    ]
    for first, second in pairwise(same):
        if second is said.entry:
            message = f"'{first.name}' refuses the same calls already"
            yield said.finding("hidden-by-deny", message, "take one of them out")


def _words(entry: Entry) -> tuple[object, ...]:
    said = (entry.when, entry.unless, entry.at.hours)
    return tuple(tuple(" ".join(text.text.split()) for text in texts) for texts in said)


def _hides(deny: Rule, rule: Rule) -> bool:
    """Whether the deny always fires at which the other rule does."""
    if deny.kind != "deny" or deny.mode != "enforce" or deny.hours or not (deny.when or deny.unless):
        return False
    if deny.until is not None and (rule.until is None or rule.until > deny.until):
        return False
    return covers(deny.applies, rule.applies) and fires(rule).also(stays_silent(deny)).never
