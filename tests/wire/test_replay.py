"""Y13: under the same rules, a replay says of every recorded call what the live gateway said. No socket, no writing (P6)."""

import json
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from house import House, house, said, send
from lockkeep.cli.replay import court, replay_calls, rules_then
from lockkeep.errors import StoreUnavailable
from lockkeep.ledger import generations, history
from lockkeep.policy.bundle import PolicySet, load
from lockkeep.policy.replay import Again, Replay
from lockkeep.store import Tx, reading
from shop import Shop, error

RULES = """\
api: lockkeep/v1
policy: till
owner: lead
applies_to: {agents: [robot]}
values:
  large: {EUR: 100, USD: 110}
read:
  thing: shop.read(id)
  vault: shop.read(id=thing.owner)
tools:
  shop.read:
    allow: anyone
  shop.write:
    allow: [staff, lead]
    deny:
      - {name: frozen, when: "default(thing.frozen, false)", say: "{id} is frozen.", fix: Take another.}
      - {name: no-shouting, when: 'text == "LOUD"'}
    people:
      - {when: 'text == "hard"', to: [finance]}
    limit: [20 per hour per agent, {name: one-thing, up_to: 3 per hour per id, ask: {from: [finance]}}]
  shop.pay:
    allow: {roles: [staff]}
    deny:
      - {name: not-enough, when: "has(thing.value) && amount > thing.value"}
      - {name: sealed, when: "amount < 0 EUR && default(vault.frozen, false)"}
    ask:
      - {name: large, when: amount > large, from: [lead]}
      - {name: nobody, when: 'id == "odd"', from: ["user:ana"]}
    change: {amount_minor: at_most 50000}
    limit: 900 EUR per day
  shop.blunt:
    allow: [staff]
    ask: {confirm: requester}
"""
OTHER = """\
api: lockkeep/v1
policy: guests
owner: lead
applies_to: {agents: [other]}
read:
  thing: shop.read(id="safe")
tools:
  shop.write:
    allow: anyone
    deny: {unless: "has(thing.owner)"}
"""
WINDOW = datetime(2020, 1, 1, tzinfo=UTC)


class Blocked(Exception):
    """A replay opened a socket."""


def no_sockets(patch: pytest.MonkeyPatch) -> None:
    class Refused(socket.socket):
        def __init__(self, *_: Any, **__: Any) -> None:
            raise Blocked

    patch.setattr(socket, "socket", Refused)


def again(store: Path, files: Mapping[str, str]) -> list[Again]:
    """Every recorded call, decided again, with sockets blocked and the store opened for reading."""
    loaded, problems = load(files)
    assert loaded is not None, problems
    with pytest.MonkeyPatch.context() as patch, reading(store) as tx:
        no_sockets(patch)
        return list(run(tx, loaded))


def run(tx: Tx, rules: PolicySet) -> list[Again]:
    return list(Replay(rules, court(), rules_then(tx, rules)).run(history.past_calls(tx, WINDOW)))


def agree(found: list[Again]) -> None:
    """Word, code, rule, digest of the rules, what fired and what is sent are those on record."""
    for each in found:
        past, verdict = each.past, each.verdict
        if past.word is None:
            assert (each.word, each.lack) == (None, None), past
            continue
        assert (each.word, each.lack) == (past.word, None), (past, verdict)
        if past.word == "denied":
            assert (getattr(verdict, "code", ""), getattr(verdict, "rule", "")) == (past.code, past.by), past
        if each.basis is not None:
            assert each.basis.rules == past.rules, past
        if past.word in ("allowed", "asks") and past.sent is not None:
            assert getattr(verdict, "arguments", None) == past.sent, past


@pytest.mark.promise("P6")
async def test_a_replay_under_the_same_rules_says_what_the_gateway_said(tmp_path: Path) -> None:
    async with house(tmp_path, shop=stocked(), rules=RULES) as home:
        await home.rules(more=OTHER)
        await busy_hour(home)
        stored = generations.current(home.store.read)
        assert stored is not None
        found = again(home.store.path, stored.files)

    agree(found)
    words = [each.past.word for each in found]
    assert {word: words.count(word) for word in ("allowed", "asks", "people", "denied", None)} == {
        "allowed": 38, "asks": 4, "people": 2, "denied": 18, None: 1,
    }  # fmt: skip


def stocked() -> Shop:
    shop = Shop()
    shop.things = {
        "a": {"id": "a", "value_minor": 30000, "currency": "EUR", "owner": "box"},
        "b": {"id": "b", "frozen": True},
        "usd": {"id": "usd", "value_minor": 100000, "currency": "USD", "owner": "box"},
        "box": {"id": "box", "frozen": True},
        "safe": {"id": "safe", "owner": "olga"},
    }

    async def behave(name: str, arguments: Mapping[str, Any]) -> Any:
        lost = name == "read" and arguments["id"] == "lost"
        return error("conflict") if arguments.get("text") == "fails" or lost else None

    shop.behave = behave
    return shop


async def busy_hour(home: House) -> None:
    """Every kind of verdict, look-ups that answer and fail, limits that fill, empty and fill again, people who decide."""
    async with home.client() as ana, home.client(user="cy") as cy, home.client(agent="other") as guest:
        await writes(ana, cy, guest)
        await payments(home, ana, cy)
        await stops(home, ana)


async def writes(ana: Client, cy: Client, guest: Client) -> None:
    for number in range(12):
        await send(ana, "shop.write", {"id": f"n{number}", "text": "hello"})
    for text in ("LOUD", "hard", "fails", "fails again", "quiet"):
        await send(ana, "shop.write", {"id": "a", "text": text})
        await send(cy, "shop.write", {"id": "c", "text": text})
        await send(guest, "shop.write", {"id": "c", "text": text})
    await send(ana, "shop.write", {"id": "a", "text": "fourth"})
    await send(ana, "shop.write", {"id": "a", "text": "fifth"})
    await send(ana, "shop.write", {"id": "b", "text": "frozen"})
    await send(ana, "shop.write", {"id": "lost", "text": "nobody knows"})
    await send(ana, "shop.write", {"id": 7, "text": "wrong"})
    await send(ana, "shop.nothing", {"id": "a"})
    for number in range(6):
        await send(ana, "shop.read", {"id": f"r{number}"})
    for number in range(4):
        await send(ana, "shop.write", {"id": f"m{number}", "text": "more"})
    for number in range(3):
        await send(ana, "shop.write", {"id": f"k{number}", "text": "keyed"}, {"lockkeep/idempotency_key": f"k{number}"})


async def payments(home: House, ana: Client, cy: Client) -> None:
    for number, (thing, euros) in enumerate((("a", 50), ("a", 301), ("a", 200), ("n", 90), ("n", 700), ("a", -5), ("n", 99))):
        await send(ana, "shop.pay", {"id": thing, "amount_minor": euros * 100 + number, "currency": "EUR"})
    await send(ana, "shop.pay", {"id": "usd", "amount_minor": 9000, "currency": "USD"})
    await send(ana, "shop.pay", {"id": "n", "amount_minor": 9000, "currency": "GBP"})
    await send(ana, "shop.pay", {"id": "odd", "amount_minor": 1, "currency": "EUR"})
    await send(cy, "shop.pay", {"id": "a", "amount_minor": 100, "currency": "EUR"})
    waiting = home.store.read.all("approvals_list", state="pending", count=50)
    by_tool = [row["id"] for row in waiting if row["tool"] == "shop.pay"]
    await home.vote(by_tool[0], "bo", "deny")
    await home.vote(by_tool[1], "bo")
    with anyio.fail_after(20):
        while not any(row["state"] == "consumed" for row in home.store.read.all("approvals_list", state=None, count=50)):
            await anyio.sleep(0.05)
    for euros in (60, 70, 95):
        await send(ana, "shop.pay", {"id": "z", "amount_minor": euros * 100, "currency": "EUR"})
    await send(ana, "shop.blunt", {"id": "a"})


async def stops(home: House, ana: Client) -> None:
    await home.throw("tool:shop.blunt", "pause")
    await send(ana, "shop.blunt", {"id": "stopped"})
    assert said(await send(ana, "shop.read", {"id": "still"}))["id"] == "still"
