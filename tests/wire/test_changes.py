"""`change`: a value is cut to a maximum, judged again as it is sent, recorded, and made once (P3)."""

from pathlib import Path
from typing import Any

import pytest

from house import ALLOW_ALL, HEAD, house, said

CHANGE = (
    HEAD
    + """\
values:
  most: {{EUR: 50, USD: 55}}
tools:
  shop.read: {{allow: [staff]}}
  shop.pay:
    allow: [staff]
    change: {{amount: at_most {most}}}
{more}"""
)


def rules(most: str = "50 EUR", more: str = "") -> str:
    return CHANGE.format(most=most, more=more)


def pay(euros: int, currency: str = "EUR") -> dict[str, Any]:
    return {"id": "p1", "amount_minor": euros * 100, "currency": currency}


@pytest.mark.parametrize(("euros", "sent"), [(10, 1000), (50, 5000), (51, 5000), (9000, 5000)])
async def test_what_is_over_the_maximum_is_sent_as_the_maximum(tmp_path: Path, euros: int, sent: int) -> None:
    async with house(tmp_path, rules=rules()) as home:
        await home.call("shop.pay", pay(euros))

    assert [arguments["amount_minor"] for _, arguments in home.shop.effects] == [sent]


async def test_a_table_cuts_each_currency_to_its_own_entry(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules("most")) as home:
        await home.call("shop.pay", pay(900, "USD"))
        refused = said(await home.call("shop.pay", pay(900, "GBP")))

    assert [arguments["amount_minor"] for _, arguments in home.shop.effects] == [5500]
    assert refused["code"] == "policy.error"


async def test_what_is_sent_is_judged_as_it_is_sent(tmp_path: Path) -> None:
    more = "    ask:\n      - {when: amount > 60 EUR, from: [lead]}\n    deny:\n      - {when: amount == 50 EUR}\n"
    async with house(tmp_path, rules=rules(more=more)) as home:
        facts = said(await home.call("shop.pay", pay(40)))
        refused = said(await home.call("shop.pay", pay(55)))

    assert facts["applied"] is True
    assert refused["rule"] == "shop/shop.pay/deny-1"
    assert len(home.shop.effects) == 1


@pytest.mark.promise("P3")
async def test_people_agree_to_the_cut_amount_and_that_is_what_runs(tmp_path: Path) -> None:
    more = "    ask: {from: [lead]}\n"
    async with house(tmp_path, rules=rules(more=more)) as home:
        parked = said(await home.call("shop.pay", pay(700)))
        await home.vote(parked["approval_id"], "cy")
        await home.call("lockkeep.wait", {"approval_id": parked["approval_id"], "max_wait_s": 10})

    assert [arguments["amount_minor"] for _, arguments in home.shop.effects] == [5000]


async def test_a_repeat_gets_the_first_outcome_and_is_not_cut_again(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules()) as home:
        await home.call("shop.pay", pay(700))
        await home.rules(rules=rules("10 EUR"))
        again = await home.call("shop.pay", pay(700))

    assert again.meta is not None
    assert again.meta["lockkeep/call"]["deduplicated"] is True
    assert len(home.shop.effects) == 1


async def test_a_change_that_only_observes_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, rules=rules()) as home:
        await home.rules(rules=rules().replace("values:", "mode: observe\nvalues:").replace("policy: shop", "policy: watch"), more=ALLOW_ALL)  # fmt: skip
        await home.call("shop.pay", pay(700))

    assert [arguments["amount_minor"] for _, arguments in home.shop.effects] == [70000]
