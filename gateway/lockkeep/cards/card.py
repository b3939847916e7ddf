"""What people see before they vote: the call as it would run, facts the gateway read itself, who asks, until when."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lockkeep.cards.quoted import is_cut, quoted
from lockkeep.errors import NotFound
from lockkeep.ledger import approvals, calls, delegations, edits
from lockkeep.model import Amount, Json, Person, moment
from lockkeep.policy.conditions.runtime import Money
from lockkeep.store import Row, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Everything in the order it is read. Texts are quoted already."""

    id: str
    state: str
    tool: str
    risk: str
    amount: str
    subject: str
    arguments: tuple[tuple[str, str], ...]
    rules: tuple[str, ...]
    reason: str
    requester: str
    agent: str
    host: str
    run: str
    facts: tuple[tuple[str, str], ...]
    votes: tuple[str, ...]
    waits_for: tuple[str, ...]
    asked_at: datetime
    expires_at: datetime
    bound: str
    may: tuple[str, ...]  # what this person may do: approve, deny, confirm
    cut: bool = False  # some text from outside is longer than what is shown of it
    note: str = ""
    edit: tuple[tuple[str, str], ...] = ()  # what this person may change, as it is now
    withdraws: bool = False  # whether a yes of theirs can still be taken back


def card(
    tx: Tx, approval: str, person: Person | None, people: Mapping[str, Person], owner: str | None, now: datetime | None = None
) -> Card:  # fmt: skip
    """The card of this approval for this person; NotFound if there is none."""
    row, now = approvals.find(tx, approval), now or datetime.now(UTC)
    people = delegations.seated(tx, people, now)
    call, payload = tx.one("call_get", id=row["call"]), tx.one("payload_get", call=row["call"])
    if call is None or payload is None:
        raise NotFound(f"the arguments of call {row['call']} are no longer kept")
    demands = calls.demands_of(row)
    cast = tx.all("votes_of", approval=row["id"])
    sent: Mapping[str, Json] = json.loads(payload["sent"] or payload["arguments"])
    facts: Mapping[str, Json] = json.loads(payload["facts"] or "{}").get("shown", {})
    voted = {vote["person"] for vote in cast if vote["decision"] != "withdrawn"}
    may = () if person is None else _may(tx, row, people.get(person.id, person), people, owner, voted, now)
    return Card(
        id=row["id"],
        state=row["state"],
        tool=row["tool"],
        risk=call["risk"],
        amount=_amount(call),
        subject=quoted(call["subject"] or ""),
        arguments=_pairs(sent),
        rules=tuple(demand.rule for demand in demands),
        reason=quoted(row["reason"]),
        requester=quoted(row["requester"]),
        agent=quoted(row["agent"]),
        host=quoted(call["host"]),
        run=quoted(call["run"] or ""),
        facts=_pairs(facts),
        votes=tuple(
            f"{vote['person']}: {vote['decision']}{': ' + quoted(vote['reason']) if vote['reason'] else ''}"
            for vote in cast
        ),
        waits_for=approvals.waits_for(tx, row, people, now) if row["state"] == "pending" else (),
        asked_at=moment(row["at"]),
        expires_at=moment(row["expires_at"]),
        bound=row["bound"],
        may=may,
        cut=any(
            map(
                is_cut, (row["reason"], call["subject"] or "", *sent, *sent.values(), *facts, *facts.values())
            )
        ),
        note=quoted(row["note"] or ""),
        edit=_editable(row, person, sent, may),
        withdraws=row["state"] in ("pending", "approved") and _said_yes(cast, person),
    )


def _editable(
    row: Row, person: Person | None, sent: Mapping[str, Json], may: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Who could agree may change what the rules name, and see what stands there now."""
    if person is None or "approve" not in may:
        return ()
    return tuple((name, _now(name, sent)) for name in sorted(edits.editable(row)))


def _now(name: str, sent: Mapping[str, Json]) -> str:
    minor, currency = sent.get(f"{name}_minor"), sent.get("currency")
    if name not in sent and isinstance(minor, int) and isinstance(currency, str):
        return str(Money(minor, currency))
    value = sent.get(name)
    return value if isinstance(value, str) else json.dumps(value)


def _said_yes(cast: Iterable[Row], person: Person | None) -> bool:
    return any(
        person is not None and vote["person"] == person.id and vote["decision"] in ("approve", "confirm")
        for vote in cast
    )


def _may(
    tx: Tx, row: Row, person: Person, people: Mapping[str, Person], owner: str | None, voted: set[str], now: datetime
) -> tuple[str, ...]:  # fmt: skip
    """Which buttons to show. The vote itself checks again."""
    if row["state"] not in ("pending", "approved"):
        return ()
    demands = calls.demands_of(row)
    if person.id == row["requester"]:
        asks = any(demand.confirm for demand in demands) and person.id not in voted
        confirms = asks and row["state"] == "pending"
        return ("confirm", "deny") if confirms else ("deny",)
    if approvals.barred(tx, row, person, now, people, owner):
        return ()
    return ("approve", "deny") if row["state"] == "pending" and person.id not in voted else ("deny",)


def _pairs(found: Mapping[str, Json]) -> tuple[tuple[str, str], ...]:
    return tuple((quoted(name), quoted(value)) for name, value in found.items())


def _amount(call: Row) -> str:
    if call["amount_minor"] is None:
        return ""
    amount = Amount(minor=call["amount_minor"], currency=call["currency"])
    return quoted(str(Money(amount.minor, amount.currency)))
