"""Gate `policy`: what the files say. Only its Allow names what may be sent."""

from collections.abc import Callable, Mapping

from lockkeep.model import Deny, Finding, Share, ToolCall
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.conditions.runtime import Value
from lockkeep.policy.engine.engine import Decision, LookUp

NONE_LOADED = Deny(
    "policy.none_loaded", "No policy set is loaded, so everything is denied.", "Run lockkeep policy check and activate.", "later"
)  # fmt: skip


async def policy(
    call: ToolCall,
    *,
    rules: Callable[[], PolicySet | None],
    look_up: LookUp,
    taken: Callable[[Share, str], int],
    faults: Callable[[ToolCall], str | None],
    given: Callable[[ToolCall], Mapping[str, Value] | None] = lambda _: None,
) -> Finding:
    """No call goes on without an allow; deny, people and ask beat it; what cannot be judged is denied.

    `given` are answers that were recorded with a past call, in place of look-ups.
    """
    current = rules()
    if current is None:
        return Finding("policy", NONE_LOADED)

    async def decide(wanted: ToolCall, *, changes: bool) -> Decision:
        return await current.decide(
            wanted, look_up, given(wanted), taken=lambda share: taken(share, call.id), telling=False, changes=changes
        )  # fmt: skip

    decision = await decide(call, changes=True)
    if decision.changed is None:
        return Finding("policy", decision.verdict, decision.basis)
    cut = current.with_arguments(call, decision.changed)
    if wrong := cut.unresolved or _wrong(faults(cut)):
        return Finding("policy", wrong, decision.basis)
    again = await decide(cut, changes=False)  # that answer stands: what is sent was judged as it is sent
    return Finding("policy", again.verdict, again.basis)


def _wrong(faults: str | None) -> Deny | None:
    return Deny("policy.error", f"A rule's change does not fit the tool: {faults}") if faults else None
