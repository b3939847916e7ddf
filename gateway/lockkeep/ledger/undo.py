"""The undo ledger: how each write can be taken back, and what people asked to have taken back."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lockkeep.errors import Conflict, NotFound
from lockkeep.ledger import audit, redaction
from lockkeep.ledger.calls import dump
from lockkeep.model import Json, UndoRecord, is_object, moment, stamp
from lockkeep.store import Row, Tx

StepState = Literal["open", "done", "skipped", "failed", "unknown"]
PlanState = Literal["looking", "shown", "running", "done", "stopped"]
MOST_STEPS = 500
NUMBER = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a plan. `says` is what the look ahead found, `undo` the call that takes it back."""

    place: int
    call: str
    says: str
    note: str
    undo: str | None
    state: StepState


@dataclass(frozen=True, slots=True)
class Plan:
    """What one person wants to have taken back, newest first."""

    id: str
    person: str
    reason: str
    state: PlanState
    skip: bool
    steps: tuple[Step, ...]


def keep(tx: Tx, call: str, record: UndoRecord) -> None:
    """Beside the settled call, in the transaction that settles it."""
    images: Json = {
        "before": record.before,
        "after": record.after,
        "version": record.version,
        "id": record.id,
    }
    if redaction.holds([dict(record.arguments), images]):  # what is not kept cannot be put back
        why = "What it changed held a secret, and secrets are not kept."
        record, images = UndoRecord(restores="none", residue=record.residue, why=why), {}
    tx.run(
        "undo_keep", call=call, restores=record.restores, residue=record.residue,
        until=stamp(record.until) if record.until else None, tool=record.tool,
        arguments=dump(record.arguments), images=dump(images), why=record.why,
    )  # fmt: skip


def record_of(tx: Tx, call: str) -> UndoRecord | None:
    """None for reads, and for what was settled without an answer of its own."""
    row = tx.one("undo_record", call=call)
    if row is None:
        return None
    return UndoRecord(
        restores=row["restores"], residue=row["residue"], until=moment(row["until"]) if row["until"] else None,
        tool=row["tool"], arguments=json.loads(row["arguments"]), why=row["why"], **json.loads(row["images"]),
    )  # fmt: skip


def moved(tx: Tx, row: Row, record: UndoRecord) -> tuple[Json, bool]:
    """The version that stands if only our own takings-back moved it since, and whether their numbers prove that.

    None: nothing of ours was taken back there.
    """
    found: list[Json] = [record.version]
    for each in tx.all(
        "undone_since", integration=row["integration"], after=row["settled_at"], call=row["id"]
    ):
        images, result = json.loads(each["images"]), json.loads(each["result"] or "null")
        said: Json = result.get("structuredContent") if is_object(result) else None
        if images["id"] == record.id and is_object(said) and "version" in said:
            found += [images["version"], said["version"]]
    numbers = sorted(int(each) for each in found if isinstance(each, str) and NUMBER.fullmatch(each))
    proven = len(numbers) == len(found) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return (found[-1] if len(found) > 1 else None), proven


# -- plans ----------------------------------------------------------------------------------------------------------


def ask(
    tx: Tx, id: str, calls: Sequence[str], *, person: str, reason: str, skip: bool, now: datetime
) -> None:
    """A plan for these calls, to be looked at by the gateway. The newest call comes first."""
    if not calls:
        raise NotFound("there is nothing to take back: no call that was made, is a write, and stands")
    if len(calls) > MOST_STEPS:
        raise Conflict(f"{len(calls)} calls are too many for one plan; name fewer than {MOST_STEPS + 1}")
    tx.run("undo_plan", id=id, person=person, reason=reason, skip=int(skip), at=stamp(now))
    for place, call in enumerate(calls, 1):
        tx.run("undo_step", plan=id, place=place, call=call)
    audit.append(tx, "undo.asked", now, plan=id, by=person, reason=reason, calls=list(calls))


def plan(tx: Tx, id: str) -> Plan:
    row = tx.one("undo_plan_get", id=id)
    if row is None:
        raise NotFound(f"undo plan {id}")
    return _plan(tx, row)


def under_way(tx: Tx) -> list[Plan]:
    """Plans the gateway has something to do for."""
    return [_plan(tx, row) for row in tx.all("undo_plans_open")]


def saw(tx: Tx, plan: str, place: int, says: str, note: str) -> None:
    """What the look ahead found."""
    tx.run("undo_step_saw", plan=plan, place=place, says=says, note=note)


def shown(tx: Tx, plan: str) -> None:
    tx.run("undo_plan_move", id=plan, was="looking", state="shown", ended=None)


def start(tx: Tx, plan: str, *, by: str, skip: bool, now: datetime) -> None:
    """The person who asked wants it done."""
    row = tx.one("undo_plan_get", id=plan)
    if row is None or row["person"] != by:
        raise NotFound(f"{by} has no undo plan {plan}")
    if not tx.run("undo_plan_start", id=plan, skip=int(skip)):
        raise Conflict(f"the plan is {row['state']} already")
    audit.append(tx, "undo.started", now, plan=plan, by=by)


def sent(tx: Tx, plan: str, place: int, undo: str | None) -> None:
    """The id its undo has, before anything is sent: after a crash the same call is found again. None: it is made anew."""
    tx.run("undo_step_sent", plan=plan, place=place, undo=undo)


def step_ended(tx: Tx, plan: str, step: Step, state: StepState, note: str, now: datetime) -> None:
    """A step that is done makes its call undone; that is the only way a call becomes so."""
    if not tx.run("undo_step_end", plan=plan, place=step.place, state=state, note=note):
        return
    if state == "done" and tx.run("call_undone", id=step.call):
        audit.append(tx, "call.undone", now, call=step.call, by_call=step.undo, plan=plan, note=note)
    elif state != "done":
        audit.append(tx, "undo.step_failed", now, call=step.call, plan=plan, state=state, reason=note)


def ended(tx: Tx, plan: str, state: PlanState, now: datetime) -> None:
    if tx.run("undo_plan_move", id=plan, was="running", state=state, ended=stamp(now)):
        audit.append(tx, "undo.ended", now, plan=plan, state=state)


def _plan(tx: Tx, row: Row) -> Plan:
    steps = tuple(
        Step(each["place"], each["call"], each["says"], each["note"], each["undo"], each["state"])
        for each in tx.all("undo_steps", plan=row["id"])
    )
    return Plan(row["id"], row["person"], row["reason"], row["state"], bool(row["skip"]), steps)
