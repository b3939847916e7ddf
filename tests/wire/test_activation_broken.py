"""Twenty-five sets with one thing wrong: none comes into force, and the last good one goes on deciding (P12)."""

from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest
from tests.unit.policies import room
from tests.unit.policies.room import call, decide, policy
from typer.testing import CliRunner

from lockkeep.app import utc_now
from lockkeep.cli.commands import app
from lockkeep.cli.policy import DoesNotLoad
from lockkeep.cli.policy import TestsFail as CasesFail
from lockkeep.errors import BadPolicySet
from lockkeep.ledger import generations
from lockkeep.model import Allow
from lockkeep.policy.bundle import read_folder
from lockkeep.policy.inforce import InForce
from lockkeep.store import Store

ASSIGN = "crm.assign:\n  allow: anyone\n  {more}"
TEST = "api: lockkeep/v1\ntest: desk\ncallers:\n  ana: {{roles: [support], agent: desk}}\ncases:\n  - {{name: it, as: ana, call: crm.assign, with: {{kind: lead, id: l, owner: o}}, expect: {expect}}}\n"
GOOD = {
    **room.FOLDER,
    "desk.yaml": policy(
        ASSIGN.format(more="deny: [{when: 'kind == \"deal\"'}]"), read='lead: crm.get(kind="lead", id=id)'
    ),
}


def with_(more: str, read: str = "") -> dict[str, str]:
    return {"desk.yaml": policy(ASSIGN.format(more=more), read=read)}


def torn(name: str, old: str, new: str) -> dict[str, str]:
    assert old in GOOD[name]
    return {name: GOOD[name].replace(old, new)}


BROKEN: Mapping[str, Mapping[str, str]] = {
    "no YAML": {"desk.yaml": "api: lockkeep/v1\npolicy: ["},
    "a tab": torn("desk.yaml", "  allow", "\tallow"),
    "an unknown key": with_("dney: []"),
    "an owner who is nobody": torn("desk.yaml", "owner: lead", "owner: leed"),
    "an unknown agent": torn("desk.yaml", "[desk]", "[dask]"),
    "an unknown tool": torn("desk.yaml", "crm.assign", "crm.asign"),
    "an unknown role": torn("desk.yaml", "anyone", "[chief]"),
    "a misspelt name": with_("deny: [{when: knd == 'x'}]"),
    "text beside a number": with_("deny: [{when: kind > 5}]"),
    "a value that may be missing": with_("deny: [{when: why == 'x'}]"),
    "a deny of everything": with_("deny: [{name: all}]"),
    "a look-up that writes": with_("deny: [{when: has(it)}]", "it: crm.assign(id=id)"),
    "look-ups in a circle": with_("deny: [{when: has(a)}]", 'a: crm.get(kind="lead", id=b.id)\nb: crm.get(kind="lead", id=a.id)'),
    "a limit nobody can read": with_("limit: 5 each day"),
    "a change of a text": with_("change: {id: at_most 5}"),
    "who may use it by its arguments": torn("desk.yaml", "anyone", "{when: kind == 'x'}"),
    "an ask of nobody": with_("ask: [{from: [nobody]}]"),
    "an hour that is none": with_("deny: [{hours: mon-fri 25:00-26:00}]"),
    "a day that is over": with_("deny: [{until: 2020-01-01, when: 'kind == \"deal\"'}]"),
    "one policy twice": {"again.yaml": GOOD["desk.yaml"]},
    "a file that is nothing": {"hello.yaml": "hello: 1\n"},
    "a person in a group that is gone": torn("people.yaml", "[finance]", "[finanz]"),
    "an integration without an address": torn("gateway.yaml", "crm: {in_process: true}", "crm: {}"),
    "a lock that is torn": {"catalog.lock.json": room.FOLDER["catalog.lock.json"][:-40]},
    "a manifest of nobody": {"manifests/hub.yaml": "api: lockkeep/v1\nmanifest: hub\ntools: {}\n"},
    "a workflow without steps": {"workflows/flow.yaml": "api: lockkeep/v1\nworkflow: flow\nowner: lead\nsteps: []\n"},
    "a test that fails": {"tests/desk.test.yaml": TEST.format(expect="denied")},
    "a test that cannot be read": {"tests/desk.test.yaml": TEST.format(expect="alow")},
}  # fmt: skip


def still_decides(rules: InForce) -> bool:
    assert rules.current is not None
    calls = [call(rules.current, "crm.assign", kind=kind, id="l", owner="o") for kind in ("lead", "deal")]
    lead, deal = (anyio.run(decide, rules.current, wanted).verdict for wanted in calls)
    return isinstance(lead, Allow) and getattr(deal, "rule", "") == "desk/crm.assign/deny-1"


@pytest.mark.promise("P12")
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_set_does_not_come_into_force_and_the_last_good_one_stays(tmp_path: Path, what: str) -> None:
    store = Store(tmp_path / "lockkeep.db")
    store.write_now(lambda tx: generations.activate(tx, GOOD, after=0, by="t", reason="t", now=utc_now()))
    rules = InForce(store)
    rules.refresh()
    files = {**GOOD, **BROKEN[what]}
    for name, text in files.items():
        (tmp_path / "policies" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "policies" / name).write_text(text, encoding="utf-8")
    environ = {"LOCKKEEP_DATA": str(tmp_path), "LOCKKEEP_POLICIES": str(tmp_path / "policies")}

    ran = CliRunner().invoke(app, ["policy", "activate", "--reason", "new"], env=environ)
    assert isinstance(ran.exception, CasesFail if what == "a test that fails" else DoesNotLoad), ran.output
    assert generations.newest(store.read) == 1
    assert rules.refresh() is False
    assert still_decides(rules)
    store.close()


@pytest.mark.full
@pytest.mark.promise("P12")
@pytest.mark.parametrize("what", [each for each in BROKEN if "test" not in each and "over" not in each])
def test_a_set_another_release_brought_into_force_and_this_one_cannot_read_changes_nothing(
    tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "lockkeep.db")
    rules = InForce(store)
    for number, files in enumerate((GOOD, {**GOOD, **BROKEN[what]})):
        store.write_now(
            lambda tx, files=files, after=number: generations.activate(
                tx, files, after=after, by="t", reason="t", now=utc_now()
            )
        )
        assert rules.refresh() is (number == 0)

    assert (rules.refused, "alarm" in caplog.text) == (2, True)
    assert still_decides(rules)
    store.close()


def test_what_is_read_from_the_folder_is_files_of_text_and_no_links(tmp_path: Path) -> None:
    for name, text in GOOD.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "more.yaml").write_bytes(b"api: \xff\n")
    with pytest.raises(BadPolicySet, match=r"more.yaml:1: this is not UTF-8"):
        read_folder(tmp_path)
    (tmp_path / "more.yaml").unlink()
    (tmp_path / "more.yaml").symlink_to(tmp_path / "desk.yaml")
    with pytest.raises(BadPolicySet, match="symbolic link"):
        read_folder(tmp_path)
