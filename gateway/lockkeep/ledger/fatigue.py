"""What asking costs people, and what comes of it: per rule and per person, counted from the rows alone."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lockkeep.ledger import calls
from lockkeep.model import Amount, Demand, Person, moment, stamp
from lockkeep.store import Row, Tx

Z = 1.96  # of an interval that holds 95 times of 100
ENOUGH, ENOUGH_MONEY = (
    59,
    299,
)  # without an objection: at most 5 %, and 1 %, of all would meet one, 95 times of 100
TOO_OFTEN = 0.30  # objections: a rule whose calls are refused so often had better refuse them itself
A_DAY = 30  # asks of one person
HASTE, HASTY_VOTES = 4.0, 20  # seconds on a card, votes a day: such a yes says nothing about the rule


@dataclass(frozen=True, slots=True)
class Ask:
    """One approval, as far as it says something about asking."""

    id: str
    rules: tuple[str, ...]
    groups: frozenset[str]
    requester: str
    state: str
    undone: bool
    risk: str
    amount: Amount | None
    at: datetime
    decided: datetime | None

    @property
    def agreed(self) -> bool:
        return self.state in ("approved", "consumed")

    @property
    def objected(self) -> bool:
        """People said no, changed it, took their yes back, or had it taken back later."""
        return self.state in ("denied", "superseded", "revoked") or self.undone

    @property
    def wait(self) -> float | None:
        """Seconds until people had decided; None if they did not."""
        decided = self.decided if self.agreed or self.state in ("denied", "superseded") else None
        return (decided - self.at).total_seconds() if decided else None


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's last word on one approval; `looked` is how many seconds they had its card."""

    approval: str
    person: str
    decision: str
    at: datetime
    looked: float | None


@dataclass
class Toll:
    """What became of some asks."""

    asks: list[Ask] = field(default_factory=list[Ask])

    def number(self, *states: str) -> int:
        return sum(ask.state in states for ask in self.asks)

    @property
    def undone(self) -> int:
        return sum(ask.undone for ask in self.asks)

    @property
    def decided(self) -> int:
        return sum(ask.agreed or ask.objected for ask in self.asks)

    @property
    def objections(self) -> int:
        return sum(ask.objected for ask in self.asks)

    @property
    def money(self) -> bool:
        return any(ask.risk == "money" for ask in self.asks)

    @property
    def waits(self) -> list[float]:
        return sorted(wait for ask in self.asks if (wait := ask.wait) is not None)


@dataclass
class Load(Toll):
    """The same for one person, who was asked, with their own votes."""

    votes: list[Vote] = field(default_factory=list[Vote])

    @property
    def denied(self) -> float | None:
        """Their share of no."""
        return sum(vote.decision == "deny" for vote in self.votes) / len(self.votes) if self.votes else None

    @property
    def looked(self) -> list[float]:
        return sorted(vote.looked for vote in self.votes if vote.looked is not None)

    def busiest(self, moments: Iterable[datetime]) -> int:
        """The most of these on one day, UTC."""
        days: dict[object, int] = defaultdict(int)
        for at in moments:
            days[at.date()] += 1
        return max(days.values(), default=0)

    @property
    def asks_a_day(self) -> int:
        return self.busiest(ask.at for ask in self.asks)

    @property
    def hasty(self) -> bool:
        """So many on one day, and so fast, that their yes is a rubber stamp."""
        looked = middle(self.looked)
        return (
            looked is not None
            and looked < HASTE
            and self.busiest(vote.at for vote in self.votes) >= HASTY_VOTES
        )


def opened(tx: Tx, approval: str, person: str, now: datetime) -> None:
    """This person has the card before them. The first time counts."""
    tx.run("card_opened", approval=approval, person=person, at=stamp(now))


def asks(tx: Tx, since: datetime) -> list[Ask]:
    return [_ask(row) for row in tx.all("fatigue_asks", since=stamp(since))]


def votes(tx: Tx, since: datetime) -> list[Vote]:
    return [
        _vote(row) for row in tx.all("fatigue_votes", since=stamp(since)) if row["decision"] != "withdrawn"
    ]


def by_rule(found: Iterable[Ask]) -> dict[str, Toll]:
    tolls: dict[str, Toll] = defaultdict(Toll)
    for ask in found:
        for rule in ask.rules:
            tolls[rule].asks.append(ask)
    return dict(sorted(tolls.items()))


def by_person(found: Iterable[Ask], cast: Iterable[Vote], people: Mapping[str, Person]) -> dict[str, Load]:
    """Everybody who was asked, as people.yaml is now, or who voted."""
    loads: dict[str, Load] = defaultdict(Load)
    for ask in found:
        for person in people.values():
            if person.own & ask.groups and person.id != ask.requester:
                loads[person.id].asks.append(ask)
    for vote in cast:
        loads[vote.person].votes.append(vote)
    return dict(sorted(loads.items()))


def middle(values: Sequence[float]) -> float | None:
    return quantile(values, 0.5)


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that this share of them does not exceed; of sorted ones."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else None


def wilson(hits: int, of: int, z: float = Z) -> tuple[float, float]:
    """Between which shares the true one lies, by Wilson's score interval; everything is possible where nothing was seen."""
    if of == 0:
        return 0.0, 1.0
    share, z2 = hits / of, z * z
    center, spread = share + z2 / (2 * of), z * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, (center - spread) / (1 + z2 / of)), min(1.0, (center + spread) / (1 + z2 / of))


def _ask(row: Row) -> Ask:
    demands: tuple[Demand, ...] = calls.demands_of(row)
    amount = (
        None if row["amount_minor"] is None else Amount(minor=row["amount_minor"], currency=row["currency"])
    )
    return Ask(
        id=row["id"], rules=tuple(dict.fromkeys(demand.rule for demand in demands)),
        groups=frozenset(group for demand in demands for group in demand.groups), requester=row["requester"],
        state=row["state"], undone=row["call_state"] == "undone", risk=row["risk"], amount=amount, at=moment(row["at"]),
        decided=moment(row["decided_at"]) if row["decided_at"] else None,
    )  # fmt: skip


def _vote(row: Row) -> Vote:
    at, seen = moment(row["at"]), moment(row["opened"]) if row["opened"] else None
    looked = (at - seen).total_seconds() if seen and seen <= at else None
    return Vote(row["approval"], row["person"], row["decision"], at, looked)
