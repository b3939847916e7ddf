"""`lockkeep drill`: each exercise passes on a sound gateway and reports a broken one; what it leaves behind (P5, P7, P9)."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from crash.command import lockkeep
from crash.place import Place
from lockkeep.app import utc_now
from lockkeep.cli import switches as stop
from lockkeep.cli.drill import all as drills
from lockkeep.cli.drill import ground as grounds
from lockkeep.cli.drill.command import last_drill
from lockkeep.cli.drill.exercise import Exercise, Found, carried_out
from lockkeep.cli.drill.ground import Ground, Ran
from lockkeep.cli.drill.killing import kill_under_load
from lockkeep.cli.drill.restarting import restart_while_parked
from lockkeep.cli.drill.restoring import backup_and_restore
from lockkeep.cli.drill.tampering import tamper_with_a_copy
from lockkeep.cli.drill.undoing import undo_with_verification
from lockkeep.ledger import Ledger, audit, chain, restoring, switches
from lockkeep.model import Answer, Claim, Switch, ToolCall
from lockkeep.rounds import Rounds
from lockkeep.store import Row, Store

NAMES = ["kill", "restart", "undo", "tampering", "restore"]


def at_once(environ: Mapping[str, str], words: Sequence[str]) -> Ran:
    """A command in this process: the same code, without a start of its own."""
    ran = lockkeep(environ, *words)
    return Ran(ran.code, ran.out, ran.err)


@pytest.fixture
async def ground(tmp_path: Path) -> Ground:
    made = Ground(tmp_path, at_once)
    await made.prepare()
    return made


@pytest.mark.crash
@pytest.mark.promise("P5", "P7", "P9")
async def test_kill_undo_tampering_and_restore_are_rehearsed_in_small(ground: Ground) -> None:
    killed = await kill_under_load(ground, callers=3, kills=2)
    undone = await undo_with_verification(ground, calls=1)
    tampered = await tamper_with_a_copy(ground)
    restored = await backup_and_restore(ground)

    found = [killed, undone, tampered, restored]
    assert [each.findings for each in found] == [(), (), (), ()]
    assert (killed.numbers["sends_after_return"], killed.numbers["claims_while_stopped"]) == (0, 0)
    assert undone.numbers == {"writes": 2, "taken_back": 1, "as_before": 1, "left_alone": 1}
    assert tampered.numbers["found"] == tampered.numbers["copies"] == 6
    assert restored.numbers["voided"] == 1


@pytest.mark.crash
@pytest.mark.promise("P2")
async def test_a_restart_is_rehearsed_in_small(ground: Ground) -> None:
    found = await restart_while_parked(ground, calls=1)

    assert (found.findings, found.numbers) == ((), {"parked": 1, "effects": 1, "asked_again": 1})


async def test_an_exercise_that_breaks_off_is_a_finding() -> None:
    async def breaks() -> Found:
        raise ExceptionGroup("in a task", [OSError("no room")])

    done = await carried_out("kill", breaks)

    assert (done.passed, done.found.findings) == (False, ("it could not be carried out: OSError: no room",))


def test_status_says_when_the_last_drill_was_and_that_the_next_one_is_overdue(tmp_path: Path) -> None:
    store, now = Store(tmp_path / "lockkeep.db"), utc_now()
    said = [last_drill(store.read, now)]
    for passed, days in ((True, 200), (False, 91), (True, 89)):
        at = now - timedelta(days=days)
        store.write_now(partial(audit.append, event="drill.done", at=at, passed=passed))
        said.append(last_drill(store.read, now))
    store.close()

    overdue = "; overdue after 90 days: lockkeep drill"
    assert said == [
        "never; rehearse an emergency: lockkeep drill",
        f"passed 200 d ago{overdue}",
        f"FAILED 91 d ago{overdue}",
        "passed 89 d ago",
    ]


# -- a gateway that is broken on purpose ------------------------------------------------------------------------


def blind(patch: pytest.MonkeyPatch) -> None:
    """No gate, no claim and no last look sees a switch."""

    def nothing(*_: object) -> None: ...

    patch.setattr(switches, "covering", nothing)


def deaf(patch: pytest.MonkeyPatch) -> None:
    """The gateway never says that it has seen a switch."""

    async def says_nothing(_self: Rounds) -> None: ...

    patch.setattr(Rounds, "report_switches", says_nothing)
    patch.setattr(stop, "SEEN_WITHIN", 0.3)


def credulous(patch: pytest.MonkeyPatch) -> None:
    """Verification finds every log sound."""
    sound = chain.Verified(tampering=(), gaps=(), first=1, last=4, head="0" * 64)

    def walked(*_: object, **__: object) -> chain.Verified:
        return sound

    patch.setattr(chain, "walked", walked)


def keeps_open(patch: pytest.MonkeyPatch) -> None:
    """A restore leaves approvals open."""

    def none(*_: object) -> tuple[str, ...]:
        return ()

    patch.setattr(restoring, "_void_approvals", none)


def goes_on(patch: pytest.MonkeyPatch) -> None:
    """A pause stops nothing."""
    real = switches.covers

    def covers(switch: Switch, call: ToolCall | Row) -> bool:
        return switch.mode != "pause" and real(switch, call)

    patch.setattr(switches, "covers", covers)


def forgets_to_send(patch: pytest.MonkeyPatch) -> None:
    """What people agreed to is dropped."""

    def halted(_self: Ledger, claim: Claim) -> Answer | None:
        return Answer(state="failed", reason="dropped") if claim.call.agreed else None

    patch.setattr(Ledger, "halted", halted)


SMALL = partial(kill_under_load, callers=3, kills=2)
BROKEN = [
    (SMALL, blind, "sends began after kill had returned"),
    (SMALL, blind, "calls were claimed while everything was stopped"),
    (SMALL, deaf, "kill was not confirmed by the gateway"),
    (tamper_with_a_copy, credulous, "passed verification"),
    (backup_and_restore, keeps_open, "an approval of before the backup is still open"),
    (backup_and_restore, goes_on, "writes were not paused after the restore"),
    (restart_while_parked, forgets_to_send, "what was agreed to did not run after the restart"),
]


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.parametrize(
    ("work", "breaks", "sentence"),
    BROKEN,
    ids=[f"{each[1].__name__} {number}" for number, each in enumerate(BROKEN)],
)
async def test_a_drill_over_a_broken_gateway_says_what_is_broken(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, work: Any, breaks: Any, sentence: str
) -> None:
    monkeypatch.setattr(grounds, "LIMIT", 3.0)
    breaks(monkeypatch)

    found: Exercise = await carried_out("broken", lambda: work(ground))

    assert not found.passed
    assert sentence in " ".join(found.found.findings)


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.promise("P2", "P5", "P7", "P9")
def test_the_whole_drill_leaves_evidence_a_record_and_nothing_else(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert lockkeep(place.environ, "init", "--admin", "ada").code == 0
    before = _files(place.folder / "policies")
    evidence = tmp_path / "proof" / "drill.json"
    ran = subprocess.run(
        [sys.executable, "-m", "lockkeep.cli", "drill", "--json", "--evidence", str(evidence)],
        env=place.environ, capture_output=True, encoding="utf-8", timeout=240, check=False,
    )  # fmt: skip
    said = json.loads(ran.stdout)
    kept = json.loads(evidence.read_text(encoding="utf-8"))
    (record,) = place.events("drill.done")
    status = lockkeep(place.environ, "status", "--json").data

    assert (ran.returncode, ran.stderr) == (0, "")
    assert {name: value for name, value in said.items() if name not in ("evidence", "sha256")} == kept
    assert [(each["exercise"], each["passed"]) for each in kept["exercises"]] == [
        (name, True) for name in NAMES
    ]
    assert said["sha256"] == record["sha256"] == sha256(evidence.read_bytes()).hexdigest()
    assert record["results"] == dict.fromkeys(NAMES, "passed")
    assert status["last_drill"].startswith("passed ")
    assert (_files(place.folder / "policies"), place.calls(), place.tampering()) == (before, [], [])
    print(f"drill: {kept['ms'] / 1000:.0f} s; {kept['exercises'][0]['numbers']}")


def test_a_drill_that_finds_something_ends_with_one_and_says_so_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)

    async def rehearsed(_folder: Path, *, told: Any) -> list[Exercise]:
        done = [Exercise("kill", Found("Something.", {"kills": 1}, ("2 sends began",)), 5)]
        told(done[0])
        return done

    with place.store():
        pass  # a ledger is there
    monkeypatch.setattr(drills, "rehearsed", rehearsed)
    monkeypatch.setattr("lockkeep.serving.configure_logging", str)
    ran = lockkeep(place.environ, "drill")
    (record,) = place.events("drill.done")

    assert (ran.code, record["passed"], record["results"]) == (1, False, {"kill": ["2 sends began"]})
    assert "kill: FAILED" in ran.out
    assert "finding: 2 sends began" in ran.out
    assert "Failed: kill" in ran.out


def _files(folder: Path) -> dict[str, str]:
    return {str(path): path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()}
