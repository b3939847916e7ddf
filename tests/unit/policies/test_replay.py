"""Y13: replay, on generated traffic; what is found again by its question, and what is not."""

import io
import sys
from pathlib import Path
from time import process_time

import pytest
from tests.unit.policies import room
from tests.unit.policies.traffic import FILES, desk

from lockkeep.cli.replay import told
from lockkeep.model import Allow, Deny, Verdict
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.replay.recalled import Memory
from replaying import again, agree


@pytest.mark.full
async def test_six_hundred_generated_calls_are_decided_as_they_were(tmp_path: Path) -> None:
    with desk(tmp_path, seed=7) as place:
        for _ in range(600):
            await place.call()
        found = again(place.ledger.store.path, FILES)

    agree(found)
    assert len(found) == 600
    assert {each.word for each in found} == {"allowed", "asks", "people", "denied"}


@pytest.mark.full
@pytest.mark.promise("P6")
async def test_ten_thousand_generated_calls_are_decided_as_they_were_in_ten_seconds(tmp_path: Path) -> None:
    with desk(tmp_path, seed=11) as place:
        for _ in range(10_000):
            await place.call()
        began = process_time()
        found = again(place.ledger.store.path, FILES)
        took = process_time() - began

    agree(found)
    assert len(found) == 10_000
    assert took < 10


DENY = "crm.assign:\n  allow: anyone\n  deny: {when: lead.id == 'x'}"
ASKED = '["crm.get", {"id": "l", "kind": "lead"}]'


async def test_an_answer_is_found_by_its_question_whatever_the_look_up_is_called_now() -> None:
    rules = room.rules(room.policy(DENY.replace("lead", "it"), read='it: crm.get(id=id, kind="lead")'))
    memory = Memory({ASKED: room.A_LEAD})

    assert isinstance(await _verdict(rules, memory, id="l"), Allow)
    assert memory.missed == set()
    assert isinstance(await _verdict(rules, memory, id="m"), Deny)
    assert memory.missed == {'["crm.get", {"id": "m", "kind": "lead"}]'}


async def test_one_name_in_two_files_stands_for_two_questions() -> None:
    first = room.policy(DENY, read='lead: crm.get(kind="lead", id=id)')
    second = room.policy(
        DENY.replace("'x'", "'o'"), read='lead: crm.get(kind="lead", id=owner)', name="second"
    )
    memory = Memory({ASKED: room.A_LEAD, ASKED.replace('"l"', '"o"'): {**room.A_LEAD, "id": "o"}})

    denied = await _verdict(room.rules(first, second), memory, id="l")
    assert isinstance(denied, Deny)
    assert denied.rule == "second/crm.assign/deny-1"


async def _verdict(rules: PolicySet, memory: Memory, *, id: str) -> Verdict:
    wanted = room.call(rules, "crm.assign", kind="lead", id=id, owner="o")
    return (await rules.decide(wanted, memory.look_ups())).verdict


def test_a_long_replay_says_on_a_terminal_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    assert len(list(told(range(600), 600))) == 600  # pyright: ignore[reportArgumentType] - any calls

    assert "500 of 600 calls replayed" in screen.getvalue()
    assert screen.getvalue().endswith("\r")
