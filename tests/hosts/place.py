"""A real gateway process in a folder of its own, and the command line beside it."""

import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync

from wire.conformance.commands import LOCKKEEP, environment, lockkeep, set_up, token

POLICIES = Path(__file__).parent / "policies"
HOLD_S = "0.5"  # what waits for people parks soon, so that the model is shown it pending


@dataclass(frozen=True)
class Place:
    """One folder with policies, a ledger and a gateway."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        return {"LOCKKEEP_PORT": str(self.port), "LOCKKEEP_HOLD_S": HOLD_S, "LOCKKEEP_CRM_WORLD": "demo"}

    async def json(self, *command: str, secret: str | None = None) -> Any:
        """What a command says as JSON, given with this person's token."""
        given = self.environ | ({"LOCKKEEP_TOKEN": secret} if secret else {})
        return json.loads(await run_sync(partial(lockkeep, self.folder, *command, "--json", environ=given)))

    async def token(self, user: str, agent: str | None = None) -> str:
        return await run_sync(token, self.folder, user, agent)


@asynccontextmanager
async def governed(folder: Path) -> AsyncGenerator[Place]:
    """A gateway that serves there; its log stands in serve.log."""
    place = Place(folder, _free_port())
    await run_sync(partial(set_up, folder, POLICIES, environ=place.environ))
    with (folder / "serve.log").open("wb") as log:
        process = await anyio.open_process(
            [LOCKKEEP, "serve"], cwd=folder, env=environment(place.environ), stdin=None, stdout=log, stderr=log
        )  # fmt: skip
        try:
            await _answers(place.port)
            yield place
        finally:
            process.terminate()
            with anyio.move_on_after(15, shield=True):
                await process.wait()
            if process.returncode is None:
                process.kill()


async def _answers(port: int) -> None:
    """Until somebody takes a connection there, or the limit is over."""
    with anyio.fail_after(20):
        while True:
            try:
                await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                return
            except OSError:
                await anyio.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
