"""What look-ups answered when a call was decided, found again by the question, whatever the rules of now call them."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from lockkeep.ledger.history import Past
from lockkeep.model import Json, ToolCall
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.conditions import runtime
from lockkeep.policy.conditions.runtime import MOST_STEPS, STEPS, Env, EvalError, FailedLookup, Value
from lockkeep.policy.rules.rule import Applies, Lookup

D = TypeVar("D")
Key = tuple[str, str]  # file and name


class Answers(dict[str, Value]):
    """Recorded answers by the name of the look-up; `missed` are the names that were asked for in vain."""

    def __init__(self, found: Mapping[str, Value], questions: Mapping[str, frozenset[str]]) -> None:
        super().__init__(found)
        self.missed: set[str] = set()
        self._questions = questions

    def get(self, key: str, default: D = None) -> Value | D:  # pyright: ignore[reportIncompatibleMethodOverride]
        if key not in self:
            self.missed.add(key)
        return super().get(key, default)

    @property
    def unanswered(self) -> frozenset[str]:
        """The questions that were asked in vain; a name stands for one that could not even be put."""
        return frozenset[str]().union(*(self._questions.get(name) or {name} for name in self.missed))


@dataclass(slots=True)
class Memory:
    """The answers of one past call by question, and what its decisions under other rules asked in vain."""

    asked: Mapping[str, Json]
    given: list[Answers] = field(default_factory=list[Answers])

    def of(self, rules: PolicySet, call: ToolCall) -> Answers:
        """What these rules' look-ups for this call were answered then."""
        self.given.append(_answers(rules, call, self.asked))
        return self.given[-1]

    @property
    def unanswered(self) -> frozenset[str]:
        return frozenset[str]().union(*(each.unanswered for each in self.given))


def remembered(past: Past, rules: PolicySet, call: ToolCall) -> Mapping[str, Json]:
    """Question -> answer; `rules` are those that decided it then, `call` is as they saw it at last."""
    lookups, env = rules.rules_of(call.tool).lookups, _env(rules, call)
    given = {_key(name): answer for name, answer in past.answers.items()}
    asked: dict[str, Json] = {}
    for key, answer in given.items():
        if key not in lookups:
            continue
        with suppress(Exception):  # a question that cannot be put again finds nothing
            asked[_question(lookups[key], env, key[0], given)] = answer
    return asked


def _answers(rules: PolicySet, call: ToolCall, asked: Mapping[str, Json]) -> Answers:
    of_tool = rules.rules_of(call.tool)
    files = {rule.file for rule in of_tool.rules if _speaks_to(rule.applies, call.agent)}
    lookups = {key: lookup for key, lookup in of_tool.lookups.items() if key[0] in files}
    if not lookups:
        return Answers({}, {})
    env = _env(rules, call)
    found: dict[Key, Value] = {}
    put: dict[Key, str] = {}
    left = set(lookups)
    while ready := sorted(
        key for key in left if not any((key[0], name) in left for name in lookups[key].reads)
    ):
        for key in ready:
            if any((key[0], name) not in found for name in lookups[key].reads):
                continue  # what it builds on was never read
            try:
                put[key] = _question(lookups[key], env, key[0], found)
            except EvalError as error:
                found[key] = FailedLookup(key[1], error.message)
                continue
            except Exception as error:  # as the look-up of a live call would have failed
                found[key] = FailedLookup(key[1], type(error).__name__)
                continue
            if put[key] in asked:
                found[key] = asked[put[key]]
        left -= set(ready)
    return _by_name(lookups, found, put)


def _speaks_to(applies: Applies, agent: str) -> bool:
    """Whether the file may speak of this agent's calls, in some run."""
    return applies.everywhere or not applies.agents or agent in applies.agents


def _by_name(lookups: Mapping[Key, Lookup], found: Mapping[Key, Value], put: Mapping[Key, str]) -> Answers:
    """The engine knows given answers by name alone: one name with two meanings has none."""
    of_name: dict[str, list[Key]] = {}
    for key in lookups:
        of_name.setdefault(key[1], []).append(key)
    clear = {
        name: found[keys[0]]
        for name, keys in of_name.items()
        if all(key in found for key in keys) and all(found[key] == found[keys[0]] for key in keys)
    }
    questions = {name: frozenset(put[key] for key in keys if key in put and key not in found)
                 for name, keys in of_name.items()}  # fmt: skip
    return Answers(clear, questions)


def _question(lookup: Lookup, env: Env, file: str, found: Mapping[Key, Value]) -> str:
    """The tool and its arguments, with the answers of the look-up's own file."""
    reads = {name: value for (of, name), value in found.items() if of == file}
    inner = {**env, "read": reads}
    said = {
        name: runtime.as_json(runtime.needed(code.run(inner), f"its argument {name}"))
        for name, code in lookup.arguments.items()
    }
    return json.dumps([lookup.tool, said], sort_keys=True)


def _env(rules: PolicySet, call: ToolCall) -> Env:
    return {**rules.env(call), STEPS: [MOST_STEPS]}


def _key(name: str) -> Key:
    file, _, own = name.rpartition("/")
    return file, own
