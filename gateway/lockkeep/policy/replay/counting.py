"""Limits counted again in memory, in the order of time, as the ledger counts them in its table of shares."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from lockkeep.model import Deny, Share

Key = tuple[str, str]  # rule and whose share


@dataclass(slots=True)
class _Held:
    at: datetime
    units: int
    call: str


@dataclass(slots=True)
class _Window:
    """What is held of one limit by one key: in the window, and by calls that wait for people."""

    held: deque[_Held] = field(default_factory=deque[_Held])
    mine: dict[str, _Held] = field(
        default_factory=dict[str, _Held]
    )  # of each call, while it is in the window
    parked: dict[str, int] = field(default_factory=dict[str, int])
    total: int = 0

    def taken(self, since: datetime, call: str) -> int:
        """Windows only move on: what fell out of one never counts again."""
        while self.held and self.held[0].at <= since:
            self.leave(self.held.popleft())
        own = self.mine.get(call)
        return self.total - (own.units if own else 0) - self.parked.get(call, 0)

    def park(self, call: str, units: int) -> None:
        self.parked[call] = units
        self.total += units

    def enter(self, held: _Held) -> None:
        self.held.append(held)
        self.mine[held.call] = held
        self.total += held.units

    def leave(self, held: _Held) -> None:
        self.total -= held.units
        held.units = 0
        self.mine.pop(held.call, None)

    def give_back(self, call: str) -> None:
        self.total -= self.parked.pop(call, 0)
        if (own := self.mine.get(call)) is not None:
            self.leave(own)


class Counters:
    """Every limit's windows; calls come in the order of time."""

    def __init__(self) -> None:
        self._windows: dict[Key, _Window] = {}
        self._of_call: dict[str, tuple[Share, ...]] = {}

    def taken(self, share: Share, call: str) -> int:
        """How much of it others hold."""
        window = self._windows.get((share.rule, share.key))
        return window.taken(share.since, call) if window else 0

    def full(self, call: str, shares: Iterable[Share]) -> Deny | None:
        """What the claim would say: the first limit that has no room for this call."""
        for share in shares:
            if self.taken(share, call) + share.units > share.most and not share.over:
                return Deny("policy.limit", f"The limit is reached: {share.text}.", "", "changed", share.rule)
        return None

    def park(self, call: str, shares: tuple[Share, ...]) -> None:
        """Held however long people take."""
        self.give_back(call)
        self._of_call[call] = shares
        for share in shares:
            self._window(share).park(call, share.units)

    def hold(self, call: str, shares: tuple[Share, ...], at: datetime) -> None:
        """Held for the length of the window; what the call held before is replaced."""
        self.give_back(call)
        self._of_call[call] = shares
        for share in shares:
            self._window(share).enter(_Held(at, share.units, call))

    def is_parked(self, call: str) -> bool:
        return any(call in self._window(share).parked for share in self._of_call.get(call, ()))

    def give_back(self, call: str) -> None:
        """What the call held is free again."""
        for share in self._of_call.pop(call, ()):
            self._window(share).give_back(call)

    def _window(self, share: Share) -> _Window:
        return self._windows.setdefault((share.rule, share.key), _Window())
