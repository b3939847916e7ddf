"""`change`, on random sets through the real ledger: judged again as it is sent, cut once, and what people agree to (P3)."""

import os
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.unit.policies import bundles
from tests.unit.policies.bundles import ALL, TOOL, Draw, Said, World, files_of, judged, loaded
from tests.unit.policies.room import NOW
from tests.unit.policies.traffic import Desk

from lockkeep.ledger import Ledger, approvals, calls, generations
from lockkeep.ledger.digests import asked, bound
from lockkeep.model import (
    Allow,
    Answer,
    Claim,
    Denied,
    Diverted,
    Json,
    Outcome,
    Pending,
    Request,
    RequireApproval,
    Succeeded,
)
from lockkeep.store import Store

SEED = os.environ.get("PROOF_SEED", "1")
LOWEST = 1  # what the tool takes for `n`: a cut below it does not fit
NARROW = replace(
    ALL[TOOL],
    input={**ALL[TOOL].input, "properties": {**ALL[TOOL].input["properties"], "n": {"type": "number", "minimum": LOWEST}}},
)  # fmt: skip
LOCK = bundles.lock([NARROW, *(ALL[name] for name in bundles.NAMES if name != TOOL)])
LIFTED = {"cap": 4000, "EUR": 3000, "USD": 3300}  # minor units, as VALUES has them


@dataclass
class Bench(Desk):
    """One gateway that sends what it is given, and keeps it."""

    world: World = field(default_factory=lambda: World({}, "ana", "desk", {}, {}))
    sent: list[Claim] = field(default_factory=list[Claim])

    async def look_up(self, tool: str, given: Mapping[str, Json], timeout: float) -> Json:
        return await self.world.look_ups()(tool, given, timeout)

    async def send(self, claim: Claim) -> Answer:
        self.sent.append(claim)
        return Answer(state="succeeded", result={"structuredContent": {"ok": True}})

    async def ask(self) -> Outcome:
        """The same call as a request of its own."""
        self.made += 1
        request = Request(
            id=f"call_{self.made}", tool=ALL[TOOL].exported, arguments=self.world.arguments, user=self.world.user,
            agent=self.world.agent, host="h", at=NOW, key=self.world.arguments["u"],
        )  # fmt: skip
        return await self.pipeline.run(request)

    def in_force(self, bundle: list[Said]) -> None:
        files = files_of(bundle, LOCK)
        after = generations.newest(self.ledger.store.read)
        self.ledger.store.write_now(
            lambda tx: generations.activate(tx, files, after=after, by="t", reason="t", now=NOW)
        )
        self.rules = replace(loaded(bundle, LOCK), generation=after + 1)


@contextmanager
def bench(folder: Path) -> Generator[Bench]:
    store = Store(folder / "x.db")
    numbers = iter(range(1, 1_000_000))
    ledger = Ledger(store, folder=folder, clock=lambda: NOW, new_id=lambda kind: f"{kind}_{next(numbers):06}")
    try:
        yield Bench(ledger, loaded([], LOCK), Random(1))
    finally:
        store.close()


def cutting(draw: Draw) -> list[Said]:
    """Somebody is allowed, and one to three changes speak about the call."""
    chance, bundle = draw.chance, draw.bundle()
    bundle[0]["applies_to"], bundle[0]["tools"][TOOL]["allow"] = {"everywhere": True}, "anyone"
    for file in bundle:
        for block in file["tools"].values():
            block.pop("change", None)
    for block in chance.sample(
        [bundle[0]["tools"][TOOL], *(file["tools"][TOOL] for file in bundle[1:])], len(bundle)
    ):
        said = {
            "n": f"at_most {chance.choice((0, 1, 3, 5))}",
            "amount": chance.choice(("at_most cap", "at_most table")),
        }
        block["change"] = {name: said[name] for name in chance.sample(sorted(said), chance.choice((1, 1, 2)))}
    return bundle


def without_changes(bundle: list[Said]) -> list[Said]:
    found = deepcopy(bundle)
    for file in found:
        for block in file["tools"].values():
            block.pop("change", None)
    return found


def cut_by_hand(bundle: list[Said], world: World) -> dict[str, Json]:
    """The arguments as the changes leave them: the smallest maximum counts. KeyError: no maximum in that currency."""
    given, found = world.arguments, dict(world.arguments)
    for file in bundle:
        if file["applies_to"].get("agents", [world.agent]) != [world.agent]:
            continue
        said = file["tools"][TOOL].get("change", {})
        if "n" in said:
            found["n"] = min(found["n"], int(said["n"].split()[1]))
        if "amount" in said:
            currency = "EUR" if said["amount"] == "at_most cap" else given["currency"]
            most = LIFTED["cap"] if said["amount"] == "at_most cap" else LIFTED[given["currency"]]
            if currency != given["currency"]:
                raise KeyError(given["currency"])
            found["amount_minor"] = min(found["amount_minor"], most)
    return found


async def expected(bundle: list[Said], world: World) -> tuple[str, dict[str, Json]]:
    """What comes of it, worked out without `change`: as asked, cut by hand, and once more as it would be sent."""
    plain = loaded(without_changes(bundle), LOCK)
    verdict = (await judged(plain, world.call(plain), world.look_ups())).verdict
    if not isinstance(verdict, Allow | RequireApproval):
        return kind(verdict), {}
    try:
        sent = cut_by_hand(bundle, world)
    except KeyError:
        return "policy.error", {}
    if sent["n"] < LOWEST:
        return "policy.error", {}
    again = World(sent, world.user, world.agent, world.payment, world.lead)
    finding = await judged(plain, again.call(plain), again.look_ups())
    assert finding.basis is not None
    passes = isinstance(finding.verdict, Allow | RequireApproval)
    if passes and any(share.units > share.most and not share.over for share in finding.basis.shares):
        return "policy.limit", {}
    return kind(finding.verdict), sent


def kind(verdict: Any) -> str:
    return getattr(verdict, "code", None) or type(verdict).__name__


@pytest.mark.promise("P3")
@pytest.mark.parametrize(
    "cases", [pytest.param(range(4), id="sample"), pytest.param(range(200), id="all", marks=pytest.mark.full)]
)
async def test_a_cut_call_is_judged_as_it_is_sent_once_and_that_is_what_people_agree_to(
    tmp_path: Path, cases: range
) -> None:
    seen = Counter[str]()
    with bench(tmp_path) as desk:
        for number in cases:
            draw = Draw(f"cuts {SEED} {number}")
            bundle = cutting(draw)
            desk.world = draw.world()
            desk.world.user = "ana"  # whom nobody asks
            desk.world.arguments |= {"n": draw.chance.choice((1, 2, 7)), "u": f"u{number}"}
            word, sent = await expected(bundle, desk.world)
            desk.in_force(bundle)
            desk.sent.clear()
            outcome = await desk.ask()
            seen[word] += 1
            check(desk, outcome, word, sent, number)
            await check_again(desk, bundle, outcome, number)
    if len(cases) == 200:
        assert min(seen["Allow"], seen["RequireApproval"], seen["policy.error"], seen["policy.rule"]) > 0, (
            seen
        )


def check(desk: Bench, outcome: Outcome, word: str, sent: dict[str, Json], number: int) -> None:
    match outcome:
        case Denied():
            assert (outcome.deny.code, desk.sent) == (word, []), number
        case Diverted():
            assert (word, desk.sent) == ("Divert", []), number
        case Pending():
            assert (word, desk.sent) == ("RequireApproval", []), number
            agreed_to(desk, outcome, sent, number)
        case _:
            assert isinstance(outcome, Succeeded)
            assert (word, [dict(claim.arguments) for claim in desk.sent]) == ("Allow", [sent]), number


def agreed_to(desk: Bench, outcome: Pending, sent: dict[str, Json], number: int) -> None:
    """`bound` covers what would be sent, `asked` what was asked for."""
    read = desk.ledger.store.read
    row, call = approvals.find(read, outcome.approval), calls.find(read, outcome.call)
    wanted = desk.world.call(desk.rules)
    as_asked = asked(
        tool=TOOL, arguments=desk.world.arguments, user=desk.world.user, agent=desk.world.agent, run=None
    )
    assert row["bound"] == bound(wanted, sent, call["rules"]), number
    assert (row["bound"] == bound(wanted, wanted.arguments, call["rules"])) == (sent == wanted.arguments), (
        number
    )
    assert call["asked"] == as_asked, number


async def check_again(desk: Bench, bundle: list[Said], outcome: Outcome, number: int) -> None:
    """A repeat gets the recorded outcome, whatever the files say by now: nothing is cut a second time."""
    smaller = deepcopy(bundle)
    smaller[0]["tools"][TOOL]["change"] = {"n": "at_most 1", "amount": "at_most cap"}
    sent = len(desk.sent)
    if isinstance(outcome, Succeeded | Pending):
        desk.in_force(smaller)
        again = await desk.ask()
        assert again.call == outcome.call, number
        assert len(desk.sent) == sent, number
