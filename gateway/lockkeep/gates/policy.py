"""Gate `policy`: what the files say. Only its Allow names what may be sent."""

from collections.abc import Callable

from lockkeep.model import Deny, Finding, Share, ToolCall
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.engine.engine import Decision, Later
from lockkeep.policy.engine.lookups import LookUps
from lockkeep.policy.rules.rule import Rule

NONE_LOADED = Deny(
    "policy.none_loaded", "No policy set is loaded, so everything is denied.", "Run lockkeep policy check and activate.", "later"
)  # fmt: skip


async def policy(
    call: ToolCall,
    *,
    rules: Callable[[], PolicySet | None],
    look_ups: Callable[[], LookUps],
    taken: Callable[[Share, str], int],
    faults: Callable[[ToolCall], str | None],
    watch: Callable[[ToolCall, Later, LookUps], None] | None = None,
    grants: Callable[[ToolCall], tuple[Rule, ...] | Deny] = lambda _: (),
) -> Finding:
    """No call goes on without an allow; deny, people and ask beat it; what cannot be judged is denied.

    `watch` takes what rules that only observe still have to read: the call does not wait for them. `grants` says who may
    take back another call: that needs no allow of its own.
    """
    current = rules()
    if current is None:
        return Finding("policy", NONE_LOADED)

    granted = grants(call) if call.undo_of is not None else ()
    if isinstance(granted, Deny):
        return Finding("policy", granted)
    facts = look_ups()

    async def decide(wanted: ToolCall, *, changes: bool) -> Decision:
        return await current.decide(
            wanted,
            facts,
            taken=lambda share: taken(share, call.id),
            telling=False,
            changes=changes,
            granted=granted,
        )

    decision = await decide(call, changes=True)
    if decision.changed is not None:
        cut = current.with_arguments(call, decision.changed)
        if wrong := cut.unresolved or _wrong(faults(cut)):
            return Finding("policy", wrong, decision.basis)
        decision = await decide(cut, changes=False)  # what is sent was judged as it is sent
    if decision.later is not None and watch is not None:
        watch(call, decision.later, facts)
    return Finding("policy", decision.verdict, decision.basis)


def _wrong(faults: str | None) -> Deny | None:
    return Deny("policy.error", f"A rule's change does not fit the tool: {faults}") if faults else None
