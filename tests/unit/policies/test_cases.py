"""Test files: cases decided by the engine that decides live calls, and no case that proves nothing."""

import anyio
import pytest
from tests.unit.policies.room import folder, policy

from lockkeep.model import Request, Tool, ToolCall
from lockkeep.policy import cases
from lockkeep.policy.bundle import load
from lockkeep.policy.positions import Problems
from lockkeep.prepare import known_of, prepare

RULES = policy(
    """
    billing.refund:
      allow: [support]
      deny:
        - {name: not-more, when: amount > payment.refundable, say: "At most {payment.refundable}."}
      ask:
        - {name: much, when: amount > 100 EUR, from: [lead, finance], say: "Much: {amount}"}
        - {name: own, when: amount > 50 EUR, from: [support], confirm: requester}
        - {name: old, when: now - payment.at > 30 days, any_of: [lead]}
      limit: 3 per day
    """,
    read="payment: billing.payment(payment_id)",
)
FILE = """\
api: lockkeep/v1
test: desk
now: 2026-11-20T10:00:00+01:00
callers:
  ana: {roles: [support], agent: desk}
  eve: {agent: desk}
given:
  as: ana
  call: billing.refund
  with: {payment_id: p, amount: 20 EUR}
  read: {payment: {refundable: 900 EUR, disputed: false, at: 2026-11-18T09:00:00Z}}
cases:
  - name: it
"""


def run(case: str) -> list[str]:
    """Why the case is not as expected; nothing if it is."""
    files = {
        **folder(RULES),
        "tests/desk.test.yaml": FILE + "".join(f"    {line}\n" for line in case.splitlines()),
    }
    loaded, found = load(files)
    assert loaded is not None, found
    problems = Problems()
    read = cases.read(files, problems)
    assert problems.found == []

    def prepared(request: Request, tool: Tool, roles: frozenset[str]) -> ToolCall:
        return prepare(request, known_of(loaded, tool, roles))

    async def all_of_them() -> list[str]:
        return [
            result.why for result in [await cases.run(loaded, each, prepared) for each in read] if result.why
        ]

    return anyio.run(all_of_them)


@pytest.mark.parametrize(
    "case",
    [
        "expect: allowed\nby: [allow]", "with: {amount: 150 EUR}\nexpect: asks [finance, lead, requester, support]\nby: [much, own]\nsay: 'Much: 150.00 EUR'",
        "with: {amount: 900.01 EUR}\nexpect: denied\ncode: policy.rule\nby: not-more\nsay: At most 900.00 EUR", "as: eve\nexpect: denied\ncode: policy.not_allowed",
        "with: {amount: 20 USD}\nexpect: denied\ncode: policy.error", "with: {amount_minor: 5100, currency: EUR}\nexpect: asks [support, requester]",
        "read: {payment: {error: timeout}}\nexpect: denied\ncode: policy.lookup_failed", "read: {payment: {refundable: 900 EUR}}\nexpect: denied\ncode: policy.error",
        "now: 2027-01-20T10:00:00Z\nexpect: asks [lead]\nby: desk/billing.refund/old", "used: {desk/billing.refund/limit-1: 3}\nexpect: denied\ncode: policy.limit",
        "used: {desk/billing.refund/limit-1: 2}\nexpect: allowed", "with: {payment_id: p, amount: -20 EUR}\nexpect: allowed",
    ],
)  # fmt: skip
def test_a_case_that_is_as_expected(case: str) -> None:
    assert run(case) == []


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("expect: denied", "expected denied, got allowed"), ("with: {amount: 950 EUR}\nexpect: allowed", "expected allowed, got denied: At most 900.00 EUR."),
        ("with: {amount: 150 EUR}\nexpect: asks [lead]", "expected asks [lead], got asks [finance, lead, requester, support]"),
        ("as: eve\nexpect: denied\ncode: policy.rule", "expected code policy.rule, got policy.not_allowed"),
        ("expect: allowed\ncode: policy.rule", "expected code policy.rule, got None"), ("expect: allowed\nsay: Fine", "expected the reason to say 'Fine', it is ''"),
        ("expect: allowed\nby: [much]", "expected much to fire for billing.refund"), ("expect: allowed\nby: [mcuh]", "billing.refund has no rule 'mcuh'"),
        ("with: {amuont: 20 EUR}\nexpect: allowed", "billing.refund has no argument 'amuont'; did you mean amount?"),
        ("read: {paymnt: {}}\nexpect: allowed", "billing.refund has no look-up 'paymnt'; did you mean payment?"),
        ("used: {limit-1: 3}\nexpect: denied", "billing.refund has no limit 'limit-1'; known: desk/billing.refund/limit-1"),
        ("call: billing.refnd\nexpect: denied", "no accepted tool is called 'billing.refnd'; did you mean billing.refund?"),
        ("with: {amount: 20.001 EUR}\nexpect: allowed", "expected allowed, got denied: Rule desk/billing.refund/much could not be judged: amount is missing."),
    ],
)  # fmt: skip
def test_a_case_that_is_not_says_why(case: str, why: str) -> None:
    assert run(case) == [why]
