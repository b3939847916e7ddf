"""`lockkeep policy show`, `diff`, `schema` as commands: what they print, and with which exit code they end."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.policies.room import folder, policy
from typer.testing import CliRunner, Result

from lockkeep.cli.commands import app
from lockkeep.cli.policy import DoesNotLoad
from lockkeep.errors import NotFound

MINE = policy("billing.refund:\n  allow: [lead]\n  ask: {when: amount > 500 EUR, from: [lead, finance]}")


def written(files: Mapping[str, str], at: Path) -> Path:
    at.mkdir()
    for name, text in files.items():
        (at / name).write_text(text, encoding="utf-8")
    return at


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["policy", *map(str, words)])


def test_show_prints_rules_sentences_and_json(tmp_path: Path) -> None:
    there = written(folder(MINE), tmp_path / "a")

    rules = json.loads(run("show", "--dir", there, "--json").stdout)
    plain = json.loads(run("show", "billing.refund", "--plain", "--dir", there, "--json").stdout)

    assert [(each["rule"], each["kind"]) for each in rules] == [
        ("desk/billing.refund/allow", "allow"), ("desk/billing.refund/ask-1", "ask"),
    ]  # fmt: skip
    assert plain["tables"][0]["rows"][-1] == {
        "when": "the amount is up to 500.00 EUR",
        "then": "allowed",
        "rank": 5,
    }
    said = run("show", "--plain", "--dir", there).stdout
    assert "Above 500.00 EUR one of lead and one of finance must agree. [desk/billing.refund/ask-1]" in said


def test_a_tool_nobody_accepted_is_named_with_the_nearest(tmp_path: Path) -> None:
    found = run("show", "billing.refnd", "--dir", written(folder(MINE), tmp_path / "a"))
    assert isinstance(found.exception, NotFound)
    assert "billing.refund" in str(found.exception)


def test_files_that_do_not_load_are_not_shown(tmp_path: Path) -> None:
    found = run("show", "--dir", written(folder(MINE.replace("from:", "form:")), tmp_path / "a"))
    assert isinstance(found.exception, DoesNotLoad)
    assert found.exception.exit_code == 3


@pytest.mark.parametrize(("words", "code"), [((), 1), (("--json",), 1)])
def test_diff_ends_with_1_if_anything_differs(words: tuple[str, ...], code: int, tmp_path: Path) -> None:
    one, other = (
        written(folder(MINE), tmp_path / "a"),
        written(folder(MINE.replace("500", "900")), tmp_path / "b"),
    )
    assert run("diff", one, other, *words).exit_code == code
    assert run("diff", one, one, *words).exit_code == 0


def test_diff_names_what_is_weaker(tmp_path: Path) -> None:
    one, other = (
        written(folder(MINE), tmp_path / "a"),
        written(folder(MINE.replace("500", "900")), tmp_path / "b"),
    )
    assert run("diff", one, other).stdout.splitlines() == [
        "Weaker asks", "  desk/billing.refund/ask-1: condition: above 900.00 EUR (was: above 500.00 EUR)",
    ]  # fmt: skip
    assert run("diff", one, one).stdout == "They mean the same.\n"


def test_schema_prints_one_or_writes_all(tmp_path: Path) -> None:
    assert json.loads(run("schema", "people").stdout)["title"] == "lockkeep people file"
    assert run("schema").exit_code == 2
    assert run("schema", "people", "--write").exit_code == 2
    assert isinstance(run("schema", "peple").exception, NotFound)

    assert run("schema", "--write", "--dir", tmp_path).exit_code == 0
    assert len(list((tmp_path / ".schemas").glob("*.json"))) == 6
