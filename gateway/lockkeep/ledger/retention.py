"""What is old goes: payloads of calls that have ended, and records, these only up to a head. The chain says so itself."""

from dataclasses import dataclass
from datetime import datetime

from lockkeep.errors import Conflict
from lockkeep.ledger import audit, calls
from lockkeep.ledger.heads import Key, keep
from lockkeep.model import stamp
from lockkeep.store import Row, Tx

BATCH = 20_000  # records or payloads in one transaction: calls wait for no longer one
OPEN = frozenset({"pending_approval", "executing", "unknown", "needs_human"})


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one transaction deleted, and the last number that is gone."""

    records: int
    payloads: int
    upto: int


def end_of(tx: Tx, before: datetime) -> int:
    """The number of the last record that is older; at a head that left, if there is one. 0: nothing is."""
    first, newer = tx.one("audit_first"), tx.one("audit_first_since", since=stamp(before))
    if first is None:
        return 0
    last = _last(tx) - 1 if newer is None or newer["seq"] is None else newer["seq"] - 1
    head = tx.one("head_before", size=last)
    if head is not None and head["size"] >= first["seq"]:
        return head["size"]
    return last if last >= first["seq"] else 0


def prune(tx: Tx, key: Key, *, upto: int, before: datetime, by: str, now: datetime) -> Pruned:
    """One piece of the way there: deleted and declared in one transaction, under a head signed for its end."""
    first = tx.one("audit_first")
    records = 0 if first is None else max(0, min(upto - first["seq"] + 1, BATCH))
    place = (first["seq"] if first else 1) + records - 1
    old = [row["call"] for row in tx.all("payloads_old", before=stamp(before), count=BATCH)]
    if not records and not old:
        return Pruned(0, 0, 0)
    for call in old:
        _delete_payload(tx, call)
    end = tx.one("audit_at", seq=place) if records else None
    if end is None:
        audit.append(tx, "log.pruned", now, by=by, payloads=len(old), before=stamp(before))
        return Pruned(0, len(old), 0)
    head = keep(tx, key.sign(place, end["hash"], stamp(now)))
    audit.append(
        tx, "log.pruned", now, by=by, upto=place, hash=end["hash"], records=records, payloads=len(old), before=stamp(before),
        signature=head.signature,
    )  # fmt: skip
    tx.run("audit_prune", upto=place)
    return Pruned(records, len(old), place)


def forget(tx: Tx, row: Row, *, by: str, reason: str, now: datetime) -> None:
    """Arguments, answer and what was read for one call are gone; its records stand, and give nothing to guess."""
    if row["state"] in OPEN:
        raise Conflict(f"call {row['id']} is {row['state']}; its payload can go once it has ended")
    if tx.one("payload_get", call=row["id"]) is None:
        raise Conflict(f"the payload of call {row['id']} is deleted already")
    _delete_payload(tx, row["id"])
    audit.append(tx, "payload.removed", now, call=row["id"], by=by, reason=reason)


def find(tx: Tx, prefix: str) -> Row:
    return calls.find(tx, prefix)


def _delete_payload(tx: Tx, call: str) -> None:
    tx.run("payload_delete", call=call)
    tx.run("payload_of_undo_delete", call=call)


def _last(tx: Tx) -> int:
    end = tx.one("audit_head")
    return end["seq"] if end else 0
