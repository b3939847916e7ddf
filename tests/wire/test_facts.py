"""What the gateway read for a call: put once, on record with its time, and never waited for by who only watches (P1, P6)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from house import House, house, said
from shop import Shop

RULES = """\
api: lockkeep/v1
policy: desk
owner: lead
applies_to: {everywhere: true}
read:
  thing: {call: shop.read(id), timeout: 2s}
tools:
  shop.write:
    allow: anyone
    deny:
      - {name: frozen, when: "has(thing.frozen) && thing.frozen"}
      - {name: poor, mode: observe, when: "has(thing.value) && thing.value < 1 EUR"}
"""
WATCHING = RULES.replace("{name: frozen,", "{name: frozen, mode: observe,")
CUT = """\
api: lockkeep/v1
policy: desk
owner: lead
applies_to: {everywhere: true}
read:
  thing: shop.read(id)
tools:
  shop.pay:
    allow: anyone
    deny: {name: frozen, when: "has(thing.frozen) && thing.frozen"}
    change: {amount: at_most 5 EUR}
"""
THING = {"id": "t1", "frozen": False, "value_minor": 50, "currency": "EUR"}
WRITE = {"id": "t1", "text": "x"}
PAY = {"id": "t1", "amount_minor": 900, "currency": "EUR"}
WATCHED_CUT = """\
api: lockkeep/v1
policy: desk
owner: lead
applies_to: {everywhere: true}
tools:
  shop.pay:
    allow: anyone
  shop.p*:
    mode: observe
    change: {amount: at_most 5 EUR}
"""


async def record(home: House, event: str) -> dict[str, Any]:
    """The newest audit record of this kind, waited for: what only watches comes after the answer."""
    with anyio.fail_after(5):
        while not (found := [each for each in home.audit() if each["type"] == event]):
            await anyio.sleep(0.01)
    return found[-1]


def of_policy(found: dict[str, Any]) -> dict[str, Any]:
    return next(each for each in found["verdicts"] if each["gate"] == "policy")


async def test_every_question_is_on_record_with_who_put_it_and_how_long_it_took(tmp_path: Path) -> None:
    async with house(tmp_path, Shop(things={"t1": THING}), rules=RULES) as home:
        await home.call("shop.write", WRITE)
        said_of = of_policy(await record(home, "call.claimed"))

    (asked,) = said_of["looked_up"]
    assert (asked["tool"], asked["for"]) == ("shop.read", ["desk/thing"])
    assert asked["ms"] >= 0
    assert said_of["observed"] == ["deny desk/shop.write/poor"]  # its fact was read anyway


async def test_a_question_without_an_answer_says_so(tmp_path: Path) -> None:
    async with house(tmp_path, Shop(), rules=RULES) as home:
        await home.call("shop.write", WRITE)
        home.shop.behave = hang
        await home.call("shop.write", {**WRITE, "id": "t2"})
        said_of = of_policy(await record(home, "call.denied"))

    assert said_of["looked_up"][0]["failed"] == "no answer in 2 seconds"


@pytest.mark.promise("P1")
async def test_a_call_does_not_wait_for_what_only_observing_rules_want_to_know(tmp_path: Path) -> None:
    shop, answered = Shop(things={"t1": THING}), anyio.Event()

    async def late(name: str, _arguments: Mapping[str, Any]) -> None:
        if name == "read":
            await answered.wait()

    shop.behave = late
    async with house(tmp_path, shop, rules=WATCHING) as home:
        facts = said(await home.call("shop.write", WRITE))
        answered.set()
        seen = await record(home, "call.observed")

    assert facts["applied"] is True
    assert seen["observed"] == ["deny desk/shop.write/poor"]
    assert seen["looked_up"][0]["tool"] == "shop.read"


async def test_a_cut_call_is_judged_twice_and_asks_once(tmp_path: Path) -> None:
    shop = Shop(things={"t1": THING})
    async with house(tmp_path, shop, rules=CUT) as home:
        facts = said(await home.call("shop.pay", PAY))
        asked = of_policy(await record(home, "call.claimed"))["looked_up"]

    assert (facts["applied"], len(asked)) == (True, 1)
    assert shop.reads == ["t1"]


async def test_a_cut_that_only_observes_is_on_record_and_changes_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, rules=WATCHED_CUT) as home:
        await home.call("shop.pay", PAY)
        said_of = of_policy(await record(home, "call.claimed"))

    assert home.shop.effects[-1][1]["amount_minor"] == 900
    assert said_of["observed"] == ["change desk/shop.p*/change-amount"]


async def hang(name: str, _arguments: Mapping[str, Any]) -> None:
    if name == "read":
        await anyio.sleep(20)
