"""One SQLite file behind an embedded adapter: named statements, numbered migrations, one writer at a time."""

import hashlib
import re
import sqlite3
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio

from lockkeep_servers.kit.errors import NotApplied, ToolError, Unavailable, UnknownOutcome
from lockkeep_servers.kit.findings import Finding

T = TypeVar("T")
Row = dict[str, Any]
NAMED = re.compile(r"^-- name: (\w+)[^\n]*\n(.*?)(?=^-- name:|\Z)", re.MULTILINE | re.DOTALL)
BUSY_S = 5.0


class StoreError(RuntimeError):
    """The data folder cannot be used. The sentence says why."""


def read_statements(path: Path) -> Mapping[str, str]:
    """Return the statements of a file by their names."""
    return {name: text.strip().rstrip(";") for name, text in NAMED.findall(path.read_text(encoding="utf-8"))}


class Transaction:
    """Runs named statements on one connection."""

    def __init__(self, connection: sqlite3.Connection, statements: Mapping[str, str]) -> None:
        self._connection = connection
        self._statements = statements

    def rows(self, name: str, /, **values: Any) -> list[Row]:
        cursor = self._connection.execute(self._statements[name], values)
        columns = [column[0] for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]

    def row(self, name: str, /, **values: Any) -> Row | None:
        found = self.rows(name, **values)
        return found[0] if found else None

    def run(self, name: str, /, **values: Any) -> int:
        """Run a statement that changes rows, and return how many."""
        return self._connection.execute(self._statements[name], values).rowcount


class Database:
    """Reads run where they are asked; writes run in a worker thread, one at a time, each in one transaction."""

    def __init__(self, file: Path, statements: Mapping[str, str], migrations: Path) -> None:
        self.file = file
        self._statements = statements
        self._open = 0
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._one = anyio.CapacityLimiter(1)
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            connection = _connect(file)
        except (OSError, sqlite3.Error):
            raise StoreError(
                "The data folder cannot be made or written. Set ..._DATA to one that can."
            ) from None
        try:
            migrate(connection, migrations)
        finally:
            connection.close()

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        """Open while anyone uses it; the last to leave closes."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    @contextmanager
    def opened(self) -> Generator[None]:
        """Open for a moment of setting up."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def acquire(self) -> None:
        if self._open == 0:
            self._reader, self._writer = _connect(self.file), _connect(self.file)
        self._open += 1

    def release(self) -> None:
        self._open -= 1
        if self._open == 0:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Return what the work found in one consistent view."""
        connection = self._connected(self._reader)
        with _translated():
            connection.execute("BEGIN")
            try:
                return work(Transaction(connection, self._statements))
            finally:
                connection.execute("ROLLBACK")

    async def write(self, work: Callable[[Transaction], T], *, keep: bool = True) -> T:
        """Do the work in one durable transaction, off the event loop; an exception leaves nothing."""
        return await anyio.to_thread.run_sync(lambda: self.write_now(work, keep=keep), limiter=self._one)

    def write_now(self, work: Callable[[Transaction], T], *, keep: bool = True) -> T:
        connection = self._connected(self._writer)
        with _translated():
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = _worked(work, Transaction(connection, self._statements))
                connection.execute("ROLLBACK") if not keep else _commit(connection)
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        return result

    def examine(self) -> list[Finding]:
        """Whether the store can be read and is sound, and which schema it has."""
        try:
            with self.opened():
                connection = self._connected(self._reader)
                (sound,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                (version,) = connection.execute("SELECT max(number) FROM migrations").fetchone()
        except sqlite3.Error:
            sound, version = "unreadable", None
        if sound != "ok":
            fix = "Stop every user of it and restore the folder from a backup."
            return [Finding("unusable", f"The store {self.file} is damaged.", fix)]
        return [Finding("ok", f"The store {self.file} is sound, schema {version}.")]

    def _connected(self, connection: sqlite3.Connection | None) -> sqlite3.Connection:
        if connection is None:
            raise Unavailable("The store is closed.")
        return connection


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.create_function("fold", 1, str.casefold, deterministic=True)  # SQLite lowers ASCII only
    return connection


def _worked(work: Callable[[Transaction], T], tx: Transaction) -> T:
    try:
        return work(tx)
    except (ToolError, sqlite3.OperationalError):
        raise
    except Exception as error:
        raise NotApplied from error


def _commit(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("COMMIT")
    except sqlite3.Error:
        if not connection.in_transaction:  # SQLite gave the transaction up without saying which way
            raise UnknownOutcome from None
        raise


@contextmanager
def _translated() -> Generator[None]:
    """A locked, full or broken store is `unavailable`: the transaction was rolled back."""
    try:
        yield
    except sqlite3.OperationalError:
        raise Unavailable("The store is busy, full or cannot be written.") from None


def migrate(connection: sqlite3.Connection, folder: Path) -> None:
    """Apply the numbered files not yet applied, one transaction each; a gap or a changed file stops the start."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, sha256 TEXT NOT NULL)"
    )
    applied = dict(connection.execute("SELECT number, sha256 FROM migrations").fetchall())
    files = sorted(folder.glob("*.sql"))
    if len(applied) > len(files):
        raise StoreError("This data folder was written by a newer release. Install that release, or newer.")
    for number, file in enumerate(files, start=1):
        text = file.read_text(encoding="utf-8")
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        if int(file.name[:4]) != number:
            raise StoreError(f"Migration {number} is missing.")
        if applied.get(number, sha256) != sha256:
            raise StoreError(f"Migration {file.name} changed after it was applied.")
        if number not in applied:
            _apply(connection, number, text, sha256)


def _apply(connection: sqlite3.Connection, number: int, text: str, sha256: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not connection.execute("SELECT 1 FROM migrations WHERE number = ?", (number,)).fetchall():
            for statement in _split(text):  # not executescript, which commits the open transaction
                connection.execute(statement)
            connection.execute("INSERT INTO migrations VALUES (?, ?)", (number, sha256))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _split(text: str) -> Iterator[str]:
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
