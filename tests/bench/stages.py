"""Where the time of one governed write goes, inside one process."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from house import House, house
from lockkeep.model import Allow, Claim, Request
from lockkeep.prepare import prepare


async def by_stage(calls: int) -> dict[str, float]:
    """Mean seconds per call of each stage."""
    with tempfile.TemporaryDirectory() as folder:
        async with house(Path(folder)) as home:
            return await _measured(home, calls)


async def _measured(home: House, calls: int) -> dict[str, float]:
    gateway, total = home.gateway, dict[str, float]()
    pipeline = gateway.pipeline

    async def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        result = await result if hasattr(result, "__await__") else result
        total[name] = total.get(name, 0.0) + time.perf_counter() - start
        return result

    for number in range(calls):
        request = Request(
            id=gateway.new_id("call"), tool="shop_write", arguments={"id": f"t{number}", "text": "x"}, user="ana",
            agent="robot", host="bench", at=gateway.clock(),
        )  # fmt: skip
        known = await timed("known", lambda request=request: gateway.known(request))
        call = await timed("prepare", lambda request=request, known=known: prepare(request, known))
        await timed("receive", lambda call=call: gateway.ledger.receive(call))
        findings: list[Any] = []
        for name in pipeline.gates:
            said = await timed(f"gate {name}", lambda name=name, call=call: pipeline.gates[name](call))
            findings.append(said)
        allow = findings[-1].verdict
        assert isinstance(allow, Allow)
        sent = allow.arguments or {}
        claim = await timed(
            "claim (durable)",
            lambda call=call, f=findings, a=sent: gateway.ledger.claim(call, a, f[-1:]),
        )
        assert isinstance(claim, Claim)
        answer = await timed("send (in process)", lambda claim=claim: gateway.send(claim))
        await timed(
            "settle (durable)",
            lambda claim=claim, answer=answer: gateway.ledger.settle(claim, replace(answer)),
        )
    return {name: seconds / calls for name, seconds in total.items()}
