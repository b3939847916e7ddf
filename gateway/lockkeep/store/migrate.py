"""Brings a store to this release: numbered files, each applied once, whole, and never changed afterwards."""

import hashlib
import sqlite3
from collections.abc import Iterator
from importlib.resources import files

from lockkeep.errors import StoreDoesNotFit

TABLE = "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT, sha256 TEXT) STRICT"


def shipped() -> list[tuple[int, str, str]]:
    """(number, name, text) of every migration of this release, in order and without gaps."""
    folder = files("lockkeep.store").joinpath("migrations")
    found = [
        (int(f.name[:4]), f.name, f.read_text(encoding="utf-8"))
        for f in folder.iterdir()
        if f.name.endswith(".sql")
    ]
    found.sort()
    if [number for number, _, _ in found] != list(range(1, len(found) + 1)):
        raise StoreDoesNotFit("the numbers of the migration files have a gap")
    return found


def migrate(db: sqlite3.Connection) -> None:
    """Apply what is missing, all of it in one transaction; refuse a store that this release did not lead to."""
    files_ = shipped()
    if _up_to_date(db, files_):
        return
    db.execute("PRAGMA foreign_keys = OFF")  # a table is rebuilt under those that point to it
    db.execute("BEGIN IMMEDIATE")
    try:
        for number, name, text in _missing(db, files_):
            _apply(db, number, name, text)
        if broken := db.execute("PRAGMA foreign_key_check").fetchone():
            raise StoreDoesNotFit(f"a row of {broken[0]} points nowhere after the migration")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    finally:
        db.execute("PRAGMA foreign_keys = ON")


def is_current(db: sqlite3.Connection) -> bool:
    """Whether exactly the migrations of this release were applied. Writes nothing."""
    return _up_to_date(db, shipped())


def _missing(db: sqlite3.Connection, files_: list[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """The files to apply, in order; another process may have been faster."""
    db.execute(TABLE)
    applied: dict[int, str] = dict(
        db.execute("SELECT number, sha256 FROM migrations ORDER BY number").fetchall()
    )
    if applied and max(applied) > len(files_):
        raise StoreDoesNotFit(f"it has migration {max(applied)}, this release knows {len(files_)}")
    for number, name, text in files_[: max(applied, default=0)]:
        if number not in applied:
            raise StoreDoesNotFit(f"migration {number} is missing in it, {max(applied)} is there")
        if applied[number] != hashlib.sha256(text.encode()).hexdigest():
            raise StoreDoesNotFit(f"migration {name} was changed after it was applied")
    return files_[len(applied) :]


def _up_to_date(db: sqlite3.Connection, files_: list[tuple[int, str, str]]) -> bool:
    """True without writing anything, so that the command line opens a store that a gateway is busy with."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone():
        return False
    applied = db.execute("SELECT number, sha256 FROM migrations ORDER BY number").fetchall()
    digests = [(number, hashlib.sha256(text.encode()).hexdigest()) for number, _, text in files_]
    return [tuple(row) for row in applied] == digests


def _apply(db: sqlite3.Connection, number: int, name: str, text: str) -> None:
    try:
        for statement in _split(text):
            db.execute(statement)
    except sqlite3.Error as error:
        raise StoreDoesNotFit(f"migration {name} failed: {error}") from error
    digest = hashlib.sha256(text.encode()).hexdigest()
    db.execute("INSERT INTO migrations VALUES (?, ?, ?)", (number, name, digest))


def _split(text: str) -> Iterator[str]:
    """Single statements. `executescript` would commit the open transaction, and half a migration would stay."""
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement  # unfinished: SQLite says so, and nothing of the file stays
