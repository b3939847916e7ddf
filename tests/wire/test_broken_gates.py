"""Every gate and the claim, broken in every way: the call is denied, or ends unsent, and its words reach nobody (E10)."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from house import ALLOW_ALL, house, said
from lockkeep import gates
from lockkeep.errors import StoreUnavailable
from lockkeep.pipeline import GATES

PLACES = (*GATES, "approval", "claim")


async def raises(*_: Any, **__: Any) -> Any:
    raise RuntimeError("canary-secret")


async def hangs(*_: Any, **__: Any) -> Any:
    await anyio.sleep_forever()


async def store_down(*_: Any, **__: Any) -> Any:
    raise StoreUnavailable("canary-secret")


async def malformed(*_: Any, **__: Any) -> Any:
    return {"verdict": "Allow", "canary": "canary-secret"}


async def nothing(*_: Any, **__: Any) -> Any:
    return None


WAYS = {
    "raises": raises,
    "hangs": hangs,
    "the store is down": store_down,
    "malformed": malformed,
    "nothing": nothing,
    "missing": None,
}
RULES = ALLOW_ALL.replace(
    "shop.*: {allow: [staff, lead, finance]}",
    "shop.read: {allow: anyone}\n  shop.write: {allow: anyone}\n  shop.pay: {allow: anyone, ask: {from: [lead]}}",
)


@pytest.mark.promise("P6")
@pytest.mark.parametrize("place", PLACES)
async def test_a_gate_or_claim_broken_in_any_way_sends_nothing(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "LIMIT", 0.2)
    async with house(tmp_path, rules=RULES) as home:
        pipeline: Any = home.gateway.pipeline
        for number, (way, broken) in enumerate(WAYS.items()):
            kept = dict(pipeline.gates), pipeline.approval, home.gateway.ledger.claim
            if place in GATES and broken is None:
                del pipeline.gates[place]
            elif place in GATES:
                pipeline.gates[place] = broken
            elif place == "approval":
                object.__setattr__(pipeline, "approval", broken)
            else:
                home.gateway.ledger.claim = broken  # pyright: ignore[reportAttributeAccessIssue]
            answer: Any = None
            with suppress(*(() if place != "claim" else (Exception,))), anyio.move_on_after(1.5):
                if place == "approval":
                    answer = await home.call(
                        "shop.pay", {"id": f"p{number}", "amount_minor": 1, "currency": "EUR"}
                    )
                else:
                    answer = await home.call("shop.write", {"id": f"t{number}", "text": "x"})
            pipeline.gates.clear()
            pipeline.gates.update(kept[0])
            object.__setattr__(pipeline, "approval", kept[1])
            home.gateway.ledger.claim = kept[2]

            assert home.shop.effects == [], way
            assert "canary-secret" not in str(answer), way
            assert answer is not None or place == "claim", way
            if answer is not None and place != "claim":
                assert said(answer)["code"] in ("gate_failed", "gateway_failed"), way
            elif answer is not None:
                assert answer.is_error, way
        assert "canary-secret" not in str(home.audit())
        fine = await home.call("shop.write", {"id": "fine", "text": "x"})

        assert said(fine)["applied"] is True
        assert len(home.shop.effects) == 1
