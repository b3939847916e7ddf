"""A call that waits for people, over a store of its own, without a gateway: asked, voted on, lent, edited at any time."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from lockkeep.ledger import Ledger, approvals, delegations, digests, edits, generations
from lockkeep.ledger.approvals import Decision, Refusal, Voted
from lockkeep.ledger.edits import Edited
from lockkeep.model import Basis, Claim, Demand, Finding, Outcome, Pending, Person, RequireApproval, ToolCall
from lockkeep.store import Row, Store

NOON = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
GROUPS = {
    "ana": "staff",
    "bo": "lead",
    "cy": "lead finance",
    "dee": "finance",
    "eve": "lead",
    "olga": "lead finance",
}
PEOPLE: Mapping[str, Person] = {
    name: Person(id=name, groups=frozenset(groups.split()), roles=frozenset())
    for name, groups in GROUPS.items()
}
BOTH = Demand(rule="both", each=("lead", "finance"), expires=3600.0, edit=("text",))
LEAD = Demand(rule="lead", each=("lead",), expires=3600.0, edit=("text",))


class Council:
    """Everybody who could decide, one ledger, and a clock that stands until it is set."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.now, self.people, self.store = NOON, dict(PEOPLE), store
        self._numbers = count(1)
        self.ledger = Ledger(store, folder=folder, clock=lambda: self.now, new_id=self._id)

    def _id(self, kind: str) -> str:
        return f"{kind}_{next(self._numbers)}"

    def call(self, text: str = "x", **changes: Any) -> ToolCall:
        """The next call, of ana's robot, whose owner is olga."""
        call = ToolCall(
            id=self._id("call"), tool="shop.write", exported="shop_write", operation="shop.write", integration="shop",
            risk="write", pin="pin", arguments={"text": text}, user="ana", agent="robot", host="h", roles=frozenset(),
            at=self.now, generation=1,
            asked=digests.asked(tool="shop.write", arguments={"text": text}, user="ana", agent="robot", run=None),
        )  # fmt: skip
        return replace(call, **changes)

    async def park(self, call: ToolCall, *demands: Demand) -> str:
        """People are asked; the approval's id."""
        wish = RequireApproval(demands, call.arguments)
        parked = await self.ledger.close(
            call,
            wish,
            [Finding("policy", wish, Basis(generation=1, fired=tuple(each.rule for each in demands)))],
        )
        assert isinstance(parked, Pending), parked
        return parked.approval

    def row(self, approval: str) -> Row:
        return approvals.find(self.store.read, approval)

    def state(self, approval: str) -> str:
        return str(self.row(approval)["state"])

    async def vote(
        self, approval: str, person: str, decision: Decision = "approve", *, owner: str | None = "olga"
    ) -> Voted | Refusal:
        return await self.store.write(
            lambda tx: approvals.vote(
                tx, approval, self.people.get(person), decision, shown=self.row(approval)["bound"], reason="r",
                channel="test", now=self.now, people=self.people, owner=owner,
            )
        )  # fmt: skip

    async def withdraw(self, approval: str, person: str) -> Voted | Refusal:
        return await self.store.write(
            lambda tx: approvals.withdraw(tx, approval, self.people[person], reason="r", now=self.now)
        )

    async def edit(self, approval: str, person: str, text: str) -> Edited | Refusal:
        successor = self._id("call")
        return await self.store.write(
            lambda tx: edits.edit(
                tx, approval, self.people[person], {"text": text}, successor=successor, shown=self.row(approval)["bound"],
                now=self.now, people=self.people, owner="olga",
            )
        )  # fmt: skip

    async def lend(
        self, who: str, to: str, groups: Sequence[str] = (), *, hours: float = 24.0, begins: float = 0.0
    ) -> int:
        starts = self.now + timedelta(hours=begins)
        return await self.store.write(
            lambda tx: delegations.lend(
                tx, self.people[who], to, groups=groups, starts=starts, ends=self.now + timedelta(hours=hours), reason="r",
                people=self.people, now=self.now,
            )
        )  # fmt: skip

    def waits_for(self, approval: str, owner: str | None = "olga") -> tuple[str, ...]:
        return approvals.waits_for(self.store.read, self.row(approval), self.people, self.now, owner)

    async def claim(self, call: ToolCall, approval: str) -> Claim | Outcome | None:
        """As the worker claims it after the gates of now said yes again."""
        agreed, basis = replace(call, agreed=approval), Basis(generation=1)
        return await self.ledger.claim(
            agreed, call.arguments, [Finding("approval", RequireApproval((), {}), basis)]
        )


@contextmanager
def council(folder: Path) -> Generator[Council]:
    store = Store(folder / "x.db")
    store.write_now(lambda tx: generations.activate(tx, {}, after=0, by="t", reason="t", now=NOON))
    try:
        yield Council(store, folder)
    finally:
        store.close()
