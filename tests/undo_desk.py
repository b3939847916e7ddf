"""A house with the real CRM, one lead in it, and a command line beside it: where calls are taken back."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.server import Server
from tests.crash.command import Ran, command

from house import House, house, said
from lockkeep_servers.crm.server import SERVICE

GATEWAY = """\
api: lockkeep/v1
gateway: house
integrations:
  crm: {in_process: true}
agents:
  robot: {owner: olga}
"""
RULES = """\
api: lockkeep/v1
policy: desk
owner: lead
applies_to: {agents: [robot]}
tools:
  "crm.*":
    allow: anyone
"""
LEAD = {"email": "ana@larch.example", "name": "Ana", "company": "Larch", "country": "DE", "source": "web"}


class Console:
    """A house and the command line of people beside it."""

    def __init__(self, home: House, folder: Path) -> None:
        self.home, self.folder = home, folder

    async def lockkeep(self, *words: str, by: str = "bo") -> Ran:
        token = await self.home.token(by, None)
        environ = {"LOCKKEEP_DATA": str(self.folder / "data"), "LOCKKEEP_TOKEN": token, "PATH": ""}
        return await command(environ, *words)

    async def undo(self, *words: str, by: str = "bo") -> Ran:
        """`lockkeep undo … --apply --json`."""
        return await self.lockkeep("undo", *words, "--apply", "--json", by=by)

    def newest(self, tool: str) -> str:
        """The id of the gateway's newest call of this tool."""
        rows = self.home.store.read.all("calls_list", state=None, tool=tool, agent=None, user=None, count=1)
        return rows[0]["id"]

    def state(self, call: str) -> str:
        row = self.home.store.read.one("call_get", id=call)
        assert row is not None
        return row["state"]

    async def until(self, call: str, state: str) -> None:
        with anyio.fail_after(10):
            while self.state(call) != state:
                await anyio.sleep(0.02)


class Desk(Console):
    """The same with one lead in the CRM."""

    def __init__(self, home: House, folder: Path, lead: str) -> None:
        super().__init__(home, folder)
        self.lead = lead

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return said(await self.home.call(f"crm.{tool}", arguments))

    async def record(self) -> dict[str, Any]:
        return (await self.call("get", kind="lead", id=self.lead))["record"]

    async def update(self, **changes: Any) -> str:
        """The id of the gateway's call."""
        await self.call("update", kind="lead", id=self.lead, changes=changes)
        return self.newest("crm.update")

    @asynccontextmanager
    async def third_party(self) -> AsyncGenerator[Client]:
        """Somebody who works at the CRM itself."""
        async with Client(SERVICE.build({"LOCKKEEP_CRM_DATA": str(self.folder / "crm")})) as client:
            yield client

    async def they_change(self, **changes: Any) -> None:
        async with self.third_party() as client:
            asked = {"kind": "lead", "id": self.lead, "changes": changes}
            answer = await client.call_tool("update", asked)
            assert not answer.is_error, answer


async def desk(home: House, folder: Path) -> Desk:
    made = said(await home.call("crm.upsert_lead", LEAD))
    assert "id" in made, made
    return Desk(home, folder, made["id"])


def crm(folder: Path) -> Any:
    def build(_name: str) -> Any:
        def made(_: Mapping[str, str]) -> Server[None]:
            return SERVICE.build({"LOCKKEEP_CRM_DATA": str(folder)})

        return made

    return build


def house_of(folder: Path, rules: str = RULES) -> AbstractAsyncContextManager[House]:
    return house(folder, servers=crm(folder / "crm"), gateway=GATEWAY, rules=rules)
