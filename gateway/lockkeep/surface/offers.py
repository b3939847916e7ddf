"""The tools as hosts see them: exported names and schemas, annotations from the accepted manifest, room for `pending`."""

from collections.abc import Mapping

from mcp_types import Tool as Offer
from mcp_types import ToolAnnotations

from lockkeep.model import Json, Tool
from lockkeep.policy.rules.rule import ToolRules

PENDING: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "status": {"const": "pending_approval"},
        "approval_id": {"type": "string"},
        "call_id": {"type": "string"},
        "reason": {"type": "string"},
        "rules": {"type": "array", "items": {"type": "string"}},
        "approvers": {"type": "array", "items": {"type": "string"}},
        "expires_at": {"type": "string"},
        "url": {"type": "string"},
        "next": {"type": "string"},
        "resume": {"type": "object"},
    },
    "required": ["status", "approval_id"],
}
NOT_DONE: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "status": {"enum": ["denied", "diverted", "failed", "unknown", "expired", "cancelled", "succeeded"]},
        "reason": {"type": "string"},
    },
    "required": ["status"],
}
SERVER_ERROR: Mapping[str, Json] = {"type": "object", "required": ["error"]}
WAIT = Offer(
    name="lockkeep_wait",
    title="Wait for people",
    description="Waits until people have decided about a call that is pending approval, and returns the call's own result.",
    input_schema={
        "type": "object",
        "properties": {
            "approval_id": {"type": "string", "description": "From the pending answer."},
            "max_wait_s": {"type": "number", "minimum": 0, "maximum": 45, "default": 25},
        },
        "required": ["approval_id"],
        "additionalProperties": False,
    },
    annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
)
STATUS = Offer(
    name="lockkeep_status",
    title="What is open",
    description="Shows your open calls and approvals, or one of them by its id, and whether anything is stopped.",
    input_schema={
        "type": "object",
        "properties": {"id": {"type": "string", "description": "A call or approval of yours."}},
        "additionalProperties": False,
    },
    annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
)


def offer(tool: Tool, schema: Mapping[str, Json], rules: ToolRules) -> Offer:
    """One governed tool as hosts see it."""
    can_be_held = not tool.reads or any(rule.kind == "ask" for rule in rules.rules)
    return Offer(
        name=tool.exported,
        title=tool.title,
        description=tool.description,
        input_schema=dict(schema),
        output_schema=_output(tool, can_be_held)
        if not rules.shown or tool.output is None
        else {"type": "object"},
        annotations=_annotations(tool),
    )


def _output(tool: Tool, can_be_held: bool) -> dict[str, Json] | None:
    """The pinned output or one of the gateway's own answers; none where they cannot stand side by side.

    The TypeScript SDK holds errors against this schema, too: a denial that did not fit would reach no model.
    """
    if tool.output is None:
        return None
    original = dict(tool.output)
    if original.get("type") != "object" or _points_elsewhere(original):
        return None
    shared = {key: original.pop(key) for key in ("$defs", "$schema") if key in original}
    held = [dict(PENDING)] if can_be_held else []
    return {**shared, "type": "object", "anyOf": [original, *held, dict(NOT_DONE), dict(SERVER_ERROR)]}


def _points_elsewhere(schema: Json) -> bool:
    if isinstance(schema, dict):
        reference = schema.get("$ref", "#/$defs/")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        return not str(reference).startswith("#/$defs/") or any(map(_points_elsewhere, schema.values()))  # pyright: ignore[reportUnknownArgumentType]
    return isinstance(schema, list) and any(map(_points_elsewhere, schema))  # pyright: ignore[reportUnknownArgumentType]


def _annotations(tool: Tool) -> ToolAnnotations:
    """From the manifest's class; the server's own word counts only where it is the more careful one."""
    said = tool.annotations
    destructive = (
        tool.risk in ("money", "irreversible", "customer_visible") or said.get("destructiveHint") is not False
    )
    return ToolAnnotations(
        title=tool.title,
        read_only_hint=tool.reads,
        destructive_hint=False if tool.reads or tool.risk == "note" else destructive,
        idempotent_hint=bool(said.get("idempotentHint")),
        open_world_hint=said.get("openWorldHint") is not False,
    )
