"""A ledger over a store of its own, and calls to put into it."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from lockkeep.ledger import Ledger, digests, generations
from lockkeep.model import Allow, Answer, Basis, Claim, Finding, Outcome, Share, ToolCall
from lockkeep.store import Store

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
ALLOWED = Answer(state="succeeded", result={"structuredContent": {"ok": True}})


@contextmanager
def ledger(folder: Path) -> Generator[Ledger]:
    store = Store(folder / "x.db")
    store.write_now(lambda tx: generations.activate(tx, {}, after=0, by="t", reason="t", now=NOW))
    numbers = count(1)
    try:
        yield Ledger(store, folder=folder, clock=lambda: NOW, new_id=lambda kind: f"{kind}_{next(numbers)}")
    finally:
        store.close()


def write(name: str, text: str = "x", **changes: object) -> ToolCall:
    """A call of its own id; the same text is the same request."""
    call = ToolCall(
        id=f"call_{name}", tool="shop.write", exported="shop_write", operation="shop.write", integration="shop",
        risk="write", pin="pin", arguments={"text": text}, user="ana", agent="robot", host="h", roles=frozenset(), at=NOW,
        asked=digests.asked(tool="shop.write", arguments={"text": text}, user="ana", agent="robot", run=None),
        generation=1,
    )  # fmt: skip
    return replace(call, **changes)  # pyright: ignore[reportArgumentType] - named fields of a call


def allowed(*shares: Share) -> Sequence[Finding]:
    return [Finding("policy", Allow({}), Basis(generation=1, shares=shares))]


async def run(book: Ledger, call: ToolCall) -> Outcome | Claim | None:
    """The way of an allowed call through the ledger, as the pipeline takes it."""
    if (known := await book.receive(call)) is not None:
        return known
    claim = await book.claim(call, call.arguments, allowed())
    return await book.settle(claim, ALLOWED) if isinstance(claim, Claim) else claim
