"""`policy show --plain`: every entry in one sentence, and tables that decide as the engine does when their words are read."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.unit.policies.room import GATEWAY, PAID, TOOLS, LookUps, call, fields, lock, policy, rules, tool
from tests.unit.policies.test_starter import shipped

from lockkeep.model import Allow, Deny, Divert, RequireApproval, ToolCall
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.conditions.runtime import Money
from lockkeep.policy.engine import lookups
from lockkeep.policy.show import policyfiles, show
from lockkeep.policy.show.plain import Words
from lockkeep.policy.show.table import Decided

READ = (
    "payment: {call: billing.payment, with: {payment_id: = payment_id}, cache: 5s, on_error: {from: [lead]}}"
)
VALUES = "values: {high: {EUR: 900, USD: 1000.50}, cap: 50 EUR, caps: {EUR: 5000}}\n"
EVERYTHING = """
billing.payment:
  allow: {roles: [support], users: [ana], agents: [desk], when: has(user.manager), hours: mon-fri 08:00-18:00}
  results: {hide: [order_id], detect: [card, iban], withhold: result.disputed, flag: 'result.id.contains("x")'}
billing.refund:
  allow: [support, lead]
  deny:
    - {name: dis, when: payment.disputed, say: This payment is disputed.}
    - {when: amount > payment.refundable, say: "At most {payment.refundable} can be refunded.", fix: Refund at most that.}
    - {name: night, hours: "22:00-06:00"}
    - {name: both, when: payment.disputed, hours: "sat-sun"}
    - {name: ww, hours: ["sat-sun", "not mon-fri 08:00-18:00"], mode: observe, until: 2027-03-31}
  ask:
    - {when: amount > 100 EUR, from: [lead], edit: [amount]}
    - {when: amount > 500 EUR, from: [lead, finance], recheck: [payment.disputed], reason: required}
    - {name: old, when: now - payment.at > 30 days, from: [lead], count: 2, expires: 2h, clock: always}
    - {name: any, when: why == null, any_of: [lead, finance], confirm: requester}
    - {name: who, when: amount > high, from: ["manager-of:payment_id"], escalate: [{after: 4h, to: [finance]}], slack_up_to: 200 EUR}
    - {name: three, unless: has(why), from: [lead, finance], count: 3, expires: 90 minutes}
  people:
    - {when: 'payment_id in ["a", "b"]', to: [finance]}
  limit:
    - 20 per hour per agent
    - {up_to: caps per day, ask: {from: [lead, finance]}}
    - {up_to: 100 per month per payment_id, when: amount < 5 EUR, people: [finance]}
  change: {amount: at_most cap}
  undo: {who: [lead], within: 1 hour, ask: {from: [lead]}}
lab.try, lab.clash:
  allow: {users: [ana]}
  mode: observe
  limit: 5 per 7 days per user per tool
lab.*:
  deny: {name: odd, mode: off, unless: 'agent == "desk"'}
  limit: {up_to: 7 per 24 hours, say: Enough}
"""


def everything() -> PolicySet:
    return rules(policy(EVERYTHING, read=READ).replace("tools:", VALUES + "tools:"))


def page(current: PolicySet, only: str | None = None) -> str:
    """The page as one line, so that no wrap tears what is looked for."""
    return " ".join("\n".join(show.as_text(*show.plain(current, only))).split())


@pytest.mark.promise("P12")
async def test_every_entry_stands_in_exactly_one_sentence(tmp_path: Path) -> None:
    for current in (everything(), await shipped(tmp_path)):
        there = policyfiles.by_id(policyfiles.read(current.files))
        text = page(current)

        assert set(there) == {row["rule"] for row in show.compiled(current)} | {
            id_ for id_, item in there.items() if item.at.mode == "off"
        }
        assert {id_: text.count(f"[{id_}]") for id_ in there} == dict.fromkeys(there, 1)


@pytest.mark.parametrize(
    "sentence",
    [
        "People with the role support, only ana, with the agent desk may use it, when the caller's manager is known, only from Monday to Friday 08:00 to 18:00. [desk/billing.payment/allow]",
        "Of the answer, the order id is hidden. Card numbers and IBANs in the answer are masked. The whole answer is kept back when the answer is disputed. The answer is marked as suspicious when the answer's id contains \"x\".",
        "People with the role support or lead may use it. [desk/billing.refund/allow]",
        "Refused when the payment is disputed: 'This payment is disputed.' [desk/billing.refund/dis]",
        "Refused when the amount is above the payment's refundable: 'At most {the payment's refundable} can be refunded.' The agent is told: 'Refund at most that.'",
        "Refused every day 22:00 to 06:00 of the next day.",
        "Refused when the payment is disputed, only on Saturday and Sunday. [desk/billing.refund/both]",
        "Only noted, nothing is decided by it: Until 2027-03-31, that day included: Refused on Saturday and Sunday or outside of the hours from Monday to Friday 08:00 to 18:00.",
        "Above 100.00 EUR one of lead must agree. They may change the amount.",
        "Above 500.00 EUR one of lead and one of finance must agree. Before it runs, the payment's disputed is read again; if that changed, the agreement is void. They must give a reason.",
        "When the payment's \"at\" is more than 30 days ago, 2 people of lead must agree. The request ends after 2 hours.",
        "When the why is missing, one of lead or finance must agree and the person behind the agent must confirm.",
        "When the amount is above 900.00 EUR / 1000.50 USD (high), the manager of the person behind the payment id must agree. If no such person is known, one of finance must agree instead. After 4 working hours people of finance may agree, too. They may agree in Slack up to 200.00 EUR.",
        "Unless the why is known, one of lead and one of finance, 3 people in all, must agree. The request ends after 90 minutes of working time.",
        "When the payment id is one of \"a\" or \"b\", the agent stops and people of finance take over.",
        "At most 20 calls per hour for each agent. What is beyond that is refused.",
        "At most 5000.00 EUR in all per calendar day for everybody together. Beyond that one of lead and one of finance must agree.",
        "Counted below 5.00 EUR: at most 100 calls per calendar month for each payment id. Beyond that people of finance take over.",
        "Where the amount is above 50.00 EUR, it is cut to that. [desk/billing.refund/change-amount]",
        "It can be taken back by people with the role lead within 1 hour, and one of lead must agree.",
        "Only noted, nothing is decided by it: At most 5 calls in any 7 days for each person and each tool.",
        "At most 7 calls in any 24 hours for everybody together, all these tools together. What is beyond that is refused: 'Enough'",
        "Switched off: Refused unless the agent is \"desk\".",
        "The payment is what billing.payment answers for the payment id. An answer is kept for 5 seconds. If it cannot be read, one of lead must agree. [desk/read/payment]",
        "lead answers for it. It is about calls of the agent desk. \"High\" means 900.00 EUR / 1000.50 USD. \"Cap\" means 50.00 EUR. \"Caps\" means 5000.00 EUR.",
    ],
)  # fmt: skip
def test_an_entry_reads_as_it_is_meant(sentence: str) -> None:
    assert sentence in page(everything())


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ('kind == "lead"', 'the kind is "lead"'), ('company == ""', "the company is empty"), ("100 EUR < amount", "the amount is above 100.00 EUR"),
        ("!payment.disputed", "the payment is not disputed"), ("payment.is_new", "the payment is new"), ("!dog.has_teeth", "it is not so that the dog has teeth"),
        ("args.urgent", "the argument urgent is true"), ("urgent == false", "the urgent is not true"), ("order.placedAt < now", 'the order\'s "placed at" is before now'),
        ("order.placed_at < now - 30 days", 'the order\'s "placed at" is before 30 days ago'), ("now - x <= 1 week", "the x is at most 7 days ago, or still to come"),
        ("start - now > 2 hours", "the start is more than 2 hours ahead"), ('!(kind in ["a", "b"])', 'the kind is none of "a" or "b"'),
        ("country in o.countries", "the country is among the o's countries"), ('"a" in user.roles', 'the caller\'s roles include "a"'),
        ("has(x) && x > 3 || y", "(the x is known and the x is above 3) or the y is true"), ("a && (b || c)", "the a is true and (the b is true or the c is true)"),
        ("!(a && b)", "it is not so that (the a is true and the b is true)"), ("default(n, 0) >= 24", "the n (or 0 if that is missing) is at least 24"),
        ("default(x.old, false)", "the x is old"), ("!default(x.old, false)", "(the x is not old, or this is not known)"),
        ("default(x.old, true)", "(the x is old, or this is not known)"), ('to.like("*@acme.com")', 'the "to" looks like "*@acme.com"'),
        ("parcels.exists(p, p.hazmat)", "at least one of the parcels fits (it is hazmat)"), ("!lines.all(l, l.n > 2)", "not every one of the lines fits (its n is above 2)"),
        ("a ? b : c ? d : e", "if the a is true, then the b is true; if the c is true, then the d is true; otherwise the e is true"),
        ("n * 2 + 1 > size(t)", "(the n times 2) plus 1 is above the size of the t"), ("x == -1.5", "the x is minus 1.5"),
        ("lower(to) == lower(a.email)", 'the "to" is the a\'s email (capital letters do not matter)'), ("call.user.id == agent", "the id of the caller is the agent"),
        ("amount > cap", "the amount is above 5.00 EUR (cap)"), ("xs[0] == 1", "the first of the xs is 1"), ("(a > b) == c", "this holds: `(a > b) == c`"),
        ("a.exists(i, i.bs.exists(j, j == i))", "this holds: `a.exists(i, i.bs.exists(j, j == i))`"), ("x  !=\n null", "the x is known"),
        ("k in kinds", 'the k is one of "x" or "y" (kinds)'), ("!(k in kinds)", 'the k is none of "x" or "y" (kinds)'),
        ("k in only", 'the k is "x" (only)'), ("!(k in only)", 'the k is not "x" (only)'), ("size(xs) > 0", "the number of the xs is above 0"),
        ("xs[1] == 1", "number 2 of the xs is 1"), ('default(k, "") == "x"', 'the k (empty if that is missing) is "x"'),
        ("lower(a) != lower(b)", "the a is not the b (capital letters do not matter)"), ('lower(a) == "x"', 'the a in small letters is "x"'),
        ("has(x.superseded_by)", 'the x\'s "superseded by" is known'), ("has(x.by_hand)", "the x's by hand is known"),
    ],
)  # fmt: skip
def test_a_condition_in_words(condition: str, said: str) -> None:
    values = {"cap": Money(500, "EUR"), "kinds": ["x", "y"], "only": ["x"]}
    assert Words(values).condition(condition) == said


def test_nothing_stands_below_a_line_that_fits_every_call() -> None:
    (table,) = show.plain(rules(policy("billing.refund: {allow: anyone, ask: {from: [lead]}}")))[1]
    assert [(row.when, row.then) for row in table.rows] == [("any call", "one of lead must agree")]


def test_calls_of_agents_that_anyone_may_make_are_named_by_their_agents() -> None:
    one = policy("lab.try: {allow: anyone}")
    two = policy("lab.try: {allow: anyone}", name="other", applies="{agents: [other]}")
    (table,) = show.plain(rules(one, two))[1]
    assert table.rows[0].when == "all but: calls of the agent desk; calls of the agent other"


@pytest.mark.parametrize(
    ("asking", "said"),
    [
        ('from: ["person:why"]', "If no such person is known, the call is refused."),
        ('from: ["person:why"], escalate: [{after: 1h, to: [lead]}]', "If no such person is known, one of lead must agree instead."),
    ],
)  # fmt: skip
def test_whom_an_account_of_nobody_asks_is_said(asking: str, said: str) -> None:
    assert said in page(rules(policy(f"billing.refund: {{allow: anyone, ask: {{{asking}}}}}")))


def test_one_tool_is_shown_alone() -> None:
    text = page(everything(), "lab.clash")
    assert "[desk/lab.*/limit-1]" in text
    assert "billing" not in text
    assert [row["rule"] for row in show.compiled(everything(), "lab.clash")] == [
        "desk/lab.try,lab.clash/allow", "desk/lab.try,lab.clash/limit-1", "desk/lab.*/limit-1",
    ]  # fmt: skip


def test_a_compiled_rule_says_for_whom_and_where_it_stands() -> None:
    found = {row["rule"]: row for row in show.compiled(everything())}
    assert found["desk/billing.refund/dis"] == {
        "rule": "desk/billing.refund/dis", "kind": "deny", "mode": "enforce", "whom": "desk", "conditions": "payment.disputed",
        "place": "p0.yaml:15", "tools": ["billing.refund"],
    }  # fmt: skip
    assert found["desk/billing.refund/allow"]["whom"] == "desk: lead, support"
    assert found["desk/lab.*/limit-1"]["tools"] == ["lab.clash", "lab.try"]
    assert found["desk/lab.try,lab.clash/allow"]["mode"] == "observe"


# -- limits are read back from their sentences (Y9) ---------------------------------------------------------------


BACK = {
    "per minute": "minute", "per hour": "hour", "in any 24 hours": "24 hours", "in any 7 days": "7 days",
    "per calendar day": "day", "per calendar week": "week", "per calendar month": "month",
}  # fmt: skip
LIMIT = re.compile(
    rf"At most (?P<most>[0-9.]+)(?P<currency> [A-Z]{{3}})?(?: calls?| in all)(?: \(the (?P<of>\S+) added up\))?"
    rf" (?P<window>{'|'.join(BACK)}) for (?P<keys>.*)\. What is beyond that is refused\."
)


def read_back(sentence: str) -> str:
    """The limit's text, from the sentence alone."""
    match = LIMIT.fullmatch(sentence)
    assert match is not None, sentence
    keys = (
        []
        if match["keys"] == "everybody together"
        else re.findall(r"each (.+?)(?:, | and |$)", match["keys"])
    )
    names = {"person": "user", "payment id": "payment_id"}
    of = f" of {match['of']}" if match["of"] else ""
    per = "".join(f" per {names.get(key, key)}" for key in keys)
    return f"{match['most']}{match['currency'] or ''}{of} per {BACK[match['window']]}{per}"


def a_limit(dice: random.Random) -> str:
    most = dice.choice(["20", "1", "7 of amount_minor", "5000.00 EUR", "1000 JPY", "0.50 USD of amount"])
    keys = dice.sample(["agent", "user", "run", "subject", "tool", "payment_id", "why"], dice.randrange(3))
    return f"{most} per {dice.choice(list(BACK.values()))}{''.join(f' per {key}' for key in keys)}"


@pytest.mark.promise("P2")
def test_500_limits_are_read_back_from_their_sentences() -> None:
    dice = random.Random(9)
    for _ in range(5):
        texts = [a_limit(dice) for _ in range(100)]
        body = "\n".join(f"    - {text}" for text in texts)
        current = rules(policy(f"billing.refund:\n  limit:\n{body}"))
        ((block,),) = [file.blocks for file in show.plain(current)[0]]
        said = [read_back(each.text.replace("amount minor", "amount_minor")) for each in block.said]
        assert said == texts


# -- the words of a table, read as a person reads them (Y21) ------------------------------------------------------


class Unjudged(Exception):
    """Refused, says the line under the tables."""


@dataclass(frozen=True)
class Sample:
    """One call with what is known about it."""

    payment: str
    minor: int
    currency: str
    why: str | None
    disputed: bool
    refundable: int
    old: bool
    user: str
    taken: int

    @property
    def roles(self) -> set[str]:
        return {"ana": {"support"}, "bo": {"support", "lead"}, "cy": {"finance"}}[self.user]


CONDITIONS = (
    "amount > 100 EUR", "amount > 500 EUR", "amount >= 100 EUR", "amount < 50 EUR", "amount <= 500 EUR", "1000 EUR < amount",
    "payment.disputed", "!payment.disputed", "why == null", "has(why)", 'has(why) && why == "x"', 'payment_id in ["a", "b"]',
    "amount > payment.refundable", "now - payment.at > 30 days", "amount > 100 EUR && payment.disputed", "amount_minor > 20000",
    'payment.disputed || payment_id == "a"', "amount > 250 USD",
)  # fmt: skip
WHOM = ("from: [lead]", "from: [lead, finance]", "any_of: [lead, finance]", "from: [finance], count: 2")
LIMITS = (
    "3 per hour",
    "{up_to: 2 per day, ask: {from: [finance]}}",
    "{up_to: 4 per hour, people: [support]}",
)


def some_rules(dice: random.Random) -> PolicySet:
    def entries(kind: str, more: str, most: int) -> str:
        found: list[str] = []
        for number in range(dice.randrange(most + 1)):
            key, whom = (
                dice.choice(("when", "when", "when", "when", "unless")),
                dice.choice(WHOM) if kind == "ask" else more,
            )
            found.append(
                f"    - {{name: {kind}{number}, {key}: '{dice.choice(CONDITIONS)}'{', ' if whom else ''}{whom}}}\n"
            )
        return f"  {kind}:\n{''.join(found)}" if found else ""

    limits = dice.sample(LIMITS, dice.randrange(3))
    body = "".join([entries("deny", "", 1), entries("people", "to: [lead]", 1), entries("ask", "", 4)])
    body += f"  limit: [{', '.join(limits)}]\n" if limits else ""
    allow = dice.choice(("anyone", "anyone", "[support]", "[lead, finance]"))
    return rules(
        policy(f"billing.refund:\n  allow: {allow}\n{body}", read="payment: billing.payment(payment_id)")
    )


def a_sample(dice: random.Random) -> Sample:
    minors = (100, 4999, 5000, 5001, 9999, 10000, 10001, 20000, 20001, 50000, 50001, 100001)
    return Sample(
        payment=dice.choice("abc"), minor=dice.choice(minors), currency="USD" if dice.random() < 0.1 else "EUR",
        why=dice.choice((None, "x", "y")), disputed=dice.random() < 0.3, refundable=dice.choice(minors), old=dice.random() < 0.4,
        user=dice.choice(("ana", "bo", "cy")), taken=dice.choice((0, 0, 1, 2, 3, 4, 5)),
    )  # fmt: skip


def answer(table: Decided, sample: Sample) -> tuple[str, frozenset[str]]:
    """The first line that fits decides, and those of its kind add up; what cannot be judged is refused."""
    try:
        fitting = [row for row in table.rows if fits(row.when, sample)]
    except Unjudged:
        return "refused", frozenset()
    kinds = [kind(row.then) for row in fitting]
    same = [row.then for row, each in zip(fitting, kinds, strict=True) if each == kinds[0]]
    return kinds[0], frozenset(re.findall(r"\b(lead|finance|support)\b", " ".join(same)))


def kind(then: str) -> str:
    return next(word for word in ("refused", "allowed", "take over", "must agree") if word in then)


def fits(when: str, sample: Sample) -> bool:
    before, unless, after = when.partition("unless ")
    if unless:
        return (not before or both(before.strip(), sample)) and not both(after, sample)
    return both(when, sample)


def both(said: str, sample: Sample) -> bool:
    if said.startswith("all but: "):
        return "anyone" not in said and not sample.roles & set(re.findall(r"lead|support|finance", said))
    if " or the payment id is " in said:
        return any(atom(part, sample) for part in said.split(" or ", 1))
    return all(atom(part, sample) for part in said.split(" and "))


def atom(said: str, sample: Sample) -> bool:
    if said in ("any call", "any other call"):
        return True
    if match := re.match(r"more than (\d+) calls", said):
        return sample.taken + 1 > int(match[1])
    facts: Mapping[str, bool] = {
        "the payment is disputed": sample.disputed, "the payment is not disputed": not sample.disputed,
        "the why is missing": sample.why is None, "the why is known": sample.why is not None,
        'the why is "x"': sample.why == "x", 'the payment id is "a"': sample.payment == "a",
        'the payment id is one of "a" or "b"': sample.payment in "ab", 'the payment\'s "at" is more than 30 days ago': sample.old,
        "the amount is above the payment's refundable": sample.minor > sample.refundable,
    }  # fmt: skip
    return facts[said] if said in facts else amount(said, sample)


def amount(said: str, sample: Sample) -> bool:
    what, _, size = said.rpartition(" is ")
    if other := re.fullmatch(r"in another currency than (\w+)", size):
        return other[1] != sample.currency
    ends = size.split(", ")
    bounds = [
        re.fullmatch(
            r"(above|from|below|up to|at least|at most|exactly) ([\d.]+)(?: ([A-Z]{3}))?(?: on)?", end
        )
        for end in ends
    ]
    assert all(bounds), f"nobody can read: {said}"
    if what == "the amount minor":
        return all(inside(match[1], sample.minor, float(match[2])) for match in bounds if match)
    if any(match and match[3] != sample.currency for match in bounds):
        raise Unjudged
    return all(inside(match[1], sample.minor, round(float(match[2]) * 100)) for match in bounds if match)


def inside(word: str, number: float, edge: float) -> bool:
    known = {
        "above": number > edge, "from": number >= edge, "at least": number >= edge, "below": number < edge,
        "up to": number <= edge, "at most": number <= edge, "exactly": number == edge,
    }  # fmt: skip
    return known[word]


async def decided(current: PolicySet, sample: Sample) -> tuple[str, frozenset[str]]:
    at = "2026-10-01T00:00:00Z" if sample.old else "2026-11-19T00:00:00Z"
    paid = {
        **PAID,
        "disputed": sample.disputed,
        "refundable_minor": sample.refundable,
        "currency": sample.currency,
        "at": at,
    }
    why: dict[str, Any] = {} if sample.why is None else {"why": sample.why}
    wanted: ToolCall = call(
        current, "billing.refund", user=sample.user, payment_id=sample.payment, amount_minor=sample.minor, currency=sample.currency, **why,
    )  # fmt: skip
    decision = await current.decide(
        wanted, lookups.LookUps(LookUps(billing_payment=paid)), taken=lambda _: sample.taken
    )
    match decision.verdict:
        case Deny():
            return "refused", frozenset()
        case Divert(to=to):
            return "take over", frozenset(to)
        case Allow() | RequireApproval() if any(
            not share.soft and sample.taken >= share.most for share in decision.basis.shares
        ):
            return "refused", frozenset()
        case RequireApproval(demands=demands):
            return "must agree", frozenset(
                group for demand in demands for group in (*demand.each, *demand.any_of)
            )
        case _:
            return "allowed", frozenset()


async def compare(seed: int, sets: int, calls: int) -> Sequence[str]:
    """What differed, and the seed that shows it again."""
    dice = random.Random(seed)
    wrong: list[str] = []
    for _ in range(sets):
        current = some_rules(dice)
        (table,) = show.plain(current, "billing.refund")[1]
        for _ in range(calls):
            sample = a_sample(dice)
            said, real = answer(table, sample), await decided(current, sample)
            wrong += (
                [f"{said} != {real}: {sample}\n{current.files['p0.yaml']}\n{table}"] if said != real else []
            )
    return wrong


@pytest.mark.promise("P12")
async def test_a_table_that_is_read_by_its_words_decides_as_the_engine_does() -> None:
    assert "\n".join(await compare(21, 60, 6)) == ""


@pytest.mark.full
@pytest.mark.promise("P12")
async def test_tables_decide_2000_calls_as_the_engine_does() -> None:
    assert "\n".join(await compare(2021, 200, 10)) == ""


# -- wide tools ---------------------------------------------------------------------------------------------------

WIDE = tool(
    "hub.manage", "write", fields({"op": {"enum": ["note", "deal"]}, "n": {"type": "integer"}}, "op", "n"),
    operations=[{"when": "args.op == 'note'", "operation": "crm.note", "class": "note"}, {"when": "true", "operation": "crm.deal"}],
)  # fmt: skip


def test_what_is_said_of_one_operation_says_so() -> None:
    text = policy("crm.note: {allow: anyone}\ncrm.deal: {allow: [lead], ask: {when: n > 5, from: [finance]}}")
    gateway = GATEWAY.replace("integrations:\n", "integrations:\n  hub: {in_process: true}\n")
    current = rules(text, **{"catalog.lock.json": lock((*TOOLS, WIDE)), "gateway.yaml": gateway})
    (table,) = show.plain(current)[1]

    assert "hub.manage (only crm.deal) - People with the role lead may use it. [desk/crm.deal/allow]" in page(
        current
    )
    assert [(row.when, row.then) for row in table.rows] == [
        ("all but: anyone (only crm.note); people with the role lead (only crm.deal)", "refused: no rule allows it"),
        ("the n is above 5 (only crm.deal)", "one of finance must agree"),
        ("the n is up to 5 (only crm.deal)", "allowed"),
        ("any other call", "allowed"),
    ]  # fmt: skip
