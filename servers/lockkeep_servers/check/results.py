"""What was found: checks add up to points, points to a level; declared gaps are kept apart."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lockkeep_servers.check.cases import Gap

# skipped: this part cannot be seen here. missing: the point was not proven, for want of cases or of a way to.
State = Literal["passed", "failed", "gap", "skipped", "missing"]
Level = Literal["none", "bronze", "silver", "gold"]
LEVELS: tuple[Level, ...] = ("none", "bronze", "silver", "gold")
POINTS: Mapping[str, tuple[Level, str]] = {
    "TC1": ("bronze", "schemas, annotations, manifest, budgets"),
    "TC2": ("bronze", "refusals: the closed code, nothing applied"),
    "TC3": ("bronze", "pages lose and double nothing"),
    "TC4": ("bronze", "hostile texts: an answer or a closed code"),
    "TC5": ("silver", "one key, one effect"),
    "TC6": ("silver", "kill -9, then the same key"),
    "TC7": ("silver", "receipts, fences, stale versions"),
    "TC8": ("gold", "undo by the manifest"),
    "TC9": ("gold", "dry run"),
    "TC10": ("gold", "faults, and the truth afterwards"),
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing looked at. A failed one says in a sentence what is wrong, and what to do."""

    point: str
    name: str
    state: State
    tool: str = ""
    case: str = ""
    sentence: str = ""
    expected: Any = None
    got: Any = None
    fix: str = ""


class Book:
    """The checks of one point, as they are made."""

    def __init__(self, point: str) -> None:
        self.point = point
        self.checks: list[Check] = []

    def expect(
        self, holds: bool, name: str, sentence: str, *,
        tool: str = "", case: str = "", expected: Any = None, got: Any = None, fix: str = "",
    ) -> bool:  # fmt: skip
        """Note that it holds, or what is wrong; hand back which."""
        if holds:
            self.checks.append(Check(point=self.point, name=name, state="passed", tool=tool, case=case))
        else:
            self.checks.append(
                Check(
                    point=self.point, name=name, state="failed", tool=tool, case=case,
                    sentence=sentence, expected=expected, got=got, fix=fix,
                )
            )  # fmt: skip
        return holds

    def skip(self, name: str, sentence: str, *, tool: str = "", case: str = "") -> None:
        """This part cannot be seen here; the rest of the point decides."""
        self._note("skipped", name, sentence, tool, case)

    def miss(self, name: str, sentence: str, *, tool: str = "", case: str = "", fix: str = "") -> None:
        """The point is not proven without this."""
        self._note("missing", name, sentence, tool, case, fix)

    def _note(self, state: State, name: str, sentence: str, tool: str, case: str, fix: str = "") -> None:
        self.checks.append(
            Check(point=self.point, name=name, state=state, tool=tool, case=case, sentence=sentence, fix=fix)
        )


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything found about one server with one adapter."""

    server: str
    adapter: str
    checks: Sequence[Check]
    points: Sequence[str] = tuple(POINTS)
    took_s: float = 0.0
    gaps: Sequence[Gap] = field(default_factory=tuple)

    def of(self, point: str, *states: State) -> list[Check]:
        return [check for check in self.checks if check.point == point and check.state in states]

    def state(self, point: str) -> State:
        """Failed if anything failed; passed only if something was seen and nothing was missing."""
        if self.of(point, "failed"):
            return "failed"
        if self.of(point, "missing") or not self.of(point, "passed", "gap"):
            return "missing"
        return "gap" if self.of(point, "gap") else "passed"

    @property
    def level(self) -> Level:
        """The highest level whose points, and those of every level below, hold."""
        reached: Level = "none"
        for level in LEVELS[1:]:
            mine = [point for point, (of, _) in POINTS.items() if of == level]
            if not all(self.state(point) in ("passed", "gap") for point in mine):
                return reached
            reached = level
        return reached

    def reaches(self, level: Level | None) -> bool:
        """Whether every point up to the level holds, of those that were run; without a level, that nothing failed."""
        if level is None:
            return not self.failed
        asked = [p for p in self.points if LEVELS.index(POINTS[p][0]) <= LEVELS.index(level)]
        return all(self.state(point) in ("passed", "gap") for point in asked)

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if check.state == "failed"]


def with_gaps(checks: Iterable[Check], gaps: Sequence[Gap], adapter: str, *, whole: bool) -> list[Check]:
    """Failures that were declared become gaps; a gap that no longer is one fails.

    Only a whole run can tell that a gap is gone: a sample, or a single point, may not have come across it.
    """
    found = list(checks)
    for gap in gaps:
        if gap.adapter and gap.adapter != adapter:
            continue
        mine = [place for place, check in enumerate(found) if _covers(gap, check)]
        real = [place for place in mine if found[place].state in ("failed", "missing", "skipped", "gap")]
        for place in real:
            found[place] = replace(found[place], state="gap", sentence=gap.reason)
        if whole and not real:
            found.append(_gone(gap))
    return found


def _covers(gap: Gap, check: Check) -> bool:
    pairs = ((gap.point, check.point), (gap.tool, check.tool), (gap.check, check.name))
    case = gap.case in ("", check.case) or check.case.startswith(f"{gap.case}, ")  # a case, in one trouble
    return case and all(wanted in ("", there) for wanted, there in pairs)


def _gone(gap: Gap) -> Check:
    return Check(
        point=gap.point or "TC1",
        name="declared gap",
        state="failed",
        tool=gap.tool,
        case=gap.case,
        sentence="A declared gap is no longer real: everything it covers passes.",
        expected=gap.reason,
        got="passed",
        fix="Take the line out of `gaps` in conformance.yaml.",
    )
