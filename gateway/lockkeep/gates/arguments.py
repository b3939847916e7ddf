"""Gate `arguments`: is this an accepted, unchanged tool, and do its arguments fit its schema exactly?"""

from collections.abc import Callable
from itertools import islice

import jsonschema_rs

from lockkeep.errors import IntegrationDown
from lockkeep.model import Allow, Arguments, Deny, Tool, ToolCall, Verdict
from lockkeep.policy.conditions.runtime import shown
from lockkeep.upstream import exported_schema

MOST_NAMED = 8
AFTER_THE_SCHEMA = (
    "arguments.operation",
    "arguments.mixed",
)  # a wrong argument is the better answer, if there is one


class Schemas:
    """The exported schemas, compiled once per pin."""

    def __init__(self) -> None:
        self._compiled: dict[str, jsonschema_rs.Validator] = {}

    def of(self, tool: Tool) -> jsonschema_rs.Validator:
        if tool.pin not in self._compiled:
            schema = exported_schema(tool)
            self._compiled[tool.pin] = jsonschema_rs.Draft202012Validator(
                schema, validate_formats=True, offline=True
            )
        return self._compiled[tool.pin]

    def faults(self, tool: Tool, arguments: Arguments) -> str | None:
        """Every path that does not fit, in one line; None if all do."""
        errors = islice(self.of(tool).iter_errors(dict(arguments)), MOST_NAMED + 1)
        found = [f"{shown(_path(error))}: {shown(error.message)}" for error in errors]
        more = "; … and more" if len(found) > MOST_NAMED else ""
        return "; ".join(found[:MOST_NAMED]) + more if found else None


async def arguments(
    call: ToolCall,
    *,
    tool: Callable[[str], Tool | None],
    closed: Callable[[Tool], str | None],
    schemas: Schemas,
) -> Verdict:
    """Unknown tools, changed tools, undeclared and wrong arguments go no further; every faulty path is named."""
    if call.unresolved is not None and call.unresolved.code not in AFTER_THE_SCHEMA:
        return call.unresolved
    pinned = tool(call.tool)
    if pinned is None or pinned.pin != call.pin:
        return Deny("arguments.tool_changed", f"{call.tool} was changed a moment ago.", "Try again.", "later")
    try:
        changed = closed(pinned)
    except IntegrationDown:
        reason = f"{call.integration} does not answer at the moment. Nothing was sent."
        return Deny("integration_down", reason, "Try again in a minute.", "later")
    if changed is not None:
        fix = "Wait until an admin has accepted the change (lockkeep catalog diff)."
        return Deny("arguments.tool_changed", changed, fix, "later")
    faults = schemas.faults(pinned, call.arguments)
    if faults is None:
        return call.unresolved or Allow()
    reason = f"The arguments do not fit {call.tool}. {faults}"
    return Deny("arguments.invalid", reason, "Correct these arguments and call again.", "changed")


def _path(error: jsonschema_rs.ValidationError) -> str:
    return ".".join(str(step) for step in error.instance_path) or "arguments"
