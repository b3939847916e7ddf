"""When people's time is over: to the millisecond, with clocks that are wrong, over weekends, clock changes and zones (A4, V8)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from lockkeep.ledger.approvals import USE_WITHIN, Refusal, Voted
from lockkeep.model import Claim, moment
from lockkeep.policy.files.people import People
from lockkeep.policy.hours import hours_of
from lockkeep.policy.positions import Place, Problems, Text
from unit.ledger.council import LEAD, council

MS = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)


@pytest.mark.promise("P3")
@pytest.mark.parametrize("skew", [timedelta(), timedelta(minutes=5), timedelta(minutes=-5)], ids=str)
@pytest.mark.parametrize("off", [-MS, timedelta(), MS], ids=["before", "at", "after"])
async def test_a_yes_counts_until_the_last_millisecond_of_the_ledgers_own_clock(
    tmp_path: Path, off: timedelta, skew: timedelta
) -> None:
    with council(tmp_path) as room:
        room.now += (
            skew  # the machine's clock is wrong: what is asked and what is voted are measured by the same one
        )
        approval = await room.park(room.call(), LEAD)
        room.now = moment(room.row(approval)["expires_at"]) + off
        voted = await room.vote(approval, "bo")
        await room.ledger.expire()

        in_time = off < timedelta()
        assert isinstance(voted, Voted if in_time else Refusal)
        assert room.state(approval) == ("approved" if in_time else "expired")


@pytest.mark.promise("P2", "P3")
@pytest.mark.parametrize("jump", [timedelta(), timedelta(minutes=5), timedelta(minutes=-5)], ids=str)
@pytest.mark.parametrize("off", [-MS, timedelta(), MS], ids=["before", "at", "after"])
async def test_what_was_agreed_is_claimed_until_its_last_millisecond_or_never(
    tmp_path: Path, off: timedelta, jump: timedelta
) -> None:
    with council(tmp_path) as room:
        call = room.call()
        approval = await room.park(call, LEAD)
        await room.vote(approval, "bo")
        room.now += USE_WITHIN + off + jump  # the clock is set right, or wrong, in between
        claim = await room.claim(call, approval)
        await room.ledger.expire()

        in_time = off + jump < timedelta()
        assert isinstance(claim, Claim) is in_time
        assert room.state(approval) == ("consumed" if in_time else "expired")


@pytest.mark.promise("P3")
@pytest.mark.parametrize("after", [timedelta(), HOUR, 3 * HOUR], ids=str)
async def test_silence_is_no_consent_however_late_it_is_noticed(tmp_path: Path, after: timedelta) -> None:
    with council(tmp_path) as room:
        call = room.call()
        approval = await room.park(call, LEAD)
        room.now += HOUR + after
        await room.ledger.expire()

        assert room.state(approval) == "expired"
        assert isinstance(await room.vote(approval, "bo"), Refusal)
        assert not isinstance(await room.claim(call, approval), Claim)


OFFICE = "mon-fri 08:00-18:00"
TIMES = (
    # hours, their zone, asked at, how many hours, over at
    (OFFICE, "Europe/Berlin", "2027-03-01T09:00+01:00", 8, "2027-03-01T17:00+01:00"),
    (OFFICE, "Europe/Berlin", "2027-03-01T10:00+01:00", 8, "2027-03-01T18:00+01:00"),
    (OFFICE, "Europe/Berlin", "2027-03-01T10:01+01:00", 8, "2027-03-02T08:01+01:00"),
    (OFFICE, "Europe/Berlin", "2027-03-01T07:00+01:00", 8, "2027-03-01T16:00+01:00"),
    (OFFICE, "Europe/Berlin", "2027-03-01T18:00+01:00", 8, "2027-03-02T16:00+01:00"),
    (OFFICE, "Europe/Berlin", "2027-03-01T23:59+01:00", 8, "2027-03-02T16:00+01:00"),
    (OFFICE, "Europe/Berlin", "2027-03-05T17:00+01:00", 8, "2027-03-08T15:00+01:00"),  # Friday evening
    (OFFICE, "Europe/Berlin", "2027-03-06T12:00+01:00", 8, "2027-03-08T16:00+01:00"),  # Saturday
    (OFFICE, "Europe/Berlin", "2027-03-07T23:00+01:00", 8, "2027-03-08T16:00+01:00"),  # Sunday
    (OFFICE, "Europe/Berlin", "2027-03-05T09:00+01:00", 20, "2027-03-09T09:00+01:00"),
    (OFFICE, "Europe/Berlin", "2027-03-01T08:00+01:00", 50, "2027-03-05T18:00+01:00"),
    (OFFICE, "Europe/Berlin", "2027-03-01T08:00+01:00", 51, "2027-03-08T09:00+01:00"),
    (OFFICE, "Europe/Berlin", "2027-03-26T17:00+01:00", 8, "2027-03-29T15:00+02:00"),  # clocks go forward
    (OFFICE, "Europe/Berlin", "2027-10-29T17:00+02:00", 8, "2027-11-01T15:00+01:00"),  # and back
    (OFFICE, "America/New_York", "2027-03-12T17:00-05:00", 8, "2027-03-15T15:00-04:00"),
    (OFFICE, "America/New_York", "2027-11-05T17:00-04:00", 8, "2027-11-08T15:00-05:00"),
    (OFFICE, "Europe/Berlin", "2027-03-01T09:00+00:00", 8, "2027-03-01T17:00+00:00"),  # asked in London
    (OFFICE, "America/New_York", "2027-03-01T09:00+01:00", 8, "2027-03-01T16:00-05:00"),  # night over there
    (OFFICE, "Asia/Tokyo", "2027-03-01T09:00+01:00", 8, "2027-03-02T15:00+09:00"),
    (OFFICE, "Asia/Kolkata", "2027-03-01T09:00+05:30", 8, "2027-03-01T17:00+05:30"),
    (OFFICE, "Pacific/Auckland", "2027-03-05T12:00+00:00", 8, "2027-03-08T16:00+13:00"),  # Saturday there
    (OFFICE, "Pacific/Honolulu", "2027-03-06T03:00+00:00", 8, "2027-03-08T15:00-10:00"),  # Friday there
    ("mon-fri 22:00-06:00", "Europe/Berlin", "2027-03-01T23:00+01:00", 2, "2027-03-02T01:00+01:00"),
    ("mon-fri 22:00-06:00", "Europe/Berlin", "2027-03-02T05:00+01:00", 2, "2027-03-02T23:00+01:00"),
    ("mon-fri 22:00-06:00", "Europe/Berlin", "2027-03-06T05:00+01:00", 2, "2027-03-08T23:00+01:00"),
    ("sat-sun", "Europe/Berlin", "2027-03-05T12:00+01:00", 8, "2027-03-06T08:00+01:00"),
    ("sat-sun", "Europe/Berlin", "2027-03-07T20:00+01:00", 8, "2027-03-13T04:00+01:00"),
    ("mon", "Europe/Berlin", "2027-03-02T12:00+01:00", 8, "2027-03-08T08:00+01:00"),
    ("mon 09:00-10:00", "Europe/Berlin", "2027-03-01T09:30+01:00", 1, "2027-03-08T09:30+01:00"),
    ("not mon-fri 08:00-18:00", "Europe/Berlin", "2027-03-01T17:00+01:00", 1, "2027-03-01T19:00+01:00"),
    ("", "Europe/Berlin", "2027-03-06T12:00+01:00", 8, "2027-03-06T20:00+01:00"),  # no hours: all hours
    ("", "Asia/Tokyo", "2027-03-06T12:00+01:00", 168, "2027-03-13T12:00+01:00"),
)  # fmt: skip


def working(text: str, zone: str) -> People:
    problems = Problems()
    hours = hours_of([Text(Place("x", 1, 1), text, text)] if text else [], problems)
    assert not problems.found
    return People(working={"lead": (hours, ZoneInfo(zone))})


@pytest.mark.promise("P3")
@pytest.mark.parametrize(("text", "zone", "asked", "hours", "over"), TIMES)
def test_the_time_to_decide_is_counted_in_the_working_hours_of_who_is_asked(
    text: str, zone: str, asked: str, hours: int, over: str
) -> None:
    people, start = working(text, zone), datetime.fromisoformat(asked)

    assert people.after(["lead"], start, hours * 3600.0, ZoneInfo("UTC")) == datetime.fromisoformat(over)


@pytest.mark.promise("P3")
@pytest.mark.parametrize("asked", ["2027-03-05T17:00+01:00", "2027-03-27T20:00+01:00"])
def test_of_several_groups_the_last_to_end_counts_and_no_group_is_every_hour(asked: str) -> None:
    office, tokyo = working(OFFICE, "Europe/Berlin"), working(OFFICE, "Asia/Tokyo")
    both = People(working={"here": office.working["lead"], "there": tokyo.working["lead"]})
    start, zone = datetime.fromisoformat(asked), ZoneInfo("UTC")
    ends = [both.after([name], start, 8 * 3600.0, zone) for name in ("here", "there")]

    assert both.after(["here", "there"], start, 8 * 3600.0, zone) == max(ends)
    assert both.after([], start, 8 * 3600.0, zone) == start + 8 * HOUR


@pytest.mark.promise("P3")
async def test_of_two_places_of_the_world_the_earliest_moment_that_any_rule_named_ends_it(
    tmp_path: Path,
) -> None:
    with council(tmp_path) as room:
        late = replace(LEAD, ends="2027-03-08T15:00:00.000000Z")
        soon = replace(LEAD, ends="2027-03-01T12:30:00.000000Z")
        approval = await room.park(room.call(), late, soon)

        assert moment(room.row(approval)["expires_at"]) == datetime(2027, 3, 1, 12, 30, tzinfo=UTC)
