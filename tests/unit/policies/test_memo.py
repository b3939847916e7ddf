"""What earlier loads worked out is used again only where everything it was made from is the same."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import pytest
from tests.unit.policies import room

from lockkeep.policy import bundle
from lockkeep.policy.bundle import load
from lockkeep.policy.memo import Memo
from lockkeep.policy.rules.compile import Compiler

TEXTS = (
    room.policy("crm.assign:\n  allow: anyone\n  deny: {when: lead.id == 'x'}", read='lead: crm.get(kind="lead", id=id)'),
    room.policy("crm.assign:\n  allow: [lead]\n  ask: {from: [lead]}"),
    room.policy("billing.refund:\n  allow: anyone\n  limit: 5 per hour"),
    room.policy("billing.refund:\n  allow: [nobody-there]"),
    room.policy("billing.refund:\n  allow: anyone\n  deny: {when: amuont > 5 EUR}"),
    "api: lockkeep/v1\npolicy: [",
)  # fmt: skip
PEOPLE = (room.FOLDER["people.yaml"], room.FOLDER["people.yaml"] + "  nobody-there: {}\n")


def texts(chance: Random) -> dict[str, str]:
    files = {
        f"p{place}.yaml": chance.choice(TEXTS).replace("policy: desk", f"policy: p{place}")
        for place in range(2)
    }
    return {**room.FOLDER, "people.yaml": chance.choice(PEOPLE), **files}


def told(files: Mapping[str, str]) -> tuple[Any, ...]:
    found, problems = load(files)
    rules: Mapping[str, Any] = found.rules if found else {}
    return (
        [str(each) for each in problems],
        {tool: sorted((rule.id, rule.source, rule.place) for rule in of.rules) for tool, of in rules.items()},
        {tool: sorted(of.lookups) for tool, of in rules.items()},
    )


def test_a_load_says_the_same_whatever_was_loaded_before(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = Random(4)
    for _ in range(60):
        files = texts(chance)
        after_others = told(files)
        monkeypatch.setattr(bundle, "MEMO", Memo())
        assert told(files) == after_others


@pytest.mark.parametrize(
    ("edited", "compiled"),
    [
        ({}, []),
        ({"p0.yaml": TEXTS[2].replace("policy: desk", "policy: p0")}, ["p0"]),
        ({"people.yaml": PEOPLE[1]}, ["p0", "p1"]),
    ],
)
def test_only_what_an_edit_touches_is_compiled_again(
    monkeypatch: pytest.MonkeyPatch, edited: Mapping[str, str], compiled: list[str]
) -> None:
    first = dict(room.FOLDER)
    first |= {
        f"p{place}.yaml": TEXTS[place].replace("policy: desk", f"policy: p{place}") for place in range(2)
    }
    monkeypatch.setattr(bundle, "MEMO", Memo())
    assert load(first)[0] is not None
    again: list[str] = []
    real: Callable[..., Any] = Compiler.compile

    def watched(self: Compiler, file: Any) -> Any:
        again.append(file.name)
        return real(self, file)

    monkeypatch.setattr(Compiler, "compile", watched)
    assert load({**first, **edited})[0] is not None
    assert again == compiled


def test_what_two_loads_did_not_use_is_forgotten() -> None:
    memo, made = Memo(), list[int]()
    for _ in range(3):
        memo.begin()
        memo.of("other", lambda: 1, bundle.Problems())
    memo.of("key", lambda: made.append(1) or "x", bundle.Problems())
    for _ in range(2):
        memo.begin()
    memo.of("key", lambda: made.append(2) or "x", bundle.Problems())
    assert made == [1, 2]
