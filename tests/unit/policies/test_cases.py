"""Test files: cases decided by the engine that decides live calls, and no case that proves nothing."""

import anyio
import pytest
from tests.unit.policies.room import folder, policy

from lockkeep.model import Request, Tool, ToolCall
from lockkeep.policy.bundle import load
from lockkeep.policy.cases import cases
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
  bo: {agent: desk}
  deputy: {user: ana, agent: desk}
  gus: {user: guss, agent: desk}
given:
  as: ana
  call: billing.refund
  with: {payment_id: p, amount: 20 EUR}
  read: {payment: {refundable: 900 EUR, disputed: false, at: 2026-11-18T09:00:00Z}}
cases:
  - name: it
"""


def run(case: str, policies: str = RULES, head: str = FILE) -> list[str]:
    """Why the case is not as expected; nothing if it is."""
    files = {
        **folder(policies),
        "tests/desk.test.yaml": head + "".join(f"    {line}\n" for line in case.splitlines()),
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
        "used: {desk/billing.refund/limit-1: 2}\nexpect: allowed",
        "used: {billing.refund/limit-1: 3}\nexpect: denied\nby: [billing.refund/limit-1]", "used: {limit-1: 3}\nexpect: denied\ncode: policy.limit",
        "as: bo\nexpect: allowed", "as: deputy\nexpect: allowed", "observed: []\nexpect: allowed", "args: {amount: 20 EUR, payment_id: p}\nexpect: allowed", "with: {payment_id: p, amount: -20 EUR}\nexpect: allowed",
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
        ("expect: allowed\nby: [much]", "expected much to fire for billing.refund"), ("expect: allowed\nby: [mcuh]", "billing.refund has no rule 'mcuh'; did you mean much?"),
        ("with: {amuont: 20 EUR}\nexpect: allowed", "billing.refund has no argument 'amuont'; did you mean amount?"),
        ("read: {paymnt: {}}\nexpect: allowed", "billing.refund has no look-up 'paymnt'; did you mean payment?"),
        ("used: {limit-2: 3}\nexpect: denied", "billing.refund has no limit 'limit-2'; did you mean limit-1?"),
        ("used: {limit-1: 3 EUR}\nexpect: denied", "'3 EUR' is nothing this limit counts; 20 calls are 20, money is 4900 EUR"),
        ("args: {amuont: 20 EUR}\nexpect: allowed", "billing.refund has no argument 'amuont'; did you mean amount?"),
        ("args: {amount: 30 EUR}\nexpect: allowed", "expected amount_minor to be 3000, it is 2000"),
        ("as: eve\nargs: {amount: 30 EUR}\nexpect: denied", "expected arguments, and nothing is sent"),
        ("observed: [much]\nexpect: allowed", "expected much to be observed, got nothing"),
        ("expect: to people", "expected to people, got allowed"),
        ("result: {shown: {}}\nexpect: allowed", "result needs answer: what the tool says"),
        ("as: eve\nresult: {answer: {}, flagged: true}\nexpect: denied", "expected a result, and nothing is sent"),
        ("as: gus\nexpect: denied", "there is no person 'guss'; known: ana, bo, cy"),
        ("call: billing.refnd\nexpect: denied", "no accepted tool is called 'billing.refnd'; did you mean billing.refund?"),
        ("with: {amount: 20.001 EUR}\nexpect: allowed", "'20.001 EUR' is no amount of money; write it as 50 EUR, or 49.90 EUR"),
    ],
)  # fmt: skip
def test_a_case_that_is_not_says_why(case: str, why: str) -> None:
    assert run(case) == [why]


LIVE = policy(
    """
    billing.refund:
      allow: [support]
      change: {amount: at_most 100 EUR}
      ask:
        - {name: much, when: amount > 90 EUR, from: [lead]}
        - {name: watched, mode: observe, when: amount > 10 EUR, from: [finance]}
      people:
        - {name: hand-over, when: "has(why) && why == 'fraud'", to: [finance, lead]}
      limit:
        - {name: money, up_to: 500 EUR per day}
        - {name: soft, up_to: 200 EUR per hour, ask: {from: [finance]}}
    billing.payment:
      allow: [support]
      results: {hide: [order_id], detect: [iban], withhold: result.disputed, flag: result.refundable > 100 EUR}
    """
)
PAID = "call: billing.payment\nwith: {payment_id: p}\nresult: {answer: {id: DE89 3704 0044 0532 0130 00, refundable: %s, disputed: %s, order_id: o, at: 2026-11-18T09:00:00Z}%s}\nexpect: allowed"
LIVE_FILE = FILE.replace(
    "  read: {payment: {refundable: 900 EUR, disputed: false, at: 2026-11-18T09:00:00Z}}\n", ""
)


@pytest.mark.parametrize(
    "case",
    [
        "expect: allowed\nargs: {amount: 20 EUR}\nobserved: [watched]",
        "with: {amount: 150 EUR}\nexpect: asks [lead]\nargs: {amount: 100 EUR}\nby: [much]",  # cut, then decided again
        "with: {why: fraud}\nexpect: to people", "with: {why: fraud}\nexpect: to people [lead,  finance]\nby: [hand-over]",
        "used: {money: 480 EUR}\nexpect: allowed", "used: {money: 481.00 EUR}\nexpect: denied\ncode: policy.limit",
        "used: {money: 500 USD}\nexpect: allowed", "used: {soft: 190 EUR}\nexpect: asks [finance]",
        "used: {soft: 190 EUR, money: 490 EUR}\nexpect: denied\ncode: policy.limit",
        PAID % ("50 EUR", "false", ", withheld: false, flagged: false, shown: {id: '[iban hidden]', refundable: 50 EUR, disputed: false, at: 2026-11-18T09:00:00Z}") + "\nby: [results]",
        PAID % ("500 EUR", "true", ", withheld: true, flagged: true"),
    ],
)  # fmt: skip
def test_a_case_is_decided_like_a_live_call(case: str) -> None:
    assert run(case, LIVE, LIVE_FILE) == []


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("with: {amount: 150 EUR}\nexpect: asks [lead]\nargs: {amount: 150 EUR}", "expected amount_minor to be 15000, it is 10000"),
        ("with: {why: fraud}\nexpect: to people [lead]", "expected to people [lead], got to people [finance, lead]: People take over, because: has(why) && why == 'fraud'."),
        ("observed: []\nexpect: allowed", "expected nothing to be observed, got desk/billing.refund/watched"),
        ("used: {money: 4900}\nexpect: allowed", "'4900' is nothing this limit counts; 20 calls are 20, money is 4900 EUR"),
        (PAID % ("50 EUR", "false", ", withheld: true"), "expected the answer to be withheld"),
        (PAID % ("50 EUR", "false", ", shown: {}"), 'expected {} to be shown, it is {"id": "[iban hidden]", "refundable_minor": 5000, "currency": "EUR", "disputed": false, "at": "2026-11-18T09:00:00Z"}'),
        (PAID % ("50 EUR", "true", ", shown: {}"), "expected {} to be shown, it is withheld"),
    ],
)  # fmt: skip
def test_a_case_that_a_live_call_would_not_fit_says_why(case: str, why: str) -> None:
    assert run(case, LIVE, LIVE_FILE) == [why]


def test_a_name_nobody_knows_is_told_with_its_line() -> None:
    text = FILE + "    with: {amuont: 20 EUR}\n    by: [allow, mcuh]\n    expect: allowed\n"
    files = {**folder(RULES), "tests/desk.test.yaml": text}
    loaded, _ = load(files)
    assert loaded is not None
    (case,) = cases.read(files, Problems())

    assert [str(each.place) for each in cases.unknown(loaded, case)] == [
        "tests/desk.test.yaml:17:12", "tests/desk.test.yaml:18:17"
    ]  # fmt: skip
