"""The bridge's log: to stderr, and to a file that forgets its older half at 1 MB. Frames are never logged."""

import logging
from pathlib import Path

LIMIT = 1_000_000


class RingFile(logging.Handler):
    """Appends to one file that bridges share; opening it per line lets any of them shorten it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        """The line is in the file, unless the folder cannot be written: stderr still has it then."""
        line = (self.format(record) + "\n").encode("utf-8", "replace")
        try:
            if self._path.stat().st_size + len(line) > LIMIT:
                self._path.write_bytes(self._path.read_bytes()[-LIMIT // 2 :].partition(b"\n")[2])
        except OSError:
            self._create()
        try:
            with self._path.open("ab") as file:
                file.write(line)
        except OSError:
            return

    def _create(self) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
        except OSError:
            return


def log_to(path: Path) -> None:
    """What this package logs goes to stderr and to the file; other packages' words, which quote, do not."""
    logger = logging.getLogger("lockkeep_client")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    shape = logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s")
    for handler in (logging.StreamHandler(), RingFile(path)):
        handler.setFormatter(shape)
        logger.addHandler(handler)
