"""Every denial code by a live call: what provokes it, that nothing is sent, and when it says to try again (P1, P6)."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp_types import CallToolResult, Tool
from tests.docs import reference
from tests.docs.pages import page

from house import ALLOW_ALL, HEAD, House, house, said, text
from lockkeep.ledger import generations
from shop import RECEIPT, TEXT, Shop

WRITE = {"id": "t1", "text": "hello"}
PAY = {"id": "p1", "amount_minor": 5000, "currency": "EUR"}
AFTER_TIME = "after:TIME"
AFTER = r"after:20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\S+"
OPERATIONS = [
    {"when": "item.op == 'read'", "operation": "shop.look", "class": "read"},
    {"when": "item.op == 'delete'", "operation": "shop.delete", "class": "irreversible"},
]
WIDE = Tool(
    name="manage",
    description="Manage objects.",
    input_schema={
        "type": "object",
        "properties": {"objects": {"type": "array", "items": {"type": "object", "properties": {"op": TEXT}}}},
        "required": ["objects"],
        "additionalProperties": False,
    },
    output_schema=RECEIPT,
    _meta={
        "lockkeep/effect": {
            "class": "irreversible", "each": "args.objects", "operations": OPERATIONS, "undo": "none",
        }
    },
)  # fmt: skip


def rules(pay: str, top: str = "") -> str:
    """Writes and reads for everybody, and this about paying."""
    body = "\n".join(f"    {line}" for line in pay.splitlines())
    return f"{HEAD.format()}{top}tools:\n  shop.read, shop.write: {{allow: anyone}}\n  shop.pay:\n{body}\n"


def wide() -> Shop:
    shop = Shop()
    shop.tools = [*shop.tools, WIDE]
    return shop


@dataclass(frozen=True)
class Row:
    """How a code comes about. `sent`: what reached the server before the call that is denied."""

    code: str
    why: str
    retry: str  # a pattern
    provoke: Callable[[House], Awaitable[CallToolResult]]
    rules: str = ALLOW_ALL
    shop: Callable[[], Shop] = Shop
    sent: int = 0
    files: Mapping[str, str] = field(default_factory=dict[str, str])


def calls(
    tool: str, arguments: Mapping[str, Any], **more: Any
) -> Callable[[House], Awaitable[CallToolResult]]:
    """One call is enough."""

    async def provoke(home: House) -> CallToolResult:
        return await home.call(tool, arguments, **more)

    return provoke


pay = calls("shop.pay", PAY)


# -- what takes more than one call ------------------------------------------------------------------------------


async def stopped(home: House) -> CallToolResult:
    await home.throw()
    return await home.call("shop.write", WRITE)


async def paused(home: House) -> CallToolResult:
    await home.throw(scope="tool:shop.write", mode="pause")
    return await home.call("shop.write", WRITE)


async def draining(home: House) -> CallToolResult:
    await home.throw(scope="tool:shop.write", mode="drain")
    return await home.call("shop.write", WRITE)


async def described_anew(home: House) -> CallToolResult:
    home.shop.tools = [
        tool.model_copy(update={"description": "now it also deletes"}) if tool.name == "write" else tool
        for tool in home.shop.tools
    ]
    await home.gateway.supervisor.restart("shop")
    return await home.call("shop.write", WRITE)


async def gone(home: House) -> CallToolResult:
    """The server does not come up again."""

    def down(_: Mapping[str, str]) -> Any:
        raise ConnectionRefusedError

    home.shop.build = down  # pyright: ignore[reportAttributeAccessIssue]
    await home.gateway.supervisor.restart("shop")
    return await home.call("shop.write", WRITE)


async def without_facts(home: House) -> CallToolResult:
    async def broken(tool: str, _arguments: Mapping[str, Any]) -> CallToolResult | None:
        if tool == "read":
            raise RuntimeError("down")
        return None

    home.shop.behave = broken
    return await home.call("shop.pay", PAY)


async def twice(home: House) -> CallToolResult:
    """The limit holds for one."""
    await home.call("shop.pay", PAY)
    return await home.call("shop.pay", {**PAY, "id": "p2"})


async def no_set_that_loads(home: House) -> CallToolResult:
    current = generations.current(home.store.read)
    assert current is not None
    files = {**current.files, "rules.yaml": "api: lockkeep/v1\npolicy: ["}
    await home.store.write(
        lambda tx: generations.activate(tx, files, after=current.id, by="test", reason="", now=home.clock())
    )
    return await home.call("shop.write", WRITE)


async def said_no(home: House, person: str) -> CallToolResult:
    asked = said(await home.call("shop.pay", PAY))
    await home.vote(asked["approval_id"], person, "deny")
    return await home.call("lockkeep.wait", {"approval_id": asked["approval_id"], "max_wait_s": 10})


async def denied_by_people(home: House) -> CallToolResult:
    return await said_no(home, "bo")


async def called_off(home: House) -> CallToolResult:
    return await said_no(home, "ana")


async def asked_again(home: House) -> CallToolResult:
    await said_no(home, "bo")
    return await home.call("shop.pay", PAY)


async def asked_too_often(home: House) -> CallToolResult:
    for number in range(20):
        assert said(await home.call("shop.pay", {**PAY, "id": f"p{number}"}))["status"] == "pending_approval"
    return await home.call("shop.pay", {**PAY, "id": "p20"})


async def one_key_for_two(home: House) -> CallToolResult:
    key = {"lockkeep/idempotency_key": "k1"}
    await home.call("shop.write", WRITE, meta=key)
    return await home.call("shop.write", {**WRITE, "text": "other"}, meta=key)


async def after_a_lost_answer(home: House) -> CallToolResult:
    async def lose(_tool: str, _arguments: Mapping[str, Any]) -> CallToolResult | None:
        raise ConnectionResetError

    async def no_receipt(key: str, *, fence: bool) -> CallToolResult:
        raise ConnectionResetError

    home.shop.after = lose
    home.shop.receipt = no_receipt  # pyright: ignore[reportAttributeAccessIssue]
    assert said(await home.call("shop.write", WRITE))["status"] == "unknown"
    return await home.call("shop.write", {**WRITE, "text": "second"})


async def never_standing_still(home: House) -> CallToolResult:
    original, count = home.gateway.pipeline.gates["policy"], list[int]()

    async def then_changed(call: Any) -> Any:
        verdict = await original(call)
        count.append(1)
        await home.rules(rules=ALLOW_ALL + f"description: n{len(count)}\n")
        return verdict

    home.gateway.pipeline.gates["policy"] = then_changed  # pyright: ignore[reportIndexIssue]
    return await home.call("shop.write", WRITE)


async def a_gate_that_fails(home: House) -> CallToolResult:
    home.gateway.pipeline.gates["policy"] = boom  # pyright: ignore[reportIndexIssue]
    return await home.call("shop.write", WRITE)


async def a_gateway_that_fails(home: House) -> CallToolResult:
    home.gateway.ledger.claim = boom  # pyright: ignore[reportAttributeAccessIssue]
    return await home.call("shop.write", WRITE)


async def boom(*_: Any, **__: Any) -> Any:
    raise RuntimeError("canary-secret")


async def manages(home: House, *operations: str) -> CallToolResult:
    return await home.call("shop.manage", {"objects": [{"op": each} for each in operations]})


async def merges(home: House) -> CallToolResult:
    return await manages(home, "merge")


async def reads_and_deletes(home: House) -> CallToolResult:
    return await manages(home, "read", "delete")


async def at_night(home: House) -> CallToolResult:
    now = home.clock()
    home.clock.ahead = now.replace(hour=3, minute=0) + timedelta(days=1) - now
    return await home.call("shop.pay", PAY)


# -- the table --------------------------------------------------------------------------------------------------

ALLOW, ASK = "allow: anyone\n", "allow: anyone\nask: {from: [lead]}"
FACT = "read:\n  thing: shop.read(id)\n"
FROZEN = ALLOW + "deny: [{when: has(thing.frozen) && thing.frozen}]"
ROWS = (
    Row("switch.killed", "somebody stopped it", "no", stopped),
    Row("switch.paused", "somebody paused it", "later", paused),
    Row("switch.draining", "somebody drains it", "later", draining),
    Row("arguments.unknown_tool", "there is none", "no", calls("shop.nothing", {})),
    Row("arguments.unknown_tool", "for the gateway only", "no", calls("shop.get_receipt", {"idempotency_key": "k"})),
    Row("arguments.tool_changed", "described anew", "later", described_anew),
    Row("arguments.operation", "not described", "changed", merges, shop=wide),
    Row("arguments.mixed", "two things at once", "changed", reads_and_deletes, shop=wide),
    Row("arguments.invalid", "one is missing", "changed", calls("shop.write", {"id": "t1"})),
    Row("arguments.invalid", "one too many", "changed", calls("shop.write", {**WRITE, "more": 1})),
    Row("arguments.invalid", "a hidden one", "changed", calls("shop.write", {**WRITE, "idempotency_key": "k"})),
    Row("arguments.not_canonical", "beyond 2^53", "changed", calls("shop.pay", {**PAY, "amount_minor": 2**60})),
    Row("arguments.idempotency_key", "too long", "changed", calls("shop.write", WRITE, meta={"lockkeep/idempotency_key": "k" * 201})),
    Row("policy.not_allowed", "no allow fits", "no", pay, rules("allow: [finance]")),
    Row("policy.not_allowed", "not at this hour", AFTER, at_night, rules("allow: {roles: [staff], hours: '08:00-18:00'}")),
    Row("policy.rule", "with a fix", "changed", pay, rules(ALLOW + "deny: [{when: amount > 1 EUR, fix: Ask for less.}]")),
    Row("policy.rule", "without a fix", "no", pay, rules(ALLOW + "deny: [{when: amount > 1 EUR}]")),
    Row("policy.rule", "of the hour only", AFTER, at_night, rules(ALLOW + "deny: [{hours: '22:00-08:00'}]")),
    Row("policy.limit", "full", AFTER, twice, rules(ALLOW + "limit: 1 per day"), sent=1),
    Row("policy.limit", "full for a while", AFTER, twice, rules(ALLOW + "limit: 60 EUR per 24 hours"), sent=1),
    Row("policy.limit", "alone over it", "changed", pay, rules(ALLOW + "limit: 40 EUR per day")),
    Row("policy.lookup_failed", "no answer", "later", without_facts, rules(FROZEN, FACT)),
    Row("policy.error", "another currency", "no", pay, rules(ALLOW + "deny: [{when: amount > 1 USD}]")),
    Row("policy.error", "a limit in another currency", "no", pay, rules(ALLOW + "limit: 40 USD per day")),
    Row("policy.error", "no entry of the table", "no", pay, rules(ALLOW + "deny: [{when: amount > caps}]", "values:\n  caps: {USD: 5}\n")),
    Row("policy.error", "a cut that does not fit", "no", calls("shop.pay", {**PAY, "currency": "GBP"}), rules(ALLOW + "change: {amount: at_most 50 EUR}")),
    Row("policy.none_loaded", "none that loads", "later", no_set_that_loads),
    Row("policy.no_approver", "only the owner", "no", calls("shop.pay", PAY, user="dee"), rules(ALLOW + "ask: {from: [finance], count: 3}")),
    Row("policy.no_approver", "an account of nobody", "no", pay, rules(ALLOW + "ask: {from: ['person:thing.owner']}", FACT)),
    Row("approval.denied", "a person said no", "no", denied_by_people, rules(ASK)),
    Row("approval.cancelled", "the requester called it off", "no", called_off, rules(ASK)),
    Row("already_denied", "asked once more", "no", asked_again, rules(ASK)),
    Row("too_many_open_approvals", "twenty wait", "later", asked_too_often, rules(ASK)),
    Row("idempotency_conflict", "one key for two calls", "changed", one_key_for_two, sent=1),
    Row("outcome_unknown", "the last one is in doubt", "later", after_a_lost_answer, sent=1),
    Row("changed_meanwhile", "rules that move on", "later", never_standing_still),
    Row("integration_down", "no server", "later", gone),
    Row("gateway_failed", "the ledger fails", "later", a_gateway_that_fails),
    Row("gate_failed", "a gate fails", "later", a_gate_that_fails),
)  # fmt: skip


@pytest.mark.promise("P1", "P6")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.code}, {row.why}")
async def test_a_denied_call_says_its_code_and_when_to_try_again_and_is_not_sent(
    tmp_path: Path, row: Row
) -> None:
    shop = row.shop()
    async with house(tmp_path, shop, rules=row.rules) as home:
        result = await row.provoke(home)
        facts, first = said(result), text(result).splitlines()[0]

        assert (result.is_error, facts["status"], facts["code"]) == (True, "denied", row.code)
        assert re.fullmatch(row.retry, facts["retry"]), facts["retry"]
        assert first == f"DENIED rule={facts.get('rule', row.code)} retry={facts['retry']}"
        assert len(facts["reason"]) > 10
        assert "canary-secret" not in text(result)
        assert len(shop.effects) == row.sent
        assert home.sound()


def documented() -> dict[str, set[str]]:
    """Code -> the retry words of its row in the reference."""
    rows = page("docs/reference/denial-codes.md").table("Codes")
    return {code: set(re.findall(r"`([^`]+)`", cells[1])) for code, cells in rows.items()}


def told() -> dict[str, set[str]]:
    return {
        row.code: {
            AFTER_TIME if each.retry == AFTER else each.retry for each in ROWS if each.code == row.code
        }
        for row in ROWS
    }


def test_there_is_a_row_for_every_code_of_the_reference_with_every_retry_it_may_have() -> None:
    assert told() == documented()


@pytest.mark.full
@pytest.mark.promise("P6")
def test_there_is_a_row_for_every_code_of_the_gateway_and_none_for_any_other() -> None:
    there = reference.denial_codes()

    assert told().keys() == there.keys()
    assert {code: sorted(words - told()[code]) for code, words in there.items() if words - told()[code]} == {}
