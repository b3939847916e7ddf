"""Which tests prove which promise. `python -m tests.docs.promises --write` renews the lists in tests/promises.md."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache

from tests.docs.pages import ROOT

PAGE = ROOT / "tests" / "promises.md"
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


def main() -> None:
    before = PAGE.read_text(encoding="utf-8")
    after = renewed(before, marked())
    if "--write" in sys.argv:
        PAGE.write_text(after, encoding="utf-8")
        print(f"{PAGE.relative_to(ROOT)}: {'was up to date' if after == before else 'written'}")
    else:
        print("up to date" if after == before else "out of date; add --write")


if __name__ == "__main__":
    main()
