"""Processes to be killed: one that has everything imported forks a server for each connection.

A start costs more than a second, a fork a few milliseconds; a kill is as real in the one as in the other.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.server.stdio import stdio_server

from lockkeep_servers.check.desk import Desk
from lockkeep_servers.check.find import load
from lockkeep_servers.kit.stdio import serve_stdio

STARTS_S = 30
CAN_FORK = hasattr(os, "fork")


class Stillborn(Exception):
    """The process did not come up, or went before it could be spoken to."""


class Nursery:
    """Starts its process when it is first needed, and ends it with the run."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="lockkeep-nursery-"))
        self._born = 0

    def warm(self, reference: str) -> None:
        """Import it there now, while this process does other things."""
        self._tell({"load": reference})

    @asynccontextmanager
    async def born(self, reference: str, environ: Mapping[str, str], now: datetime) -> AsyncGenerator[Desk]:
        """A connection to a process of its own, spoken to as over stdio."""
        self._born += 1
        path = self._folder / str(self._born)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(1)
            listener.settimeout(STARTS_S)
            job = {"load": reference, "environ": dict(environ), "now": now.isoformat(), "socket": str(path)}
            self._tell(job)
            try:
                connection, _ = await anyio.to_thread.run_sync(listener.accept)
            except TimeoutError:
                raise Stillborn from None
        path.unlink()
        with connection:
            connection.settimeout(None)
            async with AsyncExitStack() as stack:
                try:
                    client = await stack.enter_async_context(Client(_spoken(connection)))
                except Exception:
                    raise Stillborn from None
                yield Desk(client, environ)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()  # it holds nothing; its children are dead or end with their connection
            self._process.wait(timeout=STARTS_S)
            if self._process.stdin is not None:
                with suppress(BrokenPipeError):
                    self._process.stdin.close()
        self._folder.rmdir()

    def _tell(self, job: Mapping[str, Any]) -> None:
        if self._process is None:
            words = [sys.executable, "-m", "lockkeep_servers.check.nursery"]
            self._process = subprocess.Popen(  # noqa: S603  (this very interpreter and module)
                words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                encoding="utf-8", env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )  # fmt: skip
        stdin = self._process.stdin
        if stdin is not None:
            stdin.write(json.dumps(job) + "\n")
            stdin.flush()


@asynccontextmanager
async def _spoken(connection: socket.socket) -> AsyncGenerator[Any]:
    """The socket as the two streams an MCP client takes."""
    reads, writes = (connection.makefile(mode, encoding="utf-8") for mode in ("r", "w"))
    async with stdio_server(anyio.wrap_file(reads), anyio.wrap_file(writes)) as streams:
        try:
            yield streams
        finally:
            with suppress(OSError):  # it may be dead already
                connection.shutdown(socket.SHUT_RDWR)


def _serve(job: Mapping[str, Any]) -> None:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(job["socket"])
    reads, writes = (connection.makefile(mode, encoding="utf-8") for mode in ("r", "w"))
    now = datetime.fromisoformat(job["now"])
    server = load(job["load"])(job["environ"], lambda: now)
    anyio.run(serve_stdio, server, anyio.wrap_file(reads), anyio.wrap_file(writes))


def main() -> None:
    """Fork a server for each line that asks for one, until there are no more lines."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        job: dict[str, Any] = json.loads(line)
        load(job["load"])
        if "socket" in job and os.fork() == 0:
            try:
                _serve(job)
            finally:
                os._exit(1)


if __name__ == "__main__":
    main()
