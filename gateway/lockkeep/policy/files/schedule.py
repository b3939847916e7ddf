"""Schedules of workflows: the five fields of cron, `0 8 * * mon-fri`, on the wall clock of the gateway's zone."""

import re
from dataclasses import dataclass

from lockkeep.policy.hours import DAYS
from lockkeep.policy.positions import Problems, Text, nearest

PART = re.compile(
    r"(?:\*|(?P<first>[0-9]{1,2}|[a-z]+)(?:-(?P<last>[0-9]{1,2}|[a-z]+))?)(?:/(?P<step>[0-9]{1,2}))?"
)
LONGEST_DAY = dict.fromkeys(range(1, 13), 31) | {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
HINT = "minute hour day month weekday, as in 0 8 * * mon-fri"


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five: its name and its smallest and largest number."""

    name: str
    low: int
    high: int


MINUTE, HOUR, DAY, MONTH = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day", 1, 31),
    Field("month", 1, 12),
)
WEEKDAY = Field("weekday", 0, 7)  # 0 and 7 are both Sunday


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When runs begin. Weekdays count from Monday = 0."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]


def schedule_of(text: Text, problems: Problems) -> Schedule | None:
    """The schedule, or None and what is wrong with it."""
    parts = text.text.lower().split()
    fields = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)
    if len(parts) != len(fields):
        problems.add(text.place, f"a schedule has five fields, this has {len(parts)}", HINT)
        return None
    read = [_numbers(part, field, text, problems) for part, field in zip(parts, fields, strict=True)]
    found = [each for each in read if each is not None]
    if len(found) < len(fields):
        return None
    minutes, hours, days, months, weekdays = found
    if parts[2] != "*" and parts[4] != "*":  # elsewhere this means either of them, which few people expect
        message = "a schedule names days of the month or weekdays, not both"
        problems.add(text.place, message, "put * in one of the two fields")
        return None
    if min(days) > max(LONGEST_DAY[month] for month in months):
        problems.add(text.place, f"no month named here has a day {min(days)}", "it would never begin")
        return None
    return Schedule(
        text=" ".join(parts), minutes=minutes, hours=hours, days=days, months=months,
        weekdays=frozenset((day - 1) % 7 for day in weekdays),
    )  # fmt: skip


def _numbers(said: str, field: Field, text: Text, problems: Problems) -> frozenset[int] | None:
    """`*`, `5`, `1-5`, `*/15`, `mon-fri`, and lists of them with commas."""
    found: set[int] = set()
    for part in said.split(","):
        one = _part(part, field)
        if isinstance(one, str):
            problems.add(text.place, f"'{part}' is no {field.name} of a schedule", one)
            return None
        found |= one
    return frozenset(found)


def _part(said: str, field: Field) -> set[int] | str:
    """The numbers, or what to write instead."""
    match = PART.fullmatch(said)
    high = min(field.high, 6) if field is WEEKDAY else field.high
    expected = f"a number from {field.low} to {field.high}, a range as in {field.low}-{high}, or *"
    if match is None:
        return expected
    first, last = _number(match["first"], field), _number(match["last"], field)
    for name, number in ((match["first"], first), (match["last"], last)):
        if name is not None and number is None:
            return nearest(name, DAYS) if field is WEEKDAY and name.isalpha() else expected
    step = int(match["step"] or 1)
    if first is None:
        first, last = field.low, high
    elif last is None:
        last = high if match["step"] else first
    assert last is not None  # noqa: S101 - said above in every case
    if last < first and field is WEEKDAY:
        last += 7  # sat-sun, fri-mon
    if last < first or not step:
        return expected
    return {number % 7 if field is WEEKDAY else number for number in range(first, last + 1, step)}


def _number(said: str | None, field: Field) -> int | None:
    if said is None:
        return None
    if field is WEEKDAY and said in DAYS:
        return DAYS.index(said) + 1
    return int(said) if said.isdigit() and field.low <= int(said) <= field.high else None
