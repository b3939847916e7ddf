"""kill -9 while five calls are taken back: the next gateway goes on by itself, and each is taken back once (U3)."""

import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import pytest

from crash.place import LIMIT, Launcher, Place, prepared, rules
from house import said
from lockkeep.ledger import undo
from lockkeep.ledger.undo import Plan

LEAD = {
    "email": "ida@kestrel.example",
    "company": "Kestrel",
    "name": "Ida",
    "country": "DE",
    "source": "event",
}
POINTS = ("before the claim commits", "claimed", "settled")
PLACES = (1, 2, 3, 4, 5)
PLAN = "undo_of_five"


@pytest.fixture(scope="module")
async def five(tmp_path_factory: pytest.TempPathFactory, launcher: Launcher, lock: str) -> Place:
    """A lead, five changes of its company, and a plan to take them back."""
    place = await prepared(tmp_path_factory.mktemp("five"), rules("crm"), lock=lock)
    async with launcher.gateway(place):
        made = said(await place.call("crm.upsert_lead", LEAD))
        for number in PLACES:
            changes = {"company": f"Company {number}"}
            answer = said(
                await place.call("crm.update", {"kind": "lead", "id": made["id"], "changes": changes})
            )
            assert answer["applied"]
    calls = [row["id"] for row in reversed(place.calls()) if row["tool"] == "crm.update"]
    now = datetime.now(UTC)
    with place.store() as store:
        store.write_now(
            partial(undo.ask, id=PLAN, calls=calls, person="bo", reason="wrong", skip=False, now=now)
        )
    return place


def plan_of(place: Place) -> Plan:
    with place.store() as store:
        return undo.plan(store.read, PLAN)


async def goes_on(place: Place) -> Plan:
    with anyio.fail_after(LIMIT):
        while (plan := plan_of(place)).state == "running":
            await anyio.sleep(0.02)
    return plan


async def check(launcher: Launcher, five: Place, folder: Path, point: str) -> None:
    shutil.copytree(five.folder, folder, dirs_exist_ok=True)
    place = Place(folder, tokens=five.tokens)
    async with launcher.gateway(place, point) as gateway:
        with place.store() as store:
            store.write_now(partial(undo.start, plan=PLAN, by="bo", skip=False, now=datetime.now(UTC)))
        assert await gateway.ended() == 9
    assert plan_of(place).state == "running"
    async with launcher.gateway(place):
        plan = await goes_on(place)
        rows = place.calls()

    assert (plan.state, {step.state for step in plan.steps}) == ("done", {"done"}), plan
    made = [row for row in rows if row["undo_of"] and row["state"] == "succeeded"]
    assert sorted(row["undo_of"] for row in made) == sorted(step.call for step in plan.steps)
    assert {row["state"] for row in rows if row["undo_of"]} <= {"succeeded", "not_applied"}
    assert [row["state"] for row in rows if row["tool"] == "crm.update" and not row["undo_of"]] == [
        "undone"
    ] * 5
    committed = {key for key, state in place.receipts().items() if state == "committed"}
    assert committed == {row["id"] for row in rows if row["state"] in ("succeeded", "undone")}
    ((company,),) = place.at_the_server(
        "crm", "SELECT company FROM records WHERE email = 'ida@kestrel.example'"
    )
    assert company == LEAD["company"]
    assert len(place.events("call.undone")) == 5
    assert place.tampering() == []


@pytest.mark.crash
@pytest.mark.promise("P2", "P7", "P9")
async def test_a_gateway_killed_in_the_middle_of_a_plan_goes_on_with_it(
    tmp_path: Path, launcher: Launcher, five: Place
) -> None:
    await check(launcher, five, tmp_path / "place", "undo 3: at the server")


@pytest.mark.crash
@pytest.mark.full
@pytest.mark.promise("P2", "P7", "P9")
@pytest.mark.parametrize("turn", range(20))
@pytest.mark.parametrize("step", PLACES)
@pytest.mark.parametrize("point", POINTS)
async def test_at_each_point_of_each_step_twenty_times(
    tmp_path: Path, launcher: Launcher, five: Place, point: str, step: int, turn: int
) -> None:
    if point == "claimed" and turn % 2:
        point = "at the server"  # either side of the effect
    await check(launcher, five, tmp_path / "place", f"undo {step}: {point}")
