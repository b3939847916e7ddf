"""Receipts around a back end that keeps its own books: what is sent when, whatever dies in between."""

import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import pytest
from tests.unit.servers.desk import MONDAY

from lockkeep_servers.kit.errors import Conflict, ToolError, Unavailable, UnknownOutcome
from lockkeep_servers.kit.faults import NO_FAULT, Fault
from lockkeep_servers.kit.presence import Presence
from lockkeep_servers.kit.receipts import Attempt, Effect, GetReceipt
from lockkeep_servers.kit.vendor import LATE_S, Sign, VendorReceipts, open_database

KEY = "step-0001"
PLAN = Effect("tkt_1", "", None, {"title": "A"}, images={"name": "a"})
ATTEMPT = Attempt("create", KEY, "d1", dry_run=False)


@dataclass
class Books:
    """A back end: what it holds, what it was sent, and what goes wrong next."""

    held: list[str] = field(default_factory=list[str])
    sent: int = 0
    shows: bool = True  # what it holds can be read
    refuses: ToolError | None = None
    loses: str = ""  # the request, or the answer
    wait: anyio.Event | None = None
    steps: int = 1

    async def send(self, plan: Effect) -> Effect:
        self.sent += 1
        if self.wait:
            with anyio.fail_after(10):
                await self.wait.wait()
        if self.refuses:
            raise self.refuses
        if self.loses == "request":
            raise UnknownOutcome
        while len(self.held) < self.steps:
            self.held.append(plan.images["name"])
            if self.loses == "half":
                raise UnknownOutcome
        if self.loses == "answer":
            raise UnknownOutcome
        return replace(plan, version="1")

    async def find_effect(self, plan: Effect) -> Effect | Sign:
        if not self.shows:
            raise Unavailable
        if len(self.held) == self.steps:
            return replace(plan, version="1")
        return Sign.PARTLY if self.held else Sign.ABSENT


@dataclass
class Office:
    """One process: its receipts, and a clock."""

    receipts: VendorReceipts
    now: list[datetime]

    async def write(self, attempt: Attempt = ATTEMPT) -> str:
        async def prepare() -> Effect:
            return PLAN

        try:
            receipt = await self.receipts.write(attempt, prepare)
        except ToolError as error:
            return error.code
        return "replayed" if receipt.replayed else "done"

    async def state(self, *, fence: bool = False) -> str:
        return (await self.receipts.get(GetReceipt(idempotency_key=KEY, fence=fence))).state

    def later(self, seconds: float) -> None:
        self.now[0] += timedelta(seconds=seconds)


@asynccontextmanager
async def office(
    folder: Path, books: Books, fault: Fault = NO_FAULT, settle_after_s: float = 0
) -> AsyncGenerator[Office]:
    now = [MONDAY]
    receipts = VendorReceipts(
        open_database(folder / "books.sqlite"), lambda: now[0], books, fault, settle_after_s=settle_after_s
    )
    with anyio.fail_after(20):
        async with receipts.session():
            yield Office(receipts, now)


async def test_a_key_is_sent_once_and_answered_again(tmp_path: Path) -> None:
    books = Books()
    async with office(tmp_path, books) as one:
        assert [await one.write(), await one.write(), await one.state(fence=True)] == [
            "done",
            "replayed",
            "committed",
        ]
        assert await one.write(replace(ATTEMPT, digest="d2")) == "idempotency_conflict"
        assert await one.write(replace(ATTEMPT, tool="other")) == "idempotency_conflict"
    assert books.sent == 1


async def test_a_dry_run_sends_nothing_and_uses_no_key(tmp_path: Path) -> None:
    books = Books()
    async with office(tmp_path, books) as one:
        assert await one.write(replace(ATTEMPT, dry_run=True)) == "done"
        assert (await one.state(), books.sent) == ("absent", 0)


async def test_a_fenced_key_never_runs(tmp_path: Path) -> None:
    books = Books()
    async with office(tmp_path, books) as one:
        assert [await one.state(fence=True), await one.write()] == ["cancelled", "cancelled"]
    assert books.sent == 0


async def test_a_refused_write_leaves_its_key_free(tmp_path: Path) -> None:
    books = Books(refuses=Conflict(None, []))
    async with office(tmp_path, books) as one:
        assert [await one.write(), await one.state()] == ["conflict", "absent"]
        books.refuses = None
        assert await one.write() == "done"


async def test_a_lost_answer_is_found_at_once(tmp_path: Path) -> None:
    books = Books(loses="answer")
    async with office(tmp_path, books) as one:
        assert [await one.write(), await one.write()] == ["done", "replayed"]
        assert await one.write(replace(ATTEMPT, key=None)) == "done"


@pytest.mark.parametrize("settle_after_s", [0, 90])
async def test_absence_counts_when_nothing_can_be_under_way_any_more(
    settle_after_s: float, tmp_path: Path
) -> None:
    books = Books(loses="request")
    async with office(tmp_path, books, settle_after_s=settle_after_s) as one:
        assert [await one.write(), await one.state(fence=True)] == ["unknown_outcome", "unknown"]
        one.later(max(LATE_S, settle_after_s) - 1)
        assert [await one.write(), await one.state(fence=True)] == ["unknown_outcome", "unknown"]
        one.later(1)
        assert await one.state() == "absent"
        books.loses = ""
        assert await one.write() == "done"
    assert books.sent == 2


async def test_a_fence_closes_what_was_lost_on_the_way(tmp_path: Path) -> None:
    books = Books(loses="request")
    async with office(tmp_path, books) as one:
        await one.write()
        one.later(LATE_S)
        assert [await one.state(fence=True), await one.write()] == ["cancelled", "cancelled"]
    assert books.sent == 1


async def test_what_arrives_late_is_committed(tmp_path: Path) -> None:
    books = Books(loses="request")
    async with office(tmp_path, books) as one:
        await one.write()
        books.held.append("a")
        assert [await one.state(), await one.write()] == ["committed", "replayed"]


async def test_while_the_back_end_does_not_show_it_nothing_is_known(tmp_path: Path) -> None:
    books = Books(loses="answer", shows=False)
    async with office(tmp_path, books) as one:
        assert [await one.write(), await one.write()] == ["unknown_outcome", "unknown_outcome"]
        one.later(LATE_S)
        assert await one.state(fence=True) == "unknown"
        books.shows = True
        assert await one.write() == "replayed"
    assert books.sent == 1


@pytest.mark.parametrize("by", ["retry", "fence"])
async def test_what_was_half_done_is_finished(by: str, tmp_path: Path) -> None:
    books = Books(loses="half", steps=2)
    async with office(tmp_path, books) as one:
        assert [await one.write(), await one.state()] == ["unknown_outcome", "unknown"]
        books.loses = ""
        assert (await one.write() if by == "retry" else await one.state(fence=True)) in (
            "replayed",
            "committed",
        )
    assert books.held == ["a", "a"]


async def test_a_store_that_is_full_after_the_effect_does_not_hide_it(tmp_path: Path) -> None:
    books = Books()
    async with office(tmp_path, books, Fault("disk_full", "create")) as one:
        assert await one.write() == "unknown_outcome"
    async with office(tmp_path, books) as one:
        assert [await one.state(), await one.write(), books.sent] == ["committed", "replayed", 1]


async def test_of_two_processes_one_sends(tmp_path: Path) -> None:
    books, answers = Books(wait=anyio.Event()), list[str]()
    async with (
        office(tmp_path, books) as one,
        office(tmp_path, books) as other,
        anyio.create_task_group() as tasks,
    ):

        async def write() -> None:
            answers.append(await one.write())

        tasks.start_soon(write)
        while not books.sent:
            await anyio.lowlevel.checkpoint()
        assert [await other.write(), await other.state(), await other.state(fence=True)] == ["in_progress", "started", "started"]  # fmt: skip
        other.later(9999)  # however long it takes, who lives may still send
        assert await other.state(fence=True) == "started"
        assert books.wait
        books.wait.set()
    assert (answers, books.sent) == (["done"], 1)


async def test_a_caller_who_hangs_up_does_not_stop_a_write_half_way(tmp_path: Path) -> None:
    books = Books(wait=anyio.Event())
    async with office(tmp_path, books) as one:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.write)
            while not books.sent:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
            assert books.wait
            books.wait.set()
        assert await one.write() == "replayed"
    assert books.sent == 1


async def test_a_process_that_died_is_known_to(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from lockkeep_servers.kit.presence import Presence; p = Presence(Path(sys.argv[1])); p.hold(); print(p.name, flush=True); time.sleep(60)"  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert process.stdout
    name = (await anyio.to_thread.run_sync(process.stdout.readline)).strip()
    mine = Presence(tmp_path)
    mine.hold()

    assert [mine.lives(name), Presence(tmp_path).lives(mine.name)] == [True, True]
    process.kill()
    process.communicate(timeout=10)

    assert mine.lives(name) is False
    mine.let_go()
    assert (mine.lives(mine.name), mine.lives(""), list(tmp_path.iterdir())) == (False, False, [])
