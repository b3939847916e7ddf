"""Outcomes as hosts see them. Text and structured half are each complete: some hosts show only one."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mcp_types import CallToolResult, TextContent

from lockkeep.model import (
    Denied,
    Deny,
    Diverted,
    Ended,
    Failed,
    Json,
    Outcome,
    Pending,
    Succeeded,
    Unknown,
    stamp,
)

CALL = "lockkeep/call"


def answer(outcome: Outcome, url: str) -> CallToolResult:
    """The tool result for this outcome."""
    match outcome:
        case Succeeded(withheld=True):
            why = (
                f"the rule {outcome.rule} keeps it back"
                if outcome.rule
                else "it does not fit what the tool declares"
            )
            text = f"It happened, but its answer is withheld: {why}."
            return told(
                "succeeded", outcome.call, {"withheld": True, "reason": text}, text, error=not outcome.rule
            )
        case Succeeded():
            return _passed_on(outcome.result, "succeeded", outcome)
        case Failed():
            if outcome.result is not None:
                return _passed_on(outcome.result, "failed", outcome)
            facts = {"reason": outcome.reason, "next": "It was not applied. Calling again is safe."}
            return told(
                "failed",
                outcome.call,
                facts,
                f"FAILED retry=later\n{outcome.reason}\n{facts['next']}",
                error=True,
            )
        case Denied():
            return denied(outcome.deny, outcome.call)
        case Diverted():
            return _diverted(outcome)
        case Pending():
            return _pending(outcome, url)
        case Unknown():
            return _unknown(outcome)
        case Ended():
            first = f"{outcome.state.upper()} retry={'later' if outcome.state == 'expired' else 'no'}"
            next_ = (
                "It was done, and a person took it back. Do not do it again by yourself."
                if outcome.state == "undone"
                else "Nothing was sent. To ask again, repeat the call."
            )
            facts = {"reason": outcome.reason, "next": next_}
            return told(
                outcome.state, outcome.call, facts, f"{first}\n{outcome.reason}\n{facts['next']}", error=True
            )


def denied(deny: Deny, call: str | None = None) -> CallToolResult:
    """The first line is for machines, the reason for people, the fix for the agent."""
    lines = [
        f"DENIED rule={deny.name} retry={deny.retry}",
        deny.reason,
        *([f"Fix: {deny.fix}"] if deny.fix else []),
    ]
    facts = {name: value for name, value in asdict(deny).items() if value is not None}
    return told("denied", call, facts, "\n".join(lines), error=True)


def _diverted(outcome: Diverted) -> CallToolResult:
    """An end for the agent, and no fault of its own: people go on with the case."""
    whom = ", ".join(outcome.to)
    next_ = "Stop here with this case and tell whom it concerns. Do not try another way."
    facts: dict[str, Json] = {
        "to": list(outcome.to), "reason": outcome.reason, "rule": outcome.rule, "next": next_,
        **({"fix": outcome.fix} if outcome.fix else {}),
    }  # fmt: skip
    lines = [f"DIVERTED rule={outcome.rule} retry=no", outcome.reason, f"People take over: {whom}.", next_]
    return told("diverted", outcome.call, facts, "\n".join(lines), error=True)


def told(
    status: str, call: str | None, facts: Mapping[str, Json], text: str, *, error: bool
) -> CallToolResult:
    content: dict[str, Any] = {"status": status, **({"call_id": call} if call else {}), **facts}
    return CallToolResult(
        content=[TextContent(text=text)],
        structured_content=content,
        is_error=error,
        _meta=_meta(status, call, False),
    )


def plain(content: Mapping[str, Json]) -> CallToolResult:
    """A gateway tool's own answer: the text is the compact JSON of the structured part."""
    return CallToolResult(content=[TextContent(text=_compact(content))], structured_content=dict(content))


def _pending(outcome: Pending, url: str) -> CallToolResult:
    page = f"{url}/inbox/{outcome.approval}"
    whom = ", ".join(outcome.approvers) if outcome.approvers else "the person you work for"
    if outcome.confirm and outcome.approvers:
        whom += " and the person you work for"
    resume = {"tool": "lockkeep_wait", "arguments": {"approval_id": outcome.approval}}
    content = {
        "status": "pending_approval",
        "approval_id": outcome.approval,
        "call_id": outcome.call,
        "reason": " ".join(filter(None, (outcome.reason, outcome.edited))),
        "rules": list(outcome.rules),
        "approvers": list(outcome.approvers),
        "expires_at": stamp(outcome.expires_at),
        "url": page,
        "next": f"People must agree first ({whom}). Call lockkeep_wait with this approval_id, or go on with other work; "
        "the gateway runs the call itself once they agree. Do not try another way.",
        "resume": resume,
    }
    return CallToolResult(
        content=[TextContent(text=_compact(content))], structured_content=content,
        _meta=_meta("pending_approval", outcome.call, False),
    )  # fmt: skip


def _unknown(outcome: Unknown) -> CallToolResult:
    why = "It is still being executed." if outcome.executing else "It was sent, and no answer came back."
    facts = {
        "executing": outcome.executing,
        "next": "Do not repeat it. Ask lockkeep_status with this call_id in a while.",
    }
    return told(
        "unknown",
        outcome.call,
        facts,
        f"UNKNOWN retry=later\n{why}\n{facts['next']}\ncall_id: {outcome.call}",
        error=True,
    )


def _passed_on(result: Mapping[str, Json], status: str, outcome: Succeeded | Failed) -> CallToolResult:
    """The server's own answer, with our line in its `_meta`."""
    kept = {
        name: value for name, value in result.items() if name in ("content", "structuredContent", "isError")
    }
    passed = CallToolResult.model_validate({"content": [], **kept})
    if not passed.content and passed.structured_content is not None:
        passed.content = [TextContent(text=_compact(passed.structured_content))]
    passed.meta = _meta(status, outcome.call, outcome.deduplicated)
    if isinstance(outcome, Succeeded) and outcome.edited:
        passed.meta[CALL]["edited"] = outcome.edited
        passed.content = [*passed.content, TextContent(text=f"Before it ran, {outcome.edited}")]
    if outcome.flags:
        passed.meta[CALL]["flagged"] = list(outcome.flags)
    return passed


def _meta(status: str, call: str | None, again: bool) -> dict[str, Any]:
    return {CALL: {"id": call, "outcome": status, "deduplicated": again}}


def _compact(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
