"""`lockkeep policy replay`: what other rules would have said of the calls on record."""

import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from lockkeep.cli.here import utc_now
from lockkeep.cli.policy import DoesNotLoad
from lockkeep.cli.show import AsJson, data, fail, say
from lockkeep.errors import BadSetting, NotFound
from lockkeep.gates.approval import asked
from lockkeep.gates.arguments import Schemas, arguments
from lockkeep.gates.policy import policy
from lockkeep.ledger import history
from lockkeep.ledger.history import Past
from lockkeep.model import Deny, Finding, Request, RequireApproval, ToolCall
from lockkeep.policy.bundle import PolicySet, load, read_folder
from lockkeep.policy.engine.lookups import LookUps
from lockkeep.policy.files.reading import seconds_of
from lockkeep.policy.positions import Place, Problems, Text
from lockkeep.policy.replay import replayed
from lockkeep.policy.replay.replay import Court, Replay, Taken, at_once, reach
from lockkeep.policy.replay.replayed import Report
from lockkeep.prepare import known_of, prepare
from lockkeep.settings import from_environment
from lockkeep.store import Tx, reading

EVERY = 250  # calls between two looks at the progress
Since = Annotated[str, typer.Option(help="How far back: 30d, 12h, 2 weeks.")]


def replay(
    since: Since = "30d",
    with_: Annotated[
        Path | None, typer.Option("--with", help="A policies folder; default: LOCKKEEP_POLICIES.")
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if", help="Exit 1 if it holds: 'denied->allowed > 0'. May be given several times."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Decide recorded calls again under the rules of a folder, and list what would change. Nothing is called or written."""
    begin = start_of(since)
    thresholds = [replayed.threshold(text) for text in fail_if or ()]
    rules = rules_of(with_ or from_environment().policies)
    with recorded() as tx:
        report = replay_calls(tx, rules, begin, progress=told)
    exceeded = report.exceeded(thresholds)
    if as_json:
        data({**replayed.as_data(report), "failed": exceeded})
    else:
        for line in replayed.as_text(report):
            say(line)
    for each in exceeded:
        fail(f"--fail-if holds: {each}")
    if exceeded:
        raise typer.Exit(1)


def replay_calls(
    tx: Tx, rules: PolicySet, since: datetime, *, progress: Callable[[Iterable[Past], int], Iterable[Past]]
) -> Report:
    """Every call since then; those a little older fill the limits."""
    earlier = since - reach(rules)
    calls = progress(history.past_calls(tx, earlier), history.count(tx, earlier))
    report = Report(since, rules.zone)
    for again in Replay(rules, court()).run(calls):
        report.add(again)
    return report


def rules_of(folder: Path) -> PolicySet:
    """The set of this folder; what is wrong with it ends the command."""
    loaded, problems = load(read_folder(folder))
    if loaded is None:
        raise DoesNotLoad(f"the policy files in {folder} do not load\n" + "\n".join(map(str, problems)))
    return loaded


@contextmanager
def recorded() -> Generator[Tx]:
    """The ledger, opened for reading only."""
    settings = from_environment()
    if not settings.store.exists():
        raise NotFound(f"there is no ledger in {settings.data}; run `lockkeep init`, or set LOCKKEEP_DATA")
    with reading(settings.store) as tx:
        yield tx


def start_of(text: str) -> datetime:
    """`30d` ago."""
    problems = Problems()
    seconds = seconds_of(Text(Place("--since", 1, 1), text, text), problems)
    if seconds is None:
        raise BadSetting(f"--since '{text}' is no duration; write 30d, 12h or '2 weeks'")
    return utc_now() - timedelta(seconds=seconds)


def court() -> Court:
    """The gateway's own gates, with nothing behind them."""
    schemas = Schemas()

    def prepared(rules: PolicySet, past: Past, now: datetime) -> ToolCall:
        tool = rules.tools.get(past.tool) if past.pin else rules.exported.get(past.exported)
        tool = tool if tool is not None and tool.offered else None
        request = Request(
            id=past.id, tool=past.exported, arguments=past.arguments, user=past.user, agent=past.agent, host=past.host, at=now,
            key=past.key, run=past.run, step=past.step,
        )  # fmt: skip
        return prepare(request, known_of(rules, tool, past.roles))

    def heard(rules: PolicySet, call: ToolCall, look_ups: Callable[[], LookUps], taken: Taken) -> Finding:
        objection = at_once(arguments(call, tool=rules.tools.get, closed=lambda _: None, schemas=schemas))
        if isinstance(objection, Deny):
            return Finding("arguments", objection)

        def faults(cut: ToolCall) -> str | None:
            return schemas.faults(rules.tools[cut.tool], cut.arguments)

        found = at_once(policy(call, rules=lambda: rules, look_ups=look_ups, taken=taken, faults=faults))
        if isinstance(found.verdict, RequireApproval):
            return Finding("policy", asked(call, found.verdict, rules), found.basis)
        return found

    return Court(prepared, heard)


def told(calls: Iterable[Past], number: int) -> Iterator[Past]:
    """The calls, with a line on the terminal that says how far it is."""
    shown = sys.stderr.isatty() and number > EVERY
    for place, each in enumerate(calls, 1):
        yield each
        if shown and (place % EVERY == 0):
            typer.echo(f"\r{place:,} of {number:,} calls replayed", nl=False, err=True)
    if shown:
        typer.echo(f"\r{' ' * 60}\r", nl=False, err=True)
