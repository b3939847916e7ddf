"""One VEVENT, written: its texts, people, times and rule. How a property was written before is how it is written again."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from lockkeep_servers.calendar.adapters.caldav_lines import Component, Line
from lockkeep_servers.calendar.adapters.caldav_rows import NOT_MAIL
from lockkeep_servers.calendar.adapters.caldav_times import (
    OWN_ZONE,
    Zone,
    Zones,
    day_text,
    definition,
    duration,
    time_text,
)
from lockkeep_servers.calendar.occurrences import zone_of
from lockkeep_servers.kit.errors import Invalid
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import localise, parse_time

TEXTS = {"title": "SUMMARY", "location": "LOCATION", "description": "DESCRIPTION"}
TIMES = ("wall", "length_s", "all_day", "tz")
RULES = ("RRULE", "RDATE", "EXRULE", "EXDATE")
MAIL = re.compile(r'[^\s@:;,"<>]+@[^\s@:;,"<>]+')
UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")  # no XML can carry them


@dataclass(frozen=True)
class Pen:
    """Writes into the events of one file."""

    root: Component
    zone: Zone  # of the collection
    now: datetime

    def write(self, event: Component, before: Row, after: Row) -> bool:
        """The event says what differs between the rows. Returns whether anything does."""
        changed = {
            name for name in (*TEXTS, *TIMES, "attendees", "rrule", "status") if before[name] != after[name]
        }
        if not after["rrule"]:  # of a series, these two only say how far it reaches
            changed |= {name for name in ("starts", "ends") if before[name] != after[name]}
        for name in changed & set(TEXTS):
            _put_text(event, name, after[name])
        if "attendees" in changed:
            _put_attendees(event, json.loads(after["attendees"]))
        if changed & {*TIMES, "starts", "ends"}:
            self.write_times(event, after)
        if "rrule" in changed:
            _put_rule(event, after)
        if "status" in changed:
            event.put(Line.made("STATUS", after["status"].upper()))
        if changed:
            self.stamp(event, after["sequence"])
        return bool(changed)

    def write_times(self, event: Component, row: Row) -> None:
        old, lasts = event.line("DTSTART"), event.line("DURATION")
        if row["all_day"]:
            first = datetime.fromisoformat(row["wall"])
            days = (first, first + timedelta(seconds=row["length_s"]))
            start, end = (
                Line.made(name, day_text(day), VALUE="DATE")
                for name, day in zip(("DTSTART", "DTEND"), days, strict=True)
            )
            if old is None:
                event.put(Line.made(OWN_ZONE, row["tz"]))
        else:
            start, end = self._timed(event, old, row)
        if lasts is not None and duration(lasts.value).total_seconds() == row["length_s"]:
            end = lasts
        elif lasts is not None or end is None:
            end = Line.made("DURATION", f"PT{row['length_s']}S")
        event.remove("DTEND", "DURATION")
        event.put(start)
        event.put(end)

    def _timed(self, event: Component, old: Line | None, row: Row) -> tuple[Line, Line | None]:
        """Return start and end. A wall time that happens twice means its first time, so it cannot say the second."""
        zone = zone_of(row)
        moments = _moments(row)
        walls = [moment.astimezone(zone).replace(tzinfo=None) for moment in moments]
        second = [localise(wall, zone) != moment for wall, moment in zip(walls, moments, strict=True)]
        floats = old is not None and self._floats(old, row)
        if "zone" in row or (row["tz"] == "UTC" and not floats) or (any(second) and not row["rrule"]):
            if any(second) and "zone" not in row:
                event.put(Line.made(OWN_ZONE, row["tz"]))
            start, end = (time_text(moment) + "Z" for moment in moments)
            return Line.made("DTSTART", start), Line.made("DTEND", end)
        given = {} if floats else {"TZID": self._tzid(old, row, walls[0])}
        start, end = (time_text(wall) for wall in walls)
        return Line.made("DTSTART", start, **given), None if second[1] else Line.made("DTEND", end, **given)

    def _floats(self, old: Line, row: Row) -> bool:
        """Tell whether the time names no zone, and the new one is meant in the same."""
        return "TZID" not in old.parameters and old.value[-1:].isdigit() and self.zone[0] == row["tz"]

    def _tzid(self, old: Line | None, row: Row, first: datetime) -> str:
        """Return the name of the zone as the file knows it."""
        tzid = old.parameters.get("TZID", "") if old else ""
        if not tzid or Zones(self.root, self.zone).named(tzid)[0] != row["tz"]:
            tzid = row["tz"]
        if not any(each.plain("TZID") == tzid for each in self.root.components("VTIMEZONE")):
            inner = (place for place, part in enumerate(self.root.parts) if isinstance(part, Component))
            self.root.parts.insert(next(inner, len(self.root.parts)), definition(tzid, first.date()))
        return tzid

    def name(self, master: Component, series: Row, name: str, at: str) -> Line:
        """Return a property that names an occurrence, written as the start of its series is."""
        line = master.lines("DTSTART")[0]
        moment = parse_time(at)
        if line.value.endswith("Z"):
            return Line.made(name, time_text(moment.astimezone(UTC)) + "Z")
        wall = moment.astimezone(zone_of(series))
        text = day_text(wall) if series["all_day"] else time_text(wall)
        kept = {key: line.parameters[key] for key in ("VALUE", "TZID") if key in line.parameters}
        return Line.made(name, text, **kept)

    def stamp(self, event: Component, sequence: int | None = None) -> None:
        """The event is one change further."""
        now = time_text(self.now.astimezone(UTC)) + "Z"
        number = event.value("SEQUENCE")[:9]
        following = int(number) + 1 if number.isdecimal() else 1
        event.put(Line.made("DTSTAMP", now))
        event.put(Line.made("LAST-MODIFIED", now))
        event.put(Line.made("SEQUENCE", str(following if sequence is None else sequence)))


def _moments(row: Row) -> tuple[datetime, datetime]:
    """Return start and end in UTC; of a series those of its first occurrence."""
    if not row["rrule"]:
        return parse_time(row["starts"]), parse_time(row["ends"])
    starts = localise(datetime.fromisoformat(row["wall"]), zone_of(row)).astimezone(UTC)
    return starts, starts + timedelta(seconds=row["length_s"])


def _put_text(event: Component, field: str, text: str | None) -> None:
    if text and UNWRITABLE.search(text):
        raise Invalid({field: "holds characters that a calendar file cannot carry"})
    if text:
        event.put(Line.text(TEXTS[field], text))
    else:
        event.remove(TEXTS[field])


def _put_attendees(event: Component, people: list[str]) -> None:
    """Who stays keeps what the file says of them, such as their answer."""
    if any(UNWRITABLE.search(person) for person in people):
        raise Invalid({"attendees": "holds characters that a calendar file cannot carry"})
    known = {line.value.strip(): line for line in event.lines("ATTENDEE")}
    lines = [known.get(address) or Line.made("ATTENDEE", address) for address in map(_address, people)]
    event.remove("ATTENDEE")
    if lines:
        event.put(*lines)


def _address(person: str) -> str:
    if MAIL.fullmatch(person):
        return f"mailto:{person}"
    return person if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:\S+$", person) else NOT_MAIL + quote(person, safe="")


def _put_rule(event: Component, row: Row) -> None:
    if row["rrule"] is None:
        event.remove(*RULES)
        return
    if not row.get("repeats"):
        event.remove("RDATE", "EXRULE")
    event.put(Line.made("RRULE", row["rrule"]))
