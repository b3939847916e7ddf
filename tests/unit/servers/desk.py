"""A caller of one server in this process, and what its manifest says about undoing."""

import atexit
import re
import shutil
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, cast

from mcp import Client

from lockkeep_servers.billing.server import build as build_billing
from lockkeep_servers.calendar.server import build as build_calendar
from lockkeep_servers.carrier.server import build as build_carrier
from lockkeep_servers.commerce.server import build as build_commerce
from lockkeep_servers.crm.server import build as build_crm
from lockkeep_servers.notify.server import build as build_notify
from lockkeep_servers.ticketing.server import build as build_ticketing

BUILDS = {
    "crm": build_crm,
    "calendar": build_calendar,
    "ticketing": build_ticketing,
    "carrier": build_carrier,
    "billing": build_billing,
    "commerce": build_commerce,
    "notify": build_notify,
}
MONDAY = datetime(2027, 3, 1, 7, 0, tzinfo=UTC)


@dataclass
class Desk:
    """Calls tools and hands back their answers."""

    server: str
    folder: Path
    now: datetime
    client: Client

    async def answer(self, tool: str, **arguments: Any) -> tuple[bool, dict[str, Any], str]:
        given = {name.rstrip("_"): value for name, value in arguments.items()}
        result = await self.client.call_tool(tool, given)
        return result.is_error, result.structured_content, cast(Any, result.content[0]).text

    async def ok(self, tool: str, **arguments: Any) -> dict[str, Any]:
        is_error, answer, text = await self.answer(tool, **arguments)
        assert not is_error, text
        return answer

    async def refused(self, tool: str, **arguments: Any) -> dict[str, Any]:
        is_error, answer, text = await self.answer(tool, **arguments)
        error = answer["error"]
        assert is_error
        assert text.startswith(f"ERROR code={error['code']} retry={error['retry']}\n")
        return error

    async def effect(self, tool: str) -> dict[str, Any]:
        tools = (await self.client.list_tools()).tools
        meta = next(one.meta for one in tools if one.name == tool)
        assert meta is not None
        return meta["lockkeep/effect"]

    async def undo(self, tool: str, args: Mapping[str, Any], receipt: dict[str, Any]) -> dict[str, Any]:
        """Do what the manifest says takes the write back."""
        cases = (await self.effect(tool))["undo"]["cases"]
        seen = {"args": args, "result": receipt, "before": receipt["before"]}
        case = next(case for case in cases if holds(case.get("when", "true"), seen))
        return await self.ok(case["tool"], **{name: meant(text, seen) for name, text in case["with"].items()})

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)


def holds(condition: str, seen: Mapping[str, Any]) -> bool:
    """Evaluate the few forms our manifests use."""
    if condition == "true":
        return True
    if found := re.fullmatch(r"has\((.*)\)", condition):
        return look_up(found[1], seen) is not None
    path, _, literal = condition.partition(" == ")
    return look_up(path, seen) == {"null": None, "true": True}.get(literal, literal.strip("'"))


def meant(text: Any, seen: Mapping[str, Any]) -> Any:
    return look_up(text[1:], seen) if isinstance(text, str) and text.startswith("=") else text


def look_up(path: str, seen: Mapping[str, Any]) -> Any:
    value: Any = seen
    for part in path.split("."):
        value = value.get(part) if value is not None else None
    return value


@cache
def world_folder(server: str) -> Path:
    """A store that holds the small world, made once a session: seeding costs more than most tests."""
    folder = Path(tempfile.mkdtemp(prefix="lockkeep-world-"))
    atexit.register(shutil.rmtree, folder)
    BUILDS[server](environ_of(server, folder), lambda: MONDAY)
    return folder


def environ_of(server: str, folder: Path, **settings: str) -> dict[str, str]:
    given = {
        "DATA": str(folder),
        "WORLD": "demo",
        "WORLD_SIZE": "small",
        "WORLD_DAY": "2027-03-01",
        **settings,
    }
    return {f"LOCKKEEP_{server.upper()}_{key}": value for key, value in given.items()}


@asynccontextmanager
async def open_desk(server: str, folder: Path, **settings: str) -> AsyncGenerator[Desk]:
    """A server with a small world on a Monday, its clock, and a caller."""
    if not settings and not list(folder.glob("*.sqlite")):
        shutil.copytree(world_folder(server), folder, dirs_exist_ok=True)
    clock: list[Desk] = []
    built = BUILDS[server](environ_of(server, folder, **settings), lambda: clock[0].now if clock else MONDAY)
    async with Client(built) as client:
        clock.append(Desk(server, folder, MONDAY, client))
        yield clock[0]
