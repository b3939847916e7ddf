"""kill -9 around people's decision: exactly what they agreed to runs, once (P2, P3)."""

from pathlib import Path

import anyio
import pytest

from crash.command import command
from crash.place import LIMIT, Launcher, Place, prepared, rules
from house import said

LEAD = {
    "email": "ida@kestrel.example",
    "company": "Kestrel",
    "name": "Ida",
    "country": "DE",
    "source": "event",
}


async def parked(folder: Path, launcher: Launcher, lock: str) -> Place:
    """A lead waits for people; the gateway it waits in is dead."""
    place = await prepared(folder, rules("crm", ask="crm.upsert_lead"), lock=lock)
    async with launcher.gateway(place):
        assert said(await place.call("crm.upsert_lead", LEAD))["status"] == "pending_approval"
    return place


async def vote(place: Place, person: str = "bo") -> None:
    """As people do: look, then agree to what was shown, with one's own token."""
    (row,) = place.approvals()
    environ = place.environ | {"LOCKKEEP_TOKEN": place.tokens[f"{person}'s own"]}
    shown = await command(environ, "approvals", "show", row["id"], "--json")
    ran = await command(
        environ, "approvals", "approve", row["id"], "--digest", shown.data["bound"][:12], "--json"
    )
    assert (ran.code, ran.data["state"]) == (0, "approved"), ran


async def check_one_effect(place: Place) -> None:
    (row,) = await place.until("succeeded")
    collected = await place.call("lockkeep_wait", {"approval_id": row["approval"]})
    repeated = await place.call("crm.upsert_lead", LEAD)
    (approval,) = place.approvals()

    assert said(collected)["id"] == said(repeated)["id"]
    assert place.receipts() == {row["id"]: "committed"}
    assert approval["state"] == "consumed"
    assert [each["voters"] for each in place.events("call.claimed")][-1] == ["bo"]
    assert place.tampering() == []


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.promise("P2", "P3")
async def test_a_call_that_waits_for_people_outlives_its_gateway_and_runs_once(
    tmp_path: Path, launcher: Launcher, lock: str
) -> None:
    place = await parked(tmp_path, launcher, lock)
    async with launcher.gateway(place):
        assert place.receipts() == {}
        await vote(place)
        await check_one_effect(place)


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.promise("P2", "P3")
async def test_people_who_agree_while_no_gateway_runs_are_heard_by_the_next_one(
    tmp_path: Path, launcher: Launcher, lock: str
) -> None:
    place = await parked(tmp_path, launcher, lock)
    await vote(place)
    async with launcher.gateway(place):
        await check_one_effect(place)


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.promise("P2", "P3")
@pytest.mark.parametrize("point", ["agreed", "before the claim commits", "claimed", "at the server"])
async def test_a_gateway_killed_between_the_vote_and_the_answer_leaves_one_effect(
    tmp_path: Path, launcher: Launcher, lock: str, point: str
) -> None:
    place = await parked(tmp_path, launcher, lock)
    async with launcher.gateway(place, point) as gateway:
        await vote(place)
        assert await gateway.ended() == 9
    async with launcher.gateway(place):
        if (
            point == "claimed"
        ):  # the claim used the approval up; what is proven not to have happened is asked anew
            await place.until("not_applied")
            assert said(await place.call("crm.upsert_lead", LEAD))["status"] == "pending_approval"
            assert "committed" not in place.receipts().values()
            assert [row["state"] for row in place.approvals()] == ["pending", "consumed"]
        else:
            await check_one_effect(place)
        assert place.tampering() == []


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.promise("P5")
async def test_kill_is_confirmed_when_the_gateway_it_waits_for_is_dead(
    tmp_path: Path, launcher: Launcher, lock: str
) -> None:
    place = await prepared(tmp_path, rules("crm"), lock=lock)
    ended: list[tuple[int, bool]] = []

    async def kill() -> None:
        ran = await command(place.environ, "kill", "--reason", "Wrong prices", "--json")
        ended.append((ran.code, ran.data["confirmed"]))

    async with launcher.gateway(place, "deaf") as gateway, anyio.create_task_group() as group:
        group.start_soon(kill)
        with anyio.fail_after(LIMIT):
            while not place.events("switch.thrown"):
                await anyio.sleep(0.02)
        assert ended == []
        gateway.kill()
    assert ended == [(0, True)]
    async with launcher.gateway(place):
        assert said(await place.call("crm.upsert_lead", LEAD))["code"] == "switch.killed"
        assert place.receipts() == {}


@pytest.mark.crash
@pytest.mark.promise("P5")
@pytest.mark.full
async def test_kill_says_not_confirmed_while_a_gateway_lives_and_does_not_answer(
    tmp_path: Path, launcher: Launcher, lock: str
) -> None:
    place = await prepared(tmp_path, rules("crm"), lock=lock)
    async with launcher.gateway(place, "deaf") as gateway:
        ran = await command(place.environ, "kill", "--reason", "Wrong prices", "--json")

        assert (ran.code, ran.data["confirmed"]) == (1, False)
        assert f"process {gateway.pid}" in ran.err
        assert said(await place.call("crm.upsert_lead", LEAD))["code"] == "switch.killed"
