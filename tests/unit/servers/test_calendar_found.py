"""The calendar where clocks change, where series were cut, and where something is put back: all of it on CalDAV, too."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.servers.desk import Desk, open_desk
from tests.unit.servers.writes import EVENT, SERIES, THIRD, a_series

WHOLE = {"from": "2027-03-01T00:00:00Z", "to": "2027-12-01T00:00:00Z", "limit": 50}
NIGHT = {**EVENT, "start": "2027-10-30T22:00:00+02:00", "end": "2027-10-31T07:00:00+01:00"}  # ten hours
FOURTH = "2027-03-23T17:00:00Z"
OURS = (
    "BEGIN:VTIMEZONE", "TZID:Ours",
    "BEGIN:STANDARD", "DTSTART:20261025T030000", "TZOFFSETFROM:+0200", "TZOFFSETTO:+0100", "END:STANDARD",
    "BEGIN:DAYLIGHT", "DTSTART:20270328T020000", "TZOFFSETFROM:+0100", "TZOFFSETTO:+0200", "END:DAYLIGHT",
    "END:VTIMEZONE",
)  # fmt: skip
Times = list[tuple[str, str]]


async def times(desk: Desk, title: str = "Review", **window: Any) -> Times:
    page = await desk.ok("list_events", calendar="rep_1", query=title, **{**WHOLE, **window})
    return [(item["start"], item["end"]) for item in page["items"] if item["title"] == title]


async def book(desk: Desk, start: str, end: str, **more: Any) -> dict[str, Any]:
    return await desk.ok("create_event", **{**EVENT, "start": start, "end": end, **more})


async def in_the_way(desk: Desk, start: str, end: str) -> int:
    error = await desk.refused("create_event", **{**EVENT, "start": start, "end": end})
    assert error["details"]["check"] == "no_overlap"
    return error["details"]["count"]


async def faults(desk: Desk, tool: str, **arguments: Any) -> list[str]:
    error = await desk.refused(tool, **arguments)
    assert error["code"] == "invalid"
    return [fault["field"] for fault in error["details"]["fields"]]


# Where clocks change


async def test_an_event_over_a_clock_change_keeps_its_end(calendar: Desk) -> None:
    made = await book(calendar, NIGHT["start"], NIGHT["end"])

    assert await times(calendar) == [(NIGHT["start"], NIGHT["end"])]
    assert await in_the_way(calendar, "2027-10-31T06:15:00+01:00", "2027-10-31T06:45:00+01:00") == 1
    event = {"calendar": "rep_1", "event_id": made["id"]}
    await calendar.ok("update_event", **event, changes={"start": "2027-11-06T22:00:00+01:00"})
    assert await times(calendar) == [("2027-11-06T22:00:00+01:00", "2027-11-07T08:00:00+01:00")]


async def test_every_night_of_a_series_is_as_long_as_the_one_over_a_clock_change(calendar: Desk) -> None:
    await book(calendar, NIGHT["start"], NIGHT["end"], rrule="FREQ=WEEKLY;COUNT=2")

    assert await times(calendar) == [
        (NIGHT["start"], NIGHT["end"]),
        ("2027-11-06T22:00:00+01:00", "2027-11-07T08:00:00+01:00"),
    ]


async def test_an_event_may_be_moved_to_where_its_old_offset_would_end_in_a_gap(calendar: Desk) -> None:
    made = await book(calendar, EVENT["start"], EVENT["end"])

    event = {"calendar": "rep_1", "event_id": made["id"]}
    await calendar.ok("update_event", **event, changes={"start": "2027-03-28T01:30:00+01:00"})

    assert await times(calendar) == [("2027-03-28T01:30:00+01:00", "2027-03-28T03:30:00+02:00")]


async def test_the_hour_that_comes_twice_is_two_hours(calendar: Desk) -> None:
    await book(calendar, "2027-10-31T01:30:00+02:00", "2027-10-31T02:15:00+01:00")

    assert await in_the_way(calendar, "2027-10-31T02:30:00+02:00", "2027-10-31T02:50:00+02:00") == 1
    after = await book(calendar, "2027-10-31T02:15:00+01:00", "2027-10-31T02:40:00+01:00")
    assert after["warnings"] == []


async def test_the_first_of_two_hours_does_not_take_the_second(calendar: Desk) -> None:
    await book(calendar, "2027-10-31T02:00:00+02:00", "2027-10-31T02:55:00+02:00")

    second = await book(calendar, "2027-10-31T02:10:00+01:00", "2027-10-31T02:40:00+01:00")

    assert second["warnings"] == []


@pytest.mark.parametrize("count", [1, 3])
async def test_a_series_does_not_start_in_the_second_of_two_hours(calendar: Desk, count: int) -> None:
    twice = {**EVENT, "start": "2027-10-31T02:30:00+01:00", "end": "2027-10-31T02:45:00+01:00"}
    rule = f"FREQ=DAILY;COUNT={count}"

    error = await calendar.refused("create_event", **twice, rrule=rule)

    (fault,) = error["details"]["fields"]
    assert (error["code"], fault["field"]) == ("invalid", "start")
    assert "2027-10-31T02:30:00+02:00" in fault["problem"]  # the one to give instead
    made = await calendar.ok("create_event", **twice)
    event = {"calendar": "rep_1", "event_id": made["id"]}
    assert await faults(calendar, "update_event", **event, changes={"rrule": rule}) == ["start"]


@pytest.mark.parametrize(("lines", "end"), [
    (("DTSTART;TZID=Europe/Berlin:20270327T230000", "DTEND;TZID=Europe/Berlin:20270328T070000"), "2027-03-28T07:00:00+02:00"),
    (("DTSTART;TZID=Europe/Berlin:20271030T230000", "DTEND;TZID=Europe/Berlin:20271031T070000"), "2027-10-31T07:00:00+01:00"),
    (("DTSTART;TZID=Europe/Berlin:20270320T230000", "DURATION:PT1H", "RDATE;VALUE=PERIOD;TZID=Europe/Berlin:20270327T230000/20270328T070000"), "2027-03-28T07:00:00+02:00"),
    (("DTSTART;TZID=Ours:20270327T230000", "DTEND;TZID=Ours:20270328T070000"), "2027-03-28T05:00:00+00:00"),
])  # fmt: skip
def test_a_night_in_a_calendar_file_ends_when_it_says(lines: tuple[str, ...], end: str) -> None:
    pytest.importorskip("icalendar", reason="pip install lockkeep[caldav]")
    from tests.unit.servers.test_calendar_files import file_of, seen  # it needs an extra

    *_, last = seen(file_of(*lines, before=OURS), finish="2027-12-01T00:00:00Z")

    assert last.end == datetime.fromisoformat(end)


# Series, cut and changed


async def test_a_change_of_one_occurrence_spares_the_series_that_was_cut_off(calendar: Desk) -> None:
    series = await a_series(calendar)
    moved = {"title": "Important", "start": "2027-03-24T18:00:00+01:00"}
    await calendar.ok("update_event", **series, scope="this", occurrence=FOURTH, changes=moved)
    rest = {"scope": "following", "occurrence": THIRD, "changes": {"title": "Rest"}}
    await calendar.ok("update_event", **series, **rest)
    longer = {"scope": "all", "changes": {"rrule": "FREQ=WEEKLY;COUNT=4"}, "on_conflict": "allow"}
    await calendar.ok("update_event", **series, **longer)
    before = await times(calendar)

    once = {"scope": "this", "occurrence": FOURTH, "changes": {"title": "Other"}}
    await calendar.ok("update_event", **series, **once, idempotency_key="once-0001")

    important = [("2027-03-24T18:00:00+01:00", "2027-03-24T19:00:00+01:00")]
    assert await times(calendar, "Important") == important
    assert await times(calendar, "Other") == before[-1:]
    await calendar.ok("restore_event", receipt_key="once-0001")
    assert await times(calendar, "Important") == important
    assert await times(calendar) == before


async def test_an_occurrence_moved_before_a_cut_is_seen_in_short_readings(calendar: Desk) -> None:
    series = await a_series(calendar)
    earlier = ("2027-03-12T18:00:00+01:00", "2027-03-12T19:00:00+01:00")
    await calendar.ok(
        "update_event", **series, scope="this", occurrence=FOURTH, changes={"start": earlier[0]}
    )
    await calendar.ok(
        "update_event", **series, scope="following", occurrence=THIRD, changes={"location": "Room 2"}
    )

    day = {"from": "2027-03-12T00:00:00Z", "to": "2027-03-13T00:00:00Z"}
    assert await times(calendar, **day) == [earlier]
    free = await calendar.ok("free_busy", calendars=["rep_1"], **day)
    assert earlier in [(each["start"], each["end"]) for each in free["busy"]]


async def test_the_first_of_a_series_of_days_is_named_by_its_day_when_another_comes_before_it(
    calendar: Desk,
) -> None:
    made = await book(calendar, "2027-03-13", "2027-03-14", all_day=True, rrule="FREQ=WEEKLY;COUNT=3")
    series = {"calendar": "rep_1", "event_id": made["id"]}
    first = await calendar.ok("get_event", **series)
    second = {"scope": "this", "occurrence": "2027-03-19T23:00:00Z"}

    await calendar.ok("update_event", **series, **second, changes={"start": "2027-03-07"})

    assert first["occurrence"] == "2027-03-12T23:00:00+00:00"
    assert (await calendar.ok("get_event", **series))["occurrence"] == first["occurrence"]


@pytest.mark.parametrize(
    "longer", [{"end": "2027-03-02T19:30:00+01:00"}, {"rrule": "FREQ=WEEKLY;BYDAY=TU,WE;COUNT=400"}]
)
async def test_a_series_older_than_a_year_is_checked_for_times_to_come(
    calendar: Desk, longer: dict[str, str]
) -> None:
    made = await calendar.ok("create_event", **{**SERIES, "rrule": "FREQ=WEEKLY;COUNT=200"})
    calendar.later(days=728)  # a Monday, in 2029
    await book(calendar, "2029-03-06T19:00:00+01:00", "2029-03-06T20:00:00+01:00")
    await book(calendar, "2029-03-07T18:30:00+01:00", "2029-03-07T20:00:00+01:00")

    error = await calendar.refused(
        "update_event", calendar="rep_1", event_id=made["id"], scope="all", changes=longer
    )

    assert (error["details"]["check"], error["details"]["count"]) == ("no_overlap", 1)


@pytest.mark.parametrize("scope", [{"scope": "all"}, {"scope": "following", "occurrence": THIRD}])
async def test_occurrences_that_keep_their_own_title_are_counted(
    calendar: Desk, scope: dict[str, str]
) -> None:
    series = await a_series(calendar)
    this = {"scope": "this", "occurrence": FOURTH}
    await calendar.ok("update_event", **series, **this, changes={"start": "2027-03-24T18:00:00+01:00"})
    gone = {"scope": "this", "occurrence": "2027-03-30T16:00:00Z"}
    await calendar.ok("cancel_event", **series, **gone, reason="test")

    renamed = await calendar.ok("update_event", **series, **scope, changes={"title": "New"})

    assert renamed["warnings"] == ["1 occurrences changed before keep values of their own."]
    assert ("2027-03-24T18:00:00+01:00", "2027-03-24T19:00:00+01:00") in await times(calendar)


async def test_occurrences_that_say_the_same_anyway_are_not_counted(calendar: Desk) -> None:
    series = await a_series(calendar)
    this = {"scope": "this", "occurrence": THIRD}
    await calendar.ok("update_event", **series, **this, changes={"title": "New"})

    renamed = await calendar.ok("update_event", **series, scope="all", changes={"title": "New"})

    assert renamed["warnings"] == []


# What is put back


async def test_putting_back_over_something_booked_since_warns(calendar: Desk) -> None:
    made = await book(calendar, EVENT["start"], EVENT["end"])
    event = {"calendar": "rep_1", "event_id": made["id"]}
    await calendar.ok("cancel_event", **event, reason="test", idempotency_key="cancel-01")
    await book(calendar, EVENT["start"], EVENT["end"], title="Since")

    back = await calendar.ok("restore_event", receipt_key="cancel-01")

    assert back["warnings"] == ["no_overlap: 1 occurrences overlap other events"]
    assert await times(calendar) == [(EVENT["start"], EVENT["end"])]


async def test_putting_back_the_rest_of_a_series_warns_of_what_was_booked_since(calendar: Desk) -> None:
    series = await a_series(calendar)
    rest = {"scope": "following", "occurrence": THIRD}
    await calendar.ok("cancel_event", **series, **rest, reason="test", idempotency_key="cancel-01")
    for day in ("23", "24"):
        await book(calendar, f"2027-03-{day}T18:30:00+01:00", f"2027-03-{day}T19:00:00+01:00")

    back = await calendar.ok("restore_event", receipt_key="cancel-01")

    assert back["warnings"] == ["no_overlap: 1 occurrences overlap other events"]


async def test_an_overlap_that_was_there_before_is_no_news_when_a_title_is_put_back(calendar: Desk) -> None:
    await book(calendar, EVENT["start"], EVENT["end"])
    made = await book(calendar, EVENT["start"], EVENT["end"], on_conflict="allow")
    event = {"calendar": "rep_1", "event_id": made["id"]}
    await calendar.ok("update_event", **event, changes={"title": "New"}, idempotency_key="title-01")

    back = await calendar.ok("restore_event", receipt_key="title-01")

    assert back["warnings"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"scope": "this", "occurrence": THIRD, "changes": {"title": "Twice"}},
        {"scope": "all", "changes": {"start": "2027-03-02T19:00:00+01:00"}},
        {"scope": "following", "occurrence": THIRD, "changes": {"title": "Rest"}},
    ],
)
async def test_putting_back_answers_with_the_id_and_version_of_the_event(
    calendar: Desk, change: dict[str, Any]
) -> None:
    series = await a_series(calendar)
    this = {"scope": "this", "occurrence": THIRD}
    await calendar.ok("update_event", **series, **this, changes={"title": "Once"})
    await calendar.ok("update_event", **series, **change, idempotency_key="change-01")

    back = await calendar.ok("restore_event", receipt_key="change-01")

    found = await calendar.ok("get_event", **series)
    assert (back["id"], back["version"]) == (found["event_id"], found["version"])


# Arguments that cannot be meant


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
@pytest.mark.parametrize(("server", "tool", "field", "more"), [
    ("calendar", "get_event", "occurrence", {"calendar": "rep_1", "event_id": "evt_1"}),
    ("calendar", "list_events", "from", {"calendar": "rep_1", "to": "2027-04-01T00:00:00Z"}),
    ("crm", "search", "updated_after", {"kind": "lead"}),
    ("billing", "search_payments", "since", {}),
    ("carrier", "list_exceptions", "since", {}),
])  # fmt: skip
async def test_a_time_far_away_is_invalid(
    server: str, tool: str, field: str, more: dict[str, Any], moment: str, tmp_path: Path
) -> None:
    async with open_desk(server, tmp_path / server) as desk:
        assert await faults(desk, tool, **more, **{field: moment}) == [field]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=MONTHLY;BYMONTHDAY=--5",
        "FREQ=MONTHLY;BYMONTHDAY=²",
        "FREQ=MONTHLY;BYMONTHDAY=٥",
        "FREQ=YEARLY;UNTIL=99991231T235959Z",
        "FREQ=YEARLY;UNTIL=00010101T000000Z",
        "FREQ=DAILY;UNTIL=٢٠٢٧٠٤٠١",
        "FREQ=YEARLY;INTERVAL=7971;COUNT=2",
    ],
)
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
async def test_a_rule_that_cannot_be_meant_is_invalid(calendar: Desk, rule: str, zone: str) -> None:
    start, end = ("2027-12-31T23:30:00-08:00", "2027-12-31T23:45:00-08:00")
    asked = {**EVENT, "start": start, "end": end, "tz": zone, "rrule": rule}

    assert await faults(calendar, "create_event", **asked) == ["rrule"]
