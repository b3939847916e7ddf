"""The rows of calls: written in the state their gates lead to, found again for repeats, read back as outcomes."""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta

from lockkeep.errors import NotFound
from lockkeep.ledger import audit, redaction
from lockkeep.model import (
    Arguments,
    Basis,
    CallState,
    Demand,
    Denied,
    Deny,
    Divert,
    Diverted,
    Ended,
    Failed,
    Finding,
    Json,
    LookedUp,
    Outcome,
    Pending,
    Request,
    Succeeded,
    ToolCall,
    Unknown,
    moment,
    stamp,
)
from lockkeep.store import Row, Tx

REPEAT = timedelta(minutes=10)
FREE: frozenset[str] = frozenset({"failed", "not_applied", "undone"})  # the key may be used again: a new row
ASK_AGAIN: frozenset[str] = frozenset({"denied", "expired", "cancelled"})  # these meet the gates anew


def earlier(tx: Tx, call: ToolCall) -> Row | None:
    """The newest row this call repeats, whatever its state: by key, by run and step, or for writes by digest."""
    if call.undo_of is not None:
        return tx.one("call_by_undo_of", undo_of=call.undo_of)
    who = {"user": call.user, "agent": call.agent}
    if call.key is not None:
        return tx.one("call_by_key", key=call.key, **who)
    if call.run is not None and call.step is not None:
        return tx.one("call_by_step", run=call.run, step=call.step, **who)
    if call.reads:
        return None
    return tx.one("call_by_asked", asked=call.asked, since=stamp(call.at - REPEAT), **who)


def recorded(tx: Tx, row: Row) -> Outcome:
    """What the ledger knows of a call, as an outcome; of one that was edited, what became of its successor."""
    if row["successor"] is not None:
        successor = tx.one(
            "call_get", id=row["successor"]
        )  # its gates are about to speak, if there is none yet
        return recorded(tx, successor) if successor else Unknown(call=row["id"], executing=True)
    outcome = _recorded(tx, row)
    edit = tx.one("edit_of", successor=row["id"]) if isinstance(outcome, Succeeded | Pending) else None
    return (
        replace(outcome, edited=edit["said"])
        if edit and isinstance(outcome, Succeeded | Pending)
        else outcome
    )


def _recorded(tx: Tx, row: Row) -> Outcome:
    state: CallState = row["state"]
    if state == "succeeded":
        return Succeeded(
            call=row["id"],
            result=_result(tx, row["id"]) or {},
            withheld=bool(row["withheld"]),
            deduplicated=True,
        )
    if state in ("failed", "not_applied"):
        return Failed(
            call=row["id"], reason=row["reason"] or "", result=_result(tx, row["id"]), deduplicated=True
        )
    if state == "diverted":
        return Diverted(call=row["id"], **_fields(json.loads(row["deny"])))
    if state == "denied":
        return Denied(deny=Deny(**json.loads(row["deny"])), call=row["id"])
    if state == "pending_approval":
        return pending(tx, row)
    if state == "expired" or state == "cancelled" or state == "undone":
        return Ended(call=row["id"], state=state, reason=row["reason"] or "")
    return Unknown(call=row["id"], executing=state == "executing")


def pending(tx: Tx, row: Row) -> Pending:
    approval = tx.one("approval_get", id=row["approval"])
    if approval is None:
        raise NotFound(f"approval of call {row['id']}")
    asked = demands_of(approval)
    return Pending(
        call=row["id"],
        approval=approval["id"],
        reason=approval["reason"],
        approvers=tuple(dict.fromkeys(group for demand in asked for group in demand.groups)),
        expires_at=moment(approval["expires_at"]),
        confirm=any(demand.confirm for demand in asked),
        rules=tuple(demand.rule for demand in asked),
    )


def demands_of(approval: Row) -> tuple[Demand, ...]:
    stored: list[dict[str, Json]] = json.loads(approval["demands"])
    return tuple(Demand(**_fields(entry)) for entry in stored)


def _fields(stored: Mapping[str, Json]) -> dict[str, Json]:
    return {name: _frozen(value) for name, value in stored.items()}


def _frozen(value: Json) -> Json:
    """Lists as tuples, as they were before they became JSON."""
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]


def about(call: ToolCall) -> dict[str, Json]:
    """What the call does, as of now: a parked one may be something else once it runs."""
    amount = call.amount
    return {
        "operation": call.operation,
        "risk": call.risk,
        "subject": redaction.text(call.subject) if call.subject else call.subject,
        "amount_minor": amount.minor if amount else None,
        "currency": amount.currency if amount else None,
    }


def insert(
    tx: Tx,
    call: ToolCall,
    findings: Sequence[Finding],
    *,
    state: CallState,
    now: datetime,
    deny: Deny | Divert | None = None,
    sent: Arguments | None = None,
    bound: str | None = None,
    approval: str | None = None,
    retry_of: str | None = None,
) -> None:
    """The call is on record, with its payloads apart."""
    basis = basis_of(findings)
    tx.run(
        "call_insert",
        id=call.id, state=state, tool=call.tool, integration=call.integration, **about(call),
        exported=call.exported, pin=call.pin, user=call.user, agent=call.agent, host=call.host,
        roles=json.dumps(sorted(call.roles)), key=call.key, run=call.run, step=call.step, asked=call.asked, bound=bound, undo_of=call.undo_of, generation=basis.generation or call.generation,
        rules=basis.rules, verdicts=json.dumps(verdicts(findings)), approval=approval, retry_of=retry_of,
        deny=told(deny) if deny else None, reason=redaction.text(deny.reason) if deny else None,
        at=stamp(call.at), claimed_at=stamp(now) if state == "executing" else None,
        settled_at=stamp(now) if state in ("denied", "diverted") else None,
    )  # fmt: skip
    payload(tx, call, findings, sent, waits=state == "pending_approval")


def payload(
    tx: Tx, call: ToolCall, findings: Sequence[Finding], sent: Arguments | None, *, waits: bool = False
) -> None:
    """Without secrets; a call that waits for people keeps its own until it does not wait any more."""
    whole: dict[str, Json] = {"arguments": dict(call.arguments), "sent": None if sent is None else dict(sent)}
    kept = {name: without_secrets(call, value) for name, value in whole.items()}
    now = whole if waits else kept
    tx.run(
        "call_payload",
        call=call.id,
        salt=secrets.token_hex(16),
        arguments=dump(now["arguments"]),
        sent=None if now["sent"] is None else dump(now["sent"]),
        kept=dump(kept) if waits and kept != whole else None,
        facts=facts_of(basis_of(findings).facts, basis_of(findings).looked_up),
    )


def told(deny: Deny | Divert) -> str:
    """A refusal as it is kept."""
    return dump(redaction.texts(asdict(deny)))


def without_secrets(call: ToolCall, arguments: Json) -> Json:
    """What the tool declares secret, what is named like a secret and what looks like one is hidden."""
    return redaction.stored(arguments, {"properties": {name: {"writeOnly": True} for name in call.secret}})


def facts_of(shown: Mapping[str, Json], looked_up: Sequence[LookedUp]) -> str:
    """What was read for a decision: as people see it, and whole, so that it can be made again."""
    said: Json = {"shown": shown, "looked_up": [asdict(each) for each in looked_up]}
    return dump(redaction.texts(said))


def record(
    tx: Tx, event: str, now: datetime, call: ToolCall, findings: Sequence[Finding], **more: Json
) -> None:
    """One audit record about this call, in the transaction of the event."""
    basis = basis_of(findings)
    audit.append(
        tx, event, now, call=call.id, run=call.run, step=call.step,
        actor={"user": call.user, "agent": call.agent, "host": call.host}, tool=call.tool, operation=call.operation,
        pin=call.pin, policy=basis.generation or call.generation, rules=list(basis.fired), verdicts=verdicts(findings),
        args=digest_with_salt(tx, call.id, call.arguments), **more,
    )  # fmt: skip


def observed(tx: Tx, call: str, now: datetime, said: Sequence[str], record: Sequence[LookedUp]) -> None:
    """What rules that only observe came to, once the call had its answer; what they read is kept for replays."""
    audit.append(tx, "call.observed", now, call=call, observed=list(said), looked_up=looked_up(record))
    stored = tx.one("payload_get", call=call)
    if stored is not None:
        facts = json.loads(stored["facts"])
        tx.run("call_facts", call=call, facts=facts_of(facts["shown"], record))


def digest_with_salt(tx: Tx, call: str, value: Json) -> str | None:
    """A digest that says nothing once the call's payload, and with it the salt, is deleted."""
    row = tx.one("payload_get", call=call)
    return hashlib.sha256((row["salt"] + dump(value)).encode()).hexdigest() if row else None


def verdicts(findings: Sequence[Finding]) -> list[Json]:
    """Every gate's word in a form that lasts."""
    said: list[Json] = []
    for finding in findings:
        verdict = finding.verdict
        entry: dict[str, Json] = {"gate": finding.gate, "verdict": type(verdict).__name__}
        if isinstance(verdict, Deny):
            entry |= {"code": verdict.code, "rule": verdict.rule, "reason": verdict.reason}
        elif isinstance(verdict, Divert):
            entry |= {"to": list(verdict.to), "rule": verdict.rule, "reason": verdict.reason}
        elif finding.basis is not None:
            entry |= {"rules": list(finding.basis.fired)}
        if finding.basis is not None and finding.basis.observed:
            entry |= {"observed": list(finding.basis.observed)}
        if finding.basis is not None and finding.basis.looked_up:
            entry |= {"looked_up": looked_up(finding.basis.looked_up)}
        said.append(redaction.texts(entry))
    return said


def looked_up(record: Sequence[LookedUp]) -> list[dict[str, Json]]:
    """Every question the gateway put: to which tool, how long it took, and whether it failed. No payload."""
    return [
        {"tool": json.loads(each.question)[0], "for": list(each.names), "ms": each.ms}
        | ({"failed": each.failed} if each.failed else {})
        for each in record
        if each.question
    ]


def basis_of(findings: Sequence[Finding]) -> Basis:
    return next((finding.basis for finding in findings if finding.basis is not None), Basis())


def request_of(tx: Tx, row: Row, now: datetime) -> Request:
    """The request as it came, rebuilt from its row for the worker that runs it after people agreed."""
    stored = tx.one("payload_get", call=row["id"])
    if stored is None:
        raise NotFound(f"payload of call {row['id']}")
    return Request(
        id=row["id"], tool=row["exported"], arguments=json.loads(stored["arguments"]), user=row["user"], agent=row["agent"],
        host=row["host"], at=now, key=row["key"], run=row["run"], step=row["step"], agreed=row["approval"], undo_of=row["undo_of"],
    )  # fmt: skip


def find(tx: Tx, prefix: str) -> Row:
    """The call with this id, or the only one whose id begins so."""
    rows = tx.all("call_like", prefix=prefix) if prefix else []
    if len(rows) != 1:
        raise NotFound(f"{'several calls begin' if rows else 'no call begins'} with {prefix}")
    row = tx.one("call_get", id=rows[0]["id"])
    if row is None:
        raise NotFound(prefix)
    return row


def _result(tx: Tx, call: str) -> Mapping[str, Json] | None:
    row = tx.one("payload_get", call=call)
    return json.loads(row["result"]) if row and row["result"] else None


def loads(text: str) -> Json:
    return json.loads(text)


def dump(value: Json) -> str:
    """Compact and sorted, in ASCII: half a character in a server's answer must not stop a settle."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(value: object) -> Json:
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - any mapping of JSON values
    raise TypeError(type(value).__name__)
