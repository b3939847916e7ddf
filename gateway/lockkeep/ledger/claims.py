"""The ledger as the pipeline uses it: receive, close, claim, settle. The claim is the only door to a side effect."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from lockkeep.errors import Conflict
from lockkeep.ledger import approvals, calls, limits, redaction, switches, undo
from lockkeep.ledger.digests import bound
from lockkeep.ledger.events import Events
from lockkeep.model import (
    Answer,
    Arguments,
    Claim,
    Denied,
    Deny,
    Divert,
    Diverted,
    Failed,
    Finding,
    LookedUp,
    Outcome,
    RequireApproval,
    Succeeded,
    Switch,
    ToolCall,
    Unknown,
    Verdict,
    moment,
    stamp,
)
from lockkeep.store import Store, Tx

DENIED_STANDS = timedelta(hours=24)
CONFLICT = Deny(
    "idempotency_conflict",
    "This idempotency key, or this step of the run, was used for another call.",
    "Use a new one.",
    "changed",
)


class Ledger:
    """Every method that changes something is one transaction; its answer leaves after the commit."""

    def __init__(
        self, store: Store, *, folder: Path, clock: Callable[[], datetime], new_id: Callable[[str], str]
    ) -> None:
        self.store = store
        self.folder = folder
        self.clock = clock
        self.events = Events()
        self._new_id = new_id
        self._left_open: set[str] = set()

    # -- step 1 -------------------------------------------------------------------------------------------------

    async def receive(self, call: ToolCall) -> Outcome | None:
        """A repeat gets its recorded outcome; an agreed call goes on; None means: decide."""
        read = self.store.read
        if call.agreed is not None:
            row = read.one("call_get", id=call.id)
            return (
                None
                if row and row["state"] == "pending_approval"
                else (calls.recorded(read, row) if row else None)
            )
        known = _repeated(read, call)
        return (
            await self.close(call, known, [Finding("receive", known)]) if isinstance(known, Deny) else known
        )

    # -- step 2 ends without a send -----------------------------------------------------------------------------

    async def close(self, call: ToolCall, verdict: Verdict, findings: Sequence[Finding]) -> Outcome | None:
        """The gates' no, or their wish for people, is on record. None: a limit moved, ask the gates again."""
        if isinstance(verdict, RequireApproval):
            outcome = await self.store.write(lambda tx: self._park(tx, call, verdict, findings))
        else:
            no = (
                verdict
                if isinstance(verdict, Deny | Divert)
                else Deny("gate_failed", "No gate decided.", retry="later")
            )
            outcome = await self.store.write(
                lambda tx: self._deny(tx, call, no, findings), durable=not call.reads
            )
        self.events.settled(call.id)
        return outcome

    def _deny(self, tx: Tx, call: ToolCall, deny: Deny | Divert, findings: Sequence[Finding]) -> Outcome:
        """It ends unsent: denied, or handed to people."""
        now = self.clock()
        state = "denied" if isinstance(deny, Deny) else "diverted"
        if call.agreed is not None and isinstance(deny, Deny) and deny.retry == "later":
            return self._as_recorded(
                tx, call
            )  # it stays parked and is tried again while people's word is fresh
        if call.agreed is None:
            if isinstance(deny, Divert) and (known := _repeated(tx, call)) and not isinstance(known, Deny):
                return known  # handed over once, however often it is asked for
            calls.insert(tx, call, findings, state=state, now=now, deny=deny)
        else:
            ended = tx.run(
                "call_end_parked", id=call.id, state=state, deny=calls.told(deny), reason=redaction.text(deny.reason),
                verdicts=json.dumps(calls.verdicts(findings)), at=stamp(now),
            )  # fmt: skip
            if not ended:
                return self._as_recorded(tx, call)
            tx.run("approval_end", id=call.agreed, state="void", at=stamp(now), note=deny.reason)
            limits.give_back(tx, call.id)
        if isinstance(deny, Divert):
            calls.record(
                tx,
                "call.diverted",
                now,
                call,
                findings,
                to=list(deny.to),
                reason=deny.reason,
                approval=call.agreed,
            )
            return Diverted(call=call.id, to=deny.to, reason=deny.reason, fix=deny.fix, rule=deny.rule)
        calls.record(
            tx, "call.denied", now, call, findings, code=deny.code, reason=deny.reason, approval=call.agreed
        )
        return Denied(deny=deny, call=call.id)

    def _park(
        self, tx: Tx, call: ToolCall, wish: RequireApproval, findings: Sequence[Finding]
    ) -> Outcome | None:
        now = self.clock()
        if call.agreed is None and (known := _repeated(tx, call)):
            return self._deny(tx, call, known, findings) if isinstance(known, Deny) else known
        if call.agreed is not None and not _parked(tx, call):
            return self._as_recorded(tx, call)
        basis = calls.basis_of(findings)
        if no := self._unasked(tx, call, now) or limits.reserve(tx, call.id, basis.shares, now):
            return None if no is limits.MOVED else self._deny(tx, call, no, findings)
        approval, digest = self._new_id("apr"), bound(call, wish.arguments, basis.rules)
        if call.agreed is None:
            calls.insert(
                tx, call, findings, state="pending_approval", now=now, sent=wish.arguments, bound=digest, approval=approval,
                retry_of=_retry_of(tx, call),
            )  # fmt: skip
        elif not self._park_again(tx, call, findings, approval, digest, wish.arguments, now):
            return self._as_recorded(tx, call)
        approvals.ask(
            tx, approval, call.id, bound=digest, requester=call.user, agent=call.agent, tool=call.tool,
            demands=wish.demands, now=now, editor=call.edited,
        )  # fmt: skip
        calls.record(tx, "call.parked", now, call, findings, approval=approval, bound=digest)
        return self._as_recorded(tx, call)

    def _park_again(self, tx: Tx, call: ToolCall, findings: Sequence[Finding], approval: str, digest: str,
                    sent: Arguments, now: datetime) -> bool:  # fmt: skip
        """What was agreed to is void; people are asked about the call as it is now."""
        basis = calls.basis_of(findings)
        parked = tx.run(
            "call_park_again", id=call.id, approval=approval, bound=digest, generation=basis.generation, rules=basis.rules,
            verdicts=json.dumps(calls.verdicts(findings)), pin=call.pin, roles=json.dumps(sorted(call.roles)), **calls.about(call),
        )  # fmt: skip
        if not parked:
            return False
        tx.run(
            "approval_end", id=call.agreed, state="void", at=stamp(now), note="What would run has changed."
        )
        calls.payload(tx, call, findings, sent, waits=True)
        calls.record(tx, "approval.void", now, call, findings, approval=call.agreed, successor=approval)
        return True

    def _unasked(self, tx: Tx, call: ToolCall, now: datetime) -> Deny | None:
        """Reasons not to bother people: they said no lately, the last try is in doubt, or they are asked too much."""
        if doubt := _doubt(tx, call):
            return doubt
        if call.agreed is not None:
            return None
        since = stamp(now - DENIED_STANDS)
        if tx.one("call_denied_by_people", user=call.user, agent=call.agent, asked=call.asked, since=since):
            reason = "People denied exactly this call within the last 24 hours."
            return Deny("already_denied", reason, "Do something else, or talk to them.")
        return approvals.too_many(tx, call.agent, now)

    # -- steps 4 and 6 ------------------------------------------------------------------------------------------

    async def claim(
        self, call: ToolCall, arguments: Arguments, findings: Sequence[Finding]
    ) -> Claim | Outcome | None:
        """The call may be sent once, by whoever gets the Claim. None: the rules moved, ask the gates again."""
        outcome = await self.store.write(
            lambda tx: self._claim(tx, call, arguments, findings), durable=not call.reads
        )
        if isinstance(outcome, Denied | Diverted):
            self.events.settled(call.id)
        return outcome

    def _claim(
        self, tx: Tx, call: ToolCall, arguments: Arguments, findings: Sequence[Finding]
    ) -> Claim | Outcome | None:
        now, basis = self.clock(), calls.basis_of(findings)
        stop = switches.covering([*switches.thrown(tx), *switches.by_file(self.folder)], call)
        if stop is not None:
            return self._deny(tx, call, switches.denial(stop), findings)
        newest = tx.one("generation_newest")
        if newest is None or newest["id"] != basis.generation or call.generation != basis.generation:
            return None
        if call.agreed is None and (known := _repeated(tx, call)):
            return self._deny(tx, call, known, findings) if isinstance(known, Deny) else known
        if call.agreed is not None and not _parked(tx, call):
            return self._as_recorded(tx, call)
        if no := _doubt(tx, call) or limits.reserve(tx, call.id, basis.shares, now):
            return None if no is limits.MOVED else self._deny(tx, call, no, findings)
        if call.agreed is None:
            calls.insert(
                tx, call, findings, state="executing", now=now, sent=arguments, retry_of=_retry_of(tx, call),
            )  # fmt: skip
        elif not self._claim_agreed(tx, call, call.agreed, arguments, findings, now):
            return self._as_recorded(tx, call)
        calls.record(
            tx, "call.claimed", now, call, findings, approval=call.agreed, voters=_voters(tx, call.agreed),
            sent=calls.digest_with_salt(tx, call.id, arguments),
        )  # fmt: skip
        return Claim(call=call, arguments=arguments)

    def _claim_agreed(self, tx: Tx, call: ToolCall, approval: str, arguments: Arguments, findings: Sequence[Finding],
                      now: datetime) -> bool:  # fmt: skip
        """The approval is used up by exactly this claim, or nothing is."""
        basis = calls.basis_of(findings)
        digest = bound(call, arguments, basis.rules)
        asked_now = any(finding.gate == "approval" for finding in findings)
        if asked_now:
            if not tx.run("approval_consume", id=approval, call=call.id, bound=digest, now=stamp(now)):
                return False
        else:  # the rules of now ask nobody; what people said is not used
            tx.run(
                "approval_end",
                id=approval,
                state="void",
                at=stamp(now),
                note="The rules no longer ask for it.",
            )
        claimed = tx.run(
            "call_claim_parked", id=call.id, at=stamp(now), bound=digest, generation=basis.generation, rules=basis.rules,
            verdicts=json.dumps(calls.verdicts(findings)), pin=call.pin, roles=json.dumps(sorted(call.roles)), **calls.about(call),
        )  # fmt: skip
        calls.payload(tx, call, findings, arguments)
        if not claimed:
            raise Conflict(f"call {call.id} is no longer parked")  # rolls the consumption back
        return True

    def halted(self, claim: Claim) -> Answer | None:
        """Read once more right before the send: what was stopped after its claim is dropped, unsent."""
        stop = self.covering(claim.call)
        return Answer(state="failed", reason=f"Not sent: {stop.reason}") if stop else None

    def newest_switch(self) -> int:
        """Its number, read now."""
        row = self.store.read.one("switch_newest")
        return row["id"] if row else 0

    def covering(self, call: ToolCall) -> Switch | None:
        """The thrown switch that covers this call, read now."""
        return switches.covering([*switches.thrown(self.store.read), *switches.by_file(self.folder)], call)

    async def settle(self, claim: Claim, answer: Answer) -> Outcome:
        """What the send came to is on record; nothing that was answered is missing."""
        outcome = await self.store.write(
            lambda tx: self._settle(tx, claim, answer), durable=not claim.call.reads
        )
        self.events.settled(claim.call.id)
        return outcome

    def _settle(self, tx: Tx, claim: Claim, answer: Answer) -> Outcome:
        now, call = self.clock(), claim.call
        if answer.state == "unknown":
            settled = tx.run("call_open_end", id=call.id, reason=redaction.text(answer.reason), at=stamp(now))
        else:
            settled = tx.run(
                "call_settle", id=call.id, state=answer.state, reason=redaction.text(answer.reason) or None, withheld=int(answer.withheld),
                at=stamp(now),
            )  # fmt: skip
        if not settled:
            calls.record(tx, "call.contradiction", now, call, [], outcome=answer.state, reason=answer.reason)
            return self._as_recorded(tx, call)
        if answer.result is not None:
            tx.run("call_result", call=call.id, result=calls.dump(redaction.stored(answer.result)))
        if answer.state == "failed":
            limits.give_back(tx, call.id)
        if answer.state == "succeeded" and answer.undo is not None:
            undo.keep(tx, call.id, answer.undo)
        calls.record(
            tx, "call.settled" if answer.state != "unknown" else "call.unknown", now, call, [], outcome=answer.state,
            reason=answer.reason or None, withheld=answer.withheld or None, ms=_age_ms(tx, call.id, now),
            result=calls.digest_with_salt(tx, call.id, answer.result) if answer.result is not None else None,
        )  # fmt: skip
        return outcome_of(call.id, answer)

    def leave_open(self, call: str) -> None:
        """What came of the claim is not known: the next sweep takes it as unknown, as it would after a crash."""
        self._left_open.add(call)

    # -- afterwards ---------------------------------------------------------------------------------------------

    async def sweep(self, *, start: bool = False) -> list[str]:
        """Claims that no task works on become unknown: at the start all of them, later those left open."""
        rows = self.store.read.all("calls_in_state", state="executing")
        found = [row["id"] for row in rows if start or row["id"] in self._left_open]

        def mark(tx: Tx) -> None:
            for call in found:
                if tx.run(
                    "call_open_end",
                    id=call,
                    reason="The gateway stopped between claim and settle.",
                    at=stamp(self.clock()),
                ):
                    calls.audit.append(tx, "call.unknown", self.clock(), call=call, outcome="unknown")

        if found:
            await self.store.write(mark)
            self._left_open.difference_update(found)
        return found

    async def observed(self, call: str, said: Sequence[str], record: Sequence[LookedUp]) -> None:
        """What rules that only observe said after the answer, and what they read for it."""
        await self.store.write(lambda tx: calls.observed(tx, call, self.clock(), said, record), durable=False)

    async def expire(self) -> None:
        """Approvals that nobody decided, or nobody used, in time are over; others are asked further people, too."""
        if approvals.to_escalate(self.store.read, self.clock()):
            await self.store.write(lambda tx: approvals.escalate(tx, self.clock()))
        if self.store.read.all("approvals_overdue", now=stamp(self.clock())):
            for call in await self.store.write(lambda tx: approvals.expire(tx, self.clock())):
                self.events.settled(call)

    def outcome(self, call: str) -> Outcome | None:
        """The recorded outcome of a call as of now."""
        row = self.store.read.one("call_get", id=call)
        return calls.recorded(self.store.read, row) if row else None

    def _as_recorded(self, tx: Tx, call: ToolCall) -> Outcome:
        row = tx.one("call_get", id=call.id)
        return calls.recorded(tx, row) if row else Unknown(call=call.id)


def outcome_of(call: str, answer: Answer) -> Outcome:
    if answer.state == "succeeded":
        return Succeeded(call=call, result=answer.result or {}, withheld=answer.withheld)
    if answer.state == "failed":
        return Failed(call=call, reason=answer.reason, result=answer.result)
    return Unknown(call=call)


def _repeated(tx: Tx, call: ToolCall) -> Outcome | Deny | None:
    """What answers a repeat, or a no if its key is another call's; None if the earlier row leaves the way free."""
    row = calls.earlier(tx, call)
    now = tx.one("call_get", id=row["successor"]) if row and row["successor"] else row
    if row is None or (now and (now["state"] in calls.FREE or now["state"] in calls.ASK_AGAIN)):
        return None  # what was refused or did not happen holds no key: corrected arguments may use it
    same = row["asked"] == call.asked if call.key is not None else row["tool"] == call.tool
    return calls.recorded(tx, row) if same else CONFLICT


def _parked(tx: Tx, call: ToolCall) -> bool:
    row = tx.one("call_get", id=call.id)
    return row is not None and row["state"] == "pending_approval"


def _retry_of(tx: Tx, call: ToolCall) -> str | None:
    row = calls.earlier(tx, call)
    return row["id"] if row is not None and row["state"] in calls.FREE else None


def _doubt(tx: Tx, call: ToolCall) -> Deny | None:
    """While it is not known what a write did to its subject, no further write of that tool reaches it."""
    if call.reads or call.subject is None:
        return None
    row = tx.one("call_doubtful", tool=call.tool, subject=call.subject, id=call.id)
    if row is None:
        return None
    reason = f"It is not known yet whether call {row['id']} to the same {call.subject} happened."
    return Deny("outcome_unknown", reason, "Ask lockkeep_status later.", "later")


def _voters(tx: Tx, approval: str | None) -> list[str] | None:
    return [row["person"] for row in tx.all("votes_of", approval=approval)] if approval else None


def _age_ms(tx: Tx, call: str, now: datetime) -> int | None:
    row = tx.one("call_get", id=call)
    return (
        int((now - moment(row["claimed_at"])).total_seconds() * 1000) if row and row["claimed_at"] else None
    )
