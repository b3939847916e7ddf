"""What could be asked less, or better: the rules behind it as changed files. Nothing here puts them into force."""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lockkeep.ledger.fatigue import A_DAY, ENOUGH, ENOUGH_MONEY, TOO_OFTEN, Load, Toll, wilson
from lockkeep.policy.bundle import PolicySet, load
from lockkeep.policy.conditions.runtime import Money
from lockkeep.policy.rules.rule import Rule

VALUE = re.compile(r"(\bamount\s*>=?\s*)([0-9][0-9_,.]*)(\s*)([A-Z]{3})\b")
FAR = 6  # lines of an entry in which its value is looked for


@dataclass(frozen=True, slots=True)
class Advice:
    """One suggestion; `files` is the whole set with the change in it, or None where people have to write it."""

    kind: str  # raise | deny | split
    about: str
    why: str
    diff: str = ""
    files: Mapping[str, str] | None = None


def advise(tolls: Mapping[str, Toll], loads: Mapping[str, Load], rules: PolicySet) -> list[Advice]:
    """Exactly what the counts support."""
    found: list[Advice] = []
    hasty = {person for person, load in loads.items() if load.hasty}
    for name, toll in tolls.items():
        rule = next(
            (
                each
                for of in rules.rules.values()
                for each in of.rules
                if each.id == name and each.kind == "ask"
            ),
            None,
        )
        if rule is None:
            continue
        ours = {ask.id for ask in toll.asks}
        if any(vote.approval in ours for person in hasty for vote in loads[person].votes):
            continue  # a rubber stamp supports nothing
        enough = ENOUGH_MONEY if toll.money else ENOUGH
        if toll.decided >= enough and not toll.objections:
            found.append(_raised(rule, toll, rules))
        elif wilson(toll.objections, toll.decided)[0] > TOO_OFTEN:
            found.append(_denied(rule, toll, rules))
    return found + [_split(person, load) for person, load in loads.items() if load.asks_a_day > A_DAY]


def _raised(rule: Rule, toll: Toll, rules: PolicySet) -> Advice:
    """The value below which half of what people agreed to lies: half as many questions."""
    why = f"{toll.decided} were decided, none of them with an objection"
    minors = sorted((ask.amount.currency, ask.amount.minor) for ask in toll.asks if ask.amount)
    text = rules.files[rule.place.file]
    lines = text.splitlines(keepends=True)
    for number in range(rule.place.line - 1, min(len(lines), rule.place.line - 1 + FAR)):
        match = VALUE.search(lines[number])
        of = [minor for currency, minor in minors if match and currency == match[4]]
        if match is None or not of:
            continue
        value = Money(of[math.ceil(len(of) / 2) - 1], match[4])
        lines[number] = lines[number].replace(match[0], f"{match[1]}{str(value).replace(',', '')}", 1)
        return _checked("raise", rule, f"{why}: raise the value", rules, "".join(lines))
    return Advice(
        "raise", rule.id, f"{why}: it may ask less. It names no amount, so write yourself what may pass."
    )


def _denied(rule: Rule, toll: Toll, rules: PolicySet) -> Advice:
    """What people refuse anyway is refused at once, with what to do instead."""
    low = wilson(toll.objections, toll.decided)[0]
    why = f"{toll.objections} of {toll.decided} met an objection (at least {low:.0%} would): deny it, and say what to do instead"
    lines = rules.files[rule.place.file].splitlines(keepends=True)
    here = rule.place.line - 1
    head = next((number for number in range(here, -1, -1) if lines[number].lstrip().startswith("ask:")), None)
    if head is None or not rule.when:
        return Advice("deny", rule.id, why)
    indent = lines[head][: len(lines[head]) - len(lines[head].lstrip())]
    conditions = ", ".join(f'"{condition.text}"' for condition in rule.when)
    block = f"{indent}deny:\n{indent}  - {{name: refused, when: [{conditions}], say: People refuse this., fix: Say here what to do instead.}}\n"
    return _checked("deny", rule, why, rules, "".join([*lines[:head], block, *lines[head:]]))


def _split(person: str, load: Load) -> Advice:
    groups = sorted({group for ask in load.asks for group in ask.groups})
    why = f"{load.asks_a_day} asks on one day: split {', '.join(groups)}, so that fewer people are asked each time"
    return Advice("split", person, why)


def _checked(kind: str, rule: Rule, why: str, rules: PolicySet, text: str) -> Advice:
    """With its difference, if the set loads with it."""
    name = rule.place.file
    files = {**rules.files, name: text}
    if text == rules.files[name] or load(files)[0] is None:
        return Advice(kind, rule.id, why)
    before, after = rules.files[name].splitlines(), text.splitlines()
    diff = difflib.unified_diff(before, after, name, f"{name} (suggested)", n=2, lineterm="")
    return Advice(kind, rule.id, why, "\n".join(diff), files)
