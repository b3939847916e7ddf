"""kill -9 in every state of an approval, in the worker, during an edit, and of the command that decides (A8, P2, P3)."""

import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from mcp_types import CallToolResult

from crash import deciding
from crash.command import Ran, command
from crash.place import LIMIT, PEOPLE, Launcher, Place, prepared
from house import said

CROWD = PEOPLE.replace("  bo: {groups: [lead]}\n", "  bo: {groups: [lead]}\n  cy: {groups: [lead]}\n")
RULES = """\
api: lockkeep/v1
policy: crm
owner: lead
applies_to: {everywhere: true}
tools:
  crm.*: {allow: anyone}
  crm.upsert_lead:
    ask: {from: [lead], edit: [name], say: Look at it first.}
"""


def lead(name: str) -> dict[str, str]:
    return {
        "email": f"{name}@kestrel.example",
        "company": "Kestrel",
        "name": "Ida",
        "country": "DE",
        "source": "event",
    }


class Deciders:
    """The warm process of deciding.py."""

    def __init__(self) -> None:
        words = [sys.executable, str(deciding.__file__)]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def _run(self, order: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    async def dies(self, place: Place, by: str, point: str, *words: str) -> None:
        order = {
            "environ": own(place, by), "words": ["approvals", *words], "point": point, "log": str(place.folder / "decider.log"),
        }  # fmt: skip
        assert await to_thread.run_sync(self._run, order) == 9, (place.folder / "decider.log").read_text(
            encoding="utf-8"
        )

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(5)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def deciders() -> Generator[Deciders]:
    found = Deciders()
    yield found
    found.close()


def own(place: Place, by: str) -> dict[str, str]:
    return place.environ | {"LOCKKEEP_TOKEN": place.tokens[f"{by}'s own"]}


async def does(place: Place, by: str, *words: str) -> Ran:
    ran = await command(own(place, by), *words)
    assert ran.code == 0, ran
    return ran


def states(place: Place) -> dict[str, str]:
    return {row["id"]: row["state"] for row in place.approvals()}


def bound(place: Place, approval: str) -> str:
    return next(str(row["bound"])[:12] for row in place.approvals() if row["id"] == approval)


def effects(place: Place) -> int:
    return sum(state == "committed" for state in place.receipts().values())


async def parked(place: Place, name: str) -> str:
    facts = said(await place.call("crm.upsert_lead", lead(name)))
    assert facts["status"] == "pending_approval", facts
    return str(facts["approval_id"])


async def become(place: Place, approval: str, state: str) -> None:
    with anyio.fail_after(LIMIT):
        while states(place)[approval] != state:
            await anyio.sleep(0.02)


async def in_every_state(place: Place) -> dict[str, str]:
    """One approval in each state, each brought there the way it comes about."""
    made = {
        name: await parked(place, name)
        for name in ("consumed", "void", "denied", "cancelled", "revoked", "expired", "superseded")
    }
    await does(
        place, "bo", "approvals", "approve", made["consumed"], "--digest", bound(place, made["consumed"])
    )
    await become(place, made["consumed"], "consumed")
    await does(place, "bo", "approvals", "deny", made["denied"], "--reason", "no")
    await does(place, "ana", "approvals", "deny", made["cancelled"], "--reason", "no")
    await does(place, "olga", "approvals", "revoke", made["revoked"], "--reason", "no")
    await does(
        place, "bo", "approvals", "edit", made["superseded"], "--digest", bound(place, made["superseded"]), "--set", "name=Ada"
    )  # fmt: skip
    with place.store() as store:
        store.write_now(
            lambda tx: tx._db.execute(  # pyright: ignore[reportPrivateUsage] - hours go by
                "UPDATE approvals SET expires_at = '2020-01-01T00:00:00.000000Z' WHERE id = ?",
                (made["expired"],),
            )
        )
    await become(place, made["expired"], "expired")
    made |= {name: await parked(place, name) for name in ("pending", "approved")}
    await does(place, "bo", "pause", "--reason", "wait")
    await does(
        place, "bo", "approvals", "approve", made["approved"], "--digest", bound(place, made["approved"])
    )
    return made


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.promise("P2", "P3")
@pytest.mark.parametrize("turn", range(20))
async def test_a_kill_changes_no_approval_whatever_its_state(
    tmp_path: Path, launcher: Launcher, lock: str, turn: int
) -> None:
    place = await prepared(tmp_path, RULES, lock=lock, people=CROWD)
    async with launcher.gateway(place) as gateway:
        made = await in_every_state(place)
        with anyio.fail_after(LIMIT):
            while len(states(place)) < 10:  # the edited call's, too
                await anyio.sleep(0.02)
        before, happened = states(place), effects(place)
        gateway.kill()
        assert await gateway.ended() == 9
    assert states(place) == before
    async with launcher.gateway(place):
        await anyio.sleep(0.3)
        assert (states(place), effects(place), happened) == (before, 1, 1)
        assert {name: before[made[name]] for name in made if name != "void"} == {
            name: name for name in made if name != "void"
        }
        await does(place, "olga", "resume", "all", "--reason", "go")
        await become(place, made["approved"], "consumed")
        with anyio.fail_after(LIMIT):
            while effects(place) < 2:  # claimed, on its way
                await anyio.sleep(0.02)
        heard: list[CallToolResult] = []
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(place.try_call, "crm.upsert_lead", lead("approved"), heard)
        assert effects(place) == 2
        assert len(heard) == 2
    assert place.tampering() == []


WORKER = (
    "agreed",
    "before the claim commits",
    "claimed",
    "at the server",
    "before the settle commits",
    "settled",
)


async def worker_dies(place: Place, launcher: Launcher, point: str) -> None:
    """People agree, the gateway dies, hosts ask again while the next one starts: at most one effect, and it is known."""
    heard: list[CallToolResult] = []
    rows: list[dict[str, Any]] = []
    async with launcher.gateway(place, point) as gateway:
        approval = await parked(place, "ida")
        await does(place, "bo", "approvals", "approve", approval, "--digest", bound(place, approval))
        assert await gateway.ended() == 9
    async with launcher.gateway(place), anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(place.try_call, "crm.upsert_lead", lead("ida"), heard)
        rows = await place.until("succeeded") if point != "claimed" else []
        with anyio.fail_after(LIMIT):
            while place.calls()[0]["state"] in ("executing", "unknown"):
                await anyio.sleep(0.02)
    calls = [row["state"] for row in place.calls()]
    if point == "claimed":  # proven not to have happened: whoever asked again has people asked again
        assert calls[0] == "not_applied"
        assert effects(place) == 0
    else:
        assert (len(rows), calls, effects(place)) == (1, ["succeeded"], 1)
        assert states(place) == {approval: "consumed"}
    assert place.tampering() == []


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.promise("P2", "P3")
@pytest.mark.parametrize("turn", range(20))
@pytest.mark.parametrize("point", WORKER)
async def test_a_worker_killed_twenty_times_at_each_step_has_one_effect(
    tmp_path: Path, launcher: Launcher, lock: str, point: str, turn: int
) -> None:
    await worker_dies(await prepared(tmp_path, RULES, lock=lock, people=CROWD), launcher, point)


EDITING = ("edited", "before the edited call is there", "the edited call is there")


async def edit_dies(place: Place, launcher: Launcher, point: str) -> None:
    """Between the end of the old call and the decision about the new one; then another approver agrees to that."""
    heard: list[CallToolResult] = []
    async with launcher.gateway(place, point) as gateway:
        approval = await parked(place, "ida")
        await does(
            place,
            "bo",
            "approvals",
            "edit",
            approval,
            "--digest",
            bound(place, approval),
            "--set",
            "name=Ada",
        )
        assert await gateway.ended() == 9
    assert states(place)[approval] == "superseded"
    async with launcher.gateway(place):
        await place.until("cancelled", "pending_approval")
        successor = place.calls()[1]
        refused = await command(
            own(place, "bo"), "approvals", "approve", successor["approval"], "--digest", bound(place, successor["approval"])
        )  # fmt: skip
        assert (refused.code, effects(place)) == (1, 0)
        await does(
            place,
            "cy",
            "approvals",
            "approve",
            successor["approval"],
            "--digest",
            bound(place, successor["approval"]),
        )
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(place.try_call, "crm.upsert_lead", lead("ida"), heard)
        await place.until("cancelled", "succeeded")
        assert states(place) == {approval: "superseded", successor["approval"]: "consumed"}
        assert effects(place) == 1
        assert (
            place.at_the_server("crm", "SELECT count(*) FROM records WHERE email = 'ida@kestrel.example'")[0][
                0
            ]
            == 1
        )
    assert place.tampering() == []


@pytest.mark.crash
@pytest.mark.promise("P2", "P4")
async def test_an_edit_that_outlives_its_gateway_is_decided_once_and_not_by_its_editor(
    tmp_path: Path, launcher: Launcher, lock: str
) -> None:
    await edit_dies(await prepared(tmp_path, RULES, lock=lock, people=CROWD), launcher, "edited")


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.promise("P2", "P4")
@pytest.mark.parametrize("turn", range(20))
@pytest.mark.parametrize("point", EDITING)
async def test_an_edit_killed_twenty_times_at_each_step(
    tmp_path: Path, launcher: Launcher, lock: str, point: str, turn: int
) -> None:
    await edit_dies(await prepared(tmp_path, RULES, lock=lock, people=CROWD), launcher, point)


DONE = {
    "approve": "approved",
    "withdraw": "revoked",
    "revoke": "revoked",
    "edit": "superseded",
    "deny": "denied",
}


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.promise("P2", "P3")
@pytest.mark.parametrize("turn", range(20))
@pytest.mark.parametrize("decision", [*DONE])
async def test_a_command_killed_while_it_decides_has_decided_whole_or_not_at_all(
    tmp_path: Path, launcher: Launcher, lock: str, deciders: Deciders, decision: str, turn: int
) -> None:
    """No gateway runs meanwhile; the one that starts afterwards finds a decision or a question, never half of one."""
    point = deciding.POINTS[turn % 3]
    place = await prepared(tmp_path, RULES, lock=lock, people=CROWD)
    async with launcher.gateway(place):
        approval = await parked(place, "ida")
    digest = ("--digest", bound(place, approval))
    if decision == "withdraw":
        await does(place, "bo", "approvals", "approve", approval, *digest)
    before = states(place)[approval]
    words = {
        "approve": ("bo", digest), "withdraw": ("bo", ()), "revoke": ("olga", ("--reason", "r")), "deny": ("bo", ("--reason", "r")),
        "edit": ("bo", (*digest, "--set", "name=Ada")),
    }[decision]  # fmt: skip
    await deciders.dies(place, words[0], point, decision, approval, *words[1])
    decided = point == "committed"
    assert states(place)[approval] == (DONE[decision] if decided else before)
    assert place.tampering() == []
    async with launcher.gateway(place):
        ran = (decision == "approve" and decided) or (decision == "withdraw" and not decided)
        end = (
            ["succeeded"] if ran else ["pending_approval"] if not decided
            else ["cancelled", "pending_approval"] if decision == "edit" else ["denied" if decision == "deny" else "cancelled"]
        )  # fmt: skip
        await place.until(*end)
        assert effects(place) == int(ran)
    assert place.tampering() == []
