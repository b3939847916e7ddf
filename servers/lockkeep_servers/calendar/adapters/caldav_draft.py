"""Changed rows become changed files; each is one step of a write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lockkeep_servers.calendar.adapters.caldav_event import RULES, TEXTS, Pen
from lockkeep_servers.calendar.adapters.caldav_lines import Component, Line, read_calendar
from lockkeep_servers.calendar.adapters.caldav_rows import File, in_series
from lockkeep_servers.calendar.adapters.caldav_times import OWN_ZONE, Zone, Zones, time_text
from lockkeep_servers.calendar.adapters.events import Image
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import stamp

MARK = "X-LOCKKEEP-WRITE"  # which write a file is from: so it is found again after a crash
PRODUCT = "-//lockkeep//calendar//EN"
NOTHING = {**dict.fromkeys(TEXTS), "attendees": "[]", "rrule": None, "status": ""}


@dataclass
class Draft:
    """One file on its way to a new state."""

    href: str
    pen: Pen
    file: File | None  # None: it is new
    events: list[Component]  # as numbered when it was read
    touched: bool = False

    @property
    def root(self) -> Component:
        return self.pen.root

    def event(self, row: Row) -> Component:
        part: int = row["part"]
        return self.events[part]

    def change(self, before: Row, after: Row) -> None:
        """An event, or what stands for an occurrence, says what the row says."""
        self.touched |= self.pen.write(self.event(before), before, after)

    def stand_in(self, row: Row, series: Row) -> None:
        """An occurrence has a component of its own, or does not take place."""
        master = self.event(series)
        self.touched = True
        if row["status"] == "cancelled":
            self._take_out(master, series, row["occurrence"])
            return
        event = master.copy()
        event.remove(*RULES)
        self.pen.write_times(event, row)
        event.put(self.pen.name(master, series, "RECURRENCE-ID", row["occurrence"]))
        self.pen.write(
            event, {**row, **{name: series[name] for name in (*TEXTS, "attendees", "status")}}, row
        )
        self.pen.stamp(event, row["sequence"])
        self.root.parts.append(event)

    def replace(self, before: Row, after: Row, series: Row) -> None:
        """What stood for an occurrence already says something else."""
        if before["part"] is not None and after["status"] != "cancelled":
            self.change(before, after)
            return
        if before["part"] is not None:
            self.root.discard(self.event(before))
        self.stand_in(after, series)

    def drop(self, row: Row, series: Row) -> None:
        """Nothing stands for the occurrence any more but its series."""
        self.touched = True
        if row["part"] is not None:
            self.root.discard(self.event(row))
        else:
            self._put_back(self.event(series), row["occurrence"])

    def take(self, row: Row, other: "Draft") -> None:
        """What stands for an occurrence moves here, from the file its series was cut from."""
        if row["part"] is None:
            self._take_out(self.events[0], row, row["occurrence"])
            return
        moved = other.event(row).copy()
        moved.put(Line.made("UID", self.events[0].value("UID")))
        self.root.parts.append(moved)

    def written(self, mark: str) -> str:
        """Return the file, marked as the work of this write."""
        self.root.components("VEVENT")[0].put(Line.made(MARK, mark))
        return str(self.root)

    def _take_out(self, master: Component, series: Row, at: str) -> None:
        lines = [place for place, part in enumerate(master.parts) if isinstance(part, Line)]
        master.parts.insert(lines[-1] + 1, self.pen.name(master, series, "EXDATE", at))
        self.pen.stamp(master)

    def _put_back(self, master: Component, at: str) -> None:
        zones, own = Zones(self.root, self.pen.zone), master.plain(OWN_ZONE) or ""
        start = zones.read(master.lines("DTSTART")[0], own)
        for line in master.lines("EXDATE"):
            tzid = line.parameters.get("TZID", "")
            values = line.value.split(",")
            kept = [
                each for each in values if stamp(in_series(zones.parse(each, tzid, own), start).instant) != at
            ]
            if kept != values:
                place = next(place for place, part in enumerate(master.parts) if part is line)
                master.parts[place : place + 1] = (
                    [Line.made("EXDATE", ",".join(kept), **line.parameters)] if kept else []
                )


@dataclass
class Drafts:
    """The files of one collection that one write changes."""

    files: Mapping[str, File]
    zone: Zone
    now: datetime
    folder: str  # where new files are put
    uid: str  # of a new event
    _known: dict[str, Draft] = field(default_factory=dict[str, Draft])

    def made(self, images: Sequence[Image]) -> list[Draft]:
        """Return the files these changes touch, new ones first: while only those are there, nothing is lost."""
        for image in images:
            before, after = image["before"], image["after"]
            self._take_in(before, after)
        touched = [draft for draft in self._known.values() if draft.touched]
        return sorted(touched, key=lambda draft: draft.file is not None)

    def _take_in(self, before: Row | None, after: Row | None) -> None:
        if before is None and after is not None and after["series_id"] is None:
            self._known[after["id"]] = self._new(after)
        elif before is not None and before["series_id"] is None:
            if after is not None:
                self._of(before).change(before, after)
        elif before is None and after is not None:
            self._of(after).stand_in(after, self._series(after))
        elif before is not None and after is None:
            self._of(before).drop(before, self._series(before))
        elif before is not None and after is not None:
            self._move(before, after)

    def _move(self, before: Row, after: Row) -> None:
        old = self._of(before)
        if before["series_id"] == after["series_id"]:
            old.replace(before, after, self._series(before))
        else:
            self._known[after["series_id"]].take(before, old)
            old.drop(before, self._series(before))

    def _of(self, row: Row) -> Draft:
        href = row["href"]
        if href not in self._known:
            file = self.files[href]
            root = read_calendar(file.text)
            self._known[href] = Draft(href, Pen(root, self.zone, self.now), file, root.components("VEVENT"))
        return self._known[href]

    def _series(self, row: Row) -> Row:
        rows = self.files[row["href"]].rows
        return next(each for each in rows if each["series_id"] is None and each["id"] == row["series_id"])

    def _new(self, row: Row) -> Draft:
        """Return the file of a new event, or of what goes on from a series: like it in all that nobody changed."""
        if "href" in row:
            old = self.files[row["href"]]
            like = next(
                each for each in old.rows if each["series_id"] is None and each["part"] == row["part"]
            )
            root = read_calendar(old.text)
            part: int = row["part"]
            event = root.components("VEVENT")[part]
            for other in root.components("VEVENT"):
                if other is not event:
                    root.discard(other)
            event.remove(*RULES)
            before = {**row, **{name: like[name] for name in (*TEXTS, "attendees", "status")}, "rrule": None}
        else:
            event = Component("VEVENT")
            root = Component("VCALENDAR", [Line.made("VERSION", "2.0"), Line.made("PRODID", PRODUCT), event])
            before = {**row, **NOTHING}
        event.put(Line.made("UID", self.uid))
        event.put(Line.made("CREATED", time_text(self.now.astimezone(UTC)) + "Z"))
        pen = Pen(root, self.zone, self.now)
        pen.write_times(event, row)
        pen.write(event, before, row)
        pen.stamp(event, row["sequence"])
        return Draft(f"{self.folder}{self.uid}.ics", pen, None, [event], touched=True)
