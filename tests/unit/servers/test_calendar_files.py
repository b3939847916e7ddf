"""Calendar files of any origin as rows: what is read, what is followed, and what is busy because it cannot be read."""

import time
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

pytest.importorskip("icalendar", reason="pip install lockkeep[caldav]")

from lockkeep_servers.calendar.adapters.caldav_lines import Line, Malformed, read_calendar
from lockkeep_servers.calendar.adapters.caldav_rows import File, id_of, read_file
from lockkeep_servers.calendar.adapters.caldav_xml import resources
from lockkeep_servers.calendar.occurrences import Occurrence, expand
from lockkeep_servers.kit.arguments import ID
from lockkeep_servers.kit.errors import Unavailable
from lockkeep_servers.kit.times import parse_time

UTC_ZONE = ("UTC", ZoneInfo("UTC"))
TIMED = ("DTSTART;TZID=Europe/Berlin:20270302T100000", "DTEND;TZID=Europe/Berlin:20270302T110000")
SHIP = ("BEGIN:VTIMEZONE", "TZID:Ship time", "BEGIN:STANDARD", "DTSTART:19700101T000000", "TZOFFSETFROM:+0130", "TZOFFSETTO:+0130", "END:STANDARD", "END:VTIMEZONE")  # fmt: skip


def text_of(*lines: str, before: tuple[str, ...] = ()) -> str:
    inner = ("BEGIN:VEVENT", "UID:theirs", *lines, "SUMMARY:Alt", "END:VEVENT")
    return "\r\n".join(("BEGIN:VCALENDAR", "VERSION:2.0", *before, *inner, "END:VCALENDAR", ""))


def file_of(*lines: str, before: tuple[str, ...] = ()) -> File:
    return read_file("cal", "/a.ics", "1", text_of(*lines, before=before), UTC_ZONE)


def seen(
    file: File, begin: str = "2027-03-01T00:00:00Z", finish: str = "2027-04-01T00:00:00Z"
) -> list[Occurrence]:
    return expand(file.rows, parse_time(begin), parse_time(finish))


def starts(file: File, **window: str) -> list[str]:
    return [one.start.isoformat() for one in seen(file, **window)]


@pytest.mark.parametrize(("rule", "expected"), [
    ("RRULE:FREQ=WEEKLY;BYDAY=TU", ["02", "09", "16", "23", "30"]),
    ("RRULE:FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=TU,SU", ["02", "14", "16", "28", "30"]),
    ("RRULE:FREQ=MONTHLY;BYDAY=TU,WE,TH;BYSETPOS=-1", ["02", "31"]),
    ("RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=1TU,3TU", ["02", "16"]),
    ("RRULE:FREQ=YEARLY;BYWEEKNO=10,11;BYDAY=TU", ["02", "09", "16"]),
    ("RRULE:FREQ=YEARLY;BYYEARDAY=62,-1", ["02", "03"]),
    ("RRULE:FREQ=DAILY;BYMONTH=3;BYDAY=TU;COUNT=3", ["02", "09", "16"]),
    ("RRULE:FREQ=DAILY;UNTIL=99991231T235959Z;BYDAY=SA", ["02", "06", "13", "20", "27"]),
    ("RRULE:FREQ=WEEKLY;COUNT=3;BYHOUR=10,15", ["02", "02", "09"]),
    ("RDATE;TZID=Europe/Berlin:20270305T100000\r\nRDATE;VALUE=PERIOD;TZID=Europe/Berlin:20270307T100000/PT3H", ["02", "05", "07"]),
    ("RRULE:FREQ=WEEKLY;BYDAY=TU\r\nRRULE:FREQ=WEEKLY;BYDAY=WE;COUNT=2", ["02", "03", "09", "10", "16", "23", "30"]),
    ("RRULE:FREQ=WEEKLY;BYDAY=TU\r\nEXDATE;VALUE=DATE:20270309\r\nEXDATE:20270316T090000Z", ["02", "23", "30"]),
    ("RRULE:FREQ=WEEKLY;COUNT=3\r\nEXDATE;TZID=Europe/Berlin:20270302T100000", ["09", "16"]),
    ("RRULE:FREQ=WEEKLY;COUNT=3\r\nEXRULE:FREQ=WEEKLY;COUNT=1", ["02", "09", "16"]),
])  # fmt: skip
def test_rules_beyond_our_subset_are_followed(rule: str, expected: list[str]) -> None:
    found = seen(file_of(*TIMED, rule))

    assert [one.start.strftime("%d") for one in found] == expected
    assert all(one.busy for one in found)


def test_a_period_is_as_long_as_it_says() -> None:
    file = file_of(*TIMED, "RDATE;VALUE=PERIOD:20270307T100000Z/PT3H,20270308T100000Z/20270308T140000Z")

    assert [(one.end - one.start).seconds // 3600 for one in seen(file)] == [1, 3, 4]


@pytest.mark.parametrize("rule", [
    "FREQ=MINUTELY", "FREQ=HOURLY;INTERVAL=5", "FREQ=DAILY;BYEASTER=1", "FREQ=DAILY;RSCALE=HEBREW", "FREQ=DAILY;INTERVAL=0",
    "FREQ=DAILY;COUNT=1;COUNT=2", "FREQ=WEEKLY;BYDAY=1MO", "FREQ=SOMETIMES", "", "FREQ", "FREQ=DAILY;UNTIL=soon", "FREQ=DAILY;BYDAY=XX",
    "FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14;BYMINUTE=0,1,2,3,4,5,6,7,8,9", "FREQ=YEARLY;BYWEEKNO=1;BYDAY=1MO",
])  # fmt: skip
def test_a_rule_nobody_can_read_leaves_no_time_free(rule: str) -> None:
    file = file_of(*TIMED, f"RRULE:{rule}")

    (one,) = seen(file, begin="2027-03-20T00:00:00Z", finish="2027-03-21T00:00:00Z")
    assert (one.busy, one.start.isoformat(), one.end.isoformat()) == (True, "2027-03-20T00:00:00+00:00", "2027-03-21T00:00:00+00:00")  # fmt: skip
    assert seen(file, begin="2027-02-20T00:00:00Z", finish="2027-02-21T00:00:00Z") == []


@pytest.mark.parametrize("end", ["", ";COUNT=5", ";UNTIL=20991231"])
@pytest.mark.parametrize("rule", ["FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1", "FREQ=YEARLY;INTERVAL=9999"])  # fmt: skip
def test_a_rule_that_never_matches_is_known_to_at_once(rule: str, end: str) -> None:
    began = time.monotonic()

    file = file_of("DTSTART:19700303T100000Z", "DURATION:PT1H", f"RRULE:{rule}{end}")

    assert seen(file) == []
    assert time.monotonic() - began < 2  # walked to the end of the calendar it would be minutes


@pytest.mark.parametrize(("lines", "start"), [
    (("DTSTART:20270302T100000",), "2027-03-02T10:00:00+00:00"),
    (("DTSTART:20270302T100000Z",), "2027-03-02T10:00:00+00:00"),
    (("DTSTART:20270302T100000Z", "X-LOCKKEEP-TZ:Europe/Berlin"), "2027-03-02T11:00:00+01:00"),
    (("DTSTART;TZID=W. Europe Standard Time:20270302T100000",), "2027-03-02T10:00:00+01:00"),
    (("DTSTART;TZID=/softwarestudio.org/Olson_1/Europe/Berlin:20270302T100000",), "2027-03-02T10:00:00+01:00"),
    (("DTSTART;TZID=/mozilla.org/20070129_1/America/Argentina/Ushuaia:20270302T100000",), "2027-03-02T10:00:00-03:00"),
    (("DTSTART;TZID=Ship time:20270302T100000",), "2027-03-02T10:00:00+01:30"),
    (("DTSTART;TZID=../../etc/passwd:20270302T100000",), "2027-03-02T10:00:00+00:00"),
    (("DTSTART;TZID=Europe/Berlin:20270328T023000",), "2027-03-28T03:30:00+02:00"),
    (("DTSTART;VALUE=DATE:20270302",), "2027-03-02T00:00:00+00:00"),
    (("DTSTART;VALUE=DATE:20270302", "X-LOCKKEEP-TZ:Europe/Berlin"), "2027-03-02T00:00:00+01:00"),
])  # fmt: skip
def test_times_are_meant_where_their_zone_says(lines: tuple[str, ...], start: str) -> None:
    length = () if any("DATE" in line for line in lines) else ("DURATION:PT1H",)

    assert starts(file_of(*lines, *length, before=SHIP)) == [start]


@pytest.mark.parametrize(("lines", "length_s", "busy"), [
    (("DTSTART:20270302T100000Z",), 0, False),
    (("DTSTART:20270302T100000Z", "DTEND:20270302T090000Z"), 0, False),
    (("DTSTART:20270302T100000Z", "DURATION:P1DT2H"), 93600, True),
    (("DTSTART;VALUE=DATE:20270302",), 86400, True),
    (("DTSTART;VALUE=DATE:20270302", "DTEND;VALUE=DATE:20270302"), 86400, True),
    (("DTSTART;VALUE=DATE:20270302", "DTEND;VALUE=DATE:20270305"), 259200, True),
    (("DTSTART:20270302T100000Z", "DURATION:PT1H", "TRANSP:TRANSPARENT"), 3600, False),
    (("DTSTART:20270302T100000Z", "DURATION:PT1H", "STATUS:TENTATIVE"), 3600, True),
])  # fmt: skip
def test_an_event_lasts_as_long_as_it_says(lines: tuple[str, ...], length_s: int, busy: bool) -> None:
    (row,) = file_of(*lines).rows

    assert (row["length_s"], not row["transparent"]) == (length_s, busy)


def test_an_occurrence_moved_from_afar_is_seen_where_it_is() -> None:
    moved = ("END:VEVENT", "BEGIN:VEVENT", "UID:theirs", "RECURRENCE-ID:20270601T090000Z", "DTSTART:20270304T150000Z", "DURATION:PT1H")  # fmt: skip
    for rule in ("FREQ=WEEKLY;BYDAY=TU", "FREQ=WEEKLY;COUNT=20"):
        file = file_of("DTSTART:20270302T090000Z", "DURATION:PT1H", f"RRULE:{rule}", *moved)

        assert [start[8:13] for start in starts(file)] == [
            "02T09",
            "04T15",
            "09T09",
            "16T09",
            "23T09",
            "30T09",
        ]


def test_a_change_of_an_occurrence_the_rule_does_not_have_is_seen() -> None:
    moved = ("END:VEVENT", "BEGIN:VEVENT", "UID:theirs", "RECURRENCE-ID:20270304T090000Z", "DTSTART:20270304T150000Z", "DURATION:PT1H")  # fmt: skip
    file = file_of("DTSTART:20270302T090000Z", "DURATION:PT1H", "RRULE:FREQ=WEEKLY;COUNT=2", *moved)

    assert [start[8:13] for start in starts(file)] == ["02T09", "04T15", "09T09"]


def test_single_occurrences_without_their_series_stand_for_themselves() -> None:
    file = file_of("RECURRENCE-ID:20270304T090000Z", "DTSTART:20270304T150000Z", "DURATION:PT1H")

    (one,) = seen(file)
    assert (one.series_id, one.event_id) == (None, "evt_theirs-20270304T090000Z")


@pytest.mark.parametrize("lines", [
    ("DTSTART:99999999T999999",), ("DTSTART:soon",), ("DTSTART;VALUE=DATE:00010101",), (), ("DTSTART:20270302T100000Z", "DTEND:x"),
    ("DTSTART:20270302T100000Z", "DURATION:P99999999999W"), ("RECURRENCE-ID;RANGE=THISANDFUTURE:20270304T090000Z", *TIMED),
    (*TIMED, "RRULE:FREQ=DAILY", "EXDATE:never"),
])  # fmt: skip
def test_what_cannot_be_read_is_said(lines: tuple[str, ...]) -> None:
    assert file_of(*lines).whole is False


@pytest.mark.parametrize("text", ["", "BEGIN:VCALENDAR", "END:VCALENDAR", "<html></html>", "BEGIN:VCALENDAR\r\nEND:VEVENT\r\nEND:VCALENDAR", "BEGIN:A\r\n" * 99, "\x00"])  # fmt: skip
def test_what_is_no_calendar_file_is_said(text: str) -> None:
    with pytest.raises(Malformed):
        read_calendar(text)
    assert read_file("cal", "/a.ics", "1", text, UTC_ZONE).whole is False


@pytest.mark.parametrize("zone", [
    "RRULE:FREQ=SECONDLY", "RRULE:FREQ=YEARLY;BYDAY=XX", "DTSTART:soon", "TZOFFSETTO:+9999", "RDATE:x",
])  # fmt: skip
def test_a_zone_nobody_can_make_sense_of_is_the_calendars_own(zone: str) -> None:
    broken = (*SHIP[:4], zone, *SHIP[4:])

    assert starts(file_of("DTSTART;TZID=Ship time:20270302T100000", "DURATION:PT1H", before=broken))


def test_a_zone_that_changes_every_second_is_not_followed() -> None:
    summer = ("BEGIN:DAYLIGHT", "DTSTART:19700101T000000", "RRULE:FREQ=SECONDLY", "TZOFFSETFROM:+0130", "TZOFFSETTO:+0230", "END:DAYLIGHT")  # fmt: skip
    began = time.monotonic()

    assert starts(file_of("DTSTART;TZID=Ship time:20270302T100000", "DURATION:PT1H", before=(*SHIP[:-1], *summer, SHIP[-1])))  # fmt: skip
    assert time.monotonic() - began < 1


def test_two_files_may_call_two_zones_by_one_name() -> None:
    other = tuple(line.replace("+0130", "-0800") for line in SHIP)
    lines = ("DTSTART;TZID=Ship time:20270302T100000", "DURATION:PT1H")

    assert starts(file_of(*lines, before=SHIP)) == ["2027-03-02T10:00:00+01:30"]
    assert starts(file_of(*lines, before=other)) == ["2027-03-02T10:00:00-08:00"]


@pytest.mark.parametrize("text", ["a\\nb", "a\nb", ";,:\\", "\u2028 \x85", " lead", "trail ", "é" * 100, "🙂" * 50, "", "\t", "\\\\n"])  # fmt: skip
def test_a_text_comes_back_as_it_was(text: str) -> None:
    line = Line.text("SUMMARY", text)

    assert Line.read(line.raw).plain == text
    assert all(len(part.encode()) <= 75 for part in line.raw.split("\r\n"))


def test_a_file_nobody_changed_is_the_same_to_the_byte() -> None:
    text = text_of(
        *TIMED, 'X-ODD;P="a:b";Q=c:x\r\n folded', "no line at all", "BEGIN:VALARM", "END:VALARM", before=SHIP
    )

    assert str(read_calendar(text)) == text


@pytest.mark.parametrize("uid", ["a", "A-1", "x-1", "a b", "ä", "a" * 41, "../x", "a_b", ""])
def test_every_uid_has_an_id_of_ours_and_a_plain_one_is_it(uid: str) -> None:
    assert ID.fullmatch(id_of(uid))
    assert (id_of(uid) == f"evt_{uid}") == (uid in ("a", "A-1"))


BOMB = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><multistatus xmlns="DAV:">&c;</multistatus>'


@pytest.mark.parametrize("body", [b"", b"<a/>", b"<multistatus/>", b"\xff\xfe", BOMB, BOMB.decode().encode("utf-16"), b"<?xml version='1.0' encoding='x'?><a/>"])  # fmt: skip
def test_an_answer_that_is_none_or_defines_entities_is_not_read(body: bytes) -> None:
    with pytest.raises(Unavailable):
        resources(body)


def test_of_many_resources_those_that_are_there_are_read() -> None:
    body = b"""<multistatus xmlns="DAV:"><response><href> /a </href><propstat><prop><getetag>"1"</getetag></prop>
        <status>HTTP/1.1 200 OK</status></propstat><propstat><prop><displayname/></prop><status>HTTP/1.1 404 Not Found</status></propstat>
        </response><response><href>/b</href><status>HTTP/1.1 404 Not Found</status></response></multistatus>"""

    found: list[Any] = [
        (one.href, one.text("{DAV:}getetag"), sorted(one.properties)) for one in resources(body)
    ]

    assert found == [("/a", '"1"', ["{DAV:}getetag"])]


def test_ten_years_of_a_daily_meeting_are_read_in_no_time() -> None:
    file = file_of("DTSTART;TZID=Europe/Berlin:20170302T100000", "DURATION:PT1H", "RRULE:FREQ=DAILY")
    began = time.monotonic()

    assert len(seen(file)) == 31
    assert time.monotonic() - began < 0.5
    assert datetime.fromisoformat(starts(file)[27]).hour == 10
