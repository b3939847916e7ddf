"""What a manifest says of a queue: what the gateway asks its tool, and what in the answer shows that it was done.

`queue: {with: {paused: =args.paused, reason: =args.reason}, applied: result.paused == args.paused}`
"""

from collections.abc import Mapping

import jsonschema_rs

from lockkeep.model import Json, Tool, is_object
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.runtime import EvalError, shown
from lockkeep.policy.positions import nearest
from lockkeep.policy.rules.manifest import condition, filled, judge

KEYS = ("with", "applied")
LONGEST_REASON = 500
EXAMPLE = "queue: {with: {paused: =args.paused, reason: =args.reason}}"
Said = Mapping[str, Json]


def entry(tool: Tool) -> Mapping[str, Json] | None:
    """What the manifest of this tool says of a queue; None if it holds none."""
    found: Json = tool.effect.get("queue")
    return found if is_object(found) else None


def said(*, paused: bool, reason: str) -> Said:
    """What `args` are in a queue's expressions."""
    return {"paused": paused, "reason": reason[:LONGEST_REASON]}


def arguments(tool: Tool, args: Said) -> Mapping[str, Json]:
    """What the tool is asked."""
    found = filled((entry(tool) or {}).get("with"), {"args": args})
    return found if is_object(found) else {}


def shows(tool: Tool, args: Said, answer: Json) -> bool:
    """Whether the answer shows that it was done. Without `applied`, every answer that is no error does."""
    applied: Json = (entry(tool) or {}).get("applied")
    return applied is None or (isinstance(applied, str) and judge(applied, {"args": args, "result": answer}))


def check(tool: Tool) -> None:
    """What the gateway will ask in an emergency fits the tool now; raises Unreadable if it does not."""
    if tool.effect.get("queue") is None:
        return
    queue = entry(tool)
    if queue is None or not is_object(queue.get("with")):
        raise Unreadable(0, "queue is {with: {argument: value}}", EXAMPLE)
    for key in queue:
        if key not in KEYS:
            raise Unreadable(0, f"queue has no key '{shown(key)}'", nearest(key, KEYS))
    _readable(queue.get("applied"))
    for paused in (True, False):
        _fits(tool, said(paused=paused, reason="x" * LONGEST_REASON))


def _readable(applied: Json) -> None:
    if applied is None:
        return
    if not isinstance(applied, str):
        raise Unreadable(0, "queue.applied is an expression", "applied: result.paused == args.paused")
    condition(applied, ("args", "result"))


def _fits(tool: Tool, args: Said) -> None:
    known = f"{tool.server_name} takes {', '.join(tool.input.get('properties', {})) or 'no arguments'}"
    try:
        given = arguments(tool, args)
    except EvalError as error:
        raise Unreadable(0, f"queue.with cannot be worked out: {error.message}", EXAMPLE) from None
    schema = jsonschema_rs.validator_for(dict(tool.input), offline=True, mask="it")
    for error in schema.iter_errors(dict(given)):
        at = ".".join(("queue.with", *map(str, error.instance_path)))
        raise Unreadable(0, f"{shown(at)} does not fit the input schema: {shown(error.message)}", known)
