"""The facts a decision reads: each question is put once, in parallel where none waits for another."""

import json
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from time import monotonic

import anyio

from lockkeep.model import Json, LookedUp
from lockkeep.policy.conditions import runtime
from lockkeep.policy.conditions.runtime import MISSING, Env, EvalError, FailedLookup, Value
from lockkeep.policy.rules.rule import Lookup, as_seen

MOST_KEPT = 1_000
LookUp = Callable[[str, Mapping[str, Json], float], Awaitable[Json]]
Key = tuple[str, str]  # file and name
Question = str | FailedLookup  # the tool and its arguments as text; or why it cannot be put
Given = Callable[[Key, Question], Value]  # stands in for the integrations: tests, and calls of the past


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


class LookUps:
    """Everything that is read for one call, however often it is judged on its way."""

    def __init__(self, ask: LookUp | None = None, *, given: Given | None = None) -> None:
        self._ask = ask
        self._given = given
        self._made: dict[str, Value] = {}
        self._record: dict[str, LookedUp] = {}

    @property
    def live(self) -> bool:
        """Whether an answer has to be waited for."""
        return self._given is None

    @property
    def record(self) -> tuple[LookedUp, ...]:
        """Every question that was put, with its answer or why there is none."""
        return tuple(self._record.values())

    async def answers(
        self, wanted: AbstractSet[Key], lookups: Mapping[Key, Lookup], env: Env, kept: Kept | None = None
    ) -> dict[Key, Value]:
        """An answer or a failure for each of them; what others rest on comes first."""
        found: dict[Key, Value] = {}
        left = set(wanted)
        while ready := [key for key in sorted(left) if _is_ready(key, lookups, left)]:
            put = {key: _question(key, lookups[key], env, found) for key in ready}
            if self._given is None:
                await self._put(put, lookups, kept)
            for key, question in put.items():
                found[key] = _answer(key[1], self._answered(key, question))
            left -= set(ready)
        return found

    def _answered(self, key: Key, question: Question) -> Value:
        if self._given is None and isinstance(question, str):
            return self._made.get(question, FailedLookup(key[1], "it was not made"))
        answer = question if self._given is None else self._given(key, question)
        said = "" if isinstance(question, FailedLookup) else question
        self._note("/".join(key), said, [key], answer)
        return answer

    async def _put(
        self, put: Mapping[Key, Question], lookups: Mapping[Key, Lookup], kept: Kept | None
    ) -> None:
        """Every question that has no answer yet; rules of several files may share one."""
        askers: dict[str, list[Key]] = {}
        for key, question in put.items():
            if isinstance(question, str):
                askers.setdefault(question, []).append(key)
        async with anyio.create_task_group() as group:
            for question, keys in sorted(askers.items()):
                if question in self._made:
                    self._note(question, question, keys, self._made[question])
                    continue
                seconds = min(lookups[key].cache for key in keys)
                if kept is not None and seconds and (answer := kept.fresh(question, seconds)) is not None:
                    self._note(question, question, keys, answer)
                    continue
                timeout = max(lookups[key].timeout for key in keys)
                group.start_soon(self._one, question, keys, timeout, kept if seconds else None)

    async def _one(self, question: str, keys: list[Key], timeout: float, kept: Kept | None) -> None:
        tool, arguments = json.loads(question)
        started = monotonic()
        try:
            if self._ask is None:
                raise LookupError(tool)
            with anyio.fail_after(timeout):
                answer: Value = await self._ask(tool, arguments, timeout)
            if kept is not None:
                kept.keep(question, answer)
        except TimeoutError:
            answer = FailedLookup(tool, f"no answer in {timeout:g} seconds")
        except Exception as error:  # whatever a look-up does, the decision stays ours
            answer = FailedLookup(tool, type(error).__name__)
        self._note(question, question, keys, answer, int((monotonic() - started) * 1000))

    def _note(self, entry: str, question: str, keys: list[Key], answer: Value, ms: int = 0) -> None:
        before = self._record.get(entry)
        names = {*(before.names if before else ()), *("/".join(key) for key in keys)}
        failed = isinstance(answer, FailedLookup)
        self._made[entry] = answer
        self._record[entry] = LookedUp(
            question, tuple(sorted(names)), before.ms if before else ms,
            None if failed else answer, answer.reason if failed else "",
        )  # fmt: skip


def by_name(answers: Mapping[str, Value]) -> Given:
    """Answers a person wrote down: by the name of the look-up, whatever file it stands in and whatever it asks."""
    return lambda key, _: answers.get(key[1], FailedLookup(key[1], "no answer was given"))


def _is_ready(key: Key, lookups: Mapping[Key, Lookup], left: AbstractSet[Key]) -> bool:
    return not any((key[0], name) in left for name in lookups[key].reads)


def _question(key: Key, lookup: Lookup, env: Env, found: Mapping[Key, Value]) -> Question:
    """The tool and its arguments; the same text for the same question of any file."""
    reads = {name: value for (file, name), value in found.items() if file == key[0]}
    inner = {**as_seen(env, lookup.projects), "read": reads}
    try:
        arguments = {
            name: runtime.as_json(runtime.needed(code.run(inner), f"its argument {name}"))
            for name, code in lookup.arguments.items()
        }
        return json.dumps([lookup.tool, arguments], sort_keys=True)
    except EvalError as error:
        return FailedLookup(lookup.name, error.message)
    except Exception as error:  # whatever an answer holds, the decision stays ours
        return FailedLookup(lookup.name, type(error).__name__)


def _answer(name: str, answer: Value) -> Value:
    """Nothing at all is no answer: what reads it must fail, not find everything missing."""
    if isinstance(answer, FailedLookup):
        return FailedLookup(name, answer.reason)
    return FailedLookup(name, "it was empty") if answer is None or answer is MISSING else answer
