"""What people agreed to is run, and nothing that is written differently in any way that matters (A1)."""

import copy
import json
import random
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from house import HEAD, house
from lockkeep.ledger import approvals, calls
from lockkeep.model import Request, is_object
from lockkeep.policy.conditions.runtime import is_array
from lockkeep.rounds import Rounds
from shop import TOOLS, Shop

ANY: dict[str, Any] = {"id": {}, "data": {}, "note": {}, "idempotency_key": {"type": "string"}}
SCHEMA = {"type": "object", "properties": ANY, "required": ["id"], "additionalProperties": False}
PUT = TOOLS[1].model_copy(update={"name": "put", "input_schema": SCHEMA})
RULES = (
    HEAD.replace("{{", "{").replace("}}", "}") + "tools:\n  shop.put: {allow: anyone, ask: {from: [lead]}}\n"
)


def equal(left: Any, right: Any) -> bool:
    """The same JSON value: numbers by value, texts to the code point, objects whatever the order of their keys."""
    if isinstance(left, bool) or isinstance(right, bool) or left is None or right is None:
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)  # pyright: ignore[reportUnknownVariableType]
    if isinstance(left, list):
        return len(left) == len(right) and all(map(equal, left, right))  # pyright: ignore[reportUnknownArgumentType]
    return left == right


EXTRA: tuple[Any, ...] = (None, 0, "", [], {})
FORMS = ("NFC", "NFD", "NFKC", "NFKD")
BASE: dict[str, Any] = {
    "id": "Zo\u00eb",
    "data": {"n": 1, "big": 2**53 - 1, "f": 0.5, "zero": 0, "yes": True, "no": None, "list": [1, "1", {"a": [], "b": {}}]},
    "note": "e\u0301 \ufb01 straße",
}  # fmt: skip


def mutations(rolled: random.Random) -> dict[str, Any]:
    """One small change somewhere; some change nothing."""
    value = copy.deepcopy(BASE)
    spots: list[tuple[Any, Any]] = []

    def walk(part: Any) -> None:
        whole: Any = part
        keys: list[Any] = list(part) if is_object(part) else [*range(len(part))] if is_array(part) else []
        for key in keys:
            spots.append((whole, key))
            walk(whole[key])

    walk(value)
    inside, key = rolled.choice(spots)
    old = inside[key]
    what = rolled.randrange(12)
    if what == 0:
        return shuffled(value, rolled)
    if what == 1:
        del inside[key]
    elif what == 2:
        spot: Any = value["data"] if is_object(value.get("data")) and rolled.random() < 0.5 else value
        spot["extra"] = rolled.choice(EXTRA)
    else:
        inside[key] = changed(old, what, rolled)
    return value


def changed(old: Any, what: int, rolled: random.Random) -> Any:
    """The same value written otherwise, or another one that looks alike."""
    value: Any = old
    number, text = isinstance(old, int | float) and not isinstance(old, bool), isinstance(old, str)
    ways: dict[int, Callable[[], Any]] = {
        3: lambda: float(value) if number else str(value),
        4: lambda: str(value) if number else json.dumps(value),
        5: lambda: None,
        6: lambda: unicodedata.normalize(rolled.choice(FORMS), value) if text else [value],
        7: lambda: value + rolled.choice(("\u200b", " ", "\u202e", "\x00", "x")) if text else {"": value},
        8: lambda: not value if isinstance(value, bool) else bool(value),
        9: lambda: -0.0 if number and value == 0 else value,
        10: lambda: value + rolled.choice((1, -1, 1e-9)) if number else value,
        11: lambda: json.loads(json.dumps(value, ensure_ascii=rolled.random() < 0.5)),
    }
    return ways[what]()


def shuffled(value: Any, rolled: random.Random) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(value[key], rolled) for key in rolled.sample(list(value), len(value))}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return [shuffled(each, rolled) for each in value] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]


async def idle(_: Rounds) -> None:
    """The worker rests: the test stands in for it, with arguments that somebody changed."""


async def check(folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int, number: int) -> tuple[int, int]:
    monkeypatch.setattr(Rounds, "run_agreed", idle)
    monkeypatch.setattr(approvals, "OPEN_PER_AGENT", 10**6)
    monkeypatch.setattr(approvals, "ASKS_PER_HOUR", 10**6)
    rolled, ran = random.Random(seed), 0
    shop = Shop(tools=[*TOOLS, PUT])
    async with house(folder, shop, rules=RULES) as home:
        for turn in range(number):
            request = Request(
                id=f"call_{turn}", tool="shop_put", arguments=BASE, user="ana", agent="robot", host="h", at=home.clock(), key=f"k{turn}"
            )  # fmt: skip
            await home.gateway.pipeline.run(request)
            row = calls.find(home.store.read, f"call_{turn}")
            await home.vote(row["approval"], "bo")
            rebuilt = calls.request_of(home.store.read, row, home.clock())
            changed_arguments = mutations(rolled)
            before = len(shop.effects)
            await home.gateway.pipeline.run(replace(rebuilt, arguments=changed_arguments))
            made = [arguments for _, arguments in shop.effects[before:]]
            same = equal(changed_arguments, BASE)
            assert len(made) == int(same), (turn, changed_arguments)
            assert all(equal(arguments, BASE) for arguments in made)
            state = approvals.find(home.store.read, row["approval"])["state"]
            assert state == ("consumed" if same else "void"), (turn, changed_arguments)
            ran += same
        assert home.sound()
    return ran, number


@pytest.mark.promise("P3")
async def test_an_agreed_call_runs_only_with_the_very_values_that_were_agreed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran, number = await check(tmp_path, monkeypatch, 7, 40)
    assert 5 <= ran <= number - 15


@pytest.mark.full
@pytest.mark.promise("P3")
async def test_a_thousand_changes_of_an_agreed_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran, number = await check(tmp_path, monkeypatch, 1, 1000)
    assert 100 <= ran <= number - 400
