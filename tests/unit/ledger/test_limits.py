"""Limits: windows that slide, windows of the calendar, all or none, and shares that come back."""

from collections.abc import Generator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from lockkeep.ledger import Ledger, limits
from lockkeep.model import Share
from unit.ledger.desk import NOW, ledger

HOUR = timedelta(hours=1)


@pytest.fixture
def book(tmp_path: Path) -> Generator[Ledger]:
    with ledger(tmp_path) as found:
        yield found


def sliding(now: datetime, most: int = 2, rule: str = "r", key: str = "k") -> Share:
    return Share(rule=rule, key=key, most=most, since=now - HOUR, window=3600, text=f"{most} per hour")


def take(book: Ledger, call: str, *shares: Share, at: datetime = NOW) -> str | None:
    """None, or when to try again."""
    deny = book.store.write_now(lambda tx: limits.reserve(tx, call, shares, at))
    return deny.retry if deny else None


def test_a_sliding_window_frees_each_share_an_hour_after_it_was_taken(book: Ledger) -> None:
    later = NOW + timedelta(minutes=20)
    assert take(book, "c1", sliding(NOW)) is None
    assert take(book, "c2", sliding(later), at=later) is None
    assert take(book, "c3", sliding(later), at=later) == f"after:{(NOW + HOUR).isoformat()}"

    almost = NOW + HOUR - timedelta(microseconds=1)
    assert take(book, "c3", sliding(almost), at=almost) == f"after:{(NOW + HOUR).isoformat()}"
    assert take(book, "c3", sliding(NOW + HOUR), at=NOW + HOUR) is None
    assert take(book, "c4", sliding(NOW + HOUR), at=NOW + HOUR) == f"after:{(later + HOUR).isoformat()}"


def test_a_window_of_the_calendar_says_when_it_ends(book: Ledger) -> None:
    ends = NOW + timedelta(hours=12)
    day = Share(rule="r", key="", most=1, since=NOW - timedelta(hours=12), ends=ends, text="1 per day")

    assert [take(book, "c1", day), take(book, "c2", day)] == [None, f"after:{ends.isoformat()}"]


def test_a_limit_of_none_allows_none_and_promises_nothing(book: Ledger) -> None:
    assert take(book, "c1", sliding(NOW, most=0)) == "changed"


def test_every_key_and_every_rule_has_its_own_window(book: Ledger) -> None:
    said = [
        take(book, f"c{n}", sliding(NOW, most=1, rule=rule, key=key))
        for n, (rule, key) in enumerate([("r", "a"), ("r", "b"), ("s", "a"), ("r", "a")])
    ]

    assert said[:3] == [None, None, None]
    assert said[3] is not None


def test_all_shares_are_taken_or_none(book: Ledger) -> None:
    take(book, "c1", sliding(NOW, most=1, rule="full"))

    assert take(book, "c2", sliding(NOW, rule="free"), sliding(NOW, most=1, rule="full")) is not None
    assert [dict(row) for row in book.store.read._db.execute("SELECT rule, call FROM shares")] == [  # pyright: ignore[reportPrivateUsage]
        {"rule": "full", "call": "c1"}
    ]


def test_a_parked_call_that_holds_its_share_keeps_it_when_it_is_claimed(book: Ledger) -> None:
    one = sliding(NOW, most=1)

    assert [take(book, "c1", one), take(book, "c1", one), take(book, "c2", one) is None] == [
        None,
        None,
        False,
    ]


def test_what_is_given_back_is_free_at_once(book: Ledger) -> None:
    take(book, "c1", sliding(NOW, most=1), sliding(NOW, most=1, rule="s"))
    book.store.write_now(lambda tx: limits.give_back(tx, "c1"))

    assert take(book, "c2", sliding(NOW, most=1), sliding(NOW, most=1, rule="s")) is None
