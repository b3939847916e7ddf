"""What commands print: a table on a terminal, tab-separated lines in a pipe, JSON on demand."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lockkeep.cards.quoted import quoted
from lockkeep.model import Json, moment

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON with stable names, for machines.")]


def terminal() -> Console:
    return Console(no_color="NO_COLOR" in os.environ, highlight=False)


def rows(
    columns: Sequence[str], found: Iterable[Mapping[str, Json]], as_json: bool, empty: str = "Nothing."
) -> None:
    """One row per thing; the same columns in every form."""
    listed = [dict(each) for each in found]
    if as_json:
        data(listed)
    elif not sys.stdout.isatty():
        for each in listed:
            typer.echo("\t".join(_cell(each.get(column)) for column in columns))
    elif not listed:
        typer.echo(empty)
    else:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column.replace("_", " "), overflow="fold", no_wrap=column == "id")
        for each in listed:
            table.add_row(*(Text(_cell(each.get(column))) for column in columns))
        terminal().print(table)


def fields(found: Mapping[str, Json], as_json: bool, *, exact: bool = False) -> None:
    """One thing, a line a field; `exact` keeps names as they are in calls."""
    if as_json:
        data(found)
        return
    width = max((len(name) for name in found), default=0)
    for name, value in found.items():
        shown = name if exact else name.replace("_", " ")
        typer.echo(f"{shown:<{width}}  {_cell(value)}")


def data(value: Json) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def say(text: str) -> None:
    typer.echo(text)


def fail(text: str) -> None:
    typer.echo(f"lockkeep: {text}", err=True)


def when(text: str | None) -> str | None:
    """A stored time in the local zone, with its offset."""
    return moment(text).astimezone().isoformat(timespec="seconds") if text else None


def ago(text: str, now: datetime) -> str:
    seconds = int((now - moment(text)).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _cell(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(_cell(each) for each in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return quoted(value)
