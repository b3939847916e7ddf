"""Faults asked for by a test or a drill, never beyond loopback.

`LOCKKEEP_<SERVER>_FAULT`: `crash_before:TOOL`, `crash_inside:`, `crash_after:`, `disk_full:`, `slow:TOOL:SECONDS`.
`Troubled` stands in front of a port and fails as a back end fails; only the conformance kit puts it there.
"""

import os
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import anyio

from lockkeep_servers.kit.errors import RateLimited, Unavailable
from lockkeep_servers.kit.settings import SettingError

CRASHES = ("crash_before", "crash_inside", "crash_after")
KILLED = 137
# Before the effect: nothing of it may be there. After it: it is there, and the caller is not told so.
BEFORE = ("unavailable", "rate_limited", "timeout_before")
AFTER = ("timeout_after", "reset", "malformed")


@dataclass(frozen=True)
class Fault:
    """One fault of one tool; a crash ends the process, so it happens once."""

    kind: str
    tool: str
    seconds: float = 0

    def hit(self, kind: str, tool: str) -> None:
        if (kind, tool) == (self.kind, self.tool):
            os._exit(KILLED)
        if (kind, tool, self.kind) == ("crash_inside", self.tool, "disk_full"):
            raise sqlite3.OperationalError("database or disk is full")

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
        case [kind, tool] if kind in (*CRASHES, "disk_full"):
            return Fault(kind, tool)
        case ["slow", tool, seconds] if seconds.replace(".", "", 1).isdigit():
            return Fault("slow", tool, float(seconds))
        case _:
            raise SettingError(
                "FAULT must be crash_before:TOOL, crash_inside:TOOL, crash_after:TOOL, disk_full:TOOL "
                "or slow:TOOL:SECONDS."
            )


@dataclass
class Trouble:
    """What goes wrong with one tool at the port, from now on; nothing while `kind` is empty."""

    kind: str = ""
    tool: str = ""
    hits: int = 0

    async def strike(self, call: Callable[..., Awaitable[Any]], asked: tuple[Any, ...]) -> Any:
        """Fail as this kind of back end fails."""
        self.hits += 1
        match self.kind:
            case "unavailable":
                raise Unavailable
            case "rate_limited":
                raise RateLimited(7)
            case "timeout_before":
                raise TimeoutError
            case "timeout_after":
                await call(*asked)
                raise TimeoutError
            case "reset":
                await call(*asked)
                raise ConnectionResetError
            case _:
                await call(*asked)
                raise ValueError("the answer has no form of this back end")


class Troubled:
    """A port, but for the tool that is in trouble."""

    def __init__(self, port: Any, trouble: Trouble) -> None:
        self._port = port
        self._trouble = trouble

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not self._trouble.kind:
            return found
        if name == self._trouble.tool and callable(found):
            return self._in_trouble(cast(Callable[..., Awaitable[Any]], found))
        is_port = not callable(found) and hasattr(found, "session") and hasattr(found, "examine")
        return Troubled(found, self._trouble) if is_port else found

    def _in_trouble(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def strike(*asked: Any) -> Any:
            return await self._trouble.strike(call, asked)

        return strike
