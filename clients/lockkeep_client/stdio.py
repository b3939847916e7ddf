"""The host's end of the bridge: whole lines in, whole lines out, in threads, so that neither stops the other."""

from typing import BinaryIO

import anyio
from anyio import to_thread

from lockkeep_client.wire import MAX_FRAME

KEPT = 16 * MAX_FRAME  # of a line too long to send, this much is read for its id


class Stdio:
    """Lines from and to the host. A line is handed to one writer, so that a cancelled sender never leaves half of it."""

    def __init__(self, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._send, self._receive = anyio.create_memory_object_stream[bytes](0)

    async def line(self) -> bytes:
        """The next line, cut after `KEPT` bytes; empty when the host closed its end."""
        line = await self._read()
        rest = line
        while len(rest) == KEPT and not rest.endswith(b"\n"):
            rest = await self._read()
        return line

    async def put(self, frame: bytes) -> None:
        """The frame is on its way to the host, as one line."""
        # JSON has line ends between its parts only, never within a string.
        await self._send.send(frame.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")

    def close(self) -> None:
        """Nothing more is put; the writer ends when it has written what was."""
        self._send.close()

    async def write(self) -> None:
        """Everything put was written; OSError when the host no longer reads."""
        with self._receive:
            async for line in self._receive:
                await to_thread.run_sync(self._write, line, abandon_on_cancel=True)

    async def _read(self) -> bytes:
        return await to_thread.run_sync(self._stdin.readline, KEPT, abandon_on_cancel=True)

    def _write(self, line: bytes) -> None:
        self._stdout.write(line)
        self._stdout.flush()
