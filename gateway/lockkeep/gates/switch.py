"""Gate `switch`: is anything stopped that this call belongs to?"""

from typing import Protocol

from lockkeep.ledger.switches import denial
from lockkeep.model import Allow, Switch, ToolCall, Verdict


class Switches(Protocol):
    def covering(self, call: ToolCall) -> Switch | None: ...


async def switch(call: ToolCall, *, switches: Switches) -> Verdict:
    """Nothing runs while a switch that covers the call is thrown."""
    stop = switches.covering(call)
    return denial(stop) if stop else Allow()
