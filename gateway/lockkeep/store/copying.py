"""An SQLite file copied while others write to it: one moment of it, whole."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from lockkeep.store.sqlite import BUSY_MS, translated

PAGES = 2_000  # between two words about the progress
MAGIC = b"SQLite format 3\0"


def is_database(path: Path) -> bool:
    """Whether the file says of itself that SQLite wrote it."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def copy(source: Path, target: Path, told: Callable[[int, int], None] = lambda _done, _total: None) -> None:
    """`target` is the source as of one moment, in one file that needs no other beside it."""
    with translated():
        target.touch(mode=0o600, exist_ok=False)
        here = sqlite3.connect(
            f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_MS / 1000, isolation_level=None
        )
        there = sqlite3.connect(target, isolation_level=None)
        try:
            here.execute("BEGIN")
            here.execute("SELECT 1 FROM sqlite_master").fetchone()  # from here on it sees this moment only
            here.backup(there, pages=PAGES, progress=lambda _status, left, total: told(total - left, total))
            there.execute("PRAGMA journal_mode = DELETE")
        finally:
            there.close()
            here.close()


def without_free_pages(path: Path) -> None:
    """What was deleted in the file is no longer in its bytes."""
    with translated():
        db = sqlite3.connect(path, isolation_level=None)
        try:
            db.execute("VACUUM")
            db.execute("PRAGMA journal_mode = DELETE")
        finally:
            db.close()
