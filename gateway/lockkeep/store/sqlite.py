"""One SQLite file: readers on the caller's thread, one writer thread that commits what has queued together."""

import asyncio
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from lockkeep.errors import StoreBusy, StoreDoesNotFit, StoreUnavailable
from lockkeep.store.migrate import is_current, migrate
from lockkeep.store.statements import statements

logger = logging.getLogger(__name__)
T = TypeVar("T")
Row = sqlite3.Row
BATCH = 64
BUSY_MS = 5_000


class Tx:
    """Named statements on one connection; inside `Store.write` all of them commit together or not at all."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._statements = statements()

    def run(self, name: str, /, **values: Any) -> int:
        """Run one statement; the number of rows it changed."""
        return self._execute(name, values).rowcount

    def one(self, name: str, /, **values: Any) -> Row | None:
        rows = self.all(name, **values)  # to the end: a statement left open would hold its transaction
        return rows[0] if rows else None

    def all(self, name: str, /, **values: Any) -> list[Row]:
        return self._execute(name, values).fetchall()

    def _execute(self, name: str, values: dict[str, Any]) -> sqlite3.Cursor:
        try:
            return self._db.execute(self._statements[name], values)
        except UnicodeEncodeError:  # half a character in a text from outside must not stop a settle or a kill
            return self._db.execute(
                self._statements[name], {key: whole(value) for key, value in values.items()}
            )


def whole(value: Any) -> Any:
    """Text without half characters (lone surrogates), which UTF-8 and SQLite do not know; all else as it is."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


Job = tuple[Callable[[Tx], Any], bool, "Future[Any]"]


class Store:
    """Reads at once, writes through one thread in batches. Answers leave only after their batch is committed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._jobs: deque[Job] = deque()
        self._wake = threading.Condition()
        self._closed = False
        with translated():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = _connect(path)
            try:
                migrate(self._db)
                self._reader = _connect(path)
            except BaseException:
                self._db.close()
                raise
        self._reader.execute("PRAGMA query_only = ON")
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def read(self) -> Tx:
        """Statements that only read, on the latest committed state. For one thread: the one that opened the store."""
        return Tx(self._reader)

    def changed(self) -> int:
        """A number that differs after another connection, of any process, has written."""
        return int(self._reader.execute("PRAGMA data_version").fetchone()[0])

    async def write(self, work: Callable[[Tx], T], *, durable: bool = True) -> T:
        """Run `work` in the next batch; returns after its commit. `durable=False` survives the process, not the power."""
        return await asyncio.wrap_future(self._enqueue(work, durable=durable))

    def write_now(self, work: Callable[[Tx], T]) -> T:
        """The same for code without an event loop (the command line)."""
        return self._enqueue(work, durable=True).result()

    def close(self) -> None:
        """Commits what has queued, then closes."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()
        self._reader.close()
        self._db.close()

    def _enqueue(self, work: Callable[[Tx], T], *, durable: bool) -> "Future[T]":
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # a caller who goes away cannot take a queued claim back
        with self._wake:
            if self._closed:
                raise StoreUnavailable("it is closed")
            self._jobs.append((work, durable, future))
            self._wake.notify()
        return future

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._jobs and not self._closed:
                    self._wake.wait()
                if not self._jobs:
                    return
            # popleft, never a swapped list: a producer may still hold the old one
            batch = [self._jobs.popleft() for _ in range(min(len(self._jobs), BATCH))]
            self._commit(batch)

    def _commit(self, batch: list[Job]) -> None:
        answers: list[tuple[Future[Any], Any, Exception | None]] = []
        try:
            with translated():
                level = "FULL" if any(durable for _, durable, _ in batch) else "NORMAL"
                self._db.execute(f"PRAGMA synchronous = {level}")
                self._db.execute("BEGIN IMMEDIATE")
                answers = [(future, *self._member(work)) for work, _, future in batch]
                self._db.execute("COMMIT")
        except Exception as error:
            logger.exception("the store did not take a batch of %d", len(batch))
            with suppress(sqlite3.Error):  # the writer lives on; while a transaction hangs, every batch fails
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            answers = [(future, None, error) for _, _, future in batch]
        for future, result, error in answers:
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)

    def _member(self, work: Callable[[Tx], Any]) -> tuple[Any, Exception | None]:
        """One piece of work in its own savepoint: what fails takes nothing else along."""
        self._db.execute("SAVEPOINT member")
        try:
            result = work(Tx(self._db))
        except sqlite3.OperationalError:
            raise  # disk full, I/O: the whole batch is in doubt
        except Exception as error:
            self._db.execute("ROLLBACK TO member")
            self._db.execute("RELEASE member")
            return None, error
        self._db.execute("RELEASE member")
        return result, None


@contextmanager
def reading(path: Path) -> Generator[Tx]:
    """Statements on a store that cannot be written through this: nothing migrates, nothing is claimed."""
    with _read_only(path) as db:
        if not is_current(db):
            raise StoreDoesNotFit(
                "it is not of this release; `lockkeep status` brings an older one up to date"
            )
        yield Tx(db)


@contextmanager
def reading_any(path: Path) -> Generator[Tx]:
    """The same on a store of whichever release, for statements that fit every one."""
    with _read_only(path) as db:
        yield Tx(db)


@contextmanager
def _read_only(path: Path) -> Generator[sqlite3.Connection]:
    with translated():
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_MS / 1000)
        try:
            db.row_factory = sqlite3.Row
            yield db
        finally:
            db.close()


def _connect(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)  # before SQLite makes it: what stands beside it gets the same mode
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA secure_delete = FAST")  # what is overwritten is gone from its page, too
    path.chmod(0o600)
    return db


@contextmanager
def translated() -> Generator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise (StoreBusy if "locked" in str(error) else StoreUnavailable)(str(error)) from error
    except (sqlite3.DatabaseError, OSError) as error:
        raise StoreUnavailable(str(error)) from error
