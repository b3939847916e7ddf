"""The command `lockkeep-servers`: `check` proves what a server promises, `new` writes one, `up` serves several."""

import json
import logging
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import anyio
import typer
from rich.console import Console

from lockkeep_servers.check.cases import Cases, CasesError
from lockkeep_servers.check.find import NotFoundHere
from lockkeep_servers.check.reading import FILE, read_cases
from lockkeep_servers.check.report import as_data, print_findings, print_table
from lockkeep_servers.check.results import POINTS, Report
from lockkeep_servers.check.run import CannotReach
from lockkeep_servers.check.run import check as run_check
from lockkeep_servers.check.target import Stores, Target, address, command, having, named
from lockkeep_servers.kit.manifest import ManifestError
from lockkeep_servers.kit.service import EMBEDDED
from lockkeep_servers.kit.settings import SettingError
from lockkeep_servers.kit.sqlite import StoreError
from lockkeep_servers.new.command import new
from lockkeep_servers.new.make import NewError
from lockkeep_servers.up import up

app = typer.Typer(
    name="lockkeep-servers",
    help="Tool servers: check them, write new ones, serve several at once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # usage errors as plain lines, also for programs
)
KNOWN = (NotFoundHere, CannotReach, CasesError, SettingError, StoreError, ManifestError, NewError)


app.command("new")(new)
app.command("up")(up)


@app.callback(invoke_without_command=True)
def show_version(
    wanted: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if wanted:
        typer.echo(f"lockkeep-servers {version('lockkeep')}")
        raise typer.Exit


@app.command("check", context_settings={"allow_extra_args": True})
def check(
    context: typer.Context,
    server: Annotated[
        str | None,
        typer.Argument(
            help="A server's name, a file.py, a package or a URL; or -- COMMAND ARGS. Default: all installed."
        ),
    ] = None,
    adapter: Annotated[
        str, typer.Option(help="The back end; its settings come from the environment.")
    ] = EMBEDDED,
    level: Annotated[
        Literal["bronze", "silver", "gold"] | None,
        typer.Option(help="Exit 1 below it. Without it: exit 1 if anything failed."),
    ] = None,
    point: Annotated[
        list[str] | None, typer.Option(help="Only this one, such as TC5; may be given again.")
    ] = None,
    cases: Annotated[
        Path | None, typer.Option(help="A conformance.yaml. Default: the one beside the server.")
    ] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="The back end is there for tests: it may be written to.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON with stable names, for machines.")
    ] = False,
) -> None:
    """Prove the ten points. Exit 0: they hold; 1: they do not; 2: it could not be tried."""
    points = [each for each in POINTS if point is None or each in {given.upper() for given in point}]
    if point is not None and len(points) != len({given.upper() for given in point}):
        raise typer.BadParameter(f"There are {', '.join(POINTS)}.", param_hint="--point")
    words = ([server] if server is not None else []) + context.args
    reports = [
        _checked(target, cases, points, sandbox=sandbox, quiet=as_json) for target in _targets(words, adapter)
    ]
    if as_json:
        typer.echo(json.dumps(as_data(reports, level), indent=2, ensure_ascii=False, default=str))
    else:
        _print(reports)
    if not all(report.reaches(level) for report in reports):
        raise typer.Exit(1)


def _targets(words: list[str], adapter: str) -> list[Target]:
    """What was named; nothing named is everything installed."""
    environ = None if adapter == EMBEDDED else os.environ
    if not words:
        return [named(name, adapter, environ=environ) for name in having(adapter)]
    if "--" in sys.argv:
        return [command(sys.argv[sys.argv.index("--") + 1 :], os.environ)]
    if len(words) > 1:
        raise typer.BadParameter("takes one server; a command comes after --", param_hint="SERVER")
    return [address(words[0])] if "://" in words[0] else [named(words[0], adapter, environ=environ)]


def _checked(target: Target, path: Path | None, points: list[str], *, sandbox: bool, quiet: bool) -> Report:
    target.writable = target.writable or sandbox
    target.stores = Stores(in_memory=True)  # a kill ends a process, not the machine
    console = Console(stderr=True, no_color="NO_COLOR" in os.environ, highlight=False)
    if quiet or not console.is_terminal:
        return anyio.run(lambda: run_check(target, _cases(target, path), points=points))
    with console.status(target.name) as status:
        return anyio.run(
            lambda: run_check(
                target, _cases(target, path), points=points,
                tell=lambda text: status.update(f"{target.name} {text}"),
            )
        )  # fmt: skip


def _cases(target: Target, path: Path | None) -> Cases:
    """The file that was named, or the one beside the server: FILE.conformance.yaml for a file of that name."""
    if path is not None:
        return read_cases(path)
    if target.folder is None:
        return Cases()
    names = [FILE]
    if target.reference.endswith(".py"):
        names = [f"{Path(target.reference).stem}.{FILE}", FILE]
    beside = next((target.folder / name for name in names if (target.folder / name).exists()), None)
    return read_cases(beside) if beside is not None else Cases()


def _print(reports: list[Report]) -> None:
    console = Console(
        no_color="NO_COLOR" in os.environ, highlight=False, soft_wrap=True,
        width=None if sys.stdout.isatty() else 200,
    )  # fmt: skip
    for report in reports:
        print_findings(report, console)
    print_table(reports, console)


def main() -> None:
    """Run one command; a known error is one sentence on stderr and exit code 2."""
    logging.getLogger().addHandler(logging.NullHandler())  # servers in trouble are listened to, not shown
    try:
        app()
    except KNOWN as error:
        typer.echo(f"lockkeep-servers: {error}", err=True)
        sys.exit(2)
