"""Eight servers on one file, asked at once: no update is lost, nothing is there twice."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
from tests.unit.servers.desk import open_desk
from tests.unit.servers.writes import EVENT, LEAD

Asked = tuple[str, dict[str, Any]]
CHANGE: dict[str, Any] = {"kind": "lead", "id": "led_1", "expected_version": "1"}


async def at_once(server: str, folder: Path, asked: list[Asked]) -> list[str]:
    """What each of them was told: ok, or the code of its refusal."""
    told: list[str] = []
    async with AsyncExitStack() as stack:
        desks = [await stack.enter_async_context(open_desk(server, folder)) for _ in asked]

        async def ask(place: int) -> None:
            tool, arguments = asked[place]
            is_error, answer, _ = await desks[place].answer(tool, **arguments)
            told.append(answer["error"]["code"] if is_error else "ok")

        async with anyio.create_task_group() as group:
            for place in range(len(asked)):
                group.start_soon(ask, place)
    return sorted(told)


async def test_of_eight_changes_to_one_version_one_is_made(tmp_path: Path) -> None:
    asked: list[Asked] = [("update", {**CHANGE, "changes": {"name": f"Ida {n}"}}) for n in range(8)]

    assert await at_once("crm", tmp_path, asked) == ["conflict"] * 7 + ["ok"]


async def test_eight_that_bring_one_lead_make_one(tmp_path: Path) -> None:
    asked: list[Asked] = [("upsert_lead", LEAD) for _ in range(8)]

    assert await at_once("crm", tmp_path, asked) == ["ok"] * 8
    async with open_desk("crm", tmp_path) as desk:
        found = await desk.ok("search", kind="lead", email=LEAD["email"])
    assert len(found["items"]) == 1


async def test_of_eight_that_book_one_hour_one_gets_it(tmp_path: Path) -> None:
    asked: list[Asked] = [("create_event", {**EVENT, "title": f"Talk {n}"}) for n in range(8)]

    assert await at_once("calendar", tmp_path, asked) == ["check_failed"] * 7 + ["ok"]
