"""Which rules speak to whom: worked out once for each kind of caller of a tool, and kept."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from lockkeep.model import ToolCall
from lockkeep.policy.conditions.checked import Run
from lockkeep.policy.conditions.generate import generated
from lockkeep.policy.rules.rule import Cut, Lookup, Rule, ToolRules, needed_by

MOST = 10_000  # plans that are kept; callers are few, and a plan is small
Key = tuple[str, str, frozenset[str], str, str | None]


@dataclass(frozen=True, slots=True)
class Step:
    """A rule, and how much of it can be judged without look-ups."""

    rule: Rule
    fires: Run  # all of its conditions as one function
    when: tuple[Run, ...]
    unless: tuple[Run, ...]
    leading: tuple[Run, ...]  # the conditions before the first that reads a look-up
    reads: bool  # whether its conditions read any
    whole: bool  # whether it can be judged before look-ups
    timed: bool  # whether the clock has a say


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules for one kind of caller of one tool, by id: the order of files and entries decides nothing."""

    allows: tuple[Step, ...]
    others: tuple[Step, ...]
    observed: tuple[Step, ...]
    cuts: tuple[Cut, ...]
    not_for: tuple[Rule, ...]
    reads: bool  # whether any of it touches a look-up
    watches: bool  # whether any rule only observes
    digest: str

    def granting(self, rules: Iterable[Rule]) -> "Plan":
        """These allow, whatever else would; what the others refuse or ask still counts."""
        steps = [_step(rule) for rule in rules]
        digest = hashlib.sha256(json.dumps([self.digest, [step.rule.source for step in steps]]).encode())
        return replace(
            self,
            allows=tuple(step for step in steps if step.rule.kind == "allow"),
            others=(*self.others, *(step for step in steps if step.rule.kind != "allow")),
            cuts=(),
            digest=digest.hexdigest(),
        )

    def watched(self) -> "Plan":
        """The same rules, none of which decides."""
        watching = tuple(replace(cut, mode="observe") for cut in self.cuts if cut.mode != "off")
        return replace(
            self,
            allows=(),
            others=(),
            observed=(*self.allows, *self.others, *self.observed),
            cuts=watching,
            watches=True,
        )


class Index:
    """Plans for one tool."""

    def __init__(self, rules: ToolRules) -> None:
        self.rules = rules
        self._plans: dict[Key, Plan] = {}

    def plan(self, call: ToolCall, workflow: str | None) -> Plan:
        key = (call.user, call.agent, call.roles, call.operation, workflow)
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= MOST:
                self._plans.clear()
            found = self._plans[key] = _plan(self.rules, *key)
        return found


def _plan(
    rules: ToolRules, user: str, agent: str, roles: frozenset[str], operation: str, workflow: str | None
) -> Plan:
    chosen: list[Rule] = []
    not_for: list[Rule] = []
    for rule in sorted(rules.rules, key=lambda rule: rule.id):
        fits = rule.operation in (None, operation) and rule.applies.to(agent, workflow)
        fits = fits and (rule.kind != "allow" or rule.who.fits(user, agent, roles))
        (chosen if fits else not_for).append(rule)
    steps = [_step(rule) for rule in chosen if rule.mode == "enforce"]
    cuts = tuple(
        cut for cut in rules.cuts if cut.operation in (None, operation) and cut.applies.to(agent, workflow)
    )
    return Plan(
        allows=tuple(step for step in steps if step.rule.kind == "allow"),
        others=tuple(step for step in steps if step.rule.kind != "allow"),
        observed=tuple(_step(rule) for rule in chosen if rule.mode == "observe"),
        cuts=tuple(sorted(cuts, key=lambda cut: cut.rule)),
        not_for=tuple(not_for),
        reads=any(rule.reads for rule in chosen),
        watches=any(each.mode == "observe" for each in (*chosen, *cuts)),
        digest=digest_of((step.rule for step in steps), cuts, rules.lookups),
    )


def digest_of(chosen: Iterable[Rule], cuts: Iterable[Cut], lookups: Mapping[tuple[str, str], Lookup]) -> str:
    """The rules for this call: an unrelated edit of the files leaves it as it is."""
    rules = list(chosen)
    sources = sorted(rule.source for rule in rules)
    needed = needed_by({(rule.home, name) for rule in rules for name in rule.reads}, lookups)
    read = sorted([file, name, lookups[file, name].source] for file, name in needed)
    cut = sorted([each.rule, list(each.path), str(each.most)] for each in cuts if each.mode == "enforce")
    return hashlib.sha256(json.dumps([sources, read, cut]).encode()).hexdigest()


def _step(rule: Rule) -> Step:
    when = tuple(condition.run for condition in rule.when)
    leading = next((place for place, each in enumerate(rule.when) if each.code.reads), len(when))
    reads = leading < len(when) or any(each.code.reads for each in rule.unless)
    return Step(
        rule=rule,
        fires=generated([each.code for each in rule.when], [each.code for each in rule.unless]),
        when=when,
        unless=tuple(condition.run for condition in rule.unless),
        leading=when[:leading],
        reads=reads,
        whole=not reads,
        timed=bool(rule.hours or rule.until),
    )
