"""How people work: who takes a case, when, for how long, and whether they get it right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from lockkeep_servers.kit.world.dice import Dice, drawn
from lockkeep_servers.kit.world.times import at, office

MISTAKES = (3, 50)  # 6 %
SHARED = (4, 50)  # 8 % are done once more by a second person
TEAMS: Mapping[str, tuple[str, ...]] = {
    "lead_routing": ("ops_mia", "ops_ravi", "ops_tom"),
    "ticket_triage": ("agt_1", "agt_2", "agt_3", "agt_4"),
    "refund_request": ("agt_7", "agt_3", "agt_1"),
    "late_shipment": ("agt_5", "agt_6"),
    "invoice_match": ("fin_1", "fin_2"),
}
CHECKERS: Mapping[str, str] = {  # who notices mistakes, and does cases once more
    "lead_routing": "ops_lena",
    "ticket_triage": "agt_6",
    "refund_request": "agt_2",
    "late_shipment": "agt_3",
    "invoice_match": "ops_lena",
}
PACE: Mapping[str, tuple[int, int]] = {  # touch minutes: the usual range
    "lead_routing": (4, 19),
    "ticket_triage": (2, 7),
    "refund_request": (6, 24),
    "late_shipment": (8, 31),
    "invoice_match": (5, 18),
}


@dataclass(frozen=True)
class Work:
    """One piece of work done by a person. `corrected_at` is set where it was a mistake."""

    person: str
    second_person: str | None
    opened_at: datetime
    done_at: datetime
    corrected_at: datetime | None
    touch_minutes: int

    @property
    def mistake(self) -> bool:
        return self.corrected_at is not None


def work(
    seed: int, day: date, kind: str, number: int, came: datetime, team: Sequence[str] = ()
) -> Work | None:
    """Return how the case that came up then was worked; None if it is still to do on the demo day."""
    dice, now = Dice(seed, "work", kind, number), at(day, 0, 0)
    opened = office(came + timedelta(minutes=_long(dice, 5, 240)))
    touch = _long(dice, *PACE[kind])
    done = opened + timedelta(minutes=touch + dice.between(0, 45))
    if done > now - timedelta(minutes=10):
        return None
    wrong = drawn(seed, f"mistake {kind}", number, *MISTAKES)
    noticed = min(done + timedelta(minutes=dice.between(300, 2800)), now - timedelta(minutes=1))
    shared = drawn(seed, f"shared {kind}", number, *SHARED)
    return Work(
        person=dice.pick(team or TEAMS[kind]),
        second_person=CHECKERS[kind] if shared else None,
        opened_at=opened,
        done_at=done,
        corrected_at=noticed if wrong else None,
        touch_minutes=touch,
    )


def _long(dice: Dice, low: int, high: int) -> int:
    """Return mostly the usual, and once in a while three times as much."""
    usual = (dice.between(low, high) + dice.between(low, high)) // 2
    return usual * 3 if dice.chance(0.06) else usual
