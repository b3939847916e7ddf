"""Taking calls back: the gateway works through what a person asked for, newest call first, each step a governed call."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from lockkeep.ledger import Ledger, calls, undo
from lockkeep.ledger.undo import Plan, Step
from lockkeep.model import (
    Answer,
    Arguments,
    Denied,
    Deny,
    Diverted,
    Ended,
    Failed,
    Json,
    Outcome,
    Request,
    RequireApproval,
    Succeeded,
    Tool,
    ToolCall,
    Tools,
    UndoRecord,
    Verdict,
    is_object,
)
from lockkeep.policy.rules.manifest import filled, judge
from lockkeep.policy.rules.undoing import sibling
from lockkeep.store import Row
from lockkeep.upstream.send import idempotency_argument

logger = logging.getLogger(__name__)
Says = Literal[
    "restores", "compensates", "later", "conflict", "window closed", "not allowed", "stopped", "impossible"
]
GOOD = ("restores", "compensates", "later")
HOST = "lockkeep undo"


@dataclass(frozen=True, slots=True)
class Ahead:
    """What taking one call back would do, found without doing it. `arguments` are those that fit the state of now."""

    says: Says
    note: str
    arguments: Arguments


@dataclass(frozen=True, kw_only=True)
class Undoing:
    """Looks ahead for plans that were asked for, and works through those that were started."""

    ledger: Ledger
    tools: Callable[[], Tools]
    prepared: Callable[[Request], Awaitable[ToolCall]]
    judge: Callable[[ToolCall], Awaitable[Verdict]]  # what the rules say; nothing comes of it
    decide: Callable[[Request], Awaitable[Outcome]]
    rehearse: Callable[[Tool, Arguments], Awaitable[Answer | None]]  # None: the tool cannot rehearse
    read: Callable[[Tool, Mapping[str, Json], float], Awaitable[Json]]
    new_id: Callable[[str], str]

    async def run_once(self) -> None:
        for plan in undo.under_way(self.ledger.store.read):
            if plan.state == "looking":
                await self._look(plan)
            else:
                await self._advance(plan)

    async def _look(self, plan: Plan) -> None:
        for step in plan.steps:
            ahead = await self._ahead(plan, step)
            await self.ledger.store.write(
                lambda tx, step=step, ahead=ahead: undo.saw(tx, plan.id, step.place, ahead.says, ahead.note)
            )
        await self.ledger.store.write(lambda tx: undo.shown(tx, plan.id))

    # -- looking ahead ------------------------------------------------------------------------------------------

    async def _ahead(self, plan: Plan, step: Step) -> Ahead:
        row = self.ledger.store.read.one("call_get", id=step.call)
        record = undo.record_of(self.ledger.store.read, step.call)
        tool = self.tools().get(record.tool or "") if record else None
        if row is None or row["state"] != "succeeded":
            return Ahead("impossible", f"the call is {row['state'] if row else 'gone'}", {})
        if record is None:
            return Ahead("impossible", "nothing is kept of how it can be taken back", {})
        if record.until is not None and record.until < self.ledger.clock():
            return Ahead("window closed", f"it could be taken back until {record.until.isoformat(timespec='seconds')}", {})  # fmt: skip
        if record.tool is None or tool is None:
            return Ahead("impossible", record.why or f"{record.tool} is no accepted tool any more", {})
        call = await self.prepared(self._request(plan, step, record, tool, record.arguments))
        if stop := self.ledger.covering(call):
            return Ahead("stopped", stop.reason, {})
        verdict = await self.judge(call)
        if isinstance(verdict, Deny):
            return Ahead("not allowed", verdict.reason, {})
        ahead = await self._rehearsed(plan, step, row, record, tool)
        if ahead.says in GOOD and isinstance(verdict, RequireApproval):
            groups = dict.fromkeys(group for demand in verdict.demands for group in demand.groups)
            return replace(
                ahead, note="; ".join(filter(None, (ahead.note, f"{', '.join(groups)} must agree")))
            )
        return ahead

    async def _rehearsed(self, plan: Plan, step: Step, row: Row, record: UndoRecord, tool: Tool) -> Ahead:
        """The integration's own word on it, where it can rehearse."""
        good = Ahead(
            "restores" if record.restores == "exact" else "compensates", record.residue, record.arguments
        )
        if self._waits_for_newer(plan, step, row, record):
            return replace(good, says="later", note="; ".join(filter(None, ("once the newer ones are taken back", record.residue))))  # fmt: skip
        moved = self._moved(row, record, tool)
        arguments = {**record.arguments, **moved}
        answer = await self.rehearse(tool, arguments)
        if answer is None:
            why = "what was changed after it and taken back cannot be told from other changes"
            return Ahead("conflict", why, {}) if moved else good
        if answer.state != "succeeded":
            return Ahead(*_refused(answer), {})
        said: Json = (answer.result or {}).get("structuredContent")
        if differs := _differs(said, record):
            return Ahead("conflict", f"somebody changed {differs} since", {})
        return replace(good, arguments=arguments)

    def _waits_for_newer(self, plan: Plan, step: Step, row: Row, record: UndoRecord) -> bool:
        """Whether an open, newer step of the plan is about the same record: its state of now says nothing."""
        for other in plan.steps[: step.place - 1]:
            newer = self.ledger.store.read.one("call_get", id=other.call)
            images = undo.record_of(self.ledger.store.read, other.call)
            same = newer is not None and newer["integration"] == row["integration"]
            if other.state == "open" and same and images is not None and images.id == record.id is not None:
                return True
        return False

    def _moved(self, row: Row, record: UndoRecord, tool: Tool) -> dict[str, Json]:
        """The version that stands now, if what moved it was ours and is taken back already."""
        version: Json = tool.effect.get("version")
        name = version.get("arg") if is_object(version) else None
        if name is None or record.arguments.get(name) != record.version or record.id is None:
            return {}
        last = self.ledger.store.read.one(
            "undone_since", integration=row["integration"], record=record.id, after=row["settled_at"]
        )
        result: Json = calls.loads(last["result"]) if last and last["result"] else None
        said: Json = result.get("structuredContent") if is_object(result) else None
        return {str(name): said["version"]} if is_object(said) and "version" in said else {}

    # -- doing it -----------------------------------------------------------------------------------------------

    async def _advance(self, plan: Plan) -> None:
        step = next((each for each in plan.steps if each.state == "open"), None)
        if step is None:
            bad = any(each.state != "done" for each in plan.steps)
            await self._end(plan, "stopped" if bad else "done")
            return
        try:
            await self._step(plan, step)
        except Exception as error:
            logger.exception("a step of undo plan %s could not be made", plan.id)
            await self._failed(plan, step, f"the gateway could not do it: {type(error).__name__}")

    async def _step(self, plan: Plan, step: Step) -> None:
        """One call is taken back, or its try is followed up: after a crash the same call is found again."""
        read = self.ledger.store.read
        begun = read.one("call_get", id=step.undo) if step.undo else None
        record, row = undo.record_of(read, step.call), read.one("call_get", id=step.call)
        if begun is None:
            ahead = await self._ahead(plan, step)
            tool = self.tools().get(record.tool or "") if record else None
            if ahead.says not in GOOD or record is None or tool is None:
                await self._failed(plan, step, f"{ahead.says}: {ahead.note}")
                return
            step = replace(step, undo=self.new_id("call"))
            await self.ledger.store.write(lambda tx: undo.sent(tx, plan.id, step.place, step.undo or ""))
            outcome: Outcome | None = await self.decide(
                self._request(plan, step, record, tool, ahead.arguments)
            )
        else:
            outcome = self.ledger.outcome(begun["id"])
        await self._follow(plan, step, outcome, record, row)

    async def _follow(
        self, plan: Plan, step: Step, outcome: Outcome | None, record: UndoRecord | None, row: Row | None
    ) -> None:
        match outcome:
            case Succeeded(call=call) if record is not None:
                if step.undo != call:  # somebody else's try came first
                    step = replace(step, undo=call)
                unlike = await self._read_back(call, record)
                if unlike:
                    await self._failed(plan, step, f"not verified: {unlike}")
                else:
                    note = record.residue if record.restores == "compensates" else ""
                    await self._ended(plan, step, "done", note)
            case Denied(deny=deny):
                await self._failed(plan, step, f"{deny.name}: {deny.reason}")
            case Failed(reason=reason) | Ended(reason=reason) | Diverted(reason=reason):
                await self._failed(plan, step, _said(outcome) or reason)
            case _:
                there = self.ledger.store.read.one("call_get", id=step.undo)
                if there is not None and there["state"] == "needs_human":
                    await self._ended(plan, step, "unknown", "nobody knows whether it was taken back; see lockkeep calls resolve")  # fmt: skip
                    await self._end(plan, "stopped")

    async def _read_back(self, call: str, record: UndoRecord) -> str:
        """Why what stands now is not what stood before; empty if it is, as far as the integration tells."""
        row = self.ledger.store.read.one("call_get", id=call)
        stored = self.ledger.store.read.one("payload_get", call=call)
        tool = self.tools().get(row["tool"]) if row else None
        result: Json = calls.loads(stored["result"]) if stored and stored["result"] else None
        if tool is None or stored is None:
            return "its tool is gone"
        said: Json = result.get("structuredContent") if is_object(result) else None
        verify: Json = tool.effect.get("verify")
        if is_object(verify) and (reader := sibling(tool, self.tools(), verify.get("tool"))) is not None:
            key = idempotency_argument(tool)
            sent: Mapping[str, Json] = calls.loads(stored["sent"]) or {}
            arguments = {**sent, **({key: call} if key else {})}
            answer = await self.read(reader, filled(verify.get("with", {}), {"args": arguments}), 10.0)
            if not judge(str(verify.get("applied", "false")), {"result": answer, "args": arguments}):
                return "the integration's receipt does not show it"
        return _unlike(said, record) if record.restores == "exact" else ""

    async def _failed(self, plan: Plan, step: Step, why: str) -> None:
        await self._ended(plan, step, "skipped" if plan.skip else "failed", why)
        if not plan.skip:
            await self._end(plan, "stopped")

    async def _ended(self, plan: Plan, step: Step, state: undo.StepState, note: str) -> None:
        await self.ledger.store.write(
            lambda tx: undo.step_ended(tx, plan.id, step, state, note, self.ledger.clock())
        )
        self.ledger.events.settled(step.call)

    async def _end(self, plan: Plan, state: undo.PlanState) -> None:
        await self.ledger.store.write(lambda tx: undo.ended(tx, plan.id, state, self.ledger.clock()))

    def _request(
        self, plan: Plan, step: Step, record: UndoRecord, tool: Tool, arguments: Arguments
    ) -> Request:
        return Request(
            id=step.undo or "call_ahead", tool=tool.exported, arguments=dict(arguments), user=plan.person, agent="",
            host=HOST, at=self.ledger.clock(), undo_of=step.call,
        )  # fmt: skip


def _refused(answer: Answer) -> tuple[Says, str]:
    """What the integration says against it."""
    said: Json = (answer.result or {}).get("structuredContent")
    error: Json = said.get("error") if is_object(said) else None
    code, message = (error.get("code"), error.get("message")) if is_object(error) else (None, None)
    says: Says = (
        "conflict" if code == "conflict" else "window closed" if code == "window_closed" else "impossible"
    )
    return says, str(message or answer.reason)


def _said(outcome: Outcome | None) -> str:
    if not isinstance(outcome, Failed) or outcome.result is None:
        return ""
    says, why = _refused(Answer(state="failed", result=outcome.result, reason=outcome.reason))
    return f"{says}: {why}"


def _differs(said: Json, record: UndoRecord) -> str:
    """Fields that do not stand as this call left them, among those that would be changed back."""
    now: Json = said.get("before") if is_object(said) else None
    if not is_object(now) or not is_object(record.after):
        return ""
    return ", ".join(
        sorted(name for name, value in now.items() if name in record.after and value != record.after[name])
    )


def _unlike(said: Json, record: UndoRecord) -> str:
    """Fields that are not what they were before, as the answer tells; a field it does not name did not change."""
    now: Json = said.get("after") if is_object(said) else None
    if not is_object(now) or not is_object(record.before):
        return ""
    unlike = sorted(name for name, value in record.before.items() if name in now and value != now[name])
    return f"{', '.join(unlike)} did not come back" if unlike else ""
