"""The data folder: one gateway at a time, told apart by a lock of the operating system."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lockkeep.errors import AlreadyServing


@contextmanager
def served(folder: Path) -> Generator[None]:
    """Hold the folder; a second gateway is refused with the first one's pid. The lock dies with the process."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "serve.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyServing(f"process {lock.read().strip() or '?'} holds {folder}") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


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
