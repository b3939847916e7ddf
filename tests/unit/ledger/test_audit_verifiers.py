"""The verifier of the docs and that of the product come to the same word, and share no code (P7)."""

import contextlib
import io
import json
import random
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import CodeType

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.docs.pages import page

from chains import TAMPERS, Rows, chained, log
from crash.command import lockkeep
from lockkeep.ledger.heads import Head, Key

SAMPLE, FULL = 25, 500
AT = datetime(2027, 3, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def script() -> CodeType:
    (block,) = [each for each in page("docs/reference/verifier.md").blocks if each.language == "python"]
    assert len(block.text.splitlines()) <= 80
    assert "lockkeep" not in block.text.lower().replace("of lockkeep", "")
    return compile(block.text, "verify_log.py", "exec")


def theirs(script: CodeType, log: Path, heads: Path, key: Path) -> int:
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.setattr(sys, "argv", ["verify_log.py", str(log), str(heads), str(key)])
        try:
            exec(script, {"__name__": "__main__"})
        except SystemExit as ended:
            return int(ended.code or 0)
    return 0


def ours(log: Path, heads: Path, key: Path) -> int:
    words = ("audit", "verify", "--export", str(log), "--head", str(heads), "--key", str(key))
    return lockkeep({"LOCKKEEP_DATA": "/nowhere"}, *words).code


def made(seed: int, key: Key) -> tuple[Rows, list[Head]]:
    """A log, mostly tampered with, and heads of it, mostly true."""
    dice = random.Random(seed)
    rows = log(dice.randrange(15, 30), dice)
    heads = [
        key.sign(seq, stored, json.loads(text)["at"]) for seq, stored, text in rows if dice.random() < 0.15
    ] or [key.sign(len(rows), rows[-1][1], AT.isoformat())]
    kind = dice.randrange(8)
    if kind == 0:
        rows = chained(rows, "log.pruned", AT.isoformat(), upto=5, hash=rows[4][1])[5:]
    elif kind == 1:
        rows = chained(rows[:9], "ledger.restored", AT.isoformat(), size=9)
    elif kind == 2:
        heads[-1] = replace(heads[-1], size=heads[-1].size + 1)
    elif kind == 3:
        heads[-1] = replace(heads[-1], signature="00" * 64)
    if dice.random() < 0.6:
        rows = dice.choice(TAMPERS)(rows, dice.randrange(1, len(rows) - 4))
    return rows, heads


def agree(script: CodeType, folder: Path, seeds: range) -> tuple[int, int]:
    """How many were good, and how many not; both verifiers say the same of each."""
    key = Key(Ed25519PrivateKey.generate())
    files = folder / "log.jsonl", folder / "heads.json", folder / "key.pem"
    files[2].write_text(key.public.pem, encoding="utf-8")
    good = 0
    for seed in seeds:
        rows, heads = made(seed, key)
        files[0].write_text("".join(f"{text}\n" for _, _, text in rows), encoding="utf-8")
        files[1].write_text("".join(f"{head.text}\n" for head in heads), encoding="utf-8")
        said = ours(*files), theirs(script, *files)
        assert said[0] == said[1], f"seed {seed}: {said}"
        good += said[0] == 0
    return good, len(seeds) - good


@pytest.mark.promise("P7")
def test_both_verifiers_agree(script: CodeType, tmp_path: Path) -> None:
    assert min(agree(script, tmp_path, range(SAMPLE))) > 0


@pytest.mark.full
@pytest.mark.promise("P7")
def test_both_verifiers_agree_on_five_hundred_logs(script: CodeType, tmp_path: Path) -> None:
    assert min(agree(script, tmp_path, range(FULL))) > FULL // 10
