"""What is announced elsewhere: written with the event itself, so that no crash comes between the two."""

import json
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Literal

from lockkeep.ledger import audit
from lockkeep.model import stamp
from lockkeep.store import Row, Tx

Event = Literal["approval.asked", "approval.escalated", "approval.decided", "switch.thrown", "switch.lifted"]
APPROVALS: tuple[Event, ...] = ("approval.asked", "approval.escalated", "approval.decided")
ALARMS: tuple[Event, ...] = ("switch.thrown", "switch.lifted")
GIVES_UP = timedelta(days=1)
KEPT = timedelta(days=30)
LONGEST_REST_S = 900.0


def announce(tx: Tx, event: Event, about: str | int, now: datetime) -> None:
    """Every channel is told of it once this transaction commits."""
    notice = f"ntc_{secrets.token_hex(10)}"
    tx.run("notice_insert", id=notice, event=event, about=str(about), at=stamp(now))


def share(tx: Tx, notice: Row, channels: Collection[str], now: datetime) -> None:
    """One delivery for each channel that wants it; a notice is shared once."""
    if tx.run("notice_shared", seq=notice["seq"]):
        for channel in channels:
            tx.run(
                "delivery_insert", notice=notice["seq"], channel=channel, about=notice["about"], at=stamp(now)
            )


def sent(tx: Tx, row: Row, place: str | None) -> None:
    tx.run("delivery_sent", notice=row["notice"], channel=row["channel"], place=place)


def failed(tx: Tx, row: Row, problem: str, now: datetime, rest: float | None = None) -> None:
    """It is tried again, each time after twice as long, or when the other side wants it."""
    seconds = rest if rest is not None else min(LONGEST_REST_S, 2.0 ** row["tries"])
    tx.run(
        "delivery_failed", notice=row["notice"], channel=row["channel"], problem=problem,
        next_try=stamp(now + timedelta(seconds=seconds)),
    )  # fmt: skip


def give_up(tx: Tx, channels: Collection[str], now: datetime) -> None:
    """What could not be delivered within a day is over, on the record; so is what a channel that is gone never took."""
    before = stamp(now - GIVES_UP)
    late = tx.all("deliveries_late", before=before)
    late += tx.all("deliveries_without_channel", before=before, channels=json.dumps(sorted(channels)))
    for row in late:
        if tx.run("delivery_given_up", notice=row["notice"], channel=row["channel"]):
            audit.append(
                tx, "notice.given_up", now, notice=row["id"], channel=row["channel"], told=row["event"], about=row["about"],
                reason=row["problem"] or "the channel is gone",
            )  # fmt: skip


def late(tx: Tx, channels: Collection[str], now: datetime) -> bool:
    before = stamp(now - GIVES_UP)
    return bool(
        tx.all("deliveries_late", before=before)
        or tx.all("deliveries_without_channel", before=before, channels=json.dumps(sorted(channels)))
    )


def forget(tx: Tx, now: datetime) -> None:
    """What was delivered long ago, and presses that nobody sends again."""
    before = stamp(now - KEPT)
    tx.run("notices_forget_deliveries", before=before)
    tx.run("notices_forget", before=before)
    tx.run("envelopes_forget", before=before)


def first_time(tx: Tx, envelope: str, now: datetime) -> bool:
    """Whether this press of a button was not heard before."""
    return bool(tx.run("envelope_take", id=envelope, at=stamp(now)))


def listening(tx: Tx, channel: str, problem: str, now: datetime) -> None:
    """What a channel says of its own connection; nothing: it stands."""
    tx.run("listening_set", channel=channel, problem=problem, at=stamp(now))


def troubles(tx: Tx, now: datetime) -> list[str]:
    """What does not arrive, and why, in sentences."""
    deaf = [f"{row['channel']}: {row['problem']}" for row in tx.all("listening")]
    late = [_trouble(tx, row, "not delivered yet") for row in tx.all("deliveries_failing")]
    gone = tx.all("deliveries_given_up", since=stamp(now - KEPT))
    return [*deaf, *late, *(_trouble(tx, row, "given up within the last 30 days") for row in gone)]


def _trouble(tx: Tx, row: Row, what: str) -> str:
    newest = tx.one("delivery_get", notice=row["newest"], channel=row["channel"])
    why = (newest["problem"] if newest else None) or "the channel is gone"
    messages = "1 message" if row["n"] == 1 else f"{row['n']} messages"
    return f"{row['channel']}: {messages} {what}: {why}"
