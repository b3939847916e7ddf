"""What the code says that docs/reference must say, too. `python -m tests.docs.reference --write` renews the made parts."""

import argparse
import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, cast

import typer.main
from tests.docs.pages import ROOT
from typer.core import TyperArgument, TyperGroup, TyperOption

from lockkeep.cli.commands import app
from lockkeep.ledger.audit import EVENTS
from lockkeep.settings import PREFIX, Settings
from lockkeep_client import cli as client_cli

GATEWAY = ROOT / "gateway" / "lockkeep"
RETRIES = ("no", "changed", "later")
BEGIN, END = "<!-- made from the code: begin -->", "<!-- made from the code: end -->"


@dataclass(frozen=True)
class Option:
    """One argument or flag of a command."""

    name: str
    help: str


@dataclass(frozen=True)
class Command:
    """One command with everything it takes."""

    path: str
    help: str
    takes: tuple[Option, ...]


def gateway_commands() -> list[Command]:
    """`lockkeep …`, walked from the typer app."""
    return list(_walk(typer.main.get_command(app), "lockkeep"))


def client_commands() -> list[Command]:
    """`lockkeep-client …`, walked from its argparse parser."""
    parser = client_cli._parser()  # pyright: ignore[reportPrivateUsage] - the client has no other list of its commands
    (subparsers,) = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]  # pyright: ignore[reportPrivateUsage, reportUnknownVariableType]
    helps = {each.dest: each.help or "" for each in subparsers._choices_actions}  # pyright: ignore[reportPrivateUsage]
    found: list[Command] = []
    for name, each in cast("dict[str, argparse.ArgumentParser]", cast("Any", subparsers).choices).items():
        takes = [
            Option(_written(action), action.help or "")
            for action in each._actions  # pyright: ignore[reportPrivateUsage]
            if not isinstance(action, argparse._HelpAction)  # pyright: ignore[reportPrivateUsage]
        ]
        found.append(Command(f"lockkeep-client {name}", helps[name], tuple(takes)))
    return found


def _written(action: argparse.Action) -> str:
    if action.option_strings:
        return "`, `".join(action.option_strings)
    words = " or ".join(map(str, action.choices or [])) or str(action.metavar or action.dest)
    return f"[{words}]" if action.nargs == "?" else words


def cli_part() -> str:
    """The made part of docs/reference/cli.md."""
    lines: list[str] = []
    for command in [*gateway_commands(), *client_commands()]:
        lines += [f"### {command.path}", "", _sentence(command.help), ""]
        if command.takes:
            lines += [
                "| takes | meaning |",
                "|---|---|",
                *(f"| `{each.name}` | {_cell(each.help)} |" for each in command.takes),
                "",
            ]
    return "\n".join(lines)


def events_part() -> str:
    """The made part of docs/reference/audit-events.md."""
    rows = [f"| `{name}` | {_cell(meaning)} |" for name, meaning in EVENTS.items()]
    return "\n".join(["| event | meaning |", "|---|---|", *rows, ""])


MADE = {"docs/reference/cli.md": cli_part, "docs/reference/audit-events.md": events_part}


def with_made_part(text: str, made: str) -> str:
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{made}\n{END}{rest.partition(END)[2]}"


def settings() -> dict[str, str]:
    """LOCKKEEP_<KEY> and its default, as text."""
    found: dict[str, str] = {}
    for field in fields(Settings):
        assert field.default is not MISSING
        found[PREFIX + field.name.upper()] = (
            f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        )
    return found


@cache
def denial_codes() -> dict[str, set[str]]:
    """Every code that some `Deny(…)` in the gateway carries, and the retry words it is written with."""
    found: dict[str, set[str]] = {}
    live = [
        path for path in sorted(GATEWAY.rglob("*.py")) if path.name != "cases.py"
    ]  # a policy test answers no agent
    for text in (path.read_text(encoding="utf-8") for path in live):
        for node in ast.walk(ast.parse(text)) if "Deny(" in text else ():
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "Deny"
                and node.args
            ):
                for code in _texts(node.args[0]):
                    found.setdefault(code, set()).update(_retries(node))
    return found


def kinds_of_tampering() -> set[str]:
    """Every kind that the check of the chain can find."""
    texts = [(GATEWAY / "ledger" / name).read_text(encoding="utf-8") for name in ("chain.py", "heads.py")]
    calls = [
        node
        for text in texts
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Tampering"
    ]
    return {kind for node in calls for kind in _texts(node.args[1])}


def variables(folder: str, read: str) -> set[str]:
    """The LOCKKEEP_… variables that the modules of a folder read with `read("NAME")`."""
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / folder).rglob("*.py"))
    return {name for text in texts for name in re.findall(rf'{read}\("(LOCKKEEP_\w+)"', text)}


def _retries(node: ast.Call) -> set[str]:
    """The words a `Deny(…)` may carry as `retry`; none where they are computed."""
    given = [each.value for each in node.keywords if each.arg == "retry"] or node.args[3:4]
    if not given:
        return {"no"}
    found = [part.value for part in ast.walk(given[0]) if isinstance(part, ast.Constant)]
    return {word for word in found if word in RETRIES}


def _texts(node: ast.expr) -> Iterator[str]:
    """The texts an expression may come to; a code that is computed is no code of a closed table."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    else:
        raise AssertionError(f"a denial code is written out: {ast.unparse(node)}")


def difference(said: Iterable[str], there: Iterable[str], page: str, row: str = "| `{}` | … |") -> list[str]:
    """One line per missing row, ready to paste, and per row of something that is gone."""
    documented, real = set(said), set(there)
    missing = [f"{page}: add the row  {row.format(name)}" for name in sorted(real - documented)]
    return missing + [f"{page}: `{name}` is not in the code (any more)" for name in sorted(documented - real)]


def _walk(command: Any, path: str) -> Iterator[Command]:
    if isinstance(command, TyperGroup):
        for name, each in command.commands.items():
            yield from _walk(each, f"{path} {name}")
        return
    yield Command(path, (command.help or "").split("\n")[0], tuple(map(_option, command.params)))


def _option(taken: TyperArgument | TyperOption) -> Option:
    said, default = taken.help or "", cast("object", taken.default)
    if default not in (None, "") and not isinstance(default, bool):
        said = f"{said.rstrip('.')}. Default: {default}.".removeprefix(". ")
    if isinstance(taken, TyperArgument):
        name = str(taken.name).upper()
        return Option(name if taken.required else f"[{name}]", said)
    return Option(
        "`, `".join([*taken.opts, *taken.secondary_opts]), f"{said}{' Needed.' if taken.required else ''}"
    )


def _sentence(text: str) -> str:
    return text.strip()


def _cell(text: str) -> str:
    return text.replace("|", "\\|").strip() or "—"


def main() -> None:
    for name, made in MADE.items():
        path = ROOT / name
        before = path.read_text(encoding="utf-8")
        after = with_made_part(before, made())
        if after != before and "--write" in sys.argv:
            path.write_text(after, encoding="utf-8")
        print(
            f"{name}: {'is up to date' if after == before else 'written' if '--write' in sys.argv else 'out of date; add --write'}"
        )


if __name__ == "__main__":
    main()
