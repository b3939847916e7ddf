"""Gate `policy`: what the files say. Only its Allow names what may be sent."""

from collections.abc import Callable

from lockkeep.model import Deny, Finding, ToolCall
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.engine import LookUp


async def policy(call: ToolCall, *, rules: Callable[[], PolicySet | None], look_up: LookUp) -> Finding:
    """No call goes on without an allow; deny beats ask beats allow; what cannot be judged is denied."""
    current = rules()
    if current is None:
        reason = "No policy set is loaded, so everything is denied."
        return Finding(
            "policy", Deny("policy.none_loaded", reason, "Run lockkeep policy check and activate.", "later")
        )
    decision = await current.decide(call, look_up)
    return Finding("policy", decision.verdict, decision.basis)
