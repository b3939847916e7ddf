"""People agree to exactly one call, nobody to their own, and the gateway runs it once (P2, P3, P4)."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import Tool

from house import ALLOW_ALL, PEOPLE, Era, House, house, said, send
from lockkeep.ledger import approvals, calls
from lockkeep.ledger.approvals import Refusal, Voted
from shop import Shop

ERAS: tuple[Era, ...] = ("2026-07-28", "2025-11-25")
PAY = {"id": "p1", "amount_minor": 50_000, "currency": "EUR"}
ASK = """\
api: lockkeep/v1
policy: pay
owner: lead
applies_to: {everywhere: true}
read:
  thing: shop.read(id)
tools:
  shop.read: {allow: anyone}
  shop.write: {allow: anyone}
  shop.pay:
    allow: anyone
    ask:
      - name: high
        when: amount > 100 EUR
        from: [lead, finance]
        say: "{amount} is more than 100.00 EUR."
        expires: 1 hour
"""
ONE = ASK.replace("[lead, finance]", "[lead]")
CONFIRM = """\
api: lockkeep/v1
policy: notes
owner: lead
applies_to: {everywhere: true}
tools:
  shop.write:
    allow: anyone
    ask: {confirm: requester}
"""


async def ask(home: House, arguments: dict[str, Any] | None = None, **who: Any) -> dict[str, Any]:
    return said(await home.call("shop.pay", arguments or PAY, **who))


async def settled(home: House, *states: str) -> None:
    with anyio.fail_after(10):
        while home.states() != list(states):
            await anyio.sleep(0.02)


@pytest.mark.promise("P3")
@pytest.mark.parametrize("era", ERAS)
async def test_a_parked_call_is_an_ordinary_answer_that_says_who_decides_and_what_to_do(
    tmp_path: Path, era: Era
) -> None:
    async with house(tmp_path, rules=ASK) as home, home.client(era=era) as client:
        await client.list_tools()
        result = await client.call_tool("shop_pay", PAY)  # the SDK checks it against the listed output schema

    facts = said(result)
    assert not result.is_error
    assert (facts["status"], facts["approvers"], facts["reason"]) == (
        "pending_approval",
        ["lead", "finance"],
        "500.00 EUR is more than 100.00 EUR.",
    )
    assert facts["resume"] == {"tool": "lockkeep_wait", "arguments": {"approval_id": facts["approval_id"]}}
    assert home.shop.effects == []


@pytest.mark.promise("P2", "P3")
async def test_one_person_of_each_group_agrees_and_the_gateway_runs_it_once(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ASK) as home:
        asked = await ask(home)
        first = await home.vote(asked["approval_id"], "bo")
        before = list(home.shop.effects)
        second = await home.vote(asked["approval_id"], "dee")
        await settled(home, "succeeded")
        collected = await home.call("lockkeep_wait", {"approval_id": asked["approval_id"]})
        repeated = await home.call("shop.pay", PAY)

        assert (first, second) == (Voted("pending", ("finance",)), Voted("approved"))
        assert (before, home.shop.effects) == ([], [("pay", PAY)])
        assert said(collected) == said(repeated) == {"applied": True, "id": "p1"}
        assert home.sound()


@pytest.mark.promise("P4")
async def test_someone_in_both_groups_fills_one_place_only(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ASK) as home:
        asked = await ask(home)

        assert await home.vote(asked["approval_id"], "cy") == Voted("pending", ("finance",))
        assert await home.vote(asked["approval_id"], "bo") == Voted("approved")


@pytest.mark.promise("P4")
@pytest.mark.parametrize(
    ("person", "why"),
    [
        ("ana", "own call"),  # not in a group, too
        ("bo", "own call"),  # asked for it himself
        ("olga", "own agent"),
        ("nobody", "person of people.yaml"),
    ],
)
async def test_nobody_agrees_to_their_own_call_nor_to_one_of_their_agent(
    tmp_path: Path, person: str, why: str
) -> None:
    user = "bo" if person == "bo" else "ana"
    async with house(tmp_path, rules=ASK) as home:
        asked = await ask(home, user=user)
        refused = await home.vote(asked["approval_id"], person)
        await anyio.sleep(0.2)

        assert isinstance(refused, Refusal)
        assert why in refused.reason
        assert (home.shop.effects, home.states()) == ([], ["pending_approval"])
        assert home.audit()[-1]["type"] == "approval.refused"


@pytest.mark.promise("P4")
async def test_a_person_votes_once(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ASK) as home:
        asked = await ask(home)
        await home.vote(asked["approval_id"], "bo")

        assert await home.vote(asked["approval_id"], "bo") == Refusal("you have voted already", conflict=True)


@pytest.mark.promise("P4")
async def test_nothing_a_host_can_call_approves(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ASK) as home, home.client(user="bo", agent="other") as client:
        asked = await ask(home)
        names = {tool.name for tool in (await client.list_tools()).tools}
        tried = [
            said(await send(client, name, {"approval_id": asked["approval_id"], "approve": True}))
            for name in ("lockkeep_wait", "lockkeep_approve", "lockkeep_status")
        ]

        assert {name for name in names if name.startswith("lockkeep")} == {"lockkeep_wait", "lockkeep_status"}
        assert [answer["status"] for answer in tried] == ["denied"] * 3
        assert home.states()[0] == "pending_approval"


@pytest.mark.promise("P3")
@pytest.mark.parametrize("change", [{"amount_minor": 50_001}, {"id": "p2"}, {"currency": "USD"}])
async def test_other_arguments_need_their_own_approval(tmp_path: Path, change: dict[str, Any]) -> None:
    rules = ONE.replace("amount > 100 EUR", "amount != 0")
    async with house(tmp_path, rules=rules) as home:
        asked = await ask(home)
        await home.vote(asked["approval_id"], "bo")
        await settled(home, "succeeded")
        other = await ask(home, {**PAY, **change})

        assert other["status"] == "pending_approval"
        assert other["approval_id"] != asked["approval_id"]
        assert home.shop.effects == [("pay", PAY)]


@pytest.mark.promise("P3")
async def test_another_caller_needs_its_own_approval(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ONE) as home:
        first = await ask(home)
        other_agent = await ask(home, agent="other")
        other_user = await ask(home, user="dee")

        assert len({first["approval_id"], other_agent["approval_id"], other_user["approval_id"]}) == 3


@pytest.mark.promise("P3")
async def test_the_same_call_attaches_to_the_parked_one(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ONE) as home:
        asked = [await ask(home) for _ in range(5)]

        assert len({each["approval_id"] for each in asked}) == 1
        assert len(home.store.read.all("approvals_list", state=None, count=100)) == 1


@pytest.mark.promise("P3")
async def test_changed_rules_for_this_call_void_the_approval_and_people_are_asked_again(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, rules=ASK) as home:
        asked = await ask(home)
        await home.vote(asked["approval_id"], "bo")
        await home.rules(rules=ASK.replace("100 EUR", "90 EUR"))
        await home.vote(asked["approval_id"], "dee")
        with anyio.fail_after(5):
            while len(home.store.read.all("approvals_list", state=None, count=9)) < 2:
                await anyio.sleep(0.02)
        newest, oldest = home.store.read.all("approvals_list", state=None, count=9)

        assert (newest["state"], oldest["state"]) == ("pending", "void")
        assert (home.shop.effects, home.states()) == ([], ["pending_approval"])


@pytest.mark.promise("P3")
async def test_unrelated_rules_void_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ONE) as home:
        asked = await ask(home)
        await home.rules(rules=ONE.replace("shop.write: {allow: anyone}", "shop.write: {allow: [finance]}"))
        await home.vote(asked["approval_id"], "bo")
        await settled(home, "succeeded")

        assert len(home.shop.effects) == 1


@pytest.mark.promise("P3", "P6")
async def test_after_the_vote_the_gates_speak_again_with_the_roles_of_now(tmp_path: Path) -> None:
    rules = ONE.replace("  shop.pay:\n    allow: anyone", "  shop.pay:\n    allow: [staff]")
    async with house(tmp_path, rules=rules) as home:
        asked = await ask(home)
        await home.rules(people=PEOPLE.replace("ana: {groups: [staff]}", "ana: {groups: []}"))
        await home.vote(asked["approval_id"], "bo")
        await settled(home, "denied")
        collected = said(await home.call("lockkeep_wait", {"approval_id": asked["approval_id"]}))

        assert (collected["code"], home.shop.effects) == ("policy.not_allowed", [])


@pytest.mark.promise("P3", "P4")
async def test_a_voter_who_lost_the_group_no_longer_counts(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ASK) as home:
        asked = await ask(home)
        await home.vote(asked["approval_id"], "bo")
        await home.rules(people=PEOPLE.replace("bo: {groups: [lead]}", "bo: {groups: []}"))
        with anyio.fail_after(5):
            while (current := home.gateway.in_force.current) is None or current.generation < 2:
                await anyio.sleep(0.02)

        assert await home.vote(asked["approval_id"], "dee") == Voted("pending", ("lead",))
        assert home.shop.effects == []


@pytest.mark.promise("P3")
async def test_a_vote_over_something_else_than_what_was_shown_is_refused(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ONE) as home:
        asked = await ask(home)
        wrong = await home.vote(asked["approval_id"], "bo", shown="0" * 64)
        short = await home.vote(asked["approval_id"], "bo", shown="a")

        assert isinstance(wrong, Refusal)
        assert isinstance(short, Refusal)
        assert home.states() == ["pending_approval"]


async def test_one_no_ends_it_and_the_same_call_is_not_asked_again_within_a_day(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ASK) as home:
        asked = await ask(home)
        await home.vote(asked["approval_id"], "bo")
        assert await home.vote(asked["approval_id"], "dee", "deny") == Voted("denied")
        again = await ask(home)
        home.clock.ahead = timedelta(hours=25)
        tomorrow = await ask(home)

        assert (again["code"], tomorrow["status"]) == ("already_denied", "pending_approval")
        assert home.shop.effects == []


async def test_a_no_after_everybody_agreed_still_counts_until_the_call_is_claimed(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ONE) as home:
        asked = await ask(home)
        await home.throw(mode="pause")  # the agreed call waits
        await home.vote(asked["approval_id"], "bo")
        await home.vote(asked["approval_id"], "cy", "deny")
        await home.lift()
        await settled(home, "denied")

        assert home.shop.effects == []


async def test_silence_is_no_consent(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ONE) as home:
        asked = await ask(home)
        home.clock.ahead = timedelta(hours=1, seconds=1)
        late = await home.vote(asked["approval_id"], "bo")
        await settled(home, "expired")
        collected = said(await home.call("lockkeep_wait", {"approval_id": asked["approval_id"]}))

        assert isinstance(late, Refusal)
        assert (collected["status"], home.shop.effects) == ("expired", [])


async def test_what_was_agreed_is_used_within_fifteen_minutes_or_not_at_all(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ONE.replace("1 hour", "8 hours")) as home:
        asked = await ask(home)
        await home.throw(mode="pause")
        await home.vote(asked["approval_id"], "bo")
        home.clock.ahead = timedelta(minutes=16)
        await home.lift()
        await settled(home, "expired")

        assert home.shop.effects == []


async def test_confirm_asks_the_requester_and_nobody_else(tmp_path: Path) -> None:
    async with house(tmp_path, rules=CONFIRM) as home:
        asked = said(await home.call("shop.write", {"id": "t1", "text": "x"}))
        other = await home.vote(asked["approval_id"], "bo", "confirm")
        own = await home.vote(asked["approval_id"], "ana", "confirm")
        await settled(home, "succeeded")

        assert (isinstance(other, Refusal), own) == (True, Voted("approved"))
        assert len(home.shop.effects) == 1


async def test_where_nobody_may_agree_the_call_is_denied_at_once(tmp_path: Path) -> None:
    people = PEOPLE.replace("bo: {groups: [lead]}", "bo: {groups: []}").replace(
        "[lead, finance]}", "[finance]}"
    )
    async with house(tmp_path, rules=ONE, people=people) as home:
        assert (await ask(home))["code"] == "policy.no_approver"


async def test_an_approval_survives_a_restart_and_runs_once_after_it(tmp_path: Path) -> None:
    shop = Shop()
    async with house(tmp_path, shop, rules=ONE) as home:
        asked = await ask(home)
    async with house(tmp_path, shop) as home:
        await home.vote(asked["approval_id"], "bo")
        await settled(home, "succeeded")
        collected = await home.call("lockkeep_wait", {"approval_id": asked["approval_id"]})

        assert (said(collected)["applied"], len(shop.effects)) == (True, 1)


async def test_what_was_agreed_while_no_gateway_ran_is_executed_by_the_next_one(tmp_path: Path) -> None:
    shop = Shop()
    async with house(tmp_path, shop, rules=ONE) as home:
        asked = await ask(home)
        await home.throw(mode="pause")
        await home.vote(asked["approval_id"], "bo")
    async with house(tmp_path, shop) as home:
        await home.lift()
        await settled(home, "succeeded")

        assert len(shop.effects) == 1


@pytest.mark.parametrize("era", ERAS)
async def test_a_caller_who_waits_gets_the_answer_itself_when_people_decide_in_time(
    tmp_path: Path, era: Era
) -> None:
    answers: list[dict[str, Any]] = []
    async with house(tmp_path, hold_s=10, rules=ONE) as home, anyio.create_task_group() as group:

        async def wait() -> None:
            answers.append(await ask(home, era=era))

        group.start_soon(wait)
        with anyio.fail_after(5):
            while not (rows := home.store.read.all("approvals_list", state="pending", count=1)):
                await anyio.sleep(0.02)
        await home.vote(rows[0]["id"], "bo")
    assert answers == [{"applied": True, "id": "p1"}]


async def test_a_hold_ends_by_itself_and_answers_pending(tmp_path: Path) -> None:
    async with house(tmp_path, hold_s=0.3, rules=ONE) as home:
        with anyio.fail_after(5):
            assert (await ask(home))["status"] == "pending_approval"


async def test_waiting_for_somebody_elses_approval_is_like_waiting_for_none(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ONE) as home:
        asked = await ask(home)
        others = said(await home.call("lockkeep_wait", {"approval_id": asked["approval_id"]}, agent="other"))
        none = said(await home.call("lockkeep_wait", {"approval_id": "apr_none"}))
        status = said(await home.call("lockkeep_status", {"id": asked["call_id"]}, user="dee"))

        assert others == none == status


async def test_status_names_open_calls_approvals_and_switches_of_the_caller_only(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ONE) as home:
        asked = await ask(home)
        await ask(home, agent="other")
        await home.throw("agent:nobody", mode="pause")
        status = said(await home.call("lockkeep_status"))

        assert [each["id"] for each in status["calls"]] == [asked["call_id"]]
        assert [each["approval_id"] for each in status["approvals"]] == [asked["approval_id"]]
        assert (status["user"], status["agent"]) == ("ana", "robot")


async def test_people_are_not_asked_more_than_twenty_open_questions_per_agent(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ONE) as home, home.client() as client:
        answers = [said(await send(client, "shop.pay", {**PAY, "id": f"p{n}"})) for n in range(21)]

        assert [answer["status"] for answer in answers[:20]] == ["pending_approval"] * 20
        assert answers[20]["code"] == "too_many_open_approvals"


async def test_a_share_of_a_limit_is_held_while_people_think_and_returned_when_they_say_no(
    tmp_path: Path,
) -> None:
    rules = ONE + "    limit: 1 per hour per agent\n"
    async with house(tmp_path, rules=rules) as home:
        asked = await ask(home)
        full = await ask(home, {**PAY, "id": "p2"})
        await home.vote(asked["approval_id"], "bo", "deny")
        free = await ask(home, {**PAY, "id": "p3"})

        assert (full["code"], free["status"]) == ("policy.limit", "pending_approval")


async def test_limits_are_never_passed_by_parallel_calls(tmp_path: Path) -> None:
    rules = ALLOW_ALL.replace(
        "shop.*: {allow: [staff, lead, finance]}",
        "shop.*:\n    allow: anyone\n    limit: 5 per hour per agent",
    )
    results: list[dict[str, Any]] = []
    async with (
        house(tmp_path, rules=rules) as home,
        home.client() as client,
        anyio.create_task_group() as group,
    ):

        async def one(n: int) -> None:
            results.append(said(await send(client, "shop.write", {"id": f"t{n}", "text": "x"})))

        for n in range(20):
            group.start_soon(one, n)
    denied = [each for each in results if each.get("status") == "denied"]
    assert (len(home.shop.effects), len(denied)) == (5, 15)
    assert {each["retry"].split(":")[0] for each in denied} == {"after"}


async def test_an_unknown_approval_cannot_be_voted_on(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        with pytest.raises(LookupError):
            approvals.find(home.store.read, "apr_x")


@pytest.mark.promise("P3")
async def test_a_tool_accepted_anew_voids_what_was_agreed_about_the_old_one(tmp_path: Path) -> None:
    shop = Shop()
    async with house(tmp_path, shop, rules=ASK) as home:
        asked = await ask(home)
        await home.vote(asked["approval_id"], "bo")
        shop.tools = [
            tool.model_copy(update={"meta": {"lockkeep/effect": graver(tool)}})
            if tool.name == "pay"
            else tool
            for tool in shop.tools
        ]
        await home.gateway.supervisor.restart("shop")
        await home.accept("shop")
        await home.vote(asked["approval_id"], "dee")
        with anyio.fail_after(5):
            while [row["state"] for row in home.store.read.all("approvals_list", state=None, count=9)] != [
                "pending",
                "void",
            ]:
                await anyio.sleep(0.02)

        assert home.shop.effects == []
        row = calls.find(home.store.read, asked["call_id"])
        assert (row["risk"], row["operation"], row["subject"]) == ("irreversible", "shop.burn", "EUR")


def graver(tool: Tool) -> dict[str, Any]:
    """The manifest of a tool that turned out to do something else."""
    assert tool.meta is not None
    said = tool.meta["lockkeep/effect"]
    return {**said, "class": "irreversible", "operation": "shop.burn", "subject": "args.currency"}


@pytest.mark.promise("P2")
async def test_two_people_who_click_together_make_one_effect(tmp_path: Path) -> None:
    rules = ONE.replace("amount > 100 EUR", "amount != 0")
    async with house(tmp_path, rules=rules) as home:
        for number in range(10):
            asked = await ask(home, {**PAY, "id": f"p{number}"})
            async with anyio.create_task_group() as group:
                group.start_soon(home.vote, asked["approval_id"], "bo")
                group.start_soon(home.vote, asked["approval_id"], "cy")
            with anyio.fail_after(5):
                while home.states()[-1] != "succeeded":
                    await anyio.sleep(0.02)

        assert len(home.shop.effects) == 10
        assert home.sound()


@pytest.mark.promise("P3", "P4")
async def test_a_voter_who_lost_the_group_after_everybody_agreed_is_asked_for_again(tmp_path: Path) -> None:
    async with house(tmp_path, rules=ONE) as home:
        asked = await ask(home)
        await home.throw(mode="pause")  # the agreed call waits
        await home.vote(asked["approval_id"], "bo")
        await home.rules(people=PEOPLE.replace("bo: {groups: [lead]}", "bo: {groups: []}"))
        await home.lift()
        with anyio.fail_after(5):
            while [row["state"] for row in home.store.read.all("approvals_list", state=None, count=9)] != [
                "pending",
                "void",
            ]:
                await anyio.sleep(0.02)

        assert (home.shop.effects, home.states()) == ([], ["pending_approval"])
