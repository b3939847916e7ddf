"""What people and agents are told: names in braces, filled in and made harmless."""

from typing import Any

import pytest
from tests.unit.policies.room import A_LEAD, LookUps, call, decide, policy, rules

from lockkeep.model import Deny, RequireApproval

ASSIGN: dict[str, Any] = {"kind": "lead", "id": "l", "owner": "o"}


async def told(
    say: str, fix: str = "", *, name: str = "crm.assign", read: str = "", given: Any = None
) -> Deny:
    """What the denial of a call with these arguments says."""
    arguments: dict[str, Any] = given or ASSIGN
    text = policy(
        f"{name}:\n  allow: anyone\n  deny: [{{when: true, say: '{say}', fix: '{fix}'}}]", read=read
    )
    current = rules(text.replace(", fix: ''", ""))
    verdict = (await decide(current, call(current, name, **arguments), LookUps(crm_get=A_LEAD))).verdict
    assert isinstance(verdict, Deny)
    return verdict


async def test_names_in_braces_are_filled_in() -> None:
    said = await told("{owner} is full, {user.id} of {agent}.", "Not {owner}.")
    assert said == Deny(
        "policy.rule", "o is full, ana of desk.", "Not o.", "changed", "desk/crm.assign/deny-1"
    )


async def test_without_say_the_condition_is_the_reason_and_without_fix_nothing_helps() -> None:
    current = rules(
        policy(
            'crm.assign:\n  allow: anyone\n  deny: [{when: [id == "l", owner == "o"], unless: kind == "deal"}]'
        )
    )
    verdict = (await decide(current, call(current, "crm.assign", kind="lead", id="l", owner="o"))).verdict
    assert verdict == Deny(
        "policy.rule",
        'Refused, because: id == "l" and owner == "o" and not (kind == "deal").',
        "",
        "no",
        "desk/crm.assign/deny-1",
    )


async def test_money_has_its_currency_and_what_is_missing_is_unknown() -> None:
    arguments = {"payment_id": "p", "amount_minor": 95_000, "currency": "EUR"}
    said = await told("{amount}, {call.amount}, {why}.", name="billing.refund", given=arguments)
    assert said.reason == "950.00 EUR, 950.00 EUR, (unknown)."


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nb\x1b[31m", "a·b·[31m"),
        ("x" * 300, "x" * 200 + "…"),
        ("\u202eevil", "·evil"),
        ("{owner}", "{owner}"),
    ],
)
async def test_a_callers_value_is_cut_and_has_no_control_characters(value: str, shown: str) -> None:
    assert (await told("<{id}>", given={**ASSIGN, "id": value})).reason == f"<{shown}>"


async def test_a_denial_makes_no_look_up_for_its_words_alone() -> None:
    said = await told("Worth {lead.value}.", read='lead: crm.get(kind="lead", id=id)')
    assert said.reason == "Worth (unknown)."


async def test_one_with_facts_in_its_condition_shows_them() -> None:
    read = 'lead: crm.get(kind="lead", id=id)'
    text = policy(
        'crm.assign:\n  allow: anyone\n  ask: [{when: has(lead.value), from: [lead], say: "Worth {lead.value}, {lead.country}"}]',
        read=read,
    )
    current = rules(text)
    wanted = call(current, "crm.assign", kind="lead", id="l", owner="o")
    verdict = (await decide(current, wanted, LookUps(crm_get=A_LEAD))).verdict
    assert isinstance(verdict, RequireApproval)
    assert verdict.demands[0].why == "Worth 1.00 EUR, DE"
