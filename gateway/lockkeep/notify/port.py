"""What every channel is: something that takes a notice. A package brings its own under the entry-point group `lockkeep.notify`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from lockkeep.cards.card import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A switch that was thrown, and perhaps lifted. Texts are quoted already."""

    scope: str
    mode: str
    reason: str
    by: str
    lifted_by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message to people, with everything as it is now. `id` is the same on every try."""

    id: str
    event: str  # of ledger/outbox.py, or `test`
    at: datetime
    gateway: str
    url: str  # where people look at it and decide
    card: Card | None = None
    link_only: str = ""  # why it cannot be decided by a button; empty: it can
    alarm: Alarm | None = None
    addresses: tuple[str, ...] = ()  # e-mail of those who are asked

    @property
    def over(self) -> bool:
        """Whether nobody need be asked any more."""
        return self.card is not None and self.card.state != "pending"


class Undelivered(Exception):
    """It was not taken. The text says why, for people; `after` is when the other side wants it again."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


class Channel(Protocol):
    """Whatever `deliver` raises, it is tried again later."""

    async def deliver(self, notice: Notice, places: tuple[str, ...]) -> str | None:
        """Tell people. `places` are where the same matter stands already; the answer is where it stands now."""
        ...

    async def examine(self) -> str:
        """Try whether it works, without telling anybody; the answer says with whom. Raises Undelivered."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """Somebody pressed a button. `envelope` is this one press; `account` is who, as people.yaml writes it."""

    channel: str  # its kind, for the record
    envelope: str
    account: str
    value: str
    decision: str
    foreign: bool = False  # it came from another workspace than the person's own


Cast = Callable[[Press], Awaitable[str]]  # what to tell who pressed; empty: nothing


@runtime_checkable
class Listening(Protocol):
    """A channel that keeps a connection open to hear buttons."""

    @property
    def listens(self) -> bool: ...

    async def listen(self, cast: Cast, said: Callable[[str], Awaitable[None]]) -> None:
        """Until it is cancelled. `said` takes what is wrong with the connection; empty: nothing."""
        ...


@runtime_checkable
class Answering(Protocol):
    """A channel whose buttons arrive over HTTP."""

    async def answer(self, body: bytes, stamp: str, signature: str, now: datetime, cast: Cast) -> bool:
        """Whether the request was signed with this channel's secret; then it was heard."""
        ...
