"""Free times: the same as a walk over every quarter of an hour finds, and cheap."""

import sys
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.servers.desk import MONDAY, Desk, world_folder
from tests.unit.servers.test_calendar import ZONES
from tests.unit.servers.test_recurrence import own_rules
from tests.unit.servers.writes import EVENT

from lockkeep_servers.calendar import port
from lockkeep_servers.calendar.adapters import answers
from lockkeep_servers.calendar.adapters.embedded import EmbeddedCalendar
from lockkeep_servers.calendar.occurrences import Occurrence, clashes, expand, span
from lockkeep_servers.calendar.recurrence import DAYS
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import stamp

SAMPLES = pytest.mark.parametrize("examples", [50, pytest.param(200, marks=pytest.mark.full)])
LONG_AGO, FAR_AHEAD = datetime(2025, 1, 1, tzinfo=UTC), datetime(2045, 1, 1, tzinfo=UTC)
CLOCKS_CHANGE = (date(2027, 3, 28), date(2027, 10, 31), date(2027, 3, 14), date(2027, 11, 7))
MOST_STEPS = (
    2000  # Python calls within one search of a week: 1,232, and 4,382 when every series was expanded whole
)
ASKED: dict[str, Any] = {
    "participants": ["rep_1", "rep_2"],
    "duration_min": 30,
    "tz": "Europe/Berlin",
    "from": "2027-03-01T08:00:00+01:00",
    "to": "2027-03-05T18:00:00+01:00",
}


def event(zone: str, **columns: Any) -> Row:
    row: Row = {"id": "evt_1", "series_id": None, "occurrence": None, "version": 1, "tz": zone, "all_day": 0, "rrule": None, "status": "confirmed", "transparent": 0, **columns}  # fmt: skip
    if "wall" in row:
        start, end = span(row, datetime.fromisoformat(row["wall"]))
        row = {"starts": stamp(start), "ends": stamp(end), **row}
    return row


def between(starts: str, ends: str, zone: str = "Europe/Berlin", id: str = "evt_1") -> Occurrence:
    (one,) = expand([event(zone, id=id, starts=starts, ends=ends)], LONG_AGO, FAR_AHEAD)
    return one


@st.composite
def searches(draw: st.DrawFn) -> tuple[port.FindSlots, list[Occurrence]]:
    """A search over days in which clocks change, and what stands in the calendars."""
    zone = draw(st.sampled_from(ZONES))
    around = datetime.combine(draw(st.sampled_from(CLOCKS_CHANGE)), time(), ZoneInfo(zone)).astimezone(UTC)
    begin = around - timedelta(minutes=draw(st.integers(0, 2880)))
    opens, closes = sorted(draw(st.sets(st.integers(0, 95), min_size=2, max_size=2)))
    ask = port.FindSlots.model_validate(
        {
            "participants": ["rep_1"],
            "duration_min": draw(st.sampled_from([5, 30, 45, 60, 240])),
            "from": begin.isoformat(),
            "to": (begin + timedelta(minutes=draw(st.integers(30, 7200)))).isoformat(),
            "tz": zone,
            "work_start": f"{opens // 4:02}:{opens % 4 * 15:02}",
            "work_end": f"{closes // 4:02}:{closes % 4 * 15:02}",
            "days": list(DAYS),
            "buffer_min": draw(st.sampled_from([0, 10, 60])),
            "limit": 20,
        }
    )
    found: list[Occurrence] = []
    for after, minutes in draw(st.lists(st.tuples(st.integers(0, 7200), st.integers(5, 600)), max_size=12)):
        start = begin + timedelta(minutes=after)
        found.append(
            between(stamp(start), stamp(start + timedelta(minutes=minutes)), draw(st.sampled_from(ZONES)))
        )
    return ask, found


def walked(ask: port.FindSlots, found: list[Occurrence]) -> list[datetime]:
    """Every quarter of an hour, each held against every event, in UTC."""
    zone, quarter = ZoneInfo(ask.tz), timedelta(minutes=15)
    length, buffer = timedelta(minutes=ask.duration_min), timedelta(minutes=ask.buffer_min)
    taken = [(one.start.astimezone(UTC) - buffer, one.end.astimezone(UTC) + buffer) for one in found]
    free: list[datetime] = []
    day = ask.from_.astimezone(zone).date()
    while day <= ask.to.astimezone(zone).date():
        opens, closes = (
            datetime.combine(day, time.fromisoformat(each), zone).astimezone(UTC)
            for each in (ask.work_start, ask.work_end)
        )
        while opens + length <= min(closes, ask.to):
            if opens >= ask.from_ and all(opens + length <= start or end <= opens for start, end in taken):
                free.append(opens)
            opens += quarter
        day += timedelta(days=1)
    return free[: ask.limit]


@SAMPLES
def test_slots_are_what_a_walk_over_every_quarter_finds(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    @given(searches())
    def found_by_walking(case: tuple[port.FindSlots, list[Occurrence]]) -> None:
        ask, found = case
        slots = answers.slots(ask, (found, []), LONG_AGO).slots
        assert [slot.start_utc for slot in slots] == walked(ask, found)

    found_by_walking()


@SAMPLES
def test_a_look_at_some_days_of_a_series_sees_what_the_whole_has_there(examples: int) -> None:
    """Also one that was moved there from far away, or away from there."""
    settings(max_examples=examples, deadline=None, derandomize=True, database=None)(LOOKS(_check_look))()


LOOKS = given(
    own_rules(), st.sampled_from(ZONES), st.integers(0, 45), st.integers(-400, 400), st.integers(1, 40)
)


def _check_look(case: tuple[str, datetime], zone: str, place: int, by: int, days: int) -> None:
    rule, begins = case
    row = event(zone, wall=begins.isoformat(), length_s=5400, rrule=rule)
    whole = expand([row], LONG_AGO, FAR_AHEAD)
    moved = whole[place % len(whole)]
    start = moved.start.astimezone(UTC) + timedelta(days=by)
    other = event(zone, id="evt_1-moved", series_id="evt_1", occurrence=moved.at, starts=stamp(start), ends=stamp(start + timedelta(hours=1)))  # fmt: skip
    for middle in (start, moved.start.astimezone(UTC), begins.replace(tzinfo=UTC)):
        begin, finish = middle - timedelta(hours=days), middle + timedelta(hours=days)
        everything = expand([row, other], LONG_AGO, FAR_AHEAD)

        assert expand([row, other], begin, finish) == [
            one for one in everything if one.overlaps(begin, finish)
        ]


async def test_a_buffer_counts_minutes_also_where_the_clock_skips_an_hour(calendar: Desk) -> None:
    """An event at 03:00, when summer time begins, keeps the ten minutes before it: the clock shows 01:50."""
    night = {"tz": "Europe/Berlin", "from": "2027-03-28T00:00:00Z", "to": "2027-03-28T01:00:00Z"}
    at_three = {**EVENT, "start": "2027-03-28T03:00:00+02:00", "end": "2027-03-28T03:30:00+02:00"}
    await calendar.ok("create_event", **at_three)

    found = await calendar.ok("find_slots", participants=["rep_1"], duration_min=30, buffer_min=10, work_start="01:00", work_end="04:00", days=["SU"], **night)  # fmt: skip

    assert [slot["start"] for slot in found["slots"]] == ["2027-03-28T01:00:00+01:00", "2027-03-28T01:15:00+01:00"]  # fmt: skip


def test_a_clash_is_seen_in_the_hour_that_the_clock_shows_twice() -> None:
    long = between("2027-10-31T00:30:00Z", "2027-10-31T01:15:00Z")  # 02:30 to 02:15, as the clock shows it
    wanted = between("2027-10-31T00:40:00Z", "2027-10-31T00:50:00Z", id="evt_2")

    assert clashes([wanted], [long]) == [long]


async def test_a_search_does_not_expand_every_series_anew() -> None:
    diary = EmbeddedCalendar(world_folder("calendar"), lambda: MONDAY)
    ask = port.FindSlots.model_validate(ASKED)
    steps = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal steps
        steps += event in ("call", "c_call")

    async with diary.session():
        first = await diary.find_slots(ask)
        sys.setprofile(count)
        try:
            again = await diary.find_slots(ask)
        finally:
            sys.setprofile(None)

    assert again == first
    assert steps < MOST_STEPS, steps
