"""A press of a button becomes a vote: by the person the account belongs to, on exactly what was shown, once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from lockkeep.cards.card import card
from lockkeep.ledger import Ledger, approvals, audit, outbox
from lockkeep.ledger.approvals import Decision, Refusal, Voted
from lockkeep.model import Person
from lockkeep.notify.buttons import read_value
from lockkeep.notify.notices import why_link_only
from lockkeep.notify.port import Press
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.inforce import InForce
from lockkeep.store import Row, Tx

UNKNOWN = "Your account {account} belongs to nobody in people.yaml, so this is no vote. Ask who runs the gateway to add it to your accounts there."
FOREIGN = "Buttons count only in the workspace your account is from. Decide in the inbox."
CHANGED = "This message is out of date, or was not written by the gateway. Decide in the inbox."


@dataclass(frozen=True)
class Votes:
    """The only way from a channel to the ledger."""

    ledger: Ledger
    in_force: InForce
    clock: Callable[[], datetime]

    async def cast(self, press: Press) -> str:
        """What to tell who pressed; nothing if this press was heard before."""
        self.in_force.refresh()
        rules = self.in_force.current
        if rules is None:
            return "The gateway has no rules in force; nothing is decided."
        said, call = await self.ledger.store.write(lambda tx: self._cast(tx, press, rules))
        if call:
            self.ledger.events.settled(call)
        return said

    def _cast(self, tx: Tx, press: Press, rules: PolicySet) -> tuple[str, str]:
        now, value = self.clock(), read_value(press.value)
        if not outbox.first_time(tx, press.envelope, now):
            return "", ""
        row = tx.one("approval_get", id=value[0]) if value else None
        person = rules.people.accounts.get(press.account)
        no = _no(tx, press, rules, row, known=person is not None)
        if no or row is None or value is None:
            _refused(tx, press, person, row, no or CHANGED, now)
            return no or CHANGED, ""
        decision: Decision = "approve" if press.decision == "approve" else "deny"
        voted = approvals.vote(
            tx, row["id"], person, decision, shown=value[1], reason="", channel=press.channel, now=now,
            people=rules.people.persons, owner=rules.gateway.agents.get(row["agent"]),
        )  # fmt: skip
        return _told(voted, decision, row["tool"]), "" if isinstance(voted, Refusal) else row["call"]


def _refused(tx: Tx, press: Press, person: Person | None, row: Row | None, no: str, now: datetime) -> None:
    """A press that is no vote is on the record, too."""
    audit.append(
        tx, "approval.refused", now, call=row["call"] if row else None, approval=row["id"] if row else None,
        person=person.id if person else None, account=press.account[:100], decision=press.decision, reason=no,
        channel=press.channel,
    )  # fmt: skip


def _told(voted: Voted | Refusal, decision: Decision, tool: str) -> str:
    """What only who pressed reads."""
    if isinstance(voted, Refusal):
        return f"Your vote was not taken: {voted.reason}."
    missing = f" Still needed: {', '.join(voted.waits_for)}." if voted.waits_for else ""
    return f"Your {'yes' if decision == 'approve' else 'no'} is taken: {tool} is {voted.state}.{missing}"


def _no(tx: Tx, press: Press, rules: PolicySet, row: Row | None, *, known: bool) -> str:
    """Why this press is no vote, whatever the ledger would say of it."""
    if not known:
        return UNKNOWN.format(account=press.account[:100])
    if press.foreign:
        return FOREIGN
    if row is None:
        return CHANGED
    if row["state"] not in ("pending", "approved"):
        return ""  # the ledger says that it is over
    shown = card(tx, row["id"], None, rules.people.persons, None)
    why = why_link_only(tx, row, shown)
    return f"This is decided in the inbox: {why}." if why else ""
