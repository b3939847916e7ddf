"""The MCP conformance suite, run against the gateway in front of its own fixture server."""

import re
import subprocess
import sys

import pytest

from .suite import EXPECTED, HERE, expected, missing

MOST = 38  # expected failures; lower it when one goes, never raise it
ENTRY = re.compile(r"  - (?P<name>[a-z0-9:-]+)  # (?P<reason>.+)")


def test_every_expected_failure_stands_there_once_with_its_reason() -> None:
    entries = ENTRY.finditer(EXPECTED.read_text(encoding="utf-8"))

    reasons = {found["name"]: found["reason"] for found in entries}

    assert list(reasons) == expected()
    assert [name for name, reason in reasons.items() if len(reason.split()) < 3] == []


def test_the_list_of_expected_failures_only_shrinks() -> None:
    assert len(expected()) == MOST


@pytest.mark.conformance
def test_the_gateway_conforms_in_both_revisions() -> None:
    if reason := missing():
        pytest.skip(reason)

    done = subprocess.run(
        [sys.executable, HERE / "run.py"], capture_output=True, encoding="utf-8", timeout=300, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
