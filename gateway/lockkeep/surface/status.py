"""`lockkeep_status` and `lockkeep_wait`: what a caller may know of its own calls, and only of those."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from lockkeep.ledger import Ledger, calls, switches
from lockkeep.model import Denied, Diverted, Failed, Json, Outcome, Succeeded, moment, stamp
from lockkeep.store import Row, Tx

MOST = 20
NOT_YOURS = {"found": False, "next": "There is no call or approval of yours with this id."}


@dataclass(frozen=True, slots=True)
class Own:
    """Answers for one caller: same user and same agent."""

    ledger: Ledger
    user: str
    agent: str
    url: str

    @property
    def read(self) -> Tx:
        return self.ledger.store.read

    def overview(self) -> Mapping[str, Json]:
        """Open calls, open approvals and every switch that is thrown."""
        who = {"user": self.user, "agent": self.agent}
        rows = self.read.all("calls_open_of", **who, count=MOST)
        total = self.read.one("calls_open_of_count", **who)
        waiting = self.read.all("approvals_open_of", **who, count=MOST)
        more = (total["n"] if total else 0) - len(rows)
        return {
            **who,
            "calls": [self._call(row) for row in rows],
            **({"more": more} if more > 0 else {}),
            "approvals": [self._approval(row) for row in waiting],
            "switches": [
                {
                    "scope": each.scope,
                    "mode": each.mode,
                    "reason": each.reason,
                    "by": each.by,
                    "since": stamp(each.at),
                }
                for each in [*switches.by_file(self.ledger.folder), *switches.thrown(self.read)]
            ],
            "next": "Use lockkeep_wait with an approval_id to wait for people."
            if waiting
            else "Nothing waits for people.",
        }

    async def one(self, name: str, shown: Callable[[Outcome], Awaitable[Outcome]]) -> Mapping[str, Json]:
        """One call or approval of this caller; someone else's and unknown ones look alike."""
        call = self.call_of(name)
        if call is None:
            return NOT_YOURS
        outcome = await shown(calls.recorded(self.read, call))
        found = {"found": True, "kind": "approval" if name.startswith("apr") else "call", **self._call(call)}
        if call["settled_at"]:
            found |= {"at": call["settled_at"], "outcome": _told(outcome)}
        if call["state"] == "pending_approval":
            resume = {"tool": "lockkeep_wait", "arguments": {"approval_id": call["approval"]}}
            return {**found, "resume": resume, "next": "People have not decided yet."}
        return {**found, "next": "It is over." if call["settled_at"] else "It is not known yet how it ended."}

    def call_of(self, name: str) -> Row | None:
        """The row behind a call's or an approval's id, if it is this caller's."""
        approval = self.read.one("approval_get", id=name)
        row = self.read.one("call_get", id=approval["call"] if approval else name)
        return row if row is not None and (row["user"], row["agent"]) == (self.user, self.agent) else None

    def _call(self, row: Row) -> dict[str, Json]:
        said = {"id": row["id"], "tool": row["tool"], "state": row["state"], "since": row["at"]}
        return (
            said
            | ({"approval_id": row["approval"]} if row["approval"] else {})
            | ({"run_id": row["run"]} if row["run"] else {})
        )

    def _approval(self, row: Row) -> dict[str, Json]:
        groups = [group for demand in calls.demands_of(row) for group in demand.groups]
        return {
            "approval_id": row["id"], "call_id": row["call"], "tool": row["tool"], "reason": row["reason"],
            "approvers": sorted(set(groups)), "expires_at": stamp(moment(row["expires_at"])), "url": f"{self.url}/inbox/{row['id']}",
        }  # fmt: skip


def _told(outcome: Outcome) -> Json:
    if isinstance(outcome, Succeeded) and outcome.withheld:
        return {"status": "succeeded", "withheld": True}
    if isinstance(outcome, Succeeded):
        return {"status": "succeeded", "result": outcome.result.get("structuredContent")}
    if isinstance(outcome, Denied):
        return {"status": "denied", "code": outcome.deny.code, "reason": outcome.deny.reason}
    if isinstance(outcome, Diverted):
        return {"status": "diverted", "to": list(outcome.to), "reason": outcome.reason}
    return {"status": "failed", "reason": outcome.reason} if isinstance(outcome, Failed) else None
