"""Between the vote and the execution the world moves: what was agreed to is run, waits, or is asked again."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import CallToolResult

from house import House, house, said
from lockkeep.ledger.approvals import Voted
from lockkeep.model import Deny, Finding
from shop import Shop

PAY = {"id": "p1", "amount_minor": 50_000, "currency": "EUR"}
RISK = """\
api: lockkeep/v1
policy: pay
owner: lead
applies_to: {everywhere: true}
read:
  thing: shop.read(id)
tools:
  shop.read: {allow: anyone}
  shop.pay:
    allow: anyone
    ask:
      - {name: always, from: [lead]}
      - {name: frozen, when: has(thing.frozen) && thing.frozen, from: [finance]}
"""
LIMITED = """\
api: lockkeep/v1
policy: pay
owner: lead
applies_to: {everywhere: true}
tools:
  shop.write: {allow: anyone}
  shop.pay:
    allow: anyone
    ask: {when: amount > 100 EUR, from: [lead]}
    limit: 1 per hour
"""


async def ask(home: House) -> dict[str, Any]:
    return said(await home.call("shop.pay", PAY))


async def until(home: House, *states: str) -> None:
    with anyio.fail_after(15):
        while home.states() != list(states):
            await anyio.sleep(0.02)


@pytest.mark.promise("P3", "P4")
async def test_a_fact_that_moved_after_the_vote_asks_the_people_it_now_needs(tmp_path: Path) -> None:
    shop = Shop(things={"p1": {"id": "p1", "frozen": False}})
    async with house(tmp_path, shop, rules=RISK) as home:
        asked = await ask(home)
        await home.throw(mode="pause")
        await home.vote(asked["approval_id"], "bo")
        shop.things["p1"]["frozen"] = True
        await home.lift()
        with anyio.fail_after(5):
            while (
                len(home.store.read.all("approvals_list", state="pending", count=9)) != 1
                or home.states() == []
            ):
                await anyio.sleep(0.02)
            while home.store.read.all("approvals_list", state="approved", count=9):
                await anyio.sleep(0.02)
        newest, oldest = home.store.read.all("approvals_list", state=None, count=9)

        assert (newest["state"], oldest["state"], shop.effects) == ("pending", "void", [])


@pytest.mark.promise("P2")
async def test_a_call_that_waited_for_hours_is_still_known_when_it_has_just_run(tmp_path: Path) -> None:
    async with house(tmp_path, rules=LIMITED.replace("    limit: 1 per hour\n", "")) as home:
        asked = await ask(home)
        home.clock.ahead = timedelta(hours=3)
        await home.vote(asked["approval_id"], "bo")
        await until(home, "succeeded")
        again = await home.call("shop.pay", PAY)

        assert said(again) == {"applied": True, "id": "p1"}
        assert (home.states(), len(home.shop.effects)) == (["succeeded"], 1)


@pytest.mark.promise("P2")
async def test_a_success_is_known_whatever_failed_beside_it(tmp_path: Path) -> None:
    async with house(tmp_path, rules=LIMITED) as home:
        await home.call("shop.write", {"id": "t1", "text": "x"})
        await home.store.write(_a_failed_twin)
        await home.call("shop.write", {"id": "t1", "text": "x"})

        assert len(home.shop.effects) == 1


def _a_failed_twin(tx: Any) -> None:
    """A second row of the same call, asked a moment later, that is known not to have happened."""
    columns = [
        row[1] for row in tx._db.execute("PRAGMA table_info(calls)") if row[1] not in ("id", "state", "at")
    ]
    names = ", ".join(columns)
    tx._db.execute(
        f"INSERT INTO calls (id, state, at, {names}) SELECT 'call_twin', 'failed', at || '9', {names} FROM calls"
    )


async def test_what_was_parked_counts_in_its_limit_from_when_it_runs(tmp_path: Path) -> None:
    async with house(tmp_path, rules=LIMITED.replace("8 hours", "9 hours")) as home:
        asked = await ask(home)
        home.clock.ahead = timedelta(hours=3)
        held = said(await home.call("shop.pay", {**PAY, "id": "p2", "amount_minor": 100}))
        await home.vote(asked["approval_id"], "bo")
        await until(home, "succeeded", "denied")
        after = said(await home.call("shop.pay", {**PAY, "id": "p3", "amount_minor": 100}))

        assert (held["code"], after["code"]) == ("policy.limit", "policy.limit")
        assert len(home.shop.effects) == 1


async def test_who_agreed_may_still_say_no_until_it_runs(tmp_path: Path) -> None:
    async with house(tmp_path, rules=LIMITED) as home:
        asked = await ask(home)
        await home.throw(mode="pause")
        await home.vote(asked["approval_id"], "bo")

        assert await home.vote(asked["approval_id"], "bo", "deny") == Voted("denied")
        await home.lift()
        await until(home, "denied")
        assert home.shop.effects == []


@pytest.mark.promise("P3", "P6")
async def test_an_agreed_call_outlasts_a_passing_failure_of_what_the_rules_read(tmp_path: Path) -> None:
    shop = Shop()
    broken = [False]

    async def sometimes(tool: str, _arguments: Mapping[str, Any]) -> CallToolResult | None:
        if tool == "read" and broken[0]:
            raise ConnectionResetError
        return None

    shop.behave = sometimes
    async with house(tmp_path, shop, rules=RISK) as home:
        asked = await ask(home)
        broken[0] = True
        await home.vote(asked["approval_id"], "bo")
        await anyio.sleep(0.5)
        waiting = home.states()
        broken[0] = False
        await until(home, "succeeded")

        assert (waiting, len(shop.effects)) == (["pending_approval"], 1)


@pytest.mark.promise("P6")
async def test_arguments_that_would_hold_up_others_are_refused_and_not_kept(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        large = await home.call("shop.write", {"id": "t1", "text": "x" * 300_000})
        named = await home.call("shop.write", {"k" * 100_000: 2**60})

        assert (said(large)["code"], said(named)["code"]) == ("arguments.invalid", "arguments.not_canonical")
        assert max(len(str(record)) for record in home.audit()) < 5_000


@pytest.mark.promise("P6")
async def test_a_later_no_of_a_gate_leaves_an_agreed_call_parked(tmp_path: Path) -> None:
    async with house(tmp_path, rules=LIMITED) as home:
        asked = await ask(home)
        original = home.gateway.pipeline.gates["arguments"]

        async def later(_call: Any) -> Finding:
            return Finding("arguments", Deny("integration_down", "It is down.", retry="later"))

        home.gateway.pipeline.gates["arguments"] = later  # pyright: ignore[reportIndexIssue]
        await home.vote(asked["approval_id"], "bo")
        await anyio.sleep(0.4)
        waiting = home.states()
        home.gateway.pipeline.gates["arguments"] = original  # pyright: ignore[reportIndexIssue]
        await until(home, "succeeded")

        assert waiting == ["pending_approval"]
