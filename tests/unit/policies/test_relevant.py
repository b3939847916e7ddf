"""Rules for this call: what people agreed to is void when something of it changes, and only then (P3)."""

import pytest
from tests.unit.policies.room import LookUps, call, decide, policy, rules

BASE = """\
billing.refund:
  allow: [support]
  ask:
    - {name: high, when: amount > high, from: [lead], say: "{amount} is high."}
  limit: daily per day
crm.assign:
  allow: anyone
  deny: [{when: kind == "deal"}]
"""


async def digest(text: str, *more: str) -> str:
    current = rules(text, *more)
    wanted = call(current, "billing.refund", payment_id="p", amount_minor=100, currency="EUR")
    return (await decide(current, wanted, LookUps())).basis.rules


def valued(high: str = "100 EUR", daily: str = "{EUR: 500}", other: str = "3") -> str:
    head, _, tools = policy(BASE).partition("tools:")
    return f"{head}values:\n  high: {high}\n  daily: {daily}\n  other: {other}\ntools:{tools}"


RELEVANT = {
    "a value of a condition": valued(high="101 EUR"),
    "a value of a limit": valued(daily="{EUR: 501}"),
    "who is asked": valued().replace("from: [lead]", "from: [finance]"),
    "what is said": valued().replace("is high", "is very high"),
    "the mode of the entry": valued().replace("from: [lead]", "mode: observe, from: [lead]"),
    "an end": valued().replace("from: [lead]", "until: 2027-01-01, from: [lead]"),
    "its hours": valued().replace("from: [lead]", "hours: mon-fri, from: [lead]"),
    "who may": valued().replace("[support]", "[support, lead]"),
    "one more rule": valued().replace("  ask:", "  deny: [{when: amount > 900 EUR}]\n    ask:", 1),
    "a cut": valued().replace("  limit:", "  change: {amount: at_most 50 EUR}\n    limit:", 1),
    "the mode of the file": valued().replace("values:", "until: 2027-01-01\nvalues:"),
}
UNRELATED = {
    "another value": valued(other="4"),
    "another tool": valued().replace('kind == "deal"', 'kind == "lead"'),
    "a comment": valued() + "# later\n",
    "its place": "# first\n" + valued(),
    "results": valued().replace("  limit:", "  results: {detect: [iban]}\n    limit:", 1),
}


@pytest.mark.promise("P3")
@pytest.mark.parametrize("what", RELEVANT)
async def test_a_change_of_what_judges_this_call_is_another_call(what: str) -> None:
    assert await digest(RELEVANT[what]) != await digest(valued())


@pytest.mark.promise("P3")
@pytest.mark.parametrize("what", UNRELATED)
async def test_an_unrelated_edit_voids_nothing(what: str) -> None:
    assert await digest(UNRELATED[what]) == await digest(valued())


async def test_a_file_about_others_voids_nothing() -> None:
    other = policy(
        "billing.refund: {deny: [{when: amount > 1 EUR}]}", name="other", applies="{agents: [other]}"
    )

    assert await digest(valued(), other) == await digest(valued())
