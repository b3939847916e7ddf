"""Approvals: who is asked, who voted, and whether that is enough. Bound to one exact call, single use, expiring."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import islice, product
from typing import Literal

from lockkeep.errors import NotFound
from lockkeep.ledger import audit, calls, delegations, limits, outbox, redaction
from lockkeep.model import Demand, Deny, Person, moment, stamp
from lockkeep.store import Row, Tx

USE_WITHIN = timedelta(minutes=15)
OPEN_PER_AGENT = 20
ASKS_PER_HOUR = 30
MOST_SEATINGS = (
    5_000  # ways to seat people who stand in for others that are tried; beyond them one more is asked
)
Decision = Literal["approve", "deny", "confirm"]
People = Mapping[str, Person]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a vote was not taken."""

    reason: str
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Voted:
    """The vote counts; `state` is the approval's state now, `waits_for` what is still missing."""

    state: str
    waits_for: tuple[str, ...] = ()


def eligible(demands: Iterable[Demand], people: People, barred: frozenset[str]) -> frozenset[str]:
    """Everybody who may vote: members of the groups asked, never the requester or the agent's owner."""
    groups = {group for demand in demands for group in demand.groups}
    return frozenset(person.id for person in people.values() if person.seats & groups) - barred


def missing(
    demands: Sequence[Demand], agreed: Iterable[str], confirmed: bool, people: People
) -> tuple[str, ...]:
    """What is still needed: group names, or `the requester's own yes`. Empty: enough people agreed."""
    voters = [people[name] for name in dict.fromkeys(agreed) if name in people]
    found: list[str] = []
    for demand in demands:
        if demand.confirm and not confirmed:
            found.append("the requester's own yes")
        found += _unfilled(demand, voters)
    return tuple(dict.fromkeys(found))


def places(demand: Demand) -> list[frozenset[str]]:
    """The places to fill, each with the groups whose members may fill it; different people fill different places."""
    also = frozenset(demand.also)
    if demand.any_of:
        return [frozenset(demand.any_of) | also] * demand.count
    extra = max(0, demand.count - len(demand.each)) if demand.each else 0
    return [frozenset({group}) | also for group in demand.each] + [frozenset(demand.each) | also] * extra


def _unfilled(demand: Demand, voters: Sequence[Person]) -> list[str]:
    """The places nobody fills. Someone in two groups, or with a lent seat beside their own, fills one, whichever helps."""
    wanted = frozenset[str]().union(*places(demand))
    options = [[(whose, seat) for whose, seat in _chairs(voter) if seat & wanted] for voter in voters]
    seatings = islice(product(*filter(None, options)), MOST_SEATINGS)
    return min((_empty(places(demand), seating) for seating in seatings), key=len)


def _chairs(person: Person) -> list[tuple[str, frozenset[str]]]:
    """On whose seat they may sit: their own, or one of those lent to them."""
    return [(person.id, person.own), *sorted(person.lent.items())]


def _empty(places: Sequence[frozenset[str]], seating: Iterable[tuple[str, frozenset[str]]]) -> list[str]:
    """The places that stay empty, by augmenting paths. A seat fills one, however many people sit on it."""
    seats: dict[str, frozenset[str]] = {}
    for whose, seat in seating:
        seats[whose] = seats.get(whose, frozenset()) | seat
    taken: dict[str, int] = {}  # seat -> place

    def fill(place: int, tried: set[str]) -> bool:
        for whose, seat in seats.items():
            if whose in tried or not seat & places[place]:
                continue
            tried.add(whose)
            if whose not in taken or fill(taken[whose], tried):
                taken[whose] = place
                return True
        return False

    return [" or ".join(sorted(groups)) for place, groups in enumerate(places) if not fill(place, set())]


def too_many(tx: Tx, agent: str, now: datetime) -> Deny | None:
    """People are not flooded: a bounded number of open questions, and of questions an hour, per agent."""
    opened = tx.one("approvals_open_count", agent=agent)
    recent = tx.one("approvals_recent_count", agent=agent, since=stamp(now - timedelta(hours=1)))
    if (opened and opened["n"] >= OPEN_PER_AGENT) or (recent and recent["n"] >= ASKS_PER_HOUR):
        reason = f"People are already asked about {opened['n'] if opened else 0} calls of this agent."
        return Deny("too_many_open_approvals", reason, "Wait until people have decided.", "later")
    return None


def ask(tx: Tx, approval: str, call: str, *, bound: str, requester: str, agent: str, tool: str,
        demands: Sequence[Demand], now: datetime, editor: str | None = None) -> None:  # fmt: skip
    """People are asked; the shortest wish decides how long."""
    tx.run(
        "approval_insert",
        id=approval, call=call, bound=bound, requester=requester, agent=agent, tool=tool, editor=editor,
        demands=json.dumps([asdict(demand) for demand in demands]), reason=reason_of(demands), at=stamp(now),
        expires_at=min(demand.ends or stamp(now + timedelta(seconds=demand.expires)) for demand in demands),
    )  # fmt: skip
    outbox.announce(tx, "approval.asked", approval, now)


def reason_of(demands: Sequence[Demand]) -> str:
    return " ".join(dict.fromkeys(demand.why for demand in demands))


def find(tx: Tx, prefix: str) -> Row:
    """The approval with this id, or the only one whose id begins so."""
    rows = tx.all("approval_like", prefix=prefix) if prefix else []
    if len(rows) != 1:
        raise NotFound(f"{'several approvals begin' if rows else 'no approval begins'} with {prefix}")
    row = tx.one("approval_get", id=rows[0]["id"])
    if row is None:
        raise NotFound(prefix)
    return row


def vote(tx: Tx, approval: str, person: Person | None, decision: Decision, *, shown: str, reason: str, channel: str,
         now: datetime, people: People, owner: str | None) -> Voted | Refusal:  # fmt: skip
    """One person's word on exactly what was shown. A refused vote is on the record, too."""
    row, people = find(tx, approval), delegations.seated(tx, people, now)
    refusal = _refused(tx, row, person, decision, shown, now, people, owner) or _wordless(
        row, decision, reason
    )
    name = person.id if person else None
    if refusal or person is None:
        refusal = refusal or Refusal("nobody is signed in")
        audit.append(
            tx, "approval.refused", now, call=row["call"], approval=row["id"], person=name, decision=decision,
            reason=refusal.reason, channel=channel,
        )  # fmt: skip
        return refusal
    tx.run(
        "vote_cast",
        approval=row["id"], person=person.id, decision=decision, bound=row["bound"], reason=reason, channel=channel,
        at=stamp(now),
    )  # fmt: skip
    audit.append(
        tx, "approval.voted", now, call=row["call"], approval=row["id"], person=person.id, decision=decision, reason=reason,
        channel=channel, bound=row["bound"],
    )  # fmt: skip
    if decision == "deny":
        return _denied(tx, row, person.id, reason, now)
    return _agreed(tx, row, people, now, owner)


def _wordless(row: Row, decision: Decision, reason: str) -> Refusal | None:
    """Some rules want to know why people agree."""
    if decision == "deny" or reason.strip() or not any(demand.reason for demand in calls.demands_of(row)):
        return None
    return Refusal("this rule wants a reason with every yes; say why")


def _refused(tx: Tx, row: Row, person: Person | None, decision: Decision, shown: str, now: datetime, people: People,
             owner: str | None) -> Refusal | None:  # fmt: skip
    if person is None:
        return Refusal(
            "only a person of people.yaml votes, with their own token or session; an agent's token does not"
        )
    if row["state"] == "approved" and decision == "deny":
        pass  # one deny ends it, until it is consumed
    elif row["state"] != "pending":
        return Refusal(f"it is already {row['state']}", conflict=True)
    if now >= moment(row["use_by"] or row["expires_at"]):
        return Refusal("it has expired", conflict=True)
    if len(shown) < 12 or not row["bound"].startswith(shown):
        return Refusal("it is not what you were shown; look at it again", conflict=True)
    demands = calls.demands_of(row)
    if decision == "confirm":
        if person.id != row["requester"] or not any(demand.confirm for demand in demands):
            return Refusal("only the requester confirms, and only where the rule asks for it")
    elif person.id == row["requester"] and decision == "deny":
        pass  # whoever asked may call it off
    elif no := barred(tx, row, person, now, people, owner):
        return Refusal(no)
    earlier = {
        cast["decision"]
        for cast in tx.all("votes_of", approval=row["id"])
        if cast["person"] == person.id and cast["decision"] != "withdrawn"
    }
    if earlier and (
        decision != "deny" or "deny" in earlier
    ):  # a no may follow a yes, until the call is claimed
        return Refusal("you have voted already", conflict=True)
    return None


def barred(tx: Tx, row: Row, person: Person, now: datetime, people: People, owner: str | None) -> str:
    """Why this person does not decide about this call, whatever they were shown; empty if they may. `people` are seated."""
    if person.id in (row["requester"], owner):
        return "nobody agrees to their own call, nor to one of their own agent"
    if person.id in _editors(tx, row):
        return "you changed this call yourself, so others agree to it"
    if person.id in _never(tx, row, now, owner):
        return "you stand in for somebody who may not agree to this call"
    if person.id not in eligible(calls.demands_of(row), people, frozenset()):
        return "you are in none of the groups that are asked"
    return ""


def _editors(tx: Tx, row: Row) -> set[str]:
    """Who changed this call, or one that it takes the place of."""
    found: set[str] = {each["editor"] for each in tx.all("editors_of", call=row["call"])}
    return found | ({row["editor"]} if row["editor"] else set[str]())


def _never(tx: Tx, row: Row, now: datetime, owner: str | None) -> frozenset[str]:
    """Whose yes counts for nothing, as of now: who asked, who owns the agent, who changed it, and who stands in for them."""
    own: set[str | None] = {row["requester"], owner, *_editors(tx, row)}
    return delegations.stand_ins(tx, own, now).union(name for name in own if name is not None)


def _denied(tx: Tx, row: Row, person: str, reason: str, now: datetime) -> Voted:
    own = person == row["requester"]
    said = reason or "No reason was given."
    deny = Deny(
        "approval.cancelled" if own else "approval.denied",
        f"{person} said no: {said}",
        "Do not ask again for the same.",
    )
    tx.run("approval_end", id=row["id"], state="cancelled" if own else "denied", at=stamp(now), note=said)
    outbox.announce(tx, "approval.decided", row["id"], now)
    changed = tx.run(
        "call_end_parked", id=row["call"], state="denied", deny=calls.told(deny), reason=redaction.text(deny.reason), verdicts=None,
        at=stamp(now),
    )  # fmt: skip
    if changed:
        limits.give_back(tx, row["call"])
        audit.append(
            tx, "approval.denied", now, call=row["call"], approval=row["id"], person=person, code=deny.code
        )
    return Voted("cancelled" if own else "denied")


def _agreed(tx: Tx, row: Row, people: People, now: datetime, owner: str | None) -> Voted:
    waits = waits_for(tx, row, people, now, owner)
    if waits:
        return Voted("pending", waits)
    if tx.run("approval_agree", id=row["id"], at=stamp(now), use_by=stamp(now + USE_WITHIN)):
        audit.append(tx, "approval.approved", now, call=row["call"], approval=row["id"], bound=row["bound"])
        outbox.announce(tx, "approval.decided", row["id"], now)
    return Voted("approved")


def withdraw(
    tx: Tx, approval: str, person: Person | None, *, reason: str, now: datetime, channel: str = "cli"
) -> Voted | Refusal:
    """A yes is taken back, until the call is claimed. After enough people had agreed, that ends it."""
    row = find(tx, approval)
    own = [
        cast["decision"]
        for cast in tx.all("votes_of", approval=row["id"])
        if person and cast["person"] == person.id
    ]
    if person is None or not own or own[0] not in ("approve", "confirm"):
        return Refusal("there is no yes of yours to take back")
    if row["state"] not in ("pending", "approved"):
        return Refusal(f"it is already {row['state']}", conflict=True)
    tx.run(
        "vote_cast", approval=row["id"], person=person.id, decision="withdrawn", bound=row["bound"], reason=reason,
        channel=channel, at=stamp(now),
    )  # fmt: skip
    audit.append(
        tx, "approval.withdrawn", now, call=row["call"], approval=row["id"], person=person.id, reason=reason
    )
    if row["state"] == "approved":
        return _revoked(tx, row, f"{person.id} took their yes back: {reason or 'no reason was given.'}", now)
    return Voted("pending")


def revoke(tx: Tx, approval: str, by: str, *, reason: str, now: datetime) -> Voted | Refusal:
    """What waits for people, or was agreed to and has not run yet, is called off."""
    row = find(tx, approval)
    if row["state"] not in ("pending", "approved"):
        return Refusal(f"it is already {row['state']}", conflict=True)
    return _revoked(tx, row, f"{by} called it off: {reason or 'no reason was given.'}", now)


def _revoked(tx: Tx, row: Row, why: str, now: datetime) -> Voted:
    if tx.run("approval_end", id=row["id"], state="revoked", at=stamp(now), note=why):
        audit.append(tx, "approval.revoked", now, call=row["call"], approval=row["id"], reason=why)
        outbox.announce(tx, "approval.decided", row["id"], now)
        end_parked(tx, row["call"], "cancelled", why, now)
    return Voted("revoked")


def waits_for(tx: Tx, row: Row, people: People, now: datetime, owner: str | None = None) -> tuple[str, ...]:
    """What is still missing, with groups, seats and the agent's owner as they are now."""
    people = delegations.seated(tx, people, now)
    cast = tx.all("votes_of", approval=row["id"])
    never = _never(tx, row, now, owner) if cast else frozenset[str]()
    agreed = [
        each["person"] for each in cast if each["decision"] == "approve" and each["person"] not in never
    ]
    confirmed = any(each["decision"] == "confirm" and each["person"] in people for each in cast)
    return missing(calls.demands_of(row), agreed, confirmed, people)


def to_escalate(tx: Tx, now: datetime) -> list[Row]:
    """Pending approvals with a step of escalation that has come."""
    return [
        row
        for row in tx.all("approvals_escalating")
        if any(at <= stamp(now) for demand in calls.demands_of(row) for at, _ in demand.steps)
    ]


def escalate(tx: Tx, now: datetime) -> None:
    """More people may fill the places; how many must agree stays as it is."""
    for row in to_escalate(tx, now):
        demands = [_escalated(demand, now) for demand in calls.demands_of(row)]
        tx.run("approval_escalate", id=row["id"], demands=json.dumps([asdict(demand) for demand in demands]))
        also = sorted({group for demand in demands for group in demand.also})
        audit.append(tx, "approval.escalated", now, call=row["call"], approval=row["id"], to=also)
        outbox.announce(tx, "approval.escalated", row["id"], now)


def _escalated(demand: Demand, now: datetime) -> Demand:
    """Every step whose time has come is made."""
    found = demand
    while found.steps and found.steps[0][0] <= stamp(now):
        found = escalated(found)
    return found


def escalated(demand: Demand) -> Demand:
    """The next step is made: its groups may fill a place, too."""
    if not demand.steps:
        return demand
    (_, groups), *later = demand.steps
    return replace(demand, also=tuple(dict.fromkeys([*demand.also, *groups])), steps=tuple(later))


def expire(tx: Tx, now: datetime) -> list[str]:
    """What people did not decide in time is denied: silence is no consent. Returns the calls."""
    ended: list[str] = []
    for row in tx.all("approvals_overdue", now=stamp(now)):
        why = (
            "Nobody decided in time."
            if row["state"] == "pending"
            else "It was agreed to, but not used in time."
        )
        tx.run("approval_end", id=row["id"], state="expired", at=stamp(now), note=why)
        outbox.announce(tx, "approval.decided", row["id"], now)
        if end_parked(tx, row["call"], "expired", why, now):
            ended.append(row["call"])
    return ended


def end_parked(tx: Tx, call: str, state: Literal["expired", "cancelled"], why: str, now: datetime) -> bool:
    """A parked call ends unsent, and its limits are free again."""
    if not tx.run(
        "call_end_parked", id=call, state=state, deny=None, reason=why, verdicts=None, at=stamp(now)
    ):
        return False
    limits.give_back(tx, call)
    audit.append(tx, "call.ended", now, call=call, outcome=state, reason=why)
    return True
