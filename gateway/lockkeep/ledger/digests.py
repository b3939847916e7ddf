"""The two digests of a call: `asked` finds repeats, `bound` is what people agree to. SHA-256 of RFC 8785 JSON."""

import hashlib

import rfc8785

from lockkeep.model import Arguments, Json, ToolCall


def digest(value: Json) -> str:
    """Equal for equal values, whatever the order of keys."""
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()


def asked(*, tool: str, arguments: Arguments, user: str, agent: str, run: str | None) -> str:
    return digest({"tool": tool, "arguments": dict(arguments), "user": user, "agent": agent, "run": run})


def bound(call: ToolCall, arguments: Arguments, rules: str) -> str:
    """Covers the tool as pinned, the arguments to be sent, the caller with run, and the rules for this call."""
    return digest(
        {
            "tool": call.tool,
            "arguments": dict(arguments),
            "user": call.user,
            "agent": call.agent,
            "run": call.run,
            "pin": call.pin,
            "rules": rules,
        }
    )
