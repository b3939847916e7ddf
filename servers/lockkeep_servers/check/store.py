"""Every row of an embedded store, seen from beside the server."""

import sqlite3
from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Tables = Mapping[str, list[Row]]
OWN = frozenset({"receipts", "migrations"})  # what the kit keeps in every store


def tables(folder: Path) -> Tables:
    """Return all rows of all SQLite files in the folder, by table."""
    found: dict[str, list[Row]] = {}
    for file in sorted(folder.glob("*.sqlite")):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            for (name,) in names.fetchall():
                cursor = connection.execute(f'SELECT * FROM "{name}"')  # noqa: S608  (a name of the schema)
                columns = [column[0] for column in cursor.description]
                found[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return found


def counts(all_tables: Tables) -> dict[str, int]:
    return {name: len(rows) for name, rows in all_tables.items()}


def lasting(all_tables: Tables, history: Collection[str], still: Collection[str]) -> dict[str, list[Row]]:
    """Return the rows an undo has to bring back, without the columns that move with every change."""
    return {
        name: [{column: value for column, value in row.items() if column not in still} for row in rows]
        for name, rows in all_tables.items()
        if name not in OWN and name not in history
    }
