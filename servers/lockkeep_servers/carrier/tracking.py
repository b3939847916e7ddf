"""Where a parcel is, out of what its carrier said: late, twice, in any order.

`delayed` is never stored and no carrier says it: carriers only move the date, so it follows from the date and the promise.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast, get_args

from lockkeep_servers.carrier.port import Refund, Status

ENDED = ("delivered", "returned", "lost", "cancelled")  # nothing a carrier says later changes these
FOR_SOMEBODY = (
    "available_for_pickup", "delivery_attempted", "on_hold", "return_to_sender", "returned", "failure",
    "lost",
)  # fmt: skip
ON_ITS_WAY = ("pre_transit", "in_transit")  # not out_for_delivery: who books that one anew should know
BEFORE_PICK_UP = ("pre_transit", "cancelled", "unknown")
_PROGRESS = ("unknown", "pre_transit", "in_transit", "out_for_delivery", "delivery_attempted", "on_hold",
             "available_for_pickup", "failure", "lost", "return_to_sender", "returned", "delivered",
             "cancelled")  # fmt: skip
HOUR = timedelta(hours=1)


def known(word: str) -> Status:
    """Return a carrier's word as a status; one of its own making is `unknown`."""
    if word == "delayed":
        return "in_transit"
    return cast(Status, word) if word in get_args(Status) else "unknown"


@dataclass(frozen=True)
class Scan:
    """One thing a carrier said: when it happened, and when we heard of it."""

    at: datetime
    received_at: datetime
    status: Status
    place: str | None
    message: str | None


@dataclass(frozen=True)
class Void:
    """A label given back: what its refund comes to, and when; carriers take their time."""

    outcome: Refund  # never `submitted`
    settles_at: datetime

    def refund(self, heard: Iterable[Scan], now: datetime) -> Refund:
        """A label used after all is not paid back; what was settled before we heard of that stays settled."""
        if self.outcome == "not_applicable":
            return self.outcome
        used = [scan.received_at for scan in heard if scan.status not in BEFORE_PICK_UP]
        if used and min(used) < self.settles_at:
            return "rejected"
        return self.outcome if now >= self.settles_at else "submitted"


@dataclass(frozen=True)
class Standing:
    """What the scans heard so far come to."""

    status: Status
    refund: Refund | None
    delay_h: int
    picked_up: bool
    scans: tuple[Scan, ...]  # in the order they happened, without doubles


def standing(
    scans: Iterable[Scan], *, promised: datetime, eta: datetime | None, void: Void | None, now: datetime
) -> Standing:
    """Return where the parcel is now; the order in which the scans came makes no difference."""
    heard = _in_order(scan for scan in scans if scan.received_at <= now)
    refund = void.refund(heard, now) if void else None
    last = _last(heard)
    status = last.status if last else "unknown"
    if refund not in (None, "rejected"):
        status = "cancelled"
    behind = _behind(status, last, promised, eta, now)
    return Standing(
        refund=refund,
        status="delayed" if behind > timedelta() and status in ON_ITS_WAY else status,
        delay_h=max(behind, timedelta()) // HOUR,
        picked_up=any(scan.status not in BEFORE_PICK_UP for scan in heard),
        scans=heard,
    )


def _in_order(scans: Iterable[Scan]) -> tuple[Scan, ...]:
    """By when they happened. Of a scan told twice the first telling is kept."""
    first: dict[tuple[datetime, str, str | None, str | None], Scan] = {}
    for scan in sorted(scans, key=lambda scan: scan.received_at):
        first.setdefault((scan.at, scan.status, scan.place, scan.message), scan)
    return tuple(sorted(first.values(), key=_place))


def _place(scan: Scan) -> tuple[datetime, int, str, str]:
    return scan.at, _PROGRESS.index(scan.status), scan.place or "", scan.message or ""


def _last(heard: tuple[Scan, ...]) -> Scan | None:
    """The first scan that ended the way, else the last that says anything."""
    ended = next((scan for scan in heard if scan.status in ENDED), None)
    return ended or next((scan for scan in reversed(heard) if scan.status != "unknown"), None)


def _behind(
    status: Status, last: Scan | None, promised: datetime, eta: datetime | None, now: datetime
) -> timedelta:
    if status == "cancelled":
        return timedelta()
    if status in ("delivered", "returned") and last is not None:
        return last.at - promised
    return max(eta or now, now) - promised  # what has not come cannot come before now


def action_required(status: Status, *, superseded: bool) -> bool:
    """Tell whether the parcel waits for somebody: its sender, or who should receive it."""
    return status in FOR_SOMEBODY and not superseded
