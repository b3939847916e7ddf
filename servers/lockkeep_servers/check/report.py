"""What was found, for people: a table of points, and each failure in words; for machines, JSON with stable names."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lockkeep_servers.check.results import POINTS, Check, Level, Report, State

SIGNS: Mapping[State, tuple[str, str]] = {
    "passed": ("ok", "green"),
    "failed": ("FAIL", "bold red"),
    "gap": ("gap", "yellow"),
    "skipped": ("-", "dim"),
    "missing": ("-", "dim"),
}
MOST_FAILURES = 40  # of one server; JSON has them all


def print_table(reports: Sequence[Report], console: Console) -> None:
    """Rows are servers with an adapter, columns the points that were run."""
    points = [point for point in POINTS if any(point in report.points for report in reports)]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("server", "adapter"):
        table.add_column(name, no_wrap=True)
    for point in points:
        table.add_column(point, justify="center", no_wrap=True)
    table.add_column("level", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for report in reports:
        signs = [_sign(report.state(point)) for point in points]
        table.add_row(report.server, report.adapter, *signs, _level(report), f"{report.took_s:.1f} s")
    console.print(table)


def _sign(state: State) -> Text:
    text, style = SIGNS[state]
    return Text(text, style)


def _level(report: Report) -> str:
    """A level stands only where all points were run."""
    return report.level if tuple(report.points) == tuple(POINTS) else ""


def print_findings(report: Report, console: Console) -> None:
    """Failures first, then what is declared, then what could not be seen."""
    failed = report.failed
    for check in failed[:MOST_FAILURES]:
        _print_failure(check, report, console)
    if len(failed) > MOST_FAILURES:
        console.print(f"{len(failed) - MOST_FAILURES} more failures; --json lists them all.")
    for check in _once(report, "gap"):
        console.print(Text(f"{check.point} {_where(check)}: gap: {check.sentence}", "yellow"))
    for check in _once(report, "missing", "skipped"):
        console.print(
            Text(f"{check.point} {_where(check)}: not seen: {check.sentence} {check.fix}".rstrip(), "dim")
        )


def _print_failure(check: Check, report: Report, console: Console) -> None:
    console.print(
        Text.assemble(
            (f"{check.point} ", "bold red"), (f"{report.server} {_where(check)}: ", "bold"), check.sentence
        )
    )
    for name, value in (("expected", check.expected), ("got", check.got), ("fix", check.fix)):
        if value not in (None, "", [], {}):
            console.print(Text(f"    {name:<9}{_shown(value)}"))


def _where(check: Check) -> str:
    parts = [check.tool, f"({check.case})" if check.case and check.case != check.tool else "", check.name]
    return " ".join(part for part in parts if part)


def _once(report: Report, *states: State) -> list[Check]:
    """One line for each sentence of a point; many cases often have the same."""
    found: dict[tuple[str, str], Check] = {}
    for check in report.checks:
        if check.state in states:
            found.setdefault((check.point, check.sentence), check)
    return list(found.values())


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    visible = "".join(
        sign if sign.isprintable() else " " for sign in text
    )  # a server's text never moves the cursor
    return visible if len(visible) <= 400 else visible[:397] + "..."


def as_data(reports: Sequence[Report], level: Level | None) -> dict[str, Any]:
    """Return everything as JSON can say it."""
    return {"asked": level, "servers": [_data(report, level) for report in reports]}


def _data(report: Report, level: Level | None) -> dict[str, Any]:
    return {
        "server": report.server,
        "adapter": report.adapter,
        "level": _level(report) or None,
        "reached": report.reaches(level),
        "took_s": report.took_s,
        "points": {point: report.state(point) for point in report.points},
        "checks": [asdict(check) for check in report.checks],
    }
