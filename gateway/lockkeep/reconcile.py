"""What became of a call nobody knows the end of: the integration's receipt decides, and if it cannot, a person."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from lockkeep.ledger import Ledger, audit, calls, limits, redaction, undo
from lockkeep.model import Json, Tool, Tools, UndoRecord, is_object, moment, stamp
from lockkeep.policy.rules.manifest import filled, judge
from lockkeep.store import Row, Tx
from lockkeep.upstream.send import idempotency_argument

logger = logging.getLogger(__name__)
TRIES = 5
PAUSE = timedelta(seconds=3)  # times the number of tries: five of them last 30 seconds
LONGEST = timedelta(minutes=5)  # that a receipt may ask us to wait
SETTLE_AFTER_S = 30.0
Proof = Literal["applied", "not_applied", "open"]
Record = Callable[[Tool, str, Mapping[str, Json], Json], UndoRecord | None]
Read = Callable[[Tool, Mapping[str, Json], float], Awaitable[Json]]


@dataclass(frozen=True, kw_only=True)
class Reconciler:
    """Asks for the receipt of every unknown call that is due."""

    ledger: Ledger
    tools: Callable[[], Tools]
    read: Read
    record: Record | None = None  # how a write that did happen can be taken back

    async def run_once(self) -> int:
        """Every due call is settled, tried again later, or handed to a person. Returns how many were due."""
        due = self.ledger.store.read.all("calls_due", now=stamp(self.ledger.clock()))
        for row in due:
            await self._one(row)
        return len(due)

    async def _one(self, row: Row) -> None:
        tool = self.tools().get(row["tool"])
        if row["risk"] == "read" and (tool is None or tool.reads):  # an operation that reads may be a lie
            await self._settle(row, "not_applied", None, "A read changes nothing.")
            return
        verify = tool.effect.get("verify") if tool is not None else None
        if tool is None or verify is None:
            await self._to_people(row, "Its tool offers no receipt.")
            return
        try:
            proof, answer = await self._ask(row, tool, verify)
        except Exception as error:  # a failed read is no evidence
            logger.info("receipt of call %s could not be read: %s", row["id"], type(error).__name__)
            proof, answer = "open", None
        if proof == "open" and row["tries"] + 1 >= TRIES:
            await self._to_people(row, f"The receipt did not decide in {TRIES} tries.")
        elif proof == "open":
            await self._later(row, answer)
        else:
            await self._settle(row, proof, answer, f"The receipt says: {proof.replace('_', ' ')}.")

    async def _ask(self, row: Row, tool: Tool, verify: Mapping[str, Json]) -> tuple[Proof, Json]:
        named = (tool.integration, verify["tool"])
        receipt = next(
            each for each in self.tools().values() if (each.integration, each.server_name) == named
        )
        stored = self.ledger.store.read.one("payload_get", call=row["id"])
        key = idempotency_argument(tool)
        arguments = {**_json(stored["sent"] if stored else None), **({key: row["id"]} if key else {})}
        answer = await self.read(receipt, filled(verify.get("with", {}), {"args": arguments}), 10.0)
        values = {"result": answer, "args": arguments}
        if judge(verify.get("applied", "false"), values):
            return "applied", answer
        absent = key is not None and judge(verify.get("not_applied", "false"), values)
        return (
            "not_applied" if absent and (_fenced(verify) or self._old_enough(row, tool)) else "open"
        ), answer

    def _old_enough(self, row: Row, tool: Tool) -> bool:
        """Without a fence, a late arrival could make `absent` false: absence counts after a while only."""
        wait = timedelta(seconds=float(tool.effect.get("settle_after_s", SETTLE_AFTER_S)))
        return self.ledger.clock() >= moment(row["claimed_at"] or row["at"]) + wait

    async def _settle(self, row: Row, proof: Proof, answer: Json, why: str) -> None:
        state = "succeeded" if proof == "applied" else "not_applied"
        way_back = self._way_back(row, answer) if proof == "applied" else None

        def work(tx: Tx) -> None:
            now = self.ledger.clock()
            if not tx.run("call_reconcile", id=row["id"], state=state, reason=why, at=stamp(now)):
                return
            if proof == "applied":
                tx.run("call_result", call=row["id"], result=calls.dump(redaction.stored(_as_result(answer))))
                if way_back is not None:
                    undo.keep(tx, row["id"], way_back)
            else:
                limits.give_back(tx, row["id"])
            audit.append(tx, "call.reconciled", now, call=row["id"], outcome=state, reason=why)

        await self.ledger.store.write(work)
        self.ledger.events.settled(row["id"])

    def _way_back(self, row: Row, answer: Json) -> UndoRecord | None:
        tool = self.tools().get(row["tool"])
        stored = self.ledger.store.read.one("payload_get", call=row["id"])
        if self.record is None or tool is None or row["risk"] == "read" or row["undo_of"] is not None:
            return None
        key = idempotency_argument(tool)
        sent = {**_json(stored["sent"] if stored else None), **({key: row["id"]} if key else {})}
        return self.record(tool, row["operation"], sent, _as_result(answer)["structuredContent"])

    async def _later(self, row: Row, answer: Json) -> None:
        """The next try waits longer each time, and as long as the receipt itself says."""
        said: Json = answer.get("retry_after_s") if is_object(answer) else None
        asked = said if isinstance(said, int | float) and not isinstance(said, bool) and said > 0 else 0
        pause = max(PAUSE * (row["tries"] + 1), timedelta(seconds=min(asked, LONGEST.total_seconds())))
        next_try = stamp(self.ledger.clock() + pause)
        await self.ledger.store.write(
            lambda tx: tx.run(
                "call_try_later", id=row["id"], next_try=next_try, reason="The receipt is still open."
            )
        )

    async def _to_people(self, row: Row, why: str) -> None:
        def work(tx: Tx) -> None:
            now = self.ledger.clock()
            if tx.run("call_reconcile", id=row["id"], state="needs_human", reason=why, at=stamp(now)):
                audit.append(tx, "call.needs_human", now, call=row["id"], reason=why)

        await self.ledger.store.write(work)
        self.ledger.events.settled(row["id"])


def _fenced(verify: Mapping[str, Json]) -> bool:
    """Whether asking for the receipt also closes an unused key for ever."""
    given: Json = verify.get("with")
    return is_object(given) and given.get("fence") is True


def _json(text: str | None) -> dict[str, Json]:
    return calls.loads(text) if text else {}


def _as_result(answer: Json) -> dict[str, Json]:
    """The stored receipt in the shape a tool's own answer has."""
    receipt = answer.get("receipt") if is_object(answer) else None
    content = receipt if receipt is not None else answer
    return {
        "content": [{"type": "text", "text": calls.dump(content)}],
        "structuredContent": content,
        "isError": False,
    }
