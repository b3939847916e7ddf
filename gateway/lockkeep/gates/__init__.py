"""The checks of the pipeline: one file, one gate, one async function from a call to a verdict."""

import logging
from collections.abc import Awaitable, Callable, Sequence

import anyio

from lockkeep.model import Allow, Demand, Deny, Divert, Finding, RequireApproval, ToolCall, Verdict

logger = logging.getLogger(__name__)
LIMIT = 120.0  # seconds; what a gate asks of others has shorter limits of its own
Gate = Callable[[ToolCall], Awaitable[Verdict | Finding]]
Approval = Callable[[ToolCall, Sequence[Finding]], Awaitable[Verdict]]


async def hear(gate: str, said: Awaitable[Verdict | Finding]) -> Finding:
    """What the gate said; one that raises, hangs, or says no verdict denies."""
    try:
        with anyio.fail_after(LIMIT):
            verdict = _verdict(await said)
    except Exception:
        logger.exception("gate %s failed", gate)
        reason = f"The gate {gate} could not decide. Nothing was sent."
        return Finding(
            gate,
            Deny("gate_failed", reason, "Try again; tell whoever runs the gateway if it stays.", "later"),
        )
    return verdict if isinstance(verdict, Finding) else Finding(gate, verdict)


def _verdict(said: Verdict | Finding) -> Verdict | Finding:
    """The same; a gate that says anything else has not decided."""
    verdict = said.verdict if isinstance(said, Finding) else said
    if not isinstance(verdict, Allow | Deny | Divert | RequireApproval):  # pyright: ignore[reportUnnecessaryIsInstance] - a gate may be wrong
        raise TypeError(type(verdict).__name__)
    return said


def demands(findings: Sequence[Finding]) -> tuple[Demand, ...]:
    """Every wish for people, of all gates together."""
    return tuple(
        demand
        for finding in findings
        if isinstance(finding.verdict, RequireApproval)
        for demand in finding.verdict.demands
    )


def decision(findings: Sequence[Finding]) -> Verdict:
    """Deny > people > ask > allow. People's wishes are met only by the approval gate's plain Allow."""
    last = findings[-1]
    if isinstance(last.verdict, Deny | Divert) or last.gate == "approval":
        return last.verdict
    allows = [finding.verdict for finding in findings if isinstance(finding.verdict, Allow)]
    named = [allow for allow in allows if allow.arguments is not None]
    if demands(findings) or not named:
        return Deny("gate_failed", "The gates did not come to a decision. Nothing was sent.", retry="later")
    return named[-1]
