"""kill -9 at every point of a write: at most one effect, and the ledger says what the world says (P2, P7)."""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import CallToolResult

from crash.doomed import POINTS
from crash.place import GATEWAY, Launcher, Place, called, finished, prepared, rules
from house import said
from lockkeep_servers.calendar.server import build as build_calendar
from shop import Shop
from wire.fixture_servers.over_http import served

LEAD = {
    "email": "ida@kestrel.example",
    "company": "Kestrel",
    "name": "Ida",
    "country": "DE",
    "source": "event",
}
MEETING = {
    "calendar": "rep_1",
    "title": "Kestrel, first talk",
    "start": "2027-03-10T06:00:00+00:00",
    "end": "2027-03-10T06:30:00+00:00",
    "tz": "Europe/Berlin",
}
MEETINGS = f"SELECT id FROM events WHERE title = '{MEETING['title']}'"
LEADS = f"SELECT id FROM records WHERE email = '{LEAD['email']}'"


@dataclass(frozen=True)
class Write:
    """One write of an embedded server, and how its effects are counted there."""

    tool: str
    arguments: Mapping[str, Any]
    effects: str

    @property
    def server(self) -> str:
        return self.tool.partition(".")[0]


UPSERT = Write("crm.upsert_lead", LEAD, LEADS)
BOOK = Write("calendar.create_event", MEETING, MEETINGS)
WRITE = {"id": "t1", "text": "hello"}
CALENDAR = GATEWAY.replace("crm: {", "calendar: {")
HAPPENED = {"at the server": True, "before the settle commits": True, "settled": True}


async def dies_and_is_retried(
    launcher: Launcher, place: Place, write: Write, point: str
) -> list[CallToolResult]:
    """Two hosts ask at once and the gateway dies; the next one is asked three times. All answers, in order."""
    heard: list[CallToolResult] = []
    async with launcher.gateway(place, point) as gateway, anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(place.try_call, write.tool, write.arguments, heard)
        assert await gateway.ended() == 9
    async with launcher.gateway(place):
        if point != "before the claim commits":
            await place.until("succeeded" if HAPPENED.get(point) else "not_applied")
        return heard + [await place.call(write.tool, write.arguments) for _ in range(3)]


async def check(launcher: Launcher, place: Place, point: str, write: Write = UPSERT) -> None:
    heard = await dies_and_is_retried(launcher, place, write, point)
    rows, receipts = place.calls(), place.receipts(write.server)
    states = {row["id"]: row["state"] for row in rows}

    assert {key: state for key, state in receipts.items() if state == "committed"} == {
        row["id"]: "committed" for row in finished(rows)
    }
    assert len(finished(rows)) == len(place.at_the_server(write.server, write.effects)) == 1
    assert set(states.values()) <= {"succeeded", "not_applied"}
    assert all(
        receipts.get(call, "cancelled") == "cancelled"
        for call, state in states.items()
        if state == "not_applied"
    )
    assert {called(answer)[0] for answer in heard} <= set(states)
    assert [said(answer)["id"] for answer in heard[-3:]] == [said(heard[-1])["id"]] * 3
    assert {called(answer) for answer in heard[-3:]} == {(finished(rows)[0]["id"], "succeeded")}
    assert place.tampering() == []


@pytest.mark.crash
@pytest.mark.promise("P2", "P7")
@pytest.mark.parametrize("point", POINTS)
async def test_a_gateway_killed_at_this_point_has_one_effect_and_knows_it(
    tmp_path: Path, launcher: Launcher, lock: str, point: str
) -> None:
    await check(launcher, await prepared(tmp_path, rules("crm"), lock=lock), point)


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.promise("P2", "P7")
@pytest.mark.parametrize("point", POINTS)
async def test_a_meeting_booked_while_the_gateway_is_killed_is_one_event(
    tmp_path: Path, launcher: Launcher, point: str
) -> None:
    place = await prepared(tmp_path, rules("calendar"), gateway=CALENDAR)
    world = {"DATA": str(place.data / "calendar"), "WORLD": "demo", "WORLD_SIZE": "small"}
    seed = {f"LOCKKEEP_CALENDAR_{key}": value for key, value in world.items()}
    build_calendar({**seed, "LOCKKEEP_CALENDAR_WORLD_DAY": "2027-03-01"})
    await check(launcher, place, point, BOOK)


@pytest.mark.crash
@pytest.mark.full
@pytest.mark.promise("P2", "P7")
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("turn", range(20))
async def test_twenty_times_at_every_point(
    tmp_path: Path, launcher: Launcher, lock: str, point: str, turn: int
) -> None:
    await check(launcher, await prepared(tmp_path, rules("crm"), lock=lock), point)


@pytest.mark.crash
@pytest.mark.promise("P2", "P7")
@pytest.mark.parametrize("lived", [False, True], ids=["died before its effect", "died after its effect"])
async def test_a_tool_server_in_another_process_is_asked_what_became_of_the_write(
    tmp_path: Path, launcher: Launcher, lived: bool
) -> None:
    shop, killed = Shop(), anyio.Event()
    pids: list[int] = []

    async def kill_the_gateway(_tool: str, _arguments: Mapping[str, Any]) -> None:
        if pids:
            os.kill(pids.pop(), signal.SIGKILL)
            killed.set()
            await anyio.sleep_forever()

    if lived:
        shop.after = kill_the_gateway
    else:
        shop.behave = kill_the_gateway
    async with served(shop.build({})) as port:
        gateway_yaml = GATEWAY.replace(
            "crm: {in_process: true}", f"shop: {{url: 'http://127.0.0.1:{port}/mcp'}}"
        )
        place = await prepared(tmp_path, rules("shop"), gateway=gateway_yaml)
        heard: list[CallToolResult] = []
        async with launcher.gateway(place) as gateway, anyio.create_task_group() as group:
            pids.append(gateway.pid)
            for _ in range(2):
                group.start_soon(place.try_call, "shop.write", WRITE, heard)
            await killed.wait()
            assert await gateway.ended() == 9
        async with launcher.gateway(place):
            await place.until("succeeded" if lived else "not_applied")
            again = [await place.call("shop.write", WRITE) for _ in range(3)]
            rows = place.calls()

    assert [text["text"] for _, text in shop.effects] == ["hello"]
    assert {called(each) for each in again} == {(finished(rows)[0]["id"], "succeeded")}
    assert {row["id"]: row["state"] for row in rows} == {
        key: {"committed": "succeeded", "cancelled": "not_applied"}[state]
        for key, state in shop.receipts.items()
    }
    assert place.tampering() == []
