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


@pytest.mark.parametrize(
    ("old", "new", "group", "what"),
    [
        ('"lead" in user.roles', '"lead" in user.roles || has(run)', "gained access", "condition, looser"),
        ('agent == "desk" && has(run)', "has(run)", "gained access", "condition, looser"),
        ('agent in ["desk"]', 'agent in ["desk", "other"]', "gained access", "condition, looser"),
        ('agent != "desk" || has(run)', 'agent != "desk"', "stricter", "condition, stricter"),
        ("has(run)", 'has(run) && host == "h"', "stricter", "condition, stricter"),
        ("has(run)", 'host == "h"', "changed", "condition"),
        ('host.startsWith("a")', 'host.startsWith("ab")', "changed", "condition"),  # true, and not to be told from here
        ('has(run) && host == "h"', 'host == "h" && has(run)', "words", "condition"),
    ],
)  # fmt: skip
def test_a_condition_of_an_allow_is_looser_or_stricter_where_that_can_be_told(
    old: str, new: str, group: str, what: str
) -> None:
    before, after = (
        rules(policy(f"crm.get:\n  allow:\n    roles: [support]\n    when: '{each}'")) for each in (old, new)
    )
    assert told(before, after) == [(group, what, old, new)]
    back = {"gained access": "stricter", "stricter": "gained access"}.get(group, group)
    assert [each[0] for each in told(after, before)] == [back]


def test_a_condition_that_came_to_an_allow_makes_it_stricter() -> None:
    bare, guarded = (
        rules(policy(f"crm.get: {{allow: {{roles: [support]{more}}}}}")) for more in ("", ", when: has(run)")
    )
    assert told(bare, guarded) == [("stricter", "condition, stricter", "always", "has(run)")]
    assert told(guarded, bare) == [("gained access", "condition, looser", "has(run)", "always")]


def test_conditions_of_several_parts_are_weighed_too() -> None:
    before, after = (
        rules(refunds()),
        rules(refunds("when: payment.disputed", "when: payment.disputed && amount > 5 EUR")),
    )
    assert [each[:2] for each in told(before, after)] == [("removed denies", "condition")]
    assert [each[:2] for each in told(after, before)] == [("stricter", "condition")]


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


ROUTING = """\
api: lockkeep/v1
workflow: routing
description: Every lead has an owner.
owner: lead
agents: [desk]
trigger: {poll: crm.owners(active=true), every: 1 minute, each: result.owners}
subject: item.id
deadline: 30 minutes
steps:
  - {id: lead, call: 'crm.get(kind="lead", id=subject)'}
  - {id: team, call: crm.owners}
  - id: assign
    call: crm.assign
    with: {kind: lead, id: = subject, owner: = subject}
    when: has(lead.country)
    on: {denied: stop}
sequence:
  - {tool: crm.assign, after: [crm.get], at_most: 1}
end_state:
  call: crm.get(kind="lead", id=subject)
  require: has(result.country)
  within: 5 minutes
stage: 10
truth:
  call: crm.get(kind="lead", id=subject)
  window: 48 hours
  map:
    - {tool: crm.assign, when: has(result.country), same: {kind: lead, id: = subject}}
baseline: {items: 412, minutes_per_item: 14, error_rate: 4.1}
"""


def routing(old: str = "", new: str = "") -> PolicySet:
    """The workflow of this page, with one thing said differently."""
    assert old in ROUTING
    text = ROUTING.replace(old, new) if old else ROUTING
    return rules(**{"workflows/routing.yaml": text, "workflows/how.md": "Ask.", "workflows/why.md": "Ask."})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("stage: 10", "stage: 25", [("stage of routing", "10", "25")]),
        ("stage: 10", "stage: 10\nrest: human", [("rest of routing", "shadow", "human")]),
        ("agents: [desk]", "agents: [desk, other]", [("agents of routing", "desk", "desk, other")]),
        ("owner: lead", "owner: finance", [("owner of routing", "lead", "finance")]),
        ("every: 1 minute", "every: 5 minutes", [("trigger of routing", "crm.owners(active=true) every 1 minute, each of result.owners", "crm.owners(active=true) every 5 minutes, each of result.owners")]),
        ("{poll: crm.owners(active=true), every: 1 minute, each: result.owners}\nsubject: item.id", "{schedule: 0 8 * * mon-fri}", [
            ("trigger of routing", "crm.owners(active=true) every 1 minute, each of result.owners", "the schedule 0 8 * * mon-fri"),
            ("subject of routing", "item.id", "what the trigger says")]),
        ("deadline: 30 minutes", "deadline: 2 hours", [("deadline of routing", "30 minutes", "2 hours")]),
        ("  - {id: team, call: crm.owners}", "  - {id: team, call: crm.owners(active=true)}", [("step team of routing, argument active", "open", "true")]),
        ("when: has(lead.country)", "when: lead.kind == 'lead'", [("step assign of routing, when", "has(lead.country)", "lead.kind == 'lead'")]),
        ("on: {denied: stop}", "on: {denied: stop, failed: skip}", [("step assign of routing, after failed", "people", "skip")]),
        ("sequence:", "  - {id: note, call: lab.try}\nsequence:", [("step note of routing added", "", "call lab.try")]),
        ("kind: lead, id: = subject, owner", "kind: deal, id: = subject, owner", [("step assign of routing, argument kind", '"lead"', '"deal"')]),
        ("at_most: 1}", "at_most: 2}", [("order for crm.assign of routing, at most", "1 in a run", "2 in a run")]),
        ("sequence:\n  - {tool: crm.assign, after: [crm.get], at_most: 1}\n", "", [("order for crm.assign of routing removed", "after crm.get; at most 1 in a run", "")]),
        ("within: 5 minutes", "within: 1 hour", [("end state of routing, within", "5 minutes", "1 hour")]),
        ("window: 48 hours", "window: 3 days", [("truth of routing, window", "2 days", "3 days")]),
        ("items: 412", "items: 500", [("baseline of routing, items", "412", "500")]),
        ("stage: 10", "stage: 10\npromote: {shadow: {days: 21}}", [("promotion of routing, shadow days", "14", "21")]),
        ("stage: 10", "stage: 10\nguide: how.md", [("guide of routing", "none", "how.md")]),
    ],
)  # fmt: skip
def test_what_a_workflow_says_differently_is_told_part_by_part(
    old: str, new: str, said: list[tuple[str, str, str]]
) -> None:
    assert told(routing(), routing(old, new)) == [("workflows", *each) for each in sorted(said)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("stage: 10", "# as agreed\nstage:   10"),
        (
            "{id: lead, call: 'crm.get(kind=\"lead\", id=subject)'}",
            "{id: lead, call: crm.get, with: {id: = subject, kind: lead}}",
        ),
        ('crm.get(kind="lead", id=subject)\n  require', 'crm.get(id = subject, kind = "lead")\n  require'),
        ("has(lead.country)", "has( lead.country )"),
        ("every: 1 minute", "every: 60s"),
        ("deadline: 30 minutes\n", "deadline: 30m\n"),
    ],
)
def test_notes_blanks_and_other_ways_to_write_it_are_no_difference_of_a_workflow(old: str, new: str) -> None:
    assert told(routing(), routing(old, new)) == []


def test_a_workflow_that_comes_or_goes_and_steps_that_change_places_are_told() -> None:
    without = rules()
    assert told(without, routing()) == [
        ("workflows", "workflow routing added", "", "Every lead has an owner.")
    ]
    assert told(routing(), without) == [
        ("workflows", "workflow routing removed", "Every lead has an owner.", "")
    ]
    lead, team = (
        "  - {id: lead, call: 'crm.get(kind=\"lead\", id=subject)'}\n",
        "  - {id: team, call: crm.owners}\n",
    )
    assert told(routing(), routing(lead + team, team + lead)) == [
        ("workflows", "order of the steps of routing", "lead, team, assign", "team, lead, assign")
    ]


def test_another_text_of_a_guide_is_told() -> None:
    one, other = (
        rules(**{"workflows/routing.yaml": f"{ROUTING}guide: how.md\n", "workflows/how.md": text})
        for text in ("Ask.", "Go.")
    )
    assert told(one, other) == [("workflows", "guide of routing changed", "", "")]
