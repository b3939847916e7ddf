"""What `check`, `lint` and `test` find, printed: for people with a caret, as JSON, or as GitHub annotations."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lockkeep.cli.show import data, say
from lockkeep.model import Json
from lockkeep.policy.positions import Problem


class Format(StrEnum):
    text = "text"
    json = "json"
    github = "github"


AsFormat = Annotated[
    Format, typer.Option("--format", help="text, json, or github (annotations of a workflow run).")
]


def tell(found: Iterable[Problem], files: Mapping[str, str], folder: Path, form: Format) -> None:
    """Each problem with its place, in one of the forms."""
    if form is Format.json:
        data([as_json(each) for each in found])
        return
    for each in found:
        if form is Format.github:
            say(_annotation(each, folder))
        else:
            _with_caret(each, files)


def as_json(each: Problem) -> dict[str, Json]:
    return {
        "file": each.place.file, "line": each.place.line, "column": each.place.column, "level": each.level, "code": each.code,
        "message": each.message, "hint": each.hint, "rule": each.rule,
    }  # fmt: skip


def _with_caret(each: Problem, files: Mapping[str, str]) -> None:
    """The line, and a caret under the spot. A secret's line is not repeated."""
    said = f" [{each.code}]" if each.level == "warning" else ""
    say(f"{each.place}: {each.level}: {each.message}{said}")
    lines = files.get(each.place.file, "").splitlines()
    if 0 < each.place.line <= len(lines) and each.code != "secret":
        say(f"    {lines[each.place.line - 1].replace(chr(9), ' ')}")
        say(f"    {' ' * (each.place.column - 1)}^")
    if each.hint:
        say(f"    hint: {each.hint}")


def _annotation(each: Problem, folder: Path) -> str:
    """A workflow command; GitHub shows it on the line of a pull request."""
    path = (folder / each.place.file).as_posix()
    fields = (
        f"file={_property(path)},line={each.place.line},col={each.place.column},title={_property(each.code)}"
    )
    text = f"{each.message}. Hint: {each.hint}" if each.hint else each.message
    return f"::{each.level} {fields}::{_message(text)}"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
