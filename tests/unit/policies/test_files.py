"""The files beside the policies, the folder, the whole set, and what stays in force."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.policies.room import ALL, FOLDER, GATEWAY, NOW, PEOPLE, folder, lock, policy, rules, tool

from lockkeep.errors import BadPolicySet
from lockkeep.ledger import generations
from lockkeep.model import Amount, Integration, Person
from lockkeep.policy.bundle import load, read_folder
from lockkeep.policy.conditions.lexer import Unreadable
from lockkeep.policy.conditions.runtime import MISSING, Money, Unclear
from lockkeep.policy.files import gatewayfile, people
from lockkeep.policy.files.gatewayfile import GatewayFile
from lockkeep.policy.inforce import InForce
from lockkeep.policy.positions import Problems, parse
from lockkeep.policy.rules import manifest


def node(text: str) -> Any:
    found = parse("f.yaml", text, Problems())
    assert found is not None
    return found


def test_people_have_the_roles_their_groups_give() -> None:
    problems = Problems()
    found = people.read(node(PEOPLE + "duties: {activate: [lead], kill: []}\nresume_self: true\n"), problems)

    assert problems.found == []
    assert found.persons["bo"] == Person(
        id="bo", groups=frozenset({"lead"}), roles=frozenset({"support", "lead"}), manager="ana"
    )
    assert (found.roles("ana"), found.roles("zoe")) == (frozenset({"support"}), frozenset())
    assert [found.may(who, "activate") for who in ("ana", "bo", "zoe")] == [False, True, False]
    assert [found.may(who, "accept") for who in ("ana", "zoe")] == [True, False]
    assert found.may("bo", "kill") is False
    assert found.resume_self is True


def test_the_gateway_file_names_integrations_agents_and_the_zone() -> None:
    problems = Problems()
    text = GATEWAY + "  third: {owner: bo}\nidentity: {}\n"
    more = "  desk_2: {command: [run, --fast], env: {TOKEN: env:T, LEVEL: high}, alias: {getIt: get}, timeout: 5s}\nagents:"
    found = gatewayfile.read(node(text.replace("agents:", more)), problems)

    assert problems.found == []
    assert found == GatewayFile(
        name="test",
        zone="Europe/Berlin",
        integrations={
            "crm": Integration(name="crm", in_process=True),
            "billing": Integration(name="billing", url="https://billing.internal/mcp", bearer="env:BILLING"),
            "desk_2": Integration(
                name="desk_2", command=("run", "--fast"), env={"TOKEN": "env:T", "LEVEL": "high"}, alias={"getIt": "get"}, timeout=5.0
            ),
        },
        agents={"desk": "ana", "other": None, "third": "bo"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://a.example/mcp", True), ("http://127.0.0.1:8000/mcp", True), ("http://localhost/mcp", True), ("http://[::1]:8/", True),
        ("http://localhost.evil/mcp", False), ("http://a.example", False), ("ftp://a", False), ("https://me@a.example", False),
    ],
)  # fmt: skip
def test_an_address_is_https_or_on_this_machine(url: str, fine: bool) -> None:
    problems = Problems()
    gatewayfile.read(
        node(f"api: lockkeep/v1\ngateway: test\nintegrations: {{crm: {{url: '{url}'}}}}\n"), problems
    )
    assert (problems.found == []) is fine


@pytest.mark.parametrize(
    "zone", ["Nowhere/At-all", "../../etc/passwd", "/etc/passwd", "Europe", "zone.tab", "x\\0y", " "]
)
def test_what_is_no_zone_is_told(zone: str) -> None:
    problems = Problems()
    found = gatewayfile.read(node(f'api: lockkeep/v1\ngateway: test\ntime_zone: "{zone}"\n'), problems)
    assert (found.zone, [each.place.line for each in problems.found]) == ("UTC", [3])


def test_a_manifest_is_its_entries() -> None:
    problems = Problems()
    text = "api: lockkeep/v1\nmanifest: crm\ntools:\n  get: {class: read, pii: [result.x]}\n  put: {class: write}\n"
    entries = {"get": {"class": "read", "pii": ["result.x"]}, "put": {"class": "write"}}
    assert manifest.read(node(text), problems) == ("crm", entries)
    assert problems.found == []


REFUND = manifest.effects(ALL["billing.refund"])


@pytest.mark.parametrize(
    ("arguments", "money"),
    [
        ({"amount_minor": 5, "currency": "EUR"}, Money(5, "EUR")), ({"currency": "EUR"}, MISSING), ({"amount_minor": None}, MISSING),
        ({"amount_minor": 5}, Unclear("the amount of this call cannot be read from its arguments")),
        ({"amount_minor": 5.5, "currency": "EUR"}, Unclear("the amount of this call cannot be read from its arguments")),
        ({"amount_minor": True, "currency": "EUR"}, Unclear("the amount of this call cannot be read from its arguments")),
        ({"amount_minor": "5", "currency": "EUR"}, Unclear("the amount of this call cannot be read from its arguments")),
    ],
)  # fmt: skip
def test_the_amount_of_a_call_is_read_left_out_or_unclear(arguments: Mapping[str, Any], money: Any) -> None:
    assert REFUND.money(arguments) == money
    assert REFUND.amount_of(arguments) == (
        Amount(minor=5, currency="EUR") if isinstance(money, Money) else None
    )


def test_the_subject_of_a_call_is_text_for_people() -> None:
    assert REFUND.subject_of({"payment_id": "p\n1"}) == "p·1"
    assert REFUND.subject_of({}) is None
    assert manifest.effects(tool("crm.x", "read", {})).subject_of({"id": "a"}) is None


@pytest.mark.parametrize(
    "effect",
    [
        {"amount": "100"}, {"amount": {"minor": "args.n"}}, {"amount": {"minor": 5, "currency": "args.t"}}, {"subject": 5},
        {"subject": "args."}, {"subject": "args.zzz"}, {"amount": {"minor": "args.t", "currency": "args.t"}}, {"subject": "id"},
    ],
)  # fmt: skip
def test_a_manifest_that_does_not_fit_its_tool_keeps_the_set_out(effect: dict[str, Any]) -> None:
    odd = tool("lab.odd", "money", ALL["lab.try"].input, **effect)
    with pytest.raises(Unreadable):
        manifest.effects(odd)
    loaded, found = load({**FOLDER, "catalog.lock.json": lock([odd])})
    assert (loaded, [str(each.place) for each in found]) == (None, ["catalog.lock.json:1:1"])


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("result.state == 'done'", True), ("result.state == 'open'", False), ("has(result.none)", False), ("result.none == 1", False),
        ("result.state", False), ("zzz", False), ("(", False), ("result.n / 0 == 1", False), ("result.n == args.n", True),
    ],
)  # fmt: skip
def test_a_receipt_is_judged_and_no_answer_is_no(expression: str, says: bool) -> None:
    assert manifest.judge(expression, {"result": {"state": "done", "n": 1}, "args": {"n": 1.0}}) is says


def test_a_template_is_filled_down_to_its_lists() -> None:
    values = {"args": {"id": "l", "n": 1.5, "at": "x"}}
    template = {"a": "=args.id", "b": ["=args.n", "plain"], "c": {"d": "==x"}, "e": "=args.none", "f": 5}
    assert manifest.filled(template, values) == {
        "a": "l",
        "b": [1.5, "plain"],
        "c": {"d": "=x"},
        "e": None,
        "f": 5,
    }


# -- the folder -----------------------------------------------------------------------------------------------------


def write(path: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text, encoding="utf-8")
    return path


def test_a_folder_is_its_files_by_their_paths(tmp_path: Path) -> None:
    there = {
        **folder(policy("{}")),
        "tests/a.test.yaml": "x",
        "manifests/crm.yaml": "y",
        "workflows/a.yaml": "z",
        "workflows/a.md": "z",
    }
    write(tmp_path, {**there, "notes.txt": "not ours", "leads.csv": "nor this"})
    assert read_folder(tmp_path) == there


@pytest.mark.parametrize("name", ["guard.yml", "tests/a.yml", "manifests/a.yml", "workflows/a.yml"])
def test_a_file_that_would_be_passed_by_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadPolicySet, match=name):
        read_folder(write(tmp_path, {**FOLDER, name: "x"}))


def test_links_are_refused_but_for_the_folder_itself(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    write(real, FOLDER)
    (tmp_path / "current").symlink_to(real)
    assert read_folder(tmp_path / "current") == dict(FOLDER)

    (real / "guard.yaml").symlink_to(real / "people.yaml")
    with pytest.raises(BadPolicySet, match=r"guard\.yaml is a symbolic link"):
        read_folder(real)
    (real / "guard.yaml").unlink()
    (real / "tests").symlink_to(tmp_path)
    (tmp_path / "x.yaml").write_text("x", encoding="utf-8")
    with pytest.raises(BadPolicySet, match="is a symbolic link"):
        read_folder(real)


def test_what_cannot_be_read_as_text_is_told(tmp_path: Path) -> None:
    write(tmp_path, FOLDER)
    (tmp_path / "a.yaml").write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(BadPolicySet, match=r"a\.yaml:2: this is not UTF-8"):
        read_folder(tmp_path)
    os.remove(tmp_path / "a.yaml")  # noqa: PTH107
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(BadPolicySet, match=r"a\.yaml cannot be read"):
        read_folder(tmp_path)
    with pytest.raises(BadPolicySet, match="there is no folder"):
        read_folder(tmp_path / "nowhere")


# -- the whole set --------------------------------------------------------------------------------------------------


def test_a_set_loads_whole_or_not_at_all() -> None:
    good = policy("crm.get: {allow: anyone}")
    loaded, found = load(folder(good), generation=3)
    assert loaded is not None
    assert (loaded.generation, found, list(loaded.rules), loaded.files) == (3, [], ["crm.get"], folder(good))

    for bad in (
        policy("crm.gett: {allow: anyone}", name="two"),
        "a: &x 1",
        "",
        policy("{}").replace("desk", "nobody", 2),
    ):
        assert load(folder(good, bad))[0] is None


def test_a_set_without_a_catalog_has_no_tools() -> None:
    loaded, _ = load({name: text for name, text in FOLDER.items() if name != "catalog.lock.json"})
    assert loaded is not None
    assert (dict(loaded.tools), loaded.offered(user="ana", agent="desk")) == ({}, [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        '{"format": 1}',
        '{"format": 1, "integrations": {"a": 5}}',
        "9" * 5000,
        "[" * 100_000,
    ],
)
def test_a_broken_catalog_is_one_problem(text: str) -> None:
    loaded, found = load({**FOLDER, "catalog.lock.json": text})
    assert (loaded, [str(each.place) for each in found]) == (None, ["catalog.lock.json:1:1"])


class Stored:
    """The store, as far as the set in force reads it."""

    def __init__(self) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self.read = self

    def put(self, files: Any) -> None:
        content = files if isinstance(files, str) else json.dumps(files)
        number = len(self.rows) + 1
        self.rows.append(
            {
                "id": number,
                "digest": "d",
                "content": content,
                "by": "b",
                "reason": "r",
                "at": str(NOW),
                "observe_until": None,
            }
        )

    def one(self, statement: str, **_: Any) -> Mapping[str, Any] | None:
        assert statement in ("generation_newest", "generation_current")
        return self.rows[-1] if self.rows else None


def test_the_last_good_set_stays_in_force(caplog: pytest.LogCaptureFixture) -> None:
    stored = Stored()
    force = InForce(stored)  # pyright: ignore[reportArgumentType] - rows without a database
    assert (force.refresh(), force.current) == (False, None)

    stored.put(dict(FOLDER))
    assert force.refresh() is True
    first = force.current
    assert first is not None
    assert (first.generation, force.refresh()) == (1, False)

    for bad in (folder("a: &x 1"), {"gateway.yaml": "\ud800", "people.yaml": PEOPLE}, {}, "[1, 2]", "{"):
        stored.put(bad)
        assert (force.refresh(), force.refresh(), force.current) == (False, False, first)
    assert "alarm: policy generation 2 does not load" in caplog.text

    stored.put(folder(policy("crm.get: {allow: anyone}")))
    assert force.refresh() is True
    assert force.current is not first


def test_a_generation_is_what_was_activated() -> None:
    stored = Stored()
    stored.put({"a": "b"})
    found = generations.current(stored)  # pyright: ignore[reportArgumentType] - rows without a database
    assert found is not None
    assert found.files == {"a": "b"}


def test_the_rules_of_a_tool_come_from_every_file_that_speaks_of_it() -> None:
    one = policy('crm.*: {allow: anyone}\ncrm.get: {deny: [{when: id == "x"}]}', name="one")
    two = policy("'@read': {allow: [support]}\ncrm.owners, crm.assign: {allow: [lead]}", name="two")
    current = rules(one, two)
    assert {name: [rule.id for rule in found.rules] for name, found in sorted(current.rules.items())} == {
        "billing.payment": ["two/@read/allow"],
        "crm.assign": ["one/crm.*/allow", "two/crm.owners,crm.assign/allow"],
        "crm.get": ["one/crm.*/allow", "one/crm.get/deny-1", "two/@read/allow"],
        "crm.owners": ["one/crm.*/allow", "two/@read/allow", "two/crm.owners,crm.assign/allow"],
    }


def test_a_long_look_up_that_no_rule_uses_is_read_as_one() -> None:
    rules(policy("crm.get: {allow: anyone}", read="lead: {call: crm.get, with: {kind: lead, id: l}}"))
