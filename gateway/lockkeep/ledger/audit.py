"""The audit log: one hash chain per store, written in the transaction of the event itself."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from lockkeep.model import Json, stamp
from lockkeep.store import Tx, whole

GENESIS = "0" * 64
VERSION = 1
EVENTS = {
    "call.denied": "A gate said no; nothing was sent.",
    "call.diverted": "A rule handed the case to people; nothing was sent.",
    "call.observed": "What rules that only observe would have said, worked out after the answer; what they read.",
    "call.parked": "People are asked; the call waits.",
    "call.claimed": "The call was allowed and is being sent.",
    "call.settled": "The send ended; `outcome` says how.",
    "call.unknown": "The gateway stopped or lost the answer between claim and settle.",
    "call.reconciled": "The integration's receipt decided what became of an unknown call.",
    "call.needs_human": "The receipt did not decide; a person has to.",
    "call.resolved": "A person decided what became of an unknown call, with evidence.",
    "call.contradiction": "Late evidence contradicts what was settled.",
    "call.ended": "A parked call expired or was cancelled.",
    "result.ruled": "Result rules hid, masked, withheld or flagged an answer, or would have.",
    "approval.voted": "A person approved, confirmed or denied.",
    "approval.refused": "A vote was not accepted; `reason` says why.",
    "approval.approved": "All demanded people agreed.",
    "approval.denied": "A person denied.",
    "approval.escalated": "More people are asked, since those asked first have not decided.",
    "approval.void": "What was agreed to is no longer what would run.",
    "switch.thrown": "Somebody stopped calls.",
    "switch.lifted": "Somebody let calls run again.",
    "queue.held": "An integration's queue of later effects is paused because of a switch.",
    "queue.released": "The switch is gone, and the queue goes on.",
    "queue.not_told": "The queue did not answer, or its answer does not show what was asked; it is told again until it does.",
    "policy.proposed": "A policy set waits for a second person to agree.",
    "policy.activated": "A policy set came into force.",
    "catalog.accepted": "Tools were accepted as they are now.",
    "people.added": "A person was added to people.yaml.",
    "token.created": "A token was made.",
    "token.revoked": "A token was withdrawn.",
    "console.link": "A one-time sign-in link was made.",
    "console.signed_in": "A person signed in to the inbox.",
    "console.refused": "A sign-in was not accepted.",
    "request.refused": "A request was turned away before it named a call: no or wrong token, malformed, too large.",
    "gateway.started": "The gateway began to serve.",
    "gateway.stopped": "The gateway stopped in order.",
}


@dataclass(frozen=True, slots=True)
class Tampering:
    """Where the chain first fails, and how."""

    seq: int
    kind: str
    detail: str


def append(tx: Tx, event: str, at: datetime, *, call: str | None = None, **fields: Json) -> int:
    """One record more, chained to the one before. Values are JSON without floats. Returns its number."""
    if event not in EVENTS:
        raise ValueError(f"{event} is not in the table of audit events")
    head = tx.one("audit_head")
    seq, prev = (head["seq"] + 1, head["hash"]) if head else (1, GENESIS)
    record = {"v": VERSION, "seq": seq, "type": event, "at": stamp(at), "call": call, "prev": prev}
    record |= {name: value for name, value in fields.items() if value is not None}
    text: str = whole(line(record))
    tx.run("audit_append", seq=seq, hash=hashed(text), record=text, call=call, type=event)
    return seq


def line(record: Mapping[str, Json]) -> str:
    """Sorted, compact JSON; without floats that is RFC 8785, and an order of magnitude faster."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def verify(
    records: Iterable[tuple[int, str, str]], *, size: int | None = None, head: str | None = None
) -> list[Tampering]:
    """Check (seq, hash, record) rows in order; with a head that left the machine, up to that head. Empty is good."""
    found: list[Tampering] = []
    moved: dict[int, int] = {}  # place -> the number the record there gives itself
    expected, prev, last, highest = 1, GENESIS, 0, 0
    for seq, stored, text in records:
        last = seq
        if seq > expected:
            found.append(
                Tampering(expected, "deleted", f"record {expected} is missing, {seq} stands in its place")
            )
        elif seq < expected:
            found.append(Tampering(seq, "inserted", f"there are two records {seq}"))
        own, faults = _check(seq, stored, text, prev)
        found += faults
        highest = max(highest, own)
        if own != seq:
            moved[seq] = own
        if head is not None and seq == size and stored != head:
            found.append(Tampering(seq, "recomputed", "the hash differs from the head that left the machine"))
        prev, expected = stored, seq + 1
    if size is not None and last < size:
        found.append(
            Tampering(last + 1, "truncated", f"the head that left the machine covers {size} records")
        )
    found += _moved(moved, last, highest)
    return sorted(found, key=lambda each: (each.seq, each.kind == "broken chain"))


def _check(seq: int, stored: str, text: str, prev: str) -> tuple[int, list[Tampering]]:
    """The number the record gives itself, and what is wrong with it where it stands."""
    if hashed(text) != stored:
        return seq, [Tampering(seq, "edited", "the record does not have its hash")]
    try:
        record: dict[str, Json] = json.loads(text)
        own, before = int(record["seq"]), record["prev"]
    except (ValueError, LookupError, TypeError):
        return seq, [Tampering(seq, "edited", "this is no record")]
    if before != prev:
        why = "the record before it is not the one it was chained to"
        return own, [Tampering(seq, "broken chain", why)]
    return own, []


def _moved(moved: Mapping[int, int], last: int, highest: int) -> list[Tampering]:
    """Records that stand elsewhere than they say: one came in, one was taken out, or they changed places."""
    owns = Counter(moved.values())
    twice = sorted(own for own, times in owns.items() if times > 1 or (own not in moved and 0 < own <= last))
    gone = sorted(place for place in moved if place not in owns and place < highest)
    if not twice and not gone:
        return [
            Tampering(place, "reordered", f"the record calls itself {own}") for place, own in moved.items()
        ]
    return [
        *(Tampering(own, "inserted", f"two records call themselves {own}") for own in twice),
        *(Tampering(place, "deleted", f"no record calls itself {place}") for place in gone),
    ]
