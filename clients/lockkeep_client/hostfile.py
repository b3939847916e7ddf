"""One host's file, rewritten whole or not at all."""

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO

from lockkeep_client.errors import ClientError

LOCK_S = 5.0
Edit = Callable[[bytes | None], bytes | None]  # None: no file


class FileKeptChanging(ClientError):
    """Another program kept writing the file, and nothing was written. Close the host and run the command again."""


def backup_of(path: Path) -> Path:
    """Where the one backup of a host's file is kept."""
    return path.with_name(f"{path.name}.lockkeep-backup")


def read(path: Path) -> bytes | None:
    """What the file holds; None where there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def rewrite(path: Path, edit: Edit, locks: Path) -> bool:
    """The file is what `edit` made of it, and its backup what it was; False if that is the same."""
    path = path.resolve()  # a linked file stays a link
    with _locked(locks, path):
        for _ in range(2):
            before = read(path)
            after = edit(before)
            if after == before:
                return False
            if _replace(path, before, after):
                return True
    raise FileKeptChanging(
        f"{path} changed twice while it was being edited. Nothing was written; run it again."
    )


def _replace(path: Path, before: bytes | None, after: bytes | None) -> bool:
    """True when the file now holds `after`; False when someone else wrote it meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = _written_beside(path, after or b"")
    try:
        if read(path) != before:
            return False
        if before is None:
            backup_of(path).unlink(missing_ok=True)  # what was before us is: nothing
        else:
            _written_beside(path, before).replace(backup_of(path))
        if after is None:
            path.unlink()
        else:
            fresh.replace(path)
        return True
    finally:
        fresh.unlink(missing_ok=True)


def _written_beside(path: Path, content: bytes) -> Path:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh = Path(name)
    fresh.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o600)
    return fresh


@contextmanager
def _locked(locks: Path, path: Path) -> Generator[None]:
    """No other `lockkeep-client` edits this file meanwhile; the lock ends with the process that holds it."""
    locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = locks / f"{sha256(os.fsencode(path)).hexdigest()[:16]}.lock"
    with lock.open("a+b") as file:
        for _ in range(int(LOCK_S / 0.05)):
            if _taken(file):
                break
            threading.Event().wait(0.05)
        else:
            raise FileKeptChanging(
                f"Another lockkeep-client is editing {path}. Nothing was written; run it again."
            )
        yield


if sys.platform == "win32":
    import msvcrt

    def _taken(file: IO[bytes]) -> bool:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _taken(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
