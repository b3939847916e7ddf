"""Edit before approve: what is changed is another call, judged and agreed to as such (A10)."""

from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from house import House, house, said
from lockkeep.ledger import edits
from lockkeep.ledger.approvals import Refusal, Voted
from lockkeep.ledger.edits import Edited
from lockkeep.model import Denied, Deny
from waiting import PAY, RULES, approval_of, asked, edited, paid, row, states, until


@pytest.mark.promise("P3", "P4")
async def test_more_than_was_asked_for_asks_the_people_for_more(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        made = await edited(home, await asked(home), "bo", 6000)
        again = await approval_of(home, made)
        assert await home.vote(again, "cy") == Voted("pending", ("finance",))
        assert await home.vote(again, "dee") == Voted("approved")
        await until(home, ["cancelled", "succeeded"], ["superseded", "consumed"])

        assert paid(home) == [6000]


@pytest.mark.promise("P3", "P4")
async def test_votes_over_the_old_call_are_none_over_the_new_one(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        approval = await asked(home, amount_minor=9000)
        await home.vote(approval, "dee")
        again = await approval_of(home, await edited(home, approval, "bo", 8000))

        assert isinstance(await home.vote(approval, "cy"), Refusal)
        assert await home.vote(again, "cy") == Voted("pending", ("finance",))
        assert paid(home) == []


@pytest.mark.promise("P2", "P3")
async def test_of_two_who_edit_at_once_one_does(tmp_path: Path) -> None:
    made: list[Edited | Refusal] = []
    async with house(tmp_path, rules=RULES) as home:
        approval = await asked(home, amount_minor=9000)

        async def change(by: str, minor: int) -> None:
            made.append(await edited(home, approval, by, minor))

        async with anyio.create_task_group() as group:
            group.start_soon(change, "bo", 400)
            group.start_soon(change, "cy", 300)
        await until(home, ["cancelled", "succeeded"], ["superseded"])

        assert sorted(type(each).__name__ for each in made) == ["Edited", "Refusal"]
        assert len(paid(home)) == 1


@pytest.mark.promise("P3")
@pytest.mark.parametrize("ended", ["approved", "denied", "expired"])
async def test_what_waits_for_nobody_any_more_is_not_edited(tmp_path: Path, ended: str) -> None:
    async with house(tmp_path, rules=RULES) as home:
        approval = await asked(home)
        await home.throw("tool:shop.read", mode="pause")
        await home.throw("tool:shop.pay", mode="pause")
        if ended == "expired":
            home.clock.ahead = timedelta(hours=9)
        else:
            await home.vote(approval, "cy", "deny" if ended == "denied" else "approve")

        assert isinstance(await edited(home, approval, "bo", 100), Refusal)
        assert paid(home) == []


@pytest.mark.promise("P2")
async def test_an_edit_that_makes_it_what_has_run_already_runs_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        assert said(await home.call("shop.pay", {**PAY, "amount_minor": 400}))["applied"] is True
        approval = await asked(home)
        await edited(home, approval, "bo", 400)
        with anyio.fail_after(10):
            while home.store.read.all("edits_open"):
                await anyio.sleep(0.02)
        answer = said(await home.call("lockkeep_wait", {"approval_id": approval}))

        assert (answer["applied"], paid(home)) == (True, [400])


@pytest.mark.promise("P2")
async def test_an_edited_call_gives_its_share_of_a_limit_back_and_takes_its_own(tmp_path: Path) -> None:
    limited = RULES.replace("    deny:\n", "    limit: 1 per hour per agent\n    deny:\n")
    async with house(tmp_path, rules=limited) as home:
        await edited(home, await asked(home), "bo", 400)
        await until(home, ["cancelled", "succeeded"], ["superseded"])
        full = said(await home.call("shop.pay", {**PAY, "id": "p2", "amount_minor": 100}))

        assert (paid(home), full["code"]) == ([400], "policy.limit")


@pytest.mark.promise("P6")
async def test_an_edit_the_gateway_cannot_decide_for_now_is_decided_later(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        original, tries = home.gateway.ledger.receive, list[int]()

        async def down(call: object) -> object:
            tries.append(1)
            if len(tries) == 1:
                raise OSError("disk")
            return await original(call)  # pyright: ignore[reportArgumentType]

        approval = await asked(home)
        home.gateway.ledger.receive = down  # pyright: ignore[reportAttributeAccessIssue]
        await edited(home, approval, "bo", 400)
        await until(home, ["cancelled", "succeeded"], ["superseded"])

        assert (paid(home), len(tries)) == ([400], 2)


@pytest.mark.promise("P3")
async def test_what_takes_another_call_back_is_not_edited(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        done = said(await home.call("shop.pay", {**PAY, "id": "p9", "amount_minor": 100}))
        assert done["applied"] is True
        approval = await asked(home)
        first = home.store.read.all("calls_in_state", state="succeeded")[0]["id"]
        call = row(home, approval)["call"]
        await home.store.write(
            lambda tx: tx._db.execute(  # pyright: ignore[reportPrivateUsage] - as if it were one
                "UPDATE calls SET undo_of = ? WHERE id = ?", (first, call)
            )
        )
        refused = await edited(home, approval, "bo", 400)

        assert isinstance(refused, Refusal)
        assert (states(home), paid(home)) == (["pending"], [100])


@pytest.mark.promise("P3")
async def test_only_what_every_rule_names_is_changed(tmp_path: Path) -> None:
    async with house(
        tmp_path, rules=RULES.replace("from: [lead, finance], edit: [amount]", "from: [lead, finance]")
    ) as home:
        small, large = await asked(home), await asked(home, id="p2", amount_minor=6000)
        refused, made = await edited(home, large, "bo", 400), await edited(home, small, "bo", 400)

        assert (type(refused), type(made)) == (Refusal, Edited)
        assert edits.editable(row(home, large)) == frozenset()


@pytest.mark.promise("P3")
async def test_a_switch_stops_what_was_edited_like_any_other_call(tmp_path: Path) -> None:
    async with house(tmp_path, rules=RULES) as home:
        approval = await asked(home)
        await home.throw(mode="pause")
        made = await edited(home, approval, "bo", 400)
        assert isinstance(made, Edited)
        await until(home, ["cancelled", "denied"], ["superseded"])
        outcome = home.gateway.ledger.outcome(made.successor)

        assert isinstance(outcome, Denied)
        assert isinstance(outcome.deny, Deny)
        assert (outcome.deny.code.partition(".")[0], paid(home)) == ("switch", [])


async def waits_for_the_edited_call(home: House, heard: list[dict[str, object]]) -> None:
    heard.append(said(await home.call("shop.pay", PAY)))


@pytest.mark.promise("P2", "P3")
async def test_a_host_that_waits_gets_what_became_of_the_edited_call(tmp_path: Path) -> None:
    heard: list[dict[str, object]] = []
    async with house(tmp_path, hold_s=10, rules=RULES) as home:
        async with anyio.create_task_group() as group:
            group.start_soon(waits_for_the_edited_call, home, heard)
            with anyio.fail_after(10):
                while not (found := home.store.read.all("approvals_list", state="pending", count=1)):
                    await anyio.sleep(0.02)
            await edited(home, found[0]["id"], "bo", 400)

        assert (heard, paid(home)) == ([{"applied": True, "id": "p1"}], [400])
