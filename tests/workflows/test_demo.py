"""`make demo`, without a person: the first thing a newcomer runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_S = 120  # it takes about 15 s; a loaded machine may need more


@pytest.mark.full
def test_the_demo_tells_its_whole_story_and_ends_fine(tmp_path: Path) -> None:
    ran = _demo("--once", tmp_path)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    for line in (
        "10  Granite Peak Holdings Inc.  pending   leads/crm.assign_owner/high-value",
        "10  Granite Peak Holdings Inc.  routed    approved by bo: ",
        "11  Meadow Retail Ltd           denied    leads/crm.upsert_lead/email-looks-right",
        "12  (no company)                denied    leads/crm.upsert_lead/has-company",
        "14  hafenkran logistik gmbh     denied    switch.killed",
        "14  hafenkran logistik gmbh     known     in the CRM already",
        "15  Serra Azul Alimentos Ltda   person    no representative sells in BR",
        '16  Otto Works GmbH             unread    "about ten thousand" is no amount of EUR',
        "17  Torn Row Ltd                unread    4 columns instead of 8",
        "/sign-in?code=",
        "Sound: ",
        "10 routed · 2 denied · 1 known already · 1 left to a person · 2 unreadable",
        "Checked: ",
    ):
        assert line in ran.stdout
    said = ran.stdout.replace(str(tmp_path), "")
    assert [line for line in said.splitlines() if len(line) > 100] == []
    assert "\033" not in ran.stdout  # no colour without a terminal


def test_without_an_installed_lockkeep_it_says_so(tmp_path: Path) -> None:
    """Another Python that finds the packages, but not the command line."""
    other = tmp_path / "bin" / "python"
    other.parent.mkdir()
    other.symlink_to(sys.executable)
    code = "import sys; sys.executable = sys.argv.pop(1); from demo.__main__ import main; sys.exit(main())"
    ran = _run([sys.executable, "-c", code, str(other), "--once"], tmp_path)

    assert (ran.returncode, "is not installed beside" in ran.stderr) == (1, True)
    assert "Traceback" not in ran.stderr


def _demo(argument: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return _run([sys.executable, "-m", "demo", argument], folder)


def _run(words: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """Its data goes below the test's own folder."""
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONUTF8": "1"}
    return subprocess.run(
        words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
        timeout=LIMIT_S, check=False,
    )  # fmt: skip
