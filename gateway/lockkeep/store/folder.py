"""The data folder: one gateway at a time, told apart by a lock of the operating system."""

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lockkeep.errors import AlreadyServing, RestoreUnfinished

HALF_RESTORED = ".restored"


@contextmanager
def served(folder: Path, *, restoring: bool = False) -> Generator[None]:
    """Hold the folder; a second gateway is refused with the first one's pid. The lock dies with the process.

    What a restore left half done is served by nobody; another restore may begin anew.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "serve.lock").open("a+", encoding="utf-8") as lock:
        if not _locked(lock.fileno()):
            lock.seek(0)
            raise AlreadyServing(f"process {lock.read().strip() or '?'} holds {folder}")
        if not restoring:
            whole(folder)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def whole(folder: Path) -> None:
    """Nothing works with a folder in which half of a backup stands."""
    if (folder / HALF_RESTORED).exists():
        raise RestoreUnfinished(f"{folder / HALF_RESTORED}")


def _locked(file: int) -> bool:
    """Who only asks (`serving`) holds the lock for a moment, too: that is waited for, a gateway is not."""
    for _ in range(20):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)  # noqa: TID251 - at the start of a process; there is nothing else to do yet
        else:
            return True
    return False


def serving(folder: Path) -> int | None:
    """The pid of the gateway that serves this folder now, or None."""
    path = folder / "serve.lock"
    if not path.exists():
        return None
    with path.open("r", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(lock.read().strip() or 0)
    return None
