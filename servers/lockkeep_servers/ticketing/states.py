"""Which status follows which. Closed is final; nothing is ever new again."""

from collections.abc import Mapping

NEXT: Mapping[str, tuple[str, ...]] = {
    "new": ("open",),
    "open": ("pending", "hold", "solved"),
    "pending": ("open", "solved"),
    "hold": ("open", "solved"),
    "solved": ("open", "closed"),
    "closed": (),
}


def allowed(status: str) -> list[str]:
    """Return the statuses a ticket may move to now."""
    return list(NEXT[status])


def landing(before: str, after: str) -> str | None:
    """Return where taking a step back ends: where it began if there is such a step, else open; None if nowhere."""
    if after == "closed":
        return None
    return before if before in NEXT[after] else "open"
