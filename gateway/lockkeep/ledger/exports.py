"""The log as a file: the very bytes that were hashed, a line a record, or a table for a spreadsheet."""

import csv
import io
import json
from collections.abc import Iterable, Iterator

from lockkeep.model import Json
from lockkeep.store import Tx

COLUMNS = (
    "seq", "at", "type", "call", "user", "agent", "host", "tool", "operation", "outcome", "code", "reason", "who", "policy",
    "hash", "record",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would work out instead of show


def span(tx: Tx, since: str, until: str) -> tuple[int, int]:
    """The numbers of the first and the last record of that time; (1, 0) if there is none."""
    row = tx.one("audit_span", since=since, until=until)
    return (row["first"], row["last"]) if row and row["first"] is not None else (1, 0)


def as_table(records: Iterable[tuple[str, str]]) -> Iterator[str]:
    """CSV lines of (hash, record), each ending in CR LF; no cell is taken for a formula."""
    yield _csv(COLUMNS)
    for stored, text in records:
        yield _csv([harmless(cell) for cell in _cells(stored, text)])


def harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _cells(stored: str, text: str) -> list[str]:
    try:
        record: dict[str, Json] = json.loads(text)
    except ValueError:
        record = {}
    actor: dict[str, Json] = record.get("actor") or {}
    who = record.get("person") or record.get("by")
    said = {**record, **actor, "who": who, "hash": stored, "record": text}
    return ["" if (value := said.get(name)) is None else str(value) for name in COLUMNS]


def _csv(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
