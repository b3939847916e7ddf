"""A gateway is killed while calls wait for people: what they agree to afterwards still runs, once."""

import anyio

from lockkeep.cli.drill.exercise import Found, Wrong
from lockkeep.cli.drill.ground import FIRST, Ground, call, until
from lockkeep.model import Json


async def restart_while_parked(ground: Ground, *, calls: int = 3) -> Found:
    """kill -9 of a gateway process, then another gateway over the same folder."""
    wrong = Wrong()
    known = set(ground.sandbox.effects())
    async with ground.child() as process:
        parked = await _sign(ground, calls)
        process.kill()
        await anyio.to_thread.run_sync(process.wait)
    wrong.unless(all(each.get("status") == "pending_approval" for each in parked), "a call was not parked")
    async with ground.gateway() as gateway:
        for each in parked:
            agreed = ground.approve(gateway.store, str(each.get("approval_id")), FIRST)
            wrong.unless(agreed, "an approval of before the restart could not be voted on")
        wrong.unless(
            await until(lambda: _signed(ground) == {"succeeded"}),
            "what was agreed to did not run after the restart",
        )
        again = await _sign(ground, calls)
    effects = [key for key in ground.sandbox.effects() if key not in known]
    wanted = {str(each.get("call_id")) for each in parked}
    wrong.unless(set(effects) == wanted, f"{calls} agreed calls had {len(effects)} effects")
    wrong.unless(
        all(each.get("applied") for each in again), "a host that asked again did not get the recorded answer"
    )
    did = (
        f"{calls} calls waited for people when the gateway process was killed with SIGKILL. Another gateway took over, "
        "a person agreed, and the host asked again."
    )
    return Found(
        did, {"parked": calls, "effects": len(effects), "asked_again": len(again)}, tuple(wrong.findings)
    )


async def _sign(ground: Ground, calls: int) -> list[dict[str, Json]]:
    async with ground.caller() as client:
        return [await call(client, "sign", id=f"signed-{number}", text="agreed") for number in range(calls)]


def _signed(ground: Ground) -> set[str]:
    return {row["state"] for row in ground.calls() if row["tool"].endswith(".sign")}
