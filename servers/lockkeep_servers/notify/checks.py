"""What the mailroom will not queue, whoever asks: checks on values, before any effect."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from lockkeep_servers.kit.errors import CheckFailed, Invalid
from lockkeep_servers.kit.times import localise
from lockkeep_servers.notify.port import SCHEDULE_DAYS

LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def address_key(address: str) -> str:
    """Return the address as it is compared."""
    return address.strip().casefold()


def usable_address(address: str) -> str:
    """Return the address as it is written to, or refuse it: one address, ASCII, no display name."""
    bare = address.strip()
    local, at, domain = bare.rpartition("@")
    labels = domain.lower().split(".")
    if (
        not at
        or len(bare) > 254
        or len(local) > 64
        or not LOCAL.fullmatch(local)
        or len(labels) < 2
        or not all(LABEL.fullmatch(label) for label in labels)
    ):
        raise Invalid({"to": "is not one e-mail address"})
    return bare


def due(now: datetime, hold_s: int, schedule_at: datetime | None) -> datetime:
    """Return when the message may go: never before its hold is over."""
    held = now + timedelta(seconds=hold_s)
    if schedule_at is None:
        return _whole(held)
    if schedule_at <= now:
        raise Invalid({"schedule_at": "is over; leave it out to send now"})
    if schedule_at > now + timedelta(days=SCHEDULE_DAYS):
        raise Invalid({"schedule_at": f"may be {SCHEDULE_DAYS} days ahead at most"})
    return _whole(max(held, schedule_at.astimezone(UTC)))


def _whole(moment: datetime) -> datetime:
    """Times are stored to the second; rounding down would cut the hold short."""
    return moment if moment.microsecond == 0 else moment.replace(microsecond=0) + timedelta(seconds=1)


def not_suppressed(suppressed: object) -> None:
    if suppressed is not None:
        raise CheckFailed(
            "not_suppressed",
            "This address does not want to be written to, or cannot be.",
            hint="Do not write to it. Ask a person how to reach them.",
            field="to",
        )


def not_quiet_hours(recipient: Mapping[str, Any] | None, due: datetime) -> None:
    """The recipient is not asleep when the message goes."""
    allowed = quiet_until(recipient, due)
    if allowed is not None:
        raise CheckFailed(
            "not_quiet_hours",
            "It would arrive in the recipient's quiet hours.",
            hint=f"Schedule it for {allowed.isoformat()} or later.",
            field="schedule_at",
            next_allowed=allowed.isoformat(),
        )


def quiet_until(recipient: Mapping[str, Any] | None, moment: datetime) -> datetime | None:
    """Return when the quiet hours end that this moment lies in; None outside of them, or if none are known."""
    if recipient is None or recipient["tz"] is None:
        return None
    zone = ZoneInfo(recipient["tz"])
    begin, end = time.fromisoformat(recipient["quiet_from"]), time.fromisoformat(recipient["quiet_to"])
    local = moment.astimezone(zone)
    clock = local.time()
    quiet = begin <= clock < end if begin <= end else clock >= begin or clock < end
    if not quiet:
        return None
    day = local.date() if clock < end else local.date() + timedelta(days=1)
    return localise(datetime.combine(day, end), zone)


def vars_complete(missing: Sequence[str]) -> None:
    if missing:
        raise CheckFailed(
            "vars_complete",
            "The template needs variables that are not given.",
            hint="Give every one of details.missing.",
            missing=list(missing),
        )
