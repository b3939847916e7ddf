"""Plans: what people read of them, what a restart finishes, and how old a look may be."""

from contextlib import AbstractAsyncContextManager, closing
from functools import partial
from pathlib import Path

import anyio
import pytest

from house import House
from lockkeep.app import utc_now
from lockkeep.cli.undo import SENTENCES
from lockkeep.ledger import undo
from lockkeep.ledger.undo import Plan
from lockkeep.store import Store

from .fixture_servers.shelf import Shelf
from .fixture_servers.shelf_place import Place, shelved


async def until(home: House, plan: str, *states: str) -> Plan:
    with anyio.fail_after(10):
        while (found := undo.plan(home.store.read, plan)).state not in states:
            await anyio.sleep(0.02)
    return found


asked = partial(undo.ask, person="bo", reason="", skip=False, now=utc_now())


async def ask(home: House, plan: str, *calls: str) -> None:
    await home.store.write(partial(asked, id=plan, calls=calls))


async def start(home: House, plan: str) -> None:
    await home.store.write(partial(undo.start, plan=plan, by="bo", skip=False, now=utc_now()))


@pytest.mark.promise("P7", "P9")
async def test_a_plan_that_was_being_looked_at_or_worked_on_is_finished_at_the_next_start(
    tmp_path: Path,
) -> None:
    shelf = Shelf()

    def again() -> AbstractAsyncContextManager[House]:
        return shelved(tmp_path, shelf)

    async with again() as home:
        it = Place(home, tmp_path, shelf)
        calls = [await it.put(id=name, text="new") for name in ("a", "b")]
    with closing(Store(tmp_path / "data" / "lockkeep.db")) as store:  # as it stands when the gateway dies
        for plan, call in zip(("undo_looked", "undo_started"), calls, strict=True):
            store.write_now(partial(asked, id=plan, calls=[call]))
        store.write_now(partial(undo.start, plan="undo_started", by="bo", skip=False, now=utc_now()))
        states = [undo.plan(store.read, plan).state for plan in ("undo_looked", "undo_started")]
    async with again() as home:
        looked = await until(home, "undo_looked", "shown")
        done = await until(home, "undo_started", "done", "stopped")

    assert states == ["looking", "running"]
    assert [step.says for step in looked.steps] == ["restores"]
    assert (done.state, shelf.things["b"]["text"], shelf.things["a"]["text"]) == ("done", "old", "new")


@pytest.mark.full
@pytest.mark.promise("P9")
async def test_a_look_of_yesterday_is_not_trusted(tmp_path: Path) -> None:
    shelf = Shelf()
    async with shelved(tmp_path, shelf) as home:
        it = Place(home, tmp_path, shelf)
        call = await it.put()
        await ask(home, "undo_old", call)
        seen = await until(home, "undo_old", "shown")
        shelf.things["a"]["text"] = "theirs"
        await start(home, "undo_old")
        ended = await until(home, "undo_old", "done", "stopped")

    assert (seen.steps[0].says, ended.state) == ("restores", "stopped")
    assert (ended.steps[0].state, "conflict" in ended.steps[0].note) == ("failed", True)
    assert shelf.things["a"]["text"] == "theirs"


async def test_people_read_what_would_happen_and_what_did(tmp_path: Path) -> None:
    shelf = Shelf()
    async with shelved(tmp_path, shelf) as home:
        it = Place(home, tmp_path, shelf)
        calls = [await it.put(id=name, text="new") for name in ("a", "b")]
        shelf.things["a"]["text"] = "theirs"
        everything = ("undo", "calls", "--since", "1h")
        shown = await it.lockkeep(*everything)
        refused = await it.lockkeep(*everything, "--apply")
        done = await it.lockkeep(*everything, "--apply", "--skip", "--json")
        told = await it.lockkeep("undo", "show", done.data["plan"])
        listed = await it.lockkeep("undo", "list", "--json")

    assert (shown.code, refused.code, done.code, told.code) == (1, 1, 1, 0)
    assert f"conflict: {SENTENCES['conflict']}" in shown.out
    assert f"restores: {SENTENCES['restores']}" in shown.out
    assert "Nothing was changed. Add --apply to do it." in shown.out
    assert "--skip takes back the others" in refused.err
    assert "1 done, 1 skipped." in told.out
    assert {*done.data} == {"plan", "state", "by", "reason", "counts", "steps"}
    assert {*done.data["steps"][0]} == {"place", "call", "tool", "subject", "would", "note", "state", "undo"}
    assert [step["call"] for step in done.data["steps"]] == calls[::-1]
    assert done.data["counts"] == {"done": 1, "failed": 0, "skipped": 1, "unknown": 0, "open": 0}
    assert [plan["state"] for plan in listed.data] == ["stopped", "shown", "shown"]


@pytest.mark.full
async def test_a_plan_of_another_person_is_not_started(tmp_path: Path) -> None:
    shelf = Shelf()
    async with shelved(tmp_path, shelf) as home:
        it = Place(home, tmp_path, shelf)
        await ask(home, "undo_bos", await it.put())
        with pytest.raises(undo.NotFound, match="cy has no undo plan"):
            await home.store.write(partial(undo.start, plan="undo_bos", by="cy", skip=False, now=utc_now()))
