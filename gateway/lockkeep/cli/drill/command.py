"""`lockkeep drill`: emergencies rehearsed on a sandbox, and the evidence of it."""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from lockkeep.cli.here import Here, here, utc_now
from lockkeep.cli.show import AsJson, ago, data, say
from lockkeep.errors import BadSetting
from lockkeep.ledger import audit
from lockkeep.model import Json, moment, stamp
from lockkeep.store import Tx

if TYPE_CHECKING:
    from lockkeep.cli.drill.exercise import Exercise

DUE = timedelta(days=90)
FOLDER = "drills"


def drill(
    evidence: Annotated[
        Path | None, typer.Option(help="Where the evidence is written; default: drills/ in the data folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rehearse kill, restart, undo, tampering and restore on a sandbox of its own. Exit 1 if something was found."""
    # web and protocol libraries: no other command waits for them
    from lockkeep.cli.drill.all import rehearsed
    from lockkeep.serving import configure_logging

    configure_logging("CRITICAL")  # gateways are killed on purpose here: findings are told, not logged
    with here() as place:
        author, began, clock = place.author(), utc_now(), time.monotonic()
        file = _fresh(evidence or place.settings.data / FOLDER / f"drill-{began:%Y%m%dT%H%M%SZ}.json")

        def told(exercise: "Exercise") -> None:
            if not as_json:
                _say(exercise)

        with tempfile.TemporaryDirectory(prefix="lockkeep-drill-", ignore_cleanup_errors=True) as folder:
            done = anyio.run(lambda: rehearsed(Path(folder), told=told))
        result = Result(began, int((time.monotonic() - clock) * 1000), author, done)
        digest = _kept(place, file, result)
        if as_json:
            data({**result.said, "evidence": str(file), "sha256": digest})
        else:
            say(f"{result.word} in {result.ms / 1000:.0f} s. Evidence: {file}, SHA-256 {digest}")
    if not result.passed:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Result:
    """A whole drill."""

    at: datetime
    ms: int
    by: str
    exercises: Sequence["Exercise"]

    @property
    def passed(self) -> bool:
        return all(each.passed for each in self.exercises)

    @property
    def word(self) -> str:
        bad = [each.name for each in self.exercises if not each.passed]
        return f"Failed: {', '.join(bad)}" if bad else f"All {len(self.exercises)} exercises passed"

    @property
    def said(self) -> dict[str, Json]:
        return {
            "at": stamp(self.at), "by": self.by, "release": version("lockkeep"), "passed": self.passed, "ms": self.ms,
            "exercises": [each.said for each in self.exercises],
        }  # fmt: skip


def _fresh(file: Path) -> Path:
    """Where the evidence will be written: said before the work, if it cannot be."""
    if file.exists():
        raise BadSetting(f"{file} is there already; evidence of an earlier drill is not written over")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return file


def _kept(place: Here, file: Path, result: Result) -> str:
    """The evidence file, and its digest on the company's own record."""
    text = json.dumps(result.said, indent=2, ensure_ascii=False) + "\n"
    file.write_text(text, encoding="utf-8")
    digest = sha256(text.encode()).hexdigest()
    results: dict[str, Json] = {each.name: "passed" if each.passed else list(each.found.findings) for each in result.exercises}  # fmt: skip
    place.store.write_now(
        lambda tx: audit.append(
            tx, "drill.done", utc_now(), by=result.by, passed=result.passed, results=results, ms=result.ms,
            evidence=file.name, sha256=digest,
        )
    )  # fmt: skip
    return digest


def _say(exercise: "Exercise") -> None:
    say(f"{exercise.name}: {'passed' if exercise.passed else 'FAILED'} ({exercise.ms / 1000:.1f} s)")
    say(f"  {exercise.found.did}")
    if exercise.found.numbers:
        say(
            "  "
            + ", ".join(
                f"{name.replace('_', ' ')} {number}" for name, number in exercise.found.numbers.items()
            )
        )
    for finding in exercise.found.findings:
        say(f"  finding: {finding}")


def last_drill(read: Tx, now: datetime) -> str:
    """When the last one was, how it ended, and whether it is time for another."""
    row = read.one("audit_newest_of", type="drill.done")
    if row is None:
        return "never; rehearse an emergency: lockkeep drill"
    record: dict[str, Json] = json.loads(row["record"])
    word = "passed" if record["passed"] else "FAILED"
    overdue = now - moment(record["at"]) > DUE
    said = f"{word} {ago(record['at'], now)} ago"
    return f"{said}; overdue after {DUE.days} days: lockkeep drill" if overdue else said
