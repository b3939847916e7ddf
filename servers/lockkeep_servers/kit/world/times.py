"""The world's clock: everything is counted from 08:00 UTC of the demo day."""

from datetime import UTC, date, datetime, time, timedelta

OFFICE = (7, 17)  # hours, UTC
START = time(8)  # of the demo day, UTC: what happened before is history


def at(day: date, days_ago: int, minutes: int) -> datetime:
    return datetime.combine(day, START, UTC) - timedelta(days=days_ago) + timedelta(minutes=minutes)


def workday(moment: datetime) -> datetime:
    """Return the same time of the first day from then on that is no weekend."""
    return moment + timedelta(days=max(0, 7 - moment.weekday()) if moment.weekday() > 4 else 0)


def gap_day(day: date) -> date:
    """Return the next day, from `day` on, whose clocks in Europe skip 01:00 to 02:00 UTC: the last Sunday of a March."""
    this_year = _last_sunday_of_march(day.year)
    return this_year if this_year >= day else _last_sunday_of_march(day.year + 1)


def _last_sunday_of_march(year: int) -> date:
    last = date(year, 3, 31)
    return last - timedelta(days=(last.weekday() + 1) % 7)


def office(moment: datetime) -> datetime:
    """Return the moment, or when the office opens after it."""
    first, last = OFFICE
    if moment.hour >= last:
        moment = moment.replace(hour=first) + timedelta(days=1)
    if moment.hour < first:
        moment = moment.replace(hour=first)
    return workday(moment)
