"""First days: a whole gateway observes, by two people and until a date; money and worse are governed as ever (P1)."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from house import ALLOW_ALL, House, house, said
from lockkeep.app import utc_now
from lockkeep.ledger import generations

STRICT = ALLOW_ALL.replace(
    "shop.*: {allow: [staff, lead, finance]}",
    """\
shop.write:
    allow: [lead]
    deny: [{name: no-texts, when: size(text) > 1}]""",
)
WRITE = {"id": "p1", "text": "hello"}
PAY = {"id": "p1", "amount_minor": 500, "currency": "EUR"}


async def observe(home: House, days: int) -> None:
    current = generations.current(home.store.read)
    assert current is not None
    until = (utc_now() + timedelta(days=days)).date()
    await home.store.write(
        lambda tx: generations.activate(
            tx,
            current.files,
            after=current.id,
            by="olga, bo",
            reason="first days",
            now=utc_now(),
            observe_until=until,
        )
    )


async def observed(home: House) -> dict[str, Any]:
    claimed = [each for each in home.audit() if each["type"] == "call.claimed"][-1]
    return next(each for each in claimed["verdicts"] if each["gate"] == "policy")


@pytest.mark.promise("P1")
async def test_reads_notes_and_writes_pass_by_one_rule_and_the_others_say_what_they_would_have(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, rules=STRICT) as home:
        before = said(await home.call("shop.write", WRITE))
        await observe(home, 7)
        after = said(await home.call("shop.write", WRITE))
        gate = await observed(home)

    assert (before["code"], after["applied"]) == ("policy.not_allowed", True)
    assert gate["rules"] == ["gateway/observe"]
    assert gate["observed"] == ["deny shop/shop.write/no-texts"]


@pytest.mark.promise("P1")
async def test_money_switches_arguments_and_unknown_tools_are_refused_as_ever(tmp_path: Path) -> None:
    async with house(tmp_path, rules=STRICT) as home:
        await observe(home, 7)
        money = said(await home.call("shop.pay", PAY))
        wrong = said(await home.call("shop.write", {**WRITE, "more": 1}))
        await home.throw()
        stopped = said(await home.call("shop.write", WRITE))

    assert [each["code"] for each in (money, wrong, stopped)] == [
        "policy.not_allowed",
        "arguments.invalid",
        "switch.killed",
    ]
    assert home.shop.effects == []


async def test_after_its_last_day_all_of_it_is_enforced_again(tmp_path: Path) -> None:
    async with house(tmp_path, rules=STRICT) as home:
        await observe(home, 2)
        home.clock.ahead = timedelta(days=3)
        facts = said(await home.call("shop.write", WRITE))

    assert facts["code"] == "policy.not_allowed"


async def test_a_list_of_tools_shows_what_may_be_used_while_it_observes(tmp_path: Path) -> None:
    async with house(tmp_path, rules=STRICT) as home:
        await observe(home, 7)
        await home.call("shop.read", {"id": "p1"})
        async with home.client() as client:
            names = {tool.name for tool in (await client.list_tools()).tools}

    assert names == {"shop_read", "shop_write", "shop_blunt", "lockkeep_wait", "lockkeep_status"}
