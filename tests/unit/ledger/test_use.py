"""An approval is used up once, in time, and for exactly the call it was given to (P2, P3)."""

from datetime import timedelta
from pathlib import Path

import pytest

from lockkeep.ledger import Ledger
from lockkeep.model import Demand, Finding, Pending, RequireApproval, stamp
from unit.ledger.desk import NOW, ledger, write

ASK = RequireApproval((Demand(rule="r", any_of=("lead",), why="big"),), {})


async def agreed(book: Ledger) -> dict[str, str]:
    """An approval people have agreed to, as what its use must name."""
    parked = await book.close(write("asked"), ASK, [Finding("policy", ASK)])
    assert isinstance(parked, Pending)
    use_by = stamp(NOW + timedelta(minutes=15))
    await book.store.write(
        lambda tx: tx.run("approval_agree", id=parked.approval, at=stamp(NOW), use_by=use_by)
    )
    row = book.store.read.one("approval_get", id=parked.approval)
    assert row is not None
    return {"id": row["id"], "call": row["call"], "bound": row["bound"], "now": stamp(NOW)}


@pytest.mark.promise("P2", "P3")
@pytest.mark.parametrize(
    "other",
    [
        {"call": "call_other"},
        {"bound": "0" * 64},
        {"now": stamp(NOW + timedelta(minutes=15))},
        {"id": "apr_other"},
    ],
    ids=str,
)
async def test_it_is_not_used_by_another_call_for_anything_else_or_too_late(
    tmp_path: Path, other: dict[str, str]
) -> None:
    with ledger(tmp_path) as book:
        use = await agreed(book)
        used = [
            await book.store.write(lambda tx, named=named: tx.run("approval_consume", **named))
            for named in ({**use, **other}, use)
        ]

    assert used == [0, 1]


@pytest.mark.promise("P2")
@pytest.mark.parametrize("state", ["consumed", "void", "denied", "expired", "cancelled"])
async def test_it_is_used_once_and_not_after_it_ended(tmp_path: Path, state: str) -> None:
    with ledger(tmp_path) as book:
        use = await agreed(book)
        await book.store.write(
            lambda tx: (
                tx.run("approval_consume", **use)
                if state == "consumed"
                else tx.run("approval_end", id=use["id"], state=state, at=stamp(NOW), note="")
            )
        )
        again = await book.store.write(lambda tx: tx.run("approval_consume", **use))

    assert again == 0
