"""When a ticket is due: by its priority, from its creation. Waiting for somebody does not stop the clock.

Without a priority, nobody has promised anything yet.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

HOURS: Mapping[str, tuple[int, int]] = {  # until the first reply, until it is solved
    "low": (24, 120),
    "normal": (8, 72),
    "high": (4, 24),
    "urgent": (1, 8),
}


def due_times(priority: str | None, created: datetime) -> tuple[datetime, datetime] | None:
    """Return when the first reply and the solution are due."""
    if priority is None:
        return None
    reply, solve = HOURS[priority]
    return created + timedelta(hours=reply), created + timedelta(hours=solve)
