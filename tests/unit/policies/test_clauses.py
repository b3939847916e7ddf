"""What the language of policies promises, each clause by one small example that would come out otherwise without it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.policies import room
from tests.unit.policies.bundles import Draw, World
from tests.unit.policies.room import (
    ALL,
    NOW,
    PAID,
    TOOLS,
    LookUps,
    call,
    decide,
    holds,
    policy,
    problems,
    rules,
)
from tests.unit.policies.room import fields as shape
from tests.unit.policies.test_cuts import bench

from lockkeep.gates.arguments import Schemas, arguments
from lockkeep.gates.policy import policy as gate
from lockkeep.ledger import approvals
from lockkeep.model import Allow, Demand, Deny, Divert, Finding, Pending, RequireApproval, Tool, moment
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.conditions.runtime import EvalError
from lockkeep.policy.engine import lookups

REFUND: dict[str, Any] = {"payment_id": "p", "amount_minor": 5000, "currency": "EUR"}
TRY: dict[str, Any] = dict(room.ARGUMENTS)
SATURDAY = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)  # in Berlin; still Friday in UTC
FACT = "payment: billing.payment(payment_id=t)"


async def verdict(
    text: str,
    *,
    read: str = "",
    now: datetime = NOW,
    look_up: LookUps | None = None,
    user: str = "ana",
    **given: Any,
) -> Any:
    current = rules(policy(text, read=read))
    wanted = call(current, "lab.try", now=now, user=user, **{**TRY, **given})
    return (await decide(current, wanted, look_up)).verdict


def allowed(current: PolicySet, *, agent: str = "desk") -> list[str]:
    """The tools that ana sees."""
    return [tool.name for tool in current.offered(user="ana", agent=agent)]


# -- which tools, whom ------------------------------------------------------------------------------------------

CRMX = replace(ALL["crm.get"], name="crmx.get", integration="crmx", exported="crmx_get")


def with_tools(text: str, *more: Tool) -> PolicySet:
    gateway = room.GATEWAY.replace("  crm: {", "  crmx: {in_process: true}\n  crm: {")
    return rules(policy(text), **{"gateway.yaml": gateway, "catalog.lock.json": room.lock([*TOOLS, *more])})


def test_a_pattern_stays_in_its_integration() -> None:
    assert allowed(with_tools("crm.g*: {allow: anyone}", CRMX)) == ["crm.get"]


def test_a_block_for_what_reads_permits_nothing_that_writes() -> None:
    assert allowed(with_tools("crm.@read: {allow: anyone}", CRMX)) == ["crm.get", "crm.owners"]


@pytest.mark.parametrize(
    "more", ["deny: [{when: true}]", "ask: {from: [lead]}", "limit: 3 per day", "change: {id: at_most 5}"]
)
def test_a_block_for_what_reads_says_who_may_and_nothing_else(more: str) -> None:
    assert any(
        "has only 'allow' and 'results'" in each
        for each in problems(policy(f"crm.@read: {{allow: anyone, {more}}}"))
    )


@pytest.mark.parametrize("when", ["n > 1", "args.b", "amount > 1 EUR"])
def test_who_may_use_a_tool_never_depends_on_its_arguments(when: str) -> None:
    assert any(
        "never depends on its arguments" in each
        for each in problems(policy(f"lab.try: {{allow: {{when: {when}}}}}"))
    )


def test_a_list_of_tools_shows_what_an_allow_permits_and_not_what_is_asked_about() -> None:
    mine = policy(
        "lab.try: {ask: {from: [lead]}}\ncrm.get: {allow: {agents: [other]}}\ncrm.owners: {allow: [support]}\n"
        "crm.assign: {allow: {roles: [support], mode: observe}}"
    )
    theirs = policy("billing.payment: {allow: anyone}", name="other", applies="{agents: [other]}")

    assert allowed(rules(mine, theirs)) == ["crm.owners"]


# -- when an entry fires ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "fires"),
    [
        ("when: [b, n == 2]", True), ("when: [b, n == 3]", False), ("when: [n == 3, b]", False), ("unless: [b, n == 2]", False),
        ("unless: [b, n == 3]", True), ("unless: [n == 3, b]", True), ("when: b, unless: [b, n == 3]", True), ("when: not b, unless: n == 3", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("fact", ["", "has(payment.at)"])
async def test_an_entry_fires_if_every_when_is_true_and_some_unless_is_false(
    entry: str, fires: bool, fact: str
) -> None:
    """With and without a look-up, told in words or not: the ways of judging agree."""
    text = f"lab.try: {{allow: anyone, deny: [{{{entry}}}]}}"
    if fact:
        text = text.replace("when: [", f"when: [{fact}, ").replace("unless: [", f"unless: [{fact}, ")
    current = rules(policy(text, read=FACT))
    wanted = call(current, "lab.try", **TRY)
    told = (await decide(current, wanted, LookUps(billing_payment=PAID))).verdict
    quiet = await judged(current, wanted, LookUps(billing_payment=PAID))

    assert isinstance(told, Deny) is fires
    assert quiet.verdict == told


async def judged(current: PolicySet, wanted: Any, look_ups: LookUps) -> Finding:
    """As the pipeline asks: without a word to each rule."""
    schemas = Schemas()
    return await gate(
        wanted, rules=lambda: current, look_ups=lambda: lookups.LookUps(look_ups), taken=lambda share, _: 0,
        faults=lambda cut: schemas.faults(current.tools[cut.tool], cut.arguments),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "retry"),
    [
        ("when: b, fix: Another one.", "changed"),
        ("when: b", "no"),
        ("when: b, hours: mon-fri", "no"),
        ("hours: mon-fri 08:00-18:00", "after:2026-11-20T18:00:00+01:00"),
        ("hours: mon-fri 08:00-18:00, fix: Another one.", "changed"),
    ],
)
async def test_a_refusal_says_whether_something_else_or_another_hour_would_pass(
    entry: str, retry: str
) -> None:
    said = await verdict(f"lab.try: {{allow: anyone, deny: [{{{entry}}}]}}")

    assert (said.code, said.retry) == ("policy.rule", retry)


async def test_hours_are_those_of_the_gateways_zone() -> None:
    text = "lab.try: {allow: anyone, deny: [{hours: sat-sun}]}"

    assert isinstance(await verdict(text, now=SATURDAY), Deny)
    assert isinstance(await verdict(text, now=SATURDAY - timedelta(hours=1)), Allow)


@pytest.mark.parametrize(
    ("file", "block", "entry", "fires"),
    [("enforce", "enforce", "observe", False), ("observe", "enforce", "enforce", False), ("enforce", "off", "observe", False),
     ("enforce", "observe", "enforce", False), ("enforce", "enforce", "enforce", True)],
)  # fmt: skip
async def test_the_weakest_mode_of_file_block_and_entry_holds(
    file: str, block: str, entry: str, fires: bool
) -> None:
    text = policy(f"lab.try: {{mode: {block}, deny: [{{when: b, mode: {entry}}}]}}", name="guard")
    current = rules(policy("lab.try: {allow: anyone}"), text.replace("tools:", f"mode: {file}\ntools:"))
    said = (await decide(current, call(current, "lab.try", **TRY))).verdict

    assert isinstance(said, Deny) is fires


@pytest.mark.parametrize(("block", "entry"), [("2026-11-19", "2031-01-01"), ("2031-01-01", "2026-11-19")])
async def test_the_first_end_of_block_and_entry_holds(block: str, entry: str) -> None:
    text = policy(f"lab.try: {{until: {block}, deny: [{{when: b, until: {entry}}}]}}", name="guard")
    current = rules(policy("lab.try: {allow: anyone}"), text)

    assert isinstance((await decide(current, call(current, "lab.try", **TRY))).verdict, Allow)


# -- limits -----------------------------------------------------------------------------------------------------


async def shares(limit: str, **given: Any) -> Any:
    current = rules(policy(f"billing.refund: {{allow: anyone, limit: {limit}}}"))
    decision = await decide(current, call(current, "billing.refund", **{**REFUND, **given}))
    return decision.basis.shares or decision.verdict


async def test_a_limit_is_counted_for_each_value_of_its_keys() -> None:
    keys = [
        [share.key for share in await shares("3 per day per user per payment_id", payment_id=name)]
        for name in ("p", "p", "q")
    ]

    assert keys[0] == keys[1] != keys[2]


async def test_each_currency_of_a_table_is_counted_apart() -> None:
    head, _, tools = policy("billing.refund: {allow: anyone, limit: total per day}").partition("tools:")
    current = rules(f"{head}values:\n  total: {{EUR: 500, USD: 500}}\ntools:{tools}")
    given: list[dict[str, Any]] = [{**REFUND, "currency": name} for name in ("EUR", "USD")]
    calls = [call(current, "billing.refund", **each) for each in given]
    one, two = [(await decide(current, each)).basis.shares[0] for each in calls]

    assert (one.key != two.key, one.most) == (True, 50000)


async def test_a_limit_in_another_currency_is_an_error() -> None:
    assert (await shares("50 EUR per day", currency="USD")).code == "policy.error"


async def test_a_negative_amount_gives_no_room_to_others() -> None:
    assert [share.units for share in await shares("50 EUR per day", amount_minor=-500)] == [0]


@pytest.mark.parametrize(
    ("then", "kind"), [("people: [finance]", Divert), ("ask: {from: [lead]}", RequireApproval)]
)
async def test_a_full_limit_does_what_it_says(then: str, kind: type) -> None:
    assert isinstance(await verdict(f"lab.try: {{allow: anyone, limit: {{up_to: 0 per day, {then}}}}}"), kind)


# -- people -----------------------------------------------------------------------------------------------------

HOURS = room.PEOPLE.replace(
    "  lead: {roles: [support, lead]}", "  lead: {roles: [support, lead], hours: mon-fri 08:00-18:00}"
)


async def asked_until(asking: str, people: str = HOURS) -> datetime:
    current = rules(policy(f"lab.try: {{allow: anyone, ask: {asking}}}"), **{"people.yaml": people})
    said = (await decide(current, call(current, "lab.try", **TRY))).verdict
    assert isinstance(said, RequireApproval)
    (demand,) = said.demands
    assert demand.ends is not None
    return moment(demand.ends)


async def test_of_several_groups_the_hours_of_the_last_to_end_count() -> None:
    lead = await asked_until("{from: [lead], expires: 9 hours}")
    both = await asked_until("{any_of: [lead, finance], expires: 9 hours}")
    finance = await asked_until("{from: [finance], expires: 9 hours}")

    assert (finance - NOW, both) == (timedelta(hours=9), lead)
    assert lead - NOW > timedelta(days=2)  # Friday's last hour, and Monday


def test_an_approval_waits_for_seven_days_at_most() -> None:
    assert any(
        "at most 7 days" in each
        for each in problems(policy("lab.try: {allow: anyone, ask: {from: [lead], expires: 8 days}}"))
    )


async def test_the_shortest_wish_decides_when_an_approval_expires(tmp_path: Path) -> None:
    asks = [
        {"name": f"a-{hours}", "from": ["lead"], "expires": f"{hours} hours", "clock": "always"}
        for hours in (5, 2, 8)
    ]
    with bench(tmp_path) as desk:
        file = Draw("any").file("p-0", {"everywhere": True})
        desk.in_force([{**file, "hours": "mon-sun", "tools": {"lab.try": {"allow": "anyone", "ask": asks}}}])
        desk.world = World(TRY, "ana", "desk", None, None)
        said = await desk.ask()

    assert isinstance(said, Pending)
    assert said.expires_at == NOW + timedelta(hours=2)


@pytest.mark.parametrize(
    ("tool", "enough"), [("lab.try", True), ("crm.assign", True), ("billing.refund", False)]
)
def test_the_requesters_own_yes_is_enough_for_what_is_harmless_only(tool: str, enough: bool) -> None:
    found = problems(policy(f"{tool}: {{allow: anyone, ask: {{confirm: requester}}}}"))

    assert any("own yes is not enough" in each for each in found) is not enough


def test_every_entry_that_asks_must_be_met() -> None:
    people = rules(policy("lab.try: {allow: anyone}")).people.persons
    wishes = [Demand(rule="r1", each=("lead",)), Demand(rule="r2", each=("finance",))]

    assert approvals.missing(wishes, ["bo"], False, people) == ("finance",)
    assert approvals.missing(wishes, ["bo", "cy"], False, people) == ()


def test_a_count_over_the_names_is_how_many_people_it_takes() -> None:
    people = rules(policy("lab.try: {allow: anyone}")).people.persons
    several = {**people, "dee": replace(people["bo"], id="dee"), "eve": replace(people["cy"], id="eve")}
    wish = Demand(rule="r", each=("lead", "finance"), count=3)

    assert approvals.missing([wish], ["bo", "cy"], False, several) == ("finance or lead",)
    assert approvals.missing([wish], ["bo", "dee"], False, several) != ()
    assert approvals.missing([wish], ["bo", "dee", "eve"], False, several) == ()


@pytest.mark.parametrize(
    ("more", "groups"), [("", None), (", escalate: [{after: 1 hour, to: [finance]}]", ("finance",))]
)
async def test_an_account_of_nobody_asks_nobody_unless_somebody_comes_next(
    more: str, groups: tuple[str, ...] | None
) -> None:
    text = f"lab.try: {{allow: anyone, ask: {{from: ['person:lead.id']{more}}}}}"
    current = rules(policy(text, read='lead: crm.get(kind="lead", id=t)'))
    look_ups = LookUps(crm_get=room.A_LEAD)
    said = (await decide(current, call(current, "lab.try", **TRY), look_ups)).verdict

    if groups is None:
        assert (isinstance(said, Deny) and said.code) == "policy.no_approver"
    else:
        assert isinstance(said, RequireApproval)
        assert [each.each for each in said.demands] == [groups]


async def test_every_group_that_a_rule_names_takes_over() -> None:
    said = await verdict(
        "lab.try: {allow: anyone, people: [{when: b, to: [lead]}, {when: n == 2, to: [finance]}]}"
    )

    assert isinstance(said, Divert)
    assert set(said.to) == {"lead", "finance"}


# -- changes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True])
async def test_of_several_maxima_the_smallest_counts(turned: bool) -> None:
    maxima = ("30 EUR", "20 EUR") if turned else ("20 EUR", "30 EUR")
    files = [
        policy(f"lab.try: {{allow: anyone, change: {{amount: at_most {most}}}}}", name=f"p-{n}")
        for n, most in enumerate(maxima)
    ]
    current = rules(*files)
    said = (await judged(current, call(current, "lab.try", **TRY), LookUps())).verdict

    assert isinstance(said, Allow)
    assert (said.arguments or {})["amount_minor"] == 2000


# -- names, types, budgets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["idempotency_key", "dry_run", "own"])
def test_a_hidden_argument_has_no_name(name: str) -> None:
    text = {"type": "string"}
    hides = room.tool(
        "lab.hides",
        "note",
        shape({"id": text, "idempotency_key": text, "dry_run": text, "own": text}),
        hidden=["own"],
    )
    files = {
        **room.folder(policy(f"lab.hides: {{deny: [{{when: args.{name} != null}}]}}")),
        "catalog.lock.json": room.lock([hides]),
    }
    _, found = room.load(files)

    assert any(f"no field '{name}'" in str(each) for each in found)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("names.exists(n, true)", "'n' has a meaning already"),
        ("names.exists(user, true)", "'user' has a meaning already"),
        ("amount > 100", "compared with the bare number 100"),
        ("100 < amount", "compared with the bare number 100"),
        ("amount > n", "compared with the bare number"),
        ("amount > 1.5 JPY", "1.5 JPY has more decimals than the currency"),
        ("amount > 1.005 EUR", "1.005 EUR has more decimals than the currency"),
        ("1 EUR > 1 USD", "EUR and USD do not go together"),
        ("perhaps > 1", "'perhaps' can be missing or null"),
        ("tool == null || toll == null", "'toll' is not known here"),
    ],
)
def test_what_has_no_meaning_is_an_error_at_load(condition: str, message: str) -> None:
    assert any(message in each for each in problems(policy(f"lab.try: {{deny: [{{when: '{condition}'}}]}}")))


def test_nought_needs_no_currency() -> None:
    assert problems(policy("lab.try: {deny: [{when: amount > 0}, {when: 0 > amount}]}")) == []


async def test_a_table_has_nothing_to_say_about_a_currency_it_does_not_name() -> None:
    head, _, tools = policy("lab.try: {allow: anyone, deny: [{when: amount > caps}]}").partition("tools:")
    current = rules(f"{head}values:\n  caps: {{EUR: 5}}\ntools:{tools}")
    said = (
        await decide(current, World({**TRY, "currency": "GBP"}, "ana", "desk", None, None).call(current))
    ).verdict

    assert isinstance(said, Deny)
    assert (said.code, "caps has no entry for GBP" in said.reason) == ("policy.error", True)


def test_a_condition_is_at_most_2000_characters_long() -> None:
    def long(characters: int) -> list[str]:
        return problems(
            policy(f"lab.try: {{deny: [{{when: '{'b && ' * 300}{'b' + ' ' * (characters - 1501)}'}}]}}")
        )

    assert any("at most 2000 characters" in each for each in long(2100))


@pytest.mark.full
def test_a_decision_takes_a_bounded_number_of_turns_and_looks_in_texts_of_bearable_length() -> None:
    many = "names.all(i, names.all(j, i != j || true))"
    assert holds(many, names=["x"] * 100)
    with pytest.raises(EvalError, match="steps"):
        holds(many, names=["x"] * 200)
    assert holds('t.contains("x")', t="x" * 4000)
    with pytest.raises(EvalError, match="4000"):
        holds('lower(t) == "x"', t="x" * 4001)


# -- the arguments gate -----------------------------------------------------------------------------------------

OPEN = room.tool("lab.open", "note", {
    "type": "object", "properties": {"n": {"type": "number"}, "m": {"type": "number"}, "at": {"type": "string", "format": "date-time"}},
})  # fmt: skip


async def checked(current: PolicySet, pin: str = "pin of lab.open", **given: Any) -> str:
    """What the arguments gate says; nothing if it lets them pass."""
    request = room.Request(
        id="c", tool="lab_open", arguments=given, user="ana", agent="desk", host="h", at=NOW
    )
    wanted = replace(room.prepare(request, room.known_of(current, OPEN, frozenset())), pin=pin)
    said = await arguments(wanted, tool=current.tools.get, closed=lambda _: None, schemas=Schemas())
    return f"{said.code}: {said.reason}" if isinstance(said, Deny) else ""


@pytest.fixture
def opened() -> PolicySet:
    return rules(policy("lab.open: {allow: anyone}"), **{"catalog.lock.json": room.lock([OPEN])})


async def test_nothing_undeclared_passes_even_if_the_schema_is_open(opened: PolicySet) -> None:
    assert await checked(opened, n=1) == ""
    assert "more" in await checked(opened, n=1, more=2)


async def test_formats_are_asserted(opened: PolicySet) -> None:
    assert await checked(opened, at="2026-01-05T09:00:00Z") == ""
    assert "at: " in await checked(opened, at="tomorrow")


async def test_every_faulty_argument_is_named(opened: PolicySet) -> None:
    said = await checked(opened, n="x", m="y", at="tomorrow")

    assert all(f"{name}: " in said for name in ("n", "m", "at"))


async def test_a_tool_that_is_not_as_it_was_pinned_goes_no_further(opened: PolicySet) -> None:
    assert (await checked(opened, pin="another", n=1)).startswith("arguments.tool_changed")


# -- look-ups ---------------------------------------------------------------------------------------------------


async def test_one_call_asks_each_question_once_however_often_it_is_judged() -> None:
    text = "lab.try: {allow: anyone, deny: [{when: payment.disputed}], change: {amount: at_most 20 EUR}}"
    current, look_ups = rules(policy(text, read=FACT)), LookUps(billing_payment=PAID)
    said = (await judged(current, call(current, "lab.try", **TRY), look_ups)).verdict

    assert isinstance(said, Allow)
    assert len(look_ups.asked) == 1


async def test_a_kept_answer_is_good_for_a_while_but_not_once_people_agreed() -> None:
    read = "payment: {call: billing.payment(payment_id=t), cache: 60s}"
    current = rules(policy("lab.try: {allow: anyone, deny: [{when: payment.disputed}]}", read=read))
    wanted, look_ups = call(current, "lab.try", **TRY), LookUps(billing_payment=PAID)
    for each in (wanted, wanted, replace(wanted, agreed="apr_1")):
        await decide(current, each, look_ups)

    assert len(look_ups.asked) == 2


async def test_a_look_up_that_failed_is_said_before_a_rule_that_is_wrong() -> None:
    wrong, failing = "{name: aa, when: [has(lead.country), 1 / 0 == n]}", "{name: zz, when: payment.disputed}"
    read = FACT + '\nlead: crm.get(kind="lead", id=t)'
    look_ups = LookUps(billing_payment=RuntimeError(), crm_get=room.A_LEAD)
    said = [
        await verdict(f"lab.try: {{allow: anyone, deny: [{entries}]}}", read=read, look_up=look_ups)
        for entries in (wrong, f"{wrong}, {failing}")
    ]

    assert [each.code for each in said] == ["policy.error", "policy.lookup_failed"]
