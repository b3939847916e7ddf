"""Which tests prove which promise. `python -m tests.docs.promises --write` renews tests/promises.md and the threat model."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache

from tests.docs.pages import ROOT

PAGE = ROOT / "tests" / "promises.md"
MODEL = ROOT / "docs" / "explanation" / "threat-model.md"
BEGIN, END = "<!-- made from the code: begin -->", "<!-- made from the code: end -->"
HEADING = re.compile(r"## (P\d+)\b.*")
TEST = re.compile(r"- `(tests/\S+?::\S+)`")
NOT_YET = "Not yet: no test claims this promise."


@cache
def marked() -> dict[str, list[str]]:
    """Promise -> `file::test`, from the markers in tests/**, without importing anything."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if "node_modules" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        if "mark.promise" not in text:
            continue
        tree = ast.parse(text)
        name = path.relative_to(ROOT).as_posix()
        of_the_file = [promise for node in tree.body for promise in _pytestmark(node)]
        for test, ids in _tests(tree.body, of_the_file):
            for promise in ids:
                found.setdefault(promise, []).append(f"{name}::{test}")
    return {promise: sorted(tests) for promise, tests in found.items()}


def listed(text: str) -> dict[str, list[str]]:
    """Promise -> the tests that the page names below its heading."""
    found: dict[str, list[str]] = {}
    here: list[str] | None = None
    for line in text.splitlines():
        if match := HEADING.fullmatch(line):
            here = found.setdefault(match[1], [])
        elif (match := TEST.fullmatch(line)) and here is not None:
            here.append(match[1])
    return found


def renewed(text: str, tests: Mapping[str, list[str]]) -> str:
    """The page with each list as the markers have it; everything else stays."""
    kept = [line for line in text.splitlines() if not TEST.fullmatch(line) and line != NOT_YET]
    lines: list[str] = []
    promise = ""
    for line in kept:
        match = HEADING.fullmatch(line)
        if match:
            lines += _list(promise, tests)
            promise = match[1]
        lines.append(line)
    lines += _list(promise, tests)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _list(promise: str, tests: Mapping[str, list[str]]) -> list[str]:
    if not promise:
        return []
    return ["", *([f"- `{test}`" for test in tests.get(promise, [])] or [NOT_YET]), ""]


def _tests(body: list[ast.stmt], given: list[str], inside: str = "") -> Iterator[tuple[str, list[str]]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _tests(node.body, [*given, *_ids(node.decorator_list)], f"{inside}{node.name}::")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            yield f"{inside}{node.name}", sorted({*given, *_ids(node.decorator_list)})


def _pytestmark(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Assign) and any(
        isinstance(to, ast.Name) and to.id == "pytestmark" for to in node.targets
    ):
        return _ids([each for each in ast.walk(node.value) if isinstance(each, ast.Call)])
    return []


def _ids(decorators: list[ast.expr] | list[ast.Call]) -> list[str]:
    return [
        argument.value
        for each in decorators
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr == "promise"
        for argument in each.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


def with_table(text: str, promised: str) -> str:
    """The threat model with its table of promises and the files that prove them, as tests/promises.md lists them."""
    names = {match[1]: line for line in promised.splitlines() if (match := HEADING.fullmatch(line))}
    rows = [
        f"| {promise} | {names[promise].partition(' ')[2].partition(' ')[2]} | {_files(tests)} |"
        for promise, tests in listed(promised).items()
    ]
    made = "\n".join(["| promise | says | proven in |", "|---|---|---|", *rows])
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{rest.partition(END)[2]}"


def _files(tests: list[str]) -> str:
    files = dict.fromkeys(test.partition("::")[0].removeprefix("tests/") for test in tests)
    return ", ".join(f"`{name}`" for name in files) or "no test yet"


def main() -> None:
    before = PAGE.read_text(encoding="utf-8")
    after = renewed(before, marked())
    for path, made in ((PAGE, after), (MODEL, with_table(MODEL.read_text(encoding="utf-8"), after))):
        fresh = made == path.read_text(encoding="utf-8")
        if "--write" in sys.argv:
            path.write_text(made, encoding="utf-8")
            print(f"{path.relative_to(ROOT)}: {'was up to date' if fresh else 'written'}")
        else:
            print(f"{path.relative_to(ROOT)}: {'up to date' if fresh else 'out of date; add --write'}")


if __name__ == "__main__":
    main()
