"""Logs, and everything somebody might do to one."""

import json
import random
from collections.abc import Callable

from lockkeep.ledger import audit
from lockkeep.model import Json

Rows = list[tuple[int, str, str]]


def log(size: int, dice: random.Random) -> Rows:
    """A sound log with text of every kind."""
    found: Rows = []
    for seq in range(1, size + 1):
        said: dict[str, Json] = {
            "v": 1, "seq": seq, "type": "call.denied", "at": f"2027-03-01T00:00:{seq % 60:02}.{seq:06}Z", "call": None,
            "prev": found[-1][1] if found else audit.GENESIS, "reason": "".join(dice.choices("aé“\u2028\U0001f510\"\\\n", k=9)),
            "ms": dice.randrange(10**9),
        }  # fmt: skip
        text = audit.line(said)
        found.append((seq, audit.hashed(text), text))
    return found


def record(seq: int, prev: str, reason: str = "forged") -> tuple[int, str, str]:
    text = audit.line(
        {"v": 1, "seq": seq, "type": "call.denied", "at": "2027", "prev": prev, "reason": reason}
    )
    return seq, audit.hashed(text), text


def edited(rows: Rows, place: int) -> Rows:
    seq, stored, text = rows[place - 1]
    return [*rows[: place - 1], (seq, stored, text.replace("call.denied", "call.settled")), *rows[place:]]


def edited_with_its_hash(rows: Rows, place: int) -> Rows:
    prev = json.loads(rows[place - 1][2])["prev"]
    return [*rows[: place - 1], record(place, prev), *rows[place:]]


def not_json(rows: Rows, place: int) -> Rows:
    return [*rows[: place - 1], (place, audit.hashed("[1]"), "[1]"), *rows[place:]]


def deleted(rows: Rows, place: int) -> Rows:
    return [*rows[: place - 1], *rows[place:]]


def deleted_and_renumbered(rows: Rows, place: int) -> Rows:
    return [*rows[: place - 1], *((seq - 1, stored, text) for seq, stored, text in rows[place:])]


def inserted(rows: Rows, place: int) -> Rows:
    """The later ones move on, as they must where the number is the key."""
    prev = rows[place - 2][1] if place > 1 else audit.GENESIS
    later = [(seq + 1, stored, text) for seq, stored, text in rows[place - 1 :]]
    return [*rows[: place - 1], record(place, prev), *later]


def doubled(rows: Rows, place: int) -> Rows:
    return [*rows[:place], rows[place - 1], *rows[place:]]


def swapped(rows: Rows, place: int) -> Rows:
    """This one and the one three further on (or before)."""
    other = place + 3 if place + 3 <= len(rows) else place - 3
    found = list(rows)
    found[place - 1] = (place, *rows[other - 1][1:])
    found[other - 1] = (other, *rows[place - 1][1:])
    return found


def rebuilt(rows: Rows, place: int) -> Rows:
    """Everything from here on is written anew, and the chain fits again."""
    found = rows[: place - 1]
    for seq in range(place, len(rows) + 1):
        found = [*found, record(seq, found[-1][1] if found else audit.GENESIS)]
    return found


def lines(rows: Rows) -> list[tuple[None, str, str]]:
    """The same log as an export holds it: bytes only."""
    return [(None, audit.hashed(text), text) for _, _, text in rows]


def forked(rows: Rows, place: int) -> Rows:
    """A second history from here on, behind the first one."""
    return [*rows, *rebuilt(rows, place)[place - 1 :]]


def chained(rows: Rows, kind: str, at: str, **fields: object) -> Rows:
    seq, prev = rows[-1][0] + 1, rows[-1][1]
    text = audit.line({"v": 1, "seq": seq, "type": kind, "at": at, "prev": prev, "by": "ada", **fields})
    return [*rows, (seq, audit.hashed(text), text)]


def truncated(rows: Rows, place: int) -> Rows:
    return rows[: place - 1]


def garbled(rows: Rows, place: int) -> Rows:
    """Half of a line is gone."""
    seq, _, text = rows[place - 1]
    cut = text[: len(text) // 2]
    return [*rows[: place - 1], (seq, audit.hashed(cut), cut), *rows[place:]]


Tamper = Callable[[Rows, int], Rows]
TAMPERS: tuple[Tamper, ...] = (
    edited, edited_with_its_hash, not_json, deleted, deleted_and_renumbered, inserted, doubled, swapped, rebuilt, forked, truncated,
    garbled,
)  # fmt: skip
