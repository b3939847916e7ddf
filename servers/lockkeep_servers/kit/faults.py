"""Faults asked for by a test or a drill: `crash_before:TOOL`, `crash_inside:`, `crash_after:`, `slow:TOOL:SECONDS`."""

import os
from dataclasses import dataclass

import anyio

from lockkeep_servers.kit.settings import SettingError

CRASHES = ("crash_before", "crash_inside", "crash_after")
KILLED = 137


@dataclass(frozen=True)
class Fault:
    """One fault of one tool; a crash ends the process, so it happens once."""

    kind: str
    tool: str
    seconds: float = 0

    def hit(self, kind: str, tool: str) -> None:
        if (kind, tool) == (self.kind, self.tool):
            os._exit(KILLED)

    async def slow(self, tool: str) -> None:
        if (self.kind, self.tool) == ("slow", tool):
            await anyio.sleep(self.seconds)


NO_FAULT = Fault("none", "")


def read_fault(text: str | None) -> Fault:
    """Return the fault a setting names; none without one."""
    parts = (text or "").split(":")
    match parts:
        case [""]:
            return NO_FAULT
        case [kind, tool] if kind in CRASHES:
            return Fault(kind, tool)
        case ["slow", tool, seconds] if seconds.replace(".", "", 1).isdigit():
            return Fault("slow", tool, float(seconds))
        case _:
            raise SettingError(
                "FAULT must be crash_before:TOOL, crash_inside:TOOL, crash_after:TOOL or slow:TOOL:SECONDS."
            )
