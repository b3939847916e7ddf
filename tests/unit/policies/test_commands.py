"""`lockkeep policy check`, `lint`, `test`, `simulate` as they are typed: forms, exit codes, what stands where."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.unit.policies.room import folder, policy
from typer.testing import CliRunner, Result

from lockkeep.cli import linting
from lockkeep.cli.commands import app
from lockkeep.cli.here import Here
from lockkeep.ledger import generations
from lockkeep.policy.ended import ended
from lockkeep.policy.inforce import InForce
from lockkeep.settings import from_environment
from lockkeep.store import Store

FINE = """
crm.get:
  allow: anyone
  deny:
    - {name: leads-only, when: kind != "lead", say: "Leads, only: 100%."}
"""
TESTS = """\
api: lockkeep/v1
test: desk
callers:
  ana: {agent: desk}
given: {as: ana, call: crm.get, with: {kind: lead, id: l}}
cases:
  - {name: a lead is read, expect: allowed}
"""


def run(place: Path, *words: str, tools: str = FINE, tests: str = TESTS) -> Result:
    for name, text in {**folder(policy(tools)), "tests/desk.test.yaml": tests}.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text, encoding="utf-8")
    return CliRunner().invoke(app, ["policy", *words, "--dir", str(place)])


def test_lint_warns_and_only_strict_ends_with_one(tmp_path: Path) -> None:
    found = run(tmp_path, "lint")
    assert found.exit_code == 0
    assert "p0.yaml:9:9: warning: no test case makes this deny fire [untested]" in found.stdout
    assert "1 warning in 5 files." in found.stdout
    assert run(tmp_path, "lint", "--strict").exit_code == 1


def test_lint_in_the_forms_of_machines(tmp_path: Path) -> None:
    (said,) = json.loads(run(tmp_path, "lint", "--format", "json").stdout)
    assert said == {
        "file": "p0.yaml", "line": 9, "column": 9, "level": "warning", "code": "untested", "rule": "desk/crm.get/leads-only",
        "message": "no test case makes this deny fire", "hint": "add a case with by: [leads-only]",
    }  # fmt: skip
    line = run(tmp_path, "lint", "--format", "github").stdout.strip()
    assert line.startswith(
        f"::warning file={tmp_path}/p0.yaml,line=9,col=9,title=untested::no test case makes"
    )


def test_check_in_the_forms_of_machines(tmp_path: Path) -> None:
    broken = FINE.replace("kind !=", "knd !=").replace("crm.get", "crm.get, crm.gte")
    found = run(tmp_path, "check", "--format", "github", tools=broken)
    assert found.exit_code == 3
    assert (
        "title=unknown-tool::no accepted tool is called 'crm.gte'. Hint: did you mean crm.get?"
        in found.stdout
    )
    assert json.loads(run(tmp_path, "check", "--json", tools=broken).stdout)[0]["code"] == "unknown-tool"
    assert run(tmp_path, "check", "--format", "github").stdout == ""
    assert run(tmp_path, "check", "--format", "json").stdout == "[]\n"


def test_an_end_that_is_over_does_not_pass_check_and_loads_all_the_same(tmp_path: Path) -> None:
    over = FINE.replace("allow: anyone", "allow: {roles: [support], until: 2026-01-01}")
    found = run(tmp_path, "check", tools=over)
    assert found.exit_code == 3
    assert "p0.yaml:7:38: error: in force until 2026-01-01, which is over" in found.stdout
    assert run(tmp_path, "test", tools=over, tests=TESTS.replace("allowed", "denied")).exit_code == 0


def test_every_place_of_until_is_looked_at() -> None:
    text = policy("""
        lab.try:
          until: 2026-01-01
          allow: {roles: [support], until: 2026-01-02}
          deny:
            - {when: n > 1, until: 2026-01-03}
          limit: {up_to: 5 per day, until: 2026-01-04}
          results: {hide: [x], until: 2026-01-05}
        """).replace("owner: lead", "owner: lead\nuntil: 2026-01-06")
    days = [each.message[15:25] for each in ended({"p.yaml": text, "people.yaml": text}, date(2026, 1, 6))]
    assert days == ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04", "2026-01-05"]


def test_coverage_names_what_no_case_makes_fire(tmp_path: Path) -> None:
    found = run(tmp_path, "test", "--coverage")
    assert found.exit_code == 0
    assert "p0.yaml:9:9: no case makes this deny fire: desk/crm.get/leads-only" in found.stdout
    assert "p0.yaml\t2\t1\t50" in found.stdout
    assert run(tmp_path, "test", "--coverage", "--min", "50").exit_code == 0
    assert run(tmp_path, "test", "--coverage", "--min", "100").exit_code == 1
    assert run(tmp_path, "test", "--min", "100").exit_code == 2
    said = json.loads(run(tmp_path, "test", "--coverage", "--json").stdout)
    assert said["coverage"][0]["missed"] == [{"rule": "desk/crm.get/leads-only", "place": "p0.yaml:9:9"}]


def test_failed_cases_as_text_and_as_junit(tmp_path: Path) -> None:
    wrong = TESTS.replace("a lead is read, expect: allowed", '"a <lead> & \\x01", expect: denied')
    assert run(tmp_path, "test", tests=wrong).exit_code == 4
    found = run(tmp_path, "test", "--format", "junit", tests=wrong)
    assert found.exit_code == 4
    root = ElementTree.fromstring(found.stdout)
    assert (root.get("tests"), root.get("failures")) == ("1", "1")
    case = root.find("testsuite/testcase")
    assert case is not None
    assert (case.get("name"), case.get("line")) == ("a <lead> & ·", "7")
    assert (
        root.findtext("testsuite/testcase/failure")
        == "tests/desk.test.yaml:7:5: expected denied, got allowed"
    )


def test_a_case_that_names_what_there_is_not_ends_with_two_and_its_line(tmp_path: Path) -> None:
    found = run(tmp_path, "test", tests=TESTS.replace("kind: lead", "knid: lead"))
    assert found.exit_code == 2
    assert "tests/desk.test.yaml:5:40: error: crm.get has no argument 'knid'" in found.stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--role", "support"), 0),
        (("--user", "ana"), 0),
        (("--role", "suport"), 2),
        (("--user", "anna"), 2),
        ((), 2),
    ],
)
def test_simulate_knows_whom_it_speaks_of(tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    found = run(tmp_path, "simulate", "--agent", "desk", *words)
    assert found.exit_code == code or (code == 2 and found.exception is not None)
    if code == 0:
        assert 'depends\tcrm.get\tread\t\trefused if kind != "lead"' in found.stdout


def test_since_when_a_rule_only_observes_is_read_from_the_sets_that_were_in_force(tmp_path: Path) -> None:
    def files(*observing: str) -> dict[str, str]:
        denies = "".join(
            f"    - {{name: {name}, when: n > 1, mode: {'observe' if name in observing else 'enforce'}}}\n"
            for name in ("one", "two")
        )
        return folder(policy(f"lab.try:\n  allow: anyone\n  deny:\n{denies}"))

    store = Store(tmp_path / "store.db")
    sets = (files("one"), files(), files("two"), files("one", "two"))
    for number, each in enumerate(sets):
        at = datetime(2026, 10, 1 + number, tzinfo=UTC)
        store.write_now(
            lambda tx, each=each, number=number, at=at: generations.activate(
                tx, each, after=number, by="ana", reason="", now=at
            )
        )
    here = Here(from_environment(), store, InForce(store))

    assert linting.observed_since(here, {"desk/lab.try/one", "desk/lab.try/two"}) == {
        "desk/lab.try/one": date(2026, 10, 4), "desk/lab.try/two": date(2026, 10, 3),
    }  # fmt: skip
    store.close()
