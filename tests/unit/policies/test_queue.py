"""What a manifest says of a queue is held against its tool when it is loaded, not in the emergency (P5)."""

from typing import Any

import pytest
from tests.unit.policies.room import FOLDER, TOOLS, fields, lock, tool

from lockkeep.model import Json, Tool
from lockkeep.policy.bundle import load
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.rules import queue

TAKES = fields(
    {"paused": {"type": "boolean"}, "reason": {"type": "string", "maxLength": 500}}, "paused", "reason"
)
WITH: dict[str, Json] = {"paused": "=args.paused", "reason": "=args.reason"}
FILE = """\
api: lockkeep/v1
manifest: crm
tools:
  hold:
    class: write
    undo: none
    queue: {with: {stop: =args.paused}}
"""


def holding(entry: Json, takes: Json = TAKES) -> Tool:
    return tool("crm.hold", "write", takes, queue=entry)


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("entry", "takes", "says"),
    [
        (True, TAKES, "queue is"),
        ({}, TAKES, "queue is"),
        ({"with": "paused"}, TAKES, "queue is"),
        ({"with": WITH, "aplied": "true"}, TAKES, "no key 'aplied'"),
        ({"with": WITH, "applied": True}, TAKES, "an expression"),
        ({"with": WITH, "applied": "result.paused =="}, TAKES, "."),
        ({"with": WITH, "applied": "other.paused"}, TAKES, "other"),
        ({"with": WITH, "applied": "'yes'"}, TAKES, "yes or no|true or false|condition"),
        ({"with": {"paused": "=args.paused"}}, TAKES, '"reason" is a required'),
        ({"with": {**WITH, "stop": True}}, TAKES, "'stop' was unexpected"),
        ({"with": {**WITH, "paused": "yes"}}, TAKES, "queue.with.paused"),
        ({"with": {**WITH, "paused": "=args.stopped"}}, TAKES, "queue.with"),
        ({"with": {**WITH, "paused": "=args."}}, TAKES, "."),
        ({"with": WITH}, fields({"paused": {"const": True}, "reason": {"type": "string"}}), "queue.with.paused"),
        ({"with": WITH}, fields({"paused": {}, "reason": {"type": "string", "maxLength": 499}}), "longer than 499"),
    ],
)  # fmt: skip
def test_a_queue_that_could_not_be_paused_keeps_the_set_out(entry: Json, takes: Json, says: str) -> None:
    with pytest.raises(Unreadable, match=says) as found:
        queue.check(holding(entry, takes))

    assert "\n" not in found.value.message
    assert len(found.value.message) < 300


@pytest.mark.parametrize(
    "entry", [{"with": WITH}, {"with": WITH, "applied": "result.paused == args.paused"}, {"with": {**WITH, "reason": "==stop"}}]
)  # fmt: skip
def test_a_queue_that_can_be_paused_and_let_go_is_taken(entry: Json) -> None:
    queue.check(holding(entry))
    loaded, problems = load({**FOLDER, "catalog.lock.json": lock([*TOOLS, holding(entry)])})

    assert (loaded is not None, problems) == (True, [])


@pytest.mark.promise("P5")
def test_the_fault_is_shown_in_the_file_that_says_it_or_else_in_the_catalog() -> None:
    accepted = lock([*TOOLS, holding({"with": {"stop": "=args.paused"}})])
    files = {**FOLDER, "catalog.lock.json": accepted}
    mended = FILE.replace("stop: =args.paused", "paused: =args.paused, reason: =args.reason")

    def faults(more: dict[str, str]) -> list[str]:
        loaded, found = load({**files, **more})
        assert loaded is None
        assert all("the manifest of crm.hold: queue.with does not fit" in each.message for each in found)
        assert all(each.hint == "hold takes paused, reason" for each in found)
        return [str(each.place) for each in found]

    assert faults({"manifests/crm.yaml": FILE}) == ["manifests/crm.yaml:7:12"]
    assert faults({"manifests/crm.yaml": mended}) == ["catalog.lock.json:1:1"]  # it is not accepted yet
    assert faults({}) == ["catalog.lock.json:1:1"]


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("applied", "paused", "answer", "shown"),
    [
        (None, True, {}, True),
        ("result.paused == args.paused", True, {"paused": True}, True),
        ("result.paused == args.paused", False, {"paused": False}, True),
        ("result.paused == args.paused", True, {"paused": False}, False),
        ("result.paused == args.paused", True, {}, False),
        ("result.paused == args.paused", True, {"paused": None}, False),
        ("result.paused == args.paused", True, None, False),
        ("result.paused == args.paused", True, "paused", False),
        ("result.paused == args.paused", True, {"paused": "true"}, False),
    ],
)  # fmt: skip
def test_an_answer_counts_if_it_shows_what_was_asked(
    applied: str | None, paused: bool, answer: Any, shown: bool
) -> None:
    entry: dict[str, Json] = {"with": WITH, **({"applied": applied} if applied else {})}

    assert queue.shows(holding(entry), queue.said(paused=paused, reason="drill"), answer) is shown
