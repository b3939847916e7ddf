"""`hours`, `until`, `mode`: when a rule speaks, and rules that only watch (P1)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from house import House, house, said

RULES = """\
api: lockkeep/v1
policy: pay
owner: lead
applies_to: {{everywhere: true}}
{top}tools:
  shop.read: {{allow: anyone}}
  shop.pay:
{block}
"""
PAY = {"id": "p1", "amount_minor": 500, "currency": "EUR"}
FRIDAY = datetime(2027, 1, 8, 12, tzinfo=UTC)


def rules(block: str, top: str = "") -> str:
    lines = "\n".join(f"    {line}" for line in block.splitlines())
    return RULES.format(block=lines, top=top)


async def at(home: House, when: datetime, thing: str = "p1") -> dict[str, Any]:
    home.clock.ahead = timedelta()
    home.clock.ahead = when - home.clock()
    return said(await home.call("shop.pay", {**PAY, "id": thing}))


async def test_an_allow_holds_in_its_hours_and_says_when_it_next_does(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules("allow: {roles: [staff], hours: mon-fri 08:00-18:00}")) as home:
        fine = await at(home, FRIDAY)
        closed = await at(home, FRIDAY + timedelta(hours=8), "p2")

    assert fine["applied"] is True
    assert (closed["code"], closed["retry"]) == ("policy.not_allowed", "after:2027-01-11T08:00:00+00:00")


async def test_a_deny_of_hours_says_when_it_is_over(tmp_path: Path) -> None:
    block = "allow: anyone\ndeny:\n  - {name: weekend, hours: sat-sun, say: Closed at the weekend.}"
    async with house(tmp_path, rules=rules(block)) as home:
        closed = await at(home, FRIDAY + timedelta(days=1))
        fine = await at(home, FRIDAY + timedelta(days=3), "p2")

    assert (closed["reason"], closed["retry"]) == (
        "Closed at the weekend.",
        "after:2027-01-11T00:00:00+00:00",
    )
    assert fine["applied"] is True


async def test_the_last_day_in_force_is_the_last(tmp_path: Path) -> None:
    block = "allow: anyone\nask:\n  - {name: sale, until: 2027-01-08, from: [lead]}"
    async with house(tmp_path, rules=rules(block)) as home:
        asked = await at(home, FRIDAY + timedelta(hours=11))
        fine = await at(home, FRIDAY + timedelta(hours=13), "p2")

    assert asked["status"] == "pending_approval"
    assert fine["applied"] is True


@pytest.mark.promise("P1")
@pytest.mark.parametrize("mode", ["observe", "off"])
@pytest.mark.parametrize("where", ["file", "block", "entry"])
async def test_an_allow_that_does_not_enforce_permits_nothing(tmp_path: Path, mode: str, where: str) -> None:
    block = {
        "file": "allow: anyone",
        "block": f"mode: {mode}\nallow: anyone",
        "entry": f"allow: {{roles: [staff], mode: {mode}}}",
    }
    top = f"mode: {mode}\n" if where == "file" else ""
    async with house(tmp_path, rules=rules(block[where], top)) as home:
        facts = said(await home.call("shop.pay", PAY))

    assert facts["code"] == "policy.not_allowed"
    assert home.shop.effects == []


async def test_what_an_observing_rule_would_have_said_is_on_record_and_decides_nothing(
    tmp_path: Path,
) -> None:
    block = (
        "allow: anyone\ndeny:\n  - {name: d1, when: amount > 1 EUR, mode: observe}\nask:\n"
        "  - {name: a1, mode: observe, from: [lead]}\npeople:\n  - {name: p1, mode: observe, to: [lead]}\n"
        "limit:\n  - {name: l1, mode: observe, up_to: 0 per day}"
    )
    async with house(tmp_path, rules=rules(block)) as home:
        facts = said(await home.call("shop.pay", PAY))
        claimed = next(each for each in home.audit() if each["type"] == "call.claimed")

    assert facts["applied"] is True
    observed = next(each["observed"] for each in claimed["verdicts"] if each["gate"] == "policy")
    assert observed == [f"{kind} pay/shop.pay/{kind[0]}1" for kind in ("ask", "deny", "limit", "people")]


async def test_an_observing_rule_that_cannot_be_judged_denies_nobody(tmp_path: Path) -> None:
    block = "allow: anyone\ndeny:\n  - {name: d1, when: amount > 1 USD, mode: observe}"
    async with house(tmp_path, rules=rules(block)) as home:
        facts = said(await home.call("shop.pay", PAY))

    assert facts["applied"] is True


async def test_an_allow_that_names_only_hours_is_for_everybody_in_them(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules("allow: {hours: mon-fri 08:00-18:00}")) as home:
        fine = await at(home, FRIDAY)
        closed = await at(home, FRIDAY + timedelta(days=1), "p2")

    assert (fine["applied"], closed["code"]) == (True, "policy.not_allowed")
