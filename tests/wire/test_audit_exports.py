"""What leaves as a file is what was hashed, and no spreadsheet takes a cell for a formula (P7)."""

import csv
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crash.command import lockkeep
from crash.place import Place
from lockkeep.ledger import audit, chain
from lockkeep.ledger.exports import FORMULA

START = datetime(2027, 3, 1, 12, tzinfo=UTC)
HOSTILE = (
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://evil","x")', "=cmd|' /C calc'!A0", "-2+3", "@", "=", "+", "a,b",
    'a"b', "a\nb", "a\r\nb", "\u2028", "\x00", "\U0001f510", "", " =1", "'=1", "é", "\u202egnp", "ａ", "0x41", "\\", "/", "null", "\ufeff=1",
)  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A record a day, each with one hostile text as its reason."""
    place = Place(tmp_path)
    place.data.mkdir()
    with place.store() as store:
        for number, text in enumerate(HOSTILE):
            at = START + timedelta(days=number)
            store.write_now(partial(audit.append, event="call.denied", at=at, reason=text, code=text))
    return place


def exported(place: Place, *words: str) -> Path:
    file = place.folder / "out"
    ran = lockkeep(place.environ, "audit", "export", *words, "--out", str(file), "--json")
    assert ran.code == 0, ran
    return file


@pytest.mark.promise("P7")
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_line_is_exactly_the_bytes_its_hash_covers(place: Place, number: int) -> None:
    with place.store() as store:
        rows = store.read.all("audit_from", seq=1, count=100)
    lines = exported(place).read_bytes().split(b"\n")

    assert lines[number] == rows[number]["record"].encode()
    assert chain.hashed(lines[number].decode()) == rows[number]["hash"]
    assert json.loads(lines[number])["reason"] == HOSTILE[number]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_no_cell_of_a_table_begins_as_a_formula(place: Place, number: int) -> None:
    with exported(place, "--format", "csv").open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    row, text = rows[number], HOSTILE[number]

    assert not any(cell.startswith(FORMULA) for cell in row.values())
    assert row["reason"] == (f"'{text}" if text.startswith(FORMULA) else text)
    assert chain.hashed(row["record"]) == row["hash"]


def test_a_period_is_whole_days_and_checks_as_a_part(place: Place) -> None:
    part = exported(place, "--from", "2027-03-03", "--to", "2027-03-05")
    days = [json.loads(line)["at"][:10] for line in part.read_text(encoding="utf-8").split("\n") if line]
    whole = lockkeep(place.environ, "audit", "verify", "--export", str(part))
    as_part = lockkeep(place.environ, "audit", "verify", "--export", str(part), "--part")
    stdout = lockkeep(place.environ, "audit", "export", "--from", "2027-03-03", "--to", "2027-03-05").out

    assert days == ["2027-03-03", "2027-03-04", "2027-03-05"]
    assert (whole.code, whole.out) == (1, "record 1: deleted: missing: 1 to 2\n")
    assert as_part.code == 0
    assert stdout == part.read_text(encoding="utf-8")
    assert part.stat().st_mode & 0o077 == 0
