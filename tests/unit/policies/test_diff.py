"""`policy diff`: what two sets mean, compared; places, order and names of files say nothing."""

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from tests.unit.policies.room import GATEWAY, PEOPLE, TOOLS, lock, policy, rules

from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.show.diff import GROUPS, Difference, as_data, as_text, compare

BASE = """
billing.refund:
  allow: [support]
  deny:
    - {name: disputed, when: payment.disputed, say: No.}
    - {when: amount > payment.refundable}
  ask:
    - {name: big, when: amount > 100 EUR, from: [lead, finance], reason: required}
  people:
    - {name: odd, when: why == null, to: [finance]}
  limit: 20 per hour per agent
  change: {amount: at_most cap}
  results: {hide: [id], detect: [iban]}
"""
READ = "payment: billing.payment(payment_id)"
VALUES = "values: {cap: 50 EUR}\ntools:"


def refunds(old: str = "", new: str = "", *, applies: str = "{agents: [desk]}") -> str:
    """The policy of this page, with one thing said differently."""
    body = BASE.replace(old, new) if old else BASE
    text = policy(body, read=READ, applies=applies).replace("tools:", VALUES)
    assert old in BASE + text
    return text if not old or old in BASE else text.replace(old, new)


def told(before: PolicySet, after: PolicySet) -> list[tuple[str, str, str, str]]:
    return [(each.group, each.what, each.before, each.after) for each in compare(before, after)]


def test_a_set_means_the_same_as_itself() -> None:
    assert compare(rules(refunds()), rules(refunds())) == []


def test_order_places_blanks_notes_and_names_of_files_say_nothing() -> None:
    moved = refunds("  deny:\n", "  deny:\n    # first\n    - {when: 'amount>payment.refundable'}\n").replace(
        "      - {when: amount > payment.refundable}\n", ""
    )
    one, other = (
        policy("crm.get: {allow: [lead]}", name="one"),
        policy("crm.owners: {allow: [lead]}", name="other"),
    )

    assert compare(rules(refunds(), one, other), rules(other, one, moved)) == []


def test_an_entry_that_moves_to_another_policy_or_gets_a_name_still_means_the_same() -> None:
    one = policy(
        "crm.get: {allow: [lead]}\ncrm.owners: {allow: anyone, deny: [{when: active == null}]}", name="one"
    )
    two = policy("crm.owners: {allow: anyone, deny: [{name: why, when: active == null}]}\ncrm.get: {allow: [lead]}", name="two")  # fmt: skip
    assert [each.group for each in compare(rules(one), rules(two))] == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("amount > 100 EUR", "amount > 500 EUR", ("weaker asks", "condition", "above 100.00 EUR", "above 500.00 EUR")),
        ("amount > 100 EUR", "amount > 50 EUR", ("stricter", "condition", "above 100.00 EUR", "above 50.00 EUR")),
        ("amount > 100 EUR", "amount < 100 EUR", ("changed", "condition", "above 100.00 EUR", "below 100.00 EUR")),
        ("amount > 100 EUR", "amount > 100 USD", ("changed", "condition", "above 100.00 EUR", "above 100.00 USD")),
        ("from: [lead, finance]", "from: [lead]", ("weaker asks", "people", "one of lead and one of finance must agree", "one of lead must agree")),
        ("from: [lead, finance]", "any_of: [lead, finance], count: 2", ("weaker asks", "people", "one of lead and one of finance must agree", "2 people of lead or finance must agree")),
        ("from: [lead, finance]", "from: [lead, finance], count: 3", ("stricter", "people", "one of lead and one of finance must agree", "one of lead and one of finance, 3 people in all, must agree")),
        (", reason: required", "", ("weaker asks", "reason", "needed", "not needed")),
        ("say: No.", "say: Never.", ("words", "say", "No.", "Never.")),
        ("say: No.}", "say: No., mode: observe}", ("removed denies", "mode", "enforce", "observe")),
        ("say: No.}", "say: No., until: 2027-01-31}", ("removed denies", "until", "no end", "2027-01-31")),
        ("say: No.}", "say: No., hours: sat-sun}", ("removed denies", "hours", "all hours", "on Saturday and Sunday")),
        ("to: [finance]", "to: [lead]", ("changed", "people", "finance", "lead")),
        ("20 per hour", "30 per hour", ("raised limits", "limit", "at most 20 calls per hour for each agent", "at most 30 calls per hour for each agent")),
        ("20 per hour", "10 per hour", ("stricter", "limit", "at most 20 calls per hour for each agent", "at most 10 calls per hour for each agent")),
        ("20 per hour", "20 per day", ("changed", "limit", "at most 20 calls per hour for each agent", "at most 20 calls per calendar day for each agent")),
        ("limit: 20 per hour per agent", "limit: {up_to: 20 per hour per agent, people: [lead]}", ("raised limits", "when it is full", "What is beyond that is refused.", "Beyond that people of lead take over.")),
        ("hide: [id]", "hide: [disputed]", ("more is shown", "hidden", "id", "disputed")),
        ("detect: [iban]", "detect: [iban, card]", ("stricter", "masked", "iban", "iban, card")),
        ("hide: [id], ", "", ("more is shown", "hidden", "id", "nothing")),
        ("cap: 50 EUR", "cap: 80 EUR", ("values", "value cap of desk, raised", "50.00 EUR", "80.00 EUR")),
        ("cap: 50 EUR", "cap: 20 EUR", ("values", "value cap of desk, lowered", "50.00 EUR", "20.00 EUR")),
        ("at_most cap", "at_most 60 EUR", ("raised limits", "maximum", "50.00 EUR", "60.00 EUR")),
        ("billing.payment(payment_id)", "billing.payment(why)", ("look-ups", "look-up desk/read/payment", "billing.payment(payment_id)", "billing.payment(why)")),
        ("owner: lead", "owner: finance", ("words", "owner of desk", "lead", "finance")),
        ("    - {name: disputed, when: payment.disputed, say: No.}\n", "", ("removed denies", "removed (deny)", "Refused when the payment is disputed: 'No.'", "")),
        ("    - {name: big, when: amount > 100 EUR, from: [lead, finance], reason: required}\n", "    []\n", ("weaker asks", "removed (ask)", "Above 100.00 EUR one of lead and one of finance must agree. They must give a reason.", "")),
        ("    - {name: odd", "    - {name: even, to: [lead]}\n    - {name: odd", ("stricter", "added (people)", "", "The agent stops and people of lead take over.")),
        ("  limit: 20 per hour per agent\n", "", ("raised limits", "removed (limit)", "At most 20 calls per hour for each agent. What is beyond that is refused.", "")),
    ],
)  # fmt: skip
def test_a_difference_is_named_and_its_danger_is_known(
    old: str, new: str, said: tuple[str, str, str, str]
) -> None:
    found = told(rules(refunds()), rules(refunds(old, new)))
    assert said in found
    assert len(found) == 1


def test_who_gains_and_who_loses_a_tool_is_said_by_name() -> None:
    before = rules(refunds())
    assert told(before, rules(refunds("allow: [support]", "allow: [finance]"))) == [
        ("gained access", "cy with the agent desk", "", ""),
        (
            "changed",
            "who",
            "people with the role support may use it",
            "people with the role finance may use it",
        ),
        ("lost access", "ana and bo with the agent desk", "", ""),
    ]
    assert told(before, rules(refunds("allow: [support]", "allow: anyone")))[0] == (
        "gained access", "cy with the agent desk", "", "",
    )  # fmt: skip
    gone = told(before, rules(refunds(applies="{agents: [other]}")))
    assert gone[0] == ("gained access", "ana and bo with the agent other", "", "")
    assert ("changed", "whose calls", "calls of the agent desk", "calls of the agent other") in gone


def test_an_allow_that_only_observes_from_now_on_is_access_lost() -> None:
    found = compare(
        rules(refunds()), rules(refunds("allow: [support]", "allow: {roles: [support], mode: observe}"))
    )
    assert [(each.group, each.what) for each in found] == [("stricter", "mode"), ("lost access", "ana and bo with the agent desk")]  # fmt: skip


def test_a_person_who_joins_a_group_gains_what_it_may() -> None:
    joined = PEOPLE.replace("cy: {groups: [finance]}", "cy: {groups: [finance, support]}")
    found = compare(rules(refunds()), rules(refunds(), **{"people.yaml": joined}))
    assert [(each.group, each.what, each.tools) for each in found] == [
        ("gained access", "cy with the agent desk", ("billing.refund",)), ("people", "person cy", ()),
    ]  # fmt: skip


def test_pins_tools_integrations_and_agents_are_compared() -> None:
    fewer = [each for each in TOOLS if each.name != "lab.clash"]
    gateway = GATEWAY.replace("  other: {}\n", "  other: {owner: bo}\n  more: {}\n").replace(
        "Europe/Berlin", "UTC"
    )
    after = rules(
        refunds(),
        **{"catalog.lock.json": lock(fewer).replace("pin of crm.get", "new pin"), "gateway.yaml": gateway},
    )
    assert told(rules(refunds()), after) == [
        ("gateway", "agent more added", "", "owner nobody"), ("gateway", "agent other", "owner nobody", "owner bo"),
        ("gateway", "time zone", "Europe/Berlin", "UTC"), ("pins", "another pin", "pin of crm.g", "new pin"),
        ("pins", "no longer accepted", "", ""),
    ]  # fmt: skip


def test_one_difference_of_many_tools_is_one_line() -> None:
    found = compare(
        rules(policy("crm.@read: {allow: [lead]}")), rules(policy("crm.@read: {allow: [support]}"))
    )
    assert [(each.group, each.tools) for each in found] == [
        ("gained access", ("crm.get", "crm.owners")), ("changed", ("crm.get", "crm.owners")),
    ]  # fmt: skip
    assert list(as_text(found)) == [
        "Gained access",
        "  crm.get and crm.owners: ana with the agent desk",
        "Changed",
        "  desk/crm.@read/allow: who: people with the role support may use it (was: people with the role lead may use it)",
    ]
    assert as_data(found)[0]["tools"] == ["crm.get", "crm.owners"]


def test_a_tool_that_comes_to_a_block_takes_of_its_limit() -> None:
    one, two = (
        policy(f"{key}: {{allow: [lead], limit: 5 per hour}}") for key in ("crm.get", "crm.get, crm.owners")
    )
    found = [(each.group, each.what) for each in compare(rules(one), rules(two))]
    assert ("changed", "counted together") in found
    assert ("gained access", "bo with the agent desk") in found


def test_the_most_dangerous_comes_first() -> None:
    dice = random.Random(3)
    pieces = ["amount > 100 EUR", "20 per hour", "payment.disputed", "[support]", "cap: 50 EUR", "say: No."]
    others = ["amount > 900 EUR", "99 per hour", "why == null", "anyone", "cap: 60 EUR", "say: Yes."]
    for _ in range(10):
        text = refunds()
        for number in dice.sample(range(6), 4):
            text = text.replace(pieces[number], others[number])
        found: Sequence[Difference] = compare(rules(refunds()), rules(text))
        assert len(found) >= 3
        assert all(GROUPS.index(a.group) <= GROUPS.index(b.group) for a, b in pairwise(found))
