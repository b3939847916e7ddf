"""Limits: shares are reserved when a call is parked or claimed, all or none, and returned when nothing happened."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from lockkeep.model import Deny, Share, moment, stamp
from lockkeep.store import Tx

MOVED = Deny("changed_meanwhile", "A limit was used up a moment ago.", "Try again.", "later")


def reserve(tx: Tx, call: str, shares: Iterable[Share], now: datetime) -> Deny | None:
    """Takes every share, or none and says which limit is full. A parked call that holds its share keeps it.

    MOVED: the limit filled up since the gates looked, and its rule has an answer to that.
    """
    wanted = list(shares)
    for share in wanted:
        row = tx.one("shares_taken", rule=share.rule, key=share.key, since=stamp(share.since), call=call)
        if row and row["taken"] + share.units > share.most and not share.over:
            return MOVED if share.soft else _full(share, row["oldest"])
    for share in wanted:
        tx.run("share_take", rule=share.rule, key=share.key, call=call, at=stamp(now), units=share.units)
    return None


def taken(tx: Tx, share: Share, call: str) -> int:
    """How much of it others hold now."""
    row = tx.one("shares_taken", rule=share.rule, key=share.key, since=stamp(share.since), call=call)
    return row["taken"] if row else 0


def give_back(tx: Tx, call: str) -> None:
    tx.run("shares_return", call=call)


def _full(share: Share, oldest: str | None) -> Deny:
    free = share.ends
    if free is None and oldest and share.window:
        free = moment(oldest) + timedelta(seconds=share.window)
    reason = f"The limit is reached: {share.text}."
    if share.units > share.most:
        fix = (
            "This limit allows no call."
            if not share.most
            else "This call alone is over the limit; ask for less."
        )
        return Deny("policy.limit", reason, fix, "changed", share.rule)
    retry = f"after:{free.isoformat(timespec='seconds')}" if free else "changed"
    fix = f"Try again after {free.isoformat(timespec='seconds')}." if free else "Ask for less."
    return Deny("policy.limit", reason, fix, retry, share.rule)
