"""On a real Radicale, too: where clocks change, where series were cut, and where something is put back."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

pytest.importorskip("radicale", reason="pip install radicale (GPL, for tests only)")
pytest.importorskip("icalendar", reason="pip install lockkeep[caldav]")

from tests.backends.caldav_desk import Place, open_place
from tests.backends.radicale import calendar_file
from tests.unit.servers import test_calendar_found as embedded
from tests.unit.servers.writes import EVENT, THIRD

ANYWHERE: list[tuple[Any, dict[str, Any]]] = [
    (embedded.test_an_event_over_a_clock_change_keeps_its_end, {}),
    (embedded.test_every_night_of_a_series_is_as_long_as_the_one_over_a_clock_change, {}),
    (embedded.test_an_event_may_be_moved_to_where_its_old_offset_would_end_in_a_gap, {}),
    (embedded.test_the_hour_that_comes_twice_is_two_hours, {}),
    (embedded.test_the_first_of_two_hours_does_not_take_the_second, {}),
    (embedded.test_a_series_does_not_start_in_the_second_of_two_hours, {"count": 1}),
    (embedded.test_a_change_of_one_occurrence_spares_the_series_that_was_cut_off, {}),
    (embedded.test_an_occurrence_moved_before_a_cut_is_seen_in_short_readings, {}),
    (embedded.test_the_first_of_a_series_of_days_is_named_by_its_day_when_another_comes_before_it, {}),
    (embedded.test_a_series_older_than_a_year_is_checked_for_times_to_come, {"longer": {"end": "2027-03-02T19:30:00+01:00"}}),
    (embedded.test_occurrences_that_keep_their_own_title_are_counted, {"scope": {"scope": "all"}}),
    (embedded.test_occurrences_that_keep_their_own_title_are_counted, {"scope": {"scope": "following", "occurrence": THIRD}}),
    (embedded.test_occurrences_that_say_the_same_anyway_are_not_counted, {}),
    (embedded.test_putting_back_over_something_booked_since_warns, {}),
    (embedded.test_putting_back_the_rest_of_a_series_warns_of_what_was_booked_since, {}),
    (embedded.test_an_overlap_that_was_there_before_is_no_news_when_a_title_is_put_back, {}),
    (embedded.test_putting_back_answers_with_the_id_and_version_of_the_event, {"change": {"scope": "following", "occurrence": THIRD, "changes": {"title": "Rest"}}}),
    (embedded.test_a_rule_that_cannot_be_meant_is_invalid, {"rule": "FREQ=YEARLY;UNTIL=99991231T235959Z", "zone": "Asia/Tokyo"}),
]  # fmt: skip
TIMED = ("DTSTART:20270601T090000Z", "DTEND:20270601T100000Z")
QUICK = (
    embedded.test_an_event_over_a_clock_change_keeps_its_end,
    embedded.test_putting_back_over_something_booked_since_warns,
)


@pytest.fixture
async def place() -> AsyncGenerator[Place]:
    async with open_place() as found:
        yield found


@pytest.mark.parametrize(
    ("promise", "arguments"),
    [
        pytest.param(*case, id=f"{case[0].__name__}-{number}", marks=() if case[0] in QUICK else pytest.mark.full)
        for number, case in enumerate(ANYWHERE)
    ],
)  # fmt: skip
async def test_what_holds_in_the_embedded_calendar_holds_here_too(
    promise: Any, arguments: dict[str, Any], place: Place
) -> None:
    await promise(place.desk, **arguments)


@pytest.mark.full
async def test_putting_back_says_what_could_not_be_read(place: Place) -> None:
    event = {"calendar": "rep_1", "event_id": (await place.desk.ok("create_event", **EVENT))["id"]}
    await place.desk.ok("cancel_event", **event, reason="test", idempotency_key="cancel-01")
    place.put(
        "odd.ics",
        calendar_file("UID:odd", "RECURRENCE-ID;RANGE=THISANDFUTURE:20270601T090000Z", *TIMED, "SUMMARY:Odd"),
        "rep_1",
    )

    back = await place.desk.ok("restore_event", receipt_key="cancel-01")

    assert len(back["warnings"]) == 1


@pytest.mark.full
async def test_a_change_that_changed_nothing_can_be_put_back(place: Place) -> None:
    event = {"calendar": "rep_1", "event_id": (await place.desk.ok("create_event", **EVENT))["id"]}
    same = {"changes": {"title": EVENT["title"]}, "idempotency_key": "same-0001"}
    await place.desk.ok("update_event", **event, **same)

    back = await place.desk.ok("restore_event", receipt_key="same-0001")

    assert (back["before"], back["after"], back["warnings"]) == ({}, {}, [])
