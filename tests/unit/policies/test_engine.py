"""How a decision is made: who is selected, what is read, what wins, and that doubt always denies."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import anyio
import pytest
from tests.unit.policies.room import A_LEAD, PAID, LookUps, call, decide, policy, rules

from lockkeep.model import Allow, Basis, Deny, LookedUp, RequireApproval, ToolCall
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.engine.course import Heard

READ = 'lead: crm.get(kind="lead", id=id)\nteam: crm.owners(active=true)'
ASSIGN: dict[str, Any] = {"kind": "lead", "id": "l", "owner": "o"}
OWNERS = {"owners": [{"id": "o", "open": 1, "room": 2, "countries": ["DE"]}]}


def assign(entries: str, *, read: str = READ, allow: str = "anyone", name: str = "desk") -> str:
    body = "\n".join(f"  {line}" for line in entries.splitlines())
    return policy(f"crm.assign:\n  allow: {allow}\n{body}", read=read, name=name)


async def verdict(current: PolicySet, look_up: LookUps | None = None, **arguments: Any) -> Any:
    return (await decide(current, call(current, "crm.assign", **{**ASSIGN, **arguments}), look_up)).verdict


def reads(**answers: Any) -> LookUps:
    return LookUps(crm_get=answers.get("lead", A_LEAD), crm_owners=answers.get("team", OWNERS))


async def test_a_call_that_a_rule_allows_goes_on_with_its_own_arguments() -> None:
    current = rules(assign(""))
    decision = await decide(current, call(current, "crm.assign", **ASSIGN))

    assert decision.verdict == Allow(ASSIGN)
    assert (decision.basis.generation, decision.basis.fired) == (7, ("desk/crm.assign/allow",))
    assert decision.heard == (Heard("desk/crm.assign/allow", "allow", "true"),)


@pytest.mark.parametrize(
    ("allow", "who"),
    [
        ("anyone", "ana bo"), ("[support]", "ana bo"), ("[lead]", "bo"), ("[finance]", ""), ("{users: [ana]}", "ana"),
        ("{agents: [desk]}", "ana bo"), ("{agents: [other]}", ""), ("{roles: [lead], users: [ana]}", ""),
        ("{roles: [support], users: [bo], agents: [desk]}", "bo"), ("{when: user.id == \"bo\"}", "bo"),
        ("{roles: [support], when: has(user.manager)}", "bo"), ("{when: 1 / 0 == 1}", ""), ("{when: user.manager == null}", "ana"),
    ],
)  # fmt: skip
async def test_an_allow_permits_whom_it_names_and_nobody_else(allow: str, who: str) -> None:
    current = rules(assign("", allow=allow, read=""))
    allowed = [
        user
        for user in ("ana", "bo", "nobody-we-know")
        if isinstance(
            (await decide(current, call(current, "crm.assign", user=user, **ASSIGN))).verdict, Allow
        )
    ]
    assert [user for user in allowed if user != "nobody-we-know"] == who.split()
    assert ("nobody-we-know" in allowed) == (
        allow in ("anyone", "{agents: [desk]}", "{when: user.manager == null}")
    )


async def test_a_tool_no_rule_allows_is_denied_whatever_else_is_said_about_it() -> None:
    deny = Deny(
        "policy.not_allowed",
        "No rule allows ana with agent desk to use crm.assign.",
        "Ask whoever owns the policy for this agent.",
    )
    assert await verdict(rules()) == deny
    assert await verdict(rules(policy("crm.assign:\n  ask: [{from: [lead]}]\n  limit: 5 per hour"))) == deny


async def test_a_file_speaks_only_about_the_calls_it_applies_to() -> None:
    mine = policy(
        "crm.assign: {allow: anyone, deny: [{when: true}]}", name="elsewhere", applies="{agents: [other]}"
    )
    guard = policy(
        'crm.assign: {deny: [{name: no-deals, when: kind == "deal"}]}',
        name="guard",
        applies="{everywhere: true}",
    )
    current = rules(assign(""), mine, guard)

    assert await verdict(current) == Allow(ASSIGN)
    assert await verdict(current, kind="deal") == Deny(
        "policy.rule", 'Refused, because: kind == "deal".', "", "no", "guard/crm.assign/no-deals"
    )


async def test_deny_beats_ask_and_ask_beats_allow() -> None:
    deny, ask = (
        'deny: [{name: dd, when: id == "l", fix: Take another.}]',
        'ask: [{name: aa, when: id != "x", from: [lead]}]',
    )
    assert isinstance(await verdict(rules(assign(f"{deny}\n{ask}"))), Deny)
    assert isinstance(await verdict(rules(assign(f"{deny}\n{ask}")), id="x"), Allow)
    asked = await verdict(rules(assign(f"{deny}\n{ask}")), id="y")
    assert asked == RequireApproval(asked.demands, {**ASSIGN, "id": "y"})
    assert [(each.rule, each.each, each.why) for each in asked.demands] == [
        ("desk/crm.assign/aa", ("lead",), 'id != "x".')
    ]


async def test_every_ask_that_fires_is_a_demand_of_its_own() -> None:
    entries = "ask:\n  - {name: bb, any_of: [lead, finance], count: 2, expires: 2 hours}\n  - {name: aa, from: [lead, finance]}\n  - {name: cc, confirm: requester, say: Sure}"
    asked = await verdict(rules(assign(entries)))
    assert [
        (each.rule[-2:], each.each, each.any_of, each.count, each.confirm, each.expires, each.why)
        for each in asked.demands
    ] == [
        ("aa", ("lead", "finance"), (), 1, False, 28800.0, "Every such call."),
        ("bb", (), ("lead", "finance"), 2, False, 7200.0, "Every such call."),
        ("cc", (), (), 1, True, 28800.0, "Sure"),
    ]


@pytest.mark.parametrize(
    "entries",
    [
        "deny: [{when: 1 / 0 == 1}]", "ask: [{when: 1 / 0 == 1, from: [lead]}]", "limit: {up_to: 5 per hour, when: 1 / 0 == 1}",
        "deny: [{unless: 1 / 0 == 1}]", "ask: [{unless: 1 / 0 == 1, from: [lead]}]",
    ],
)  # fmt: skip
async def test_a_rule_that_cannot_be_judged_denies(entries: str) -> None:
    said = await verdict(rules(assign(entries)))
    assert (said.code, said.retry, "could not be judged" in said.reason) == ("policy.error", "no", True)
    assert said.rule.startswith("desk/crm.assign/")


async def test_an_allow_that_cannot_be_judged_grants_nothing_but_another_may() -> None:
    bad = policy("crm.assign: {allow: {when: 1 / 0 == 1}}", name="bad")
    assert (await verdict(rules(bad))).code == "policy.not_allowed"
    assert await verdict(rules(bad, assign(""))) == Allow(ASSIGN)


# -- look-ups -----------------------------------------------------------------------------------------------------


async def test_what_is_refused_without_facts_is_refused_without_a_single_look_up() -> None:
    entries = 'deny:\n  - {name: first, when: id == "l"}\n  - {name: then, when: has(lead.country) && lead.country == "BR"}'
    look_up = reads()
    assert (await verdict(rules(assign(entries)), look_up)).rule == "desk/crm.assign/first"
    assert (
        await verdict(rules(assign("deny: [{when: has(lead.value)}]", allow="[finance]")), look_up)
    ).code == "policy.not_allowed"
    assert look_up.asked == []


@pytest.mark.parametrize(
    ("lead", "allowed"),
    [(A_LEAD, True), ({**A_LEAD, "country": "BR"}, False), ({}, False), (RuntimeError(), False)],
)
async def test_an_allow_may_rest_on_a_fact_and_grants_nothing_without_it(lead: Any, allowed: bool) -> None:
    current = rules(assign("", allow="{when: 'has(lead.country) && lead.country == \"DE\"'}"))
    said = await verdict(current, reads(lead=lead))
    assert (said == Allow(ASSIGN), getattr(said, "code", None) == "policy.not_allowed") == (
        allowed,
        not allowed,
    )


async def test_leading_conditions_without_facts_save_the_look_up() -> None:
    current = rules(assign('deny: [{when: [id == "x", has(lead.country)]}]'))
    look_up = reads()
    assert await verdict(current, look_up) == Allow(ASSIGN)
    assert look_up.asked == []
    assert (await verdict(current, look_up, id="x")).code == "policy.rule"
    assert look_up.asked == [("crm.get", {"kind": "lead", "id": "x"})]


async def test_the_long_form_of_a_look_up_is_looked_up_too() -> None:
    current = rules(assign('deny: [{when: has(read.lead.country) && read.lead.country == "DE"}]'))
    look_up = reads()
    assert (await verdict(current, look_up)).code == "policy.rule"
    assert look_up.asked == [("crm.get", {"kind": "lead", "id": "l"})]


async def test_each_look_up_is_made_at_most_once_and_the_same_one_of_two_files_once() -> None:
    entries = "deny:\n  - {when: has(lead.country) && lead.country == \"BR\"}\n  - {when: has(lead.value) && lead.value > 5 EUR}\n  - {unless: 'team.owners.exists(o, o.id == owner)'}"
    other = assign('deny: [{when: it.id == "z"}]', read='it: crm.get(id=id, kind="lead")', name="other")
    look_up = reads()
    assert await verdict(rules(assign(entries), other), look_up) == Allow(ASSIGN)
    assert sorted(look_up.asked) == [
        ("crm.get", {"kind": "lead", "id": "l"}),
        ("crm.owners", {"active": True}),
    ]


async def test_look_ups_that_do_not_wait_for_each_other_are_made_at_the_same_time() -> None:
    current = rules(assign("deny: [{unless: 'team.owners.exists(o, o.id == owner) && has(lead.country)'}]"))
    here: set[str] = set()
    both = anyio.Event()

    async def look_up(tool: str, arguments: Mapping[str, Any], timeout: float) -> Any:
        here.add(tool)
        if len(here) == 2:
            both.set()
        with anyio.fail_after(2):
            await both.wait()
        return A_LEAD if tool == "crm.get" else OWNERS

    said = await decide(current, call(current, "crm.assign", **ASSIGN), look_up)
    assert said.verdict == Allow(ASSIGN)


async def test_a_look_up_may_use_another_and_comes_after_it() -> None:
    text = policy(
        'billing.refund:\n  allow: anyone\n  deny: [{when: buyer.email == "x"}]',
        read='payment: billing.payment(payment_id)\nbuyer: crm.get(kind="contact", id=payment.order_id)',
    )
    current = rules(text)
    wanted = call(current, "billing.refund", payment_id="p", amount_minor=1, currency="EUR")
    look_up = LookUps(billing_payment=PAID, crm_get={"kind": "contact", "id": "o", "email": "y"})
    assert (await decide(current, wanted, look_up)).verdict == Allow(wanted.arguments)
    assert look_up.asked == [
        ("billing.payment", {"payment_id": "p"}),
        ("crm.get", {"id": "o", "kind": "contact"}),
    ]

    without = LookUps(billing_payment={**PAID, "order_id": None}, crm_get={})
    said = (await decide(current, wanted, without)).verdict
    assert isinstance(said, Deny)
    assert (said.code, len(without.asked)) == ("policy.lookup_failed", 1)


@pytest.mark.parametrize("answer", [RuntimeError("secret"), TimeoutError(), None, KeyError("x")])
@pytest.mark.parametrize(
    "entries",
    ["deny: [{when: has(lead.country)}]", "deny: [{when: lead.country == null}]", "deny: [{unless: has(lead.country)}]",
     "ask: [{when: \"default(lead.country, 'DE') == 'BR'\", from: [lead]}]", "deny: [{when: has(read.lead)}]"],
)  # fmt: skip
async def test_a_look_up_without_an_answer_denies_whatever_the_rule_asks_of_it(
    entries: str, answer: Any
) -> None:
    said = await verdict(rules(assign(entries)), reads(lead=answer))
    assert (said.code, said.retry) == ("policy.lookup_failed", "later")
    assert "secret" not in said.reason


async def test_a_look_up_that_takes_too_long_denies() -> None:
    text = assign(
        "deny: [{when: has(lead.country)}]", read="lead: {call: 'crm.get(kind=\"lead\", id=id)', timeout: 1s}"
    )
    current = rules(text)
    seen: list[float] = []

    async def slow(tool: str, arguments: Mapping[str, Any], timeout: float) -> Any:
        seen.append(timeout)
        raise TimeoutError  # as `fail_after` would, without the wait

    said = (await decide(current, call(current, "crm.assign", **ASSIGN), slow)).verdict
    assert said == Deny(
        "policy.lookup_failed",
        "Rule desk/crm.assign/deny-1 could not be judged: the look-up lead gave no answer: no answer in 1 seconds.",
        "Try again later.",
        "later",
        "desk/crm.assign/deny-1",
    )
    assert seen == [1.0]


@pytest.mark.parametrize(
    "answer",
    [[], "text", 5, True, {}, {"country": 5}, {"country": ["DE"]}, {"country": {"a": 1}}, {"value_minor": "x", "currency": "EUR"},
     {"value_minor": 1.5, "currency": "EUR"}, {"value_minor": float("nan"), "currency": "EUR"}, {"value_minor": 1, "currency": []}],
)  # fmt: skip
async def test_an_answer_of_the_wrong_shape_never_lets_a_call_through(answer: Any) -> None:
    entries = "deny: [{unless: 'has(lead.country) && lead.country == \"DE\" && has(lead.value) && lead.value < 5 EUR'}]"
    said = await verdict(rules(assign(entries)), reads(lead=answer))
    assert isinstance(said, Deny)


ODD: list[Any] = ["o", {"o": 1}, ["o", 5], [None], [[{}]], None, 5]


@pytest.mark.parametrize("owners", ODD)
async def test_a_list_that_is_none_denies(owners: Any) -> None:
    said = await verdict(
        rules(assign("deny: [{when: 'team.owners.exists(o, o.id == owner)'}]")),
        reads(team={"owners": owners}),
    )
    assert (said.code, said.rule) == ("policy.error", "desk/crm.assign/deny-1")


async def test_a_surprise_inside_a_rule_denies_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    current = rules(assign("deny: [{when: lead.id == id}]"))
    rule = current.rules["crm.assign"].rules[1]

    def surprise(env: Any) -> Any:
        raise RecursionError

    broken = replace(rule.when[0], code=replace(rule.when[0].code, run=surprise, op=""))
    current = replace(
        current,
        rules={
            "crm.assign": replace(
                current.rules["crm.assign"],
                rules=(current.rules["crm.assign"].rules[0], replace(rule, when=(broken,))),
            )
        },
    )
    said = await verdict(current, reads())
    assert said == Deny(
        "policy.error",
        "Rule desk/crm.assign/deny-1 could not be judged: RecursionError.",
        "",
        "no",
        "desk/crm.assign/deny-1",
    )


async def test_a_surprise_outside_the_rules_denies_too(caplog: pytest.LogCaptureFixture) -> None:
    current = rules(assign("limit: 5 per hour"))
    broken = replace(current, rules={"crm.assign": replace(current.rules["crm.assign"], rules=(None,))})
    denied = await decide(broken, call(current, "crm.assign", **ASSIGN), reads())
    assert denied.verdict == Deny(
        "policy.error", "The rules of crm.assign could not be judged: AttributeError."
    )


# -- what is kept ---------------------------------------------------------------------------------------------------


async def test_the_basis_names_what_fired_what_was_read_and_what_is_counted() -> None:
    entries = 'ask: [{name: rich, when: has(lead.value) && lead.value > 0.50 EUR, from: [lead], say: "Worth {lead.value}"}]\nlimit: 3 per day per agent per user'
    current = rules(assign(entries))
    decision = await decide(current, call(current, "crm.assign", **ASSIGN), reads())
    (share,) = decision.basis.shares

    assert isinstance(decision.verdict, RequireApproval)
    assert decision.verdict.demands[0].why == "Worth 1.00 EUR"
    assert decision.basis == Basis(
        generation=7,
        rules=decision.basis.rules,
        fired=("desk/crm.assign/allow", "desk/crm.assign/limit-1", "desk/crm.assign/rich"),
        facts={"lead.value": "1.00 EUR"},
        looked_up=(
            LookedUp(
                '["crm.get", {"id": "l", "kind": "lead"}]',
                ("desk/lead",),
                decision.basis.looked_up[0].ms,
                A_LEAD,
            ),
        ),
        shares=(share,),
    )
    assert (share.rule, share.key, share.most, share.text) == (
        "desk/crm.assign/limit-1", '["desk", "ana"]', 3, "3 per day per agent per user",
    )  # fmt: skip


async def test_an_ask_without_facts_in_its_conditions_reads_those_of_its_text() -> None:
    current = rules(assign('ask: [{from: [lead], say: "Worth {lead.value}"}]'))
    assert (await verdict(current, reads())).demands[0].why == "Worth 1.00 EUR"
    failed = await verdict(current, reads(lead=RuntimeError()))
    assert failed.demands[0].why == "Worth (unknown)"


def digest(current: PolicySet, wanted: ToolCall) -> str:
    async def asked() -> str:
        return (await decide(current, wanted, reads())).basis.rules

    return anyio.run(asked)


BASE = assign('deny: [{name: dd, when: lead.id == "z"}]\nask: [{name: aa, when: id == "q", from: [lead]}]')


ELSEWHERE = policy(
    "crm.assign: {deny: [{when: size(staff.owners) == 0}]}",
    read="staff: crm.owners(active=true)",
    name="more",
    applies="{agents: [other]}",
)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ((BASE.replace("owner: lead", "owner: finance # a comment"),), True),
        ((BASE + "  crm.get:\n    allow: anyone\n",), True),
        ((BASE.replace("active=true", "active=false"),), True),  # no rule of this tool reads it
        (
            (
                BASE,
                policy('crm.assign: {deny: [{when: id == "w"}]}', name="more", applies="{agents: [other]}"),
            ),
            True,
        ),
        ((BASE, ELSEWHERE), True),
        ((BASE, ELSEWHERE.replace("active=true", "active=false")), True),
        ((BASE, policy('crm.assign: {deny: [{when: id == "w"}]}', name="more")), False),
        ((BASE.replace('"z"', '"y"'),), False),
        ((BASE.replace("from: [lead]", "from: [finance]"),), False),
        ((BASE.replace("from: [lead]", "from: [lead], expires: 1h"),), False),
        ((BASE.replace('kind="lead"', 'kind="contact"'),), False),
        ((BASE.replace("allow: anyone", "allow: [support]"),), False),
    ],
)
def test_the_rules_for_a_call_change_only_with_what_concerns_it(other: tuple[str, ...], same: bool) -> None:
    before, after = rules(BASE), rules(*other)
    assert (
        digest(before, call(before, "crm.assign", **ASSIGN))
        == digest(after, call(after, "crm.assign", **ASSIGN))
    ) is same


def test_a_list_of_tools_shows_what_some_allow_fits() -> None:
    current = rules(assign("", allow="[lead]"), policy("crm.get: {allow: anyone}", name="two"))

    def names(user: str, agent: str = "desk") -> list[str]:
        return [tool.name for tool in current.offered(user=user, agent=agent)]

    assert names("ana") == ["crm.get"]
    assert names("bo") == ["crm.assign", "crm.get"]
    assert names("bo", "other") == []


# -- the call's own money -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["amount", "call.amount", "args.amount"])
async def test_the_amount_of_a_call_is_the_same_money_under_each_of_its_names(name: str) -> None:
    guard = f"has({name}) && " if name == "call.amount" else ""
    current = rules(
        policy(
            f"billing.refund:\n  allow: anyone\n  ask: [{{when: {guard}{name} > 100 EUR, from: [finance]}}]"
        )
    )

    def of(minor: int) -> ToolCall:
        return call(current, "billing.refund", payment_id="p", amount_minor=minor, currency="EUR")

    assert isinstance((await decide(current, of(10_000))).verdict, Allow)
    assert isinstance((await decide(current, of(10_001))).verdict, RequireApproval)


async def test_an_amount_nobody_can_read_is_not_no_amount() -> None:
    current = rules(
        policy(
            "billing.fee:\n  allow: anyone\n  ask: [{when: has(amount) && amount > 100 EUR, from: [finance]}]"
        )
    )

    async def said(**arguments: Any) -> Any:
        return (await decide(current, call(current, "billing.fee", currency="EUR", **arguments))).verdict

    assert isinstance(await said(share=2, of_minor=6000), RequireApproval)
    assert isinstance(await said(share=0.5, of_minor=6000), Allow)
    for doubt in (
        await said(share=0.50001, of_minor=99_999),
        await said(share=0.5),
        await said(share=2, of_minor=2**53 - 1),
    ):
        assert (doubt.code, doubt.rule) == ("policy.error", "desk/billing.fee/ask-1")


async def test_an_argument_called_like_a_fact_never_stands_for_it() -> None:
    current = rules(
        policy('lab.clash:\n  allow: {when: call.user.id == "bo"}\n  deny: [{when: args.user == "ana"}]')
    )
    liar = call(current, "lab.clash")
    assert (await decide(current, replace(liar, arguments={"user": "bo", "now": "n"}))).verdict == Deny(
        "policy.not_allowed",
        "No rule allows ana with agent desk to use lab.clash.",
        "Ask whoever owns the policy for this agent.",
    )
