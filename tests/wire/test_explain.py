"""`lockkeep policy explain`: every entry of the tool, look-ups with their age, changes, limits; as it was, and as of now."""

import json
import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest

from crash.command import Ran, command, lockkeep
from house import house, said, send
from lockkeep.ledger import generations
from shop import Shop

RULES = """\
api: lockkeep/v1
policy: till
owner: lead
applies_to: {agents: [robot]}
read:
  thing: shop.read(id)
  other: shop.read(id=thing.owner)
tools:
  shop.pay:
    allow: [staff]
    deny:
      - {name: frozen, when: "default(thing.frozen, false)"}
      - {name: not-enough, when: "has(thing.value) && amount > thing.value"}
      - {name: watched, mode: observe, when: amount > 10 EUR}
      - {name: odd, when: 'currency == "EUR" && has(other.owner)'}
    ask: {name: large, when: amount > 100 EUR, from: [lead]}
    change: {amount_minor: at_most 15000}
    limit: [200 EUR per day, {name: few, up_to: 3 per hour per agent}]
"""
OTHERS = """\
api: lockkeep/v1
policy: others
owner: lead
applies_to: {agents: [other]}
tools:
  shop.pay: {allow: anyone}
"""


@pytest.fixture(scope="module")
async def paid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Five payments, by what they show; the policies are written beside them."""
    folder, shop = tmp_path_factory.mktemp("paid"), Shop()
    shop.things = {
        "ok": {"id": "ok", "value_minor": 90000, "currency": "EUR", "owner": "ok"},
        "cold": {"id": "cold", "frozen": True, "owner": "ok"},
        "free": {"id": "free", "owner": "nobody"},
    }
    made: dict[str, str] = {}
    async with house(folder, shop=shop, rules=RULES) as home:
        await home.rules(others=OTHERS)
        async with home.client() as ana:
            for name, (thing, minor) in {
                "small": ("free", 5000), "cold": ("cold", 5000), "large": ("free", 20000), "full": ("free", 3000), "last": ("free", 100),
            }.items():  # fmt: skip
                facts = said(
                    await send(ana, "shop.pay", {"id": thing, "amount_minor": minor, "currency": "EUR"})
                )
                newest = home.store.read.all(
                    "calls_list", state=None, tool=None, agent=None, user=None, count=1
                )
                made[name] = newest[0]["id"]
                assert facts
        stored = generations.current(home.store.read)
        assert stored is not None
        for name, text in stored.files.items():
            (folder / "policies").mkdir(exist_ok=True)
            (folder / "policies" / name).write_text(text, encoding="utf-8")
    return folder, made


async def explained(place: Path, *words: str) -> Ran:
    environ = {"LOCKKEEP_DATA": str(place / "data"), "LOCKKEEP_POLICIES": str(place / "policies")}
    return await command(environ, "policy", "explain", *words)


async def told(paid: tuple[Path, dict[str, str]], name: str) -> dict[str, Any]:
    folder, made = paid
    ran = await explained(folder, made[name], "--json")
    assert ran.code == 0, ran
    return ran.data


def by_rule(found: dict[str, Any]) -> dict[str, str]:
    return {each["rule"].rsplit("/", 1)[1] if each["rule"].startswith("till") else each["rule"]: each["said"] for each in found["rules"]}  # fmt: skip


async def test_every_entry_of_the_tool_is_told_with_what_became_of_it(
    paid: tuple[Path, dict[str, str]],
) -> None:
    small, cold = await told(paid, "small"), await told(paid, "cold")

    assert by_rule(small) == {
        "allow": "fired", "frozen": "false", "not-enough": "false", "watched": "observed", "odd": "false", "large": "false",
        "limit-1": "fired", "few": "fired", "others/shop.pay/allow": "not for you",
    }  # fmt: skip
    assert (small["word"], cold["word"], cold["rule"]) == ("allowed", "denied", "till/shop.pay/frozen")
    why = {each["rule"]: each["why"] for each in small["rules"]}
    assert "amount = 50.00 EUR" in why["till/shop.pay/large"]
    assert all(each["why"] or each["said"] == "not for you" for each in small["rules"])
    assert all(each["place"].endswith(tuple("0123456789")) for each in small["rules"])


async def test_look_ups_come_with_when_they_were_read(paid: tuple[Path, dict[str, str]]) -> None:
    found = await told(paid, "small")
    text = await explained(paid[0], paid[1]["small"])

    assert [(each["lookup"], each["said"], bool(each["read_at"])) for each in found["lookups"]] == [
        ("till/other", "answered", True),
        ("till/thing", "answered", True),
    ]
    assert "till/thing (shop.read): answered, read " in text.out
    assert "on record: succeeded" in text.out


async def test_changes_and_limits_of_then_are_told(paid: tuple[Path, dict[str, str]]) -> None:
    large, last = await told(paid, "large"), await told(paid, "last")
    text = (await explained(paid[0], paid[1]["large"])).out

    assert (large["word"], large["sent"]["amount_minor"]) == ("asks", 15000)
    assert "amount_minor: 20000 → 15000" in text
    assert "200 EUR per day: others hold 50.00 EUR of 200.00 EUR, this takes 150.00 EUR" in text
    assert (last["word"], last["code"], last["rule"]) == ("denied", "policy.limit", "till/shop.pay/limit-1")
    assert [(each["held_by_others"], each["most"]) for each in last["limits"]] == [(2, 3), (20000, 20000)]


async def test_a_call_of_a_file_is_decided_by_the_answers_in_it(
    paid: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    file = tmp_path / "call.json"
    call = {
        "tool": "shop.pay",
        "user": "ana",
        "agent": "robot",
        "arguments": {"id": "x", "amount_minor": 1, "currency": "EUR"},
    }
    words: dict[str, tuple[Any, str, str]] = {
        "frozen": ({"thing": {"id": "x", "frozen": True}, "other": {"id": "y"}}, "policy.rule", "answered"),
        "failed": ({"thing": {"error": "timeout"}, "other": {"id": "y"}}, "policy.lookup_failed", "failed"),
        "nothing": ({}, "policy.lookup_failed", "failed"),
    }
    for read, code, thing in words.values():
        file.write_text(json.dumps({**call, "read": read}), encoding="utf-8")
        found = (await explained(paid[0], "--call", str(file), "--json")).data
        assert (found["code"], found["lookups"][1]["said"], found["call"]) == (code, thing, None)
    file.write_text(json.dumps({**call, "arguments": {"id": 7}}), encoding="utf-8")
    assert (await explained(paid[0], "--call", str(file), "--json")).data["code"] == "arguments.invalid"


LEAD = {
    "email": "ida@kestrel.example",
    "company": "Kestrel",
    "name": "Ida",
    "country": "DE",
    "source": "event",
}


@pytest.fixture(scope="module")
async def starter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `lockkeep init` makes: its servers are real, and run where they are asked."""
    folder = tmp_path_factory.mktemp("starter")
    ran = await command(_environ(folder), "init", "--admin", "ada")
    assert ran.code == 0, ran
    return folder


async def test_live_makes_the_look_ups_now_and_changes_nothing(starter: Path, tmp_path: Path) -> None:
    shutil.copytree(starter, tmp_path, dirs_exist_ok=True)
    call = {"tool": "crm.assign_owner", "user": "ada", "agent": "lead-router",
            "arguments": {"kind": "lead", "id": "led_none", "owner_id": "rep_1", "reason": "covers it"}}  # fmt: skip
    (tmp_path / "call.json").write_text(json.dumps(call), encoding="utf-8")
    words = ("policy", "explain", "--call", str(tmp_path / "call.json"), "--json")
    plain = await command(_environ(tmp_path), *words)
    live = await command(_environ(tmp_path), *words, "--live")
    after = lockkeep(_environ(tmp_path), "calls", "list", "--json")

    assert [each["said"] for each in plain.data["lookups"]] == ["failed", "failed"]
    assert {each["lookup"]: (each["said"], bool(each["read_at"])) for each in live.data["lookups"]} == {
        "leads/lead": ("failed", False),
        "leads/team": ("answered", True),
    }
    assert (live.data["word"], live.data["call"], after.data) == ("denied", None, [])


def _environ(folder: Path) -> dict[str, str]:
    return {
        "LOCKKEEP_DATA": str(folder / "data"),
        "LOCKKEEP_POLICIES": str(folder / "policies"),
        "HOME": str(folder),
    }


async def test_a_past_call_can_be_asked_as_of_now(paid: tuple[Path, dict[str, str]]) -> None:
    """Its server is not installed here, so the fact is missing now; and that denies."""
    folder, made = paid
    with anyio.fail_after(60):
        found = (await explained(folder, made["small"], "--live", "--json")).data

    assert (found["code"], found["call"]["state"]) == ("policy.lookup_failed", "succeeded")
    assert {each["said"] for each in found["lookups"]} == {"failed"}
