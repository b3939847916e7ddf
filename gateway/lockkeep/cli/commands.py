"""All commands by name."""

from importlib.metadata import version
from typing import Annotated

import typer

from lockkeep.cli import (
    activation,
    approvals,
    audit,
    backup,
    callers,
    calls,
    catalog,
    delegations,
    evidence,
    explain,
    exporting,
    linting,
    meaning,
    notify,
    replay,
    retention,
    serve,
    start,
    stats,
    suggest,
    switches,
    testing,
    undo,
)
from lockkeep.cli.drill import command as drilling

app = typer.Typer(
    name="lockkeep",
    help="A policy gateway for agent tool calls.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # usage errors as plain lines, also for programs
)


def show_version(
    wanted: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if wanted:
        typer.echo(f"lockkeep {version('lockkeep')}")
        raise typer.Exit


app.callback(invoke_without_command=True)(show_version)
app.command("init")(start.init)
app.command("serve")(serve.serve)
app.command("status")(serve.status)
app.command("doctor")(serve.doctor)
app.command("add")(catalog.add)
app.add_typer(catalog.app, name="catalog")
activation.app.command("lint")(linting.lint)
activation.app.command("test")(testing.run_tests)
activation.app.command("simulate")(linting.simulate)
activation.app.command("show")(meaning.show)
activation.app.command("diff")(meaning.diff)
activation.app.command("schema")(meaning.schema)
activation.app.command("explain")(explain.explain)
activation.app.command("replay")(replay.replay)
activation.app.command("suggest")(suggest.suggest)
app.add_typer(activation.app, name="policy")
approvals.app.command("delegate")(delegations.delegate)
approvals.app.command("undelegate")(delegations.undelegate)
approvals.app.command("delegations")(delegations.list_delegations)
approvals.app.command("stats")(stats.stats)
app.add_typer(approvals.app, name="approvals")
app.add_typer(calls.app, name="calls")
app.add_typer(undo.app, name="undo")
app.command("kill")(switches.kill)
app.command("pause")(switches.pause)
app.command("drain")(switches.drain)
app.command("resume")(switches.resume)
app.add_typer(callers.people, name="people")
app.add_typer(callers.token, name="token")
app.add_typer(callers.console, name="console")
audit.app.command("export")(exporting.export)
audit.app.command("prune")(retention.prune)
audit.app.command("forget")(retention.forget)
audit.app.command("evidence")(evidence.evidence)
app.add_typer(audit.app, name="audit")
app.add_typer(notify.app, name="notify")
app.command("drill")(drilling.drill)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("server", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    serve.server
)
