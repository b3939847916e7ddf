"""What each writer of the calendar does to its events, whatever keeps them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from lockkeep_servers.calendar import port
from lockkeep_servers.calendar.adapters.events import Events, moved, occurrences_of, one_of, settle_span
from lockkeep_servers.calendar.occurrences import YEAR, Occurrence, Repeats, clashes, expand, first_view, once
from lockkeep_servers.calendar.recurrence import walls_of, with_count
from lockkeep_servers.kit.errors import CheckFailed, IllegalTransition, Invalid, NotFound, WindowClosed
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.results import Undo, changed
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import parse_time, stamp

RESTORABLE = ("update_event", "cancel_event")


def create_event(events: Events, ask: port.CreateEvent) -> Effect:
    """The event stands in the calendar, and no occurrence within a year runs into another event."""
    _may_notify(ask)
    events.require(ask.calendar)
    found = settle_span(ask.start, ask.end, ask.tz, ask.all_day, ask.rrule)
    row: Row = {
        **found.columns,
        "id": events.next_id(),
        "version": 1,
        "sequence": 0,
        "calendar": ask.calendar,
        "series_id": None,
        "occurrence": None,
        "title": ask.title,
        "location": ask.location,
        "description": ask.description,
        "attendees": json.dumps(ask.attendees),
        "status": "confirmed",
        "transparent": 0,
    }
    _in_future(events, row)
    warnings = [
        *found.warnings,
        *_no_overlap(events, row, ask.on_conflict, lambda one: one.event_id == row["id"]),
    ]
    written = events.put(None, row)
    if ask.notify == "all":
        events.tell(written, "invited")
    after = {name: value for name, value in first_view(written).items() if value is not None}
    return Effect(
        row["id"],
        str(written["version"]),
        None,
        after,
        warnings=tuple(warnings),
        undo=_undo(ask, created=True),
    )


def update_event(events: Events, ask: port.UpdateEvent) -> Effect:
    """The chosen occurrences have these values."""
    given = ask.changes.given()
    if not given:
        raise Invalid({"changes": "needs one field at least"})
    _may_notify(ask)
    row, reach = _chosen(events, ask)
    if reach is None:
        done = _update_all(events, row, given, ask.on_conflict)
    elif ask.scope == "this":
        done = _update_this(events, row, reach, given, ask.on_conflict)
    else:
        done = _update_following(events, row, reach, given, ask.on_conflict)
    if ask.notify == "all":
        events.tell(done.row, "changed")
    before, after = changed(done.before, done.after)
    return _effect(events, ask, done.row, before, after, done.warnings)


def cancel_event(events: Events, ask: port.CancelEvent) -> Effect:
    """The chosen occurrences do not take place."""
    _may_notify(ask)
    row, reach = _chosen(events, ask)
    before: dict[str, Any] = {"status": row["status"]}
    after: dict[str, Any] = {"status": "cancelled"}
    if reach is None:
        row = events.put(row, {**row, "status": "cancelled"})
    elif ask.scope == "this":
        _put_replacement(events, row, reach, {**reach.row, "status": "cancelled"})
        row = events.put(row, row)
    else:
        before, after = {"rrule": row["rrule"]}, {"rrule": _head(row, reach)}
        row = events.put(row, {**row, **after})
        _drop_replaced(events, row["id"], reach.row["occurrence"])
    if ask.notify == "all":
        events.tell(row, "cancelled")
    return _effect(events, ask, row, before, after, [])


def restorable(stored: Row | None, now: datetime) -> Row:
    """Return the receipt of a change that can still be taken back."""
    if stored is None or stored["tool"] not in RESTORABLE or stored["state"] != "committed":
        raise NotFound("receipt of an event")
    if parse_time(stored["at"]) < now - timedelta(days=port.RESTORE_DAYS) or stored["images"] is None:
        raise WindowClosed(port.RESTORE_DAYS)
    return stored


def restored(id: str, version: str, receipt: Mapping[str, Any], warnings: Sequence[str]) -> Effect:
    """Return the effect of taking back what this receipt tells."""
    undo = Undo(possible="no", note="Make the change again instead.")
    return Effect(id, version, receipt["after"], receipt["before"], undo, tuple(warnings))


def year_from(rows: Iterable[Row], now: datetime) -> tuple[datetime, datetime]:
    """Return the year in which events that are put back may be in the way."""
    begin = max(parse_time(min((row["starts"] for row in rows), default=stamp(now))), now)
    return begin, begin + YEAR


def in_the_way(before: Sequence[Occurrence], after: Sequence[Occurrence]) -> list[str]:
    """What comes back may run into what was booked since; it comes back all the same, and the caller is warned."""
    known = {(one.event_id, *one.instants()) for one in before if one.busy}
    back = [one for one in after if (one.event_id, *one.instants()) not in known]
    others = [one for one in after if (one.event_id, *one.instants()) in known]
    return _overlapping(clashes(back, others))


@dataclass(frozen=True)
class Reach:
    """One occurrence of a series, as the start of what a change covers."""

    place: int
    begins: datetime
    row: Row
    replaced: dict[str, Row]


@dataclass(frozen=True)
class Done:
    row: Row
    before: dict[str, Any]
    after: dict[str, Any]
    warnings: list[str]


def _chosen(events: Events, ask: port.UpdateEvent | port.CancelEvent) -> tuple[Row, Reach | None]:
    """Return the event, and where in its series the change starts; None for all of it."""
    row = events.fetch(ask.calendar, ask.event_id, ask.expected_version)
    if row["status"] == "cancelled":
        raise IllegalTransition([])
    if row["rrule"] is None:
        return row, None
    if ask.scope is None:
        raise Invalid({"scope": "is required: this event is a series"})
    if ask.scope == "all":
        return row, None
    if ask.occurrence is None:
        raise Invalid({"occurrence": "is required with this scope"})
    replaced = {one["occurrence"]: one for one in events.replaced_of(row["id"])}
    place, begins, one = one_of(row, ask.occurrence, replaced)
    return (
        (row, None) if place == 0 and ask.scope == "following" else (row, Reach(place, begins, one, replaced))
    )


def _update_all(events: Events, row: Row, given: dict[str, Any], on_conflict: str) -> Done:
    wanted, warnings = moved(row, given)
    if {"start", "end", "rrule"} & set(given):
        if "start" in given:
            _in_future(events, wanted)
        warnings += _no_overlap(events, wanted, on_conflict, lambda one: one.event_id == row["id"])
        warnings += _drop_replaced(events, row["id"], "")
    else:
        warnings += _unlike(events.replaced_of(row["id"]), wanted, given)
    written = events.put(row, wanted)
    return Done(written, first_view(row), first_view(written), warnings)


def _update_this(events: Events, row: Row, reach: Reach, given: dict[str, Any], on_conflict: str) -> Done:
    if "rrule" in given:
        raise Invalid({"changes.rrule": "is for all or following"})
    wanted, warnings = moved(reach.row, given)
    if {"start", "end"} & set(given):
        if "start" in given:
            _in_future(events, wanted)
        at = reach.row["occurrence"]
        single = {**wanted, "series_id": None, "occurrence": None}
        warnings += _no_overlap(
            events, single, on_conflict, lambda one: (one.event_id, one.at) == (row["id"], at)
        )
    written = _put_replacement(events, row, reach, wanted)
    starts, ends = min(row["starts"], written["starts"]), max(row["ends"], written["ends"])
    master = events.put(row, {**row, "starts": starts, "ends": ends})
    return Done(master, first_view(reach.row), first_view(written), warnings)


def _put_replacement(events: Events, row: Row, reach: Reach, wanted: Row) -> Row:
    before = reach.replaced.get(reach.row["occurrence"])
    own = {"id": before["id"] if before else events.next_id(), "series_id": row["id"]}
    return events.put(before, {**wanted, **own, "occurrence": reach.row["occurrence"]})


def _update_following(
    events: Events, row: Row, reach: Reach, given: dict[str, Any], on_conflict: str
) -> Done:
    """The series ends before the occurrence; a new one, with the changes, goes on from it."""
    rest = {**row, "wall": reach.begins.isoformat(), "rrule": _rest(row, reach)}
    rest |= {"starts": reach.row["occurrence"]}
    wanted, warnings = moved(rest, given)
    retimed = bool({"start", "end", "rrule"} & set(given))
    if retimed:
        _in_future(events, wanted)
        from_here = reach.row["occurrence"]
        warnings += _no_overlap(
            events, wanted, on_conflict, lambda one: one.event_id == row["id"] and one.at >= from_here
        )
        warnings += _drop_replaced(events, row["id"], from_here)
    taken = [] if retimed else [one for at, one in reach.replaced.items() if at >= reach.row["occurrence"]]
    warnings += _unlike(taken, wanted, given)
    events.put(row, {**row, "rrule": _head(row, reach)})
    starts = min([wanted["starts"], *(one["starts"] for one in taken)])
    written = events.put(None, {**wanted, "starts": starts, "id": events.next_id()})
    for one in taken:
        events.put(one, {**one, "series_id": written["id"]})
    return Done(written, first_view(rest), first_view(written), warnings)


def _head(row: Row, reach: Reach) -> str:
    """Return the rule of what comes before the occurrence."""
    repeats: Repeats | None = row.get("repeats")
    return (
        repeats.head(parse_time(reach.row["occurrence"]))
        if repeats
        else with_count(row["rrule"], reach.place)
    )


def _rest(row: Row, reach: Reach) -> str:
    """Return the rule of what starts with the occurrence."""
    repeats: Repeats | None = row.get("repeats")
    if repeats:
        return repeats.rest(reach.begins)
    total = len(walls_of(row["rrule"], datetime.fromisoformat(row["wall"])))
    return with_count(row["rrule"], total - reach.place)


def _drop_replaced(events: Events, series_id: str, from_here: str) -> list[str]:
    """Single changes of a series that moves as a whole are lost, and the caller is told how many."""
    lost = [one for one in events.replaced_of(series_id) if one["occurrence"] >= from_here]
    for one in lost:
        events.drop(one)
    return [f"{len(lost)} single changes went back to the series."] if lost else []


def _unlike(replaced: Iterable[Row], wanted: Row, given: Iterable[str]) -> list[str]:
    """Occurrences with a row of their own do not follow their series, and the caller is told how many."""
    own = [one for one in replaced if one["status"] != "cancelled" and one.get("part", 0) is not None]
    count = sum(any(one[name] != wanted[name] for name in given) for one in own)
    return [f"{count} occurrences changed before keep values of their own."] if count else []


def _in_future(events: Events, row: Row) -> None:
    counts = row["ends"] if row["all_day"] and not row["rrule"] else row["starts"]
    if counts <= stamp(events.now):
        raise CheckFailed("in_future", "This time is over.", hint="Choose a time to come.", field="start")


def _no_overlap(events: Events, row: Row, on_conflict: str, own: Callable[[Occurrence], bool]) -> list[str]:
    """For a year from the first to come, no busy occurrence runs into another event; or the caller allowed it, and is warned."""
    begin = max(once(row)[0], events.now)
    wanted = expand([row], begin, begin + YEAR)
    others = [one for one in occurrences_of(events, row["calendar"], begin, begin + YEAR) if not own(one)]
    found = clashes(wanted, others)
    if not found:
        return []
    if on_conflict == "allow":
        return _overlapping(found)
    shown = [
        {"event_id": o.event_id, "start": o.start.isoformat(), "end": o.end.isoformat()} for o in found[:5]
    ]
    message = "Another event is in the way, now or in a later week."
    hint = "Choose another time, or set on_conflict to allow."
    raise CheckFailed("no_overlap", message, hint=hint, conflicts=shown, count=len(found))


def _overlapping(found: Sequence[Occurrence]) -> list[str]:
    return [f"no_overlap: {len(found)} occurrences overlap other events"] if found else []


def _may_notify(ask: port.CreateEvent | port.UpdateEvent | port.CancelEvent) -> None:
    if ask.notify == "all" and ask.idempotency_key is None:
        raise Invalid({"idempotency_key": "is required when people are notified"})


def _undo(
    ask: port.CreateEvent | port.UpdateEvent | port.CancelEvent, *, created: bool = False
) -> Undo | None:
    if ask.idempotency_key is None and not created:
        return Undo(possible="no", note="It was made without an idempotency_key.")
    return Undo(possible="yes", note="People were told; that stays.") if ask.notify == "all" else None


def _effect(
    events: Events, ask: port.UpdateEvent | port.CancelEvent, row: Row,
    before: dict[str, Any], after: dict[str, Any], warnings: list[str],
) -> Effect:  # fmt: skip
    return Effect(
        row["id"], str(row["version"]), before, after, _undo(ask), tuple(warnings), images=events.images
    )
