"""Why a call is decided as it is: every entry of its tool, every look-up with its age, and what limits hold."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from lockkeep.model import Deny, Divert, Json, RequireApproval, Share, ToolCall, Verdict
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.conditions.runtime import Money, Table
from lockkeep.policy.engine.combining import MILLION
from lockkeep.policy.engine.engine import Decision
from lockkeep.policy.replay.replay import word_of
from lockkeep.policy.rules.rule import Counted, Rule

SAID = {"true": "fired"}  # as people say it
UNHEARD = "it was decided without it"


@dataclass(frozen=True)
class Explained:
    """One decision with everything that is told about it."""

    call: ToolCall
    rules: PolicySet
    decision: Decision
    verdict: Verdict  # after limits
    sent: Mapping[str, Json] | None  # the arguments after changes, if any were changed
    held: Mapping[tuple[str, str], int]  # of each share: what others hold of its limit
    failed: Mapping[str, str]  # what the integrations said where a look-up failed, by tool
    read_at: datetime | None  # when the answers were read; None: they were given

    @property
    def entries(self) -> list[dict[str, Json]]:
        """Every entry of the tool, in the order of the files."""
        heard = {each.rule: each for each in self.decision.heard}
        found: list[dict[str, Json]] = []
        for rule in self.rules.rules_of(self.call.tool).rules:
            said = heard.get(rule.id)
            found.append(
                {
                    "rule": rule.id, "kind": rule.kind, "said": SAID.get(said.said, said.said) if said else "not needed",
                    "why": (said.why if said else UNHEARD) or _always(rule, said.said if said else ""),
                    "place": str(rule.place),
                }
            )  # fmt: skip
        return found

    @property
    def lookups(self) -> list[dict[str, Json]]:
        """Every look-up the tool's entries know: answered, failed, or not read."""
        read = {name: each for each in self.decision.basis.looked_up for name in each.names}
        found: list[dict[str, Json]] = []
        for (file, own), lookup in sorted(self.rules.rules_of(self.call.tool).lookups.items()):
            each = read.get(f"{file}/{own}")
            why = self.failed.get(lookup.tool, each.failed) if each and each.failed else ""
            said = "not read" if each is None else "failed" if why else "answered"
            at = self.read_at.isoformat(timespec="seconds") if self.read_at and said == "answered" else None
            found.append(
                {"lookup": f"{file}/{own}", "tool": lookup.tool, "said": said, "read_at": at, "why": why}
            )
        return found

    @property
    def limits(self) -> list[dict[str, Json]]:
        return [
            {
                "rule": share.rule, "limit": share.text, "held_by_others": self.held.get((share.rule, share.key), 0),
                "takes": share.units, "most": share.most,
            }
            for share in self.decision.basis.shares
        ]  # fmt: skip

    def as_data(self) -> dict[str, Json]:
        verdict = self.verdict
        return {
            "tool": self.call.tool, "user": self.call.user, "agent": self.call.agent, "verdict": type(verdict).__name__,
            "word": word_of(verdict), "rule": getattr(verdict, "rule", None), "code": getattr(verdict, "code", None),
            "detail": str(verdict), "reason": reason_of(verdict), "policy": self.rules.generation, "rules": self.entries,
            "lookups": self.lookups, "sent": dict(self.sent) if self.sent is not None else None, "limits": self.limits,
        }  # fmt: skip

    def head(self) -> list[str]:
        """The verdict in words."""
        call, verdict = self.call, self.verdict
        under = (
            f"under policy generation {self.rules.generation}"
            if self.rules.generation
            else "under these files"
        )
        lines = [f"{call.tool} for {call.user} with {call.agent}: {_word(verdict)}, {under}"]
        reason = reason_of(verdict)
        return [*lines, reason] if reason else lines

    def tail(self, age: Callable[[datetime], str]) -> list[str]:
        """Look-ups, changes and limits; nothing about what there is none of."""
        lines = ["", "look-ups"] if self.lookups else []
        for each in self.lookups:
            when = f", read {age(self.read_at)} ago" if self.read_at and each["said"] == "answered" else ""
            why = f": {each['why']}" if each["why"] else ""
            lines.append(f"  {each['lookup']} ({each['tool']}): {each['said']}{when}{why}")
        if self.sent is not None:
            lines += ["", "changed before it is sent"]
            lines += [
                f"  {name}: {self.call.arguments.get(name)} → {value}"
                for name, value in self.sent.items()
                if value != self.call.arguments.get(name)
            ]
        if self.limits:
            lines += ["", "limits"]
            lines += [self._limit(share) for share in self.decision.basis.shares]
        return lines

    def _limit(self, share: Share) -> str:
        held = self.held.get((share.rule, share.key), 0)
        of = {rule.id: rule.counted for rule in self.rules.rules_of(self.call.tool).rules}[share.rule]
        held_, most, takes = (_units(of, share, number) for number in (held, share.most, share.units))
        return f"  {share.text}: others hold {held_} of {most}, this takes {takes} ({share.rule})"


def reason_of(verdict: Verdict) -> str:
    if isinstance(verdict, RequireApproval):
        return " ".join(dict.fromkeys(demand.why for demand in verdict.demands if demand.why))
    return verdict.reason if isinstance(verdict, Deny | Divert) else ""


def _units(counted: Counted | None, share: Share, number: int) -> str:
    """Money, a sum of a field, or a number of calls, as people write it."""
    if counted is not None and isinstance(counted.most, Money | Table):
        return str(Money(number, json.loads(share.key)[-1]))
    return f"{number / MILLION:g}" if counted is not None and counted.of is not None else f"{number:,}"


def full(shares: tuple[Share, ...], held: Mapping[tuple[str, str], int]) -> Deny | None:
    """The first limit that has no room for this call."""
    for share in shares:
        if held.get((share.rule, share.key), 0) + share.units > share.most and not share.over:
            return Deny("policy.limit", f"The limit is reached: {share.text}.", "", "changed", share.rule)
    return None


def _always(rule: Rule, said: str) -> str:
    return "it has no conditions" if said == "true" and not rule.when and not rule.unless else ""


def _word(verdict: Verdict) -> str:
    if isinstance(verdict, RequireApproval):
        groups = dict.fromkeys(group for demand in verdict.demands for group in demand.groups)
        own = ["the requester"] if any(demand.confirm for demand in verdict.demands) else []
        return f"asks {', '.join([*groups, *own])}"
    if isinstance(verdict, Divert):
        return f"people take over ({', '.join(verdict.to)}), by {verdict.rule}"
    return f"denied by {verdict.name}" if isinstance(verdict, Deny) else "allowed"
