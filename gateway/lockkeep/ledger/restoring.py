"""A ledger put back from a backup: nothing in it goes on by itself, and it says that something is missing."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from lockkeep.ledger import approvals, audit, outbox, switches
from lockkeep.ledger.heads import Head
from lockkeep.model import stamp
from lockkeep.store import Tx

WHY = "The ledger was restored from a backup."


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What became of what was open."""

    voided: tuple[str, ...]  # approvals
    in_doubt: tuple[str, ...]  # calls
    revoked: tuple[str, ...]  # tokens that were revoked after the backup
    switch: int


def restored(
    tx: Tx, head: Head, *, by: str, now: datetime, lost: int | None, revoked: Collection[str] = ()
) -> Restored:
    """Everything open is closed or in doubt, and all writes are paused. `lost`: records of the ledger it replaces."""
    audit.append(
        tx, "ledger.restored", now, by=by, size=head.size, hash=head.hash, backup_at=head.at,
        installation=head.installation, lost=lost,
    )  # fmt: skip
    done = Restored(
        voided=_void_approvals(tx, now),
        in_doubt=_doubt(tx, now),
        revoked=tuple(each for each in sorted(revoked) if tx.run("token_revoke", id=each, at=stamp(now))),
        switch=switches.throw(
            tx,
            scope="all",
            mode="pause",
            reason=f"Restored from the backup of {head.at[:16]}Z.",
            by=by,
            now=now,
        ).id,
    )
    for each in done.revoked:
        audit.append(tx, "token.revoked", now, token=each, by=by)
    for name in ("restore_end_sessions", "restore_end_links", "restore_forget_listening"):
        tx.run(name)
    tx.run("restore_stop_undoing", at=stamp(now))
    return done


def _void_approvals(tx: Tx, now: datetime) -> tuple[str, ...]:
    """Votes that were taken back, or calls that ran, since the backup are not in it: people are asked anew."""
    rows = tx.all("restore_approvals")
    for row in rows:
        tx.run("approval_end", id=row["id"], state="void", at=stamp(now), note=WHY)
        audit.append(tx, "approval.void", now, call=row["call"], approval=row["id"], reason=WHY)
        outbox.announce(tx, "approval.decided", row["id"], now)
    for row in tx.all("calls_in_state", state="pending_approval"):
        approvals.end_parked(tx, row["id"], "cancelled", WHY, now)
    return tuple(row["id"] for row in rows)


def _doubt(tx: Tx, now: datetime) -> tuple[str, ...]:
    """What was on the wire then has ended since, one way or the other."""
    rows = tx.all("calls_in_state", state="executing")
    for row in rows:
        tx.run("call_open_end", id=row["id"], reason=WHY, at=stamp(now))
        audit.append(tx, "call.unknown", now, call=row["id"], outcome="unknown")
    return tuple(row["id"] for row in rows)
