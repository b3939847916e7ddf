"""The facts a decision reads: each question is asked once, in parallel where none waits for another."""

import json
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from time import monotonic

import anyio

from lockkeep.model import Json
from lockkeep.policy.conditions import runtime
from lockkeep.policy.conditions.runtime import MISSING, Env, EvalError, FailedLookup, Value
from lockkeep.policy.rules.rule import Lookup

MOST_KEPT = 1_000
LookUp = Callable[[str, Mapping[str, Json], float], Awaitable[Json]]
Key = tuple[str, str]  # file and name


class Kept:
    """Answers that stay good for a while, where a look-up's `cache` says so."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[float, Json]] = {}

    def fresh(self, question: str, seconds: float) -> Json:
        """The answer, or None if there is none of the last `seconds`."""
        at, answer = self._answers.get(question, (0.0, None))
        return answer if answer is not None and monotonic() - at <= seconds else None

    def keep(self, question: str, answer: Json) -> None:
        if len(self._answers) >= MOST_KEPT:
            self._answers.clear()
        self._answers[question] = monotonic(), answer


async def answers(
    wanted: AbstractSet[Key],
    lookups: Mapping[Key, Lookup],
    env: Env,
    look_up: LookUp,
    given: Mapping[str, Value] | None,
    kept: Kept | None = None,
) -> dict[Key, Value]:
    """An answer or a failure for each of them. `given` stands in for the integrations in tests and for past calls."""
    if given is not None:
        unsaid = "no answer was given"
        return {key: _answer(key[1], given.get(key[1], FailedLookup(key[1], unsaid))) for key in wanted}
    found: dict[Key, Value] = {}
    made: dict[str, Value] = {}
    left = set(wanted)
    while ready := [key for key in sorted(left) if _is_ready(key, lookups, left)]:
        questions = {key: _question(key, lookups[key], env, found) for key in ready}
        asked = {key: each for key, each in questions.items() if isinstance(each, str)}
        longest = {
            question: min(lookups[key].cache for key in asked if asked[key] == question)
            for question in asked.values()
        }
        for question, seconds in longest.items():
            if kept is not None and seconds and (answer := kept.fresh(question, seconds)) is not None:
                made.setdefault(question, answer)
        async with anyio.create_task_group() as group:
            for question in sorted(set(asked.values()) - made.keys()):
                timeout = max(lookups[key].timeout for key in asked if asked[key] == question)
                group.start_soon(_ask, question, timeout, look_up, made)
        for question, seconds in longest.items():
            if kept is not None and seconds and not isinstance(made.get(question), FailedLookup):
                kept.keep(question, made.get(question))
        for key, question in questions.items():
            failed = FailedLookup(key[1], "it was not made")
            found[key] = (
                _answer(key[1], made.get(question, failed)) if isinstance(question, str) else question
            )
        left -= set(ready)
    return found


def _is_ready(key: Key, lookups: Mapping[Key, Lookup], left: AbstractSet[Key]) -> bool:
    return not any((key[0], name) in left for name in lookups[key].reads)


def _question(key: Key, lookup: Lookup, env: Env, found: Mapping[Key, Value]) -> str | FailedLookup:
    """The tool and its arguments; the same text for the same question of any file."""
    reads = {name: value for (file, name), value in found.items() if file == key[0]}
    try:
        arguments = {
            name: runtime.as_json(runtime.needed(code.run({**env, "read": reads}), f"its argument {name}"))
            for name, code in lookup.arguments.items()
        }
        return json.dumps([lookup.tool, arguments], sort_keys=True)
    except EvalError as error:
        return FailedLookup(lookup.name, error.message)
    except Exception as error:  # whatever an answer holds, the decision stays ours
        return FailedLookup(lookup.name, type(error).__name__)


async def _ask(question: str, timeout: float, look_up: LookUp, made: dict[str, Value]) -> None:
    tool, arguments = json.loads(question)
    try:
        with anyio.fail_after(timeout):
            made[question] = await look_up(tool, arguments, timeout)
    except TimeoutError:
        made[question] = FailedLookup(tool, f"no answer in {timeout:g} seconds")
    except Exception as error:  # whatever a look-up does, the decision stays ours
        made[question] = FailedLookup(tool, type(error).__name__)


def _answer(name: str, answer: Value) -> Value:
    """Nothing at all is no answer: what reads it must fail, not find everything missing."""
    if isinstance(answer, FailedLookup):
        return FailedLookup(name, answer.reason)
    return FailedLookup(name, "it was empty") if answer is None or answer is MISSING else answer
