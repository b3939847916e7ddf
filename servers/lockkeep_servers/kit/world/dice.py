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
