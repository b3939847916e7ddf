"""Who sits where: groups, stand-ins and those who never decide, against every way of seating them (A13, V2, V5, V7)."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lockkeep.errors import NotAllowed
from lockkeep.ledger import approvals, delegations
from lockkeep.ledger.approvals import Refusal, Voted, missing, places
from lockkeep.model import Demand, Person
from unit.ledger.council import BOTH, LEAD, PEOPLE, council

GROUPS = ("a", "b", "c")
NAMES = ("p", "q", "r", "s")


def seatings(
    voters: Sequence[Person], used: frozenset[str] = frozenset()
) -> Iterator[list[tuple[Person, frozenset[str]]]]:
    """Every way to give each voter one seat or none, no seat twice: written down without the code under test."""
    if not voters:
        yield []
        return
    first, *others = voters
    seats = {first.id: first.groups | {f"user:{first.id}"}, **first.lent}
    for rest in seatings(others, used):
        yield rest
    for whose, groups in seats.items():
        if whose not in used:
            for rest in seatings(others, used | {whose}):
                yield [(first, groups), *rest]


def most_filled(demand: Demand, voters: Sequence[Person]) -> int:
    """The most places that can be filled, trying every seating and every order of the places."""

    def fill(left: list[frozenset[str]], seated: list[tuple[Person, frozenset[str]]]) -> int:
        if not left or not seated:
            return 0
        (_, groups), *others = seated
        best = fill(left, others)
        for index, place in enumerate(left):
            if groups & place:
                best = max(best, 1 + fill(left[:index] + left[index + 1 :], others))
        return best

    return max(fill(places(demand), seated) for seated in seatings(voters))


def sample(seed: int) -> tuple[Demand, dict[str, Person], list[str]]:
    rolled = random.Random(seed)
    groups = {name: frozenset(rolled.sample(GROUPS, rolled.randint(0, 2))) for name in NAMES}
    lent: dict[str, dict[str, frozenset[str]]] = {name: {} for name in NAMES}
    for _ in range(rolled.randint(0, 3)):
        lender, stand_in = rolled.sample(NAMES, 2)
        lent[stand_in][lender] = groups[lender]
    people = {
        name: Person(id=name, groups=groups[name], roles=frozenset(), lent=lent[name]) for name in NAMES
    }
    named = tuple(rolled.sample(GROUPS, rolled.randint(1, 3)))
    demand = (
        Demand(rule="r", each=named, count=rolled.randint(1, 3))
        if rolled.random() < 0.5
        else Demand(rule="r", any_of=named, count=rolled.randint(1, 3))
    )
    return demand, people, rolled.sample(NAMES, rolled.randint(0, 4))


def check(seeds: range) -> int:
    met = 0
    for seed in seeds:
        demand, people, agreed = sample(seed)
        unfilled = missing([demand], agreed, confirmed=False, people=people)
        filled = most_filled(demand, [people[name] for name in agreed])
        assert (unfilled == ()) is (filled == len(places(demand))), seed
        met += not unfilled
    return met


@pytest.mark.promise("P4")
def test_people_and_stand_ins_are_enough_exactly_when_they_can_be_seated() -> None:
    assert 20 < check(range(150)) < 130


@pytest.mark.full
@pytest.mark.promise("P4")
def test_people_and_stand_ins_are_enough_exactly_when_they_can_be_seated_two_thousand_times() -> None:
    assert 300 < check(range(150, 2150)) < 1700


TWO = Demand(rule="two", any_of=("lead",), count=2)
CASES: tuple[tuple[str, Demand, tuple[tuple[str, str], ...], tuple[str, ...], tuple[str, ...]], ...] = (
    # what it is about, the demand, who lends to whom, who says yes, what is still missing
    ("one of each", BOTH, (), ("bo", "dee"), ()),
    ("the other order", BOTH, (), ("dee", "bo"), ()),
    ("only one group", BOTH, (), ("bo",), ("finance",)),
    ("two of one group", BOTH, (), ("bo", "eve"), ("finance",)),
    ("in both, alone", BOTH, (), ("cy",), ("finance",)),
    ("in both, and a lead", BOTH, (), ("cy", "bo"), ()),
    ("in both, and finance", BOTH, (), ("cy", "dee"), ()),
    ("a stand-in for one place", BOTH, (("bo", "dee"),), ("dee",), ("lead",)),
    ("a stand-in and finance", BOTH, (("bo", "dee"),), ("dee", "cy"), ()),
    ("a lender and their stand-in", BOTH, (("cy", "ada"),), ("cy", "ada"), ("finance",)),
    ("a lender, who votes, too", TWO, (("bo", "dee"),), ("bo", "dee"), ("lead",)),
    ("two stand-ins of one", TWO, (("bo", "dee"), ("bo", "ada")), ("dee", "ada"), ("lead",)),
    ("stand-ins of two", TWO, (("bo", "dee"), ("eve", "ada")), ("dee", "ada"), ()),
    ("one stand-in of two", TWO, (("bo", "dee"), ("eve", "dee")), ("dee",), ("lead",)),
    ("one of two, and a lender", TWO, (("bo", "dee"), ("eve", "dee")), ("dee", "bo"), ()),
    ("own seat first", TWO, (("bo", "eve"),), ("eve", "bo"), ()),
    ("two of any", TWO, (), ("bo", "eve"), ()),
    ("twice the same is once", TWO, (), ("bo",), ("lead",)),
    ("a person by name", Demand(rule="n", each=("user:bo",)), (), ("bo",), ()),
    ("a person by name, another", Demand(rule="n", each=("user:bo",)), (), (), ("user:bo",)),
    ("a person by name lends", Demand(rule="n", each=("user:bo",)), (("bo", "dee"),), ("dee",), ()),
    ("two rules, one person each", Demand(rule="m", each=("lead", "lead")), (), ("bo", "cy"), ()),
    ("count over the names", replace(BOTH, count=3), (), ("bo", "dee"), ("finance or lead",)),
    ("count over the names, met", replace(BOTH, count=3), (), ("bo", "dee", "eve"), ()),
    ("escalated to others", replace(LEAD, also=("finance",)), (), ("dee",), ()),
    ("nobody", BOTH, (), (), ("lead", "finance")),
)  # fmt: skip


@pytest.mark.promise("P4")
async def test_each_seating_leaves_the_places_it_should(tmp_path: Path) -> None:
    with council(tmp_path) as room:
        for name, demand, lent, agreed, waits in CASES:
            room.people = {**PEOPLE, "ada": Person(id="ada", groups=frozenset(), roles=frozenset())}
            lendings = [await room.lend(who, to) for who, to in lent]
            approval = await room.park(room.call(name), demand)
            for person in agreed:
                await room.vote(approval, person)
            assert set(room.waits_for(approval)) == set(waits), name
            assert room.state(approval) == ("pending" if waits else "approved"), name
            room.now += timedelta(hours=2)
            for number in lendings:
                await room.store.write(
                    lambda tx, number=number: delegations.take_back(
                        tx, number, "t", anybodys=True, now=room.now
                    )
                )


@pytest.mark.promise("P4")
async def test_a_seat_goes_no_further_than_to_the_one_it_was_lent_to(tmp_path: Path) -> None:
    with council(tmp_path) as room:
        await room.lend("bo", "dee")
        await room.lend("dee", "ana")
        approval = await room.park(room.call(user="cy"), LEAD)

        assert isinstance(await room.vote(approval, "ana"), Refusal)
        assert await room.vote(approval, "dee") == Voted("approved")
        with pytest.raises(NotAllowed):
            await room.lend("dee", "ana", ["lead"])


@pytest.mark.promise("P4")
async def test_a_seat_is_lent_from_its_first_to_its_last_moment(tmp_path: Path) -> None:
    with council(tmp_path) as room:
        await room.lend("bo", "dee", begins=0.25, hours=0.5)
        found: list[bool] = []
        for name, minutes in (("a", 0), ("b", 14.9999), ("c", 15), ("d", 29.9999), ("e", 30)):
            approval = await room.park(room.call(name), LEAD)
            begin, room.now = room.now, room.now + timedelta(minutes=minutes)
            found.append(isinstance(await room.vote(approval, "dee"), Voted))
            room.now = begin

    assert found == [False, False, True, True, False]


@pytest.mark.promise("P4")
@pytest.mark.parametrize(
    "became", ["stand-in of the requester", "owner of the agent", "removed", "out of the group"]
)
async def test_a_yes_counts_only_while_its_voter_may_still_give_it(tmp_path: Path, became: str) -> None:
    with council(tmp_path) as room:
        approval, owner = await room.park(room.call(), LEAD), "olga"
        await room.vote(approval, "bo")
        before = room.waits_for(approval)
        if became == "stand-in of the requester":
            await room.lend("ana", "bo")
        elif became == "owner of the agent":
            owner = "bo"
        elif became == "removed":
            room.people = {name: person for name, person in PEOPLE.items() if name != "bo"}
        else:
            room.people = {**PEOPLE, "bo": replace(PEOPLE["bo"], groups=frozenset())}

        assert (before, room.waits_for(approval, owner)) == ((), ("lead",))


@pytest.mark.promise("P4")
async def test_a_stand_ins_yes_ends_with_their_standing_in(tmp_path: Path) -> None:
    with council(tmp_path) as room:
        approval = await room.park(room.call(), BOTH)
        await room.lend("bo", "dee", hours=0.1)
        await room.vote(approval, "dee")
        room.now += timedelta(minutes=7)

        assert await room.vote(approval, "cy") == Voted("approved")  # dee's own seat is left, and cy's
        assert room.state(approval) == "approved"
        other = await room.park(room.call("y"), LEAD)
        number = await room.lend("bo", "dee")
        await room.vote(other, "dee")
        await room.store.write(
            lambda tx: delegations.take_back(tx, number, "bo", anybodys=False, now=room.now)
        )
        assert room.waits_for(other) == ("lead",)


@pytest.mark.promise("P4")
def test_somebody_unmapped_is_nobody() -> None:
    unmapped = Demand(rule="r", each=("person:gone",))

    assert approvals.eligible([unmapped], PEOPLE, frozenset()) == frozenset()
    assert missing([unmapped], sorted(PEOPLE), confirmed=True, people=PEOPLE) == ("person:gone",)
