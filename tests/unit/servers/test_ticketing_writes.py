"""Every writer of the support desk: keys, dry run, undo, versions, several at once, and processes that die."""

import json
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.unit.servers.desk import Desk, open_desk
from tests.unit.servers.tickets import FULL, KEY, TICKET, a_noted, a_ticket, step, tables, the_ticket
from tests.unit.servers.writes import sampled

from lockkeep_servers.ticketing.states import NEXT, landing

# --- every writer -------------------------------------------------------------------------------------------------

Prepared = Callable[[Desk], Awaitable[dict[str, Any]]]

Write = tuple[str, Prepared, dict[str, Any]]


async def nothing(desk: Desk) -> dict[str, Any]:
    return {}


def a(status: str) -> Prepared:
    async def prepared(desk: Desk) -> dict[str, Any]:
        return {"id": await a_ticket(desk, status)}

    return prepared


async def a_triaged(desk: Desk) -> dict[str, Any]:
    id = await a_ticket(desk, "open")
    given = {"priority": "high", "type": "refund", "group": "billing", "assignee": "agt_1"}
    await desk.ok("triage", id=id, **given, tags_add=["vip", "late"])
    return {"id": id}


async def a_triage_to_restore(desk: Desk) -> dict[str, Any]:
    id = await a_ticket(desk)
    done = await desk.ok("triage", id=id, priority="high", assignee="agt_1", tags_add=["vip"])
    return {"id": id, "before": done["before"], "expected_version": done["version"]}


WRITES: list[Write] = [
    ("create", nothing, TICKET),
    ("create", nothing, {**TICKET, "priority": None, "type": "refund", "tags": ["a", "b"], "external_id": "m-1"}),
    ("triage", a("new"), {"priority": "urgent"}),
    ("triage", a("new"), {"type": "refund", "group": "billing", "assignee": "agt_7", "tags_add": ["vip"]}),
    ("triage", a_triaged, {"assignee": "agt_2", "tags_add": ["b", "a"], "tags_remove": ["vip"]}),
    ("add_note", a("open"), {"body": "Ask billing."}),
    ("reply", a("open"), {"body": "We send a new one."}),
    *(("transition", a(old), step(to)) for old, steps in NEXT.items() for to in steps),
    ("withdraw", a("new"), {"reason": "test"}),
    ("withdraw", a_noted, {"reason": "test"}),
    ("restore_triage", a_triage_to_restore, {}),
]  # fmt: skip

IDS = [f"{tool}-{place}" for place, (tool, _, _) in enumerate(WRITES)]

UNDONE = [write for write in WRITES if write[0] not in ("reply", "withdraw", "restore_triage") and write[2].get("to") != "closed"]  # fmt: skip

each_write = pytest.mark.parametrize(("tool", "prepared", "arguments"), sampled(WRITES), ids=IDS)

each_undone = pytest.mark.parametrize(("tool", "prepared", "arguments"), sampled(UNDONE))


@each_write
async def test_a_key_used_twice_has_one_effect_and_one_receipt(
    ticketing: Desk, tool: str, prepared: Prepared, arguments: dict[str, Any]
) -> None:
    args = {**await prepared(ticketing), **arguments, "idempotency_key": KEY}

    first = await ticketing.ok(tool, **args)
    stored = tables(ticketing.folder, whole=True)
    second = await ticketing.ok(tool, **args)

    assert second == {**first, "replayed": True}
    assert tables(ticketing.folder, whole=True) == stored
    assert await ticketing.ok("get_receipt", idempotency_key=KEY, fence=True) == {
        "state": "committed",
        "tool": tool,
        "receipt": first,
    }


@each_write
async def test_a_dry_run_predicts_the_change_and_leaves_the_store_as_it_was(
    ticketing: Desk, tool: str, prepared: Prepared, arguments: dict[str, Any]
) -> None:
    args = {**await prepared(ticketing), **arguments, "idempotency_key": KEY}
    files = {file.name: file.read_bytes() for file in ticketing.folder.glob("*.sqlite*") if file.suffix != ".sqlite-shm"}  # fmt: skip

    predicted = await ticketing.ok(tool, **args, dry_run=True)

    assert {name: (ticketing.folder / name).read_bytes() for name in files} == files
    assert await ticketing.ok(tool, **args) == {**predicted, "applied": True}


@each_undone
async def test_undo_by_the_manifest_brings_back_all_but_the_declared_residue(
    ticketing: Desk, tool: str, prepared: Prepared, arguments: dict[str, Any]
) -> None:
    args = {**await prepared(ticketing), **arguments}
    before = tables(ticketing.folder)

    receipt = await ticketing.ok(tool, **args)
    assert receipt["undo"]["possible"] == "until"
    assert tables(ticketing.folder) != before
    await ticketing.undo(tool, args, receipt)

    left = {n: [row for row in rows if row not in before[n]] for n, rows in tables(ticketing.folder).items()}
    left = {name: rows for name, rows in left.items() if rows}
    lost = landing(receipt["before"]["status"], args["to"]) != receipt["before"]["status"] if tool == "transition" else False  # fmt: skip
    if tool == "create":  # ticket and text, out of every list
        assert {name: len(rows) for name, rows in left.items()} == {"tickets": 1, "messages": 1}
        assert left["tickets"][0]["withdrawn_at"] is not None
        found = await ticketing.ok("search", requester="con_1")
        assert receipt["id"] not in [item["id"] for item in found["items"]]
    elif tool == "add_note":
        assert {name: len(rows) for name, rows in left.items()} == {"messages": 1}
        shown = (await ticketing.ok("get", id=args["id"]))["messages"][-1]
        assert (shown["withdrawn"], "body" in shown) == (True, False)
    elif lost:
        assert (await the_ticket(ticketing, args["id"]))["status"] == "open"
        assert receipt["undo"]["note"].endswith("it is open.")
    else:
        assert left == {}


@each_undone
async def test_undo_keeps_what_somebody_changed_meanwhile(
    ticketing: Desk, tool: str, prepared: Prepared, arguments: dict[str, Any]
) -> None:
    args = {**await prepared(ticketing), **arguments}
    receipt = await ticketing.ok(tool, **args)
    id = receipt["id"] if tool == "create" else args["id"]
    if tool == "add_note":  # nobody can change a note; what happens to its ticket is kept
        await ticketing.ok("triage", id=id, tags_add=["third"])
        await ticketing.undo(tool, args, receipt)
        assert (await the_ticket(ticketing, id))["tags"] == ["third"]
        return
    await ticketing.ok("triage", id=id, tags_add=["third"])
    between = tables(ticketing.folder, whole=True)

    with pytest.raises(AssertionError, match="code=conflict"):
        await ticketing.undo(tool, args, receipt)

    assert tables(ticketing.folder, whole=True) == between


@pytest.mark.parametrize(("tool", "prepared", "arguments"), sampled([each for each in WRITES if each[0] in ("triage", "transition")]))  # fmt: skip
async def test_a_stale_version_writes_nothing(
    ticketing: Desk, tool: str, prepared: Prepared, arguments: dict[str, Any]
) -> None:
    args = {**await prepared(ticketing), **arguments}
    stored = tables(ticketing.folder, whole=True)

    for version in ("0", "99", "9" * 40, "two", "²"):
        error = await ticketing.refused(tool, **args, expected_version=version)

        assert (error["code"], tables(ticketing.folder, whole=True)) == ("conflict", stored)


async def test_a_conflict_names_what_moved(ticketing: Desk) -> None:
    id = await a_ticket(ticketing)
    await ticketing.ok("triage", id=id, priority="high", tags_add=["vip"])
    await ticketing.ok("reply", id=id, body="Hello", idempotency_key=KEY)

    error = await ticketing.refused("transition", id=id, **step("open"), expected_version="1")

    assert error["details"] == {"version": "3", "changed": ["messages", "priority", "tags"]}


@pytest.mark.parametrize("tool", ["create", "reply"])
async def test_a_key_with_other_arguments_is_a_conflict_and_a_fenced_one_never_runs(
    ticketing: Desk, tool: str
) -> None:
    args = TICKET if tool == "create" else {"id": await a_ticket(ticketing), "body": "Hello"}
    await ticketing.ok(tool, **args, idempotency_key=KEY)
    await ticketing.ok("get_receipt", idempotency_key="fenced-key", fence=True)
    stored = tables(ticketing.folder, whole=True)

    other = await ticketing.refused(tool, **{**args, "body": "Other"}, idempotency_key=KEY)
    fenced = await ticketing.refused(tool, **args, idempotency_key="fenced-key")

    assert (other["code"], fenced["code"]) == ("idempotency_conflict", "cancelled")
    assert tables(ticketing.folder, whole=True) == stored


async def test_what_is_taken_back_after_thirty_days_is_refused(ticketing: Desk) -> None:
    id = await a_ticket(ticketing)
    other = await ticketing.ok("create", **TICKET)
    triaged = await ticketing.ok("triage", id=id, priority="high")
    note = await ticketing.ok("add_note", id=id, body="For us.")
    ticketing.later(days=30)
    stored = tables(ticketing.folder, whole=True)
    ticketing.later(seconds=1)

    for tool, args, receipt in (
        ("create", TICKET, other),
        ("triage", {"id": id}, triaged),
        ("add_note", {"id": id}, note),
    ):
        with pytest.raises(AssertionError, match="code=window_closed"):
            await ticketing.undo(tool, args, receipt)
    assert tables(ticketing.folder, whole=True) == stored

    ticketing.later(seconds=-1)
    await ticketing.undo("create", TICKET, other)


# --- several at once, and processes that die ----------------------------------------------------------------------

PROGRAM = """
import json, os, sys
from datetime import UTC, datetime
from pathlib import Path
import anyio
from lockkeep_servers.kit.arguments import digest, parse
from lockkeep_servers.kit.errors import ToolError
from lockkeep_servers.kit.faults import read_fault
from lockkeep_servers.kit.receipts import Attempt
from lockkeep_servers.ticketing import port
from lockkeep_servers.ticketing.adapters.embedded import EmbeddedTickets

async def work(folder, fault, calls, say):
    tickets = EmbeddedTickets(Path(folder), lambda: datetime(2027, 3, 1, 7, tzinfo=UTC), read_fault(fault))
    async with tickets.session():
        os.read(gate, 1)  # until all are there
        for tool, given in calls:
            ask = parse(getattr(port, "".join(part.title() for part in tool.split("_"))), given)
            attempt = Attempt(tool, ask.idempotency_key, digest(ask), ask.dry_run)
            try:
                answer = (await getattr(tickets, tool)(ask, attempt)).model_dump(mode="json")
            except ToolError as error:
                answer = {"error": error.code}
            print(json.dumps(answer), file=say, flush=True)

gate, opener = os.pipe()
born = []
for job in json.load(sys.stdin):
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(opener)
        anyio.run(work, *job, open(said, "w", encoding="utf-8"))
        os._exit(0)
    os.close(said)
    born.append((child, heard))
os.close(opener)
done = []
for child, heard in born:
    answers = [json.loads(line) for line in open(heard, encoding="utf-8")]
    done.append((os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), answers))
json.dump(done, sys.stdout)
"""

Calls = list[tuple[str, dict[str, Any]]]

Job = tuple[Path, str, Calls]  # store, fault, what to call

Ended = tuple[int, list[dict[str, Any]]]  # exit code, answers


def processes(jobs: list[Job]) -> list[Ended]:
    """Let a process for each job write at once; hand back how each ended and what it was answered."""
    asked = json.dumps([[str(folder), fault, calls] for folder, fault, calls in jobs])
    command = [sys.executable, "-c", PROGRAM]
    ended = subprocess.run(
        command, input=asked, capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert ended.stderr == ""
    return [(code, answers) for code, answers in json.loads(ended.stdout)]


@pytest.mark.full
@pytest.mark.crash
async def test_eight_processes_at_one_ticket_lose_no_update(ticketing: Desk) -> None:
    id = await a_ticket(ticketing, "open")
    seen = {"id": id, "expected_version": "2"}
    jobs: list[Job] = [
        (ticketing.folder, "", [
            ("triage", {**seen, "tags_add": [f"first-{process}"]}),
            *(("triage", {"id": id, "tags_add": [f"p{process}-{number}"]}) for number in range(5)),
            *(("add_note", {"id": id, "body": f"p{process}-{number}"}) for number in range(5)),
            ("reply", {"id": id, "body": f"p{process}", "idempotency_key": f"reply-{process:04}"}),
            ("create", {**TICKET, "external_id": "shared", "idempotency_key": f"make-{process:05}"}),
        ])
        for process in range(8)
    ]  # fmt: skip

    ended = processes(jobs)

    assert [code for code, _ in ended] == [0] * 8
    each = [answers for _, answers in ended]
    found = await ticketing.ok("get", id=id)
    rows = tables(ticketing.folder)["messages"]
    wanted = sorted(f"p{process}-{number}" for process in range(8) for number in range(5))
    assert sorted(tag for tag in found["ticket"]["tags"] if tag.startswith("p")) == wanted
    assert sorted(row["body"] for row in rows if (row["kind"], row["ticket_id"]) == ("note", id)) == wanted
    assert [answers[0]["error"] for answers in each if "error" in answers[0]] == ["conflict"] * 7
    moved = [one["version"] for answers in each for one in (*answers[:6], answers[11]) if "error" not in one]
    assert sorted(map(int, moved)) == list(range(3, 52))  # every writer moved a version of its own
    assert found["version"] == "51"
    made = [answers[-1] for answers in each]
    assert len({one["id"] for one in made}) == sum(one["before"] is None for one in made) == 1


async def test_eight_threads_with_a_connection_each_lose_no_update(tmp_path: Path) -> None:
    folder = tmp_path / "ticketing"
    async with open_desk("ticketing", folder) as first:
        id = await a_ticket(first)

        async def work(number: int) -> None:
            async with open_desk("ticketing", folder) as desk:
                for turn in range(5):
                    await desk.ok("triage", id=id, tags_add=[f"w{number}-{turn}"])

        async with anyio.create_task_group() as writers:
            for number in range(8):
                writers.start_soon(work, number)

        assert len((await the_ticket(first, id))["tags"]) == 40


CRASHES = {"crash_before": "absent", "crash_inside": "absent", "crash_after": "committed"}

KILLED = [
    pytest.param(*write, marks=() if write[0] == "reply" else FULL) for write in WRITES[1:2] + WRITES[4:]
]


@pytest.mark.crash
@pytest.mark.parametrize(("tool", "prepared", "arguments"), KILLED)
async def test_a_killed_write_retried_has_one_effect(
    tmp_path: Path, tool: str, prepared: Prepared, arguments: dict[str, Any]
) -> None:
    once = tmp_path / "once"
    async with open_desk("ticketing", once) as desk:
        args = {**await prepared(desk), **arguments, "idempotency_key": KEY}
    stores = {fault: shutil.copytree(once, tmp_path / fault) for fault in CRASHES}
    async with open_desk("ticketing", once) as desk:
        await desk.ok(tool, **args)
    given = {name: value for name, value in args.items() if value is not None}

    died = processes([(folder, f"{fault}:{tool}", [(tool, given)]) for fault, folder in stores.items()])

    assert died == [(137, [])] * 3
    for fault, state in CRASHES.items():
        async with open_desk("ticketing", stores[fault]) as desk:
            assert (await desk.ok("get_receipt", idempotency_key=KEY))["state"] == state
            retried = await desk.ok(tool, **args)
            assert retried["replayed"] == (state == "committed")
            assert await desk.ok(tool, **args) == {**retried, "replayed": True}
        assert tables(stores[fault], whole=True) == tables(once, whole=True)


@pytest.mark.full
@pytest.mark.crash
async def test_a_late_arrival_finds_its_key_fenced(ticketing: Desk) -> None:
    call: Calls = [("create", {**TICKET, "idempotency_key": KEY})]
    assert processes([(ticketing.folder, "crash_before:create", call)]) == [(137, [])]
    await ticketing.ok("get_receipt", idempotency_key=KEY, fence=True)
    stored = tables(ticketing.folder, whole=True)

    assert processes([(ticketing.folder, "", call)]) == [(0, [{"error": "cancelled"}])]
    assert tables(ticketing.folder, whole=True) == stored
