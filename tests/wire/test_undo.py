"""What was done is taken back by a person's own governed call, or it is said exactly why not (P9)."""

from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from tests.crash.command import command

from undo_desk import RULES, desk, house_of


@pytest.mark.promise("P9")
async def test_a_call_is_taken_back_by_a_person_and_everything_is_as_it_was(tmp_path: Path) -> None:
    async with house_of(tmp_path) as home:
        it = await desk(home, tmp_path)
        before = await it.record()
        call = await it.update(company="Birch", country="AT")
        looked = await it.lockkeep("undo", "call", call, "--json")
        assert (looked.code, looked.data["steps"][0]["would"], it.state(call)) == (0, "restores", "succeeded")
        done = await it.lockkeep("undo", "call", call, "--apply", "--reason", "wrong lead", "--json")
        after = await it.record()

        assert (done.code, done.data["state"]) == (0, "done"), done.err
        assert it.state(call) == "undone"
        undoing = home.store.read.one("call_get", id=done.data["steps"][0]["undo"])
        assert undoing is not None
        assert (undoing["user"], undoing["agent"], undoing["undo_of"]) == ("bo", "", call)
        assert {**after, "version": 0, "updated_at": 0} == {**before, "version": 0, "updated_at": 0}
        assert home.sound()


@pytest.mark.promise("P9")
async def test_somebodys_later_change_is_never_overwritten(tmp_path: Path) -> None:
    async with house_of(tmp_path) as home:
        it = await desk(home, tmp_path)
        call = await it.update(company="Birch")
        await it.update(company="Cedar")
        theirs = await it.record()
        ran = await it.lockkeep("undo", "call", call, "--apply", "--json")

        assert ran.code == 1
        assert ran.data["steps"][0]["would"] == "conflict"
        assert (await it.record(), it.state(call)) == (theirs, "succeeded")


@pytest.mark.promise("P9")
async def test_several_changes_of_one_record_are_taken_back_newest_first(tmp_path: Path) -> None:
    async with house_of(tmp_path) as home:
        it = await desk(home, tmp_path)
        before = await it.record()
        made = [
            await it.update(company="Birch"),
            await it.update(country="AT"),
            await it.update(company="Elm"),
        ]
        ran = await it.lockkeep("undo", "calls", "--since", "1h", "--tool", "crm.update", "--apply", "--json")
        after = await it.record()

        assert (ran.code, ran.data["state"]) == (0, "done"), (ran.out, ran.err)
        assert [step["call"] for step in ran.data["steps"]] == made[::-1]
        assert [it.state(each) for each in made] == ["undone"] * 3
        assert (after["company"], after["country"]) == (before["company"], before["country"])


@pytest.mark.promise("P9")
async def test_a_change_of_somebody_else_between_two_of_ours_stays(tmp_path: Path) -> None:
    async with house_of(tmp_path) as home:
        it = await desk(home, tmp_path)
        first = await it.update(company="Birch")
        theirs = await it.update(company="Cedar")
        last = await it.update(country="AT")
        await it.lockkeep("undo", "call", last, "--apply")
        ran = await it.lockkeep("undo", "call", first, "--apply", "--json")

        assert ran.data["steps"][0]["would"] == "conflict"
        assert "company" in ran.data["steps"][0]["note"]
        assert [it.state(each) for each in (first, theirs, last)] == ["succeeded", "succeeded", "undone"]
        assert (await it.record())["company"] == "Cedar"


async def test_what_cannot_be_taken_back_wholly_says_what_stays(tmp_path: Path) -> None:
    async with house_of(tmp_path) as home:
        it = await desk(home, tmp_path)
        made = home.store.read.all(
            "calls_list", state=None, tool="crm.upsert_lead", agent=None, user=None, count=1
        )
        ran = await it.lockkeep("undo", "call", made[0]["id"], "--apply", "--json")

        step = ran.data["steps"][0]
        assert (ran.code, step["state"], step["note"]) == (0, "done", "A created lead stays archived.")


@pytest.mark.promise("P9")
async def test_after_its_window_a_call_stays(tmp_path: Path) -> None:
    async with house_of(tmp_path) as home:
        it = await desk(home, tmp_path)
        call = await it.update(company="Birch")
        home.clock.ahead = timedelta(days=31)
        ran = await it.lockkeep("undo", "call", call, "--apply", "--json")

        assert (ran.code, ran.data["steps"][0]["would"], it.state(call)) == (1, "window closed", "succeeded")


@pytest.mark.promise("P9", "P1")
async def test_only_those_whom_the_rules_name_take_back_and_in_time(tmp_path: Path) -> None:
    rules = RULES + "  crm.update:\n    undo: {who: [finance], within: 1 hour}\n"
    async with house_of(tmp_path) as home:
        await home.rules(rules=rules)
        it = await desk(home, tmp_path)
        call = await it.update(company="Birch")
        refused = await it.lockkeep("undo", "call", call, "--apply", "--json")
        fine = await it.lockkeep("undo", "call", call, "--json", by="dee")
        home.clock.ahead = timedelta(hours=2)
        late = await it.lockkeep("undo", "call", call, "--json", by="dee")

        assert (refused.code, refused.data["steps"][0]["would"]) == (1, "not allowed")
        assert fine.data["steps"][0]["would"] == "restores"
        assert late.data["steps"][0]["would"] == "not allowed"
        assert it.state(call) == "succeeded"


@pytest.mark.promise("P4", "P9")
async def test_people_who_must_agree_are_asked_and_the_gateway_goes_on(tmp_path: Path) -> None:
    rules = RULES + "  crm.update:\n    undo: {who: [lead], ask: {from: [finance]}}\n"
    async with house_of(tmp_path) as home:
        await home.rules(rules=rules)
        it = await desk(home, tmp_path)
        call = await it.update(company="Birch")
        ran = await it.lockkeep("undo", "call", call, "--apply", "--json")
        assert (ran.data["state"], it.state(call)) == ("running", "succeeded")
        assert "finance must agree" in ran.data["steps"][0]["note"]
        row = home.store.read.one("call_get", id=ran.data["steps"][0]["undo"])
        assert row is not None
        await home.vote(row["approval"], "dee")
        with anyio.fail_after(10):
            while it.state(call) != "undone":
                await anyio.sleep(0.05)
        assert (await it.record())["company"] == "Larch"


@pytest.mark.promise("P1", "P9")
async def test_what_the_rules_refuse_of_everybody_undo_is_refused_too(tmp_path: Path) -> None:
    everywhere = RULES.replace("policy: desk", "policy: all").replace(
        "{agents: [robot]}", "{everywhere: true}"
    )
    guard = everywhere.replace(
        '"crm.*":\n    allow: anyone',
        'crm.update:\n    deny: [{name: frozen, when: "id != null", say: Frozen.}]',
    )
    async with house_of(tmp_path) as home:
        it = await desk(home, tmp_path)
        call = await it.update(company="Birch")
        await home.rules(guard=guard)
        ran = await it.lockkeep("undo", "call", call, "--apply", "--json")

        step = ran.data["steps"][0]
        assert (step["would"], step["note"], it.state(call)) == ("not allowed", "Frozen.", "succeeded")


@pytest.mark.promise("P5", "P9")
async def test_under_a_stop_nothing_is_taken_back_until_a_second_person_lets_it(tmp_path: Path) -> None:
    async with house_of(tmp_path) as home:
        it = await desk(home, tmp_path)
        call = await it.update(company="Birch")
        await home.throw("all")
        stopped = await it.lockkeep("undo", "call", call, "--apply", "--json")
        assert (stopped.data["steps"][0]["would"], it.state(call)) == ("stopped", "succeeded")
        allowed = await it.lockkeep("resume", "all", "--undo-only", "--reason", "repair")
        done = await it.lockkeep("undo", "call", call, "--apply", "--json")

        assert (allowed.code, done.code, it.state(call)) == (0, 0, "undone"), (allowed.err, done.out)
        assert (await it.call("get", kind="lead", id=it.lead))["code"] == "switch.killed"


async def test_one_call_is_taken_back_once_whoever_asks(tmp_path: Path) -> None:
    async with house_of(tmp_path) as home:
        it = await desk(home, tmp_path)
        call = await it.update(company="Birch")
        first = await it.lockkeep("undo", "call", call, "--apply", "--json")
        again = await it.lockkeep("undo", "call", call, "--apply", "--json", by="cy")

        assert (first.code, again.code) == (0, 1)
        assert again.data["steps"][0]["note"] == "the call is undone"


async def test_without_a_persons_token_nothing_is_taken_back(tmp_path: Path) -> None:
    async with house_of(tmp_path) as home:
        it = await desk(home, tmp_path)
        call = await it.update(company="Birch")
        environ = {"LOCKKEEP_DATA": str(tmp_path / "data"), "PATH": ""}
        local = await command(environ, "undo", "call", call, "--apply")
        agent = await command(
            {**environ, "LOCKKEEP_TOKEN": await home.token("ana", "robot")}, "undo", "call", call
        )

        assert (local.code, agent.code) == (2, 2)
        assert "person" in local.err


@pytest.mark.promise("P9")
async def test_a_way_back_that_hides_somebodys_change_is_a_conflict(tmp_path: Path) -> None:
    async with house_of(tmp_path) as home:
        it = await desk(home, tmp_path)
        made = it.newest("crm.upsert_lead")
        await it.they_change(name="Theirs")
        await it.undo("call", await it.update(company="Birch"))
        ran = await it.undo("call", made)

        assert (ran.data["steps"][0]["would"], it.state(made)) == ("conflict", "succeeded")
        assert ((await it.record())["name"], (await it.record()).get("archived")) == ("Theirs", False)


@pytest.mark.full
@pytest.mark.promise("P9")
async def test_what_was_made_goes_once_our_own_later_changes_are_taken_back(tmp_path: Path) -> None:
    async with house_of(tmp_path) as home:
        it = await desk(home, tmp_path)
        made, changed = it.newest("crm.upsert_lead"), await it.update(company="Birch")
        first = await it.undo("call", changed)
        then = await it.undo("call", made)

        assert (first.code, then.code, it.state(made)) == (0, 0, "undone")
