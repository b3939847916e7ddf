"""The windows of limits: some slide, some follow the gateway's calendar."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

SLIDING = {"minute": 60.0, "hour": 3600.0, "24 hours": 86400.0, "7 days": 604800.0}
BACK = {name: timedelta(seconds=seconds) for name, seconds in SLIDING.items()}


def window(name: str, now: datetime, zone: ZoneInfo) -> tuple[datetime, float | None, datetime | None]:
    """Since when calls count; how long it slides, or when the calendar's window ends."""
    if name in SLIDING:
        return now - BACK[name], SLIDING[name], None
    start = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if name == "week":
        start -= timedelta(days=start.weekday())
        return start, None, start + timedelta(days=7)
    if name == "month":
        start = start.replace(day=1)
        return start, None, (start + timedelta(days=32)).replace(day=1)
    return start, None, start + timedelta(days=1)
