"""A period on the command line: `--from 2027-03-01 --to 2027-03-31`, in your local time, both days whole."""

from datetime import datetime, time, timedelta
from typing import Annotated

import typer

from lockkeep.errors import BadSetting
from lockkeep.model import stamp

From = Annotated[
    str | None,
    typer.Option("--from", help="The first day, or moment: 2027-03-01, or with a time. Local time."),
]
To = Annotated[str | None, typer.Option("--to", help="The last day, whole, or the moment it ends at.")]
BEGIN, END = "0000", "9999"


def begin(text: str | None) -> str:
    """As times stand in the ledger; everything, if no day is named."""
    return stamp(_moment("--from", text)) if text else BEGIN


def end(text: str | None) -> str:
    """The moment after the period."""
    if not text:
        return END
    found = _moment("--to", text)
    return stamp(found + timedelta(days=1) if len(text) == len("2027-03-31") else found)


def _moment(option: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadSetting(f"{option} '{text}' is no day; write 2027-03-31, or 2027-03-31T18:00") from None
    return found.astimezone() if found.time() != time() or found.tzinfo is None else found
