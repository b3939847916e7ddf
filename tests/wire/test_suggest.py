"""Drafts from recorded calls: they load, their tests pass, they copy no text, and nothing is in force by them."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from crash.command import Ran, command
from house import House, house, send
from lockkeep.ledger import generations
from lockkeep.policy.bundle import load
from shop import Shop

SECRETS = ("ida.berg@kestrel.example", "Kestrel Ltd", "ord-88421")
RULES = """\
api: lockkeep/v1
policy: till
owner: lead
applies_to: {agents: [robot, other]}
read:
  thing: shop.read(id)
tools:
  shop.read: {allow: anyone}
  shop.write:
    allow: [staff, lead]
    deny: {name: frozen, when: "default(thing.frozen, false)"}
  shop.pay:
    allow: [staff]
    ask: {when: amount_minor > 30000, from: [lead]}
  shop.blunt:
    allow: [lead]
"""


async def a_week(home: House) -> None:
    """Reads, notes and payments in two currencies by two people; a denied and a parked call, which ran not."""
    async with home.client() as ana, home.client(user="bo", agent="other") as bo:
        for number in range(9):
            await send(ana, "shop.write", {"id": SECRETS[2], "text": f"{SECRETS[0]} {number}"})
        for number in range(20):
            await send(
                ana, "shop.pay", {"id": f"p{number}", "amount_minor": 1000 + number * 1000, "currency": "EUR"}
            )
        for number in range(4):
            await send(ana, "shop.pay", {"id": SECRETS[1], "amount_minor": 500 + number, "currency": "USD"})
        await send(ana, "shop.pay", {"id": "large", "amount_minor": 99000, "currency": "EUR"})
        await send(ana, "shop.blunt", {"id": "no"})
        await send(bo, "shop.read", {"id": SECRETS[1]})
        await send(bo, "shop.write", {"id": "b", "text": SECRETS[0]})


def environ(folder: Path) -> dict[str, str]:
    return {"LOCKKEEP_DATA": str(folder / "data"), "LOCKKEEP_POLICIES": str(folder / "policies")}


def written(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
async def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a week's calls, and the policies they were decided by."""
    folder, shop = tmp_path_factory.mktemp("week"), Shop()
    shop.things = {SECRETS[2]: {"id": SECRETS[2], "owner": SECRETS[0], "value_minor": 5, "currency": "EUR"}}
    async with house(folder, shop=shop, rules=RULES) as home:
        await a_week(home)
        stored = generations.current(home.store.read)
        assert stored is not None
        written(folder / "policies", stored.files)
    return folder


@pytest.fixture
def place(week: Path, tmp_path: Path) -> Path:
    shutil.copytree(week, tmp_path, dirs_exist_ok=True)
    return tmp_path


async def suggested(place: Path, *words: str) -> Ran:
    return await command(environ(place), "policy", "suggest", "--from-calls", *words)


async def test_a_draft_loads_beside_the_files_and_its_tests_pass(place: Path) -> None:
    ran = await suggested(place, "--out", str(place / "draft"))
    assert ran.code == 0, ran
    shutil.copytree(place / "policies", place / "both")
    shutil.copytree(place / "draft", place / "both", dirs_exist_ok=True)

    check = await command(environ(place), "policy", "check", "--dir", str(place / "both"))
    tests = await command(environ(place), "policy", "test", "--dir", str(place / "both"))

    assert (check.code, tests.code) == (0, 0), (check, tests)
    assert sorted(path.name for path in (place / "draft").rglob("*.yaml")) == [
        "suggested-other.test.yaml", "suggested-other.yaml", "suggested-robot.test.yaml", "suggested-robot.yaml",
    ]  # fmt: skip
    assert "5 of 5 cases" in tests.out


async def test_a_draft_says_who_how_often_and_how_much_and_only_observes(place: Path) -> None:
    draft = (await suggested(place, "--json")).data["files"]["suggested-robot.yaml"]
    loaded, problems = load({**_files(place), "suggested-robot.yaml": draft})

    assert loaded is not None, problems
    rules = {
        rule.id: rule for of in loaded.rules.values() for rule in of.rules if rule.file == "suggested-robot"
    }
    assert {rule.mode for rule in rules.values()} == {"observe"}
    assert "used 9 times by robot for 1 person, busiest hour 9" in draft
    assert "usual_shop_pay: {EUR: 190, USD: 5.03}" in draft
    assert "1 of 24 were above it, the largest 200 EUR, 5.03 USD" in draft
    assert [line.split()[1] for line in draft.splitlines() if "limit:" in line] == ["36", "14"]
    assert [line.split("#")[0].strip() for line in draft.splitlines() if "allow:" in line] == [
        "allow: [staff]"
    ] * 2


async def test_no_text_of_a_call_or_of_a_look_up_stands_in_a_draft(place: Path) -> None:
    ran = await suggested(place, "--json")

    assert ran.code == 0
    assert [secret for secret in SECRETS if secret in ran.out] == []
    assert "text-1" in ran.out


async def test_a_draft_comes_with_its_replay_and_nothing_is_in_force_by_it(place: Path) -> None:
    said = (await suggested(place, "--json")).data
    history = await command(environ(place), "policy", "history", "--json")

    assert said["replay"]["allowed"] == {
        "allowed": 34,
        "asks": 1,
        "people": 0,
        "denied": 0,
        "not replayable": 0,
    }
    assert said["replay"]["asks"]["asks"] == 1
    assert said["replay"]["denied"]["denied"] == 1
    assert said["left_out"] == {"did not run": 2}
    assert [each["id"] for each in history.data] == [1]


async def test_no_file_is_ever_overwritten(place: Path) -> None:
    out = place / "draft"
    written(out, {"suggested-other.yaml": "mine"})
    ran = await suggested(place, "--out", str(out))

    assert (ran.code, "suggested-other.yaml" in ran.err) == (2, True), ran
    assert [path.name for path in out.rglob("*") if path.is_file()] == ["suggested-other.yaml"]
    assert (out / "suggested-other.yaml").read_text(encoding="utf-8") == "mine"


async def test_an_adopted_draft_does_not_clash_with_the_next_one(place: Path) -> None:
    await suggested(place, "--out", str(place / "policies"))
    ran = await suggested(place, "--json")

    assert sorted(ran.data["files"])[0] == "suggested-other-2.yaml"


async def test_once_it_decides_a_draft_means_what_its_cases_say(place: Path) -> None:
    """The REVIEW notes of the cases are what the draft alone would answer."""
    files: dict[str, Any] = (await suggested(place, "--json")).data["files"]
    alone = {name: text for name, text in _files(place).items() if name != "rules.yaml"}
    for name, text in files.items():
        lines = text.splitlines()
        meant = [line.split("# REVIEW: ")[1].split(", once")[0] if ", once" in line else "" for line in lines]
        lines = [f"    expect: {word}" if word else line for word, line in zip(meant, lines, strict=True)]
        alone[name] = "\n".join(
            line for line in lines if "mode: observe" not in line and "    read:" not in line
        )
    written(place / "alone", alone)
    ran = await command(environ(place), "policy", "test", "--dir", str(place / "alone"))

    assert (ran.code, "5 of 5 cases" in ran.out) == (0, True), ran


def _files(place: Path) -> dict[str, str]:
    folder = place / "policies"
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.*")
    }
