"""A calendar file as rows: what a collection holds becomes events as every adapter knows them."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from lockkeep_servers.calendar.adapters.caldav_lines import Component, Line, Malformed, read_calendar
from lockkeep_servers.calendar.adapters.caldav_repeats import ForeignRepeats, Rule, until_of
from lockkeep_servers.calendar.adapters.caldav_times import OWN_ZONE, When, Zone, Zones, duration
from lockkeep_servers.calendar.occurrences import places
from lockkeep_servers.calendar.recurrence import settle_rule
from lockkeep_servers.kit.errors import Invalid
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import localise, parse_time, stamp

PLAIN_UID = re.compile(r"(?!x-)[A-Za-z0-9-]{1,40}")
NOT_MAIL = "urn:x-name:"  # an attendee given by something else than an address
LONGEST = {"title": 500, "location": 500, "description": 8000, "rrule": 300}
MOST_ATTENDEES = 100


@dataclass(frozen=True)
class File:
    """One file of a collection, as it was read."""

    href: str
    etag: str
    text: str
    rows: tuple[Row, ...]
    whole: bool  # nothing in it was left out because it could not be read


def id_of(uid: str) -> str:
    """Return our id of an event: its UID, or a digest of one that is too long or too odd for an id."""
    if PLAIN_UID.fullmatch(uid):
        return f"evt_{uid}"
    return f"evt_x-{hashlib.sha256(uid.encode()).hexdigest()[:32]}"


def version_of(etag: str) -> str:
    """Return what callers know an ETag by; ETags may be longer than our versions."""
    return hashlib.sha256(etag.encode()).hexdigest()[:32]


def read_file(calendar: str, href: str, etag: str, text: str, zone: Zone) -> File:
    """Return what a file holds; never fails, whatever that is."""
    try:
        found = read_calendar(text)
    except Malformed:
        return File(href, etag, text, (), whole=False)
    reader = _Reader(calendar, href, version_of(etag), Zones(found, zone))
    events = list(enumerate(found.components("VEVENT")))
    for uid in dict.fromkeys(event.value("UID") for _, event in events):
        reader.read(uid, [(part, event) for part, event in events if event.value("UID") == uid])
    return File(href, etag, text, tuple(reader.rows), reader.whole)


class _Reader:
    """Turns the components of one file into rows."""

    def __init__(self, calendar: str, href: str, version: str, zones: Zones) -> None:
        self._given = {"calendar": calendar, "href": href, "version": version}
        self._zones = zones
        self.rows: list[Row] = []
        self.whole = True

    def read(self, uid: str, events: Iterable[tuple[int, Component]]) -> None:
        master: Row | None = None
        others: list[Row] = []
        for part, event in events:
            try:
                row = self._row(uid, part, event)
                recurrence = event.line("RECURRENCE-ID")
                if recurrence is None and master is None:
                    master, others = self._series(row, event), others + self._dates(row, event)
                elif recurrence is not None:
                    at = stamp(self._zones.read(recurrence, event.plain(OWN_ZONE) or "").instant)
                    others.append({**row, "id": f"{row['id']}-{_compact(at)}", "occurrence": at})
                    self.whole = self.whole and "RANGE" not in recurrence.parameters
            except (ValueError, OverflowError):
                self.whole = False
        self.rows += _joined(master, others)

    def _row(self, uid: str, part: int, event: Component) -> Row:
        line = event.line("DTSTART")
        if line is None:
            raise Malformed
        start = self._zones.read(line, event.plain(OWN_ZONE) or "")
        length = max(self._length(event, start), timedelta())
        status = event.value("STATUS").lower()
        return {
            **self._given,
            **_span(start.wall, start, length),
            **_texts(event),
            "id": id_of(uid),
            "part": part,
            "series_id": None,
            "occurrence": None,
            "sequence": int(number) if (number := event.value("SEQUENCE")[:9]).isdecimal() else 0,
            "all_day": int(start.form == "day"),
            "tz": start.tz,
            **({} if start.has_name else {"zone": start.zone}),
            "rrule": None,
            "status": status if status in ("tentative", "cancelled") else "confirmed",
            "transparent": int(event.value("TRANSP").upper() == "TRANSPARENT" or not length),
            "updated_at": event.value("LAST-MODIFIED"),
        }

    def _length(self, event: Component, start: When) -> timedelta:
        end, lasts = event.line("DTEND"), event.line("DURATION")
        if end is not None:
            until = self._zones.read(end, event.plain(OWN_ZONE) or "")
            if start.form == "day":
                return max(until.wall.replace(hour=0, minute=0, second=0) - start.wall, timedelta(days=1))
            return until.instant - start.instant
        if lasts is not None:
            return duration(lasts.value)
        return timedelta(days=int(start.form == "day"))

    def _series(self, row: Row, event: Component) -> Row:
        """Return the row with its rule: settled, if it is one of ours with an end; else as it was written."""
        rules = tuple(line.value for line in event.lines("RRULE"))
        start = self._zones.read(event.lines("DTSTART")[0], event.plain(OWN_ZONE) or "")
        dates = [when.wall for when, _ in self._periods(event, "RDATE", start)]
        if not rules and not dates:
            return row
        settled = (
            _settled(rules[0], start) if len(rules) == 1 and not dates and not event.lines("EXRULE") else None
        )
        if settled is not None:
            return {**row, "rrule": settled}
        repeats = ForeignRepeats(rules, start.wall, tuple(dates), start.zone, start.form == "day")
        shown = (rules[0] or "not readable") if rules else "RDATE"
        return {**row, "rrule": _cut(shown, "rrule"), "repeats": repeats}

    def _dates(self, row: Row, event: Component) -> list[Row]:
        """Return what stands for single occurrences: those taken out, and those with a length of their own."""
        start = self._zones.read(event.lines("DTSTART")[0], event.plain(OWN_ZONE) or "")
        length = timedelta(seconds=row["length_s"])
        taken_out = [
            {**row, **_span(when.wall, start, length), "status": "cancelled", "part": None}
            for when, _ in self._periods(event, "EXDATE", start)
        ]
        longer = [
            {**row, **_span(when.wall, start, lasts), "part": None}
            for when, lasts in self._periods(event, "RDATE", start)
            if lasts is not None
        ]
        return [
            {**one, "id": f"{one['id']}-{_compact(str(one['starts']))}", "occurrence": one["starts"]}
            for one in longer + taken_out
        ]

    def _periods(self, event: Component, name: str, start: When) -> list[tuple[When, timedelta | None]]:
        """Return the times a property lists, as wall times of the series; with a length if they are periods."""
        found: list[tuple[When, timedelta | None]] = []
        for line in event.lines(name):
            for text in line.value.split(","):
                first, _, last = text.partition("/")
                tzid = line.parameters.get("TZID", "")
                when = self._zones.parse(first, tzid, event.plain(OWN_ZONE) or "")
                lasts = None
                if last:
                    lasts = (
                        duration(last)
                        if last.startswith("P")
                        else self._zones.parse(last, tzid).instant - when.instant
                    )
                found.append((in_series(when, start), lasts))
        return found


def in_series(when: When, start: When) -> When:
    """Return a time as the series would write it; a day means the occurrence of that day."""
    if when.form == "day":
        wall = datetime.combine(when.wall.date(), start.wall.time())
    else:
        wall = when.instant.astimezone(start.zone).replace(tzinfo=None)
    return When.at(wall, (start.tz, start.zone), start.form)


def _span(wall: datetime, like: When, length: timedelta) -> dict[str, Any]:
    starts = like.instant if wall == like.wall else localise(wall, like.zone)
    ends = localise(wall + length, like.zone) if like.form == "day" else starts.astimezone(UTC) + length
    return {
        "wall": wall.isoformat(),
        "length_s": int(length.total_seconds()),
        "starts": stamp(starts),
        "ends": stamp(ends),
    }


def _settled(text: str, start: When) -> str | None:
    """Return a rule of our subset with its COUNT; None for any other, and for one without an end."""
    parts = text.upper()
    if not isinstance(start.zone, ZoneInfo) or not ("COUNT=" in parts or "UNTIL=" in parts):
        return None
    try:
        named = dict(part.split("=", 1) for part in parts.strip(";").split(";"))
        rule = Rule(text, start.wall, until_of(named, start.zone))
        if rule.between(start.wall, start.wall) != [start.wall]:
            return None
        return settle_rule(text, start.wall, start.zone)[0]
    except (Invalid, ValueError):
        return None


def _joined(master: Row | None, others: list[Row]) -> list[Row]:
    """Return an event with what replaces its occurrences; without the event each of them stands for itself."""
    if master is None:
        return [{**other, "occurrence": None} for other in others if other["part"] is not None]
    if master["rrule"] is None:
        return [master]
    by_place = {other["occurrence"]: {**other, "series_id": master["id"]} for other in others}
    if not master.get("repeats") and (kept := [o for o in by_place.values() if o["part"] is not None]):
        known = {
            stamp(localise(wall, ZoneInfo(master["tz"])))
            for _, wall in places(master, parse_time(master["starts"]))
        }
        if any(other["occurrence"] not in known for other in kept):
            start = datetime.fromisoformat(master["wall"])
            zone, day = ZoneInfo(master["tz"]), bool(master["all_day"])
            master = {**master, "repeats": ForeignRepeats((master["rrule"],), start, (), zone, day)}
    return [master, *by_place.values()]


def _texts(event: Component) -> dict[str, Any]:
    attendees = [_person(line) for line in event.lines("ATTENDEE")[:MOST_ATTENDEES]]
    location, description = event.plain("LOCATION"), event.plain("DESCRIPTION")
    return {
        "title": _cut(event.plain("SUMMARY") or "", "title"),
        "location": _cut(location, "location") if location else None,
        "description": _cut(description, "description") if description else None,
        "attendees": json.dumps(attendees),
    }


def _person(line: Line) -> str:
    value = line.value.strip()[:500]
    if value[:7].lower() == "mailto:":
        return value[7:]
    return unquote(value[len(NOT_MAIL) :]) if value.startswith(NOT_MAIL) else value


def _cut(text: str, field: str) -> str:
    most = LONGEST[field]
    return text if len(text) <= most else text[: most - 1] + "…"


def _compact(at: str) -> str:
    return at.replace("-", "").replace(":", "")


def index(files: Iterable[File]) -> Mapping[str, Row]:
    """Return the events of a collection by id; of two with one id the first counts."""
    found: dict[str, Row] = {}
    for file in files:
        for row in file.rows:
            if row["series_id"] is None:
                found.setdefault(row["id"], row)
    return found
