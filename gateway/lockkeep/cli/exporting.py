"""`lockkeep audit export`: the log as a file."""

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer

from lockkeep.cli import periods
from lockkeep.cli.audit import records
from lockkeep.cli.here import here
from lockkeep.cli.progress import counted
from lockkeep.cli.show import AsJson, data, say
from lockkeep.ledger import exports
from lockkeep.model import Json
from lockkeep.store import Store


class Format(StrEnum):
    """`jsonl`: the hashed bytes; `csv`: a table for people."""

    jsonl = "jsonl"
    csv = "csv"


def export(
    form: Annotated[
        Format, typer.Option("--format", help="jsonl: what verify reads; csv: for a spreadsheet.")
    ] = Format.jsonl,
    since: periods.From = None,
    until: periods.To = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; default: standard output.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the log out, whole or a period of it. A line of jsonl is exactly what its hash covers."""
    with here() as place:
        first, last = exports.span(place.store.read, periods.begin(since), periods.end(until))
        chosen = counted(_records(place.store, first, last), "exporting records", last - first + 1)
        texts = exports.as_table(chosen) if form is Format.csv else (f"{text}\n" for _, text in chosen)
        with nullcontext(sys.stdout) if out is None else _file(out) as file:
            for text in texts:
                file.write(text)
        if out is None:
            return
        shown: dict[str, Json] = {"file": str(out), "records": last - first + 1, "first": first, "last": last}
        data(shown) if as_json else say(f"{last - first + 1} records, {first} to {last}, in {out}")


def _records(store: Store, first: int, last: int) -> Iterator[tuple[str, str]]:
    for seq, stored, text in records(store, first):
        if seq is not None and seq > last:
            return
        yield stored, text


def _file(path: Path) -> TextIO:
    """Readable by its owner alone, as the ledger is."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")
