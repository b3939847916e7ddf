"""How each write can be taken back is worked out while it happens: what stood before, what it answered, what stands now."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from lockkeep.ledger import Ledger
from lockkeep.model import Answer, Claim, Json, Tool, Tools, UndoRecord
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.rules import undoing
from lockkeep.upstream.send import sent_arguments

logger = logging.getLogger(__name__)
READ_WITHIN = 5.0


@dataclass(frozen=True, kw_only=True)
class WaysBack:
    """Stands around the send of every write."""

    rules: Callable[[], PolicySet | None]
    ledger: Ledger
    read: Callable[[Tool, Mapping[str, Json], float], Awaitable[Json]]

    @property
    def tools(self) -> Tools:
        current = self.rules()
        return current.tools if current else {}

    async def kept(self, claim: Claim, send: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of the send, with how it can be taken back if it is a write that happened."""
        tool = self.tools.get(claim.call.tool)
        if tool is None or claim.call.reads or claim.call.undo_of is not None:
            return await send()
        operation, sent = claim.call.operation, sent_arguments(tool, claim)
        before = await self._image(claim.call.id, tool, operation, sent)
        if halted := self.ledger.halted(claim):  # reading what stands took its time
            return halted
        answer = await send()
        if answer.state != "succeeded":
            return answer
        after = None if before is None else await self._image(claim.call.id, tool, operation, sent)
        result: Json = (answer.result or {}).get("structuredContent")
        return replace(answer, undo=self.record(tool, operation, sent, result, before, after))

    async def stands(self, tool: Tool, operation: str, sent: Mapping[str, Json]) -> Json:
        """What stands now of what this write is about; None where the manifest does not say how to read it."""
        entry = self.entry(tool, operation)
        wanted = undoing.image_read(entry, tool, self.tools, sent)
        return undoing.kept(entry, await self.read(*wanted, READ_WITHIN)) if wanted else None

    def entry(self, tool: Tool, operation: str) -> Mapping[str, Json]:
        """What the manifest says of this operation."""
        current = self.rules()
        return undoing.entry_of(tool, current.effects_of(tool.name), operation) if current else tool.effect

    def record(
        self,
        tool: Tool,
        operation: str,
        sent: Mapping[str, Json],
        result: Json,
        before: Json = None,
        after: Json = None,
    ) -> UndoRecord:
        """How this write can be taken back. Doubt is kept as a reason, never as a way."""
        try:
            return undoing.record(
                tool,
                self.tools,
                self.entry(tool, operation),
                sent=sent,
                result=result,
                before=before,
                after=after,
                at=self.ledger.clock(),
            )
        except Exception as error:
            logger.exception("how to take back a call of %s could not be worked out", tool.name)
            why = f"its way back could not be worked out: {type(error).__name__}"
            return UndoRecord(restores="none", why=why)

    async def _image(self, call: str, tool: Tool, operation: str, sent: Mapping[str, Json]) -> Json:
        """What stands, where it can be read: without it the write goes on, and says so later."""
        try:
            return await self.stands(tool, operation, sent)
        except Exception as error:
            logger.warning("what stands around call %s was not read (%s)", call, type(error).__name__)
            return None
