"""Limits: shares are reserved when a call is parked or claimed, all or none, and returned when nothing happened."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from lockkeep.model import Deny, Share, moment, stamp
from lockkeep.store import Tx


def reserve(tx: Tx, call: str, shares: Iterable[Share], now: datetime) -> Deny | None:
    """Takes every share, or none and says which limit is full. A parked call that holds its share keeps it."""
    wanted = list(shares)
    for share in wanted:
        row = tx.one("shares_taken", rule=share.rule, key=share.key, since=stamp(share.since), call=call)
        if row and row["taken"] >= share.most:
            return _full(share, row["oldest"])
    for share in wanted:
        tx.run("share_take", rule=share.rule, key=share.key, call=call, at=stamp(now))
    return None


def give_back(tx: Tx, call: str) -> None:
    tx.run("shares_return", call=call)


def _full(share: Share, oldest: str | None) -> Deny:
    free = share.ends
    if free is None and oldest and share.window:
        free = moment(oldest) + timedelta(seconds=share.window)
    retry = f"after:{free.isoformat(timespec='seconds')}" if free and share.most else "changed"
    reason = f"The limit is reached: {share.text}."
    fix = (
        f"Try again after {free.isoformat(timespec='seconds')}."
        if free and share.most
        else "This limit allows no call."
    )
    return Deny("policy.limit", reason, fix, retry, share.rule)
