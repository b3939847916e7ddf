"""A child's stderr goes into our log: line by line, cut, printable, without its own secrets."""

import logging
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TextIO

import anyio

logger = logging.getLogger(__name__)
LONGEST_LINE = 500


@asynccontextmanager
async def child_stderr(name: str, hidden: Sequence[str], ended: Callable[[], None]) -> AsyncGenerator[TextIO]:
    """A file for the child to write to; `ended` is called once nobody holds it any more."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        with os.fdopen(writing, "w", encoding="utf-8") as errlog:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_follow, reading, name, hidden, ended)
                yield errlog
                tasks.cancel_scope.cancel()
    finally:
        os.close(reading)


async def _follow(reading: int, name: str, hidden: Sequence[str], ended: Callable[[], None]) -> None:
    rest = b""
    while True:
        await anyio.wait_readable(reading)
        chunk = os.read(reading, 65536)
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > 65536 or not chunk:
            lines, rest = [*lines, rest], b""
        for line in lines:
            if line.strip():
                logger.info("%s writes: %s", name, shown(line.decode("utf-8", "replace"), hidden))
        if not chunk:
            ended()
            return


def shown(line: str, hidden: Sequence[str]) -> str:
    """The line as it may stand in a log."""
    for secret in sorted(hidden, key=len, reverse=True):
        line = line.replace(secret, "***")
    return "".join(char if char.isprintable() else " " for char in line)[:LONGEST_LINE].strip()
