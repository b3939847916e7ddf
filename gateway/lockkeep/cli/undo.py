"""`lockkeep undo`: what taking calls back would do, and doing it."""

import time
from datetime import timedelta
from typing import Annotated

import typer

from lockkeep.cli.here import Here, here, random_id, utc_now
from lockkeep.cli.show import AsJson, data, fail, rows, say, when
from lockkeep.errors import BadSetting, NotAllowed
from lockkeep.ledger import calls, undo
from lockkeep.ledger.undo import Plan
from lockkeep.model import Json, stamp
from lockkeep.policy.files.reading import span
from lockkeep.store import Row
from lockkeep.store.folder import serving

app = typer.Typer(
    help="Take calls back. Without --apply it only shows what would happen.", no_args_is_help=True
)
LOOK_WITHIN = 30.0
COLUMNS = ("place", "call", "tool", "subject", "would", "note", "state")
FINE = ("restores", "compensates", "later")
SENTENCES = {
    "restores": "everything it changed is put back as it was.",
    "compensates": "it is made up for; what stays is in the note.",
    "later": "it can be taken back once the newer ones are, which come first.",
    "conflict": "somebody changed it since. Nothing of theirs is overwritten: it stays.",
    "window closed": "it is too late for it.",
    "not allowed": "the rules do not let you, or not now.",
    "stopped": "a switch stops it: lockkeep switches; another person may let it, with lockkeep resume --undo-only.",
    "impossible": "there is no way back; the note says why.",
}
STATES = {"done": "done", "failed": "failed", "skipped": "skipped", "unknown": "unknown", "open": "not done"}
Apply = Annotated[bool, typer.Option("--apply", help="Do it, newest call first.")]
Skip = Annotated[bool, typer.Option("--skip", help="Go on after a call that cannot be taken back.")]
Reason = Annotated[str, typer.Option(help="Why. It stands in the record.")]


@app.command("call")
def call_(
    call: Annotated[str, typer.Argument(help="The call's id, or its beginning if that is enough.")],
    reason: Reason = "",
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Take back one call."""
    with here() as place:
        _take_back(place, [calls.find(place.store.read, call)["id"]], reason, apply, False, as_json)


@app.command()
def run(
    run: Annotated[str, typer.Argument(help="The run's id.")],
    reason: Reason = "",
    apply: Apply = False,
    skip: Skip = False,
    as_json: AsJson = False,
) -> None:
    """Take back every write of one run, newest first."""
    with here() as place:
        _take_back(place, _chosen(place, run=run), reason, apply, skip, as_json)


@app.command("calls")
def calls_(
    since: Annotated[str, typer.Option(help="How far back: 2h, 30m, 1d.")],
    tool: Annotated[str | None, typer.Option(help="Only this tool's, as in crm.update.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only this agent's.")] = None,
    user: Annotated[str | None, typer.Option(help="Only those made for this person.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only those this rule, or this policy, let pass.")] = None,
    reason: Reason = "",
    apply: Apply = False,
    skip: Skip = False,
    as_json: AsJson = False,
) -> None:
    """Take back many calls, newest first."""
    seconds = span(since)
    if not seconds:
        raise BadSetting(f"--since '{since}' is no duration; write 2h, 30m or 1d")
    with here() as place:
        begin = stamp(utc_now() - timedelta(seconds=seconds))
        found = _chosen(place, since=begin, tool=tool, agent=agent, user=user, rule=rule)
        _take_back(place, found, reason, apply, skip, as_json)


@app.command("list")
def list_(limit: Annotated[int, typer.Option(min=1, max=1_000)] = 20, as_json: AsJson = False) -> None:
    """What people asked to have taken back, the newest first."""
    with here() as place:
        found = place.store.read.all("undo_plans_list", count=limit)
        lines = [{name: each[name] for name in ("id", "state", "person", "reason")} | {"at": when(each["at"])} for each in found]  # fmt: skip
        rows(("id", "at", "state", "person", "reason"), lines, as_json, "Nothing was asked to be taken back.")


@app.command()
def show(plan: Annotated[str, typer.Argument(help="The plan's id.")], as_json: AsJson = False) -> None:
    """One plan: every call, what was found, and what became of it."""
    with here() as place:
        _tell(place, undo.plan(place.store.read, plan), as_json)


def _chosen(place: Here, **only: str | None) -> list[str]:
    given = dict.fromkeys(("run", "since", "tool", "agent", "user", "rule")) | only
    return [row["id"] for row in place.store.read.all("calls_to_undo", **given)]


def _take_back(place: Here, chosen: list[str], reason: str, apply: bool, skip: bool, as_json: bool) -> None:
    person = place.person()
    if person is None:
        raise NotAllowed(
            "taking calls back needs a person's token in LOCKKEEP_TOKEN: it is that person's own call"
        )
    if serving(place.settings.data) is None:
        raise NotAllowed(
            "no gateway serves this folder, and only it can reach the integrations; start `lockkeep serve`"
        )
    id = random_id("undo")
    place.store.write_now(
        lambda tx: undo.ask(tx, id, chosen, person=person.id, reason=reason, skip=skip, now=utc_now())
    )
    plan = _wait(place, id, "looking")
    if apply and (skip or all(step.says in FINE for step in plan.steps)):
        place.store.write_now(lambda tx: undo.start(tx, id, by=person.id, skip=skip, now=utc_now()))
        plan = _wait(place, id, "running", told=not as_json)
    _tell(place, plan, as_json)
    if not apply and not as_json:
        say("Nothing was changed. Add --apply to do it.")
    elif apply and plan.state == "shown":
        fail("nothing was changed: not every call can be taken back; --skip takes back the others")
    elif plan.state in ("looking", "running") and not as_json:
        doing = "waits for people" if _waits_for_people(place, plan) else "goes on"
        say(f"The gateway {doing}: lockkeep undo show {id}")
    if any(step.state not in ("done", "open") or step.says not in FINE for step in plan.steps):
        raise typer.Exit(1)


def _wait(place: Here, id: str, state: str, *, told: bool = False) -> Plan:
    """Until the gateway has moved on; a plan that waits for people, or does not move for long, is left to it."""
    end, seen, moved = time.monotonic() + LOOK_WITHIN, set[int](), 0
    while (plan := undo.plan(place.store.read, id)).state == state and time.monotonic() < end:
        if (now := sum(bool(step.says) + (step.state != "open") for step in plan.steps)) > moved:
            moved, end = now, time.monotonic() + LOOK_WITHIN
        for step in plan.steps:
            if told and step.state != "open" and step.place not in seen:
                seen.add(step.place)
                say(f"{step.place} of {len(plan.steps)}: {step.call} {step.state}")
        if state == "running" and _waits_for_people(place, plan):
            break
        time.sleep(0.05)  # noqa: TID251 - waits for another process; there is no event loop here
    return undo.plan(place.store.read, id)


def _waits_for_people(place: Here, plan: Plan) -> bool:
    step = next((each for each in plan.steps if each.state == "open"), None)
    row = place.store.read.one("call_get", id=step.undo) if step and step.undo else None
    return row is not None and row["state"] == "pending_approval"


def _tell(place: Here, plan: Plan, as_json: bool) -> None:
    lines: list[dict[str, Json]] = []
    for step in plan.steps:
        row: Row | None = place.store.read.one("call_get", id=step.call)
        lines.append({
            "place": step.place, "call": step.call, "tool": row["tool"] if row else "", "subject": row["subject"] if row else "",
            "would": step.says, "note": step.note, "state": step.state, "undo": step.undo,
        })  # fmt: skip
    if as_json:
        counts: dict[str, Json] = {state: _count(plan, state) for state in STATES}
        data({"plan": plan.id, "state": plan.state, "by": plan.person, "reason": plan.reason, "counts": counts, "steps": lines})  # fmt: skip
        return
    say(f"Plan {plan.id}, {plan.state}, by {plan.person}")
    rows(COLUMNS, lines, False)
    for would in dict.fromkeys(step.says for step in plan.steps if step.state == "open"):
        if would in SENTENCES and plan.state == "shown":
            say(f"{would}: {SENTENCES[would]}")
    if plan.state in ("running", "done", "stopped"):
        found = [f"{_count(plan, state)} {word}" for state, word in STATES.items() if _count(plan, state)]
        say(f"{', '.join(found)}.")


def _count(plan: Plan, state: str) -> int:
    return sum(step.state == state for step in plan.steps)
