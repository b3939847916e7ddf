"""`lockkeep policy`: check the files, test them, explain a decision, bring them into force."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import anyio
import typer

from lockkeep.cli.here import Here, here, utc_now
from lockkeep.cli.problems import AsFormat, Format, tell
from lockkeep.cli.show import AsJson, rows, say, when
from lockkeep.errors import BadPolicySet, NotAllowed
from lockkeep.ledger import generations
from lockkeep.model import Request, Tool, ToolCall
from lockkeep.policy.bundle import LOCK, PolicySet, load, read_folder
from lockkeep.policy.cases import cases
from lockkeep.policy.ended import ended
from lockkeep.policy.positions import Problem, Problems
from lockkeep.policy.rules.workflow import Workflow
from lockkeep.prepare import known_of, prepare
from lockkeep.settings import from_environment

app = typer.Typer(help="The rules: check, test, explain, activate.", no_args_is_help=True)
Folder = Annotated[
    Path | None, typer.Option("--dir", help="The policies folder; default: LOCKKEEP_POLICIES.")
]


@app.command()
def check(folder: Folder = None, form: AsFormat = Format.text, as_json: AsJson = False) -> None:
    """Read, check and compile every file. Exit 3 if they would not load."""
    where = folder or from_environment().policies
    files = read_folder(where)
    loaded, problems = checked(files)
    form = Format.json if as_json else form
    tell(problems, files, where, form)
    if problems or loaded is None:
        raise typer.Exit(3)
    if form is Format.text:
        rules = sum(len(each.rules) for each in loaded.rules.values())
        count = len(loaded.workflows)
        flows = f", {count} workflow{'s' if count > 1 else ''}" if count else ""
        of = f"{len(loaded.rules)} of {len(loaded.tools)} accepted tools"
        say(f"Fine: {len(files)} files, {rules} rules for {of}{flows}.")
        for workflow in loaded.workflows.values():
            say(_in_short(workflow))


@app.command()
def history(
    count: Annotated[int, typer.Option("--count", "-n", min=1)] = 20, as_json: AsJson = False
) -> None:
    """Every set that was in force, the newest first."""
    with here() as place:
        kept = place.store.read.all("generations_list", count=count)
        found = [{**dict(row), "at": when(row["at"])} for row in kept]
        rows(("id", "at", "by", "reason", "observe_until", "digest"), found, as_json, "None yet.")


class Refused(BadPolicySet):
    """The policy set is not good. The last good set stays."""

    exit_code = 2


class DoesNotLoad(Refused):
    """The policy files do not load. Run `lockkeep policy check`; the last good set stays."""

    exit_code = 3


class TestsFail(Refused):
    """The tests of the policy files fail. Run `lockkeep policy test`; the last good set stays."""

    exit_code = 4


def checked(files: Mapping[str, str], *, ends: bool = True) -> tuple[PolicySet | None, list[Problem]]:
    """The set with what is wrong with it, its test files and (`ends`) the days that are over by now."""
    loaded, problems = load(files)
    problems = problems or _test_problems(files)
    if loaded is not None and not problems and ends:
        problems = ended(files, utc_now().astimezone(loaded.zone).date())
    return loaded, problems


def good(files: Mapping[str, str], *, ends: bool = True) -> None:
    """Nothing, or BadPolicySet with every problem: what comes into force loads, and its tests pass."""
    loaded, problems = checked(files, ends=ends)
    if loaded is None or problems:
        raise DoesNotLoad(
            "the policy files do not load; the last good set stays\n" + "\n".join(map(str, problems))
        )
    failed = [f"{each.case.place}: {each.case.name}: {each.why}" for each in run_cases(loaded) if each.why]
    if failed:
        raise TestsFail("the tests of the policies fail; the last good set stays\n" + "\n".join(failed))


def activate_folder(place: Here, *, reason: str, by: str, changed: Mapping[str, str] | None = None) -> int:
    """The number of the generation that is in force now; BadPolicySet, with every problem, if it is not good."""
    files = {**read_folder(place.settings.policies), **(changed or {})}
    if len(place.people.duties.get("activate", ())) > 1 and place.rules is not None:
        if set(changed or {}) != {LOCK}:
            raise NotAllowed(
                "two people bring rules into force here: write it into the file, then run lockkeep policy activate"
            )
        files = {**place.rules.files, **(changed or {})}  # accepting tools brings nothing else along
    good(files, ends=set(changed or {}) != {LOCK})  # a rule that ended holds up no tool
    after = generations.newest(place.store.read)
    if place.rules is not None and dict(place.rules.files) == files:
        return after
    last = place.rules.observe_until if place.rules else None
    made = place.store.write_now(
        lambda tx: generations.activate(
            tx, files, after=after, by=by, reason=reason, now=utc_now(), observe_until=last
        )
    )
    place.in_force.refresh()
    return made.id


def run_cases(loaded: PolicySet) -> list[cases.Result]:
    problems = Problems()
    found = cases.read(loaded.files, problems)

    def prepared(request: Request, tool: Tool, roles: frozenset[str]) -> ToolCall:
        return prepare(request, known_of(loaded, tool, roles))

    async def all_of_them() -> list[cases.Result]:
        return [await cases.run(loaded, case, prepared) for case in found]

    return anyio.run(all_of_them)


def _in_short(workflow: Workflow) -> str:
    """What a workflow makes use of, and what it leaves to an agent or a person."""
    left = ", ".join(f"{step} ({', '.join(names)})" for step, names in workflow.open.items())
    said = f"Workflow {workflow.name}: {len(workflow.steps)} steps, {len(workflow.tools)} tools"
    return f"{said}; open: {left}." if left else f"{said}."


def _test_problems(files: Mapping[str, str]) -> list[Problem]:
    problems = Problems()
    cases.read(files, problems)
    return problems.found
