"""A copy of the log is tampered with in every way, and verification has to say so each time."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from lockkeep.cli.audit import verified
from lockkeep.cli.drill.exercise import Found, Wrong
from lockkeep.cli.drill.ground import Ground
from lockkeep.ledger.chain import Mark, hashed
from lockkeep.store import Store
from lockkeep.store.copying import copy

Tamper = Callable[[sqlite3.Connection, int], None]


def _edit(db: sqlite3.Connection, seq: int) -> None:
    db.execute("UPDATE audit SET record = replace(record, '\"v\":1', '\"v\":2') WHERE seq = ?", (seq,))


def _edit_with_its_hash(db: sqlite3.Connection, seq: int) -> None:
    _edit(db, seq)
    (text,) = db.execute("SELECT record FROM audit WHERE seq = ?", (seq,)).fetchone()
    db.execute("UPDATE audit SET hash = ? WHERE seq = ?", (hashed(text), seq))


def _delete(db: sqlite3.Connection, seq: int) -> None:
    db.execute("DELETE FROM audit WHERE seq = ?", (seq,))


def _swap(db: sqlite3.Connection, seq: int) -> None:
    rows = db.execute(
        "SELECT hash, record FROM audit WHERE seq IN (?, ?) ORDER BY seq", (seq, seq + 1)
    ).fetchall()
    for number, (digest, text) in zip((seq + 1, seq), rows, strict=True):
        db.execute("UPDATE audit SET hash = ?, record = ? WHERE seq = ?", (digest, text, number))


def _insert(db: sqlite3.Connection, seq: int) -> None:
    db.execute("UPDATE audit SET seq = -(seq + 1) WHERE seq > ?", (seq,))
    db.execute("UPDATE audit SET seq = -seq WHERE seq < 0")
    db.execute("INSERT INTO audit (seq, hash, record, call, type) SELECT ?, hash, record, call, type FROM audit WHERE seq = ?", (seq + 1, seq))  # fmt: skip


def _truncate(db: sqlite3.Connection, seq: int) -> None:
    db.execute("DELETE FROM audit WHERE seq >= ?", (seq,))


WAYS: dict[str, Tamper] = {
    "edited": _edit, "edited, with its hash": _edit_with_its_hash, "deleted": _delete, "reordered": _swap,
    "inserted": _insert, "truncated": _truncate,
}  # fmt: skip


async def tamper_with_a_copy(ground: Ground) -> Found:
    """Every way, in the middle of the log; the head of before is known, as if it had left the machine."""
    wrong = Wrong()
    with ground.here() as place:
        sound = verified(place.store)
    head = Mark(sound.last, sound.head)
    wrong.unless(not sound.tampering, "the log of the drill itself is not sound")
    wrong.unless(sound.last > 3, "the log of the drill holds too little to tamper with")
    found = 0
    for number, (name, way) in enumerate(WAYS.items()):
        target = ground.folder / f"tampered-{number}.db"
        copy(ground.settings.store, target)
        kinds = _kinds(target, way, sound.last // 2, head)
        found += bool(kinds)
        wrong.unless(kinds, f"a log in which a record was {name} passed verification")
    did = f"{len(WAYS)} copies of the drill's log were tampered with, each in another way, and verified."
    return Found(did, {"records": sound.last, "copies": len(WAYS), "found": found}, tuple(wrong.findings))


def _kinds(target: Path, way: Tamper, seq: int, head: Mark) -> set[str]:
    db = sqlite3.connect(target)
    for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        db.execute(f'DROP TRIGGER "{trigger}"')  # whoever tampers does not keep to them
    way(db, seq)
    db.commit()
    db.close()
    store = Store(target)
    try:
        return {each.kind for each in verified(store, [head]).tampering}
    finally:
        store.close()
