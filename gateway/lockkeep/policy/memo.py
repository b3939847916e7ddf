"""What earlier loads worked out and the files still say. A set of ten thousand rules with one edit loads at once."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from lockkeep.policy.positions import Problems

T = TypeVar("T")


class Memo:
    """Results of the last two loads by everything they were made from. Nothing with a problem is kept."""

    def __init__(self) -> None:
        self._now: dict[Hashable, Any] = {}
        self._before: dict[Hashable, Any] = {}

    def begin(self) -> None:
        """Another load: what neither it nor the one before it uses is forgotten."""
        self._now, self._before = {}, self._now

    def of(self, made_from: Hashable, make: Callable[[], T], problems: Problems) -> T:
        """What was made from exactly this, or is made now."""
        found = self._now.get(made_from, self._before.get(made_from))
        if found is None:
            known = len(problems.found)
            found = make()
            if len(problems.found) > known:
                return found
        self._now[made_from] = found
        return cast("T", found)
