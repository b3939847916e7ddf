"""Recorded calls, decided again under other rules. Pure: rows come in, verdicts go out; nothing is asked and nothing written.

What a call rested on then is what it rests on now: caller, roles, arguments, answers of look-ups, time. Limits are counted
again, in the order of time. The gates themselves come in as a `Court`: they stand a layer above.
"""

import heapq
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from lockkeep.ledger.history import OF_PEOPLE, Past, Word
from lockkeep.model import (
    Allow,
    Basis,
    Deny,
    Divert,
    Finding,
    RequireApproval,
    Share,
    ToolCall,
    Verdict,
)
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.engine.lookups import LookUps
from lockkeep.policy.replay.counting import Counters
from lockkeep.policy.replay.recalled import remembered
from lockkeep.policy.windows import SLIDING

T = TypeVar("T")
Taken = Callable[[Share, str], int]
Lack = Literal[
    "payload-deleted",
    "tool-unknown",
    "look-up-not-read",
    "schema-changed",
    "arguments-not-kept",
]
NOT_KEPT = ("arguments.invalid", "arguments.not_canonical")
HAPPENED_NOT = ("failed", "not_applied")
SPANS = {
    **{name: timedelta(seconds=seconds) for name, seconds in SLIDING.items()},
    "day": timedelta(days=2), "week": timedelta(days=8), "month": timedelta(days=32),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Court:
    """The gates as a replay needs them: prepare, and everything from `arguments` to the wish for people."""

    prepared: Callable[[PolicySet, Past, datetime], ToolCall]
    heard: Callable[[PolicySet, ToolCall, Callable[[], LookUps], Taken], Finding]


@dataclass(frozen=True, slots=True)
class Again:
    """One recorded call and what the rules say of it now. Without a word: `lack` says why it cannot be replayed."""

    past: Past
    word: Word | None = None
    verdict: Verdict | None = None
    basis: Basis | None = None
    lack: Lack | None = None


class Replay:
    """Decides recorded calls again, in the order in which they were stored; limits fill up as they did then."""

    def __init__(self, rules: PolicySet, court: Court) -> None:
        self._rules, self._court = rules, court
        self._counters = Counters()
        self._later: list[
            tuple[datetime, int, bool, Past]
        ] = []  # what becomes of calls people were asked about

    def run(self, calls: Iterable[Past]) -> Iterator[Again]:
        """One for each call, when its decision of then was made. What gates said who ask no rules has no word and no lack."""
        for past in calls:
            yield from self._go_on(past.entered)
            if past.word is None:
                yield Again(past)
                continue
            yield from self._enter(past)
        yield from self._go_on(None)

    def _enter(self, past: Past) -> Iterator[Again]:
        agreed = past.approval is not None and past.claimed is not None
        again = self._judged(past, past.at)
        self._take(again, past.entered)
        if agreed and past.claimed is not None:
            self._push(past.claimed, past, decide=True)
        else:
            yield again
        ended = past.settled is not None and past.state not in ("succeeded", "needs_human", "undone")
        if past.settled is not None and ended and (past.approval is not None or past.state in HAPPENED_NOT):
            self._push(past.settled, past, decide=False)

    def _push(self, at: datetime, past: Past, *, decide: bool) -> None:
        heapq.heappush(self._later, (at, 2 * past.number + (not decide), decide, past))

    def _go_on(self, until: datetime | None) -> Iterator[Again]:
        """What happened up to this time to calls that were stored before."""
        while self._later and (until is None or self._later[0][0] <= until):
            at, _, decide, past = heapq.heappop(self._later)
            if not decide:
                self._end(past)
                continue
            again = self._judged(past, at)
            self._counters.give_back(past.id)
            self._take(again, at, runs=True)
            yield again

    def _end(self, past: Past) -> None:
        """It did not happen, or people did not let it: if they are asked now, too, its share is free again."""
        if past.state in HAPPENED_NOT or self._counters.is_parked(past.id):
            self._counters.give_back(past.id)

    def _take(self, again: Again, at: datetime, *, runs: bool = False) -> None:
        """Its shares, held while people think or from now on. Who was not asked then agrees at once now."""
        past, basis = again.past, again.basis
        if basis is None or again.word not in ("allowed", "asks"):
            return
        if again.word == "asks" and past.code in OF_PEOPLE:
            return
        if again.word == "asks" and past.approval is not None and not runs:
            self._counters.park(past.id, basis.shares)
        else:
            self._counters.hold(past.id, basis.shares, at)

    # -- one decision -------------------------------------------------------------------------------------------

    def _judged(self, past: Past, now: datetime) -> Again:
        if past.arguments is None:
            return Again(past, lack="payload-deleted")
        if past.pin and past.tool not in self._rules.tools:
            return Again(past, lack="tool-unknown")
        memory = remembered(past)
        call = self._court.prepared(self._rules, past, now)
        finding = self._court.heard(self._rules, call, memory.look_ups, self._counters.taken)
        verdict, basis = finding.verdict, finding.basis
        not_asked = (
            isinstance(verdict, RequireApproval) and past.code in OF_PEOPLE
        )  # nobody looked at its limits then
        if isinstance(verdict, Allow | RequireApproval) and basis is not None and not not_asked:
            verdict = self._counters.full(past.id, basis.shares) or verdict
        word = word_of(verdict)
        lack = self._lack(past, call, verdict)
        if lack is None and memory.missed and _rests_on_a_failure(verdict):
            lack = "look-up-not-read"
        return Again(past, lack=lack) if lack else Again(past, word, verdict, basis)

    def _lack(self, past: Past, call: ToolCall, verdict: Verdict) -> Lack | None:
        """Arguments that cannot be judged: they were not kept, or they were made for another schema."""
        code = verdict.code if isinstance(verdict, Deny) else None
        if past.code in NOT_KEPT and not past.arguments and code is None:
            return "arguments-not-kept"
        if code == "arguments.invalid" and past.code not in NOT_KEPT and past.pin != call.pin:
            return "schema-changed"
        return None


def reach(rules: PolicySet) -> timedelta:
    """How far back a call may still count in some limit of these rules."""
    windows = {rule.counted.window for of in rules.rules.values() for rule in of.rules if rule.counted}
    return max((SPANS[window] for window in windows), default=timedelta())


def word_of(verdict: Verdict) -> Word:
    match verdict:
        case Allow():
            return "allowed"
        case RequireApproval():
            return "asks"
        case Divert():
            return "people"
        case Deny():
            return "denied"


def _rests_on_a_failure(verdict: Verdict) -> bool:
    """A rule that denies stands whatever else could not be read, and so does what all rules let pass."""
    if isinstance(verdict, RequireApproval):
        return any("/read/" in demand.rule for demand in verdict.demands)
    return isinstance(verdict, Deny) and verdict.code != "policy.rule"


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Runs what never waits, without an event loop: one would open sockets. What waits is refused."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    work.close()
    raise RuntimeError("a replay waits for nothing")
