"""Changes of ours, their undos and changes of others at the CRM, in any order: nobody's later change is lost (U5)."""

import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from house import House, said, send
from lockkeep import rounds
from lockkeep.app import random_id, utc_now
from lockkeep.ledger import undo
from lockkeep.ledger.undo import Plan
from lockkeep_servers.crm.server import SERVICE
from undo_desk import LEAD, house_of

FIELDS = ("name", "company", "industry")
STEPS = 9


@dataclass
class Lead:
    """One record as it must be: for each field who wrote what, the last on top."""

    id: str
    stacks: dict[str, list[tuple[str, str | None]]]
    ours: list[str] = field(default_factory=list[str])  # calls that stand
    changed: dict[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    alone: bool = True  # nobody else was here

    def write(self, by: str, changes: Mapping[str, str]) -> None:
        for name, value in changes.items():
            self.stacks[name].append((by, value))

    def take_back(self, call: str) -> None:
        for name in self.changed[call]:
            by, _ = self.stacks[name].pop()
            assert by == call, f"{call} was taken back over {name} of {by}"
        self.ours.remove(call)

    @property
    def shown(self) -> dict[str, str | None]:
        return {name: stack[-1][1] for name, stack in self.stacks.items()}


class Play:
    """One gateway, one CRM, an agent, a person who takes back, and somebody else at the CRM itself."""

    def __init__(self, home: House, agent: Client, others: Client) -> None:
        self.home, self.agent, self.others = home, agent, others
        self.made = 0

    async def lead(self) -> Lead:
        self.made += 1
        asked = {**LEAD, "email": f"lead{self.made}@larch.example"}
        made = said(await send(self.agent, "crm.upsert_lead", asked))
        return Lead(made["id"], {name: [("nobody", LEAD.get(name))] for name in FIELDS})

    def changes(self, choice: random.Random) -> dict[str, str]:
        """No value is ever there twice."""
        self.made += 1
        return {name: f"{name} {self.made}" for name in choice.sample(FIELDS, choice.randint(1, 2))}

    async def ours(self, lead: Lead, changes: Mapping[str, str]) -> None:
        asked = {"kind": "lead", "id": lead.id, "changes": dict(changes)}
        answer = said(await send(self.agent, "crm.update", asked))
        assert answer.get("applied"), answer
        rows = self.home.store.read.all(
            "calls_list", state=None, tool="crm.update", agent="robot", user=None, count=1
        )
        call = str(rows[0]["id"])
        lead.write(call, changes)
        lead.ours.append(call)
        lead.changed[call] = changes

    async def theirs(self, lead: Lead, changes: Mapping[str, str]) -> None:
        asked = {"kind": "lead", "id": lead.id, "changes": dict(changes)}
        assert not (await self.others.call_tool("update", asked)).is_error
        lead.write("others", changes)
        lead.alone = False

    async def take_back(self, calls: Sequence[str]) -> Plan:
        id, write = random_id("undo"), self.home.store.write
        await write(partial(undo.ask, id=id, calls=calls, person="bo", reason="", skip=True, now=utc_now()))
        await self._until(id, "shown")
        await write(partial(undo.start, plan=id, by="bo", skip=True, now=utc_now()))
        return await self._until(id, "done", "stopped")

    async def _until(self, id: str, *states: str) -> Plan:
        with anyio.fail_after(20):
            while (plan := undo.plan(self.home.store.read, id)).state not in states:
                await anyio.sleep(0.002)
        return plan

    async def sees(self, lead: Lead) -> dict[str, str | None]:
        found = await self.others.call_tool("get", {"kind": "lead", "id": lead.id})
        record: Any = found.structured_content
        return {name: record["record"].get(name) for name in FIELDS}


@asynccontextmanager
async def play(folder: Path, patch: pytest.MonkeyPatch) -> AsyncGenerator[Play]:
    patch.setattr(rounds, "TICK", 0.02)
    async with (
        Client(SERVICE.build({"LOCKKEEP_CRM_DATA": str(folder / "crm")})) as others,
        house_of(folder) as home,
        home.client() as agent,
    ):
        yield Play(home, agent, others)


async def interleaved(it: Play, seed: int, steps: int) -> int:
    """One random order of everything; returns how many calls were taken back."""
    choice = random.Random(seed)
    leads = [await it.lead() for _ in range(2)]
    undone = 0
    with_others = choice.random() < 0.7
    for _ in range(steps):
        lead = choice.choice(leads)
        match choice.choices(["ours", "theirs", "one", "all"], [5, 2 if with_others else 0, 3, 1])[0]:
            case "ours":
                await it.ours(lead, it.changes(choice))
            case "theirs":
                await it.theirs(lead, it.changes(choice))
            case "one":
                undone += await taken_back(it, leads, [choice.choice(lead.ours)] if lead.ours else [])
            case _:
                undone += await taken_back(it, leads, newest_first(leads))
    undone += await taken_back(it, leads, newest_first(leads))
    for lead in leads:
        assert not (lead.alone and lead.ours), f"{lead.ours} stand, and nobody else was here"
    return undone


def newest_first(leads: Sequence[Lead]) -> list[str]:
    """Those of the first lead are newer than they are; newest first holds within a record."""
    return [call for lead in leads for call in reversed(lead.ours)]


async def taken_back(it: Play, leads: Sequence[Lead], calls: Sequence[str]) -> int:
    if not calls:
        return 0
    plan = await it.take_back(calls)
    for step in plan.steps:
        lead = next(each for each in leads if step.call in each.changed)
        if step.state == "done":
            lead.take_back(step.call)
        else:
            assert step.state == "skipped", step
    for lead in leads:
        assert await it.sees(lead) == lead.shown, plan
    return sum(step.state == "done" for step in plan.steps)


async def whole(folder: Path, patch: pytest.MonkeyPatch, seeds: range, steps: int = STEPS) -> int:
    with anyio.fail_after(1_500):
        async with play(folder, patch) as it:
            return sum([await interleaved(it, seed, steps) for seed in seeds])


@pytest.mark.promise("P9")
async def test_in_twenty_random_orders_nobodys_later_change_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await whole(tmp_path, monkeypatch, range(20), steps=3) > 10


@pytest.mark.full
@pytest.mark.promise("P9")
@pytest.mark.parametrize("part", range(40))
async def test_in_two_thousand_random_orders_nobodys_later_change_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    assert await whole(tmp_path, monkeypatch, range(50 * part, 50 * part + 50)) > 50
