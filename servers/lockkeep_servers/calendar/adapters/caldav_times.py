"""Times of a calendar file: days, instants, and wall times of zones known by name, by definition, or not at all."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from icalendar import Timezone, vDuration
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from lockkeep_servers.calendar.adapters.caldav_lines import Component, Line, Malformed, read_calendar
from lockkeep_servers.kit.times import localise

MOMENT = re.compile(r"(\d{8})(?:T(\d{4})(\d\d)(Z?))?")
OWN_ZONE = "X-LOCKKEEP-TZ"  # of a day, and of an instant that a wall time could not name
Form = Literal["day", "utc", "zone", "floating"]
Zone = tuple[str, tzinfo]  # its IANA name, or UTC for one that has none
YEARS = 12  # that a definition reaches; every program we know goes by the name first
SAFE_RULE = re.compile(r"FREQ=(YEARLY|MONTHLY);[A-Z0-9=;,+-]*", re.IGNORECASE)


@dataclass(frozen=True)
class When:
    """A wall time, where it is meant, how it was written, and the instant that is, in UTC."""

    wall: datetime
    tz: str
    zone: tzinfo
    form: Form
    instant: datetime

    @classmethod
    def at(cls, wall: datetime, zone: Zone, form: Form) -> "When":
        return cls(wall, *zone, form, localise(wall, zone[1]).astimezone(UTC))

    @property
    def has_name(self) -> bool:
        """Its zone can be found again by its IANA name."""
        return isinstance(self.zone, ZoneInfo)


class Zones:
    """The zones of one calendar file, which may define its own."""

    def __init__(self, file: Component, default: Zone) -> None:
        self.default = default  # for times that name no zone
        self._defined = {each.plain("TZID"): each for each in file.components("VTIMEZONE")}
        self._found: dict[str, Zone] = {}

    def read(self, line: Line, own: str = "") -> When:
        """Return the time a property holds.

        Raises:
            Malformed: it holds none that we can place.
        """
        return self.parse(line.value, line.parameters.get("TZID", ""), own)

    def parse(self, value: str, tzid: str, own: str = "") -> When:
        """Return the time a text means. `own` names the zone of days and instants, if the event says it."""
        found = MOMENT.fullmatch(value.strip())
        if found is None:
            raise Malformed
        day, minutes, seconds, utc = found.groups()
        try:
            text = day + (minutes or "0000") + ("59" if seconds == "60" else seconds or "00")
            wall = datetime.strptime(text, "%Y%m%d%H%M%S")
        except ValueError:
            raise Malformed from None
        if not 1000 <= wall.year <= 9990:
            raise Malformed
        home = _known(own)
        if utc:
            instant, zone = wall.replace(tzinfo=UTC), (own, home) if home else ("UTC", ZoneInfo("UTC"))
            return When(instant.astimezone(zone[1]).replace(tzinfo=None), *zone, "utc", instant)
        if minutes is None or not tzid:
            return When.at(
                wall, (own, home) if home else self.default, "day" if minutes is None else "floating"
            )
        return When.at(wall, self.named(tzid), "zone")

    def named(self, tzid: str) -> Zone:
        """Return the zone a file calls so; the calendar's own for a name nobody explains."""
        if tzid not in self._found:
            self._found[tzid] = self._zone(tzid)
        return self._found[tzid]

    def _zone(self, tzid: str) -> Zone:
        tail = tzid.strip("/").split("/")
        for name in (tzid, WINDOWS_TO_OLSON.get(tzid, ""), "/".join(tail[-2:]), "/".join(tail[-3:])):
            if zone := _known(name):
                return name, zone
        defined = self._defined.get(tzid)
        return ("UTC", _made(defined) or self.default[1]) if defined else self.default


@lru_cache(maxsize=1000)
def _known(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _made(defined: Component) -> tzinfo | None:
    """Return the zone of a definition; rules that could be walked for ever are not followed."""
    parts = [part for part in defined.parts if isinstance(part, Component)]
    rules = [line.value for part in parts for line in part.lines("RRULE")]
    if not all(SAFE_RULE.fullmatch(rule) for rule in rules):
        return None
    try:
        made: tzinfo = cast(Any, Timezone.from_ical(str(defined))).to_tz(lookup_tzid=False)
        datetime(2027, 1, 1, tzinfo=made).utcoffset()
    except Exception:  # whatever a definition of somebody else provokes, it is one we cannot use
        return None
    return made


def default_zone(text: str | None) -> Zone:
    """Return the zone a collection says it is in; UTC if it says none."""
    utc = ("UTC", ZoneInfo("UTC"))
    try:
        file = read_calendar(text or "")
    except Malformed:
        return utc
    names = [each.plain("TZID") or "" for each in file.components("VTIMEZONE")]
    return Zones(file, utc).named(names[0]) if names else utc


def duration(value: str) -> timedelta:
    """Return the length a text means.

    Raises:
        Malformed: it means none.
    """
    try:
        return cast(Any, vDuration).from_ical(value.strip())
    except ValueError:
        raise Malformed from None


def definition(tz: str, first: date) -> Component:
    """Return the VTIMEZONE of a zone, from the year before that day on, for some years."""
    began, ends = date(max(first.year - 1, 1970), 1, 1), date(first.year + YEARS, 1, 1)
    made = Timezone.from_tzid(tz, first_date=began, last_date=ends).to_ical().decode()
    (zone,) = read_calendar(f"BEGIN:VCALENDAR\r\n{made}END:VCALENDAR\r\n").components("VTIMEZONE")
    zone.remove("COMMENT")
    for part in (part for part in zone.parts if isinstance(part, Component)):
        for line in part.lines("RDATE"):  # some programs read the first of several dates only
            part.put(*(Line.made("RDATE", moment) for moment in line.value.split(",")))
    return zone


def day_text(wall: datetime) -> str:
    return wall.strftime("%Y%m%d")


def time_text(wall: datetime) -> str:
    return wall.strftime("%Y%m%dT%H%M%S")
