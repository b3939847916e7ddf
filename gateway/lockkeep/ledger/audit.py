"""The audit log: one hash chain per store, written in the transaction of the event itself."""

from datetime import datetime

from lockkeep.ledger import redaction
from lockkeep.ledger.chain import GENESIS, Tampering, hashed, line, verify
from lockkeep.model import Json, stamp
from lockkeep.store import Tx, whole

VERSION = 1
OURS = frozenset({  # what the gateway itself made: no stranger's text, so no secret
    "pin", "policy", "rules", "args", "sent", "result", "approval", "bound", "outcome", "ms", "hash",
    "signature", "installation", "digest",
})  # fmt: skip
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
    "notice.given_up": "A message to people could not be delivered within a day; `reason` says why.",
    "switch.thrown": "Somebody stopped calls.",
    "switch.lifted": "Somebody let calls run again.",
    "queue.held": "An integration's queue of later effects is paused because of a switch.",
    "queue.released": "The switch is gone, and the queue goes on.",
    "queue.not_told": "The queue did not answer, or its answer does not show what was asked; it is told again until it does.",
    "switch.undo_allowed": "A second person let calls be taken back while the stop lasts.",
    "undo.asked": "A person asked what taking back these calls would do.",
    "undo.started": "The person wants it done.",
    "undo.step_failed": "A call was not taken back; `reason` says why.",
    "undo.ended": "The gateway has worked through the plan, or stopped at a step that failed.",
    "call.undone": "Another call took it back, and that was verified.",
    "approval.withdrawn": "A person took their yes back.",
    "approval.revoked": "An approval was called off before its call ran.",
    "approval.edited": "An approver changed the call: it is cancelled, and another takes its place, decided anew.",
    "delegation.made": "A person lets another sit on their seat for a while.",
    "delegation.revoked": "That ended before its time.",
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
    "log.key": "A key that signs heads of the log was made; `key` is its public half.",
    "log.pruned": "Old records and payloads were deleted; `upto` and `hash` say where the log begins since.",
    "payload.removed": "Arguments and answer of one call were deleted; the chain keeps their salted hashes.",
    "backup.made": "A copy of the ledger and of the embedded servers' files was written.",
    "ledger.restored": "The ledger was put back from a backup with `size` records; what came after those is lost.",
    "drill.done": "Emergencies were rehearsed on a sandbox; `results` says how, `sha256` is of the evidence file.",
    "gateway.started": "The gateway began to serve.",
    "gateway.stopped": "The gateway stopped in order.",
}


def append(tx: Tx, event: str, at: datetime, *, call: str | None = None, **fields: Json) -> int:
    """One record more, chained to the one before. Values are JSON without floats. Returns its number."""
    if event not in EVENTS:
        raise ValueError(f"{event} is not in the table of audit events")
    head = tx.one("audit_head")
    seq, prev = (head["seq"] + 1, head["hash"]) if head else (1, GENESIS)
    record = {"v": VERSION, "seq": seq, "type": event, "at": stamp(at), "call": call, "prev": prev}
    record |= {
        name: value if name in OURS else redaction.texts(value)
        for name, value in fields.items()
        if value is not None
    }
    text: str = whole(line(record))
    tx.run("audit_append", seq=seq, hash=hashed(text), record=text, call=call, type=event)
    return seq


__all__ = ["EVENTS", "GENESIS", "Tampering", "append", "hashed", "line", "verify"]
