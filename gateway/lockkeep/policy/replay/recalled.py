"""What look-ups answered when a call was decided, found again by the question, whatever the rules of now call them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lockkeep.ledger.history import Past
from lockkeep.policy.conditions.runtime import FailedLookup, Value
from lockkeep.policy.engine.lookups import Key, LookUps, Question


@dataclass(slots=True)
class Memory:
    """The answers of one past call by question; `missed` are questions nobody put then."""

    asked: Mapping[str, Value]
    missed: set[str] = field(default_factory=set[str])

    def look_ups(self) -> LookUps:
        """For one decision under any rules."""
        return LookUps(given=self._given)

    def _given(self, key: Key, question: Question) -> Value:
        if isinstance(question, FailedLookup):
            return question  # it could not have been put then either, under these rules
        if question in self.asked:
            return self.asked[question]
        self.missed.add(question)
        return FailedLookup(key[1], "it was not asked then")


def remembered(past: Past) -> Memory:
    """Everything that was read for this call, failures too."""
    return Memory(
        {
            each.question: FailedLookup(each.names[0], each.failed) if each.failed else each.answer
            for each in past.looked_up
            if each.question
        }
    )
