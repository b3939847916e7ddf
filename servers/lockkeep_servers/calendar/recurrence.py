"""Rules of repetition: FREQ, INTERVAL, BYDAY, BYMONTHDAY, COUNT or UNTIL, and at most 730 occurrences.

A rule is kept with its COUNT, whatever it was given with, so that a series can be cut by counting.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import lru_cache
from itertools import islice
from typing import Literal
from zoneinfo import ZoneInfo

from dateutil.rrule import DAILY, MONTHLY, WEEKLY, YEARLY, rrule, weekday

from lockkeep_servers.kit.errors import Invalid
from lockkeep_servers.kit.times import FIRST_YEAR, LAST_YEAR

MOST = 730
REMEMBERED = 256  # series; every look at a calendar asks for the same ones again
FREQUENCIES: Mapping[str, Literal[0, 1, 2, 3]] = {
    "DAILY": DAILY,
    "WEEKLY": WEEKLY,
    "MONTHLY": MONTHLY,
    "YEARLY": YEARLY,
}
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
BYDAY = re.compile(r"([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)")
MONTH_DAY = re.compile(r"-?[0-9]{1,2}")
UNTIL = re.compile(r"[0-9]{8}(T[0-9]{6}Z?)?")


@dataclass(frozen=True)
class Rule:
    """A parsed rule without its end."""

    freq: str
    interval: int
    byday: tuple[str, ...]
    bymonthday: tuple[int, ...]

    def text(self, count: int) -> str:
        parts = [f"FREQ={self.freq}"]
        parts += [f"INTERVAL={self.interval}"] if self.interval > 1 else []
        parts += [f"BYDAY={','.join(self.byday)}"] if self.byday else []
        parts += [f"BYMONTHDAY={','.join(map(str, self.bymonthday))}"] if self.bymonthday else []
        return ";".join([*parts, f"COUNT={count}"])


def refuse(problem: str) -> Invalid:
    return Invalid({"rrule": problem})


def settle_rule(text: str, start: datetime, zone: ZoneInfo) -> tuple[str, list[str]]:
    """Return the rule with its COUNT, and a warning if it had no end. `start` is a wall time in that zone."""
    parts = _parts(text)
    rule = _rule(parts)
    until = _until(parts["UNTIL"], zone) if "UNTIL" in parts else None
    count = _whole(parts["COUNT"], "COUNT") if "COUNT" in parts else None
    if until is not None and count is not None:
        raise refuse("takes COUNT or UNTIL, not both")
    walls = _walls(rule, start, until, MOST + 1 if until else min(count or MOST, MOST + 1))
    if not walls or walls[0] != start:
        raise Invalid({"start": "is not a day of the rule"})
    if len(walls) > MOST or (count or 0) > MOST:
        raise refuse(f"has more than {MOST} occurrences")
    if walls[-1].year > LAST_YEAR:
        raise refuse(f"goes on after the year {LAST_YEAR}")
    endless = until is None and count is None
    warnings = [f"The rule had no end; the series stops after {MOST} occurrences."] if endless else []
    return rule.text(len(walls)), warnings


def walls_of(text: str, start: datetime) -> list[datetime]:
    """Return the wall times of a settled rule."""
    return list(_settled(text, start))


@lru_cache(maxsize=REMEMBERED)
def _settled(text: str, start: datetime) -> tuple[datetime, ...]:
    """Rule and start say it all, so what was worked out once stays true."""
    parts = _parts(text)
    return tuple(_walls(_rule(parts), start, None, int(parts["COUNT"])))


def with_count(text: str, count: int) -> str:
    return _rule(_parts(text)).text(count)


def _parts(text: str) -> Mapping[str, str]:
    pairs = [part.partition("=") for part in text.strip().upper().removeprefix("RRULE:").split(";") if part]
    parts = {name: value for name, _, value in pairs}
    if unknown := sorted(set(parts) - {"FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "COUNT", "UNTIL", "WKST"}):
        raise refuse(
            f"may hold FREQ, INTERVAL, BYDAY, BYMONTHDAY, COUNT, UNTIL only; {len(unknown)} other found"
        )
    if len(parts) != len(pairs):
        raise refuse("names a part twice")
    if parts.get("WKST", "MO") != "MO":
        raise refuse("takes weeks that start on Monday only")
    return parts


def _rule(parts: Mapping[str, str]) -> Rule:
    if parts.get("FREQ") not in FREQUENCIES:
        raise refuse(f"needs FREQ, one of {', '.join(FREQUENCIES)}")
    days = tuple(parts["BYDAY"].split(",")) if "BYDAY" in parts else ()
    month_days = tuple(parts["BYMONTHDAY"].split(",")) if "BYMONTHDAY" in parts else ()
    if not all(BYDAY.fullmatch(day) for day in days):
        raise refuse("holds a BYDAY that is no day, such as MO or 2TU")
    if any(len(day) > 2 for day in days) and parts["FREQ"] not in ("MONTHLY", "YEARLY"):
        raise refuse("counts days of the month or year with MONTHLY or YEARLY only")
    if not all(MONTH_DAY.fullmatch(day) and 1 <= abs(int(day)) <= 31 for day in month_days):
        raise refuse("holds a BYMONTHDAY that is not 1 to 31, or -1 to -31")
    interval = _whole(parts.get("INTERVAL", "1"), "INTERVAL")
    return Rule(parts["FREQ"], interval, days, tuple(int(day) for day in month_days))


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:6]) >= 1 and len(text) <= 5):
        raise refuse(f"needs a whole {name}")
    return int(text)


def _until(text: str, zone: ZoneInfo) -> datetime:
    """UNTIL is a day, a wall time, or an instant in UTC; compared as a wall time."""
    if not UNTIL.fullmatch(text):
        raise refuse("needs UNTIL as 20261231 or 20261231T235959Z")
    if not FIRST_YEAR <= int(text[:4]) <= LAST_YEAR:
        raise refuse(f"needs an UNTIL in the years {FIRST_YEAR} to {LAST_YEAR}, or none")
    try:
        if len(text) == 8:
            return datetime.combine(datetime.strptime(text, "%Y%m%d").date(), time.max)
        wall = datetime.strptime(text[:15], "%Y%m%dT%H%M%S")
    except ValueError:
        raise refuse("needs an UNTIL that exists") from None
    return wall.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) if text.endswith("Z") else wall


def _walls(rule: Rule, start: datetime, until: datetime | None, most: int) -> list[datetime]:
    days = [_weekday(day) for day in rule.byday]
    found = rrule(
        FREQUENCIES[rule.freq],
        dtstart=start,
        interval=rule.interval,
        byweekday=days or None,
        bymonthday=rule.bymonthday or None,
        until=until,
    )
    return list(islice(found, most))


def _weekday(text: str) -> weekday:
    number = text[:-2]
    return weekday(DAYS.index(text[-2:]), int(number) if number else None)
