"""Six ways a receipt can behave, twenty calls each: proof settles, doubt stays, and in the end a person decides (E6)."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lockkeep.model import Allow, Basis, Claim, Finding, Tool
from lockkeep.reconcile import Reconciler
from unit.ledger.council import Council, council

FENCED = {
    "tool": "get_receipt", "with": {"idempotency_key": "=args.idempotency_key", "fence": True}, "applied": "result.state == 'committed'",
    "not_applied": "result.state == 'cancelled'",
}  # fmt: skip
LOOKS = {
    **FENCED,
    "with": {"idempotency_key": "=args.idempotency_key"},
    "not_applied": "result.state == 'absent'",
}


def tool(name: str, **effect: Any) -> Tool:
    return Tool(
        name=f"shop.{name}", integration="shop", server_name=name, exported=f"shop_{name}", title=None, description="", input={"properties": {"idempotency_key": {}}},
        output=None, annotations={}, effect=effect, pin="pin",
    )  # fmt: skip


async def doubtful(room: Council, number: int) -> None:
    """Claimed, and nobody knows what became of them."""
    for each in range(number):
        call = room.call(f"{each}")
        claim = await room.ledger.claim(
            call, call.arguments, [Finding("policy", Allow({}), Basis(generation=1))]
        )
        assert isinstance(claim, Claim)
    assert len(await room.ledger.sweep(start=True)) == number


def states(room: Council) -> dict[str, int]:
    return {row["state"]: row["n"] for row in room.store.read.all("calls_by_state")}


BEHAVES: tuple[tuple[str, Mapping[str, Any], Any, str], ...] = (
    # what it is, how it is asked, what it says, and what the call is in the end
    ("it happened", FENCED, {"state": "committed", "receipt": {"id": "x"}}, "succeeded"),
    ("fenced off", FENCED, {"state": "cancelled"}, "not_applied"),
    ("absent, looked at only", LOOKS, {"state": "absent"}, "not_applied"),
    ("open for ever", FENCED, {"state": "open"}, "needs_human"),
    ("it raises", FENCED, ConnectionResetError(), "needs_human"),
    ("it says nonsense", FENCED, [1, "state"], "needs_human"),
)


@pytest.mark.promise("P2")
@pytest.mark.parametrize(
    ("verify", "says", "end"), [case[1:] for case in BEHAVES], ids=[case[0] for case in BEHAVES]
)
async def test_a_receipt_settles_by_proof_and_doubt_ends_with_a_person(
    tmp_path: Path, verify: Mapping[str, Any], says: Any, end: str
) -> None:
    async def read(_tool: Tool, _arguments: Mapping[str, Any], _limit: float) -> Any:
        if isinstance(says, Exception):
            raise says
        return says

    write = tool("write", **{"class": "write", "idempotency": {"arg": "idempotency_key"}, "verify": verify})
    tools = {each.name: each for each in (write, tool("get_receipt", **{"class": "read"}))}
    seen = Counter[str]()
    with council(tmp_path) as room:
        await doubtful(room, 20)
        reconciler = Reconciler(ledger=room.ledger, tools=lambda: tools, read=read)
        for _ in range(6):
            await reconciler.run_once()
            seen.update(states(room))
            room.now += timedelta(seconds=16)

        assert states(room) == {end: 20}
    if end == "needs_human":
        assert seen["unknown"] == 4 * 20  # five tries, and then a person
    if verify is LOOKS:
        assert seen["unknown"] == 2 * 20  # what is absent may still arrive within thirty seconds
