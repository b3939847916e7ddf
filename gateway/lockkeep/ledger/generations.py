"""Policy sets in force: each activation is one row that holds the whole set."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from lockkeep.errors import Conflict, NotFound
from lockkeep.ledger import audit
from lockkeep.ledger.digests import digest
from lockkeep.model import stamp
from lockkeep.store import Row, Tx


@dataclass(frozen=True, slots=True)
class Generation:
    """A policy set as it was activated: every file's path and text."""

    id: int
    digest: str
    files: Mapping[str, str]
    by: str
    reason: str
    at: str
    observe_until: date | None = None  # the last day on which most rules only observe


@dataclass(frozen=True, slots=True)
class Proposal:
    """A policy set one person wants in force, until another agrees."""

    id: str
    after: int
    files: Mapping[str, str]
    observe_until: date | None
    by: str
    reason: str


def current(tx: Tx) -> Generation | None:
    return _generation(tx.one("generation_current"))


def get(tx: Tx, number: int) -> Generation | None:
    return _generation(tx.one("generation_get", id=number))


def newest(tx: Tx) -> int:
    row = tx.one("generation_newest")
    return row["id"] if row else 0


def activate(
    tx: Tx,
    files: Mapping[str, str],
    *,
    after: int,
    by: str,
    reason: str,
    now: datetime,
    observe_until: date | None = None,
) -> Generation:
    """The set is in force, whole, unless another one came in between."""
    number, until = after + 1, observe_until.isoformat() if observe_until else None
    done = tx.run(
        "generation_insert", id=number, digest=digest(dict(files)), content=json.dumps(dict(files)), by=by, reason=reason,
        at=stamp(now), observe_until=until,
    )  # fmt: skip
    if not done:
        raise Conflict("another policy set was activated in between")
    more = {"observe_until": until} if until else {}
    audit.append(
        tx, "policy.activated", now, policy=number, digest=digest(dict(files)), by=by, reason=reason, **more
    )
    found = get(tx, number)
    if found is None:
        raise Conflict("the activated set is not there")
    return found


def propose(tx: Tx, proposal: Proposal, now: datetime) -> None:
    """On record, and not in force: a second person has to agree."""
    until = proposal.observe_until.isoformat() if proposal.observe_until else None
    tx.run(
        "proposal_insert", id=proposal.id, after=proposal.after, content=json.dumps(dict(proposal.files)),
        digest=digest(dict(proposal.files)), observe_until=until, by=proposal.by, reason=proposal.reason, at=stamp(now),
    )  # fmt: skip
    audit.append(
        tx, "policy.proposed", now, proposal=proposal.id, digest=digest(dict(proposal.files)), by=proposal.by,
        reason=proposal.reason, observe_until=until,
    )  # fmt: skip


def proposal(tx: Tx, prefix: str) -> Proposal:
    """The open proposal whose id begins so."""
    rows = [row for row in tx.all("proposal_like", prefix=prefix) if prefix and row["state"] == "open"]
    if len(rows) != 1:
        raise NotFound(
            f"{'several open proposals begin' if rows else 'no open proposal begins'} with {prefix}"
        )
    row = rows[0]
    return Proposal(
        row["id"],
        row["after"],
        json.loads(row["content"]),
        _day(row["observe_until"]),
        row["by"],
        row["reason"],
    )


def agree(tx: Tx, wanted: Proposal, *, by: str, now: datetime) -> Generation:
    """What was proposed is in force, exactly as it was proposed."""
    if not tx.run("proposal_agree", id=wanted.id):
        raise Conflict("somebody agreed to it already")
    return activate(
        tx, wanted.files, after=wanted.after, by=f"{wanted.by}, {by}", reason=wanted.reason, now=now,
        observe_until=wanted.observe_until,
    )  # fmt: skip


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _generation(row: Row | None) -> Generation | None:
    if row is None:
        return None
    return Generation(
        row["id"], row["digest"], json.loads(row["content"]), row["by"], row["reason"], row["at"],
        _day(row["observe_until"]),
    )  # fmt: skip
