"""Hours: which minutes they hold, when they turn, and counting time in them."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from lockkeep.policy.hours import Hours, hours_of
from lockkeep.policy.positions import Place, Problems, Text

BERLIN = ZoneInfo("Europe/Berlin")
HERE = Place("x.yaml", 1, 1)


def hours(*texts: str) -> Hours:
    problems = Problems()
    found = hours_of((Text(HERE, text, text, None) for text in texts), problems)
    assert not problems.found
    return found


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """Monday is the second of November 2026."""
    return datetime(2026, 11, day, hour, minute, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("text", "holds", "not_"),
    [
        ("mon-fri 08:00-18:00", [(2, 8), (6, 17)], [(2, 7), (2, 18), (7, 12)]),
        ("sat-sun", [(7, 0), (8, 23)], [(6, 23), (9, 0)]),
        ("not mon-fri 08:00-18:00", [(2, 7), (7, 12)], [(2, 8), (6, 17)]),
        ("fri-mon 20:00-04:00", [(6, 20), (7, 3), (10, 3), (9, 23)], [(6, 19), (10, 4), (11, 3)]),
        ("22:00-06:00", [(2, 23), (3, 5)], [(3, 6), (3, 21)]),
        ("mon, wed 9:00-10:00", [(2, 9), (4, 9)], [(3, 9), (2, 10)]),
        ("Mon-Fri 00:00-24:00", [(2, 0), (6, 23)], [(7, 0)]),
    ],
)
def test_what_they_hold(text: str, holds: list[tuple[int, int]], not_: list[tuple[int, int]]) -> None:
    found = hours(text)

    assert [each for each in holds if not found.hold(at(*each))] == []
    assert [each for each in not_ if found.hold(at(*each))] == []


def test_any_of_several_holds_and_none_at_all_is_always() -> None:
    found = hours("mon 08:00-09:00", "tue 10:00-11:00")

    assert (found.hold(at(3, 10)), found.hold(at(3, 8)), Hours().hold(at(8, 3))) == (True, False, True)


def test_when_they_turn() -> None:
    found = hours("mon-fri 08:00-18:00")

    assert found.turn(at(6, 19), to=True) == at(9, 8)
    assert found.turn(at(6, 12), to=False) == at(6, 18)
    assert hours("mon-sun").turn(at(6, 12), to=False) is None


@pytest.mark.parametrize(
    ("start", "seconds", "end"),
    [
        ((2, 9), 3600 * 2, (2, 11)), ((2, 17), 3600 * 2, (3, 9)), ((6, 17), 3600 * 2, (9, 9)), ((7, 3), 60, (9, 8, 1)),
        ((2, 8), 36_000, (2, 18)), ((2, 8), 36_001, None), ((6, 18), 36_000 * 5, (13, 18)),
    ],
)  # fmt: skip
def test_time_is_counted_in_them(start: tuple[int, ...], seconds: int, end: tuple[int, ...] | None) -> None:
    found = hours("mon-fri 08:00-18:00").after(at(*start), seconds)

    assert found == (at(*end) if end else at(3, 8) + timedelta(seconds=1))


def test_counting_agrees_with_counting_minute_by_minute() -> None:
    found, start, left, moment = (
        hours("mon-fri 22:00-02:00", "sun 10:00-11:00"),
        at(5, 21, 17),
        500,
        at(5, 21, 17),
    )
    while left:
        left -= found.hold(moment)
        moment += timedelta(minutes=1)

    assert found.after(start, 500 * 60) == moment


@pytest.mark.parametrize(
    "text", ["8-18", "mon-fry", "mon 25:00-26:00", "mon 08:00-08:00", "", "mon 8:60-9:00", "24:00-25:00"]
)
def test_what_is_no_hours_is_said(text: str) -> None:
    problems = Problems()

    assert hours_of([Text(HERE, text, text, None)], problems).windows == ()
    assert len(problems.found) == 1
