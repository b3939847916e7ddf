"""What an auditor is given is what happened, under the rules that were in force then (P7)."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from crash.command import lockkeep
from crash.place import Place
from house import ALLOW_ALL, House, house, said
from lockkeep.evidence import SECTIONS, Period, as_text, evidence
from lockkeep.ledger import chain, generations
from lockkeep.ledger.digests import digest
from lockkeep.model import stamp

from .test_command_line import installed, place

__all__ = ["installed", "place"]
ASK = ALLOW_ALL + "  shop.write:\n    allow: [staff, lead, finance]\n    ask: {from: [lead], say: Look.}\n"
WRITE = {"id": "t1", "text": "hello"}


def gathered(at: House, period: Period) -> Mapping[str, Any]:
    rows = at.store.read.all("audit_from", seq=1, count=100_000)
    records = [(row["seq"], row["hash"], row["record"]) for row in rows]
    texts = [text for _, _, text in records if period.begin <= json.loads(text)["at"] < period.end]
    return evidence(at.store.read, texts, period, chain.walked(records), {"retention_days": 400})


@pytest.mark.promise("P7")
async def test_the_evidence_of_a_period_names_who_decided_what_was_refused_changed_and_stopped(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, rules=ASK) as at:
        begin = stamp(at.clock())
        asked = said(await at.call("shop.write", WRITE))
        await at.vote(asked["approval_id"], "ana")
        await at.vote(asked["approval_id"], "bo")
        await at.call("shop.nothing")
        await at.rules(rules=ALLOW_ALL)
        await at.throw("tool:shop.write", "pause")
        await at.lift("tool:shop.write")
        end = stamp(at.clock())
        at.clock.ahead += timedelta(days=1)
        await at.throw("tool:shop.read", "pause")
        found = gathered(at, Period(begin=begin, end=end))
        before = gathered(at, Period(begin="0000", end=begin))

    (own,), (vote,) = found["refused"]["own_call"], found["decisions"]
    assert (own["person"], own["requester"], own["tool"]) == ("ana", "ana", "shop.write")
    assert (vote["person"], vote["decision"], vote["policy"]) == ("bo", "approve", 1)
    assert sum(found["refused"]["denied_calls_by_code"].values()) == 1
    (change,) = found["changes"]["policy_sets"]
    assert (change["generation"], "-    ask: {from: [lead], say: Look.}" in change["diff"]) == (2, True)
    assert [each["type"] for each in found["operations"]] == ["switch.thrown", "switch.lifted"]
    assert (found["access"]["generation"], before["access"]["generation"]) == (2, 1)
    assert may(before, "shop.write") == ("asks", True)
    assert may(found, "shop.write") == ("always", False)
    assert found["verification"]["sound"]
    text = "\n".join(as_text(found))
    assert all(title in text for title in SECTIONS.values())


def may(found: Mapping[str, Any], tool: str) -> tuple[str, bool]:
    """What ana's robot may do with a tool, and whether somebody agrees first."""
    (row,) = [each for each in found["access"]["may"] if each["agent"] == "robot" and "ana" in each["for"]]
    (one,) = [each for each in row["tools"] if each["tool"] == tool]
    return one["says"], bool(one["asks"])


@pytest.mark.promise("P7")
async def test_the_policy_text_behind_every_past_decision_is_kept(tmp_path: Path) -> None:
    texts = [ALLOW_ALL + f"# version {number}\n" for number in range(5)]
    async with house(tmp_path, rules=texts[0]) as at:
        for text in texts[1:]:
            await at.call("shop.read", {"id": "a"})
            await at.rules(rules=text)
        await at.call("shop.read", {"id": "a"})
        told = {each["policy"]: each["digest"] for each in at.audit() if each["type"] == "policy.activated"}
        decided = [each["policy"] for each in at.audit() if each["type"] == "call.claimed"]
        kept = {number: generations.get(at.store.read, number) for number in decided}

    assert decided == [1, 2, 3, 4, 5]
    assert [kept[number].files["rules.yaml"] for number in decided] == texts  # pyright: ignore[reportOptionalMemberAccess]
    assert {number: digest(dict(each.files)) for number, each in kept.items() if each} == told


def test_evidence_as_lines_and_as_json_for_a_day(place: Place) -> None:
    lines = lockkeep(place.environ, "audit", "evidence")
    found = lockkeep(place.environ, "audit", "evidence", "--json").data
    nothing = lockkeep(
        place.environ, "audit", "evidence", "--from", "2020-01-01", "--to", "2020-01-31", "--json"
    )
    bad = lockkeep(place.environ, "audit", "evidence", "--from", "yesterday")

    assert lines.code == 0
    assert "Decisions by people" in lines.out
    assert found["access"]["duties"] or found["access"]["people"]
    assert (nothing.data["access"], nothing.data["decisions"]) == (None, [])
    assert (bad.code, "2027-03-31" in bad.err) == (2, True)
