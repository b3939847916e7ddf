"""Hosts reach the ports they are given, and nothing else."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from starlette.applications import Starlette

from wire.conformance.listening import listening

from . import alone
from .story import ended

TRY = """
import json, socket, sys
def reached(host, port):
    try:
        with socket.create_connection((host, port), timeout=5) as there:
            there.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            return there.recv(8).decode()
    except OSError as error:
        return type(error).__name__
given, other = map(int, sys.argv[1:])
print(json.dumps([reached("127.0.0.1", given), reached("127.0.0.1", other), reached("192.0.2.1", 443)]))
"""


async def test_a_program_alone_reaches_the_given_port_and_nothing_else(tmp_path: Path) -> None:
    if not alone.possible():
        pytest.skip(alone.WHY_NOT)

    async with listening(Starlette()) as given, listening(Starlette()) as other:
        program = [sys.executable, "-c", TRY, str(given), str(other)]
        with anyio.fail_after(20):
            with TemporaryDirectory(prefix="doors-") as doors:
                command = alone.command(Path(doors), [given], program)
                async with alone.doors(Path(doors), [given]):
                    code = await ended(command, tmp_path, {}, tmp_path / "said")

    assert code == 0
    assert json.loads((tmp_path / "said").read_text(encoding="utf-8")) == [
        "HTTP/1.1",
        "ConnectionRefusedError",
        "OSError",
    ]
