"""How a tool result reads."""

from typing import Any

import pytest

from lockkeep_client import (
    Cancelled,
    Denied,
    Diverted,
    Expired,
    Failed,
    Outcome,
    Shadowed,
    Succeeded,
    Undone,
    Unknown,
)
from lockkeep_client.answers import ASK, outcome_of


def result(
    structured: Any = None, outcome: str | None = None, *, error: bool = False, **note: Any
) -> dict[str, Any]:
    """A `tools/call` result; with an outcome it carries the gateway's note."""
    meta = (
        {} if outcome is None else {"_meta": {"lockkeep/call": {"id": "call_1", "outcome": outcome, **note}}}
    )
    shown = {
        "content": [{"type": "text", "text": "shown"}],
        "isError": error,
        "structuredContent": structured,
    }
    return {"resultType": "complete", **shown, **meta}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            result({"a": 1}, "succeeded", deduplicated=True, score=2),
            Succeeded(call_id="call_1", deduplicated=True, text="shown", value={"a": 1}, extra={"score": 2}),
        ),
        (result([1], "succeeded"), Succeeded(call_id="call_1", text="shown", value=[1])),
        (result({"a": 1}, "shadowed"), Shadowed(call_id="call_1", text="shown", value={"a": 1})),
        (
            result({"reason": "Edge case.", "next": "Wait.", "task_id": "t1"}, "diverted"),
            Diverted(
                call_id="call_1", text="shown", reason="Edge case.", next="Wait.", extra={"task_id": "t1"}
            ),
        ),
        (
            result({"status": "expired", "reason": "r"}, "expired", error=True),
            Expired(call_id="call_1", text="shown", reason="r"),
        ),
        (
            result({"status": "cancelled", "reason": "r"}, "cancelled", error=True),
            Cancelled(call_id="call_1", text="shown", reason="r"),
        ),
        (result({"next": "n"}, "undone"), Undone(call_id="call_1", text="shown", next="n")),
        (result(None, "failed", error=True), Failed(call_id="call_1", text="shown")),
        (
            result({"code": "c", "reason": 7}, "denied", error=True),
            Denied(call_id="call_1", text="shown", code="c"),
        ),
    ],
)
def test_the_gateways_word_decides(told: dict[str, Any], expected: Outcome) -> None:
    assert outcome_of(told) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            result({"status": "denied", "call_id": "x"}),
            Succeeded(text="shown", value={"status": "denied", "call_id": "x"}),
        ),
        (result({"status": "denied", "call_id": "c"}, error=True), Denied(text="shown", call_id="c")),
        (
            result({"error": {"code": "conflict"}}, error=True),
            Failed(text="shown", error={"code": "conflict"}),
        ),
        (result({"status": "expired"}, error=True), Expired(text="shown")),
        (result(None, error=True), Unknown(text="shown", next=ASK)),
        (result({"status": "novel"}, error=True), Unknown(text="shown", next=ASK)),
    ],
)
def test_without_the_gateways_word_an_error_is_only_what_it_proves(
    told: dict[str, Any], expected: Outcome
) -> None:
    assert outcome_of(told) == expected


@pytest.mark.parametrize(
    "told",
    [
        result({}, "pending_approval"),  # nobody could wait on it
        result({}, "succeeded", error=True),
        result({}, "unknown"),
        result({}, "novel"),
        {**result({}, "succeeded"), "resultType": "input_required"},
    ],
)
def test_what_cannot_be_read_for_sure_is_unknown(told: dict[str, Any]) -> None:
    outcome = outcome_of(told)
    assert (type(outcome), outcome.call_id) == (Unknown, "call_1")


def test_a_time_without_a_zone_is_kept_and_not_guessed() -> None:
    outcome = outcome_of(result({"approval_id": "a", "expires_at": "2026-01-01T00:00"}, "pending_approval"))
    assert (vars(outcome)["expires_at"], outcome.extra) == (None, {"expires_at": "2026-01-01T00:00"})
