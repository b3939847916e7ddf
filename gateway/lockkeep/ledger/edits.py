"""Edit before approve: the parked call ends, and another with changed arguments goes through all gates in its place."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lockkeep.ledger import approvals, audit, calls, delegations, limits, outbox, redaction
from lockkeep.ledger.approvals import People, Refusal
from lockkeep.model import Json, Person, Request, moment, stamp
from lockkeep.store import Row, Tx


@dataclass(frozen=True, slots=True)
class Edited:
    """The new call's id, and what was changed, in words for the agent."""

    successor: str
    said: str


def edit(
    tx: Tx, approval: str, person: Person | None, changes: Mapping[str, Json], *, successor: str, shown: str, now: datetime,
    people: People, owner: str | None,
) -> Edited | Refusal:  # fmt: skip
    """What an approver may change is changed; they do not vote on what becomes of it."""
    row = approvals.find(tx, approval)
    call, payload = tx.one("call_get", id=row["call"]), tx.one("payload_get", call=row["call"])
    if call is None or payload is None:
        return Refusal("what was asked for is no longer kept")
    asked: Mapping[str, Json] = json.loads(payload["sent"] or payload["arguments"])
    if "currency" in changes and changes["currency"] == asked.get("currency"):
        changes = {
            name: value for name, value in changes.items() if name != "currency"
        }  # of an amount, as it was
    refusal = (
        _refused(tx, row, person, shown, now, people, owner)
        or _planned(call)
        or _unchanged(row, changes, asked)
    )
    if refusal or person is None:
        refusal = refusal or Refusal("nobody is signed in")
        audit.append(
            tx, "approval.refused", now, call=row["call"], approval=row["id"], person=person.id if person else None,
            decision="edit", reason=refusal.reason,
        )  # fmt: skip
        return refusal
    changed = (
        f"{name}: {json.dumps(asked.get(name))} → {json.dumps(value)}" for name, value in changes.items()
    )
    said = redaction.text(f"{person.id} changed it: {'; '.join(changed)}")
    _supersede(tx, row, said, now)
    arguments = calls.dump({**asked, **changes})
    tx.run(
        "edit_add", successor=successor, call=row["call"], editor=person.id, arguments=arguments, said=said, at=stamp(now)
    )  # fmt: skip
    tx.run("call_succeeded_by", id=row["call"], successor=successor)
    audit.append(
        tx, "approval.edited", now, call=row["call"], approval=row["id"], person=person.id, successor=successor,
        fields=sorted(changes),
    )  # fmt: skip
    return Edited(successor, said)


def to_run(tx: Tx, row: Row, now: datetime) -> Request | None:
    """The request of the new call, for the caller who asked for the old one; None if that is gone."""
    old = tx.one("call_get", id=row["call"])
    if old is None:
        return None
    return Request(
        id=row["successor"], tool=old["exported"], arguments=json.loads(row["arguments"]), user=old["user"], agent=old["agent"],
        host=old["host"], at=now, run=old["run"], edited=row["editor"],
    )  # fmt: skip


def editable(row: Row) -> frozenset[str]:
    """What every rule that asks lets an approver change."""
    named = [frozenset(demand.edit) for demand in calls.demands_of(row)]
    allowed = frozenset[str]().union(*named)
    return frozenset(name for name in allowed if all(name in each for each in named))


def _refused(
    tx: Tx, row: Row, person: Person | None, shown: str, now: datetime, people: People, owner: str | None
) -> Refusal | None:
    """Whoever may edit could as well have voted."""
    if person is None:
        return Refusal("only a person of people.yaml edits, with their own token or session")
    if row["state"] != "pending":
        return Refusal(f"it is already {row['state']}", conflict=True)
    if now >= moment(row["expires_at"]):
        return Refusal("it has expired", conflict=True)
    if len(shown) < 12 or not row["bound"].startswith(shown):
        return Refusal("it is not what you were shown; look at it again", conflict=True)
    no = approvals.barred(tx, row, person, now, delegations.seated(tx, people, now), owner)
    return Refusal(no) if no else None


def _planned(call: Row) -> Refusal | None:
    """What takes another call back does so as its plan says: with other arguments it would be a call of its own."""
    return (
        Refusal("it takes another call back, which is done as planned or not at all")
        if call["undo_of"]
        else None
    )


def _unchanged(row: Row, changes: Mapping[str, Json], asked: Mapping[str, Json]) -> Refusal | None:
    allowed = editable(row)
    names = {name for each in allowed for name in (each, f"{each}_minor")}
    if foreign := sorted(set(changes) - names):
        may = ", ".join(sorted(allowed)) or "nothing"
        return Refusal(f"the rules let an approver change {may}, not {', '.join(foreign)}")
    if all(asked.get(name) == value for name, value in changes.items()):
        return Refusal("nothing would be changed")
    return None


def _supersede(tx: Tx, row: Row, said: str, now: datetime) -> None:
    """The old call never runs, whatever becomes of the new one."""
    tx.run("approval_end", id=row["id"], state="superseded", at=stamp(now), note=said)
    outbox.announce(tx, "approval.decided", row["id"], now)
    ended = tx.run(
        "call_end_parked",
        id=row["call"],
        state="cancelled",
        deny=None,
        reason=said,
        verdicts=None,
        at=stamp(now),
    )
    if ended:
        limits.give_back(tx, row["call"])
        audit.append(tx, "call.ended", now, call=row["call"], outcome="cancelled", reason=said)
