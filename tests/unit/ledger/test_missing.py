"""Who is still missing, against every way of seating the voters (P4)."""

import random
from itertools import permutations

import pytest

from lockkeep.ledger.approvals import eligible, missing, places
from lockkeep.model import Demand, Person

GROUPS = ("a", "b", "c", "d")


def fills(demand: Demand, voters: list[Person]) -> int:
    """The most places that different voters can fill, by trying every order."""
    seats = places(demand)
    padded = [*voters, *[None] * len(seats)]
    return max(
        sum(1 for voter, seat in zip(order, seats, strict=False) if voter is not None and voter.groups & seat)
        for order in permutations(padded, len(seats))
    )


def sample(seed: int) -> tuple[list[Demand], dict[str, Person], list[str]]:
    rolled = random.Random(seed)
    people = {
        name: Person(
            id=name, groups=frozenset(rolled.sample(GROUPS, rolled.randint(0, 3))), roles=frozenset()
        )
        for name in ("p", "q", "r", "s")
    }
    demands = [
        Demand(rule="r", each=tuple(rolled.sample(GROUPS, rolled.randint(1, 3))), count=rolled.randint(1, 3))
        if rolled.random() < 0.5
        else Demand(
            rule="r", any_of=tuple(rolled.sample(GROUPS, rolled.randint(1, 3))), count=rolled.randint(1, 3)
        )
        for _ in range(rolled.randint(1, 2))
    ]
    return demands, people, rolled.sample(sorted(people), rolled.randint(0, 4))


@pytest.mark.promise("P4")
def test_five_hundred_random_demands_are_met_exactly_when_the_voters_can_be_seated() -> None:
    met = 0
    for seed in range(500):
        demands, people, agreed = sample(seed)
        voters = [people[name] for name in agreed]
        enough = all(fills(demand, voters) == len(places(demand)) for demand in demands)

        assert (missing(demands, agreed, confirmed=False, people=people) == ()) is enough, seed
        met += enough

    assert 50 < met < 450


@pytest.mark.promise("P4")
def test_what_is_missing_would_be_enough_if_it_came() -> None:
    for seed in range(500):
        demands, people, agreed = sample(seed)
        wanted = missing(demands, agreed, confirmed=False, people=people)
        helpers = {
            f"new-{n}-{which}": Person(
                id=f"new-{n}-{which}", groups=frozenset({group.split(" or ")[0]}), roles=frozenset()
            )
            for which, group in enumerate(wanted)
            for n in range(3)
        }
        assert missing(demands, [*agreed, *helpers], confirmed=False, people=people | helpers) == (), seed


@pytest.mark.promise("P4")
def test_one_person_counts_once_and_strangers_not_at_all() -> None:
    ana = Person(id="ana", groups=frozenset({"a"}), roles=frozenset())
    two = [Demand(rule="r", any_of=("a",), count=2)]

    assert missing(two, ["ana", "ana", "nobody"], confirmed=False, people={"ana": ana}) == ("a",)


@pytest.mark.promise("P4")
def test_the_requesters_own_yes_is_wanted_beside_the_others_and_only_where_asked() -> None:
    own = [Demand(rule="r", confirm=True), Demand(rule="s", any_of=("a",))]

    assert missing(own, [], confirmed=False, people={}) == ("the requester's own yes", "a")
    assert missing(own[:1], [], confirmed=True, people={}) == ()


@pytest.mark.promise("P4")
def test_who_is_barred_may_not_vote_whatever_the_groups() -> None:
    people = {name: Person(id=name, groups=frozenset({"a"}), roles=frozenset()) for name in ("p", "q", "r")}

    assert eligible([Demand(rule="r", each=("a", "b"))], people, frozenset({"q"})) == {"p", "r"}
