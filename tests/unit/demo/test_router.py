"""Whom the demo's agent chooses, and how an outcome of the gateway reads in its table."""

from typing import Any

import pytest
from demo.leads import Lead
from demo.router import Owner, Result, Router, choose

from lockkeep_client import Denied, Outcome, Pending, Unknown

LEAD = Lead(2, "a@b.example", "B GmbH", "Ann", "DE", "web", 100, "EUR", "")


class Answers:
    """A gateway that gives one answer to every call."""

    def __init__(self, answer: Outcome) -> None:
        self.answer = answer

    async def call(self, tool: str, args: object) -> Outcome:
        return self.answer


def owner(number: int, countries: list[str], open_leads: int) -> dict[str, Any]:
    return {
        "id": f"rep_{number}",
        "name": "Rep",
        "tz": "UTC",
        "countries": countries,
        "capacity": 2,
        "open_leads": open_leads,
    }


def test_only_who_covers_the_country_and_has_room_is_chosen() -> None:
    owners = [owner(1, ["FR"], 0), owner(2, ["DE"], 2), owner(3, ["AT", "DE"], 1)]

    assert choose(owners, LEAD) == Owner("rep_3", "Rep", "UTC")
    assert choose(owners[:2], LEAD) is None


@pytest.mark.parametrize(
    ("answer", "word", "rule"),
    [
        (Denied(code="policy.rule", rule="leads/x/y", reason="No."), "denied", "leads/x/y"),
        (Denied(code="switch.killed", reason="Stopped."), "denied", "switch.killed"),
        (Pending(approval_id="apr_1", reason="Large."), "pending", ""),
        (Unknown(text="Lost."), "failed", "unknown"),
    ],
)
async def test_the_first_answer_other_than_yes_ends_the_lead(answer: Outcome, word: str, rule: str) -> None:
    result: Result = await Router(Answers(answer)).route(LEAD)  # pyright: ignore[reportArgumentType] - one method is used

    assert (result.word, result.rule, result.record) == (word, rule, None)
