"""`lockkeep policy test`: the cases of the test files, and which entries they make fire."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree

import typer

from lockkeep.cli.here import utc_now
from lockkeep.cli.policy import Folder, checked, run_cases
from lockkeep.cli.problems import Format, tell
from lockkeep.cli.show import AsJson, data, rows, say
from lockkeep.model import Json
from lockkeep.policy.bundle import PolicySet, read_folder
from lockkeep.policy.cases import cases
from lockkeep.policy.lint.coverage import Covered, coverage
from lockkeep.policy.lint.material import Material
from lockkeep.policy.positions import Problem, Problems
from lockkeep.settings import from_environment


class Form(StrEnum):
    text = "text"
    json = "json"
    junit = "junit"


def run_tests(
    folder: Folder = None,
    covering: Annotated[
        bool, typer.Option("--coverage", help="Which entries no case made fire, file by file.")
    ] = False,
    least: Annotated[
        int | None,
        typer.Option(
            "--min", min=0, max=100, help="With --coverage: exit 1 if a file is below this per cent."
        ),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="text, json, or junit (XML).")] = Form.text,
    as_json: AsJson = False,
) -> None:
    """Run the test files. Exit 4 if a case is not decided as expected, 2 if one names what there is not."""
    if least is not None and not covering:
        raise typer.BadParameter("--min goes with --coverage")
    form = Form.json if as_json else form
    where = folder or from_environment().policies
    loaded = _loaded(where, form)
    results = run_cases(loaded)
    covered = _coverage(loaded, results) if covering else None
    if form is Form.junit:
        typer.echo(_junit(results))
    elif form is Form.json:
        _as_json(results, covered)
    else:
        _as_text(results, covered)
    if any(each.why for each in results):
        raise typer.Exit(4)
    if covered is not None and any(each.percent < (least or 0) for each in covered):
        raise typer.Exit(1)


def _loaded(where: Path, form: Form) -> PolicySet:
    """The set; its problems end the command."""
    files = read_folder(where)
    loaded, problems = checked(files, ends=False)
    unknown = _unknown(loaded) if loaded is not None and not problems else []
    if loaded is None or problems or unknown:
        tell(problems or unknown, files, where, Format.json if form is Form.json else Format.text)
        raise typer.Exit(2 if unknown else 3)
    return loaded


def _unknown(loaded: PolicySet) -> list[Problem]:
    found = cases.read(loaded.files, Problems())
    return list(dict.fromkeys(each for case in found for each in cases.unknown(loaded, case)))


def _coverage(loaded: PolicySet, results: Sequence[cases.Result]) -> list[Covered]:
    today = utc_now().astimezone(loaded.zone).date()
    fired = {rule for each in results for rule in each.fired}
    return coverage(Material(rules=loaded, today=today), fired)


def _as_text(results: Sequence[cases.Result], covered: Sequence[Covered] | None) -> None:
    failed = [each for each in results if each.why]
    for each in failed:
        say(f"{each.case.place}: {each.case.name}: {each.why}")
    say(f"{len(results) - len(failed)} of {len(results)} cases as expected.")
    if covered is None:
        return
    for file in covered:
        for each in file.missed:
            say(f"{each.place}: no case makes this {each.what} fire: {each.rule}")
    listed = [{"file": each.file, "entries": each.entries, "fired": each.fired, "percent": each.percent} for each in covered]  # fmt: skip
    rows(("file", "entries", "fired", "percent"), listed, False, "There is no policy file.")


def _as_json(results: Sequence[cases.Result], covered: Sequence[Covered] | None) -> None:
    said: list[dict[str, Json]] = [
        {"case": each.case.name, "place": str(each.case.place), "ok": not each.why, "why": each.why} for each in results
    ]  # fmt: skip
    if covered is None:
        data(said)
        return
    files: list[dict[str, Json]] = [
        {
            "file": file.file, "entries": file.entries, "fired": file.fired, "percent": file.percent,
            "missed": [{"rule": each.rule, "place": str(each.place)} for each in file.missed],
        }
        for file in covered
    ]  # fmt: skip
    data({"cases": said, "coverage": files})


def _junit(results: Sequence[cases.Result]) -> str:
    """One suite for each test file; what CI servers read."""
    failed = [each for each in results if each.why]
    root = ElementTree.Element("testsuites", tests=str(len(results)), failures=str(len(failed)))
    for file in dict.fromkeys(each.case.file for each in results):
        own = [each for each in results if each.case.file == file]
        count = str(sum(1 for each in own if each.why))
        suite = ElementTree.SubElement(root, "testsuite", name=file, tests=str(len(own)), failures=count)
        for each in own:
            place = each.case.place
            case = ElementTree.SubElement(
                suite, "testcase", name=_xml(each.case.name), classname=file, file=file, line=str(place.line)
            )
            if each.why:
                failure = ElementTree.SubElement(case, "failure", message=_xml(each.why))
                failure.text = _xml(f"{place}: {each.why}")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _xml(text: str) -> str:
    """XML knows no control characters."""
    return "".join(char if char.isprintable() or char == "\n" else "·" for char in text)
