"""Y13: under the same rules, a replay says of every recorded call what the live gateway said. No socket, no writing (P6)."""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from crash.command import Ran, command
from house import House, house, said, send
from lockkeep.errors import StoreUnavailable
from lockkeep.ledger import generations
from lockkeep.store import Store, reading
from replaying import again, agree
from shop import Shop, error

RULES = """\
api: lockkeep/v1
policy: till
owner: lead
applies_to: {agents: [robot]}
values:
  large: {EUR: 100, USD: 110}
read:
  thing: shop.read(id)
  vault: shop.read(id=thing.owner)
tools:
  shop.read:
    allow: anyone
  shop.write:
    allow: [staff, lead]
    deny:
      - {name: frozen, when: "default(thing.frozen, false)", say: "{id} is frozen.", fix: Take another.}
      - {name: no-shouting, when: 'text == "LOUD"'}
    people:
      - {when: 'text == "hard"', to: [finance]}
    limit: [20 per hour per agent, {name: one-thing, up_to: 3 per hour per id, ask: {from: [finance]}}]
  shop.pay:
    allow: {roles: [staff]}
    deny:
      - {name: not-enough, when: "has(thing.value) && amount > thing.value"}
      - {name: sealed, when: "amount < 0 EUR && default(vault.frozen, false)"}
    ask:
      - {name: large, when: amount > large, from: [lead]}
      - {name: nobody, when: 'id == "odd"', from: ["user:ana"]}
    change: {amount_minor: at_most 50000}
    limit: 900 EUR per day
  shop.blunt:
    allow: [staff]
    ask: {confirm: requester}
"""
OTHER = """\
api: lockkeep/v1
policy: guests
owner: lead
applies_to: {agents: [other]}
read:
  thing: shop.read(id="safe")
tools:
  shop.write:
    allow: anyone
    deny: {unless: "has(thing.owner)"}
"""
FREE = "tools:\n  shop.write: {allow: anyone}\n"


@pytest.fixture(scope="module")
async def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A busy hour's calls over MCP, and the policies that decided them."""
    folder = tmp_path_factory.mktemp("hour")
    async with house(folder, shop=stocked(), rules=RULES) as home:
        await home.rules(more=OTHER)
        await busy_hour(home)
        stored = generations.current(home.store.read)
        assert stored is not None
        (folder / "policies").mkdir()
        for name, text in stored.files.items():
            (folder / "policies" / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def place(hour: Path, tmp_path: Path) -> Path:
    shutil.copytree(hour, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.promise("P6")
async def test_a_replay_under_the_same_rules_says_what_the_gateway_said(place: Path) -> None:
    found = again(store_of(place), files_of(place))

    agree(found)
    words = [each.past.word for each in found]
    assert {word: words.count(word) for word in ("allowed", "asks", "people", "denied", None)} == {
        "allowed": 38, "asks": 4, "people": 2, "denied": 18, None: 1,
    }  # fmt: skip


@pytest.mark.promise("P6")
async def test_a_replay_writes_nothing_and_can_write_nothing(place: Path) -> None:
    before = hashlib.sha256(store_of(place).read_bytes()).hexdigest()
    ran = await replay(place)
    with reading(store_of(place)) as tx, pytest.raises(sqlite3.OperationalError, match="readonly"):
        tx.run("call_settle", id="x", state="failed", reason=None, withheld=0, at="")

    assert ran.code == 0, ran
    assert hashlib.sha256(store_of(place).read_bytes()).hexdigest() == before


async def test_under_the_same_rules_nothing_changes(place: Path) -> None:
    said = (await replay(place, "--json")).data

    assert not any(said["changes"].values())
    assert (said["calls"], said["same"], said["ended_otherwise"]) == (63, 62, {"switch.paused": 1})
    assert not any(said["not_replayable"].values())


async def test_what_changes_is_told_in_order_with_whom_and_how_much(place: Path) -> None:
    changed = (
        RULES.replace("amount > large, from", "amount > 60 EUR, from")
        .replace('text == "LOUD"', 'text == "quiet"')
        .replace('"hard"', '"more"')
        .replace("      - {name: nobody", "      - {name: none")
    )
    ran = await replay(place, "--with", str(edited(place, changed)))
    lists = [
        line.split(":")[0]
        for line in ran.out.splitlines()
        if (line[:1] not in (" ", "") and "→" in line) or line.startswith("to people")
    ]
    said = (await replay(place, "--with", str(place / "edited"), "--json")).data

    assert lists == [
        "denied → allowed",
        "allowed → denied",
        "allowed → asks",
        "to people",
        "people → allowed",
    ]
    assert {name: len(of) for name, of in said["changes"].items() if of} == {
        "denied->allowed": 2, "allowed->denied": 2, "allowed->asks": 3, "allowed->people": 2, "denied->people": 2, "people->allowed": 2,
    }  # fmt: skip
    assert sum(said["load"]["lead"].values()) == 3
    assert said["amounts_minor"]["EUR"] == {"passes": 0, "asked": 9003 + 7000 + 9500, "stopped": 0}
    listed = said["changes"]["allowed->denied"][0]
    assert (listed["by"], listed["user"], listed["tool"]) == (
        "till/shop.write/no-shouting",
        "ana",
        "shop.write",
    )


async def test_calls_that_people_denied_and_that_would_pass_now_are_told(place: Path) -> None:
    said = (
        await replay(
            place,
            "--with",
            str(edited(place, RULES.replace("amount > large,", "amount > 9000 EUR,"))),
            "--json",
        )
    ).data

    assert [each["amount_minor"] for each in said["refused_by_people"]] == [70004]
    assert [each["amount_minor"] for each in said["changes"]["asks->allowed"]] == [70004, 20002]


async def test_asking_others_and_sending_other_arguments_is_told_too(place: Path) -> None:
    changed = RULES.replace("amount > large, from: [lead]", "amount > large, from: [finance]").replace(
        "at_most 50000", "at_most 5000"
    )
    said = (await replay(place, "--with", str(edited(place, changed)), "--json")).data

    assert [each["amount_minor"] for each in said["other_arguments"]] == [9003, 6000, 7000, 9500]
    assert [each["was_by"] for each in said["changes"]["asks->allowed"]] == ["lead", "lead"]


async def test_what_cannot_be_decided_again_is_told_by_reason(place: Path) -> None:
    store = Store(store_of(place))
    row = store.read.all("calls_list", state="succeeded", tool="shop.pay", agent=None, user=None, count=1)[0]
    with sqlite3.connect(store_of(place)) as db:
        db.execute("DELETE FROM payloads WHERE call = ?", (row["id"],))
    db.close()
    store.close()
    changed = RULES.replace("thing: shop.read(id)", 'thing: shop.read(id="another")')
    folder = edited(
        place, changed.replace("  shop.blunt:\n    allow: [staff]\n    ask: {confirm: requester}\n", "")
    )
    accept(folder, "shop.blunt", None)
    accept(folder, "shop.write", {"text": {"type": "string", "maxLength": 4}})
    said = (await replay(place, "--with", str(folder), "--json")).data
    lacking = {name: len(of) for name, of in said["not_replayable"].items() if of}

    assert lacking["payload-deleted"] == 1
    assert lacking["tool-unknown"] == 1  # the other one was stopped by a switch
    assert lacking["schema-changed"] > 20
    assert lacking["look-up-not-read"] > 5


async def test_a_call_that_the_schema_refused_and_another_takes_is_decided(place: Path) -> None:
    folder = edited(place, RULES.split("values:")[0] + FREE)
    accept(folder, "shop.write", {"id": {"type": ["string", "integer"]}})
    said = (await replay(place, "--with", str(folder), "--json")).data

    assert "arguments.invalid" in [each["was_code"] for each in said["changes"]["denied->allowed"]]


FAILS = {
    "denied->allowed > 0": 1, "denied → allowed >= 2": 1, "denied->allowed > 2": 0, "to-people == 4": 1,
    "not-replayable > 2": 0, "not-replayable == 2": 1, "asks->denied != 0": 0,
}  # fmt: skip


@pytest.mark.parametrize("text", FAILS)
async def test_a_replay_fails_where_it_is_told_to(place: Path, text: str) -> None:
    changed = RULES.replace('text == "LOUD"', 'text == "quiet"').replace('"hard"', '"more"')
    ran = await replay(place, "--with", str(edited(place, changed)), "--fail-if", text)

    assert (ran.code, text in ran.err) == (FAILS[text], FAILS[text] == 1), ran


@pytest.mark.parametrize(
    "text",
    ["", "denied->allowed", "denied->gone > 1", "denied->denied > 1", "calls > 1", "a > b", "asks > -1"],
)
async def test_a_threshold_that_says_nothing_is_refused_with_an_example(place: Path, text: str) -> None:
    ran = await replay(place, "--fail-if", text)

    assert (ran.code, ran.out, "denied->allowed > 0" in ran.err) == (2, "", True), ran


async def test_a_folder_that_does_not_load_and_a_time_that_is_none_are_refused(place: Path) -> None:
    broken = await replay(
        place, "--with", str(edited(place, RULES.replace("allow: anyone", "allow: [nobody]")))
    )
    when = await replay(place, "--since", "yesterday")
    none = await command(
        {"LOCKKEEP_DATA": str(place / "no")}, "policy", "replay", "--with", str(place / "policies")
    )

    assert [(ran.code, ran.out) for ran in (broken, when, none)] == [(3, ""), (2, ""), (2, "")]
    assert "rules.yaml" in broken.err
    assert "30d" in when.err


async def test_a_store_of_another_release_is_not_read(place: Path) -> None:
    with sqlite3.connect(store_of(place)) as db:
        db.execute("DELETE FROM migrations WHERE number = (SELECT max(number) FROM migrations)")
    db.close()

    with pytest.raises(Exception, match="release"), reading(store_of(place)):
        pass
    with pytest.raises(StoreUnavailable), reading(place / "nothing.db"):
        pass


async def replay(place: Path, *words: str) -> Ran:
    environ = {"LOCKKEEP_DATA": str(place / "data"), "LOCKKEEP_POLICIES": str(place / "policies")}
    return await command(environ, "policy", "replay", *words)


def edited(place: Path, rules: str) -> Path:
    """The folder with other rules for robot."""
    shutil.copytree(place / "policies", place / "edited", dirs_exist_ok=True)
    (place / "edited" / "rules.yaml").write_text(rules, encoding="utf-8")
    return place / "edited"


def store_of(place: Path) -> Path:
    return place / "data" / "lockkeep.db"


def accept(folder: Path, name: str, properties: Mapping[str, Any] | None) -> None:
    """The tool as if it had been accepted with these arguments changed; None: as if it had never been."""
    file = folder / "catalog.lock.json"
    lock = json.loads(file.read_text(encoding="utf-8"))
    tools = lock["integrations"]["shop"]["tools"]
    if properties is None:
        del tools[name]
    else:
        tools[name]["input"]["properties"] |= properties
        tools[name]["pin"] = "another"
    file.write_text(json.dumps(lock), encoding="utf-8")


def files_of(place: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in (place / "policies").iterdir()}


def stocked() -> Shop:
    shop = Shop()
    shop.things = {
        "a": {"id": "a", "value_minor": 30000, "currency": "EUR", "owner": "box"},
        "b": {"id": "b", "frozen": True},
        "usd": {"id": "usd", "value_minor": 100000, "currency": "USD", "owner": "box"},
        "box": {"id": "box", "frozen": True},
        "safe": {"id": "safe", "owner": "olga"},
    }

    async def behave(name: str, arguments: Mapping[str, Any]) -> Any:
        lost = name == "read" and arguments["id"] == "lost"
        return error("conflict") if arguments.get("text") == "fails" or lost else None

    shop.behave = behave
    return shop


async def busy_hour(home: House) -> None:
    """Every kind of verdict, look-ups that answer and fail, limits that fill, empty and fill again, people who decide."""
    async with home.client() as ana, home.client(user="cy") as cy, home.client(agent="other") as guest:
        await writes(ana, cy, guest)
        await payments(home, ana, cy)
        await stops(home, ana)


async def writes(ana: Client, cy: Client, guest: Client) -> None:
    for number in range(12):
        await send(ana, "shop.write", {"id": f"n{number}", "text": "hello"})
    for text in ("LOUD", "hard", "fails", "fails again", "quiet"):
        await send(ana, "shop.write", {"id": "a", "text": text})
        await send(cy, "shop.write", {"id": "c", "text": text})
        await send(guest, "shop.write", {"id": "c", "text": text})
    await send(ana, "shop.write", {"id": "a", "text": "fourth"})
    await send(ana, "shop.write", {"id": "a", "text": "fifth"})
    await send(ana, "shop.write", {"id": "b", "text": "frozen"})
    await send(ana, "shop.write", {"id": "lost", "text": "nobody knows"})
    await send(ana, "shop.write", {"id": 7, "text": "wrong"})
    await send(ana, "shop.nothing", {"id": "a"})
    for number in range(6):
        await send(ana, "shop.read", {"id": f"r{number}"})
    for number in range(4):
        await send(ana, "shop.write", {"id": f"m{number}", "text": "more"})
    for number in range(3):
        await send(
            ana,
            "shop.write",
            {"id": f"k{number}", "text": "keyed"},
            {"lockkeep/idempotency_key": f"k{number}"},
        )


async def payments(home: House, ana: Client, cy: Client) -> None:
    for number, (thing, euros) in enumerate(
        (("a", 50), ("a", 301), ("a", 200), ("n", 90), ("n", 700), ("a", -5), ("n", 99))
    ):
        await send(ana, "shop.pay", {"id": thing, "amount_minor": euros * 100 + number, "currency": "EUR"})
    await send(ana, "shop.pay", {"id": "usd", "amount_minor": 9000, "currency": "USD"})
    await send(ana, "shop.pay", {"id": "n", "amount_minor": 9000, "currency": "GBP"})
    await send(ana, "shop.pay", {"id": "odd", "amount_minor": 1, "currency": "EUR"})
    await send(cy, "shop.pay", {"id": "a", "amount_minor": 100, "currency": "EUR"})
    waiting = home.store.read.all("approvals_list", state="pending", count=50)
    by_tool = [row["id"] for row in waiting if row["tool"] == "shop.pay"]
    await home.vote(by_tool[0], "bo", "deny")
    await home.vote(by_tool[1], "bo")
    with anyio.fail_after(20):
        while not any(
            row["state"] == "consumed" for row in home.store.read.all("approvals_list", state=None, count=50)
        ):
            await anyio.sleep(0.05)
    for euros in (60, 70, 95):
        await send(ana, "shop.pay", {"id": "z", "amount_minor": euros * 100, "currency": "EUR"})
    await send(ana, "shop.blunt", {"id": "a"})


async def stops(home: House, ana: Client) -> None:
    await home.throw("tool:shop.blunt", "pause")
    await send(ana, "shop.blunt", {"id": "stopped"})
    assert said(await send(ana, "shop.read", {"id": "still"}))["id"] == "still"
