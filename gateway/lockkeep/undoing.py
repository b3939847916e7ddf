"""Taking calls back: the gateway works through what a person asked for, newest call first, each step a governed call."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import anyio

from lockkeep.ledger import Ledger, calls, undo
from lockkeep.ledger.undo import Plan, Step
from lockkeep.model import (
    Answer,
    Arguments,
    Denied,
    Deny,
    Divert,
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
from lockkeep.upstream import ReadFailed
from lockkeep.upstream.send import idempotency_argument
from lockkeep.upstream.visible import visible

logger = logging.getLogger(__name__)
Says = Literal[
    "restores", "compensates", "later", "conflict", "window closed", "not allowed", "stopped", "impossible"
]
GOOD = ("restores", "compensates", "later")
HOST = "lockkeep undo"
TRIES = 3  # that got lost on their way
REST = 1.0  # seconds between two looks at an integration that does not answer
PATIENCE = 120.0  # seconds without an answer
MOST_SAID = 500


@dataclass(frozen=True, slots=True)
class Ahead:
    """What taking one call back would do, found without doing it. `arguments` are those that fit the state of now."""

    says: Says
    note: str
    arguments: Arguments = field(default_factory=dict[str, Json])


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
    stands: Callable[[Tool, str, Mapping[str, Json]], Awaitable[Json]]
    entry: Callable[[Tool, str], Mapping[str, Json]]  # what the manifest says of an operation
    down: Callable[[Tool], bool]
    new_id: Callable[[str], str]

    _since: dict[str, float] = field(
        default_factory=dict[str, float]
    )  # step -> when an integration went quiet

    async def run_once(self) -> None:
        for plan in undo.under_way(self.ledger.store.read):
            try:
                await (self._look(plan) if plan.state == "looking" else self._advance(plan))
            except Exception:  # of this plan; the others go on
                logger.exception("undo plan %s could not be worked on", plan.id)

    async def _look(self, plan: Plan) -> None:
        for step in plan.steps:
            try:
                ahead = await self._ahead(plan, step)
            except Exception as error:
                logger.exception("a step of undo plan %s could not be looked at", plan.id)
                ahead = Ahead("impossible", f"the gateway could not look at it: {type(error).__name__}")
            await self.ledger.store.write(
                lambda tx, step=step, ahead=ahead: undo.saw(
                    tx, plan.id, step.place, ahead.says, _plain(ahead.note)
                )
            )
        await self.ledger.store.write(lambda tx: undo.shown(tx, plan.id))

    # -- looking ahead ------------------------------------------------------------------------------------------

    async def _ahead(self, plan: Plan, step: Step) -> Ahead:
        read = self.ledger.store.read
        row, record = read.one("call_get", id=step.call), undo.record_of(read, step.call)
        tool = self.tools().get(record.tool or "") if record else None
        no = self._never(row, record, tool)
        if no is not None or row is None or record is None or tool is None:
            return no or Ahead("impossible", "the call is gone")
        tried = read.one("call_by_undo_of", undo_of=step.call)
        if tried is not None and tried["state"] == "succeeded":
            return replace(
                _good(record), note=f"call {tried['id']} took it back already; the proof is missing"
            )
        if tried is not None and tried["state"] in ("executing", "unknown", "needs_human"):
            return Ahead("impossible", f"whether call {tried['id']} took it back is not known yet")
        call = await self.prepared(self._request(plan, step, tool, record.arguments))
        if stop := self.ledger.covering(call):
            return Ahead("stopped", stop.reason)
        verdict = await self.judge(call)
        if isinstance(verdict, Deny | Divert):
            return Ahead("not allowed", verdict.reason)
        ahead = await self._rehearsed(plan, step, row, record, tool)
        if ahead.says in GOOD and isinstance(verdict, RequireApproval):
            groups = dict.fromkeys(group for demand in verdict.demands for group in demand.groups)
            return replace(ahead, note=_both(ahead.note, f"{', '.join(groups)} must agree"))
        return ahead

    def _never(self, row: Row | None, record: UndoRecord | None, tool: Tool | None) -> Ahead | None:
        """What stands in its way whatever the integration says."""
        if row is None or row["state"] != "succeeded":
            return Ahead("impossible", f"the call is {row['state'].replace('_', ' ') if row else 'gone'}")
        if row["undo_of"] is not None:
            return Ahead("impossible", "it took back another call; make that call again instead")
        if record is None:
            return Ahead("impossible", "nothing is kept of how it can be taken back")
        if record.until is not None and record.until < self.ledger.clock():
            return Ahead("window closed", f"it could be taken back until {record.until.isoformat(timespec='seconds')}")  # fmt: skip
        if tool is None:
            return Ahead("impossible", record.why or f"{record.tool} is no accepted tool any more")
        return None

    async def _rehearsed(self, plan: Plan, step: Step, row: Row, record: UndoRecord, tool: Tool) -> Ahead:
        """The integration's own word on it, where it can rehearse."""
        if self._waits_for_newer(plan, step, row, record):
            return Ahead("later", _both("once the newer ones are taken back", record.residue), record.arguments)  # fmt: skip
        good = _good(record)
        moved, proven = self._moved(row, record, tool)
        arguments = {**record.arguments, **moved}
        answer = await self.rehearse(tool, arguments)
        if answer is not None and answer.state != "succeeded":
            return Ahead(*_refused(answer))
        said: Json = (answer.result or {}).get("structuredContent") if answer else None
        if differs := _differs(said, record):
            return Ahead("conflict", f"somebody changed {differs} since")
        if moved and not proven and not _tells_all(said, record):
            return Ahead("conflict", "whether somebody else changed it since cannot be told")
        if why := await self._changed(row, record):
            return Ahead("conflict", why)
        return replace(good, arguments=arguments)

    async def _changed(self, row: Row, record: UndoRecord) -> str:
        """Who answers without versions is read again: what the call left must stand."""
        if not self._reads_ahead(row):
            return ""
        if record.after is None:
            return "what it left could not be read, so what others changed since cannot be told"
        differs = _other(record.after, await self._now(row))
        return f"somebody changed {differs} since" if differs else ""

    def _waits_for_newer(self, plan: Plan, step: Step, row: Row, record: UndoRecord) -> bool:
        """Whether an open, newer step of the plan is about the same record: its state of now says nothing."""
        for other in plan.steps[: step.place - 1]:
            newer = self.ledger.store.read.one("call_get", id=other.call)
            images = undo.record_of(self.ledger.store.read, other.call)
            same = newer is not None and newer["integration"] == row["integration"]
            if other.state == "open" and same and images is not None and images.id == record.id is not None:
                return True
        return False

    def _moved(self, row: Row, record: UndoRecord, tool: Tool) -> tuple[dict[str, Json], bool]:
        """The version that stands now, if what moved it was ours and is taken back already; and whether that is proven."""
        version: Json = tool.effect.get("version")
        name = version.get("arg") if is_object(version) else None
        if name is None or record.arguments.get(name) != record.version or record.id is None:
            return {}, True
        stands, proven = undo.moved(self.ledger.store.read, row, record)
        return ({} if stands is None else {str(name): stands}), proven

    # -- doing it -----------------------------------------------------------------------------------------------

    async def _advance(self, plan: Plan) -> None:
        step = next((each for each in plan.steps if each.state == "open"), None)
        if step is None:
            bad = any(each.state != "done" for each in plan.steps)
            await self._end(plan, "stopped" if bad else "done")
            return
        if anyio.current_time() < self._since.get(f"{step.call} rests", 0.0):
            return
        try:
            await self._step(plan, step)
        except ReadFailed as failed:
            if not self._patient(step):
                await self._failed(plan, step, f"not verified: {failed.reason}")
        except Exception as error:
            logger.exception("a step of undo plan %s could not be made", plan.id)
            await self._failed(plan, step, f"the gateway could not do it: {type(error).__name__}")

    def _patient(self, step: Step) -> bool:
        """An integration that does not answer for a while does not end the plan."""
        now = anyio.current_time()
        self._since[f"{step.call} rests"] = now + REST
        return now < self._since.setdefault(step.call, now) + PATIENCE

    async def _step(self, plan: Plan, step: Step) -> None:
        """One call is taken back, or its try is followed up: after a crash the same call is found again."""
        read = self.ledger.store.read
        begun = read.one("call_get", id=step.undo) if step.undo else None
        record = undo.record_of(read, step.call)
        if begun is not None:
            await self._follow(plan, step, self.ledger.outcome(begun["id"]), record)
            return
        tool = self.tools().get(record.tool or "") if record else None
        if tool is not None and self.down(tool) and self._patient(step):
            return
        ahead = await self._ahead(plan, step)
        if ahead.says not in GOOD or record is None or tool is None:
            await self._failed(plan, step, f"{ahead.says}: {ahead.note}")
            return
        step = replace(step, undo=self.new_id("call"))
        await self.ledger.store.write(lambda tx: undo.sent(tx, plan.id, step.place, step.undo))
        outcome = await self.decide(self._request(plan, step, tool, ahead.arguments))
        made = outcome.call if not isinstance(outcome, Denied) else None
        if made is not None and made != step.undo:  # somebody else's try came first: it is followed up
            step = replace(step, undo=made)
            await self.ledger.store.write(lambda tx: undo.sent(tx, plan.id, step.place, made))
        await self._follow(plan, step, outcome, record)

    async def _follow(
        self, plan: Plan, step: Step, outcome: Outcome | None, record: UndoRecord | None
    ) -> None:
        match outcome:
            case Succeeded(call=call) if record is not None:
                step = replace(step, undo=call)
                unlike = await self._read_back(call, step.call, record)
                if unlike:
                    await self._failed(plan, step, f"not verified: {unlike}")
                else:
                    note = record.residue if record.restores == "compensates" else ""
                    await self._ended(plan, step, "done", note)
            case Denied(deny=deny):
                await self._failed(plan, step, f"{deny.name}: {deny.reason}")
            case Failed(call=call) if self._may_try_again(call, step):
                await self.ledger.store.write(lambda tx: undo.sent(tx, plan.id, step.place, None))
            case Failed(reason=reason) | Ended(reason=reason) | Diverted(reason=reason):
                await self._failed(plan, step, _said(outcome) or reason)
            case _:
                there = self.ledger.store.read.one("call_get", id=step.undo)
                if there is not None and there["state"] == "needs_human":
                    why = f"nobody knows whether it was taken back: lockkeep calls resolve {there['id']}"
                    await self._ended(plan, step, "unknown", why)
                    await self._end(plan, "stopped")

    def _may_try_again(self, call: str, step: Step) -> bool:
        """It was lost on its way, and the integration's receipt says that it did not happen."""
        read = self.ledger.store.read
        row, tries = read.one("call_get", id=call), read.one("undo_tries", undo_of=step.call)
        return (
            row is not None and row["state"] == "not_applied" and tries is not None and tries["made"] < TRIES
        )

    async def _read_back(self, call: str, original: str, record: UndoRecord) -> str:
        """Why what stands now is not what stood before; empty if it is, as far as the integration tells."""
        row, was = (self.ledger.store.read.one("call_get", id=each) for each in (call, original))
        stored = self.ledger.store.read.one("payload_get", call=call)
        tool = self.tools().get(row["tool"]) if row else None
        result: Json = calls.loads(stored["result"]) if stored and stored["result"] else None
        if tool is None or stored is None or was is None:
            return "its tool is gone"
        said: Json = result.get("structuredContent") if is_object(result) else None
        verify: Json = tool.effect.get("verify")
        if is_object(verify) and (reader := sibling(tool, self.tools(), verify.get("tool"))) is not None:
            arguments = _sent(stored, tool, call)
            answer = await self.read(reader, filled(verify.get("with", {}), {"args": arguments}), 10.0)
            if not judge(str(verify.get("applied", "false")), {"result": answer, "args": arguments}):
                return "the integration's receipt does not show it"
        if record.restores != "exact":
            return ""
        unlike = _unlike(said, record)
        if not unlike and self._reads_ahead(was):
            unlike = _other(record.before, await self._now(was))
        return f"{unlike} did not come back" if unlike else ""

    def _reads_ahead(self, row: Row) -> bool:
        """Whether the manifest says how to read what stands, because the answers do not."""
        tool = self.tools().get(row["tool"])
        return tool is not None and is_object(self.entry(tool, row["operation"]).get("before"))

    async def _now(self, row: Row) -> Json:
        """What stands now of what the call was about, read as it was ahead of the call."""
        tool, stored = (
            self.tools().get(row["tool"]),
            self.ledger.store.read.one("payload_get", call=row["id"]),
        )
        if tool is None or stored is None:
            raise ReadFailed("what the call was about is not kept any more")
        return await self.stands(tool, row["operation"], _sent(stored, tool, row["id"]))

    async def _failed(self, plan: Plan, step: Step, why: str) -> None:
        await self._ended(plan, step, "skipped" if plan.skip else "failed", why)
        if not plan.skip:
            await self._end(plan, "stopped")

    async def _ended(self, plan: Plan, step: Step, state: undo.StepState, note: str) -> None:
        await self.ledger.store.write(
            lambda tx: undo.step_ended(tx, plan.id, step, state, _plain(note), self.ledger.clock())
        )
        for each in (step.call, f"{step.call} rests"):
            self._since.pop(each, None)
        self.ledger.events.settled(step.call)

    async def _end(self, plan: Plan, state: undo.PlanState) -> None:
        await self.ledger.store.write(lambda tx: undo.ended(tx, plan.id, state, self.ledger.clock()))

    def _request(self, plan: Plan, step: Step, tool: Tool, arguments: Arguments) -> Request:
        return Request(
            id=step.undo or "call_ahead", tool=tool.exported, arguments=dict(arguments), user=plan.person, agent="",
            host=HOST, at=self.ledger.clock(), undo_of=step.call,
        )  # fmt: skip


def _good(record: UndoRecord) -> Ahead:
    return Ahead(
        "restores" if record.restores == "exact" else "compensates", record.residue, record.arguments
    )


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
    return _names(name for name, value in now.items() if name in record.after and value != record.after[name])


def _tells_all(said: Json, record: UndoRecord) -> bool:
    """Whether every field that would be changed back could be held against what this call left."""
    now: Json = said.get("before") if is_object(said) else None
    return is_object(now) and is_object(record.after) and now.keys() <= record.after.keys()


def _unlike(said: Json, record: UndoRecord) -> str:
    """Fields that are not what they were before, as the answer tells; a field it does not name did not change."""
    now: Json = said.get("after") if is_object(said) else None
    if not is_object(now) or not is_object(record.before):
        return ""
    return _names(name for name, value in record.before.items() if name in now and value != now[name])


def _other(wanted: Json, now: Json) -> str:
    """Fields of an image that do not stand so now."""
    if is_object(wanted) and is_object(now):
        return _names(name for name in {**wanted, **now} if wanted.get(name) != now.get(name))
    return "" if wanted == now else "it"


def _names(found: Iterable[str]) -> str:
    return ", ".join(sorted(found))


def _sent(stored: Row, tool: Tool, call: str) -> dict[str, Json]:
    """The arguments as the integration got them."""
    key = idempotency_argument(tool)
    sent: Json = calls.loads(stored["sent"]) if stored["sent"] else {}
    return {**(sent if is_object(sent) else {}), **({key: call} if key else {})}


def _both(one: str, other: str) -> str:
    return "; ".join(filter(None, (one, other)))


def _plain(text: str) -> str:
    """Integrations have a say in it: nothing unseen, and not without end."""
    return visible(text[:MOST_SAID])
