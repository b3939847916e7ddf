"""What holds for any policy set: its order says nothing, a restriction never opens, what observes decides nothing.

Sets are drawn at random. `make test` takes a handful, `make test-all` the whole number; PROOF_SEED=2 draws others.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import date
from typing import Any, get_args

import pytest
from tests.unit.policies import bundles
from tests.unit.policies.bundles import TOOL, Draw, Said, World, as_strict, judged, loaded, loads, lock_of

from lockkeep.model import Allow, Basis, Finding, Json, RequireApproval, Risk, Verdict
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.engine.course import OBSERVED

SEED = os.environ.get("PROOF_SEED", "1")
PARTS = 4


def numbers(sample: int, whole: int) -> Any:
    """A few of each run; the whole number in parts, that workers share."""
    each = whole // PARTS
    parts = [
        pytest.param(
            range(part * each, (part + 1) * each), marks=pytest.mark.full, id=f"part {part + 1} of {whole}"
        )
        for part in range(PARTS)
    ]
    return pytest.mark.parametrize("cases", [pytest.param(range(sample), id="sample"), *parts])


async def said(current: PolicySet, world: World, more: Mapping[str, Json] | None = None) -> Finding:
    return await judged(current, world.call(current, more), world.look_ups())


def stands(basis: Basis | None) -> tuple[Any, ...]:
    """What a verdict rests on, but for what only people are shown."""
    assert basis is not None
    return basis.rules, basis.fired, basis.shares


# -- order ------------------------------------------------------------------------------------------------------


@numbers(6, 2_000)
async def test_the_order_of_files_entries_and_keys_changes_nothing(cases: range) -> None:
    for number in cases:
        draw = Draw(f"order {SEED} {number}")
        bundle, world = draw.bundle(), draw.world()
        there, other = loaded(bundle), loaded(draw.chance.sample(draw.shuffled(bundle), len(bundle)))
        one, two = await said(there, world), await said(other, world)

        assert (two.verdict, stands(two.basis)) == (one.verdict, stands(one.basis)), number


# -- more restrictions, fewer allows ----------------------------------------------------------------------------

MORE = ("deny", "deny", "ask", "ask", "people", "limit")
VARIANTS = 5  # of each drawn set


@pytest.mark.promise("P1")
@numbers(2, 5_000 // VARIANTS)
async def test_one_more_restriction_never_opens_and_one_allow_less_never_either(cases: range) -> None:
    for number in cases:
        draw = Draw(f"strict {SEED} {number}")
        bundle, worlds = draw.bundle(), [draw.world() for _ in range(3)]
        current, cut = (
            loaded(bundle),
            any("change" in block for file in bundle for block in file["tools"].values()),
        )
        before = [(await said(current, world)).verdict for world in worlds]
        for stricter in [one_more(draw, bundle) for _ in range(VARIANTS - 1)] + [
            one_allow_less(draw, bundle)
        ]:
            now = loaded(stricter)
            for world, was in zip(worlds, before, strict=True):
                assert as_strict((await said(now, world)).verdict, was, cut=cut), number


def one_more(draw: Draw, bundle: list[Said]) -> list[Said]:
    kind, at = draw.chance.choice(MORE), draw.chance.randrange(len(bundle))
    return bundles.with_more(bundle, at, kind, draw.entry(kind), draw.chance.choice((TOOL, "lab.*")))


def one_allow_less(draw: Draw, bundle: list[Said]) -> list[Said]:
    """One is taken out, or cannot be judged."""
    found = deepcopy(bundle)
    blocks = [block for file in found for block in file["tools"].values() if "allow" in block]
    block: Said = draw.chance.choice(blocks) if blocks else {}
    instead = draw.chance.choice((None, {"when": "1 / 0 == 1"}, {"roles": ["support"], "mode": "observe"}))
    block.pop("allow", None)
    if blocks and (instead or not block):
        block["allow"] = instead or {"users": ["cy"], "mode": "off"}
    return found


# -- what observes ----------------------------------------------------------------------------------------------


@pytest.mark.promise("P1")
@numbers(2, 5_000 // VARIANTS)
async def test_what_only_observes_or_is_off_changes_no_verdict(cases: range) -> None:
    for number in cases:
        draw = Draw(f"observe {SEED} {number}")
        bundle, worlds = draw.bundle(), [draw.world() for _ in range(2)]
        current = loaded(bundle)
        before = [await said(current, world) for world in worlds]
        for _ in range(VARIANTS):
            now = loaded(watched(draw, bundle))
            for world, was in zip(worlds, before, strict=True):
                found = await said(now, world)
                assert (found.verdict, stands(found.basis)) == (was.verdict, stands(was.basis)), number


def watched(draw: Draw, bundle: list[Said]) -> list[Said]:
    """One thing more, that only observes: an entry, a block, a file. What is off says nothing either."""
    chance, mode = draw.chance, draw.chance.choice(("observe", "observe", "observe", "off"))
    match chance.randrange(4):
        case 0:
            return [*bundle, {**draw.file("watching", {"everywhere": True}), "mode": mode}]
        case 1:
            found = deepcopy(bundle)
            chance.choice(found)["tools"]["lab.t*, crm.get"] = {"allow": "anyone", "mode": mode}
            return found
        case 2:
            found = deepcopy(bundle)
            chance.choice(found)["tools"]["lab.tr*"] = {**draw.block(), "mode": mode}
            return found
        case _:
            kind = chance.choice(MORE)
            entry = {**draw.entry(kind), "mode": mode}
            return bundles.with_more(bundle, chance.randrange(len(bundle)), kind, entry)


@pytest.mark.promise("P1")
@numbers(2, 300)
async def test_a_gateway_that_observes_lets_pass_what_is_harmless_and_ends_by_itself(cases: range) -> None:
    """Money and worse are judged as ever; after its last day in the gateway's zone, everything is."""
    for number in cases:
        draw = Draw(f"first days {SEED} {number}")
        bundle, world = draw.bundle(), draw.world()
        for risk in get_args(Risk):
            strict = loaded(bundle, lock_of(risk))
            was = await said(strict, world)
            watching = await said(replace(strict, observe_until=date(2026, 11, 20)), world)
            over = await said(replace(strict, observe_until=date(2026, 11, 19)), world)

            assert (over.verdict, stands(over.basis)) == (was.verdict, stands(was.basis)), number
            if risk in OBSERVED:
                assert watching.verdict == Allow(world.call(strict).arguments), number
                assert watching.basis is not None
                assert (watching.basis.fired, watching.basis.shares) == (("gateway/observe",), ()), number
            else:
                assert (watching.verdict, stands(watching.basis)) == (was.verdict, stands(was.basis)), number


def test_what_may_only_be_observed_is_reads_notes_and_writes() -> None:
    assert set(get_args(Risk)) - OBSERVED == {"money", "customer_visible", "irreversible"}


# -- names ------------------------------------------------------------------------------------------------------

WORDS = (
    "n", "most", "cap", "table", "words", "payment", "lead", "perhaps", "amount", "t", "names", "numbers", "i", "user", "agent", "host", "now",
    "run", "tool", "subject", "args", "call", "read", "values", "result", "refundable", "currency", "b", "m", "fresh", "has", "default", "b2",
)  # fmt: skip
KINDS: tuple[Json, ...] = (
    {"type": "number"}, {"type": "string"}, {"type": "boolean"}, {}, {"type": "array", "items": {"type": "string"}},
    {"type": "object", "properties": {"disputed": {"type": "boolean"}, "id": {"type": "string"}, "roles": {"type": "array"}}},
)  # fmt: skip
GIVEN: tuple[Json, ...] = (5, "x", True, None, ["abc"], {"disputed": True, "id": "ana"})


@pytest.mark.promise("P1")
@numbers(3, 5_000 // VARIANTS)
async def test_a_new_argument_look_up_or_value_never_changes_what_an_entry_means(cases: range) -> None:
    """It means the same as before, or the set does not load."""
    ended = Counter[str]()
    for number in cases:
        draw = Draw(f"names {SEED} {number}")
        bundle, worlds = draw.bundle(), [draw.world() for _ in range(2)]
        current = loaded(bundle)
        before = [await said(current, world) for world in worlds]
        for _ in range(VARIANTS):
            now, given = one_name_more(draw, bundle)
            ended["refused" if now is None else "same"] += 1
            for world, was in zip(worlds, before, strict=True) if now else ():
                assert now is not None
                found = await said(now, world, given)
                assert meant(found, given) == meant(was, given), number
    assert len(cases) < 100 or min(ended["refused"], ended["same"]) > 100  # both are met often


def one_name_more(draw: Draw, bundle: list[Said]) -> tuple[PolicySet | None, dict[str, Json]]:
    """The set with the new name, if it loads, and an argument to give with every call."""
    chance, files = draw.chance, deepcopy(bundle)
    file, word = chance.choice(files), chance.choice(WORDS)
    match chance.randrange(4):
        case 0:
            word = word if word != "args" else "fresh"
            file["values"].setdefault(word, chance.choice((5, "40 EUR", "abc", ["abc"], {"EUR": 1})))
        case 1:
            file["read"].setdefault(word, "billing.payment(payment_id=args.u)")
        case _:
            return with_argument(draw, files, word + chance.choice(("", "", "_minor")))
    return loads(files), {}


def with_argument(draw: Draw, files: list[Said], word: str) -> tuple[PolicySet | None, dict[str, Json]]:
    """The tool takes one argument more. Callers give it, or do not."""
    tool = bundles.ALL[TOOL]
    schema = {"type": "integer"} if word.endswith("_minor") else draw.chance.choice(KINDS)
    if word in tool.input["properties"]:
        return loads(files), {}
    wider = replace(tool, input={**tool.input, "properties": {**tool.input["properties"], word: schema}})
    others = [bundles.ALL[name] for name in bundles.NAMES if name != TOOL]
    given = {word: draw.chance.choice(GIVEN)} if draw.chance.random() < 0.6 else {}
    return loads(files, bundles.lock([*others, wider])), given


def meant(found: Finding, given: dict[str, Json]) -> tuple[Any, ...]:
    """The verdict without the new argument, which is sent along, what fired and what is counted."""
    verdict: Verdict = found.verdict
    if isinstance(verdict, Allow | RequireApproval):
        sent = {name: each for name, each in (verdict.arguments or {}).items() if name not in given}
        verdict = replace(verdict, arguments=sent)
    return (verdict, *stands(found.basis)[1:])


# -- rules for this call ----------------------------------------------------------------------------------------

SURE: Said = {"name": "sure", "when": ["m > most", "has(lead.country)"], "from": ["lead"]}
Edit = Callable[[Draw, list[Said]], bool]  # whether there was something to change


def entries(block: Said) -> Iterator[Said]:
    for kind in ("deny", "ask", "people", "limit"):
        yield from block.get(kind, ())


def of_the_call(bundle: list[Said]) -> list[Said]:
    """The blocks that speak about every call of ana's desk."""
    blocks = [file["tools"].values() for file in bundle if file["applies_to"] != {"agents": ["other"]}]
    return [block for found in blocks for block in found]


def one_of(draw: Draw, bundle: list[Said]) -> Said | None:
    found = [each for block in of_the_call(bundle) for each in entries(block)]
    return draw.chance.choice(found) if found else None


def says_more(draw: Draw, bundle: list[Said]) -> bool:
    entry = one_of(draw, bundle)
    if entry is not None:
        entry["say"] = "Something else."
    return entry is not None


def one_condition_more(draw: Draw, bundle: list[Said]) -> bool:
    entry = one_of(draw, bundle)
    if entry is not None:
        entry["when"] = [*entry.get("when", ()), 'u != "never"']
    return entry is not None


def one_entry_more(draw: Draw, bundle: list[Said]) -> bool:
    kind = draw.chance.choice(MORE)
    draw.chance.choice(of_the_call(bundle)).setdefault(kind, []).append(draw.entry(kind))
    return True


def one_entry_less(draw: Draw, bundle: list[Said]) -> bool:
    found = [
        (block, kind) for block in of_the_call(bundle) for kind in ("deny", "ask", "limit") if block.get(kind)
    ]
    if not found:
        return False
    block, kind = draw.chance.choice(found)
    del block[kind][0]
    if not block[kind]:
        del block[kind]
    return bool(block)


def an_entry_only_observes(draw: Draw, bundle: list[Said]) -> bool:
    entry = one_of(draw, bundle)
    if entry is not None:
        entry["mode"] = "observe"
    return entry is not None


def a_value_it_uses(_: Draw, bundle: list[Said]) -> bool:
    bundle[0]["values"]["most"] = 4
    return True


def another_question(_: Draw, bundle: list[Said]) -> bool:
    bundle[0]["read"]["lead"] = 'crm.get(kind="lead", id=u)'
    return True


def an_allow_of_others(draw: Draw, bundle: list[Said]) -> bool:
    """Whom it permits is not whom it permitted."""
    found = [block for block in of_the_call(bundle) if block.get("allow") == "anyone"]
    if found:
        draw.chance.choice(found)["allow"] = ["support"]
    return bool(found)


def a_cut_more(draw: Draw, bundle: list[Said]) -> bool:
    draw.chance.choice(of_the_call(bundle)).setdefault("change", {})["m"] = (
        f"at_most {draw.chance.randrange(99)}"
    )
    return True


RELEVANT: tuple[Edit, ...] = (
    says_more, one_condition_more, one_entry_more, one_entry_less, an_entry_only_observes, an_allow_of_others, a_cut_more,
    a_value_it_uses, another_question,
)  # fmt: skip


def spare_value(draw: Draw, bundle: list[Said]) -> bool:
    draw.chance.choice(bundle)["values"]["spare"] = "abc"
    return True


def spare_look_up(draw: Draw, bundle: list[Said]) -> bool:
    draw.chance.choice(bundle)["read"]["spare"] = "billing.payment(payment_id=u)"
    return True


def words_of_the_file(draw: Draw, bundle: list[Said]) -> bool:
    draw.chance.choice(bundle).update(description="Other words.", owner="finance")
    return True


def another_order(draw: Draw, bundle: list[Said]) -> bool:
    bundle[:] = draw.shuffled(bundle)
    return True


def another_tool(draw: Draw, bundle: list[Said]) -> bool:
    said: Said = {
        "allow": "anyone",
        "deny": [{"when": "amount > 9 EUR"}],
        "change": {"amount": "at_most 5 EUR"},
    }
    draw.chance.choice(bundle)["tools"]["billing.refund"] = said
    return True


def for_other_agents(draw: Draw, bundle: list[Said]) -> bool:
    bundle.append(draw.file("elsewhere", {"agents": ["other"]}))
    return True


def results_of_it(draw: Draw, bundle: list[Said]) -> bool:
    draw.chance.choice(of_the_call(bundle))["results"] = {"detect": ["iban"], "flag": "b"}
    return True


def what_only_watches(draw: Draw, bundle: list[Said]) -> bool:
    bundle[:] = watched(draw, bundle)
    return True


def an_allow_for_somebody_else(draw: Draw, bundle: list[Said]) -> bool:
    draw.chance.choice(bundle)["tools"]["lab.try*"] = {"allow": {"users": ["cy"]}}
    return True


UNRELATED: tuple[Edit, ...] = (
    spare_value, spare_look_up, words_of_the_file, another_order, another_tool, for_other_agents, results_of_it, what_only_watches,
    an_allow_for_somebody_else,
)  # fmt: skip


async def rules_of(bundle: list[Said], world: World) -> str:
    found = await said(loaded(bundle), world)
    assert found.basis is not None
    return found.basis.rules


@pytest.mark.promise("P3")
@numbers(4, 300)
async def test_only_an_edit_of_the_rules_for_this_call_makes_it_another_call(cases: range) -> None:
    for number in cases:
        draw = Draw(f"rules {SEED} {number}")
        bundle, world = draw.bundle(), draw.world()
        bundle[0]["applies_to"], world.user, world.agent = {"everywhere": True}, "ana", "desk"
        bundle = bundles.with_more(bundle, 0, "ask", SURE)
        relevant = number % 2 == 0
        edited, done = deepcopy(bundle), False
        while not done:
            done = draw.chance.choice(RELEVANT if relevant else UNRELATED)(draw, edited)

        assert (await rules_of(edited, world) != await rules_of(bundle, world)) is relevant, number
