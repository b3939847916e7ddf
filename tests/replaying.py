"""A replay for a test: with sockets blocked and the store opened for reading, held against what is on record."""

import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lockkeep.cli.replay import court
from lockkeep.ledger import history
from lockkeep.policy.bundle import PolicySet, load
from lockkeep.policy.replay.replay import NOT_KEPT, Again, Replay
from lockkeep.store import Tx, reading

WINDOW = datetime(2020, 1, 1, tzinfo=UTC)


class Blocked(Exception):
    """A replay opened a socket."""


def no_sockets(patch: pytest.MonkeyPatch) -> None:
    class Refused(socket.socket):
        def __init__(self, *_: Any, **__: Any) -> None:
            raise Blocked

    patch.setattr(socket, "socket", Refused)


def again(store: Path, files: Mapping[str, str]) -> list[Again]:
    """Every recorded call, decided again, with sockets blocked and the store opened for reading."""
    loaded, problems = load(files)
    assert loaded is not None, problems
    with pytest.MonkeyPatch.context() as patch, reading(store) as tx:
        no_sockets(patch)
        return list(run(tx, loaded))


def run(tx: Tx, rules: PolicySet) -> list[Again]:
    return list(Replay(rules, court()).run(history.past_calls(tx, WINDOW)))


def agree(found: list[Again]) -> None:
    """Word, code, rule, digest of the rules, what fired and what is sent are those on record."""
    for each in found:
        past, verdict = each.past, each.verdict
        if past.word is None:
            assert (each.word, each.lack) == (None, None), past
            continue
        assert (each.word, each.lack) == (past.word, None), (past, verdict)
        kept = past.arguments or past.code not in NOT_KEPT  # what was no object is judged as an empty one
        if past.word == "denied" and kept:
            assert (getattr(verdict, "code", ""), getattr(verdict, "rule", "")) == (past.code, past.by), past
        if each.basis is not None:
            assert each.basis.rules == past.rules, past
        if past.word in ("allowed", "asks") and past.sent is not None:
            assert getattr(verdict, "arguments", None) == past.sent, past
