"""Limits of money and of fields: summed, reserved in the claim, counted for parked calls, exact under concurrency (P2)."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from house import HEAD, House, house, said

LIMIT = (
    HEAD
    + """\
values:
  daily: {{EUR: 100, USD: 110}}
tools:
  shop.read: {{allow: [staff]}}
  shop.pay:
    allow: [staff]
    limit: {limit}
"""
)


def rules(limit: str) -> str:
    return LIMIT.format(limit=limit)


def pay(number: int, euros: int, currency: str = "EUR") -> dict[str, Any]:
    return {"id": f"p{number}", "amount_minor": euros * 100, "currency": currency}


async def outcome(home: House, arguments: dict[str, Any]) -> str:
    facts = said(await home.call("shop.pay", arguments))
    return "done" if facts.get("applied") else facts.get("code", facts["status"])


async def test_money_is_summed_for_each_currency_of_the_table(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules("daily per day")) as home:
        wanted = ((1, 60, "EUR"), (2, 50, "EUR"), (3, 40, "EUR"), (4, 110, "USD"), (5, 1, "USD"))
        found = [await outcome(home, pay(*each)) for each in wanted]

    assert found == ["done", "policy.limit", "done", "done", "policy.limit"]


async def test_a_currency_without_an_entry_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules("daily per day")) as home:
        facts = said(await home.call("shop.pay", pay(1, 1, "GBP")))

    assert (facts["code"], "no entry for GBP" in facts["reason"]) == ("policy.error", True)
    assert home.shop.effects == []


async def test_a_call_over_the_limit_by_itself_is_told_to_ask_for_less(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules("100 EUR per day")) as home:
        facts = said(await home.call("shop.pay", pay(1, 101)))

    assert (facts["code"], facts["retry"]) == ("policy.limit", "changed")


async def test_a_sum_of_a_field_counts_that_field(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules("1000 of amount_minor per hour per id")) as home:
        found = [await outcome(home, pay(*each)) for each in ((1, 6), (1, 5), (2, 10), (1, 4))]

    assert found == ["done", "policy.limit", "done", "done"]


async def test_what_failed_gives_its_money_back_and_a_negative_amount_gives_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules("100 EUR per day")) as home:
        found = [await outcome(home, pay(*each)) for each in ((1, 100), (2, -500), (3, 1))]

    assert found == ["done", "done", "policy.limit"]


@pytest.mark.promise("P2")
async def test_forty_calls_at_once_never_pass_a_limit_of_money(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules("100 EUR per day")) as home:
        found: list[str] = []

        async def one(number: int) -> None:
            found.append(await outcome(home, pay(number, 7)))

        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(one, number)

    spent = sum(arguments["amount_minor"] for _, arguments in home.shop.effects)
    assert (spent, found.count("done"), set(found)) == (9800, 14, {"done", "policy.limit"})


ASKS = "{up_to: 100 EUR per day, ask: {from: [lead]}}"


async def test_a_full_limit_may_ask_people_and_what_they_let_pass_counts(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules(ASKS)) as home:
        assert await outcome(home, pay(1, 90)) == "done"
        parked = said(await home.call("shop.pay", pay(2, 20)))
        assert (parked["status"], parked["reason"]) == (
            "pending_approval",
            "The limit is reached: 100 EUR per day.",
        )
        await home.vote(parked["approval_id"], "cy")
        facts = said(
            await home.call("lockkeep.wait", {"approval_id": parked["approval_id"], "max_wait_s": 10})
        )
        after = said(await home.call("shop.pay", pay(3, 1)))

    assert facts["applied"] is True
    assert after["status"] == "pending_approval"
    assert [arguments["id"] for _, arguments in home.shop.effects] == ["p1", "p2"]


async def test_a_limit_that_asks_never_lets_concurrent_calls_pass_unasked(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules(ASKS)) as home:
        found: list[str] = []

        async def one(number: int) -> None:
            found.append(await outcome(home, pay(number, 30)))

        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(one, number)

    assert (found.count("done"), set(found)) == (3, {"done", "pending_approval"})


async def test_a_full_limit_may_hand_the_case_to_people(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules("{up_to: 1 per day, people: [finance]}")) as home:
        found = [said(await home.call("shop.pay", pay(number, 1))) for number in (1, 2)]

    assert (found[0]["applied"], found[1]["status"], found[1]["to"]) == (True, "diverted", ["finance"])
