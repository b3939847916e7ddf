"""Rules of repetition as other clients write them: without an end, or wider than our own subset.

Only the periods around the time asked for are walked, so a rule that never matches costs no more than one that does.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property
from itertools import islice, product

from lockkeep_servers.calendar.adapters.caldav_lines import Malformed
from lockkeep_servers.calendar.adapters.caldav_times import day_text, time_text
from lockkeep_servers.calendar.recurrence import DAYS
from lockkeep_servers.kit.errors import Unsupported

PARTS = frozenset((
    "FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY", "BYHOUR",
    "BYMINUTE", "BYSECOND", "BYSETPOS",
))  # fmt: skip
LENGTHS = {"YEARLY": 366, "MONTHLY": 31, "WEEKLY": 7, "DAILY": 1}  # days, at most
MOST_DAYS = 20_000  # walked to find where a COUNT ends
LAST_YEAR = 9990
MOST_TIMES = 96  # a day
DAY = timedelta(days=1)
Parts = Mapping[str, str]


class Rule:
    """One RRULE, walked period by period.

    Raises:
        Malformed: it cannot be told when it matches.
    """

    def __init__(self, text: str, start: datetime, until: datetime | None) -> None:
        self._start = start
        self._until = until
        self._parts = parts_of(text)
        self._freq = self._parts["FREQ"]
        self._interval = self._numbers("INTERVAL", 1, 9999)[0] if "INTERVAL" in self._parts else 1
        self._count = self._numbers("COUNT", 1, 999_999)[0] if "COUNT" in self._parts else None
        self._week_start = _day_number(self._parts.get("WKST", "MO"))
        back = (start.weekday() - self._week_start) % 7 if self._freq == "WEEKLY" else 0
        self._first_day = datetime.combine(start.date() - timedelta(days=back), time())
        self._places = self._numbers("BYSETPOS", -366, 366)
        self._months = self._numbers("BYMONTH", 1, 12)
        self._tests = list(self._day_tests())
        self._times = self._day_times()

    def between(self, begin: datetime, finish: datetime) -> list[datetime]:
        """Return the wall times from begin to finish."""
        last = min(finish, self._until or finish, self._end or finish)
        return [wall for wall in self._walls(self._first(begin), last) if begin <= wall]

    @cached_property
    def _end(self) -> datetime | None:
        """The last wall time of a COUNT; None without one, or if it is too far away to be counted."""
        if self._count is None:
            return None
        walls = islice(self._walls(0, datetime.max), self._count)
        found = deque(enumerate(walls, start=1), maxlen=1)
        return found[0][1] if found and found[0][0] == self._count else None

    def _walls(self, first: int, finish: datetime) -> Iterator[datetime]:
        most = MOST_DAYS // len(self._days(date(2028, 1, 1)))
        for number in range(first, first + most):
            period = self._period(number)
            if period > finish or period.year > LAST_YEAR:
                return
            yield from (wall for wall in self._of_period(period.date()) if self._start <= wall <= finish)

    def _of_period(self, first: date) -> list[datetime]:
        days = [day for day in self._days(first) if all(test(day) for test in self._tests)]
        walls = [datetime.combine(day, at) for day in days for at in self._times]
        if not self._places:
            return walls
        chosen = {place - 1 if place > 0 else len(walls) + place for place in self._places}
        return [wall for place, wall in enumerate(walls) if place in chosen]

    def _period(self, number: int) -> datetime:
        """Return when the period of that number begins; the first one holds the start. After all time: the last day."""
        start, step = self._start, number * self._interval
        try:
            match self._freq:
                case "YEARLY":
                    return datetime(start.year + step, 1, 1)
                case "MONTHLY":
                    years, month = divmod(start.month - 1 + step, 12)
                    return datetime(start.year + years, month + 1, 1)
                case "WEEKLY":
                    return self._first_day + timedelta(days=7 * step)
                case _:
                    return self._first_day + timedelta(days=step)
        except (ValueError, OverflowError):
            return datetime.max

    def _first(self, begin: datetime) -> int:
        """Return the number of a period that is not after that time, and near it."""
        passed = max(begin - self._start, timedelta()).days
        return max(passed // (LENGTHS[self._freq] * self._interval) - 1, 0)

    def _days(self, first: date) -> list[date]:
        match self._freq:
            case "YEARLY":
                months = sorted(set(self._months)) or range(1, 13)
                return [day for month in months for day in _month(first.replace(month=month))]
            case "MONTHLY":
                return _month(first)
            case "WEEKLY":
                return [first + number * DAY for number in range(7)]
            case _:
                return [first]

    def _day_tests(self) -> Iterator[Callable[[date], bool]]:
        """What a day of a period must be, as RFC 5545 has it; what the rule leaves open comes from its start."""
        parts, start = self._parts, self._start
        month_days = self._numbers("BYMONTHDAY", -31, 31)
        year_days, weeks = self._numbers("BYYEARDAY", -366, 366), self._numbers("BYWEEKNO", -53, 53)
        if not any(part in parts for part in ("BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY")):
            if self._freq == "YEARLY":
                self._months = self._months or [start.month]
            if self._freq in ("YEARLY", "MONTHLY"):
                month_days = [start.day]
            if self._freq == "WEEKLY":
                yield lambda day: day.weekday() == start.weekday()
        if self._months:
            yield lambda day: day.month in self._months
        if month_days:
            yield lambda day: day.day in month_days or day.day - _month_length(day) - 1 in month_days
        if year_days:
            yield (
                lambda day: _year_day(day) in year_days or _year_day(day) - _year_length(day) - 1 in year_days
            )
        if weeks:
            yield lambda day: bool({self._week(day), self._week(day) - self._weeks(day) - 1} & set(weeks))
        if "BYDAY" in parts:
            yield self._weekday_test(parts["BYDAY"].split(","))

    def _weekday_test(self, names: Sequence[str]) -> Callable[[date], bool]:
        wanted = [(_day_number(name[-2:]), _whole(name[:-2] or "0", -53, 53)) for name in names]
        counted = any(number for _, number in wanted)
        in_month = self._freq == "MONTHLY" or "BYMONTH" in self._parts
        if counted and (self._freq not in ("YEARLY", "MONTHLY") or "BYWEEKNO" in self._parts):
            raise Malformed

        def test(day: date) -> bool:
            at, length = (day.day, _month_length(day)) if in_month else (_year_day(day), _year_length(day))
            numbers = (0, (at - 1) // 7 + 1, -((length - at) // 7 + 1))
            return any(day.weekday() == weekday and number in numbers for weekday, number in wanted)

        return test

    def _day_times(self) -> list[time]:
        start = self._start
        hours = self._numbers("BYHOUR", 0, 23) or [start.hour]
        minutes = self._numbers("BYMINUTE", 0, 59) or [start.minute]
        seconds = self._numbers("BYSECOND", 0, 59) or [start.second]
        if len(hours) * len(minutes) * len(seconds) > MOST_TIMES:
            raise Malformed
        return sorted({time(*each) for each in product(hours, minutes, seconds)})

    def _numbers(self, part: str, least: int, most: int) -> list[int]:
        return (
            [_whole(text, least, most) for text in self._parts[part].split(",")]
            if part in self._parts
            else []
        )

    def _week(self, day: date) -> int:
        """Return the number of the week: the first of a year has four days in it at least."""
        middle = self._middle(day)
        return (_year_day(middle) - 1) // 7 + 1

    def _weeks(self, day: date) -> int:
        return self._week(date(self._middle(day).year, 12, 28))

    def _middle(self, day: date) -> date:
        return day + timedelta(days=3 - (day.weekday() - self._week_start) % 7)


@dataclass(frozen=True)
class ForeignRepeats:
    """Answers `Repeats` for the rules and single dates of one series."""

    rules: tuple[str, ...]
    start: datetime  # wall times, as are the dates
    dates: tuple[datetime, ...]
    zone: tzinfo
    all_day: bool

    def between(self, begin: datetime, finish: datetime) -> list[datetime] | None:
        """Return the wall times around these instants, the start always among them; None if that cannot be told."""
        first, last = self._wall(begin) - DAY, self._wall(finish) + DAY
        found = {wall for wall in (self.start, *self.dates) if first <= wall <= last}
        if self._read is None:
            return None if self.start <= last else []
        for rule in self._read:
            found |= set(rule.between(first, last))
        return sorted(found)

    def head(self, at: datetime) -> str:
        parts = {name: value for name, value in self._only_rule().items() if name not in ("COUNT", "UNTIL")}
        before = at - timedelta(seconds=1)
        until = day_text(self._wall(before)) if self.all_day else time_text(before.astimezone(UTC)) + "Z"
        return _text({**parts, "UNTIL": until})

    def rest(self, begins: datetime) -> str:
        parts = dict(self._only_rule())
        if "COUNT" in parts:
            before = self._read[0].between(self.start, begins - timedelta(seconds=1)) if self._read else []
            parts["COUNT"] = str(max(_whole(parts["COUNT"], 1, 999_999) - len(before), 1))
        return _text(parts)

    def _only_rule(self) -> Parts:
        if not self._read or len(self._read) != 1 or self.dates:
            message = "The rule of this series was made elsewhere and cannot be cut in two."
            raise Unsupported(message, hint="Change one occurrence, or all of them.")
        return _named(self.rules[0])

    @property
    def readable(self) -> bool:
        return self._read is not None

    @cached_property
    def _read(self) -> list[Rule] | None:
        """The rules, or None if one of them cannot be read."""
        try:
            return [Rule(text, self.start, until_of(_named(text), self.zone)) for text in self.rules]
        except Malformed:
            return None

    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None)


def parts_of(text: str) -> Parts:
    """Return the parts of a rule that can be walked.

    Raises:
        Malformed: it has others, or one twice.
    """
    parts = _named(text)
    if set(parts) - PARTS or parts.get("FREQ") not in LENGTHS or len(parts) != text.strip(";").count(";") + 1:
        raise Malformed
    return parts


def until_of(parts: Parts, zone: tzinfo) -> datetime | None:
    """Return the last wall time of a rule; None if it has no end of that kind."""
    text = parts.get("UNTIL")
    if text is None:
        return None
    try:
        wall = datetime.strptime(text[:15].rstrip("Z"), "%Y%m%dT%H%M%S" if "T" in text else "%Y%m%d")
        if "T" not in text:
            return datetime.combine(wall, time.max)
        return wall.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) if text.endswith("Z") else wall
    except ValueError:
        raise Malformed from None
    except OverflowError:
        return datetime.max


def _named(text: str) -> Parts:
    pairs = (part.partition("=") for part in text.upper().strip().strip(";").split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _text(parts: Parts) -> str:
    return ";".join(f"{name}={value}" for name, value in parts.items())


def _whole(text: str, least: int, most: int) -> int:
    digits = text.strip().lstrip("+-")
    if not (digits.isascii() and digits.isdigit()) or len(text) > 8 or not least <= int(text) <= most:
        raise Malformed
    return int(text)


def _day_number(name: str) -> int:
    if name not in DAYS:
        raise Malformed
    return DAYS.index(name)


def _month(first: date) -> list[date]:
    return [first + number * DAY for number in range(_month_length(first))]


def _month_length(day: date) -> int:
    following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return (following - DAY).day


def _year_day(day: date) -> int:
    return day.timetuple().tm_yday


def _year_length(day: date) -> int:
    return _year_day(date(day.year, 12, 31))
