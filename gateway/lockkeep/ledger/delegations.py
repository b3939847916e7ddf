"""Standing in: one person lets another sit on their seat for a while. It never chains, and gives no more than one has."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from lockkeep.errors import Conflict, NotAllowed, NotFound
from lockkeep.ledger import audit
from lockkeep.model import Person, stamp
from lockkeep.store import Tx

People = Mapping[str, Person]


def lend(
    tx: Tx, who: Person, stand_in: str, *, groups: Sequence[str], starts: datetime, ends: datetime, reason: str, people: People,
    now: datetime,
) -> int:  # fmt: skip
    """`who` lets somebody else decide in their place. Returns its number."""
    if stand_in == who.id or stand_in not in people:
        raise NotFound(f"nobody else in people.yaml is called '{stand_in}'")
    if foreign := sorted(set(groups) - who.groups):
        raise NotAllowed(f"{who.id} is not in {', '.join(foreign)}, and nobody lends a seat they do not have")
    if ends <= starts or ends <= now:
        raise Conflict("it would end before it begins, or has ended already")
    row = tx.one(
        "delegation_add", who=who.id, stand_in=stand_in, groups=json.dumps(sorted(groups)), starts=stamp(starts),
        ends=stamp(ends), reason=reason, at=stamp(now),
    )  # fmt: skip
    number: int = row["id"] if row else 0
    audit.append(
        tx, "delegation.made", now, delegation=number, person=who.id, stand_in=stand_in, groups=sorted(groups),
        starts=stamp(starts), ends=stamp(ends), reason=reason,
    )  # fmt: skip
    return number


def take_back(tx: Tx, number: int, by: str, *, anybodys: bool, now: datetime) -> None:
    """It ends now: by the one who lent the seat, or by whoever may do so for everybody."""
    row = tx.one("delegation_get", id=number)
    if row is None:
        raise NotFound(f"delegation {number}")
    if row["who"] != by and not anybodys:
        raise NotAllowed(f"only {row['who']} takes this back")
    if not tx.run("delegation_revoke", id=number, at=stamp(now)):
        raise Conflict("it was taken back already")
    audit.append(tx, "delegation.revoked", now, delegation=number, by=by)


def seated(tx: Tx, people: People, now: datetime) -> People:
    """Everybody with the seats that are lent to them as of now: the lender's own, never those lent to the lender."""
    lent: dict[str, dict[str, frozenset[str]]] = {}
    for row in tx.all("delegations_now", now=stamp(now)):
        lender, stand_in = people.get(row["who"]), row["stand_in"]
        if lender is None or stand_in not in people:
            continue
        named: list[str] = json.loads(row["groups"])
        of = lent.setdefault(stand_in, {})
        of[lender.id] = of.get(lender.id, frozenset()) | (lender.groups & set(named) if named else lender.own)
    if not lent:
        return people
    return {**people, **{name: replace(people[name], lent=seats) for name, seats in lent.items()}}


def stand_ins(tx: Tx, of: Iterable[str | None], now: datetime) -> frozenset[str]:
    """Who stands in for any of these people as of now."""
    names = {name for name in of if name is not None}
    return frozenset(
        row["stand_in"] for row in tx.all("delegations_now", now=stamp(now)) if row["who"] in names
    )
