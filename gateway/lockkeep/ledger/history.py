"""Recorded calls, read back for a replay: what was asked, what the rules said, what it rested on, what became of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from lockkeep.model import Amount, Json, LookedUp, moment, stamp
from lockkeep.store import Row, Tx

Word = Literal["allowed", "asks", "people", "denied"]
WORDS: tuple[Word, ...] = ("allowed", "asks", "people", "denied")
PAGE = 500
OF_PEOPLE = (
    "already_denied",
    "too_many_open_approvals",
)  # the rules asked; people could not be, or had said no
OF_VERDICT: Mapping[str, Word] = {
    "Allow": "allowed",
    "RequireApproval": "asks",
    "Divert": "people",
    "Deny": "denied",
}
NOT_RULES = ("policy.none_loaded", "arguments.tool_changed", "arguments.idempotency_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One recorded call."""

    id: str
    number: int  # the order in which calls were stored
    tool: str
    exported: str
    pin: str  # empty: nobody had accepted such a tool
    user: str
    agent: str
    host: str
    roles: frozenset[str]
    key: str | None
    run: str | None
    step: str | None
    at: datetime
    entered: datetime  # when it was stored, and took its shares
    claimed: datetime | None
    settled: datetime | None
    state: str
    generation: int
    rules: str  # digest of the rules for this call
    code: str | None  # of its denial
    by: str | None  # the rule that denied, or handed it over
    fired: tuple[str, ...]
    verdict: str | None  # of gate policy; None: it did not come so far
    approval: str | None
    approval_state: str | None
    groups: tuple[str, ...]  # who was asked
    amount: Amount | None
    arguments: Mapping[str, Json] | None  # None: the payload is deleted
    sent: Mapping[str, Json] | None
    looked_up: tuple[LookedUp, ...]  # the questions that were put, with their answers

    @property
    def word(self) -> Word | None:
        """What the rules said of it; None if something else than rules ended it."""
        if self.approval is not None and self.claimed is None:
            return "asks"
        if self.code in OF_PEOPLE:
            return "asks"
        if self.code is None:
            return OF_VERDICT.get(self.verdict or "")
        by_rules = self.code.startswith(("policy.", "arguments.")) and self.code not in NOT_RULES
        return "denied" if by_rules else None

    @property
    def decided(self) -> datetime:
        """`now` of the decision on record: a call people agreed to was decided again right before it ran."""
        return self.claimed if self.approval is not None and self.claimed is not None else self.at

    @property
    def refused_by_people(self) -> bool:
        """Whether somebody looked at it and said no, or took it back afterwards."""
        return self.approval_state == "denied" or self.code == "already_denied" or self.state == "undone"


def past_calls(tx: Tx, since: datetime) -> Iterator[Past]:
    """Every call since then, in the order they were stored, a page at a time."""
    after = 0
    while rows := tx.all("calls_past", after=after, since=stamp(since), count=PAGE):
        for row in rows:
            yield past_of(row)
        after = rows[-1]["number"]


def one(tx: Tx, call: str) -> Past | None:
    row = tx.one("call_past", id=call)
    return past_of(row) if row else None


def count(tx: Tx, since: datetime) -> int:
    row = tx.one("calls_past_count", since=stamp(since))
    return row["n"] if row else 0


def past_of(row: Row) -> Past:
    ended: dict[str, Any] = json.loads(row["deny"]) if row["deny"] else {}
    said: list[dict[str, Any]] = json.loads(row["verdicts"])
    policy: dict[str, Any] = next(
        (each for each in reversed(said) if each["gate"] == "policy"), dict[str, Any]()
    )
    facts: dict[str, Any] = json.loads(row["facts"]) if row["facts"] else {}
    amount = row["amount_minor"]
    return Past(
        id=row["id"], number=row["number"], tool=row["tool"], exported=row["exported"], pin=row["pin"], user=row["user"],
        agent=row["agent"], host=row["host"], roles=frozenset(json.loads(row["roles"])), key=row["key"], run=row["run"],
        step=row["step"], at=moment(row["at"]), entered=_entered(row), claimed=_time(row["claimed_at"]),
        settled=_time(row["settled_at"]), state=row["state"], generation=row["generation"], rules=row["rules"],
        code=None if row["state"] == "diverted" else ended.get("code"), by=ended.get("rule"),
        fired=tuple(policy.get("rules", ())), verdict=policy.get("verdict"), approval=row["approval"],
        approval_state=row["approval_state"], groups=_groups(row["demands"]),
        amount=None if amount is None else Amount(minor=amount, currency=row["currency"]),
        arguments=None if row["arguments"] is None else json.loads(row["arguments"]),
        sent=None if row["sent"] is None else json.loads(row["sent"]),
        looked_up=tuple(_looked_up(each) for each in facts.get("looked_up", ())),
    )  # fmt: skip


def _looked_up(stored: dict[str, Any]) -> LookedUp:
    return LookedUp(
        stored["question"], tuple(stored["names"]), stored["ms"], stored["answer"], stored["failed"]
    )


def _entered(row: Row) -> datetime:
    """A parked call was stored when people were first asked, any other when it was claimed or ended."""
    return moment(row["parked_at"] or row["claimed_at"] or row["settled_at"] or row["at"])


def _time(text: str | None) -> datetime | None:
    return moment(text) if text else None


def _groups(demands: str | None) -> tuple[str, ...]:
    """Everybody who was asked, as the demands named them."""
    asked: list[dict[str, Any]] = json.loads(demands) if demands else []
    named = {name for each in asked for name in (*(each["each"] or each["any_of"]), *each.get("also", ()))}
    return tuple(sorted(named | ({"requester"} if any(each["confirm"] for each in asked) else set[str]())))
