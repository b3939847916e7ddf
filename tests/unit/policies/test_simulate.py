"""What one kind of caller may do, and what it depends on, in the words of the files."""

from datetime import date

from tests.unit.policies.room import policy, rules

from lockkeep.policy.simulate import Caller, Simulated, simulate

TODAY = date(2026, 11, 20)
RULES = policy(
    """
    crm.get:
      allow: anyone
    crm.assign:
      allow: [support]
      ask:
        - {name: all, from: [lead], confirm: requester}
      limit: 20 per hour per agent
    billing.refund:
      allow: [support]
      deny:
        - {name: not-much, when: amount > 500 EUR}
        - {name: never-so, when: size(payment_id) < 0}
      people:
        - {name: odd, when: "payment_id == 'x'", to: [finance]}
      ask:
        - {name: much, when: amount > 100 EUR, any_of: [lead, finance]}
      limit: {up_to: 5000 EUR per day, ask: {from: [finance]}}
    billing.fee:
      allow: [support]
      deny:
        - {name: not-at-all, when: "currency == 'EUR' || currency != 'EUR'"}
    lab.try:
      allow: {roles: [support], when: user.id != 'ana'}
      deny:
        - {name: nights, hours: not mon-fri 08:00-18:00}
        - {name: watched, mode: observe, when: n > 1}
    billing.payment:
      allow: {users: [bo]}
    lab.clash:
      allow: {roles: [support], until: 2026-11-01}
    """
)


def said(agent: str = "desk", role: str = "support", user: str | None = None) -> dict[str, Simulated]:
    found = simulate(rules(RULES), Caller(agent=agent, roles=frozenset({role}), user=user), TODAY)
    return {each.tool: each for each in found}


def test_each_tool_is_told_once_with_what_it_depends_on() -> None:
    found = said()

    assert {name: each.says for name, each in found.items()} == {
        "billing.fee": "never", "billing.payment": "never", "billing.refund": "depends", "crm.assign": "asks",
        "crm.get": "always", "crm.owners": "never", "lab.clash": "never", "lab.try": "depends",
    }  # fmt: skip
    assert found["crm.assign"].asks == ("lead and the requester",)
    assert found["crm.assign"].limits == ("20 per hour per agent",)
    assert found["billing.refund"].depends == (
        "refused if amount > 500 EUR",
        "handed to finance if payment_id == 'x'",
        "asks one of lead, finance if amount > 100 EUR",
    )
    assert found["billing.refund"].limits == ("5000 EUR per day, then asks finance",)
    assert found["lab.try"].depends == (
        "allowed if user.id != 'ana'",
        "refused if it is not mon-fri 08:00-18:00",
    )


def test_a_condition_about_the_caller_is_decided_where_the_caller_is_known() -> None:
    assert said(user="ana")["lab.try"].says == "never"
    assert said(user="bo")["lab.try"].depends == ("refused if it is not mon-fri 08:00-18:00",)
    assert said(user="bo")["billing.payment"].says == "always"


def test_who_is_not_spoken_of_may_do_nothing_but_what_anyone_may() -> None:
    assert {name for name, each in said(agent="other").items() if each.says != "never"} == set()
    assert {name for name, each in said(role="finance").items() if each.says != "never"} == {"crm.get"}
