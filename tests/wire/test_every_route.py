"""Every route of the running gateway, with every method, asked by six callers: who gets what (P1, P4, P5)."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from house import PEOPLE, House, house
from lockkeep.ledger import callers, switches
from lockkeep.surface import console
from lockkeep.surface.refusals import Refusals
from wire.test_address import META, answer, modern
from wire.test_inbox import RULES, ask, settled, visitor

DUTIES = PEOPLE + "duties: {kill: [lead], resume: [lead]}\n"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
WHO = ("nobody", "the agent", "another agent", "a person's token", "a voter", "another session")
CHANGES = ("POST", "PUT", "PATCH", "DELETE")
OPEN, REFUSED = (200,) * 6, (405,) * 6
CLOSED = (401,) * 6
IN_SESSION = (401, 401, 401, 401, 200, 200)
Cell = int | str

TABLE: dict[tuple[str, str], tuple[Cell, ...]] = {  # whatever stands not here is refused with 405
    ("GET", "/healthz"): OPEN,
    ("HEAD", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("HEAD", "/readyz"): OPEN,
    ("GET", "/"): (303,) * 6,
    ("HEAD", "/"): (303,) * 6,
    ("GET", "/static/inbox.css"): OPEN,
    ("HEAD", "/static/inbox.css"): OPEN,
    ("GET", "/sign-in"): OPEN,
    ("HEAD", "/sign-in"): OPEN,
    ("POST", "/sign-in"): (403,) * 6,  # the link's code is the secret, and nobody here has one
    ("POST", "/sign-out"): (401, 401, 401, 401, 303, 303),
    ("GET", "/inbox"): IN_SESSION,
    ("HEAD", "/inbox"): IN_SESSION,
    ("GET", "/inbox/{approval}"): IN_SESSION,
    ("HEAD", "/inbox/{approval}"): IN_SESSION,
    ("POST", "/inbox/{approval}/vote"): (401, 401, 401, 401, 303, 403),
    ("POST", "/inbox/{approval}/edit"): (401, 401, 401, 401, 403, 403),  # the rule lets nobody change it
    ("POST", "/inbox/{approval}/withdraw"): (401, 401, 401, 401, 409, 403),  # it has run by then
    ("POST", "/switches"): (401, 401, 401, 401, 303, 403),
    ("POST", "/switches/lift"): (401, 401, 401, 401, 303, 403),
    ("POST", "/notify/slack"): CLOSED,  # Slack signs; none of these do
    ("POST", "/mcp"): (401, "its own", "nothing of the other's", 401, 401, 401),
    ("HEAD", "/mcp"): (401, 405, 405, 401, 401, 401),
    ("PUT", "/mcp"): (401, 405, 405, 401, 401, 401),
    ("PATCH", "/mcp"): (401, 405, 405, 401, 401, 401),
    ("DELETE", "/mcp"): (401, 405, 405, 401, 401, 401),
    ("OPTIONS", "/mcp"): (401, 405, 405, 401, 401, 401),
    ("TRACE", "/mcp"): (401, 405, 405, 401, 401, 401),
}


@dataclass
class Caller:
    """Whoever asks, with what it shows of itself, and the form token if it has a session."""

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    csrf: str = "x" * 32
    person: str = ""


def routes_of(home: House) -> set[str]:
    """The paths of the app as it is served."""
    app = home.gateway.asgi()
    assert isinstance(app, Refusals)
    assert isinstance(app.app, Starlette)
    return {getattr(route, "path", "") for route in app.app.routes}


async def caller(home: House, who: str) -> Caller:
    """Whoever has only a token tries it as a session, too."""
    if who == "nobody":
        return Caller()
    if who in ("a voter", "another session"):
        person = "bo" if who == "a voter" else "dee"
        async with visitor(home, person) as page:
            secret = page.http.cookies[console.COOKIE]
        session = callers.session(home.store.read, secret, home.clock())
        assert session is not None
        return Caller({"cookie": f"{console.COOKIE}={secret}"}, session.csrf, person)
    user, agent = {"the agent": ("ana", "robot"), "another agent": ("bo", "other")}.get(who, ("bo", None))
    token = await home.token(user, agent)
    return Caller({"authorization": f"Bearer {token}", "cookie": f"{console.COOKIE}={token}"})


@dataclass
class Gate:
    """A house in which one call waits for people and one agent is stopped."""

    home: House
    approval: str
    http: httpx2.AsyncClient
    known: dict[str, Caller] = field(default_factory=dict[str, Caller])

    def world(self) -> tuple[Any, ...]:
        thrown = [(each.id, each.scope) for each in switches.thrown(self.home.store.read)]
        rows = self.home.store.read.all("approvals_list", state=None, count=10)
        return (
            thrown,
            [(row["id"], row["state"]) for row in rows],
            self.home.states(),
            [*self.home.shop.effects],
        )

    async def cell(self, method: str, path: str, who: str) -> Cell:
        asks = self.known.get(who) or await caller(self.home, who)
        self.known[who] = asks
        row = self.home.store.read.one("approval_get", id=self.approval)
        assert row is not None
        form = {
            "csrf": asks.csrf, "bound": row["bound"], "decision": "approve", "reason": "r", "mode": "kill",
            "scope": "agent:other" if path == "/switches/lift" else "user:olga",
        }  # fmt: skip
        more: dict[str, Any] = {"data": form} if method in CHANGES else {}
        headers = dict(asks.headers)
        if path == "/mcp" and method == "POST":
            more = {"json": _status(self.approval)}
            headers |= modern("lockkeep_status")
        said = await self.http.request(
            method, path.replace("{approval}", self.approval), headers=headers, **more
        )
        self.http.cookies.clear()
        if path == "/sign-out":
            self.known.clear()
        if path.endswith("/vote") and said.status_code == 303:
            await settled(self.home, "succeeded")
        if path == "/mcp" and said.status_code == 200:
            found = answer(said)["result"]["structuredContent"]["found"]
            assert found or self.approval not in said.text
            return "its own" if found else "nothing of the other's"
        return said.status_code


def _status(approval: str) -> dict[str, Any]:
    params = {"name": "lockkeep_status", "arguments": {"id": approval}, "_meta": META}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


@asynccontextmanager
async def gate(folder: Path) -> AsyncGenerator[Gate]:
    async with (
        house(folder, rules=RULES, people=DUTIES) as home,
        httpx2.AsyncClient(base_url=home.url, trust_env=False, verify=False, timeout=20) as http,
    ):
        asked = await ask(home)
        await home.throw("agent:other")
        yield Gate(home, asked["approval_id"], http)


@pytest.mark.promise("P1", "P4", "P5")
async def test_every_route_answers_every_caller_as_the_table_says_and_no_other_route_is_there(
    tmp_path: Path,
) -> None:
    wrong: dict[tuple[str, str], tuple[Cell, ...]] = {}
    async with gate(tmp_path) as door:
        routes = routes_of(door.home)
        for path in sorted(routes):
            for method in METHODS:
                row = TABLE.get((method, path))
                if (cells := await asked_by_all(door, method, path, row)) != (row or REFUSED):
                    wrong[method, path] = cells

    assert routes == {path for _, path in TABLE}, "a route needs its rows in TABLE: who may ask it what?"
    assert wrong == {}


async def asked_by_all(door: Gate, method: str, path: str, row: tuple[Cell, ...] | None) -> tuple[Cell, ...]:
    """What each of the six is answered. Whoever may change something comes last; nobody else changes anything."""
    cells: dict[str, Cell] = {}
    if row is None:  # nothing is there for anybody: one who may much is enough
        return (await door.cell(method, path, WHO[4]),) * len(WHO)
    may = [row[place] == 303 and path != "/" for place in range(len(WHO))]
    for place in sorted(range(len(WHO)), key=lambda place: may[place]):
        before = door.world()
        cells[WHO[place]] = await door.cell(method, path, WHO[place])
        if not may[place] and door.world() != before:
            cells[WHO[place]] = f"{cells[WHO[place]]}, and something was changed"
    return tuple(cells[who] for who in WHO)


async def test_a_path_nobody_knows_is_not_found_whoever_asks(tmp_path: Path) -> None:
    paths = ("/admin", "/metrics", "/mcp/x", "/mcp/../inboxes", "/static/../../people.yaml", "/.well-known/x")
    async with gate(tmp_path) as door:
        said = [
            (await door.http.request(method, path)).status_code
            for path in paths
            for method in ("GET", "POST")
        ]

    assert {*said} <= {404, 405}, said  # 405: below /mcp nobody gets a stream
