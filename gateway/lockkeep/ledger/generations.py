"""Policy sets in force: each activation is one row that holds the whole set."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lockkeep.errors import Conflict
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


def current(tx: Tx) -> Generation | None:
    return _generation(tx.one("generation_current"))


def get(tx: Tx, number: int) -> Generation | None:
    return _generation(tx.one("generation_get", id=number))


def newest(tx: Tx) -> int:
    row = tx.one("generation_newest")
    return row["id"] if row else 0


def activate(
    tx: Tx, files: Mapping[str, str], *, after: int, by: str, reason: str, now: datetime
) -> Generation:
    """The set is in force, whole, unless another one came in between."""
    number = after + 1
    done = tx.run(
        "generation_insert", id=number, digest=digest(dict(files)), content=json.dumps(dict(files)), by=by, reason=reason,
        at=stamp(now),
    )  # fmt: skip
    if not done:
        raise Conflict("another policy set was activated in between")
    audit.append(tx, "policy.activated", now, policy=number, digest=digest(dict(files)), by=by, reason=reason)
    found = get(tx, number)
    if found is None:
        raise Conflict("the activated set is not there")
    return found


def _generation(row: Row | None) -> Generation | None:
    if row is None:
        return None
    return Generation(
        row["id"], row["digest"], json.loads(row["content"]), row["by"], row["reason"], row["at"]
    )
