"""A program that can reach nothing but the given ports of this machine, whatever it tries.

It runs in a network of its own with no way out; the ports lead to sockets in a folder, and from there back to ours.
As a script: alone.py FOLDER PORT[,PORT…] PROGRAM [ARGUMENT…]
"""

import asyncio
import contextlib
import fcntl
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

WHY_NOT = (
    "no network of its own can be made here (unshare -rn); hosts run only where they can reach nothing else"
)
SET_FLAGS, UP_AND_RUNNING = 0x8914, 0x41
Way = Callable[[], Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


def possible() -> bool:
    """Whether this machine lets us make a network of our own."""
    tool = shutil.which("unshare")
    return (
        tool is not None
        and not subprocess.run([tool, "-rn", "true"], capture_output=True, check=False).returncode
    )


def command(folder: Path, ports: Sequence[int], program: Sequence[str]) -> list[str]:
    """The same program, alone; needs `doors` to be open."""
    given = ",".join(map(str, ports))
    return ["unshare", "-rn", sys.executable, str(Path(__file__)), str(folder), given, *program]


@asynccontextmanager
async def doors(folder: Path, ports: Sequence[int]) -> AsyncGenerator[None]:
    """Each of our ports can be reached through a socket of its number in the folder."""
    async with AsyncExitStack() as stack:
        for port in ports:
            way = partial(asyncio.open_connection, "127.0.0.1", port)
            await stack.enter_async_context(
                await asyncio.start_unix_server(partial(_join, way), folder / str(port))
            )
        yield


async def _inside(folder: Path, ports: Sequence[int], program: Sequence[str]) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh", b"lo", UP_AND_RUNNING))
    async with AsyncExitStack() as stack:
        for port in ports:
            way = partial(asyncio.open_unix_connection, folder / str(port))
            await stack.enter_async_context(
                await asyncio.start_server(partial(_join, way), "127.0.0.1", port)
            )
        process = await asyncio.create_subprocess_exec(*program, stdin=asyncio.subprocess.DEVNULL)
        return await process.wait()


async def _join(way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    there, back = await way()
    await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    numbers = [int(each) for each in sys.argv[2].split(",")]
    sys.exit(asyncio.run(_inside(Path(sys.argv[1]), numbers, sys.argv[3:])))
