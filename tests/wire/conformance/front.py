"""The gateway as the suite meets it: policies from this folder, a real ledger, and a token added to every request."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import uvicorn
from fixture_server import Fixture
from starlette.types import ASGIApp, Receive, Scope, Send

from lockkeep.app import running
from lockkeep.settings import Settings

HERE = Path(__file__).parent
RULES = "rules.yaml"
LOCKKEEP = Path(sys.executable).with_name("lockkeep")


class _Server(uvicorn.Server):
    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(app, log_config=None, ws="none", lifespan="on", timeout_graceful_shutdown=1)
        )
        self.up = anyio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncGenerator[int]:
    """The app answers on this port of this machine."""
    server = _Server(app)
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            with anyio.fail_after(10):
                await server.up.wait()
            try:
                yield listener.getsockname()[1]
            finally:
                server.should_exit = True


@asynccontextmanager
async def governed(folder: Path) -> AsyncGenerator[str]:
    """The gateway's address, with the fixture server behind it."""
    async with listening(Fixture().server().streamable_http_app()) as port:
        token = await anyio.to_thread.run_sync(prepared, folder, port)
        settings = Settings(data=folder / ".lockkeep", policies=folder / "policies")
        async with running(settings) as gateway, listening(signed_in(gateway.asgi(), token)) as front:
            yield f"http://127.0.0.1:{front}/mcp"


def prepared(folder: Path, port: int) -> str:
    """The suite's token, once our policies are in force there and the fixture's tools are accepted."""
    lockkeep(folder, "init", "--admin", "ada")
    shutil.rmtree(folder / "policies")
    # Rules may only name accepted tools, so they come after the tools.
    shutil.copytree(HERE / "policies", folder / "policies", ignore=shutil.ignore_patterns(RULES))
    file = folder / "policies" / "gateway.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("PORT", str(port)), encoding="utf-8")
    for seen in json.loads(lockkeep(folder, "catalog", "pull", "--json")):
        lockkeep(folder, "catalog", "accept", seen["integration"], "--expect", seen["hash"])
    shutil.copy(HERE / "policies" / RULES, folder / "policies")
    lockkeep(folder, "policy", "activate", "--reason", "conformance")
    return lockkeep(folder, "token", "create", "--user", "ada", "--agent", "suite").strip()


def lockkeep(folder: Path, *command: str) -> str:
    """What the command printed; its own words if it fails."""
    done = subprocess.run(
        [LOCKKEEP, *command], cwd=folder, env=plain_environment(), capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"lockkeep {' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def plain_environment() -> dict[str, str]:
    """Ours, without what a developer may have set for a gateway of their own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LOCKKEEP_")}


def signed_in(app: ASGIApp, token: str) -> ASGIApp:
    """The suite sends no token and has no option for one."""
    ours = (b"authorization", f"Bearer {token}".encode())

    async def with_token(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "headers": [*scope["headers"], ours]}
        await app(scope, receive, send)

    return with_token
