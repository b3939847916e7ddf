"""`lockkeep policy`: check the files, test them, explain a decision, bring them into force."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
import typer

from lockkeep.cli.here import Here, here, utc_now
from lockkeep.cli.show import AsJson, data, fail, rows, say, when
from lockkeep.errors import BadPolicySet, NotAllowed, NotFound
from lockkeep.ledger import calls, generations
from lockkeep.model import Json, Request, Tool, ToolCall, is_object
from lockkeep.policy import cases
from lockkeep.policy.bundle import LOCK, PolicySet, load, read_folder
from lockkeep.policy.engine import Decision
from lockkeep.policy.positions import Problem, Problems
from lockkeep.policy.workflow import Workflow
from lockkeep.prepare import known_of, prepare
from lockkeep.settings import from_environment

app = typer.Typer(help="The rules: check, test, explain, activate.", no_args_is_help=True)
Folder = Annotated[
    Path | None, typer.Option("--dir", help="The policies folder; default: LOCKKEEP_POLICIES.")
]


@app.command()
def check(folder: Folder = None, as_json: AsJson = False) -> None:
    """Read, check and compile every file. Exit 3 if they would not load."""
    files = read_folder(folder or from_environment().policies)
    loaded, problems = load(files)
    problems = problems or _test_problems(files)
    if as_json:
        data([_problem(each) for each in problems])
    elif problems:
        _print(problems, files)
    elif loaded is not None:
        rules = sum(len(each.rules) for each in loaded.rules.values())
        count = len(loaded.workflows)
        flows = f", {count} workflow{'s' if count > 1 else ''}" if count else ""
        of = f"{len(loaded.rules)} of {len(loaded.tools)} accepted tools"
        say(f"Fine: {len(files)} files, {rules} rules for {of}{flows}.")
        for workflow in loaded.workflows.values():
            say(_in_short(workflow))
    if problems:
        raise typer.Exit(3)


@app.command("test")
def run_tests(folder: Folder = None, as_json: AsJson = False) -> None:
    """Run the test files. Exit 4 if a case is not decided as expected."""
    files = read_folder(folder or from_environment().policies)
    loaded, problems = load(files)
    problems = problems or _test_problems(files)
    if loaded is None or problems:
        data([_problem(each) for each in problems]) if as_json else _print(problems, files)
        raise typer.Exit(3)
    results = run_cases(loaded)
    failed = [each for each in results if each.why]
    if as_json:
        data(
            [
                {"case": each.case.name, "place": str(each.case.place), "ok": not each.why, "why": each.why}
                for each in results
            ]
        )
    else:
        for each in failed:
            say(f"{each.case.place}: {each.case.name}: {each.why}")
        say(f"{len(results) - len(failed)} of {len(results)} cases as expected.")
    if failed:
        raise typer.Exit(4)


@app.command()
def explain(
    call: Annotated[str | None, typer.Argument(help="A past call's id, or its beginning.")] = None,
    file: Annotated[
        Path | None,
        typer.Option("--call", help='A JSON file: {"tool", "arguments", "user", "agent", "read"}.'),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Every rule of the tool: fired or not, for whom, and the words that decided."""
    if (call is None) == (file is None):
        fail("name a past call, or give --call FILE")
        raise typer.Exit(2)
    with here() as place:
        prepared, rules, given = _past(place, call) if call else _from_file(place, file or Path())
        decision = anyio.run(partial(rules.decide, prepared, _nothing, given=given))
        _explained(prepared, rules, decision, as_json)


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


def good(files: Mapping[str, str]) -> None:
    """Nothing, or BadPolicySet with every problem: what comes into force loads, and its tests pass."""
    loaded, problems = load(files)
    problems = problems or _test_problems(files)
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
    good(files)
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


def _past(place: Here, call: str) -> tuple[ToolCall, PolicySet, Mapping[str, Json]]:
    """The call as it was, under the rules that decided it, with the answers that were read."""
    row = calls.find(place.store.read, call)
    payload = place.store.read.one("payload_get", call=row["id"])
    stored = generations.get(place.store.read, row["generation"])
    rules = load(stored.files, generation=stored.id)[0] if stored else None
    if rules is None or payload is None:
        raise NotFound(f"the rules or the arguments of call {row['id']} are no longer kept")
    tool = rules.tools.get(row["tool"])
    if tool is None:
        raise NotFound(f"call {row['id']} named a tool nobody accepted: {row['tool']}")
    request = calls.request_of(place.store.read, row, utc_now())
    roles = frozenset(json.loads(row["roles"]))
    known = known_of(rules, tool, roles)
    prepared = prepare(replace(request, at=calls.moment(row["at"])), known)
    answers = json.loads(payload["facts"] or "{}").get("answers", {})
    return prepared, rules, {name.rpartition("/")[2]: value for name, value in answers.items()}


def _from_file(place: Here, file: Path) -> tuple[ToolCall, PolicySet, Mapping[str, Json]]:
    try:
        said: Json = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotFound(f"{file} cannot be read as JSON: {type(error).__name__}") from None
    if not is_object(said):
        raise NotFound(f'{file} cannot be read as a call: {{"tool", "arguments", "user", "agent", "read"}}')
    rules = place.rules
    if rules is None:
        raise NotFound("no policy set is in force; `lockkeep policy activate` first")
    tool = rules.tools.get(str(said.get("tool")))
    if tool is None:
        raise NotFound(f"no accepted tool is called {said.get('tool')}")
    user, agent = str(said.get("user", "")), str(said.get("agent", ""))
    known = known_of(rules, tool, rules.people.roles(user))
    request = Request(
        id="call_explained", tool=tool.exported, arguments=said.get("arguments"), user=user, agent=agent, host="explain",
        at=utc_now(),
    )  # fmt: skip
    return prepare(request, known), rules, said.get("read", {})


async def _nothing(tool: str, arguments: Mapping[str, Json], timeout: float) -> Json:
    raise NotFound(tool)


def _explained(call: ToolCall, rules: PolicySet, decision: Decision, as_json: bool) -> None:
    said = {each.rule: each for each in decision.heard}
    all_rules = rules.rules_of(call.tool).rules
    listed: list[dict[str, Json]] = [
        {
            "rule": rule.id, "kind": rule.kind, "said": said[rule.id].said if rule.id in said else "not needed",
            "why": said[rule.id].why if rule.id in said else "", "place": str(rule.place),
        }
        for rule in all_rules
    ]  # fmt: skip
    verdict = type(decision.verdict).__name__
    if as_json:
        data(
            {
                "tool": call.tool,
                "verdict": verdict,
                "detail": str(decision.verdict),
                "policy": rules.generation,
                "rules": listed,
            }
        )
        return
    say(
        f"{call.tool} for {call.user} with {call.agent}: {verdict}, under policy generation {rules.generation}"
    )
    reason = getattr(decision.verdict, "reason", "")
    if reason:
        say(reason)
    rows(("said", "kind", "rule", "why"), listed, False, "No rule speaks of this tool, so it is denied.")


def _print(problems: Iterable[Problem], files: Mapping[str, str]) -> None:
    """Each with its line and a caret under the spot."""
    for each in problems:
        say(f"{each.place}: {each.level}: {each.message}")
        lines = files.get(each.place.file, "").splitlines()
        if 0 < each.place.line <= len(lines) and each.code != "secret":
            say(f"    {lines[each.place.line - 1].replace(chr(9), ' ')}")
            say(f"    {' ' * (each.place.column - 1)}^")
        if each.hint:
            say(f"    hint: {each.hint}")


def _problem(each: Problem) -> dict[str, Json]:
    return {
        "file": each.place.file, "line": each.place.line, "column": each.place.column, "level": each.level, "code": each.code,
        "message": each.message, "hint": each.hint, "rule": each.rule,
    }  # fmt: skip
