"""The conformance suite: where it is, how it is run, and what it found."""

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from .node import node

HERE = Path(__file__).parent
PACKAGE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
PROGRAM = HERE / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
EXPECTED = HERE / "expected.yml"
REVISIONS = ("2026-07-28", "2025-11-25")
UNSCORED_BUT_OURS = ("http-header-validation",)  # the suite reports it only; the transport is ours to keep
LIMIT = 120.0  # seconds for one revision; it takes six
COLOUR = re.compile(r"\x1b\[\d+m")
STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[\d-]+Z$")


@dataclass(frozen=True)
class Run:
    """One revision: the suite's own verdict, and every check by scenario."""

    revision: str
    code: int
    said: str
    checks: dict[str, list[dict[str, str]]] = field(default_factory=dict[str, list[dict[str, str]]])

    def count(self, status: str) -> int:
        return sum(check["status"] == status for found in self.checks.values() for check in found)

    @property
    def scored(self) -> dict[str, bool]:
        """The scenarios the revision requires, and whether nothing failed in each."""
        file = PROGRAM.parents[1] / "requirements" / f"{self.revision}.yaml"
        required: list[str] = yaml.safe_load(file.read_text(encoding="utf-8"))["server"]
        return {
            name: all(check["status"] != "FAILURE" for check in self.checks.get(name, ()))
            for name in required
        }

    @property
    def failing(self) -> set[str]:
        """Scenarios and scenario:check pairs that failed or warned."""
        pairs = {
            (scenario, check["id"])
            for scenario, found in self.checks.items()
            for check in found
            if check["status"] in ("FAILURE", "WARNING")
        }
        return {scenario for scenario, _ in pairs} | {f"{scenario}:{check}" for scenario, check in pairs}


def expected() -> list[str]:
    return yaml.safe_load(EXPECTED.read_text(encoding="utf-8"))["server"]


def missing() -> str | None:
    """Why the suite cannot run here; None if it can."""
    if node() is None:
        return "Node 22 or newer is not here; the dev dependency pyright[nodejs] brings it"
    return None if PROGRAM.exists() else f"{PACKAGE} is not installed; `make conformance` installs it"


def played(url: str, revision: str, out: Path) -> Run:
    """The suite against this address at this revision."""
    command = [str(node()), str(PROGRAM), "server", "--url", url, "--requirements", revision]
    baseline = ["--expected-failures", str(EXPECTED), "-o", str(out)]
    done = subprocess.run(
        [*command, *baseline], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=LIMIT, check=False
    )  # fmt: skip
    said = COLOUR.sub("", done.stdout + done.stderr)
    return Run(revision, done.returncode, said, _checks(out))


def complaints(runs: list[Run]) -> list[str]:
    """Everything that must not be, in sentences; empty if all is as expected."""
    found: list[str] = []
    for run in runs:
        if run.code:
            found.append(f"{run.revision}: the suite is not content:\n{_verdict(run.said)}")
        if absent := run.scored.keys() - run.checks.keys():
            found.append(f"{run.revision}: the suite did not play {', '.join(sorted(absent))}")
        found += [
            f"{run.revision}: {name} fails" for name in UNSCORED_BUT_OURS if name in run.failing
        ]  # fmt: skip
    failing = {name for run in runs for name in run.failing}
    found += [
        f"{name} fails in no revision: take it out of {EXPECTED.name}"
        for name in expected()
        if name not in failing
    ]
    return found


def _checks(out: Path) -> dict[str, list[dict[str, str]]]:
    files = out.glob("server-*/checks.json")
    return {
        STAMP.sub("", file.parent.name).removeprefix("server-"): json.loads(file.read_text(encoding="utf-8"))
        for file in files
    }


def _verdict(said: str) -> str:
    """What is stale and what is unexpected; the end of its words if it never came so far."""
    marks = [at for mark in ("Stale baseline", "Unexpected failures") if (at := said.find(mark)) >= 0]
    return said[min(marks, default=-2000) :].strip()
