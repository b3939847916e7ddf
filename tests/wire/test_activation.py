"""What comes into force, by whom and with whose consent, from the command line (P12)."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lockkeep.app import utc_now
from lockkeep.cli.commands import app
from lockkeep.errors import LockkeepError, NotAllowed
from lockkeep.ledger import callers, generations
from lockkeep.store import Store

GATEWAY = "api: lockkeep/v1\ngateway: house\nagents:\n  robot: {owner: ana}\n"
PEOPLE = """\
api: lockkeep/v1
people:
  ana: {groups: [platform]}
  bo: {groups: [risk]}
  cy: {groups: [platform, risk]}
  dee: {groups: [staff]}
groups: {platform: , risk: , staff: }
duties: {activate: [DUTIES]}
"""


class Desk:
    """One folder and its command line, as different people."""

    def __init__(self, folder: Path, duties: str) -> None:
        self.data, self.policies = folder / "data", folder / "policies"
        self.policies.mkdir()
        self.data.mkdir()
        self.write("gateway.yaml", GATEWAY)
        self.write("people.yaml", PEOPLE.replace("DUTIES", duties))
        self.tokens: dict[str, str] = {}
        store = Store(self.data / "lockkeep.db")
        for person in ("ana", "bo", "cy", "dee"):
            self.tokens[person] = store.write_now(
                lambda tx, person=person: callers.create_token(
                    tx, token_id=f"tok_{person}", user=person, agent=None, by="test", now=utc_now()
                )
            )
        files = {path.name: path.read_text(encoding="utf-8") for path in self.policies.iterdir()}
        store.write_now(
            lambda tx: generations.activate(tx, files, after=0, by="test", reason="first", now=utc_now())
        )
        store.close()

    def write(self, name: str, text: str) -> None:
        (self.policies / name).write_text(text, encoding="utf-8")

    def run(self, person: str, *words: str) -> Any:
        """What was printed; a refusal is raised."""
        environ = {
            "LOCKKEEP_DATA": str(self.data), "LOCKKEEP_POLICIES": str(self.policies),
            "LOCKKEEP_TOKEN": self.tokens[person],
        }  # fmt: skip
        ran = CliRunner().invoke(app, ["policy", *words], env=environ)
        if isinstance(ran.exception, LockkeepError):
            raise ran.exception
        return ran

    @property
    def newest(self) -> int:
        store = Store(self.data / "lockkeep.db")
        try:
            return generations.newest(store.read)
        finally:
            store.close()


def changed(desk: Desk) -> None:
    desk.write("gateway.yaml", GATEWAY + "  other: {}\n")


def proposed(desk: Desk, person: str, *words: str) -> str:
    ran = desk.run(person, "activate", "--reason", "why", *words)
    assert "a second person has to agree" in ran.output
    return ran.output.split()[-1]


def test_one_group_activates_alone(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "platform")
    changed(desk)
    desk.run("ana", "activate")

    assert desk.newest == 2


@pytest.mark.promise("P12")
def test_where_two_groups_have_the_duty_one_person_of_each_is_needed(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "platform, risk")
    changed(desk)
    proposal = proposed(desk, "ana")
    assert desk.newest == 1
    for person in ("ana", "dee"):
        with pytest.raises(NotAllowed):
            desk.run(person, "agree", proposal)
    desk.run("bo", "agree", proposal)

    assert desk.newest == 2


def test_what_was_proposed_is_what_comes_into_force_and_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "platform, risk")
    changed(desk)
    proposal = proposed(desk, "ana")
    desk.write("gateway.yaml", GATEWAY + "  evil: {}\n")
    desk.run("bo", "agree", proposal)
    with pytest.raises(LockkeepError):
        desk.run("cy", "agree", proposal)

    store = Store(desk.data / "lockkeep.db")
    current = generations.current(store.read)
    store.close()
    assert current is not None
    assert ("other" in current.files["gateway.yaml"], "evil" in current.files["gateway.yaml"]) == (
        True,
        False,
    )
    assert current.by == "ana, bo"


def test_a_proposal_that_another_set_overtook_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "platform, risk")
    changed(desk)
    first, second = proposed(desk, "ana"), proposed(desk, "ana")
    desk.run("bo", "agree", second)
    with pytest.raises(LockkeepError, match="in between"):
        desk.run("bo", "agree", first)

    assert desk.newest == 2


@pytest.mark.parametrize(
    "words", [(), ("--until", "2020-01-01"), ("--until", "2999-01-01"), ("--until", "tomorrow")]
)
def test_observing_needs_a_reason_and_a_near_day(tmp_path: Path, words: tuple[str, ...]) -> None:
    desk = Desk(tmp_path, "platform")
    ran = desk.run("ana", "activate", "--observe", "--reason", "first days", *words)

    assert (ran.exit_code, desk.newest) == (2, 1)


def test_observing_takes_two_people_and_stays_until_it_is_ended(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "platform")
    until = utc_now().date().isoformat()
    proposal = proposed(desk, "ana", "--observe", "--until", until)
    with pytest.raises(NotAllowed):
        desk.run("ana", "agree", proposal)
    told = desk.run("cy", "agree", proposal).output
    changed(desk)
    desk.run("ana", "activate")
    still = desk.run("ana", "history", "--json").output
    desk.run("ana", "activate", "--enforce")
    ended = desk.run("ana", "history", "--json").output

    assert f"Until {until} it only observes" in told
    assert still.count(f'"observe_until": "{until}"') == 2
    assert ended.count('"observe_until": null') == 2
    assert desk.newest == 4


def test_an_earlier_set_comes_back_as_a_new_generation(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "platform")
    changed(desk)
    desk.run("ana", "activate")
    desk.run("ana", "rollback", "--reason", "worse")

    store = Store(desk.data / "lockkeep.db")
    one, three = generations.get(store.read, 1), generations.get(store.read, 3)
    store.close()
    assert one is not None
    assert three is not None
    assert (one.files, three.reason) == (three.files, "back to 1: worse")


def test_there_is_nothing_before_the_first(tmp_path: Path) -> None:
    with pytest.raises(LockkeepError, match="no earlier set"):
        Desk(tmp_path, "platform").run("ana", "rollback")
