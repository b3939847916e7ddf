"""A real gateway in a fresh folder: set up with the command line, served by a child process, stopped with it."""

import json
import os
import shlex
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, STDOUT
from typing import Any

import anyio
from anyio.abc import Process

from lockkeep_client import ClientError, GatewayClient

READY_S, STOP_S, PORTS_TRIED = 20, 12, 3
PORT_TAKEN = "address already in use"


class GatewayTrouble(Exception):
    """The gateway, or a command of its command line, did not do what the story needs."""


@dataclass(frozen=True)
class Place:
    """The folder of one demo, and the command line in it."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "serve.log"

    def token_file(self, name: str) -> Path:
        return self.folder / f"{name}.token"

    def token(self, name: str) -> str:
        return self.token_file(name).read_text(encoding="utf-8").strip()

    def keep_token(self, name: str, token: str) -> None:
        """Only this user can read it; lockkeep refuses token files that others can read."""
        self.token_file(name).touch(mode=0o600)
        self.token_file(name).write_text(token + "\n", encoding="utf-8")

    def environment(self, person: str | None = None) -> dict[str, str]:
        """Nothing of another gateway of this user leaks in; the embedded servers hold the seeded world."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("LOCKKEEP_")}
        own |= {"LOCKKEEP_CRM_WORLD": "demo", "LOCKKEEP_CALENDAR_WORLD": "demo"}
        own |= {"LOCKKEEP_PORT": str(self.port), "PYTHONUTF8": "1"}
        own |= {"LOCKKEEP_HOLD_S": "0"}  # this agent takes the next lead while people decide about one
        return own | ({"LOCKKEEP_TOKEN_FILE": f"{person}.token"} if person else {})

    async def command(self, *words: str, person: str | None = None) -> str:
        """What `lockkeep …` printed, run by this person or by the owner of the folder."""
        ran = await anyio.run_process(
            [str(lockkeep()), *words], cwd=self.folder, env=self.environment(person), stdin=DEVNULL,
            stderr=STDOUT, check=False,
        )  # fmt: skip
        said = ran.stdout.decode(errors="replace").strip()
        if ran.returncode:
            raise GatewayTrouble(f"`lockkeep {shlex.join(words)}` ended with {ran.returncode}:\n{said}")
        return said

    async def data(self, *words: str, person: str | None = None) -> Mapping[str, Any]:
        return json.loads(await self.command(*words, "--json", person=person))

    def write_launcher(self) -> None:
        """`./lockkeep` in the folder is the command line of this gateway, for who wants to try more."""
        path = self.folder / "lockkeep"
        settings = f"LOCKKEEP_PORT={self.port} LOCKKEEP_CRM_WORLD=demo LOCKKEEP_CALENDAR_WORLD=demo"
        text = f'#!/bin/sh\ncd "$(dirname "$0")" && {settings} exec {shlex.quote(str(lockkeep()))} "$@"\n'
        path.write_text(text, encoding="utf-8")
        path.chmod(0o700)


def lockkeep() -> Path:
    """The command line installed beside the Python that runs this."""
    path = Path(sys.executable).with_name("lockkeep")
    if not path.exists():
        raise GatewayTrouble(f"lockkeep is not installed beside {sys.executable}; `make demo` sets it up.")
    return path


async def set_up() -> Place:
    """A fresh folder with starter policies and the people of the story: ada, its admin, and bo, a sales lead."""
    lockkeep()  # before anything is written
    place = Place(Path(tempfile.mkdtemp(prefix="lockkeep-demo-")), _free_port())
    place.keep_token("ada", (await place.data("init", "--admin", "ada"))["token"])
    await place.command("people", "add", "bo", "--group", "sales-lead")
    return place


async def _create_tokens(place: Place) -> None:
    """bo has one to decide with, and ada's agent one to call with: it can decide nothing."""
    for name, whose in (("bo", ["--user", "bo"]), ("router", ["--user", "ada", "--agent", "lead-router"])):
        if not place.token_file(name).exists():
            place.keep_token(name, (await place.data("token", "create", *whose))["token"])


@asynccontextmanager
async def serving(place: Place) -> AsyncGenerator[tuple[Place, Process]]:
    """The gateway answers; it ends with this block, whatever happens in it."""
    trouble = ""
    for _ in range(PORTS_TRIED):
        process = await _start(place)
        try:
            await _create_tokens(place)  # the command line works beside a gateway that is just starting
            if await _answers(place, process):
                place.write_launcher()
                yield place, process
                return
            trouble = how_it_ended(place, process)
        finally:
            await _stop(process)
        if PORT_TAKEN not in place.log.read_text(encoding="utf-8", errors="replace"):
            break
        trouble = f"Other programs took {PORTS_TRIED} free ports in a row. Try again."
        place = Place(place.folder, _free_port())
    raise GatewayTrouble(trouble)


async def _start(place: Place) -> Process:
    """A process group of its own: Ctrl-C is for the demo, which then stops the gateway in order."""
    with place.log.open("ab") as log:
        return await anyio.open_process(
            [str(lockkeep()), "serve"], cwd=place.folder, env=place.environment(), stdin=DEVNULL, stdout=log,
            stderr=STDOUT, start_new_session=True,
        )  # fmt: skip


async def _answers(place: Place, process: Process) -> bool:
    """True once it knows our agent's token: another program on this port would not."""
    with anyio.move_on_after(READY_S):
        async with GatewayClient(place.url, place.token("router")) as client:
            while process.returncode is None:
                try:
                    await client.status()
                    return True
                except ClientError:
                    await anyio.sleep(0.1)
    return False


async def _stop(process: Process) -> None:
    """It has ended: by itself, asked to, or killed."""
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
        with anyio.move_on_after(STOP_S):
            await process.wait()
        if process.returncode is None:
            process.kill()
        await process.aclose()


def how_it_ended(place: Place, process: Process) -> str:
    last = place.log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
    code = process.returncode
    said = f"did not answer within {READY_S} seconds" if code is None else f"has ended (exit code {code})"
    return "\n  ".join([f"The gateway {said}. The end of {place.log}:", *last])


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


__all__ = ["GatewayTrouble", "Place", "how_it_ended", "serving", "set_up"]
