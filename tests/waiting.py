"""Calls of the shop that wait for people, and waiting for what becomes of them."""

from typing import Any

import anyio

from house import House, said
from lockkeep.ledger import approvals, edits
from lockkeep.ledger.approvals import Refusal
from lockkeep.ledger.edits import Edited
from lockkeep.store import Row

PAY = {"id": "p1", "amount_minor": 900, "currency": "EUR"}
RULES = """\
api: lockkeep/v1
policy: pay
owner: lead
applies_to: {everywhere: true}
read:
  thing: shop.read(id)
tools:
  shop.read: {allow: anyone}
  shop.write: {allow: anyone}
  shop.pay:
    allow: [staff, lead, finance]
    ask:
      - {name: large, when: amount > 5 EUR, from: [lead], edit: [amount], recheck: [thing.owner]}
      - {name: huge, when: amount > 50 EUR, from: [lead, finance], edit: [amount]}
      - {name: frozen, when: has(thing.frozen) && thing.frozen, from: [finance]}
    deny:
      - {name: odd, when: amount == 7 EUR, say: Never seven.}
"""


async def asked(home: House, who: dict[str, Any] | None = None, **changes: Any) -> str:
    """The approval that a payment waits for."""
    facts = said(await home.call("shop.pay", {**PAY, **changes}, **(who or {})))
    assert facts["status"] == "pending_approval", facts
    return str(facts["approval_id"])


def row(home: House, approval: str) -> Row:
    return approvals.find(home.store.read, approval)


def states(home: House) -> list[str]:
    """Of the approvals, the oldest first."""
    return [each["state"] for each in reversed(home.store.read.all("approvals_list", state=None, count=100))]


def paid(home: House) -> list[int]:
    """What reached the shop, in minor units."""
    return [arguments["amount_minor"] for name, arguments in home.shop.effects if name == "pay"]


async def until(home: House, calls: list[str], people: list[str]) -> None:
    """Until calls and approvals, the oldest first, are in these states."""
    try:
        with anyio.fail_after(10):
            while (home.states(), states(home)) != (calls, people):
                await anyio.sleep(0.02)
    except TimeoutError:
        raise AssertionError((home.states(), states(home))) from None


async def edited(home: House, approval: str, by: str, minor: int) -> Edited | Refusal:
    """As an approver changes the amount."""
    rules, found = home.gateway.in_force.current, row(home, approval)
    assert rules is not None
    number = len(home.store.read.all("calls_list", state=None, tool=None, agent=None, user=None, count=1000))
    return await home.store.write(
        lambda tx: edits.edit(
            tx, approval, rules.people.persons.get(by), {"amount_minor": minor}, successor=f"call_after_{number}_{minor}",
            shown=found["bound"], now=home.clock(), people=rules.people.persons, owner=rules.gateway.agents.get(found["agent"]),
        )
    )  # fmt: skip


async def approval_of(home: House, made: Edited | Refusal) -> str:
    """The approval that the edited call waits for."""
    assert isinstance(made, Edited), made
    with anyio.fail_after(10):
        while (found := home.store.read.one("call_get", id=made.successor)) is None:
            await anyio.sleep(0.02)
    assert found["approval"] is not None, found["state"]
    return str(found["approval"])
