"""What holds for any rules, any answers and any text: small seeded samples of long proofs."""

import json
from contextlib import suppress
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.unit.policies.room import (
    ALL,
    ARGUMENTS,
    FOLDER,
    NOW,
    LookUps,
    call,
    checked,
    decide,
    env,
    folder,
    lock,
)

from lockkeep.model import Allow, Deny, Divert, RequireApproval, Verdict
from lockkeep.policy.bundle import load
from lockkeep.policy.cases import cases
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.parser import parse, parse_lookup
from lockkeep.policy.conditions.runtime import EvalError
from lockkeep.policy.positions import Problem, Problems
from lockkeep.policy.positions import parse as parse_yaml

SAMPLE = settings(
    phases=(Phase.explicit, Phase.generate),
    max_examples=14,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
CONDITIONS = (
    "b", "not b", "n > 1", "n > 5", "has(perhaps) && perhaps > 1", "n / 0 == 1", "1 / n > 1", "t == \"abc\"", "amount > 100 EUR",
    "amount > 1 EUR", "amount > 1 USD", "names.exists(i, i == t)", "numbers.sum(i, i) > 3", "payment.disputed",
    "payment.refundable > 100 EUR", "has(lead.country) && lead.country == \"DE\"", "user.id == \"ana\"", "now - at > 1 day",
)  # fmt: skip
CALLERS = ('user.id == "ana"', 'agent == "other"', '"lead" in user.roles', "1 / 0 == 1", "true")
READ = {"payment": "billing.payment(payment_id=t)", "lead": 'crm.get(kind="lead", id=t)'}
FACTS: list[Any] = [
    {"disputed": True, "refundable_minor": 5, "currency": "EUR"}, {"disputed": False, "refundable_minor": 20_000, "currency": "EUR"}, {},
    {"disputed": "no"}, None, RuntimeError("down"), [], 5, {"refundable_minor": "x", "currency": 5, "disputed": None, "country": "DE"},
]  # fmt: skip

entry = st.fixed_dictionaries({"when": st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=2)})
ask = st.one_of(
    st.fixed_dictionaries({"from": st.just(["lead"])}),
    st.fixed_dictionaries({"from": st.just(["finance"]), "when": st.sampled_from(CONDITIONS)}),
)
hand = entry.map(lambda said: {**said, "to": ["finance"]})
rule_files = st.lists(
    st.fixed_dictionaries(
        {
            "allow": st.sampled_from(
                [None, "anyone", ["support"], ["finance"], *({"when": each} for each in CALLERS)]
            ),
            "deny": st.lists(entry, max_size=2),
            "ask": st.lists(ask, max_size=2),
            "people": st.lists(hand, max_size=1),
        }
    ),
    min_size=1,
    max_size=3,
)


def texts(files: list[dict[str, Any]], backwards: bool = False) -> list[str]:
    """As JSON, which is YAML: every entry named after its content, so that its place says nothing."""
    found: list[str] = []
    for number, block in enumerate(files):
        said: dict[str, Any] = {"allow": block["allow"]} if block["allow"] is not None else {}
        for kind in ("deny", "ask", "people"):
            entries = [{"name": f"{kind}-x{at}", **each} for at, each in enumerate(block[kind])]
            if entries:
                said[kind] = entries[::-1] if backwards else entries
        whole: dict[str, Any] = {
            "api": "lockkeep/v1", "policy": f"p-{number}", "owner": "lead", "applies_to": {"everywhere": True}, "read": READ,
            "tools": {"lab.try": dict(reversed(said.items())) if backwards else said},
        }  # fmt: skip
        found.append(json.dumps(dict(reversed(whole.items())) if backwards else whole))
    return found


def decided(policies: list[str], payment: Any, lead: Any, backwards: bool = False) -> Verdict:
    files = folder(*policies) | {"catalog.lock.json": LOCK}
    loaded, found = load(dict(reversed(files.items())) if backwards else files)
    assert loaded is not None, found
    wanted = call(loaded, "lab.try", **ARGUMENTS)
    look_up = LookUps(billing_payment=payment, crm_get=lead)

    async def asked() -> Verdict:
        return (await decide(loaded, wanted, look_up)).verdict

    verdict = anyio.run(asked)
    assert len(look_up.asked) == len({tool for tool, _ in look_up.asked})
    return verdict


def strictness(verdict: Verdict) -> int:
    return {Allow: 0, RequireApproval: 1, Divert: 2, Deny: 3}[type(verdict)]


LOCK = lock([ALL[name] for name in ("lab.try", "crm.get", "billing.payment")])
fact = st.sampled_from(FACTS)


@pytest.mark.full
@SAMPLE
@given(rule_files, fact, fact)
def test_the_order_of_files_rules_and_keys_never_changes_a_decision(
    files: Any, payment: Any, lead: Any
) -> None:
    there = decided(texts(files), payment, lead)
    assert decided(texts(files, backwards=True), payment, lead, backwards=True) == there


@pytest.mark.full
@SAMPLE
@given(rule_files, entry, ask, hand, fact, fact)
def test_one_more_deny_ask_or_way_to_people_never_allows_more(
    files: Any, deny: Any, more: Any, people: Any, payment: Any, lead: Any
) -> None:
    before = strictness(decided(texts(files), payment, lead))
    for kind, added in (("deny", deny), ("ask", more), ("people", people)):
        stricter = [{**files[0], kind: [*files[0][kind], added]}, *files[1:]]
        assert strictness(decided(texts(stricter), payment, lead)) >= before


@SAMPLE
@given(
    rule_files,
    st.sampled_from(["n / 0 == 1", "payment.disputed", "has(lead.country)", "amount > 1 USD"]),
    st.data(),
)
def test_a_rule_that_fails_never_allows_more(files: Any, failing: str, data: st.DataObject) -> None:
    """Whatever the look-ups said before: when they fail, or a rule cannot be judged, nothing more goes through."""
    before = strictness(decided(texts(files), data.draw(fact), data.draw(fact)))
    broken = [{**files[0], "deny": [*files[0]["deny"], {"when": [failing]}]}, *files[1:]]
    verdict = decided(texts(broken), RuntimeError(), RuntimeError())
    assert isinstance(verdict, Deny)
    assert strictness(verdict) >= before


@pytest.mark.full
@SAMPLE
@given(rule_files, st.integers(0, 2), fact, fact)
def test_one_allow_less_or_one_that_fails_never_allows_more(
    files: Any, which: int, payment: Any, lead: Any
) -> None:
    before = strictness(decided(texts(files), payment, lead))
    at = which % len(files)
    without, failing = (
        [*files[:at], {**files[at], "allow": allow}, *files[at + 1 :]]
        for allow in (None, {"when": "1 / 0 == 1"})
    )
    after = strictness(decided(texts(without), payment, lead))
    assert after >= before
    assert strictness(decided(texts(failing), payment, lead)) == after


words = st.sampled_from(
    [
        "n", "t", "b", "perhaps", "lead", "payment", "read", "args", "call", "user", "now", "amount", "x", "names", "lines", ".", "(", ")",
        "[", "]", ",", "&&", "||", "and", "or", "not", "!", "-", "+", "*", "/", "%", "==", "!=", "<", ">=", "in", "?", ":", "1", "2.5", "100 EUR",
        "30 days", "1.5 JPY", "99999999999999999999", '"a"', "'", "null", "true", "has", "default", "size", "exists", "sum", "first", "i", "=",
        "has(perhaps)", "lead.country", "exists(i, i", "{", "}", "\n", "\t", "é", "\x00", "١", "²", "#", "&", "|", "\\",
    ]
)  # fmt: skip


@settings(SAMPLE, max_examples=100)
@given(
    st.one_of(
        st.lists(words, max_size=25).map(" ".join),
        st.lists(words, max_size=25).map("".join),
        st.text(max_size=60),
    )
)
def test_any_text_is_a_condition_or_unreadable_and_any_condition_has_an_answer_or_an_error(text: str) -> None:
    for read in (parse, parse_lookup):
        offset = 0
        try:
            read(text)
        except Unreadable as error:
            offset = error.at
        assert 0 <= offset <= max(len(text), 2000)
    try:
        code = checked(text)
    except Unreadable:
        return
    for arguments in (
        {},
        {"x": [1, "a", None], "perhaps": 0, "names": None, "t": 5, "lines": [{"price_minor": 1.5}, None]},
    ):
        with suppress(EvalError):
            assert code.run(env(None, NOW, **arguments)) in (True, False)


@settings(SAMPLE, max_examples=30)
@given(st.one_of(st.binary(max_size=80).map(lambda raw: raw.decode(errors="surrogateescape")), st.lists(
    st.sampled_from(["api: lockkeep/v1", "policy: desk", "\n", "  ", ":", "- ", "[", "]", "{", "}", "tools", "&a", "*a", "!x", "'", '"', "|", ">", "?", "\t", "#", "---", "\ufeff", "%", "@", "0", "~"]), max_size=25).map("".join)))  # fmt: skip
def test_any_text_as_a_file_is_read_or_told_with_its_place(text: str) -> None:
    problems = Problems()
    assert (parse_yaml("f.yaml", text, problems) is None) == bool(problems.found)
    for name in (
        "f.yaml",
        "people.yaml",
        "gateway.yaml",
        "manifests/m.yaml",
        "catalog.lock.json",
        "tests/t.test.yaml",
    ):
        told(load({**FOLDER, name: text})[1])
    again = Problems()
    cases.read({"tests/t.test.yaml": text}, again)
    told(again.found)


def told(found: list[Problem]) -> None:
    assert all(each.place.line >= 1 and each.place.column >= 1 and each.message for each in found)


GOOD = """\
api: lockkeep/v1
policy: desk
owner: lead
applies_to: {agents: [desk]}
read:
  lead: crm.get(kind="lead", id=id)
tools:
  crm.assign:
    allow: {roles: [support], when: user.id == "ana"}
    deny:
      - {name: first, when: [id == "x", has(lead.country)], say: "{owner} of {lead.country}", fix: Other}
      - unless: lead.kind == kind
    ask:
      - {any_of: [lead, finance], count: 2, expires: 2 hours}
      - {from: [lead], confirm: requester, when: now > lead.at}
    limit: [20 per hour per agent, {up_to: 3 per day, when: kind == "deal"}]
"""


@settings(SAMPLE, max_examples=40)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 12), words)
def test_a_good_file_with_a_piece_torn_out_loads_or_is_told(at: int, length: int, word: str) -> None:
    text = GOOD[:at] + word + GOOD[at + length :]
    loaded, found = load({**FOLDER, "desk.yaml": text})
    told(found)
    assert (loaded is None) == bool(found)


@SAMPLE
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["x", "n", "price_minor", "currency", "y"]), inner, max_size=3)
        ),
    )
)
def test_a_condition_over_any_json_has_an_answer_or_an_error(value: Any) -> None:
    texts = [
        "x == y",
        "x != 1",
        "x > 1",
        "x in [1]",
        "1 in x",
        "size(x) > 0",
        "has(x.n)",
        "default(x.n, 1) == 1",
        "x.exists(i, i == 1)",
        "x.sum(i, i) > 0",
        "x + 1 > 0",
        "has(x.first(i, i)) || b",
        "lower(x) == t",
        "round(x) == 1",
        'x.like("*")',
        "lines.exists(l, l.price > 0)",
        "-x == 1",
        "x",
        "names[n] == null",
    ]
    for text in texts:
        with suppress(EvalError):
            assert checked(text).run(env(None, x=value, y=value, lines=[value], names=value, n=value)) in (
                True,
                False,
            )


def test_the_good_file_is_good() -> None:
    loaded, found = load({**FOLDER, "desk.yaml": GOOD})
    assert (found, loaded is not None, set(ALL) >= {"crm.assign"}) == ([], True, True)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 900_000,
        "{" * 900_000,
        "- " * 400_000,
        "a: " + "x" * 90_000,
        "\n" * 90_000,
        "'" + "x" * 900_000,
    ],
)
def test_a_large_odd_file_is_told_at_once(text: str) -> None:
    told(load({**FOLDER, "f.yaml": text})[1])
