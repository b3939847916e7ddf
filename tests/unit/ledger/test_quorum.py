"""Many say yes at once: one agreement, one claim (A2, V4, V10, V11)."""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lockkeep.ledger import approvals
from lockkeep.ledger.approvals import Refusal, Voted
from lockkeep.model import Claim, Demand, Person
from lockkeep.store import Store, Tx
from unit.ledger.council import BOTH, LEAD, Council, council

VOTERS = ("v1", "v2", "v3", "v4")
CROWD = {name: Person(id=name, groups=frozenset({"lead"}), roles=frozenset()) for name in VOTERS}


class Rush:
    """Four people, each with a connection of their own, who press at the same moment."""

    def __init__(self, room: Council, path: Path) -> None:
        self.room = room
        self.stores = [Store(path) for _ in VOTERS]

    def press(self, *works: Callable[[Tx], Any]) -> list[Any]:
        together, heard = threading.Barrier(len(works)), list[Any]()

        def one(store: Store, work: Callable[[Tx], Any]) -> None:
            together.wait(5)
            heard.append(store.write_now(work))

        threads = [threading.Thread(target=one, args=pair) for pair in zip(self.stores, works, strict=False)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        return heard

    def voting(
        self, approval: str, person: str, decision: approvals.Decision = "approve"
    ) -> Callable[[Tx], Any]:
        return partial(
            approvals.vote, approval=approval, person=CROWD[person], decision=decision, reason="r", channel="test",
            shown=self.room.row(approval)["bound"], now=self.room.now, people=CROWD, owner="olga",
        )  # fmt: skip

    def close(self) -> None:
        for store in self.stores:
            store.close()


async def collide(folder: Path, quorum: int, times: int) -> None:
    """Each time one more presses than are needed; one of them is the last that counts."""
    with council(folder) as room:
        rush = Rush(room, folder / "x.db")
        demand = Demand(rule="r", any_of=("lead",), count=quorum)
        try:
            for turn in range(times):
                call = room.call(f"{turn}", agent=f"robot{turn}")
                approval = await room.park(call, demand)
                said = rush.press(*(rush.voting(approval, name) for name in VOTERS[: quorum + 1]))
                assert sum(each == Voted("approved") for each in said) == 1, said
                assert sum(isinstance(each, Refusal) for each in said) == 1, said
                claims = [await room.claim(call, approval) for _ in range(2)]
                assert [isinstance(each, Claim) for each in claims] == [True, False]
                assert room.state(approval) == "consumed"
        finally:
            rush.close()
        agreed = [
            row
            for row in room.store.read.all("audit_from", seq=1, count=100_000)
            if '"approval.approved"' in row["record"]
        ]
        assert len(agreed) == times


@pytest.mark.promise("P2", "P4")
@pytest.mark.parametrize("quorum", [1, 2, 3])
async def test_people_who_press_at_once_agree_once_and_it_runs_once(tmp_path: Path, quorum: int) -> None:
    await collide(tmp_path, quorum, 8)


@pytest.mark.full
@pytest.mark.promise("P2", "P4")
@pytest.mark.parametrize("quorum", [1, 2, 3])
async def test_people_who_press_at_once_two_hundred_times(tmp_path: Path, quorum: int) -> None:
    await collide(tmp_path, quorum, 200)


@pytest.mark.promise("P4")
async def test_a_no_and_the_last_yes_at_once_never_run_against_the_no(tmp_path: Path) -> None:
    with council(tmp_path) as room:
        rush = Rush(room, tmp_path / "x.db")
        try:
            for turn in range(15):
                call = room.call(f"{turn}", agent=f"robot{turn}")
                approval = await room.park(call, LEAD)
                rush.press(rush.voting(approval, "v1"), rush.voting(approval, "v2", "deny"))
                claim = await room.claim(call, approval)
                assert (room.state(approval), isinstance(claim, Claim)) == ("denied", False)
        finally:
            rush.close()


@pytest.mark.promise("P2", "P3")
async def test_a_yes_taken_back_and_the_claim_at_once_are_one_or_the_other(tmp_path: Path) -> None:
    with council(tmp_path) as room:
        rush = Rush(room, tmp_path / "x.db")
        ran = 0
        try:
            for turn in range(30):
                call = room.call(f"{turn}", agent=f"robot{turn}")
                approval = await room.park(call, LEAD)
                await room.vote(approval, "bo")
                back = partial(
                    approvals.withdraw, approval=approval, person=room.people["bo"], reason="r", now=room.now
                )
                both: list[Any] = [None]

                def late(back: Any = back, both: list[Any] = both) -> None:
                    both[0] = rush.stores[0].write_now(back)

                thread = threading.Thread(target=late)
                if turn % 2:
                    thread.start()
                claim = await room.claim(call, approval)
                if not turn % 2:
                    thread.start()
                thread.join(10)
                one = isinstance(claim, Claim), both[0] == Voted("revoked")
                assert sum(one) == 1, one
                assert room.state(approval) == ("consumed" if one[0] else "revoked")
                ran += one[0]
        finally:
            rush.close()
        assert ran >= 15


async def test_one_no_ends_it_and_later_words_are_refused(tmp_path: Path) -> None:
    with council(tmp_path) as room:
        approval = await room.park(room.call(), BOTH)
        await room.vote(approval, "bo")

        assert await room.vote(approval, "dee", "deny") == Voted("denied")
        assert isinstance(await room.vote(approval, "cy"), Refusal)
        assert isinstance(await room.withdraw(approval, "bo"), Refusal)


async def test_of_several_rules_all_groups_the_highest_count_and_the_shortest_time_hold(
    tmp_path: Path,
) -> None:
    long = Demand(rule="long", any_of=("lead",), count=2, expires=7200.0)
    with council(tmp_path) as room:
        approval = await room.park(room.call(), BOTH, long)
        assert await room.vote(approval, "bo") == Voted("pending", ("finance", "lead"))
        assert await room.vote(approval, "dee") == Voted("pending", ("lead",))
        assert await room.vote(approval, "eve") == Voted("approved")
        assert room.row(approval)["expires_at"].startswith("2027-03-01T13:00:00")


@pytest.mark.promise("P2", "P3")
async def test_a_yes_is_used_up_by_the_call_it_was_given_to_and_by_no_other(tmp_path: Path) -> None:
    with council(tmp_path) as room:
        call, other = room.call("x"), room.call("y", agent="another")
        approval, parked = await room.park(call, LEAD), await room.park(other, LEAD)
        await room.vote(approval, "bo")
        changed = replace(call, arguments={"text": "z"})

        assert not isinstance(await room.claim(changed, approval), Claim)
        assert not isinstance(await room.claim(other, approval), Claim)
        assert not isinstance(await room.claim(other, parked), Claim)  # nobody agreed to that one
        assert (room.state(approval), room.state(parked)) == ("approved", "pending")
        assert isinstance(await room.claim(call, approval), Claim)
        assert not isinstance(await room.claim(call, approval), Claim)
