"""What a replay found, for people and for machines: always in the same order, what opens a door first."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from lockkeep.errors import BadSetting
from lockkeep.ledger.history import WORDS, Past, Word
from lockkeep.model import Amount, Deny, Divert, Json, RequireApproval
from lockkeep.policy.conditions.runtime import Money
from lockkeep.policy.replay.replay import Again, Lack

FIRST: tuple[tuple[Word, Word], ...] = (
    ("denied", "allowed"), ("asks", "allowed"), ("allowed", "denied"), ("allowed", "asks"),
)  # fmt: skip
TO_PEOPLE: tuple[tuple[Word, Word], ...] = (("allowed", "people"), ("asks", "people"), ("denied", "people"))
REST: tuple[tuple[Word, Word], ...] = tuple(
    (was, word) for was in WORDS for word in WORDS if was != word and (was, word) not in (*FIRST, *TO_PEOPLE)
)
LACKS: Mapping[Lack, str] = {
    "payload-deleted": "its arguments were deleted",
    "tool-unknown": "these rules know no such tool",
    "look-up-not-read": "needs a fact that was never read then",
    "schema-changed": "the tool takes other arguments by now",
    "arguments-not-kept": "its arguments were too odd to be kept",
}
MOST = 20  # of a list that need not be whole
CONDITION = re.compile(r"(?:([a-z]+) *(?:->|→) *([a-z]+)|([a-z-]+)) *(>=|<=|==|!=|>|<) *([0-9]{1,9})")
COMPARE: Mapping[str, Callable[[int, int], bool]] = {
    ">": lambda a, b: a > b, ">=": lambda a, b: a >= b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
}  # fmt: skip
SINGLE = ("to-people", "refused-by-people", "other-people", "other-arguments", "not-replayable")


@dataclass(frozen=True)
class Threshold:
    """`denied->allowed > 0`: what makes a replay fail."""

    text: str
    was: Word | None
    word: Word | None
    name: str
    op: str
    number: int


@dataclass
class Report:
    """Counts of everything, and every call whose verdict differs."""

    since: datetime
    zone: ZoneInfo
    calls: int = 0
    same: int = 0
    otherwise: Counter[str] = field(
        default_factory=Counter[str]
    )  # ended by something else than rules, by code
    changed: dict[tuple[Word, Word], list[Again]] = field(
        default_factory=dict[tuple[Word, Word], list[Again]]
    )
    refused: list[Again] = field(
        default_factory=list[Again]
    )  # people said no, or took it back; it would pass now
    others: list[Again] = field(default_factory=list[Again])  # asked then and now, but not the same people
    cut: list[Again] = field(default_factory=list[Again])  # allowed then and now, with other arguments
    lacking: dict[Lack, list[Past]] = field(default_factory=dict[Lack, list[Past]])

    def add(self, again: Again) -> None:
        past, was = again.past, again.past.word
        if past.at < self.since:
            return  # it only filled limits
        self.calls += 1
        if was is None:
            self.otherwise[past.code or past.state] += 1
        elif again.lack is not None:
            self.lacking.setdefault(again.lack, []).append(past)
        elif again.word is not None and again.word != was:
            self.changed.setdefault((was, again.word), []).append(again)
        else:
            self.same += 1
            self._more_or_less(again)
        if again.word == "allowed" and past.refused_by_people:
            self.refused.append(again)

    def _more_or_less(self, again: Again) -> None:
        """The same word, and still not the same."""
        if again.word == "asks" and again.past.groups and groups_of(again) != again.past.groups:
            self.others.append(again)
        sent = getattr(again.verdict, "arguments", None)
        if (
            again.word == "allowed"
            and again.past.sent is not None
            and sent is not None
            and sent != again.past.sent
        ):
            self.cut.append(again)

    def of(self, was: Word, word: Word) -> list[Again]:
        return self.changed.get((was, word), [])

    @property
    def to_people(self) -> list[Again]:
        return [again for pair in TO_PEOPLE for again in self.of(*pair)]

    @property
    def not_replayable(self) -> int:
        return sum(map(len, self.lacking.values()))

    @property
    def load(self) -> dict[str, dict[str, int]]:
        """How often each group would be asked anew, by day."""
        found: dict[str, dict[str, int]] = {}
        for again in self.of("allowed", "asks"):
            day = again.past.at.astimezone(self.zone).date().isoformat()
            for group in groups_of(again):
                days = found.setdefault(group, {})
                days[day] = days.get(day, 0) + 1
        return {group: dict(sorted(days.items())) for group, days in sorted(found.items())}

    @property
    def amounts(self) -> dict[str, dict[str, int]]:
        """Minor units per currency that would newly pass, be asked about, or be stopped."""
        found: dict[str, dict[str, int]] = {}
        for (was, word), each in sorted(self.changed.items()):
            effect = "passes" if word == "allowed" else "asked" if word == "asks" else "stopped"
            if word not in ("allowed", "asks") and was != "allowed":
                continue  # it did not pass by itself before
            for again in each:
                if (amount := again.past.amount) is not None:
                    of = found.setdefault(amount.currency, {"passes": 0, "asked": 0, "stopped": 0})
                    of[effect] += amount.minor
        return dict(sorted(found.items()))

    def number(self, threshold: Threshold) -> int:
        if threshold.was is not None and threshold.word is not None:
            return len(self.of(threshold.was, threshold.word))
        counts = {
            "to-people": len(self.to_people), "refused-by-people": len(self.refused), "other-people": len(self.others),
            "other-arguments": len(self.cut), "not-replayable": self.not_replayable,
        }  # fmt: skip
        return counts[threshold.name]

    def exceeded(self, thresholds: Iterable[Threshold]) -> list[str]:
        """The thresholds that hold, with what was counted."""
        return [
            f"{each.text} ({self.number(each)})"
            for each in thresholds
            if COMPARE[each.op](self.number(each), each.number)
        ]


def threshold(text: str) -> Threshold:
    """`NAME->NAME OP NUMBER`, or `not-replayable > 5`; BadSetting with an example otherwise."""
    hint = f"write it as 'denied->allowed > 0'; names: {', '.join(WORDS)}; or one of {', '.join(SINGLE)}"
    match = CONDITION.fullmatch(text.strip())
    if match is None:
        raise BadSetting(f"--fail-if '{text}' cannot be read; {hint}")
    was, word = _word(match[1]), _word(match[2])
    if (match[3] is None and (was is None or word is None or was == word)) or match[3] not in (None, *SINGLE):
        raise BadSetting(f"--fail-if '{text}' names nothing that is counted; {hint}")
    return Threshold(text.strip(), was, word, match[3] or "", match[4], int(match[5]))


def groups_of(again: Again) -> tuple[str, ...]:
    """Everybody the verdict asks."""
    if not isinstance(again.verdict, RequireApproval):
        return ()
    demands = again.verdict.demands
    named = {group for demand in demands for group in demand.groups}
    return tuple(sorted(named | ({"requester"} if any(each.confirm for each in demands) else set[str]())))


# -- for machines -----------------------------------------------------------------------------------------------


def as_data(report: Report) -> dict[str, Json]:
    """Stable names; every pair of verdicts stands in it, also those nothing fell under."""
    pairs = (*FIRST, *TO_PEOPLE, *REST)
    return {
        "since": report.since.isoformat(timespec="seconds"),
        "calls": report.calls,
        "same": report.same,
        "changes": {
            f"{was}->{word}": [_listed(each) for each in report.of(was, word)] for was, word in pairs
        },
        "load": report.load,
        "amounts_minor": report.amounts,
        "refused_by_people": [_listed(each) for each in report.refused],
        "other_people": [_listed(each) for each in report.others],
        "other_arguments": [_listed(each) for each in report.cut],
        "not_replayable": {lack: [past.id for past in report.lacking.get(lack, ())] for lack in LACKS},
        "ended_otherwise": dict(sorted(report.otherwise.items())),
    }


def _listed(again: Again) -> dict[str, Json]:
    past = again.past
    amount = past.amount
    return {
        "id": past.id, "at": past.at.isoformat(timespec="seconds"), "tool": past.tool, "user": past.user, "agent": past.agent,
        "amount_minor": amount.minor if amount else None, "currency": amount.currency if amount else None,
        "state": past.state, "was_by": past.by or ", ".join(past.groups), "was_code": past.code, "by": decided_by(again), "reason": _reason(again),
    }  # fmt: skip


def decided_by(again: Again) -> str:
    """The rules that decide it now."""
    verdict = again.verdict
    if isinstance(verdict, Deny):
        return verdict.name
    if isinstance(verdict, Divert):
        return verdict.rule or ""
    if isinstance(verdict, RequireApproval):
        return ", ".join(dict.fromkeys(demand.rule for demand in verdict.demands))
    return ", ".join(again.basis.fired) if again.basis else ""


def _reason(again: Again) -> str:
    verdict = again.verdict
    if isinstance(verdict, RequireApproval):
        return " ".join(dict.fromkeys(demand.why for demand in verdict.demands))
    return verdict.reason if isinstance(verdict, Deny | Divert) else ""


# -- for people -------------------------------------------------------------------------------------------------


def as_text(report: Report) -> list[str]:
    """Counts first, then the lists."""
    lines = [f"{_calls(report.calls)} since {report.since.astimezone(report.zone):%Y-%m-%d %H:%M}."]
    lines += [f"  {count:>7,}  {what}" for what, count in _counts(report)]
    for was, word in FIRST:
        whole = (was, word) == FIRST[0]
        lines += _list(f"{was} → {word}", report.of(was, word), report.zone, whole=whole)
        lines += _load(report) if (was, word) == FIRST[-1] else []
    lines += _list("to people", report.to_people, report.zone)
    for was, word in REST:
        lines += _list(f"{was} → {word}", report.of(was, word), report.zone)
    lines += _amounts(report)
    lines += _list(
        "refused or taken back by people, and would pass now", report.refused, report.zone, whole=True
    )
    lines += _list("asks other people", report.others, report.zone)
    lines += _list("allowed, with other arguments", report.cut, report.zone)
    for lack, what in LACKS.items():
        ids = [past.id for past in report.lacking.get(lack, ())]
        lines += (
            ["", f"not replayable, {what}: {len(ids):,}", *_some([f"  {each}" for each in ids])]
            if ids
            else []
        )
    if report.changed or report.others or report.cut:
        lines += ["", "Why: lockkeep policy explain ID"]
    return lines


def _counts(report: Report) -> list[tuple[str, int]]:
    counts = [(f"{was} → {word}", len(report.of(was, word))) for was, word in FIRST]
    counts.append(("to people", len(report.to_people)))
    counts += [(f"{was} → {word}", len(report.of(was, word))) for was, word in REST if report.of(was, word)]
    counts.append(("refused or taken back by people, and would pass now", len(report.refused)))
    counts += [("asks other people", len(report.others))] if report.others else []
    counts += [("allowed, with other arguments", len(report.cut))] if report.cut else []
    counts.append(("not replayable", report.not_replayable))
    counts.append(("the same", report.same))
    if report.otherwise:
        codes = ", ".join(f"{code} {count:,}" for code, count in sorted(report.otherwise.items()))
        counts.append((f"ended by something else than rules ({codes})", report.otherwise.total()))
    return counts


def _list(title: str, found: list[Again], zone: ZoneInfo, *, whole: bool = False) -> list[str]:
    if not found:
        return []
    lines = [_line(each, zone) for each in found]
    return ["", f"{title}: {len(found):,}", *(lines if whole else _some(lines))]


def _some(lines: list[str]) -> list[str]:
    left = len(lines) - MOST
    return [*lines[:MOST], f"  … and {left:,} more; --json lists them all"] if left > 0 else lines


def _line(again: Again, zone: ZoneInfo) -> str:
    past = again.past
    parts = [
        past.id,
        f"{past.at.astimezone(zone):%Y-%m-%d %H:%M}",
        past.tool,
        f"{past.user} with {past.agent}",
    ]
    parts += [_money(past.amount)] if past.amount else []
    parts += [f"was: {before}"] if (before := ", ".join(past.groups) or past.by or past.code) else []
    parts += [f"now: {now}"] if (now := _whom(again)) else []
    return "  " + "  ".join(parts)


def _whom(again: Again) -> str:
    """Who is asked or takes over now, and which rule says so; nothing where it passes."""
    verdict = again.verdict
    if isinstance(verdict, Divert):
        return f"{', '.join(verdict.to)} ({verdict.rule})"
    if isinstance(verdict, RequireApproval):
        return f"{', '.join(groups_of(again))} ({decided_by(again)})"
    return verdict.name if isinstance(verdict, Deny) else ""


def _load(report: Report) -> list[str]:
    """How much more work the new rules make, for whom."""
    lines: list[str] = []
    for group, days in report.load.items():
        busiest = max(days, key=lambda day: days[day])
        total = sum(days.values())
        lines.append(f"  {group} would be asked {total:,} times more, {days[busiest]:,} of them on {busiest}")
    return lines


def _amounts(report: Report) -> list[str]:
    lines = [
        f"  {currency}: " + ", ".join(f"{_money(Amount(minor=minor, currency=currency))} {HOW[how]}" for how, minor in of.items() if minor)
        for currency, of in report.amounts.items()
        if any(of.values())
    ]  # fmt: skip
    return ["", "amounts", *lines] if lines else []


HOW: Mapping[str, str] = {
    "passes": "would newly pass",
    "asked": "would be asked about",
    "stopped": "would be stopped",
}


def _money(amount: Amount) -> str:
    return str(Money(amount.minor, amount.currency))


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number:,} calls"


def _word(text: str | None) -> Word | None:
    return next((word for word in WORDS if word == text), None)
