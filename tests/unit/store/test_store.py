"""One file, one writer: what is answered is committed, what fails takes nothing else along."""

# pyright: reportPrivateUsage=false

import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from lockkeep.errors import StoreBusy, StoreUnavailable
from lockkeep.store import Store, Tx
from lockkeep.store import sqlite as module


@pytest.fixture
def store(tmp_path: Path):
    found = Store(tmp_path / "x.db")
    yield found
    found.close()


def share(tx: Tx, name: str) -> str:
    """Any write will do: a row of a limit."""
    tx.run("share_take", rule="r", key="k", call=name, at="2027", units=1)
    return name


def names(store: Store) -> set[str]:
    return {row["call"] for row in store.read._db.execute("SELECT call FROM shares")}


def put(store: Store, work: Callable[[Tx], Any]) -> Future[Any]:
    return store._enqueue(work, durable=True)


@contextmanager
def writer_held(store: Store):
    """Nothing is committed until this ends, so that what is asked meanwhile is one batch."""
    held, go = threading.Event(), threading.Event()

    def hold(_: Tx) -> None:
        held.set()
        assert go.wait(10)

    waiting = store._enqueue(hold, durable=False)
    assert held.wait(10)
    try:
        yield
    finally:
        go.set()
        waiting.result(10)


async def test_a_hundred_writers_at_once_all_find_their_rows(store: Store) -> None:
    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(store.write, partial(share, name=f"c{number}"))

    assert names(store) == {f"c{number}" for number in range(100)}


def test_threads_may_write_at_once(store: Store) -> None:
    with ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(store.write_now, partial(share, name=f"c{n}")) for n in range(400)]
        done = [each.result(30) for each in asked]

    assert set(done) == names(store) == {f"c{n}" for n in range(400)}


@pytest.mark.parametrize("failure", [ValueError("no"), sqlite3.IntegrityError("no"), OverflowError("no")])
def test_a_member_of_a_batch_that_fails_takes_nothing_else_along(store: Store, failure: Exception) -> None:
    def fail(tx: Tx) -> str:
        share(tx, "half")
        raise failure

    with writer_held(store):
        asked = {f"c{n}": put(store, fail if n == 7 else partial(share, name=f"c{n}")) for n in range(20)}
    ended = {name: future.exception(10) or future.result() for name, future in asked.items()}

    good = {f"c{n}" for n in range(20)} - {"c7"}
    assert (names(store), ended) == (good, {**{name: name for name in good}, "c7": failure})


@pytest.mark.promise("P2")
def test_when_the_disk_is_full_the_whole_batch_is_refused_and_nobody_is_told_it_is_done(store: Store) -> None:
    def much(tx: Tx) -> None:
        tx.run("share_take", rule="r" * 10_000_000, key="k", call="big", at="2027", units=1)

    fill(store)
    with writer_held(store):
        asked = [
            put(store, partial(share, name="small")),
            put(store, much),
            put(store, partial(share, name="late")),
        ]
    ended = [future.exception(10) for future in asked]

    assert [type(error) for error in ended] == [StoreUnavailable] * 3
    assert names(store) == set()
    fill(store, pages=1_000_000)
    assert store.write_now(partial(share, name="again")) == "again"


@pytest.mark.parametrize("broken", [["COMMIT"], ["COMMIT", "ROLLBACK"], ["BEGIN IMMEDIATE"]])
def test_a_commit_that_fails_answers_nobody_as_done_and_the_writer_lives_on(
    store: Store, broken: list[str]
) -> None:
    db = store._db
    store._db = Broken(db, broken)  # pyright: ignore[reportAttributeAccessIssue]
    asked = [put(store, partial(share, name=f"c{n}")) for n in range(3)]
    failed = [type(future.exception(10)) for future in asked]
    again = put(store, partial(share, name="again")).exception(10)
    store._db = db
    if db.in_transaction:
        db.execute("ROLLBACK")

    assert (failed, type(again), names(store)) == ([StoreUnavailable] * 3, StoreUnavailable, set())
    assert store.write_now(partial(share, name="mended")) == "mended"


async def test_the_store_waits_for_another_process_that_writes_and_says_busy_if_it_takes_too_long(
    store: Store, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    store._db.execute("PRAGMA busy_timeout = 50")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy):
        await store.write(partial(share, name="early"))
    other.execute("ROLLBACK")
    other.close()

    assert await store.write(partial(share, name="late")) == "late"
    assert names(store) == {"late"}


@pytest.mark.parametrize(("durable", "level"), [((False,), 1), ((True,), 2), ((False, True, False), 2)])
def test_a_batch_waits_for_the_disk_if_one_of_it_is_durable(
    store: Store, durable: tuple[bool, ...], level: int
) -> None:
    def synchronous(tx: Tx) -> int:
        return tx._db.execute("PRAGMA synchronous").fetchone()[0]

    with writer_held(store):
        asked = [store._enqueue(synchronous, durable=each) for each in durable]

    assert {future.result(10) for future in asked} == {level}


async def test_a_caller_who_goes_away_does_not_take_a_queued_write_back(store: Store) -> None:
    async def write() -> None:
        await store.write(partial(share, name="c1"))

    with writer_held(store):
        async with anyio.create_task_group() as group:
            group.start_soon(write)
            with anyio.fail_after(5):
                while not store._jobs:
                    await anyio.sleep(0)
            group.cancel_scope.cancel()
    await store.write(lambda _: None)

    assert names(store) == {"c1"}


async def test_a_write_that_is_done_before_its_caller_looks_is_an_answer_all_the_same(
    monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    """The writer may commit before the thread that asked goes on."""

    class Slow(Future[Any]):
        def set_running_or_notify_cancel(self) -> bool:
            wait([self], 0.3)
            return super().set_running_or_notify_cancel()

    monkeypatch.setattr(module, "Future", Slow)

    assert await store.write(partial(share, name="c1")) == "c1"


def test_what_was_asked_before_the_store_closes_is_written_and_nothing_after(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.db")
    with writer_held(store):
        asked = [put(store, partial(share, name=f"c{n}")) for n in range(3)]
    store.close()
    with pytest.raises(StoreUnavailable):
        store.write_now(partial(share, name="late"))
    again = Store(tmp_path / "x.db")
    found = names(again)
    again.close()

    assert ({future.result(0) for future in asked}, found) == ({"c0", "c1", "c2"}, {"c0", "c1", "c2"})


def test_reading_cannot_write(store: Store) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        share(store.read, "c1")


def test_a_store_sees_at_once_what_another_process_wrote(store: Store, tmp_path: Path) -> None:
    seen = store.changed()
    other = Store(tmp_path / "x.db")
    other.write_now(partial(share, name="c1"))
    other.close()

    assert (store.changed() != seen, names(store)) == (True, {"c1"})


def test_only_its_owner_can_read_the_store_and_what_stands_beside_it(tmp_path: Path) -> None:
    script = (
        "import os, sys; os.umask(0o022); from pathlib import Path; from lockkeep.store import Store;"
        "s = Store(Path(sys.argv[1])); s.write_now(lambda tx: tx.run('seen_set', switch=1));"
        "print(*(f'{p.name} {p.stat().st_mode & 0o777:o}' for p in sorted(Path(sys.argv[1]).parent.iterdir())), sep='\\n')"
    )
    folder = tmp_path / "data"
    out = subprocess.run(
        [sys.executable, "-c", script, str(folder / "x.db")],
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=60,
    ).stdout

    assert out.split("\n")[:-1] == ["x.db 600", "x.db-shm 600", "x.db-wal 600"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_half_a_character_from_outside_stops_no_write(store: Store) -> None:
    await store.write(partial(share, name="a\ud800b"))

    assert names(store) == {"a?b"}
    assert store.read.one("shares_taken", rule="r", key="k\ud800", since="", call="") is not None


class Broken:
    """A connection on which these statements fail, as on a disk that went away."""

    def __init__(self, db: sqlite3.Connection, statements: list[str]) -> None:
        self._db, self._statements = db, statements

    def execute(self, sql: str, *more: Any) -> sqlite3.Cursor:
        if sql in self._statements:
            raise sqlite3.OperationalError("disk I/O error")
        return self._db.execute(sql, *more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def fill(store: Store, pages: int | None = None) -> None:
    """The file may not grow any more, or may again."""
    count = pages or store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {count}")
