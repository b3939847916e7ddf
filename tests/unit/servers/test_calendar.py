"""The calendar: overlaps over a year, series, clock changes, free time."""

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.unit.servers.desk import Desk
from tests.unit.servers.writes import EVENT, SERIES, THIRD, a_series

from lockkeep_servers.calendar.occurrences import span
from lockkeep_servers.calendar.recurrence import MOST, settle_rule, walls_of
from lockkeep_servers.kit.errors import Invalid

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = {"from": "2027-03-01T00:00:00Z", "to": "2027-05-31T00:00:00Z"}


async def starts(desk: Desk, query: str = "Review") -> list[str]:
    items: list[dict[str, Any]] = (
        await desk.ok("list_events", calendar="rep_1", query=query, limit=50, **SPRING)
    )["items"]
    return [item["start"] for item in items if item["title"] == query]


async def test_an_event_that_overlaps_another_is_refused_and_may_be_allowed(calendar: Desk) -> None:
    first = await calendar.ok("create_event", **EVENT)
    late = {**EVENT, "start": "2027-03-02T18:59:00+01:00", "end": "2027-03-02T20:00:00+01:00"}

    error = await calendar.refused("create_event", **late)
    allowed = await calendar.ok("create_event", **late, on_conflict="allow")

    assert (error["code"], error["details"]["check"], error["details"]["count"]) == (
        "check_failed",
        "no_overlap",
        1,
    )
    assert error["details"]["conflicts"][0]["event_id"] == first["id"]
    assert [warning.partition(":")[0] for warning in allowed["warnings"]] == ["no_overlap"]


async def test_events_that_touch_do_not_overlap(calendar: Desk) -> None:
    await calendar.ok("create_event", **EVENT)

    await calendar.ok("create_event", **{**EVENT, "start": EVENT["end"], "end": "2027-03-02T19:30:00+01:00"})


async def test_a_series_that_clashes_in_week_seven_is_refused(calendar: Desk) -> None:
    wednesday = {**EVENT, "start": "2027-03-03T15:00:00+01:00", "end": "2027-03-03T15:30:00+01:00"}

    error = await calendar.refused("create_event", **wednesday, rrule="FREQ=WEEKLY;COUNT=10")

    assert error["details"]["check"] == "no_overlap"
    assert [clash["start"] for clash in error["details"]["conflicts"]] == ["2027-04-14T15:00:00+02:00"]


@pytest.mark.parametrize(("change", "check"), [
    ({"end": "2027-03-02T18:00:00+01:00"}, "end_after_start"),
    ({"start": "2027-02-26T18:00:00+01:00", "end": "2027-02-26T19:00:00+01:00"}, "in_future"),
])  # fmt: skip
async def test_an_event_ends_after_it_starts_and_starts_in_the_future(
    calendar: Desk, change: dict[str, Any], check: str
) -> None:
    error = await calendar.refused("create_event", **{**EVENT, **change})

    assert (error["code"], error["details"]["check"]) == ("check_failed", check)


@pytest.mark.parametrize(("change", "field"), [
    ({"start": "2027-03-28T02:30:00+01:00", "end": "2027-03-28T04:00:00+02:00"}, "start"),
    ({"tz": "Europe/Atlantis"}, "tz"),
    ({"start": "2027-03-02"}, "start"),
    ({"all_day": True}, "start"),
    ({"rrule": "FREQ=HOURLY"}, "rrule"),
    ({"rrule": "FREQ=WEEKLY;BYDAY=MO"}, "start"),
    ({"rrule": "FREQ=DAILY;COUNT=731"}, "rrule"),
    ({"rrule": "FREQ=DAILY;COUNT=3;UNTIL=20270401"}, "rrule"),
    ({"rrule": "FREQ=DAILY;BYSETPOS=1"}, "rrule"),
    ({"notify": "all"}, "idempotency_key"),
])  # fmt: skip
async def test_times_and_rules_that_cannot_be_meant_are_invalid(
    calendar: Desk, change: dict[str, Any], field: str
) -> None:
    error = await calendar.refused("create_event", **{**EVENT, **change})

    assert (error["code"], error["details"]["fields"][0]["field"]) == ("invalid", field)


async def test_a_series_without_an_end_stops_after_730_and_says_so(calendar: Desk) -> None:
    early = {**EVENT, "start": "2027-03-02T06:00:00+01:00", "end": "2027-03-02T06:10:00+01:00"}

    answer = await calendar.ok("create_event", **early, rrule="FREQ=DAILY")

    assert (answer["after"]["rrule"], len(answer["warnings"])) == (f"FREQ=DAILY;COUNT={MOST}", 1)


async def test_a_series_keeps_its_wall_time_across_a_clock_change(calendar: Desk) -> None:
    await calendar.ok("create_event", **{**SERIES, "rrule": "FREQ=WEEKLY;COUNT=5"})

    assert await starts(calendar) == [
        "2027-03-02T18:00:00+01:00", "2027-03-09T18:00:00+01:00", "2027-03-16T18:00:00+01:00",
        "2027-03-23T18:00:00+01:00", "2027-03-30T18:00:00+02:00",
    ]  # fmt: skip


async def test_a_daily_series_through_a_gap_moves_that_one_over_it(calendar: Desk) -> None:
    night = {**EVENT, "start": "2027-03-27T02:30:00+01:00", "end": "2027-03-27T02:45:00+01:00"}
    await calendar.ok("create_event", **night, rrule="FREQ=DAILY;COUNT=3")

    assert await starts(calendar) == [
        "2027-03-27T02:30:00+01:00",
        "2027-03-28T03:30:00+02:00",
        "2027-03-29T02:30:00+02:00",
    ]


async def test_the_second_of_an_ambiguous_time_stays_the_second_for_one_event(calendar: Desk) -> None:
    twice = {**EVENT, "start": "2027-10-31T02:30:00+01:00", "end": "2027-10-31T02:45:00+01:00"}

    made = await calendar.ok("create_event", **twice)

    assert made["after"]["start"] == "2027-10-31T02:30:00+01:00"


async def test_an_all_day_event_ends_before_its_end_day(calendar: Desk) -> None:
    days = {**EVENT, "start": "2027-03-27", "end": "2027-03-29", "all_day": True}
    made = await calendar.ok("create_event", **days)

    busy = await calendar.ok(
        "free_busy", calendars=["rep_1"], **{"from": "2027-03-26T22:00:00Z", "to": "2027-03-29T06:00:00Z"}
    )

    assert (made["after"]["start"], made["after"]["end"]) == ("2027-03-27", "2027-03-29")
    assert busy["busy"] == [
        {
            "calendar": "rep_1",
            "start": "2027-03-27T00:00:00+01:00",
            "end": "2027-03-29T00:00:00+02:00",
            "status": "busy",
        }
    ]


async def test_an_id_in_a_series_needs_a_scope_and_one_that_happens(calendar: Desk) -> None:
    series = await a_series(calendar)
    change = {"changes": {"title": "New"}}

    fields = [
        fault["field"]
        for fault in (await calendar.refused("update_event", **series, **change))["details"]["fields"]
    ]
    assert fields == ["scope"]
    fields = [
        f["field"]
        for f in (await calendar.refused("update_event", **series, **change, scope="this"))["details"][
            "fields"
        ]
    ]
    assert fields == ["occurrence"]
    unknown = {"scope": "this", "occurrence": "2027-03-17T17:00:00Z"}
    assert (await calendar.refused("update_event", **series, **change, **unknown))["code"] == "not_found"


async def test_this_changes_one_following_the_rest_and_all_everything(calendar: Desk) -> None:
    series = await a_series(calendar)

    await calendar.ok("update_event", **series, scope="this", occurrence=THIRD, changes={"title": "Once"})
    await calendar.ok(
        "update_event",
        **series,
        scope="following",
        occurrence="2027-03-23T17:00:00Z",
        changes={"title": "Rest"},
    )
    await calendar.ok("update_event", **series, scope="all", changes={"title": "First"})

    assert await starts(calendar, "First") == ["2027-03-02T18:00:00+01:00", "2027-03-09T18:00:00+01:00"]
    assert await starts(calendar, "Once") == ["2027-03-16T18:00:00+01:00"]
    assert await starts(calendar, "Rest") == [
        "2027-03-23T18:00:00+01:00",
        "2027-03-30T18:00:00+02:00",
        "2027-04-06T18:00:00+02:00",
    ]


async def test_moving_a_series_drops_its_single_changes_and_says_how_many(calendar: Desk) -> None:
    series = await a_series(calendar)
    await calendar.ok("update_event", **series, scope="this", occurrence=THIRD, changes={"title": "Once"})

    moved = await calendar.ok(
        "update_event", **series, scope="all", changes={"start": "2027-03-02T19:00:00+01:00"}
    )

    assert moved["warnings"] == ["1 single changes went back to the series."]
    assert (await starts(calendar))[2] == "2027-03-16T19:00:00+01:00"
    assert moved["after"] == {"start": "2027-03-02T19:00:00+01:00", "end": "2027-03-02T20:00:00+01:00"}


async def test_a_cancelled_event_is_free_time_and_changes_no_more(calendar: Desk) -> None:
    made = await calendar.ok("create_event", **EVENT)
    event = {"calendar": "rep_1", "event_id": made["id"]}
    await calendar.ok("cancel_event", **event, reason="test")

    assert (await calendar.refused("update_event", **event, changes={"title": "New"}))[
        "code"
    ] == "illegal_transition"
    assert (await calendar.ok("create_event", **EVENT))["warnings"] == []


async def test_restoring_after_thirty_days_is_too_late(calendar: Desk) -> None:
    made = await calendar.ok(
        "create_event", **{**EVENT, "start": "2027-05-03T18:00:00+02:00", "end": "2027-05-03T19:00:00+02:00"}
    )
    await calendar.ok(
        "cancel_event", calendar="rep_1", event_id=made["id"], reason="test", idempotency_key="cancel-01"
    )

    calendar.later(days=31)

    assert (await calendar.refused("restore_event", receipt_key="cancel-01"))["code"] == "window_closed"
    assert (await calendar.refused("restore_event", receipt_key="never-used"))["code"] == "not_found"


async def test_two_changes_of_one_event_are_taken_back_newest_first(calendar: Desk) -> None:
    made = await calendar.ok("create_event", **EVENT)
    event = {"calendar": "rep_1", "event_id": made["id"]}
    before = (await calendar.ok("get_event", **event))["event"]
    await calendar.ok("update_event", **event, changes={"title": "One"}, idempotency_key="change-01")
    await calendar.ok("update_event", **event, changes={"title": "Two"}, idempotency_key="change-02")
    await calendar.ok("cancel_event", **event, reason="test", idempotency_key="cancel-03")

    assert (await calendar.refused("restore_event", receipt_key="change-01"))["code"] == "conflict"
    for key in ("cancel-03", "change-02", "change-01"):
        await calendar.ok("restore_event", receipt_key=key, idempotency_key=f"back-{key}")

    after = (await calendar.ok("get_event", **event))["event"]
    assert {**after, "version": "", "sequence": 0} == {**before, "version": "", "sequence": 0}


async def test_what_others_changed_between_two_takings_back_stays(calendar: Desk) -> None:
    made = await calendar.ok("create_event", **EVENT)
    event = {"calendar": "rep_1", "event_id": made["id"]}
    await calendar.ok("update_event", **event, changes={"title": "One"}, idempotency_key="change-01")
    await calendar.ok("update_event", **event, changes={"title": "Two"}, idempotency_key="change-02")
    await calendar.ok("restore_event", receipt_key="change-02")
    await calendar.ok("update_event", **event, changes={"location": "Theirs"})

    assert (await calendar.refused("restore_event", receipt_key="change-01"))["code"] == "conflict"
    assert (await calendar.ok("get_event", **event))["event"]["location"] == "Theirs"


async def test_slots_are_free_for_everybody_within_working_hours(calendar: Desk) -> None:
    await calendar.ok(
        "create_event",
        **{**EVENT, "start": "2027-03-02T10:00:00+01:00", "end": "2027-03-02T16:30:00+01:00"},
        on_conflict="allow",
    )
    asked = {
        "participants": ["rep_1", "rep_2", "nobody"],
        "duration_min": 30,
        "tz": "Europe/Berlin",
        "from": "2027-03-02T00:00:00+01:00",
        "to": "2027-03-03T00:00:00+01:00",
    }

    found = await calendar.ok("find_slots", **asked)
    with_buffer = await calendar.ok("find_slots", **asked, buffer_min=10)

    assert found["unreadable"] == with_buffer["unreadable"] == ["nobody"]
    assert [slot["start"] for slot in found["slots"]] == ["2027-03-02T09:15:00+01:00", "2027-03-02T09:30:00+01:00", "2027-03-02T16:30:00+01:00"]  # fmt: skip
    assert found["slots"][0]["end_utc"] == "2027-03-02T08:45:00+00:00"
    assert [slot["start"] for slot in with_buffer["slots"]] == []


@pytest.mark.parametrize(("change", "field"), [({"to": "2027-02-01T00:00:00Z"}, "to"), ({"to": "2027-04-05T00:00:00Z"}, "to"), ({"work_end": "08:00"}, "work_end"), ({"days": ["MO", "XX"]}, "days.1")])  # fmt: skip
async def test_a_search_for_slots_that_cannot_be_meant_is_invalid(
    calendar: Desk, change: dict[str, Any], field: str
) -> None:
    asked = {
        "participants": ["rep_1"],
        "duration_min": 30,
        "tz": "Europe/Berlin",
        **SPRING,
        "to": "2027-03-05T00:00:00Z",
    }

    error = await calendar.refused("find_slots", **{**asked, **change})

    assert (error["code"], error["details"]["fields"][0]["field"]) == ("invalid", field)


async def test_pages_of_events_lose_and_double_nothing(calendar: Desk) -> None:
    whole = (await calendar.ok("list_events", calendar="rep_1", limit=50, **SPRING))["items"]
    seen: list[dict[str, Any]] = []
    cursor = None
    while len(seen) < len(whole):
        page = await calendar.ok("list_events", calendar="rep_1", limit=7, cursor=cursor, **SPRING)
        seen += page["items"]
        cursor = page["next_cursor"]

    assert seen[:50] == whole


RULES = ["FREQ=DAILY;INTERVAL={i}", "FREQ=WEEKLY;INTERVAL={i}", "FREQ=WEEKLY;INTERVAL={i};BYDAY={days}", "FREQ=MONTHLY;INTERVAL={i};BYMONTHDAY={md}"]  # fmt: skip
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe", "America/Santiago"]


def test_recurrence_equals_a_day_walker_on_200_rules() -> None:
    chance = Random(42)
    for _ in range(200):
        zone = ZoneInfo(chance.choice(ZONES))
        begins = datetime(
            2027,
            chance.choice((3, 10)),
            chance.randint(1, 28),
            chance.choice((1, 2, 3, 9)),
            chance.choice((0, 30)),
        )
        days = sorted({begins.weekday(), *(chance.randrange(7) for _ in range(2))})
        names = ",".join(["MO", "TU", "WE", "TH", "FR", "SA", "SU"][day] for day in days)
        rule = (
            chance.choice(RULES).format(i=chance.randint(1, 3), days=names, md=begins.day)
            + f";COUNT={chance.randint(1, 30)}"
        )

        settled, _ = settle_rule(rule, begins, zone)

        expected = walked(rule, begins)
        assert walls_of(settled, begins) == expected
        row = {"tz": str(zone), "all_day": 0, "length_s": 1800}
        for wall in expected:
            start, end = span(row, wall)
            assert end.astimezone(UTC) - start.astimezone(UTC) == timedelta(minutes=30)
            local = start.replace(tzinfo=None)
            assert local == wall or wall < local <= wall + timedelta(hours=1)


def walked(rule: str, begins: datetime) -> list[datetime]:
    """Walk day by day, and take the days the rule means."""
    parts = dict(part.split("=") for part in rule.split(";"))
    step, count, found, day = int(parts["INTERVAL"]), int(parts["COUNT"]), list[datetime](), begins.date()
    monday = begins.date() - timedelta(days=begins.weekday())
    days = (
        {["MO", "TU", "WE", "TH", "FR", "SA", "SU"].index(name) for name in parts["BYDAY"].split(",")}
        if "BYDAY" in parts
        else {begins.weekday()}
    )
    while len(found) < count:
        match parts["FREQ"]:
            case "DAILY":
                meant = (day - begins.date()).days % step == 0
            case "WEEKLY":
                meant = day.weekday() in days and (day - monday).days // 7 % step == 0
            case _:
                meant = day.day == begins.day and months(day, begins.date()) % step == 0
        found += [datetime.combine(day, begins.time())] if meant else []
        day += timedelta(days=1)
    return found


def months(day: date, first: date) -> int:
    return (day.year - first.year) * 12 + day.month - first.month


@pytest.mark.parametrize(("rule", "count"), [("FREQ=DAILY;UNTIL=20270310", 10), ("FREQ=DAILY;UNTIL=20270310T075959Z", 9), ("RRULE:freq=daily;until=20270310T080000Z", 10)])  # fmt: skip
def test_until_counts_the_last_one_that_still_starts(rule: str, count: int) -> None:
    assert settle_rule(rule, datetime(2027, 3, 1, 9), BERLIN) == (f"FREQ=DAILY;COUNT={count}", [])


@pytest.mark.parametrize("rule", ["", "nonsense", "FREQ=DAILY;FREQ=DAILY", "FREQ=WEEKLY;BYDAY=2MO", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;COUNT=-1", "FREQ=MONTHLY;BYMONTHDAY=32", "FREQ=DAILY;UNTIL=20271345", "FREQ=DAILY;INTERVAL=99999999999", "FREQ=WEEKLY;WKST=SU"])  # fmt: skip
def test_rules_outside_the_subset_are_refused(rule: str) -> None:
    with pytest.raises(Invalid):
        settle_rule(rule, datetime(2027, 3, 1, 9), BERLIN)
