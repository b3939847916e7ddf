"""Each lint finds what it is for, stays quiet where it is not, and is silenced by a reason only."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import anyio
import pytest
from tests.unit.policies.room import FOLDER, TEXT, TOOLS, fields, lock, policy, tool
from tests.unit.policies.test_starter import shipped

from lockkeep.model import Request, Tool, ToolCall
from lockkeep.policy.bundle import PolicySet, load
from lockkeep.policy.cases import cases
from lockkeep.policy.lint import KINDS, lint
from lockkeep.policy.positions import Problem, Problems
from lockkeep.prepare import known_of, prepare

LINTS = Path(__file__).parent / "lints"
TODAY = date(2026, 11, 20)
SINCE = "# since: "
UNTYPED = tool("old.status", "read", fields({"id": TEXT}, "id"))
FOUND = {**FOLDER, "catalog.lock.json": lock((*TOOLS, UNTYPED))}


def files(kind: str, name: str) -> dict[str, str]:
    """A folder that is fine, with this file in it, and what it needs beside it."""
    text = (LINTS / kind / f"{name}.yaml").read_text(encoding="utf-8")
    place = "workflows/routing.yaml" if "\nworkflow: " in text else "desk.yaml"
    beside = {
        path.relative_to(LINTS / kind / more).as_posix(): path.read_text(encoding="utf-8")
        for more in ("more", name)
        for path in (LINTS / kind / more).rglob("*.yaml")
    }
    return {**FOUND, **beside, place: text}


def linted(given: Mapping[str, str]) -> list[Problem]:
    loaded, problems = load(given)
    assert loaded is not None, "\n".join(map(str, problems))
    days = [
        line.removeprefix(SINCE)
        for text in given.values()
        for line in text.splitlines()
        if line.startswith(SINCE)
    ]
    rules = {rule.id for each in loaded.rules.values() for rule in each.rules}
    since = {rule: date.fromisoformat(day) for day in days for rule in rules}
    return lint(loaded, TODAY, since=since, fired=fired(loaded))


def fired(loaded: PolicySet) -> set[str]:
    def prepared(request: Request, of: Tool, roles: frozenset[str]) -> ToolCall:
        return prepare(request, known_of(loaded, of, roles))

    async def all_of_them() -> set[str]:
        results = [await cases.run(loaded, each, prepared) for each in cases.read(loaded.files, Problems())]
        return {rule for each in results for rule in each.fired}

    return anyio.run(all_of_them)


def test_every_lint_has_a_file_that_fires_it_and_one_that_does_not() -> None:
    assert sorted(path.name for path in LINTS.iterdir()) == sorted(KINDS)
    for kind in KINDS:
        assert {"fires.yaml", "fires.txt", "quiet.yaml"} <= {path.name for path in (LINTS / kind).iterdir()}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_it_fires_once_in_its_place_with_a_mend(kind: str) -> None:
    found = [each for each in linted(files(kind, "fires")) if each.code == kind]

    assert "\n".join(map(str, found)) + "\n" == (LINTS / kind / "fires.txt").read_text(encoding="utf-8")
    assert len(found) == 1
    assert found[0].level == "warning"
    assert found[0].hint


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_it_stays_quiet_where_it_is_meant(kind: str) -> None:
    assert [str(each) for each in linted(files(kind, "quiet")) if each.code == kind] == []


@pytest.mark.parametrize(
    "path", sorted(LINTS.glob("*/*-*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_it_knows_the_harder_cases_too(path: Path) -> None:
    """Beside `fires` and `quiet`, a lint may have `fires-why.yaml` and `quiet-why.yaml`."""
    kind = path.parent.name
    found = [each for each in linted(files(kind, path.stem)) if each.code == kind]
    assert len(found) == path.stem.startswith("fires-"), "\n".join(map(str, found))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_comment_with_a_reason_silences_it_and_one_without_does_not(kind: str) -> None:
    given = files(kind, "fires")
    (found,) = [each for each in linted(given) if each.code == kind]

    def with_comment(text: str) -> list[Problem]:
        lines = given[found.place.file].splitlines()
        lines[found.place.line - 1] += f"  # lint: allow {text}"
        return linted({**given, found.place.file: "\n".join(lines) + "\n"})

    assert [each for each in with_comment(f"{kind} we looked at it together") if each.code == kind] == []
    (left,) = [each for each in with_comment(kind) if each.code == kind]
    assert "reason" in left.hint
    other = [each for each in with_comment("hidden-by-nothing since we say so") if "no lint 'hidden-by-nothing'" in each.message]  # fmt: skip
    assert len(other) == 1


def test_a_comment_that_silences_nothing_is_told() -> None:
    text = policy("lab.try:\n  allow: anyone  # lint: allow no-say long ago")
    (found,) = [each for each in linted({**FOUND, "desk.yaml": text}) if each.code == "unused"]
    assert found.message == "there is no no-say on this line (any more)"


async def test_the_shipped_policies_are_clean(tmp_path: Path) -> None:
    loaded = await shipped(tmp_path)

    def prepared(request: Request, of: Tool, roles: frozenset[str]) -> ToolCall:
        return prepare(request, known_of(loaded, of, roles))

    results = [await cases.run(loaded, each, prepared) for each in cases.read(loaded.files, Problems())]
    made = {rule for each in results for rule in each.fired}

    assert list(map(str, lint(loaded, TODAY, since={}, fired=made))) == []
