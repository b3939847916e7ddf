"""Which processes live: each holds a lock on a file of its own, and the system lets go of it however it dies."""

import secrets
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


class Presence:
    """This process among those that share a folder, while it is held."""

    def __init__(self, folder: Path) -> None:
        self.name = secrets.token_hex(8)
        self._folder = folder
        self._lock: sqlite3.Connection | None = None
        self._users = 0

    @contextmanager
    def session(self) -> Generator[None]:
        """Held while anyone uses it; the last to leave lets go."""
        if self._users == 0:
            self.hold()
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                self.let_go()

    def hold(self) -> None:
        self._lock = sqlite3.connect(self._file(self.name), isolation_level=None, check_same_thread=False)
        self._lock.execute("BEGIN EXCLUSIVE")

    def let_go(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        self._file(self.name).unlink(missing_ok=True)

    def lives(self, name: str) -> bool:
        """Tell whether the process of that name still holds its lock; what a dead one left behind is removed."""
        file = self._file(name)
        if not name or not file.exists():
            return False
        probe = sqlite3.connect(file, timeout=0, isolation_level=None)
        try:
            probe.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        finally:
            probe.close()
        file.unlink(missing_ok=True)
        return False

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.alive"
