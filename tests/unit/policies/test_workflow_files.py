"""Workflow files: what a good one becomes, and which names, types and tools it may use. The bad ones stand in broken/."""

from datetime import date
from importlib.resources import files
from pathlib import Path
from textwrap import dedent

import pytest
from tests.unit.policies.room import FOLDER, NOW, lock, tool
from tests.unit.policies.room import fields as shape
from tests.unit.policies.test_starter import catalog

from lockkeep.cli.policy import check
from lockkeep.policy.bundle import load
from lockkeep.policy.conditions.runtime import MISSING, MOST_STEPS, STEPS, Env, EvalError, Money
from lockkeep.policy.files.figures import Baseline, Pause, Promote, ToShadow
from lockkeep.policy.files.schedule import Schedule, schedule_of
from lockkeep.policy.files.triggers import Inbox, Manual
from lockkeep.policy.positions import Place, Problems, Text
from lockkeep.policy.rules.workflow import Hooked, Polled, Workflow

HEAD = "api: lockkeep/v1\nworkflow: routing\ndescription: Every lead has an owner.\nowner: lead\nagents: [desk, other]\n"
STEPS_ = "steps:\n  - {id: team, call: crm.owners(active=true)}\n"
TEXT = {"type": "string", "maxLength": 5}
DESK = (
    tool("desk.look", "read", shape({"id": TEXT}, "id"), None),
    tool("desk.list", "read", shape({}), shape({"slots": {"type": "array", "items": shape({"at": {"type": "string", "format": "date-time"}}, "at")}}, "slots")),
    tool("desk.book", "write", shape({"at": {"type": "string"}, "since": {"type": "string", "format": "date-time"}, "n": {"type": "integer", "maximum": 3},
         "subject": TEXT, "tags": {"type": "array", "items": TEXT}, "changes": shape({"a": TEXT, "b": {"type": "integer"}}, "a"), "dry_run": {"type": "boolean"},
         "gone": {"type": ["string", "null"]}, "any": {}}, "at")),
)  # fmt: skip


def found(body: str, *, folder: dict[str, str] | None = None) -> tuple[Workflow | None, list[str]]:
    text = HEAD + dedent(body)
    loaded, problems = load({**FOLDER, **(folder or {}), "workflows/routing.yaml": text})
    return (loaded.workflows["routing"] if loaded else None), [
        f"{each.place.line - 5}:{each.place.column}: {each.message}" for each in problems
    ]


def good(body: str, *, folder: dict[str, str] | None = None) -> Workflow:
    workflow, problems = found(body, folder=folder)
    assert workflow is not None, problems
    return workflow


def at_the_desk(steps: str) -> tuple[Workflow | None, list[str]]:
    """A workflow of these steps, against the tools of the desk."""
    gateway = FOLDER["gateway.yaml"].replace("integrations:\n", "integrations:\n  desk: {in_process: true}\n")
    body = "trigger: {manual: true}\nsteps:\n" + "".join(f"  - {line}\n" for line in steps.splitlines())
    return found(body, folder={"gateway.yaml": gateway, "catalog.lock.json": lock(DESK)})


def env(**values: object) -> Env:
    return {"subject": "l_1", "now": NOW, STEPS: [MOST_STEPS], **values}


async def test_lead_routing_loads_against_the_shipped_servers(tmp_path: Path) -> None:
    source = files("lockkeep_policies")
    gateway = source.joinpath("gateway.yaml").read_text(encoding="utf-8")
    people = (
        source.joinpath("people.yaml")
        .read_text(encoding="utf-8")
        .replace("  sales:\n", "  sales:\n  sales-ops:\n")
    )
    loaded, problems = load(
        {
            "gateway.yaml": gateway,
            "people.yaml": people,
            "catalog.lock.json": await catalog(gateway, tmp_path),
            "workflows/lead-routing.yaml": LEAD_ROUTING,
            "workflows/lead-routing.md": "# How we route leads\n",
        }
    )
    assert loaded is not None, "\n".join(map(str, problems))
    workflow = loaded.workflows["lead-routing"]

    assert workflow.open == {"meeting": ("title", "start", "end")}
    assert workflow.tools == ("crm.get", "crm.list_owners", "crm.assign_owner", "calendar.create_event")
    assert (workflow.guide, workflow.stage, workflow.rest, workflow.deadline) == (
        "workflows/lead-routing.md", 10, "shadow", 1800.0,
    )  # fmt: skip
    assert [step.call.text for step in workflow.steps if step.call] == [
        'crm.get(kind="lead", id=subject)',
        "crm.list_owners(active=true)",
        'crm.assign_owner(kind="lead", id=subject, owner_id=free.id, reason="covers the country")',
        'calendar.create_event(calendar=free.id, tz="Europe/Berlin")',
    ]
    assert [(order.tool, order.after, order.at_most, len(order.require)) for order in workflow.sequence] == [
        ("crm.assign_owner", (), 1, 1), ("calendar.create_event", ("crm.assign_owner",), 1, 0),
    ]  # fmt: skip
    assert (workflow.promote, workflow.pause) == (
        Promote(shadow=ToShadow(days=21)), Pause(expected_error_rate=2.0),
    )  # fmt: skip
    assert workflow.baseline == Baseline(
        items=412, since=date(2026, 8, 1), to=date(2026, 8, 31), minutes_per_item=14.0, cost_per_hour=Money(7500, "USD"),
        error_rate=4.1, cost_per_error=Money(4000, "USD"), method="time study",
    )  # fmt: skip


def test_the_steps_compute_what_they_say() -> None:
    workflow = good(
        """\
        trigger: {poll: crm.owners(active=true), every: 90s, each: result.owners}
        subject: item.id
        steps:
          - {id: lead, call: 'crm.get(kind="lead", id=subject)'}
          - {id: team, call: crm.owners(active=true)}
          - id: free
            value: team.owners.first(o, lead.country in o.countries && o.open < o.room)
            when: has(lead.country)
          - {id: assign, call: crm.assign, with: {kind: lead, id: = subject, owner: = free.id, why: ==literal}, when: has(free)}
        """
    )
    lead, team, free, assign = workflow.steps
    owners = [
        {"id": "o_1", "open": 3, "room": 3, "countries": ["DE"]},
        {"id": "o_2", "open": 1, "room": 3, "countries": ["DE"]},
    ]
    here = env(lead={"kind": "lead", "id": "l_1", "country": "DE"}, team={"owners": owners})
    assert lead.call
    assert team.call
    assert free.value
    assert assign.call
    assert isinstance(workflow.trigger, Polled)
    assert workflow.subject is not None

    assert (lead.call.filled(here), team.call.filled(here)) == (
        {"kind": "lead", "id": "l_1"},
        {"active": True},
    )
    assert [condition.code.run(here) for condition in free.when] == [True]
    assert free.value.run(here) == owners[1]
    assert [condition.code.run({**here, "free": MISSING}) for condition in assign.when] == [False]
    assert [condition.code.run(here) for condition in assign.when] == [False]  # a step that was not taken yet
    assert assign.call.filled({**here, "free": owners[1]}) == {
        "kind": "lead",
        "id": "l_1",
        "owner": "o_2",
        "why": "=literal",
    }
    assert workflow.trigger.every == 90.0
    assert workflow.trigger.each.run({"result": {"owners": owners}, STEPS: [9]}) == owners
    assert workflow.subject.run({"item": owners[0]}) == "o_1"


def test_a_step_goes_over_a_list_and_judges_each_item() -> None:
    workflow = good(
        """\
        trigger: {manual: true}
        steps:
          - {id: team, call: crm.owners(active=true), when: "subject != 'nobody'"}
          - id: notes
            call: crm.assign
            each: team.owners
            as: one
            with: {kind: lead, id: = one.id, owner: = subject}
            when: [has(team), one.open < one.room]
            on: {denied: skip, failed: stop}
          - {id: done, value: size(notes), when: has(notes)}
        """
    )
    notes = workflow.steps[1]
    assert notes.each is not None
    assert ([each.text for each in notes.when], [each.text for each in notes.each.when]) == (
        ["has(team)"], ["one.open < one.room"],
    )  # fmt: skip
    assert (notes.each.item, notes.denied, notes.failed) == ("one", "skip", "stop")


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("{id: it, call: desk.book, with: {at: = now, since: 2026-01-05T09:00:00Z, gone: null, any: 5}}", None),
        ("{id: s, call: desk.list()}\n{id: it, call: desk.book, each: s.slots, with: {at: = item.at, since: = item.at}}", None),
        ("{id: it, call: desk.book, with: {at: x, tags: [a, = subject], changes: {a: = subject, b: 3}, any: {x: [= now]}}}", None),
        ("{id: it, call: desk.look, with: {id: abc}}\n{id: two, value: it.x, when: has(it.x)}", None),
        ("{id: it, call: desk.book, with: {at: x, since: tomorrow}}", "since of desk.book is a time, this is text"),
        ("{id: it, call: desk.book, with: {at: x, n: 4}}", "n of desk.book does not fit: 4 is greater than the maximum of 3"),
        ("{id: it, call: desk.book, with: {at: x, n: = 2 EUR}}", "an amount of money is no argument of a tool"),
        ("{id: it, call: desk.book, with: {at: x, tags: [a, 5]}}", "an item of tags of desk.book is text, this is a number"),
        ("{id: it, call: desk.book, with: {at: x, tags: = now}}", "tags of desk.book is a list, this is a time"),
        ("{id: it, call: desk.book, with: {at: x, tags: [toolong]}}", 'tags of desk.book does not fit: "toolong" is longer than 5 characters'),
        ("{id: it, call: desk.book, with: {at: x, changes: {c: 1}}}", "changes of desk.book has no field 'c'"),
        ("{id: it, call: desk.book, with: {at: x, changes: {b: 1}}}", 'changes of desk.book does not fit: "a" is a required property'),
        ("{id: it, call: desk.book, with: {at: x, dry_run: true}}", "desk.book has no parameter 'dry_run'"),
        ("{id: it, call: desk.book, with: {at: null}}", "at of desk.book is text, this is null"),
        ('{id: it, call: \'desk.look(id="toolong")\'}', 'id of desk.look does not fit: "toolong" is longer than 5 characters'),
        ("{id: it, call: desk.look, with: {id: abc}}\n{id: two, value: it.x.y}", "'it.x' can be missing or null"),
        ("{id: it, call: desk.look}\n{id: two, value: size(it.x), when: has(it.x) && it.x == it.x}", None),
    ],
)  # fmt: skip
def test_what_with_gives_must_fit_the_tool(steps: str, message: str | None) -> None:
    assert [each.partition(": ")[2] for each in at_the_desk(steps)[1]] == (
        [] if message is None else [message]
    )


def test_arguments_are_made_of_lists_and_mappings() -> None:
    workflow, problems = at_the_desk(
        "{id: it, call: desk.book, with: {at: = now, tags: [a, = subject], changes: {a: = subject, b: 3}, any: {x: [= now]}, gone: null}}"
    )
    assert workflow is not None, problems
    call = workflow.steps[0].call
    assert call is not None
    assert call.filled(env()) == {
        "at": NOW.isoformat(), "tags": ["a", "l_1"], "changes": {"a": "l_1", "b": 3}, "any": {"x": [NOW.isoformat()]}, "gone": None,
    }  # fmt: skip
    assert (
        call.text
        == 'desk.book(at=now, tags=["a", subject], changes={a: subject, b: 3}, any={x: [now]}, gone=null)'
    )


def test_a_required_argument_that_is_left_out_is_open() -> None:
    workflow, _ = at_the_desk(
        "{id: one, call: desk.book}\n{id: two, call: desk.look, with: {id: x}}\n{id: three, call: desk.look}"
    )
    assert workflow is not None
    assert workflow.open == {"one": ("at",), "three": ("id",)}


def test_an_argument_without_a_value_is_an_error_when_it_is_filled() -> None:
    workflow, _ = at_the_desk(
        "{id: it, call: desk.look}\n{id: two, call: desk.look, with: {id: = it.x}, when: has(it.x)}"
    )
    assert workflow is not None
    call = workflow.steps[1].call
    assert call is not None
    with pytest.raises(EvalError, match="missing"):
        call.filled(env(it={}))


def test_one_mistake_in_a_step_is_not_blamed_on_those_that_use_it() -> None:
    _, problems = found(
        """\
        trigger: {manual: true}
        steps:
          - {id: team, call: crm.ownres(active=true)}
          - {id: free, value: "team.owners.first(o, o.open < o.room)", when: has(team.owners)}
          - {id: assign, call: crm.assign, with: {kind: lead, id: = subject, owner: = free.id}, when: has(free)}
        sequence: [{tool: crm.assign, after: [crm.owners]}]
        truth: {call: 'crm.get(kind="lead", id=subject)', window: 1 day, map: [{tool: crm.assign, same: {id: = subject}}]}
        """
    )
    assert problems == ["3:22: no accepted tool is called 'crm.ownres'"]


def test_two_mistakes_are_told_at_once() -> None:
    _, problems = found(
        "trigger: {manual: true}\n"
        + STEPS_.replace("active", "activ")
        + "end_state: {call: crm.owners(), require: result.x}\n"
    )
    assert [each.partition(": ")[2] for each in problems] == [
        "crm.owners has no parameter for 'activ'", "'result' has no field 'x'",
    ]  # fmt: skip


# -- what begins a run ----------------------------------------------------------------------------------------------


def test_what_is_sent_to_a_webhook_is_taken_as_it_comes() -> None:
    workflow = good(
        "trigger: {webhook: {secret: env:HOOK, each: result.items}}\nsubject: item.ticket.id\n" + STEPS_
    )
    assert isinstance(workflow.trigger, Hooked)
    assert workflow.trigger.secret == "env:HOOK"
    assert workflow.trigger.each is not None
    assert workflow.subject is not None
    assert workflow.subject.run({"item": {"ticket": {"id": "t_1"}}}) == "t_1"
    with pytest.raises(EvalError):
        workflow.subject.run({"item": {}})
    whole = good("trigger: {webhook: {secret: file:/run/hook}}\nsubject: item.id\n" + STEPS_)
    assert whole.trigger == Hooked(secret="file:/run/hook")


def test_documents_are_told_apart_by_what_is_in_them_unless_the_file_says_otherwise() -> None:
    by_id = good('trigger: {file: {folder: /srv/invoices, match: "*.pdf"}}\n' + STEPS_)
    by_name = good("trigger: {file: {mailbox: invoices}}\nsubject: item.name\n" + STEPS_)
    assert (by_id.trigger, by_id.subject) == (Inbox(folder="/srv/invoices", match="*.pdf"), None)
    assert by_name.trigger == Inbox(mailbox="invoices")
    assert by_name.subject is not None


def test_a_run_opened_by_hand_needs_nothing_more() -> None:
    workflow = good("trigger: {manual: true}\n" + STEPS_)
    assert workflow.trigger == Manual()
    assert (workflow.stage, workflow.rest, workflow.truth, workflow.end_state, workflow.open) == (
        0,
        "human",
        None,
        None,
        {},
    )
    assert (workflow.agents, workflow.description) == (("desk", "other"), "Every lead has an owner.")


def test_the_rest_runs_in_shadow_where_there_is_a_truth_to_compare_with() -> None:
    truth = "truth: {call: crm.owners(), window: 1h, map: [{tool: crm.assign, same: {id: = subject}}]}\n"
    assert good("trigger: {manual: true}\ntools: [crm.assign]\n" + STEPS_ + truth).rest == "shadow"
    assert (
        good("trigger: {manual: true}\ntools: [crm.assign]\nrest: human\n" + STEPS_ + truth).rest == "human"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 8 * * mon-fri", ({0}, {8}, range(1, 32), range(1, 13), {0, 1, 2, 3, 4})),
        ("*/15 * * * *", ({0, 15, 30, 45}, range(24), range(1, 32), range(1, 13), range(7))),
        ("0 9-17/4 1,15 * *", ({0}, {9, 13, 17}, {1, 15}, range(1, 13), range(7))),
        ("5/20 0 29 2 *", ({5, 25, 45}, {0}, {29}, {2}, range(7))),
        ("0 0 * * SAT-SUN", ({0}, {0}, range(1, 32), range(1, 13), {5, 6})),
        ("0 0 * * fri-mon", ({0}, {0}, range(1, 32), range(1, 13), {4, 5, 6, 0})),
        ("0 0 * * 0,7", ({0}, {0}, range(1, 32), range(1, 13), {6})),
        ("0 0 * * 1-5", ({0}, {0}, range(1, 32), range(1, 13), {0, 1, 2, 3, 4})),
    ],
)  # fmt: skip
def test_a_schedule_is_read(text: str, expected: tuple[set[int] | range, ...]) -> None:
    minutes, hours, days, months, weekdays = (frozenset(each) for each in expected)
    assert schedule_of(Text(Place("f", 1, 1), text, text), Problems()) == Schedule(
        text=text.lower(), minutes=minutes, hours=hours, days=days, months=months, weekdays=weekdays
    )


@pytest.mark.parametrize(
    "text",
    [
        "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 8",
        "*/0 * * * *", "5-1 * * * *", "mon * * * *", "* * * * mo", "a-b * * * *", "1, * * * *", "1-2-3 * * * *", "-1 * * * *", "@daily",
        "0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 1 * mon",
    ],
)  # fmt: skip
def test_a_schedule_that_cannot_be_is_refused(text: str) -> None:
    problems = Problems()
    assert schedule_of(Text(Place("f", 1, 1), text, text), problems) is None
    assert len(problems.found) == 1


# -- the rules of a run ---------------------------------------------------------------------------------------------


def test_require_compares_the_arguments_with_the_runs_own_subject() -> None:
    workflow = good(
        "trigger: {manual: true}\ntools: [crm.assign]\nsequence: [{tool: crm.assign, require: [id == subject, has(why) && why == run.lane], "
        'say: "This run is about {subject}, not {id}."}]\n' + STEPS_
    )
    (order,) = workflow.sequence
    call = {"run": {"id": "r", "workflow": "routing", "subject": "l_1", "lane": "agent"}, "subject": "l_2"}
    theirs: Env = {"args": {"id": "l_2", "why": "agent"}, "call": call, "read": {}, STEPS: [99]}
    own: Env = {**theirs, "args": {"id": "l_1"}}

    assert [[each.code.run(here) for each in order.require] for here in (theirs, own)] == [
        [False, True],
        [True, False],
    ]
    assert order.say is not None
    assert order.say.fill(theirs) == "This run is about l_1, not l_2."


def test_an_argument_called_subject_is_never_mistaken_for_the_runs() -> None:
    gateway = FOLDER["gateway.yaml"].replace("integrations:\n", "integrations:\n  desk: {in_process: true}\n")
    body = "trigger: {manual: true}\nsteps: [{id: it, call: desk.book}]\nsequence: [{tool: desk.book, require: %s}]\n"
    folder = {"gateway.yaml": gateway, "catalog.lock.json": lock(DESK)}

    assert found(body % "subject == at", folder=folder)[1] == [
        "3:39: 'subject' is ambiguous: write args.subject or run.subject"
    ]
    assert good(body % "has(args.subject) && args.subject == run.subject", folder=folder).sequence


def test_tools_that_wait_for_each_other_are_told_with_the_way() -> None:
    _, problems = found(
        """\
        trigger: {manual: true}
        steps: [{id: team, call: crm.owners()}]
        tools: [crm.assign, billing.payment, billing.refund]
        sequence:
          - {tool: billing.refund, after: [billing.payment]}
          - {tool: crm.assign, after: [billing.refund, crm.owners]}
          - {tool: billing.payment, after: [crm.assign]}
        """
    )
    way = "billing.payment -> crm.assign -> billing.refund -> billing.payment"
    assert problems == [f"7:12: these tools wait for each other: {way}"]


def test_the_end_state_may_ask_a_service_tool_and_wait_for_it() -> None:
    workflow = good(
        "trigger: {manual: true}\nend_state: {call: crm.receipt(subject), require: has(result.x), within: 2m}\n"
        + STEPS_
    )
    assert workflow.end_state is not None
    assert (workflow.end_state.call.tool, workflow.end_state.within) == ("crm.receipt", 120.0)


def test_workflows_stand_beside_policies_and_are_whole_or_not_at_all() -> None:
    good_one = HEAD + "trigger: {manual: true}\n" + STEPS_
    other = good_one.replace("workflow: routing", "workflow: other")
    loaded, _ = load({**FOLDER, "workflows/routing.yaml": good_one, "workflows/other.yaml": other})
    assert loaded is not None
    assert set(loaded.workflows) == {"routing", "other"}
    assert (
        load(
            {
                **FOLDER,
                "workflows/routing.yaml": good_one,
                "workflows/other.yaml": other.replace("lead\n", "leed\n", 1),
            }
        )[0]
        is None
    )


def test_check_says_how_many_workflows_there_are_and_what_they_leave_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "workflows").mkdir()
    steps = STEPS_ + "  - {id: assign, call: crm.assign, with: {kind: lead}}\n"
    for name, text in {
        **FOLDER,
        "workflows/routing.yaml": HEAD + "trigger: {manual: true}\n" + steps,
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    check(folder=tmp_path)

    assert capsys.readouterr().out.splitlines() == [
        "Fine: 4 files, 0 rules for 0 of 9 accepted tools, 1 workflow.",
        "Workflow routing: 2 steps, 2 tools; open: assign (id, owner).",
    ]


LEAD_ROUTING = """\
api: lockkeep/v1
workflow: lead-routing
description: Every new lead has an owner and a first meeting.
owner: sales-ops
agents: [lead-router]
guide: lead-routing.md
trigger: {poll: 'crm.search(kind="lead", stage="new")', every: 1 minute, each: result.items}
subject: item.id
deadline: 30 minutes
steps:
  - {id: lead, call: 'crm.get(kind="lead", id=subject)'}
  - {id: team, call: crm.list_owners(active=true)}
  - id: free
    value: team.owners.first(o, lead.record.country in o.countries && o.open_leads < o.capacity)
    when: has(lead.record.country)
  - id: assign
    call: crm.assign_owner
    with: {kind: lead, id: = subject, owner_id: = free.id, reason: covers the country}
    when: has(free)
    on: {denied: people}
  - id: meeting
    call: calendar.create_event           # title, start, end: open, filled by the agent or a person
    with: {calendar: = free.id, tz: Europe/Berlin}
    when: has(free) && has(assign)
sequence:
  - {tool: crm.assign_owner, require: id == subject, at_most: 1}
  - {tool: calendar.create_event, after: [crm.assign_owner], at_most: 1}
end_state:
  call: crm.get(kind="lead", id=subject)
  require: default(result.record.stage, "") == "assigned" && has(result.record.owner_id)
  within: 5 minutes
stage: 10
rest: shadow
promote: {shadow: {days: 21}}
pause: {expected_error_rate: 2}
truth:
  call: crm.get(kind="lead", id=subject)
  window: 48 hours
  map:
    - {tool: crm.assign_owner, when: has(result.record.owner_id), same: {id: = subject, owner_id: = result.record.owner_id}}
baseline: {items: 412, from: 2026-08-01, to: 2026-08-31, minutes_per_item: 14, cost_per_hour: 75 USD,
           error_rate: 4.1, cost_per_error: 40 USD, method: time study}
"""
