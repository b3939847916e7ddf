"""Recurrence against a walker of days and against other people's libraries, over many rules around clock changes (TS4)."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.unit.servers.test_calendar import ZONES, walked

from lockkeep_servers.calendar.occurrences import expand, span
from lockkeep_servers.calendar.recurrence import DAYS, settle_rule, walls_of
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import stamp

SAMPLE, WHOLE = 60, 5000
RARE = [HealthCheck.filter_too_much, HealthCheck.too_slow]
quick = settings(max_examples=SAMPLE, deadline=None, derandomize=True, suppress_health_check=RARE)
whole = settings(max_examples=WHOLE, deadline=None, derandomize=True, suppress_health_check=RARE)


@st.composite
def beginnings(draw: st.DrawFn) -> datetime:
    """Wall times that often fall into the hours and days in which clocks change."""
    year, month = draw(st.integers(2026, 2028)), draw(st.sampled_from([3, 4, 10, 11, 1, 6]))
    hour, minute = draw(st.sampled_from([0, 1, 2, 3, 9, 23])), draw(st.sampled_from([0, 15, 30]))
    return datetime(year, month, draw(st.integers(1, 28)), hour, minute)


@st.composite
def own_rules(draw: st.DrawFn) -> tuple[str, datetime]:
    """A rule of our subset, and a start that is one of its days."""
    begins = draw(beginnings())
    kind = draw(st.sampled_from(["DAILY", "WEEKLY", "WEEKLY;BYDAY", "MONTHLY;BYMONTHDAY"]))
    parts = [f"FREQ={kind.partition(';')[0]}", f"INTERVAL={draw(st.integers(1, 4))}"]
    if kind.endswith("BYDAY"):
        others = draw(st.sets(st.sampled_from(DAYS), max_size=3))
        parts.append("BYDAY=" + ",".join(sorted({DAYS[begins.weekday()], *others}, key=DAYS.index)))
    if kind.endswith("BYMONTHDAY"):
        parts.append(f"BYMONTHDAY={begins.day}")
    return ";".join([*parts, f"COUNT={draw(st.integers(1, 40))}"]), begins


def _check_own(case: tuple[str, datetime], zone_name: str, out: set[int]) -> None:
    rule, begins = case
    zone = ZoneInfo(zone_name)
    settled, warnings = settle_rule(rule, begins, zone)
    expected = walked(rule, begins)

    assert (walls_of(settled, begins), warnings) == (expected, [])
    row = _row(settled, begins, zone_name)
    taken_out = {_instant(row, wall) for place, wall in enumerate(expected) if place in out}
    gone = [_gone(row, at) for at in taken_out]
    listed = expand([row, *gone], datetime(2025, 1, 1, tzinfo=UTC), datetime(2045, 1, 1, tzinfo=UTC))
    left = [wall for wall in expected if _instant(row, wall) not in taken_out]
    assert [one.at for one in listed] == sorted(_instant(row, wall) for wall in left)
    for one in listed:
        assert one.end.astimezone(UTC) - one.start.astimezone(UTC) == timedelta(minutes=30)


@quick
@given(own_rules(), st.sampled_from(ZONES), st.sets(st.integers(0, 10), max_size=3))
def test_a_series_is_what_a_walker_of_days_finds(
    case: tuple[str, datetime], zone: str, out: set[int]
) -> None:
    _check_own(case, zone, out)


@pytest.mark.full
@whole
@given(own_rules(), st.sampled_from(ZONES), st.sets(st.integers(0, 10), max_size=3))
def test_all_series_are_what_a_walker_of_days_finds(
    case: tuple[str, datetime], zone: str, out: set[int]
) -> None:
    _check_own(case, zone, out)


def _row(rule: str, begins: datetime, zone: str) -> Row:
    row: Row = {"id": "evt_1", "series_id": None, "occurrence": None, "version": 1, "tz": zone, "all_day": 0, "length_s": 1800, "wall": begins.isoformat(), "rrule": rule, "status": "confirmed", "transparent": 0}  # fmt: skip
    start, end = span(row, begins)
    return {**row, "starts": stamp(start), "ends": stamp(end)}


def _instant(row: Row, wall: datetime) -> str:
    return stamp(span(row, wall)[0])


def _gone(row: Row, at: str) -> Row:
    return {
        **row,
        "id": f"evt_1-{at}",
        "series_id": "evt_1",
        "occurrence": at,
        "rrule": None,
        "status": "cancelled",
    }


@st.composite
def foreign_rules(draw: st.DrawFn) -> tuple[str, datetime]:
    """A rule as other clients write them, and its start."""
    freq = draw(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY"]))
    parts = [
        f"FREQ={freq}",
        f"INTERVAL={draw(st.integers(1, 4))}",
        f"WKST={draw(st.sampled_from(['MO', 'SU', 'WE']))}",
    ]
    counted = freq in ("YEARLY", "MONTHLY") and draw(st.booleans())
    if draw(st.booleans()):
        names = draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=3, unique=True))
        numbers = st.sampled_from(["1", "2", "-1", "-2"]) if counted else st.just("")
        parts.append("BYDAY=" + ",".join(draw(numbers) + name for name in names))
    elif freq != "WEEKLY" and draw(st.booleans()):
        parts.append("BYMONTHDAY=" + draw(st.sampled_from(["1", "13,28", "-1", "15,-2", "31"])))
    elif freq == "YEARLY" and draw(st.booleans()):
        parts.append("BYYEARDAY=" + draw(st.sampled_from(["1", "60,-1", "100,365", "366"])))
    if draw(st.integers(0, 3)) == 0:
        parts.append("BYMONTH=" + draw(st.sampled_from(["1", "3,10", "2", "6,7,12"])))
    if draw(st.integers(0, 3)) == 0:
        parts.append("BYHOUR=" + draw(st.sampled_from(["9", "9,15"])))
    if freq in ("YEARLY", "MONTHLY") and len(parts) > 3 and draw(st.integers(0, 2)) == 0:
        parts.append("BYSETPOS=" + draw(st.sampled_from(["1", "-1", "1,-1", "2"])))
    if draw(st.booleans()):
        parts.append(f"COUNT={draw(st.integers(1, 30))}")
    return ";".join(parts), draw(beginnings())


def _check_foreign(case: tuple[str, datetime], day: int, days: int) -> None:
    pytest.importorskip("icalendar", reason="pip install lockkeep[caldav]")
    from lockkeep_servers.calendar.adapters.caldav_repeats import Rule  # it needs an extra

    text, start = case
    endless = Rule(text.partition(";COUNT")[0], start, None)
    assume(
        len(endless.between(start, start + timedelta(days=6000))) >= 30
    )  # dateutil walks to the year 9999 for others
    begin = datetime(2026, 1, 1) + timedelta(days=day)
    finish = begin + timedelta(days=days)

    assert Rule(text, start, None).between(begin, finish) == rrulestr(text, dtstart=start).between(
        begin, finish, inc=True
    )


@pytest.mark.full
@quick
@given(foreign_rules(), st.integers(0, 900), st.integers(1, 366))
def test_a_foreign_rule_is_what_dateutil_finds(case: tuple[str, datetime], day: int, days: int) -> None:
    _check_foreign(case, day, days)


@pytest.mark.full
@whole
@given(foreign_rules(), st.integers(0, 900), st.integers(1, 366))
def test_all_foreign_rules_are_what_dateutil_finds(case: tuple[str, datetime], day: int, days: int) -> None:
    _check_foreign(case, day, days)
