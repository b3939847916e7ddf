"""Hours: `mon-fri 08:00-18:00`, `sat-sun`, `not mon-fri 08:00-18:00`; windows may pass midnight. Wall clocks of one zone."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from lockkeep.policy.positions import Problems, Text, nearest

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = "|".join(DAYS)
TEXT = re.compile(
    rf"(?P<no>not +)?(?P<days>(?:{DAY})(?:-(?:{DAY}))?(?: *, *(?:{DAY})(?:-(?:{DAY}))?)*)?"
    r" *(?:(?P<start>[0-9]{1,2}:[0-9]{2}) *- *(?P<end>[0-9]{1,2}:[0-9]{2}))?"
)
WORD, CLOCK = re.compile(r"[a-zäöüß]+"), re.compile(r"[0-9]{1,2}:[0-9]{2}")
HINT = "write mon-fri 08:00-18:00, sat-sun, or not mon-fri 08:00-18:00"
WEEK = 7 * 24 * 60
FARTHEST = 9  # days ahead that an opening is looked for: one week, and a day on each side


@dataclass(frozen=True, slots=True)
class Window:
    """Some days of the week, from a minute of the day to another; what ends before it starts passes midnight."""

    days: frozenset[int]
    start: int = 0
    end: int = 24 * 60
    outside: bool = False

    def holds(self, day: int, minute: int) -> bool:
        passes_midnight = self.end <= self.start
        today = day in self.days and self.start <= minute and (passes_midnight or minute < self.end)
        yesterday = passes_midnight and (day - 1) % 7 in self.days and minute < self.end
        return (today or yesterday) != self.outside


@dataclass(frozen=True, slots=True)
class Hours:
    """Any of its windows. No window: all hours."""

    windows: tuple[Window, ...] = ()

    def hold(self, local: datetime) -> bool:
        """Whether this local time is within them."""
        minute = local.hour * 60 + local.minute
        return not self.windows or any(window.holds(local.weekday(), minute) for window in self.windows)

    def turn(self, local: datetime, *, to: bool) -> datetime | None:
        """When they next begin to hold (or to end); None if that never comes."""
        if self.hold(local) == to:
            return local
        for ahead in range(FARTHEST):
            day = (local + timedelta(days=ahead)).date()
            for minute in self._edges():
                moment = datetime.combine(day, time(minute // 60, minute % 60), local.tzinfo)
                if moment > local and self.hold(moment) == to:
                    return moment
        return None

    def after(self, start: datetime, seconds: float) -> datetime:
        """The moment when that many seconds of these hours have gone by, counted on the clock of `start`'s zone."""
        left, at = timedelta(seconds=seconds), start
        while self.windows:
            opens = self.turn(at, to=True)
            closes = self.turn(opens, to=False) if opens else None
            if opens is None or closes is None:
                break  # never open, or always
            open_for = closes.astimezone(UTC) - opens.astimezone(
                UTC
            )  # a clock that is put forward takes an hour away
            if open_for >= left:
                return _later(opens, left)
            left, at = left - open_for, closes
        return _later(at, left)

    def _edges(self) -> list[int]:
        return sorted(
            {0, *(window.start for window in self.windows), *(window.end % 1440 for window in self.windows)}
        )


def _later(start: datetime, by: timedelta) -> datetime:
    """That much real time later, whatever clocks do in between."""
    return (start.astimezone(UTC) + by).astimezone(start.tzinfo)


def hours_of(texts: Iterable[Text], problems: Problems) -> Hours:
    return Hours(tuple(window for text in texts if (window := window_of(text, problems)) is not None))


def window_of(text: Text, problems: Problems) -> Window | None:
    """The window, or None and what is wrong with it."""
    wrong = next((word for word in WORD.findall(text.text.lower()) if word not in (*DAYS, "not")), None)
    if wrong is not None:
        close = nearest(wrong, DAYS)
        hint = close if close.startswith("did") else f"days: {', '.join(DAYS)}"
        problems.add(text.place, f"'{wrong}' is no day of the week", hint)
        return None
    match = TEXT.fullmatch(text.text.strip().lower())
    if match is None or not (match["days"] or match["start"]):
        problems.add(text.place, f"'{text.text}' are no hours", HINT)
        return None
    start, end = _minute(match["start"] or "0:00"), _minute(match["end"] or "24:00")
    if start is None or end is None or start == 24 * 60:
        time = next(each for each in CLOCK.findall(text.text) if _minute(each) in (None, 24 * 60))
        problems.add(text.place, f"'{time}' is no time of day here", "hours go from 00:00 to 24:00")
        return None
    if start == end:
        problems.add(
            text.place, f"'{text.text}' begins when it ends", "for the whole day leave the times out"
        )
        return None
    return Window(_days(match["days"]), start, end, outside=bool(match["no"]))


def _days(text: str | None) -> frozenset[int]:
    found: set[int] = set()
    for part in (text or "mon-sun").split(","):
        first, _, last = part.strip().partition("-")
        start, length = DAYS.index(first), (DAYS.index(last or first) - DAYS.index(first)) % 7
        found |= {(start + step) % 7 for step in range(length + 1)}
    return frozenset(found)


def _minute(text: str) -> int | None:
    hour, minute = map(int, text.split(":"))
    whole = hour * 60 + minute
    return whole if minute < 60 and whole <= 24 * 60 else None
