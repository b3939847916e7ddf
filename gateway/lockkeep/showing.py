"""What callers are shown of an answer: result rules of now, and a look for texts that try to instruct an agent."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from lockkeep.ledger import audit, calls
from lockkeep.model import Failed, Outcome, Succeeded
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.engine import results
from lockkeep.prepare import known_of, prepare
from lockkeep.store import Store
from lockkeep.upstream.answers import alarms_in

logger = logging.getLogger(__name__)
MOST_RULED = 10_000  # answers that are known to be on record


@dataclass(kw_only=True)
class Showing:
    """Applied to every answer, and to every replay of it."""

    store: Store
    rules: Callable[[], PolicySet | None]
    clock: Callable[[], datetime]
    _ruled: set[str] = field(default_factory=set[str])

    async def shown(self, outcome: Outcome) -> Outcome:
        """What the result rules of now let this call's caller see of its answer. Doubt withholds it."""
        current = self.rules()
        if not isinstance(outcome, Succeeded | Failed) or outcome.result is None or current is None:
            return outcome
        alarms = await alarms_in(outcome.result)
        if not alarms and not current.hides and not outcome.deduplicated:
            return outcome
        found = self._ruled_by(current, outcome)
        if (found.said or alarms) and outcome.call not in self._ruled:  # once, however often it is fetched
            if len(self._ruled) >= MOST_RULED:
                self._ruled.clear()  # a second record of an old answer is better than memory without end
            self._ruled.add(outcome.call)
            said, now = {**found.said, **({"alarms": list(alarms)} if alarms else {})}, self.clock()
            await self.store.write(
                lambda tx: audit.append(tx, "result.ruled", now, call=outcome.call, **said), durable=False
            )
        if found.withheld is not None and isinstance(outcome, Succeeded):
            return replace(outcome, withheld=True, rule=found.withheld)
        flags = (*found.flagged, *alarms)
        return replace(outcome, result={} if found.withheld else found.result, flags=flags)

    def _ruled_by(self, current: PolicySet, outcome: Succeeded | Failed) -> results.Seen:
        """The answer under the result rules of its tool."""
        row, result = self.store.read.one("call_get", id=outcome.call), outcome.result or {}
        tool = current.tools.get(row["tool"]) if row else None
        if row is None or tool is None:  # what hid parts of it is gone with the tool
            return results.Seen({}, withheld="arguments.unknown_tool")
        if not current.rules_of(tool.name).shown:
            return results.Seen(result)
        try:
            request = calls.request_of(self.store.read, row, self.clock())
            call = prepare(request, known_of(current, tool, current.people.roles(row["user"])))
            return results.seen(
                current.rules_of(tool.name).shown, call, current.env(call), result,
                observing=current.room.observes(call),
            )  # fmt: skip
        except Exception:
            logger.exception("the answer of call %s could not be judged", outcome.call)
            return results.Seen({}, withheld="policy.error")
