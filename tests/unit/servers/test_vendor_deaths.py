"""A write whose process died: it counts as not applied only when nothing of it can arrive any more."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from tests.unit.servers.test_vendor import Books, Office, office

from lockkeep_servers.kit.errors import UnknownOutcome
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.sqlite import Transaction
from lockkeep_servers.kit.vendor import LATE_S, Sign


@dataclass
class Unheard(Books):
    """Its process sends, and never hears an answer."""

    sends: anyio.Event = field(default_factory=anyio.Event)
    over: anyio.Event = field(default_factory=anyio.Event)

    async def send(self, plan: Effect) -> Effect:
        self.sends.set()
        await self.over.wait()
        raise UnknownOutcome


@asynccontextmanager
async def sending(folder: Path, books: Unheard) -> AsyncGenerator[Office]:
    """A process whose request is under way until the test is over."""
    async with office(folder, books) as one, anyio.create_task_group() as tasks:
        tasks.start_soon(one.write)
        await books.sends.wait()
        try:
            yield one
        finally:
            books.over.set()


def kill(one: Office) -> None:
    """What the system does with the lock of a process that is killed."""
    one.receipts._presence.let_go()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_write_whose_process_died_is_waited_for(arrives: bool, tmp_path: Path) -> None:
    books = Unheard()
    async with sending(tmp_path, books) as one, office(tmp_path, books) as other:
        kill(one)
        other.later(600)  # nobody asked for long: it may have been sent just before
        assert [await other.state(fence=True), await other.write(), await other.state()] == ["unknown", "unknown_outcome", "unknown"]  # fmt: skip
        other.later(LATE_S - 1)
        assert [await other.state(fence=True), await other.write()] == ["unknown", "unknown_outcome"]
        books.held += ["a"] if arrives else []
        other.later(1)
        assert await other.state(fence=True) == ("committed" if arrives else "cancelled")


async def test_what_lived_before_the_look_may_have_sent_after_it(tmp_path: Path) -> None:
    class Slow(Books):
        """While the answer of its first read travels, the other process sends and dies."""

        async def find_effect(self, plan: Effect) -> Effect | Sign:
            found = await super().find_effect(plan)
            if not self.held:
                self.held.append("a")
                kill(one)
            return found

    async with sending(tmp_path, Unheard()) as one, office(tmp_path, Slow()) as other:
        assert [await other.state(fence=True), await other.state(fence=True)] == ["started", "committed"]


async def test_a_write_runs_from_its_claim_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks between the claim and the sending does not take its process for a dead one."""
    books, states = Books(), list[str]()
    async with office(tmp_path, books) as one:
        database = one.receipts._database  # pyright: ignore[reportPrivateUsage]
        write = database.write

        async def claim(work: Callable[[Transaction], int]) -> int:
            monkeypatch.undo()
            done = await write(work)
            states.append(await one.state(fence=True))
            return done

        monkeypatch.setattr(database, "write", claim)
        assert (await one.write(), states, books.sent) == ("done", ["started"], 1)
