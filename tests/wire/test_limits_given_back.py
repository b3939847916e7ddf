"""A share of a limit is given back when nothing happened, and stays used while that is not known (P2)."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import CallToolResult

from house import HEAD, House, house, said
from shop import error

RULES = HEAD.format() + "tools:\n  shop.pay:\n    allow: anyone\n    limit: 1 per day\n{more}"
PAY = {"id": "p1", "amount_minor": 500, "currency": "EUR"}
ASK = "    ask: {when: id == 'p1', from: [lead]}\n"


async def fails(home: House) -> str:
    async def refuse(_tool: str, _arguments: Mapping[str, Any]) -> CallToolResult:
        return error("unavailable")

    home.shop.behave = refuse
    await home.call("shop.pay", PAY)
    home.shop.behave = None
    return "failed"


async def is_lost(home: House) -> str:
    """Sent, and nobody knows what came of it."""

    async def lose(_tool: str, _arguments: Mapping[str, Any]) -> None:
        raise ConnectionResetError

    async def no_receipt(key: str, *, fence: bool) -> CallToolResult:
        raise ConnectionResetError

    home.shop.after, home.shop.receipt = lose, no_receipt  # pyright: ignore[reportAttributeAccessIssue]
    await home.call("shop.pay", PAY)
    home.shop.after = None
    return "unknown"


async def parked(home: House) -> str:
    return said(await home.call("shop.pay", PAY))["approval_id"]


async def waits(home: House) -> str:
    await parked(home)
    return "pending_approval"


async def is_denied(home: House) -> str:
    await home.vote(await parked(home), "bo", "deny")
    return "denied"


async def expires(home: House) -> str:
    await parked(home)
    home.clock.ahead = timedelta(hours=9)
    with anyio.fail_after(10):
        while home.states() != ["expired"]:
            await anyio.sleep(0.02)
    return "expired"


async def is_cancelled(home: House) -> str:
    await parked(home)
    await home.throw()
    await home.lift()
    return "cancelled"


@pytest.mark.promise("P2")
@pytest.mark.parametrize(
    ("happens", "free"),
    [
        (fails, True),
        (is_denied, True),
        (expires, True),
        (is_cancelled, True),
        (waits, False),
        (is_lost, False),
    ],
)
async def test_what_did_not_happen_takes_nothing_of_a_limit(
    tmp_path: Path, happens: Callable[[House], Awaitable[str]], free: bool
) -> None:
    asks = happens not in (fails, is_lost)
    async with house(tmp_path, rules=RULES.replace("{more}", ASK if asks else "")) as home:
        state = await happens(home)
        assert home.states() == [state]
        other = said(await home.call("shop.pay", {**PAY, "id": "p2"}))

        assert other.get("code", "") == ("" if free else "policy.limit")


@pytest.mark.full
@pytest.mark.promise("P2")
async def test_of_several_limits_all_are_taken_or_none(tmp_path: Path) -> None:
    limits = "    limit: [{name: calls, up_to: 2 per day}, {name: money, up_to: 10 EUR per day}]\n"
    async with house(
        tmp_path, rules=RULES.replace("    limit: 1 per day\n", limits).replace("{more}", "")
    ) as home:
        found = [
            said(await home.call("shop.pay", {**PAY, "id": f"p{number}", "amount_minor": minor}))
            for number, minor in enumerate((500, 900, 900, 500, 1))
        ]

    assert [each.get("rule", "") for each in found] == [
        "", "shop/shop.pay/money", "shop/shop.pay/money", "", "shop/shop.pay/calls",
    ]  # fmt: skip
