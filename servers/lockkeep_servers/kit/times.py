"""Times carry an offset, zones are IANA names, and a wall time that a zone skips is refused."""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from lockkeep_servers.kit.errors import Invalid

RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[+-]\d\d:\d\d)")
DAY = re.compile(r"\d{4}-\d\d-\d\d")
FIRST_YEAR, LAST_YEAR = 1900, 9000  # beyond them, zones and arithmetic end


def parse_time(value: object) -> datetime:
    """Return an aware time, or say what is missing."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    if not isinstance(value, str) or not RFC3339.fullmatch(value):
        raise PydanticCustomError("time", "must be a time with an offset, such as 2026-03-01T09:00:00+01:00")
    try:
        return datetime.fromisoformat(value.upper().replace("Z", "+00:00"))
    except ValueError:
        raise PydanticCustomError("time", "is not a time that exists") from None


def _in_reach(value: object) -> datetime:
    moment = parse_time(value)
    if isinstance(value, str) and not FIRST_YEAR <= moment.year <= LAST_YEAR:
        years = {"first": FIRST_YEAR, "last": LAST_YEAR}
        raise PydanticCustomError("far", "must be in the years {first} to {last}", years)
    return moment


def _known_zone(name: str) -> str:
    named = "/" in name or name in ("UTC", "GMT")
    try:
        usable = named and not name.startswith(("posix/", "right/")) and bool(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        usable = False
    if not usable:
        raise PydanticCustomError("zone", "must be an IANA time zone, such as Europe/Berlin")
    return name


def stamp(moment: datetime) -> str:
    """Return the instant in UTC, to the second, as it is stored and sorted."""
    return f"{moment.astimezone(UTC).isoformat()[:19]}Z"


Moment = Annotated[
    datetime,
    BeforeValidator(_in_reach),
    PlainSerializer(lambda moment: moment.isoformat(), return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Zone = Annotated[str, Field(max_length=64), AfterValidator(_known_zone)]


def exists(wall: datetime, zone: ZoneInfo) -> bool:
    """Tell whether a clock in that zone ever shows this wall time."""
    return wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall


def localise(wall: datetime, zone: tzinfo) -> datetime:
    """Return the instant of a wall time: the first if there are two, moved over the gap if there is none."""
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC).astimezone(zone)


def refuse_gap(field: str, moment: datetime, zone: ZoneInfo) -> None:
    """A time written as a wall time the zone skips is `invalid`, and the next valid one is named."""
    wall = moment.replace(tzinfo=None)
    if exists(wall, zone):
        return
    before, after = (wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    if moment.utcoffset() not in (before, after):
        return  # written in another zone's wall time: the instant is meant, and it exists
    skipped = (after or timedelta()) - (before or timedelta())
    edge = wall.replace(tzinfo=zone, fold=0).astimezone(UTC).astimezone(zone)
    following = _gap_end(edge.astimezone(UTC) - abs(skipped), edge.astimezone(UTC), zone)
    raise Invalid({field: f"does not exist in this zone; the next valid time is {following.isoformat()}"})


def _gap_end(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    first = low.replace(second=0, microsecond=0)
    offset = first.astimezone(zone).utcoffset()
    while first < high and first.astimezone(zone).utcoffset() == offset:
        first += timedelta(minutes=1)
    return first.astimezone(zone)


def day_of(moment: datetime) -> date:
    return moment.astimezone(UTC).date()
