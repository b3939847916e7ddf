"""The chain tells what was done to it, and where (P7)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chains import (
    Rows,
    chained,
    deleted,
    deleted_and_renumbered,
    doubled,
    edited,
    edited_with_its_hash,
    forked,
    inserted,
    lines,
    not_json,
    rebuilt,
    swapped,
)
from lockkeep.ledger import audit, chain
from lockkeep.ledger.chain import Mark
from lockkeep.store import Store

START = datetime(2027, 3, 1, tzinfo=UTC)
SIZE = 40
PLACES = (1, 2, 17, 39, 40)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Forty records as a gateway writes them, with text of every kind."""
    store = Store(tmp_path_factory.mktemp("audit") / "x.db")
    for number in range(SIZE):
        at = START + timedelta(seconds=number)
        text = f"“{number}” ⟨\u202e\ud800⟩\n"
        store.write_now(
            lambda tx, at=at, text=text: audit.append(tx, "call.denied", at, call="c", reason=text, rules=[])
        )
    found = [
        (row["seq"], row["hash"], row["record"]) for row in store.read.all("audit_from", seq=1, count=100_000)
    ]
    store.close()
    return found


Tamper = Callable[[Rows, int], Rows]


def said(found: list[audit.Tampering]) -> list[tuple[str, int]]:
    return [(each.kind, each.seq) for each in found]


@pytest.mark.promise("P7")
def test_an_untouched_chain_is_sound_also_against_its_head(rows: Rows) -> None:
    heads = [Mark(size, rows[size - 1][1]) for size in (1, 20, SIZE)]

    assert audit.verify(rows) == audit.verify(rows, heads) == audit.verify(lines(rows), heads) == []
    assert audit.verify([]) == []


@pytest.mark.promise("P7")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("tamper", "kind"),
    [
        (edited, "edited"),
        (not_json, "edited"),
        (deleted, "deleted"),
        (deleted_and_renumbered, "deleted"),
        (inserted, "inserted"),
        (doubled, "inserted"),
        (swapped, "reordered"),
    ],
)
def test_what_is_said_is_what_was_done_and_where(rows: Rows, tamper: Tamper, kind: str, place: int) -> None:
    if tamper in (deleted, deleted_and_renumbered):
        place = min(place, SIZE - 1)  # the last record is gone: that is truncation
    first = min(place, place - 3) if tamper is swapped and place + 3 > SIZE else place

    assert said(audit.verify(tamper(rows, place))) == [(kind, first)]


@pytest.mark.promise("P7")
@pytest.mark.parametrize("place", PLACES[:-1])
def test_a_record_edited_together_with_its_hash_no_longer_carries_the_next_one(
    rows: Rows, place: int
) -> None:
    assert said(audit.verify(edited_with_its_hash(rows, place))) == [("edited", place)]


@pytest.mark.promise("P7")
@pytest.mark.parametrize("left", [0, 1, 17, 39])
def test_a_truncated_log_is_found_with_the_head_that_left_the_machine(rows: Rows, left: int) -> None:
    head = Mark(SIZE, rows[-1][1])

    assert audit.verify(rows[:left]) == []
    assert audit.verify(rows[:left], [head]) == [
        audit.Tampering(left + 1, "truncated", f"the head that left the machine covers {SIZE} records")
    ]


@pytest.mark.promise("P7")
@pytest.mark.parametrize("place", PLACES)
def test_a_recomputed_tail_is_found_with_the_head_that_left_the_machine(rows: Rows, place: int) -> None:
    new, heads = rebuilt(rows, place), [Mark(size, rows[size - 1][1]) for size in (10, 30, SIZE)]

    assert audit.verify(new) == []
    assert said(audit.verify(new, heads)) == [
        ("recomputed", next(mark.size for mark in heads if mark.size >= place))
    ]


@pytest.mark.promise("P7")
@pytest.mark.parametrize("place", PLACES[1:-2])
def test_two_histories_are_a_fork_in_one_file_and_in_the_heads(rows: Rows, place: int) -> None:
    other = rebuilt(rows, place)
    heads = [Mark(SIZE - 1, rows[SIZE - 2][1]), Mark(SIZE, other[-1][1])]

    assert said(audit.verify(lines(forked(rows, place)))) == [("forked", place)]
    assert said(audit.verify(other, heads)) == [("forked", SIZE - 1)]


@pytest.mark.promise("P7")
def test_two_things_done_in_one_log_are_both_found(rows: Rows) -> None:
    found = audit.verify(deleted_and_renumbered(inserted(rows, 10), 31))

    assert said(found) == [("inserted", 10), ("deleted", 30)]


@pytest.mark.promise("P7")
def test_what_was_pruned_or_lost_by_a_restore_is_a_gap_only_where_the_log_declares_it(rows: Rows) -> None:
    later, head = START + timedelta(days=1), Mark(SIZE, rows[-1][1], "2027-03-01T01:00:00.000000Z")
    kept = rows[:30]
    told = chained(kept, "ledger.restored", later.isoformat(), size=30)
    pruned = chained(rows, "log.pruned", later.isoformat(), upto=9, hash=rows[8][1])[9:]

    assert said(audit.verify(kept, [head])) == [("truncated", 31)]
    assert chain.walked(told, [head]).gaps != ()
    assert audit.verify(told, [head]) == []
    assert said(audit.verify(rows[9:])) == [("deleted", 1)]
    assert audit.verify(pruned, [head]) == []
    assert chain.walked(pruned).first == 10
    assert said(audit.verify(pruned[1:])) == [("deleted", 1)]


def test_an_event_nobody_declared_cannot_be_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.db")
    with pytest.raises(ValueError, match=r"call\.invented"):
        store.write_now(lambda tx: audit.append(tx, "call.invented", START))
    assert store.read.one("audit_head") is None
    store.close()
