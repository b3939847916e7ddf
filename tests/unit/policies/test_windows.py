"""Since when calls count against a limit, and who shares it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.unit.policies.room import call, decide, policy, rules

from lockkeep.model import Deny, Share
from lockkeep.policy.windows import window

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "seconds"), [("minute", 60), ("hour", 3600), ("24 hours", 86400), ("7 days", 604800)]
)
def test_some_windows_slide(name: str, seconds: int) -> None:
    assert window(name, NOW, BERLIN) == (NOW - timedelta(seconds=seconds), float(seconds), None)


@pytest.mark.parametrize(
    ("name", "now", "since", "ends"),
    [
        ("day", "2026-11-20T22:59:59Z", "2026-11-20T00:00:00+01:00", "2026-11-21T00:00:00+01:00"),
        ("day", "2026-11-20T23:00:00Z", "2026-11-21T00:00:00+01:00", "2026-11-22T00:00:00+01:00"),
        (
            "day",
            "2026-10-25T12:00:00Z",
            "2026-10-25T00:00:00+02:00",
            "2026-10-26T00:00:00+01:00",
        ),  # 25 hours long
        ("day", "2026-03-29T12:00:00Z", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        ("week", "2026-11-22T22:00:00Z", "2026-11-16T00:00:00+01:00", "2026-11-23T00:00:00+01:00"),
        ("week", "2026-11-22T23:00:00Z", "2026-11-23T00:00:00+01:00", "2026-11-30T00:00:00+01:00"),
        ("month", "2026-12-31T12:00:00Z", "2026-12-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"),
        ("month", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00+01:00", "2028-03-01T00:00:00+01:00"),
        ("month", "2026-10-31T12:00:00Z", "2026-10-01T00:00:00+02:00", "2026-11-01T00:00:00+01:00"),
    ],
)
def test_others_follow_the_calendar_of_the_gateway(name: str, now: str, since: str, ends: str) -> None:
    start, slides, end = window(name, datetime.fromisoformat(now), BERLIN)
    assert (start.isoformat(), slides, end and end.isoformat()) == (since, None, ends)


def test_a_day_begins_at_the_first_of_two_midnights() -> None:
    havana = ZoneInfo("America/Havana")  # 1:00 becomes 0:00 on that night
    start, _, _ = window("day", datetime(2026, 11, 1, 5, 30, tzinfo=UTC), havana)
    assert start.astimezone(UTC) == datetime(2026, 11, 1, 4, tzinfo=UTC)


def limited(text: str) -> Any:
    return rules(policy(f"crm.assign:\n  allow: anyone\n  limit: {text}"))


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ("", "[]"), ("per user", '["ana"]'), ("per agent per user", '["desk", "ana"]'), ("per tool", '["crm.assign"]'),
        ("per subject", '["l"]'), ("per owner", '["o"]'), ("per owner per id", '["o", "l"]'),
    ],
)  # fmt: skip
async def test_a_limit_is_counted_for_each_value_of_its_keys(keys: str, key: str) -> None:
    text = f"5 per hour {keys}".strip()
    current = limited(text)
    decision = await decide(current, call(current, "crm.assign", kind="lead", id="l", owner="o", now=NOW))
    assert decision.basis.shares == (
        Share(rule="desk/crm.assign/limit-1", key=key, most=5, since=NOW - timedelta(hours=1), window=3600.0, text=text),
    )  # fmt: skip


@pytest.mark.parametrize("key", ["run", "why", "workflow"])
async def test_a_limit_per_something_the_call_does_not_have_denies(key: str) -> None:
    current = limited(f"5 per hour per {key}")
    said = (await decide(current, call(current, "crm.assign", kind="lead", id="l", owner="o"))).verdict
    assert isinstance(said, Deny)
    assert (said.code, said.rule) == ("policy.error", "desk/crm.assign/limit-1")


async def test_every_limit_that_fires_takes_a_share_and_a_denied_call_takes_none() -> None:
    current = limited(
        '[5 per hour, {up_to: 3 per day, when: kind == "deal"}]\n  deny: [{when: owner == "x"}]'
    )

    async def shares(**arguments: Any) -> list[int]:
        given: dict[str, Any] = {"kind": "lead", "id": "l", "owner": "o", **arguments}
        wanted = call(current, "crm.assign", **given)
        return [share.most for share in (await decide(current, wanted)).basis.shares]

    assert await shares() == [5]
    assert await shares(kind="deal") == [5, 3]
    assert await shares(kind="deal", owner="x") == []
