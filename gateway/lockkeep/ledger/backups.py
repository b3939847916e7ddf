"""A backup: the ledger first, then the embedded servers' files, so that these hold every effect the ledger knows.

No key and no secret is in it. `backup.json` names every file with its digest, and is written last.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lockkeep.errors import BadBackup
from lockkeep.ledger import heads
from lockkeep.ledger.chain import line, walked
from lockkeep.ledger.heads import Head, Key, PublicKey
from lockkeep.model import Json, stamp
from lockkeep.store import Store, Tx, reading_any
from lockkeep.store.copying import copy, is_database, without_free_pages
from lockkeep.store.folder import HALF_RESTORED

MANIFEST, LEDGER, FORMAT = "backup.json", "lockkeep.db", 1
STAGE, REPLACED = ".restoring", "replaced-"
Told = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What `backup.json` says."""

    release: str
    at: str
    head: Head
    key: str  # the public key the backup says it was signed with
    files: Mapping[str, str]  # path -> SHA-256

    @property
    def said(self) -> dict[str, Json]:
        head: Json = json.loads(self.head.text)
        return {
            "format": FORMAT, "release": self.release, "at": self.at, "head": head, "key": self.key, "files": dict(self.files),
        }  # fmt: skip

    @property
    def signed(self) -> bytes:
        return line(self.said).encode()


def write(
    store: Store, data: Path, target: Path, key: Key, *, release: str, now: datetime, told: Told
) -> Backup:
    """A backup of this moment, in an empty folder. Calls go on meanwhile."""
    _empty(target)
    copy(store.path, target / LEDGER, lambda done, total: told(LEDGER, done, total))
    head = _emptied_of_sessions(target / LEDGER, key, now)
    for path in databases(data):
        name = path.relative_to(data).as_posix()
        (target / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        copy(path, target / name, lambda done, total, name=name: told(name, done, total))
    names = [LEDGER, *(path.relative_to(data).as_posix() for path in databases(data))]
    made = Backup(
        release=release, at=stamp(now), head=head, key=key.public.pem,
        files={name: digest(target / name) for name in names if (target / name).exists()},
    )  # fmt: skip
    text = line({**made.said, "signature": key.private.sign(made.signed).hex()})
    draft = target / f"{MANIFEST}.part"
    draft.touch(mode=0o600)
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(target / MANIFEST)
    return made


def databases(data: Path) -> Iterator[Path]:
    """The embedded servers' files: whatever SQLite wrote in a folder of the data folder."""
    for path in sorted(data.glob("*/**/*")):
        parts = path.relative_to(data).parts
        if path.is_file() and not parts[0].startswith((".", REPLACED)) and is_database(path):
            yield path


def read(folder: Path) -> tuple[Backup, str]:
    """What the backup says of itself, and its signature."""
    path = folder / MANIFEST
    if not path.is_file():
        raise BadBackup(f"{folder} holds no finished backup: {MANIFEST} is missing; take another one")
    try:
        said: dict[str, Json] = json.loads(path.read_text(encoding="utf-8"))
        if said["format"] != FORMAT:
            raise BadBackup(
                f"{path} has format {said['format']}, this release reads {FORMAT}; use the release that wrote it"
            )
        head = heads.head_of(line(said["head"]), str(path))
        made = Backup(
            release=said["release"], at=said["at"], head=head, key=said["key"], files=dict(said["files"])
        )
        signature = str(said["signature"])
    except (ValueError, LookupError, TypeError, UnicodeError) as error:
        raise BadBackup(f"{path} cannot be read; take another backup") from error
    if bad := [name for name in made.files if Path(name).is_absolute() or ".." in Path(name).parts]:
        raise BadBackup(f"{path} names {bad[0]}, which is no file of a backup; take another one")
    return made, signature


def check(folder: Path, made: Backup, signature: str, key: PublicKey | None) -> None:
    """Every file is as it was written, and the chain ends as its head says. `key`: of whom it must be."""
    for name, wanted in made.files.items():
        path = folder / name
        if not path.is_file() or digest(path) != wanted:
            raise BadBackup(f"{path} is not as it was backed up; take another backup")
    if key is not None:
        if made.head.installation != key.installation:
            raise BadBackup(
                f"the backup is of installation {made.head.installation}, this is {key.installation}; "
                "restore it into an empty LOCKKEEP_DATA"
            )
        if not key.made(made.signed, signature):
            raise BadBackup(
                f"{folder / MANIFEST} was not signed with the key of this installation; take another backup"
            )
    with reading_any(folder / LEDGER) as tx:
        found = walked(_records(tx), [made.head.mark])
        if found.tampering or found.last != made.head.size:
            first = found.tampering[0] if found.tampering else None
            why = f"record {first.seq}: {first.kind}" if first else "it is longer than its head"
            raise BadBackup(f"the log in {folder} was tampered with ({why}); take another backup")


def first_record(path: Path) -> str | None:
    """The hash of record 1: two ledgers that have it in common are of one installation."""
    with reading_any(path) as tx:
        rows = tx.all("audit_from", seq=1, count=1)
        return rows[0]["hash"] if rows and rows[0]["seq"] == 1 else None


@contextmanager
def staged(folder: Path, made: Backup, data: Path) -> Generator[Path]:
    """The files beside those in use, to be worked on; what goes wrong meanwhile leaves nothing."""
    target = data / STAGE
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(mode=0o700)
    for name in made.files:
        (target / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copyfile(folder / name, target / name)
        (target / name).chmod(0o600)
    try:
        yield target
    except BaseException:
        shutil.rmtree(target)
        raise


def swap(data: Path, now: datetime) -> Path:
    """What was staged is in use; what was in use is kept aside. A crash meanwhile leaves a mark that stops `serve`."""
    shutil.rmtree(data / HALF_RESTORED, ignore_errors=True)
    staged = (data / STAGE).rename(data / HALF_RESTORED)
    aside = data / f"{REPLACED}{now:%Y%m%dT%H%M%S%f}"
    aside.mkdir(mode=0o700)
    for name in (LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm", *(each.name for each in staged.iterdir())):
        if (data / name).exists():
            (data / name).rename(aside / name)
    for each in sorted(staged.iterdir()):
        each.rename(data / each.name)
    _synced(data)
    staged.rmdir()
    return aside


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _empty(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(target.iterdir()):
        raise BadBackup(f"{target} is not empty; name a new folder")
    target.chmod(0o700)


def _emptied_of_sessions(path: Path, key: Key, now: datetime) -> Head:
    """The copy without what signs people in, and the head of its chain."""
    store = Store(path)
    try:

        def work(tx: Tx) -> Head:
            tx.run("restore_end_sessions")
            tx.run("restore_end_links")
            end = tx.one("audit_head")
            return key.sign(end["seq"] if end else 0, end["hash"] if end else "0" * 64, stamp(now))

        head = store.write_now(work)
    finally:
        store.close()
    without_free_pages(path)
    return head


def _records(tx: Tx) -> Iterator[tuple[int, str, str]]:
    seq = 1
    while page := tx.all("audit_from", seq=seq, count=5_000):
        yield from ((row["seq"], row["hash"], row["record"]) for row in page)
        seq = page[-1]["seq"] + 1


def _synced(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
