"""kill -9 between an event and its delivery: nothing is lost, and what comes twice is known by its id."""

from pathlib import Path

import pytest

from crash.command import command
from crash.place import GATEWAY, Launcher, Place, prepared, rules
from crash.test_approvals import LEAD, vote
from house import said
from told import Listener, listener, until

NOTIFY = "notify:\n  siem: {{kind: webhook, url: {url}, secret: 'file:{secret}'}}\n"


async def told(folder: Path, lock: str, out: Listener) -> Place:
    secret = folder / "secret"
    secret.write_text("shared", encoding="utf-8")
    secret.chmod(0o600)
    gateway = GATEWAY + NOTIFY.format(url=out.url, secret=secret)
    return await prepared(folder, rules("crm", "crm.upsert_lead"), gateway=gateway, lock=lock)


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.parametrize(("point", "twice"), [("before it is told", False), ("told", True)])
async def test_what_was_asked_is_told_by_the_next_gateway_if_one_dies_on_the_way(
    tmp_path: Path, launcher: Launcher, lock: str, point: str, twice: bool
) -> None:
    async with listener() as out:
        place = await told(tmp_path, lock, out)
        async with launcher.gateway(place, point) as gateway:
            await place.try_call("crm.upsert_lead", LEAD, [])
            assert await gateway.ended() == 9
        before = len(out.bodies)
        async with launcher.gateway(place):
            await until(lambda: len(out.bodies) == before + 1)
            with place.store() as store:
                await until(lambda: not store.read.all("deliveries_due", channel="siem", now="9"))

    (approval,) = place.approvals()
    assert before == int(twice)
    assert out.events == ["approval.asked"] * (1 + twice)
    assert {each["approval"]["id"] for each in out.messages} == {approval["id"]}
    assert len({each["id"] for each in out.messages}) == 1
    assert place.tampering() == []


@pytest.mark.full
@pytest.mark.crash
async def test_what_people_do_while_no_gateway_runs_is_told_by_the_next_one_in_order(
    tmp_path: Path, launcher: Launcher, lock: str
) -> None:
    async with listener() as out:
        place = await told(tmp_path, lock, out)
        async with launcher.gateway(place, "before it is told") as gateway:
            await place.try_call("crm.upsert_lead", LEAD, [])
            assert await gateway.ended() == 9
        await vote(place)
        ran = await command(place.environ, "kill", "--reason", "Wrong prices", "--json")
        assert ran.code == 0
        async with launcher.gateway(place):
            await until(lambda: len(out.bodies) == 4)
            assert said(await place.call("crm.upsert_lead", LEAD))["code"] == "switch.killed"

    of_the_call = [each for each in out.events if each != "switch.thrown"]  # another matter waits for none
    assert of_the_call == ["approval.asked", "approval.decided", "approval.decided"]
    assert [each["approval"]["state"] for each in out.messages if "approval" in each] == ["cancelled"] * 3
