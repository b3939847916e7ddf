"""A store is brought to this release whole, or it stays as it was."""

import sqlite3
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from lockkeep.errors import StoreDoesNotFit, StoreUnavailable
from lockkeep.store import Store, migrate
from lockkeep.store.migrate import shipped

Files = list[tuple[int, str, str]]
THREE: Files = [
    (1, "0001_a.sql", "CREATE TABLE a (x INTEGER) STRICT;\n"),
    (2, "0002_b.sql", "CREATE TABLE b (x INTEGER) STRICT;\nINSERT INTO a VALUES (2);\n"),
    (
        3,
        "0003_c.sql",
        "CREATE TRIGGER t AFTER INSERT ON b BEGIN\n  INSERT INTO a VALUES (3);\n  INSERT INTO a VALUES (4);\nEND;\n",
    ),
]


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def dump(db: sqlite3.Connection) -> list[str]:
    return list(db.iterdump())


def run(monkeypatch: pytest.MonkeyPatch, db: sqlite3.Connection, files: Files) -> None:
    monkeypatch.setattr(migrate, "shipped", lambda: files)
    migrate.migrate(db)


@pytest.fixture
def db(tmp_path: Path):
    found = connect(tmp_path / "x.db")
    yield found
    found.close()


def test_the_shipped_migrations_are_numbered_from_one_without_gaps() -> None:
    assert [number for number, _, _ in shipped()] == list(range(1, len(shipped()) + 1))
    assert all(name == f"{number:04}_{name[5:]}" for number, name, _ in shipped())


def test_each_file_is_applied_once_in_order_and_remembered_by_its_hash(
    monkeypatch: pytest.MonkeyPatch, db: sqlite3.Connection
) -> None:
    run(monkeypatch, db, THREE[:2])
    run(monkeypatch, db, THREE)
    once = dump(db)
    run(monkeypatch, db, THREE)

    assert dump(db) == once
    assert db.execute("SELECT * FROM a").fetchall() == [(2,)]
    assert db.execute("SELECT number, name, sha256 FROM migrations").fetchall() == [
        (number, name, sha256(text.encode()).hexdigest()) for number, name, text in THREE
    ]


@pytest.mark.parametrize(
    ("sabotage", "files", "why"),
    [
        ("DELETE FROM migrations WHERE number = 2", THREE, "migration 2 is missing"),
        ("DELETE FROM migrations WHERE number = 1", THREE, "migration 1 is missing"),
        ("UPDATE migrations SET sha256 = 'x' WHERE number = 1", THREE, "0001_a.sql was changed"),
        ("UPDATE migrations SET sha256 = 'x' WHERE number = 2", THREE[:2], "0002_b.sql was changed"),
        ("INSERT INTO migrations VALUES (3, 'c', 'x'), (4, 'd', 'x')", THREE, "it has migration 4"),
    ],
)
def test_a_store_this_release_did_not_lead_to_is_refused_untouched(
    monkeypatch: pytest.MonkeyPatch, db: sqlite3.Connection, sabotage: str, files: Files, why: str
) -> None:
    run(monkeypatch, db, THREE if "DELETE" in sabotage else THREE[:2])
    db.execute(sabotage)
    before = dump(db)

    with pytest.raises(StoreDoesNotFit, match=why):
        run(monkeypatch, db, files)

    assert (dump(db), db.in_transaction) == (before, False)


@pytest.mark.parametrize(
    "broken",
    [
        "CREATE TABLE c (x INTEGER) STRICT;\nINSERT INTO a VALUES (9);\nINSERT INTO nothing VALUES (1);\n",
        "INSERT INTO a VALUES (9);\nCREATE TABLE a (x INTEGER);\n",
        "INSERT INTO a VALUES (9);\nINSERT INTO a VALUES ('text');\n",
        "INSERT INTO a VALUES (9);\nCREATE TABLE unfinished (x INTEGER",
    ],
)
def test_a_migration_that_fails_half_way_leaves_the_file_as_it_was(
    monkeypatch: pytest.MonkeyPatch, db: sqlite3.Connection, broken: str
) -> None:
    run(monkeypatch, db, THREE[:2])
    before = dump(db)

    with pytest.raises(StoreDoesNotFit, match=r"0003_x\.sql failed"):
        run(monkeypatch, db, [*THREE[:2], (3, "0003_x.sql", broken)])

    assert (dump(db), db.in_transaction) == (before, False)


def test_when_the_second_of_two_new_migrations_fails_the_first_one_does_not_stay(
    monkeypatch: pytest.MonkeyPatch, db: sqlite3.Connection
) -> None:
    run(monkeypatch, db, THREE[:1])
    before = dump(db)

    with pytest.raises(StoreDoesNotFit):
        run(monkeypatch, db, [*THREE[:2], (3, "0003_x.sql", "INSERT INTO nothing VALUES (1);\n")])

    assert dump(db) == before


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    file.write_bytes(b"these are my notes\n" * 100)

    with pytest.raises(StoreUnavailable):
        Store(file)

    assert file.read_bytes() == b"these are my notes\n" * 100


OPEN = "import sys; from pathlib import Path; from lockkeep.store import Store; sys.stdin.read(1); Store(Path(sys.argv[1])).close()"


def test_several_processes_may_open_a_new_store_at_once(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(file)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        for _ in range(4)
    ]
    for opener in openers:
        assert opener.stdin is not None
        opener.stdin.write("go")
        opener.stdin.flush()
    ended = [(opener.communicate(timeout=60)[1], opener.returncode) for opener in openers]

    assert ended == [("", 0)] * 4
    db = connect(file)
    assert [row[0] for row in db.execute("SELECT number FROM migrations")] == [n for n, _, _ in shipped()]
    db.close()
