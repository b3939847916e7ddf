"""Backups under load, and what a restored ledger does: nothing by itself, and nothing twice (P2, P7)."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import anyio
import pytest

from crash.command import Ran, command
from crash.doomed import POINTS
from crash.place import LIMIT, Launcher, Place, prepared, rules
from crash.test_approvals import LEAD, parked, vote
from house import free_port, said
from lockkeep.errors import RestoreUnfinished
from lockkeep.ledger import audit, backups, heads
from lockkeep.store import migrate, reading_any
from lockkeep.store.folder import served

UNDECIDED = ("parked", "agreed")
STATES = (*POINTS, *UNDECIDED, "before any call")
WAYS = ("in place", "in an empty folder", "after more was done")
EFFECTS = f"SELECT id FROM records WHERE email = '{LEAD['email']}'"
CASES = [(state, way) for way in WAYS for state in STATES]


async def in_state(state: str, folder: Path, launcher: Launcher, lock: str) -> Place:
    """An installation whose gateway is dead, with one call in this state."""
    if state in UNDECIDED:
        place = await parked(folder, launcher, lock)
        if state == "agreed":
            await vote(place)
        return place
    place = await prepared(folder, rules("crm"), lock=lock)
    if state == "before any call":
        async with launcher.gateway(place):
            pass
        return place
    async with launcher.gateway(place, state) as gateway:
        await place.try_call("crm.upsert_lead", LEAD, [])
        assert await gateway.ended() == 9
    return place


async def backed(place: Place, name: str) -> Path:
    ran = await command(place.environ, "backup", str(place.folder / name), "--json")
    assert ran.code == 0, ran
    return place.folder / name


async def restored(place: Place, folder: Path) -> Ran:
    ran = await command(place.environ, "restore", str(folder), "--json")
    assert ran.code == 0, ran
    return ran


async def check_restored(state: str, way: str, folder: Path, launcher: Launcher, lock: str) -> None:
    place = await in_state(state, folder, launcher, lock)
    backup = await backed(place, "backup")
    if way == "after more was done":
        async with launcher.gateway(place):
            await place.call("crm.upsert_lead", {**LEAD, "email": "eve@kestrel.example"})
    if way == "in an empty folder":
        place.data.rename(place.folder / "burnt")
    before = place.receipts() if (place.data / "crm").exists() else {}
    done = (await restored(place, backup)).data
    asleep = effects(place)
    async with launcher.gateway(place):
        paused = await place.call("crm.upsert_lead", {**LEAD, "email": "new@kestrel.example"})
        await anyio.sleep(0.3)  # a worker that did something by itself would have
        with anyio.fail_after(LIMIT):
            while {row["state"] for row in place.calls()} & {"executing", "unknown"}:
                await anyio.sleep(0.02)
        by_itself = effects(place)
        environ = place.environ | {"LOCKKEEP_TOKEN": place.tokens["bo's own"]}
        assert (await command(environ, "resume", "all", "--reason", "looked")).code == 0
        again = await place.call("crm.upsert_lead", LEAD)

    assert said(paused)["code"] == "switch.paused", paused
    assert asleep == by_itself
    assert len(done["voided"]) == (state in UNDECIDED)
    if state in UNDECIDED:
        assert said(again)["status"] == "pending_approval"
        assert effects(place) == []
    else:
        assert len(effects(place)) == 1
    assert place.tampering() == []
    assert [each["size"] for each in place.events("ledger.restored")] == [done["records"]]
    assert before is not None


def effects(place: Place) -> list[Any]:
    return place.at_the_server("crm", EFFECTS) if (place.data / "crm" / "crm.sqlite").exists() else []


@pytest.mark.crash
@pytest.mark.promise("P2", "P7")
@pytest.mark.parametrize(
    ("state", "way"), [("at the server", "in an empty folder"), ("agreed", "after more was done")]
)
async def test_after_a_restore_nothing_runs_by_itself_and_nothing_twice(
    tmp_path: Path, launcher: Launcher, lock: str, state: str, way: str
) -> None:
    await check_restored(state, way, tmp_path, launcher, lock)


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.promise("P2", "P7")
@pytest.mark.parametrize(("state", "way"), CASES)
async def test_a_restore_in_every_state(
    tmp_path: Path, launcher: Launcher, lock: str, state: str, way: str
) -> None:
    await check_restored(state, way, tmp_path, launcher, lock)


async def check_under_load(times: int, folder: Path, launcher: Launcher, lock: str) -> None:
    place = await prepared(folder, rules("crm"), lock=lock)
    stopped, taken = anyio.Event(), list[Path]()

    async def write_on(number: int) -> None:
        for turn in cycle(range(10_000)):
            if stopped.is_set():
                return
            lead = {**LEAD, "email": f"p{number}-{turn}@kestrel.example"}
            await place.call("crm.upsert_lead", lead)

    async with launcher.gateway(place), anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(write_on, number)
        for turn in range(times):
            with anyio.fail_after(LIMIT):
                while len(place.calls()) < 5 * (turn + 1):
                    await anyio.sleep(0.02)
            taken.append(await backed(place, f"backup-{turn}"))
        stopped.set()
    for backup in taken:
        check_knows_nothing_the_server_lacks(place, backup)


def check_knows_nothing_the_server_lacks(place: Place, backup: Path) -> None:
    made, signature = backups.read(backup)
    key = heads.key_of(place.data)
    assert key is not None
    backups.check(backup, made, signature, key.public)
    with reading_any(backup / "lockkeep.db") as tx:
        rows = tx.all("calls_list", state="succeeded", tool=None, agent=None, user=None, count=100_000)
    db = sqlite3.connect(backup / "crm" / "crm.sqlite")
    receipts = {key for key, state in db.execute("SELECT key, state FROM receipts") if state == "committed"}
    db.close()

    assert rows
    assert {row["id"] for row in rows} <= receipts


@pytest.mark.crash
@pytest.mark.promise("P7")
async def test_a_backup_under_load_verifies_and_knows_nothing_that_the_server_lacks(
    tmp_path: Path, launcher: Launcher, lock: str
) -> None:
    await check_under_load(1, tmp_path, launcher, lock)


@pytest.mark.full
@pytest.mark.crash
@pytest.mark.promise("P7")
async def test_twenty_backups_under_load(tmp_path: Path, launcher: Launcher, lock: str) -> None:
    await check_under_load(20, tmp_path, launcher, lock)


# -- what is refused --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def backed_up(tmp_path_factory: pytest.TempPathFactory, launcher: Launcher, lock: str) -> Place:
    place = await in_state("settled", tmp_path_factory.mktemp("backed_up"), launcher, lock)
    await backed(place, "backup")
    return place


@pytest.fixture
def place(backed_up: Place, tmp_path: Path) -> Place:
    shutil.copytree(backed_up.folder, tmp_path / "place")
    return Place(tmp_path / "place", free_port(), dict(backed_up.tokens))


def edited_record(folder: Path) -> None:
    """As somebody would who mends the digest, too."""
    db = sqlite3.connect(folder / "lockkeep.db", isolation_level=None)
    db.execute("UPDATE audit SET record = replace(record, 'ana', 'eve') WHERE seq = 3")
    db.close()
    manifest(folder, files={"lockkeep.db": backups.digest(folder / "lockkeep.db")})


def manifest(folder: Path, **changes: Any) -> None:
    path = folder / "backup.json"
    said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        said[name] = {**said[name], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(said), encoding="utf-8")


def flipped(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "the ledger, by one bit": (partial(flipped, name="lockkeep.db"), "not as it was backed up"),
    "a server's file, by one bit": (partial(flipped, name="crm/crm.sqlite"), "not as it was backed up"),
    "a file is gone": (lambda folder: (folder / "crm" / "crm.sqlite").unlink(), "not as it was backed up"),
    "it was cut off": (lambda folder: (folder / "backup.json").unlink(), "no finished backup"),
    "a record and its digest": (edited_record, "not signed with the key"),
    "what it says of itself": (partial(manifest, at="2020"), "not signed with the key"),
    "a path that leads out": (partial(manifest, files={"../x": "0"}), "no file of a backup"),
    "a newer form": (partial(manifest, format=2), "use the release that wrote it"),
}


@pytest.mark.crash
@pytest.mark.promise("P7")
@pytest.mark.parametrize("what", DAMAGE)
async def test_a_damaged_backup_changes_nothing(place: Place, what: str) -> None:
    damage, hint = DAMAGE[what]
    damage(place.folder / "backup")
    before = everything(place.data)

    ran = await command(place.environ, "restore", str(place.folder / "backup"))

    assert (ran.code, hint in ran.err, ran.out) == (2, True, ""), ran
    assert everything(place.data) == before


@pytest.mark.crash
@pytest.mark.promise("P7")
async def test_without_a_key_the_log_itself_is_checked(place: Place) -> None:
    edited_record(place.folder / "backup")
    elsewhere = {**place.environ, "LOCKKEEP_DATA": str(place.folder / "elsewhere")}

    ran = await command(elsewhere, "restore", str(place.folder / "backup"))

    assert (ran.code, "record 3: edited" in ran.err) == (2, True), ran


@pytest.mark.crash
@pytest.mark.promise("P7")
@pytest.mark.parametrize("with_key", [True, False])
async def test_a_backup_of_another_installation_is_refused(
    place: Place, tmp_path: Path, launcher: Launcher, lock: str, with_key: bool
) -> None:
    other = await in_state("before any call", tmp_path / "other", launcher, lock)
    foreign = await backed(other, "backup")
    if not with_key:
        (place.data / heads.FILE).unlink()
    ran = await command(place.environ, "restore", str(foreign))

    assert (ran.code, "empty LOCKKEEP_DATA" in ran.err) == (2, True), ran
    assert len(place.calls()) == 1


@pytest.mark.crash
@pytest.mark.promise("P2", "P7")
async def test_a_restore_is_refused_while_a_gateway_serves(place: Place, launcher: Launcher) -> None:
    async with launcher.gateway(place) as gateway:
        ran = await command(place.environ, "restore", str(place.folder / "backup"))

        assert (ran.code, str(gateway.pid) in ran.err) == (2, True), ran


@pytest.mark.crash
@pytest.mark.promise("P7")
async def test_heads_of_what_a_restore_lost_are_a_declared_gap_and_tokens_stay_revoked(
    place: Place,
) -> None:
    out = place.folder / "out"
    out.mkdir()
    outside = replace(place)
    environ = outside.environ | {"LOCKKEEP_HEADS_FOLDER": str(out)}
    token = (await command(environ, "token", "list", "--json")).data[0]["id"]
    assert (await command(environ, "token", "revoke", token)).code == 0
    assert (await command(environ, "audit", "head")).code == 0
    cut = (await command(environ, "audit", "verify", "--head", str(out), "--json")).data
    done = (await command(environ, "restore", str(place.folder / "backup"), "--json")).data
    after = await command(environ, "audit", "verify", "--head", str(out), "--json")
    plain = await command(environ, "audit", "verify", "--head", str(out))

    assert cut["sound"]
    assert done["revoked"] == [token]
    assert (after.code, len(after.data["gaps"])) == (0, 1)
    assert plain.out.startswith("declared gap: restored at ")
    assert len(heads.heads_in(out)) == 2


@pytest.mark.crash
@pytest.mark.promise("P7")
async def test_a_backup_holds_no_key_no_session_and_nothing_that_others_may_read(place: Place) -> None:
    assert (await command(place.environ, "console", "login", "--as", "bo")).code == 0
    backup = await backed(place, "second")
    key = (place.data / heads.FILE).read_text(encoding="utf-8").splitlines()[1]
    with reading_any(backup / "lockkeep.db") as tx:
        assert tx.all("restore_approvals") == []
    db = sqlite3.connect(backup / "lockkeep.db")
    links = db.execute("SELECT count(*) FROM sign_ins").fetchone()[0]
    db.close()
    texts = {path: path.read_bytes() for path in backup.rglob("*") if path.is_file()}

    assert links == 0
    assert [path for path, text in texts.items() if key.encode() in text] == []
    assert [path for path in (backup, *texts) if path.stat().st_mode & 0o077] == []
    assert {path.relative_to(backup).as_posix() for path in texts} == {
        "backup.json",
        "lockkeep.db",
        "crm/crm.sqlite",
    }
    refused = await command(place.environ, "backup", str(backup))
    assert (refused.code, "not empty" in refused.err) == (2, True)


@pytest.mark.crash
@pytest.mark.promise("P2")
async def test_what_a_restore_left_half_done_is_served_by_nobody_until_it_is_done_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "_synced", cut_off)
    cut = await command(place.environ, "restore", str(place.folder / "backup"))
    monkeypatch.undo()
    (place.data / "lockkeep.db").unlink()
    with pytest.raises(RestoreUnfinished), served(place.data):
        pass
    status = await command(place.environ, "status")
    again = await command(place.environ, "restore", str(place.folder / "backup"))

    assert cut.code == 2
    assert (status.code, "lockkeep restore" in status.err) == (2, True), status
    assert again.code == 0, again
    assert (again.code, place.tampering(), len(place.calls())) == (0, [], 1)


def cut_off(_folder: Path) -> None:
    raise OSError(5, "cut off")


@pytest.mark.crash
@pytest.mark.promise("P7")
async def test_a_backup_of_an_older_release_is_brought_to_this_one_and_a_newer_one_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Place(place.folder / "old")
    with monkeypatch.context() as then:
        first_ten = migrate.shipped()[:10]
        then.setattr(migrate, "shipped", lambda: first_ten)
        old_backup(old)
    elsewhere = {**place.environ, "LOCKKEEP_DATA": str(place.folder / "elsewhere")}
    brought = await command(elsewhere, "restore", str(old.folder / "backup"), "--json")
    newer = place.folder / "backup"
    db = sqlite3.connect(newer / "lockkeep.db", isolation_level=None)
    db.execute("INSERT INTO migrations VALUES (99, '0099_later.sql', 'x')")
    db.close()
    manifest(newer, files={"lockkeep.db": backups.digest(newer / "lockkeep.db")})
    empty = {**place.environ, "LOCKKEEP_DATA": str(place.folder / "empty")}
    refused = await command(empty, "restore", str(newer))

    assert (brought.code, brought.data["records"]) == (0, 2), brought
    assert (refused.code, "another release" in refused.err) == (2, True), refused
    assert {each.name for each in (place.folder / "empty").iterdir()} == {"serve.lock"}


def old_backup(place: Place) -> None:
    """As a release wrote it that knew ten migrations."""
    with place.store() as store:
        now = datetime(2027, 3, 1, tzinfo=UTC)
        store.write_now(lambda tx: audit.append(tx, "gateway.started", now))
        key = store.write_now(lambda tx: heads.make_key(place.data, tx, now))
        backups.write(store, place.data, place.folder / "backup", key, release="0", now=now, told=silently)


def silently(_name: str, _done: int, _total: int) -> None:
    pass


def everything(folder: Path) -> dict[str, bytes]:
    """All files that count, with what is in them."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock"))
    }


def test_the_digest_is_of_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(os.urandom(10))
    assert backups.digest(tmp_path / "x") != audit.hashed("")
