"""Gate `approval`, the last: did the people who must agree agree to exactly this call?"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from lockkeep.gates import demands
from lockkeep.ledger import approvals
from lockkeep.ledger.calls import basis_of, demands_of
from lockkeep.ledger.digests import bound
from lockkeep.model import Allow, Demand, Deny, Finding, RequireApproval, ToolCall, Verdict
from lockkeep.policy.bundle import PolicySet
from lockkeep.store import Row, Store


async def approval(
    call: ToolCall, findings: Sequence[Finding], *, rules: Callable[[], PolicySet | None], store: Store
) -> Verdict:
    """All demands together. Votes count only over this very call, by people who may vote now."""
    current = rules()
    if current is None:
        return Deny("policy.none_loaded", "No policy set is loaded.", retry="later")
    wanted = demands(findings)
    arguments = next(each.verdict.arguments for each in findings if isinstance(each.verdict, RequireApproval))
    people, owner = current.people.persons, current.gateway.agents.get(call.agent)
    if call.agreed is not None:
        row = store.read.one("approval_get", id=call.agreed)
        same = row is not None and row["bound"] == bound(call, arguments, basis_of(findings).rules)
        if (
            row is not None
            and same
            and row["state"] == "approved"
            and _covers(row, wanted)
            and not approvals.waits_for(store.read, row, people, call.at, owner)
        ):
            return Allow(arguments)
    return asked(call, RequireApproval(wanted, arguments), current)


def asked(call: ToolCall, wish: RequireApproval, rules: PolicySet) -> RequireApproval | Deny:
    """Whom the wish comes to ask; a no if nobody could ever agree."""
    people, wanted = rules.people.persons, wish.demands
    barred = frozenset({call.user, rules.gateway.agents.get(call.agent) or call.user})
    if _nobody(wanted, barred, people):  # those who come next are asked at once
        wanted = tuple(approvals.escalated(demand) for demand in wanted)
    if nobody := _nobody(wanted, barred, people):
        reason = f"People must agree, but nobody who may is in: {', '.join(nobody)}."
        return Deny("policy.no_approver", reason, "Tell whoever keeps people.yaml.", "no", wanted[0].rule)
    return RequireApproval(wanted, wish.arguments)


def _nobody(wanted: Sequence[Demand], barred: frozenset[str], people: approvals.People) -> tuple[str, ...]:
    """The places that nobody there is could ever fill."""
    able = approvals.eligible(wanted, people, barred)
    asked = tuple(replace(demand, confirm=False) for demand in wanted)
    return approvals.missing(asked, sorted(able), confirmed=True, people=people)


def _covers(row: Row, wanted: Sequence[Demand]) -> bool:
    """Whether everything that is demanded now was demanded when people agreed: facts may have moved since."""
    agreed = {demand.wish for demand in demands_of(row)}
    return {demand.wish for demand in wanted} <= agreed
