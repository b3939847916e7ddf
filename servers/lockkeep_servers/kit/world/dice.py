"""Chance that is a pure function of what is asked: entity 7 is the same in a small world and in a large one."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """One stream of chance for one entity. Only `random()` is used: it gives the same numbers on every Python."""

    def __init__(self, *seed: object) -> None:
        self._random = Random("/".join(str(part) for part in seed))  # noqa: S311  (a made-up world, no secret)

    def below(self, count: int) -> int:
        return int(self._random.random() * count)

    def between(self, low: int, high: int) -> int:
        return low + self.below(high - low + 1)

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def chance(self, share: float) -> bool:
        return self._random.random() < share

    def few(self, count: int, of: int) -> frozenset[int]:
        """Return `count` different numbers below `of`."""
        left = list(range(of))
        return frozenset(left.pop(self.below(len(left))) for _ in range(count))


def drawn(seed: int, name: str, number: int, count: int, of: int) -> bool:
    """Tell whether this number is drawn: of every `of` in a row exactly `count` are."""
    block, place = divmod(number - 1, of)
    return place in Dice(seed, "drawn", name, block).few(count, of)
