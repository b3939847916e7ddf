"""The world's diaries, written into an empty store in one transaction."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

from lockkeep_servers.calendar.adapters.events import settle_span
from lockkeep_servers.kit.sqlite import Database, Transaction
from lockkeep_servers.kit.times import localise, stamp
from lockkeep_servers.kit.world.days import Meeting, meetings
from lockkeep_servers.kit.world.places import REPS
from lockkeep_servers.kit.world.times import at


def seed(database: Database, number: int, day: date) -> None:
    """An empty store holds a diary for every rep; any other stays as it is."""
    with database.opened():
        database.write_now(
            lambda tx: None if tx.rows("count_calendars")[0]["count"] else _fill(tx, number, day)
        )


def _fill(tx: Transaction, number: int, day: date) -> None:
    for rep in REPS:
        tx.run("add_calendar", id=rep.id, name=rep.name, tz=rep.tz)
    for meeting in meetings(number, day):
        _add(tx, meeting, stamp(at(day, 31, 0)))


def _add(tx: Transaction, meeting: Meeting, made: str) -> None:
    zone = ZoneInfo(meeting.tz)
    start = localise(meeting.start, zone)
    end = start + timedelta(minutes=meeting.minutes)
    found = settle_span(start.isoformat(), end.isoformat(), meeting.tz, False, meeting.rrule)
    tx.run(
        "put_event",
        **found.columns,
        id=meeting.id,
        calendar=meeting.calendar,
        series_id=None,
        occurrence=None,
        version=1,
        sequence=0,
        title=meeting.title,
        location=None,
        description=meeting.description,
        attendees="[]",
        status=meeting.status,
        transparent=int(meeting.transparent),
        updated_at=made,
    )
