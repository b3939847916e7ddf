"""The lead file, read line by line: a good row becomes a lead, a bad one is named and the rest goes on."""

import csv
import io
import re
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files

COLUMNS = ["email", "company", "name", "country", "source", "value", "currency", "note"]
AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,3})?")
WITHOUT_CENTS = frozenset({"JPY"})


@dataclass(frozen=True)
class Lead:
    """One row that can be worked on. Whether it may is for the gateway to say."""

    line: int
    email: str
    company: str
    name: str
    country: str
    source: str
    value_minor: int
    currency: str
    note: str

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2].lower()


@dataclass(frozen=True)
class BadRow:
    """One row nobody can work on, and why."""

    line: int
    company: str
    reason: str


def shipped_leads() -> list[Lead | BadRow]:
    """The rows of the lead file that comes with lockkeep."""
    return read_leads(files("lockkeep_policies").joinpath("demo", "leads.csv").read_text(encoding="utf-8"))


def read_leads(text: str) -> list[Lead | BadRow]:
    """Every row below the header, in the order of the file."""
    rows = csv.reader(io.StringIO(text))
    if next(rows, None) != COLUMNS:
        raise ValueError(f"The first line of a lead file is: {','.join(COLUMNS)}")
    return [_row(rows.line_num, cells) for cells in rows if cells]


def _row(line: int, cells: list[str]) -> Lead | BadRow:
    cells = [" ".join(cell.split()) for cell in cells]
    company = cells[1] if len(cells) > 1 else ""
    if len(cells) != len(COLUMNS):
        return BadRow(line, company, f"{len(cells)} columns instead of {len(COLUMNS)}")
    email, company, name, country, source, value, currency, note = cells
    minor = _minor(value, currency)
    if minor is None:
        return BadRow(line, company, f'"{value}" is no amount of {currency or "any currency"}')
    return Lead(line, email, company, name, country, source, minor, currency, note)


def _minor(value: str, currency: str) -> int | None:
    """The amount in the smallest unit of its currency; None if it is no such amount."""
    if not AMOUNT.fullmatch(value):
        return None
    amount = Decimal(value).scaleb(0 if currency in WITHOUT_CENTS else 2)
    return int(amount) if amount == amount.to_integral_value() else None
