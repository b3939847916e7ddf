"""What the scripted model does in every host, and what must come of it."""

import os
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest

from . import alone
from .place import Place, governed
from .scripted_llm import Call, Model, scripted

LIMIT = 90.0  # seconds for one host from start to end
HOSTS = Path(__file__).parent / "node_modules"
LAST_WORDS = "All leads are routed."
LEAD = {"company": "Umbra", "name": "Joe Doe", "country": "DE", "source": "web", "currency": "USD"}
APPROVAL = re.compile(r"approval_id\W+(\w+)")
SEARCH, DENIED, PENDING, WAITED = range(4)  # the steps of the script


def always(**arguments: Any) -> Callable[[Sequence[str]], Mapping[str, Any]]:
    return lambda _: arguments


def as_it_was_told(shown: Sequence[str]) -> Mapping[str, Any]:
    """The arguments of lockkeep_wait, taken from the pending answer as a model would."""
    return {"approval_id": approval_in(shown[PENDING]), "max_wait_s": 40}


def approval_in(text: str) -> str:
    found = APPROVAL.search(text)
    return found[1] if found else "none was shown"


SCRIPT = (
    Call("crm_search", always(kind="lead", stage="new", limit=2)),
    Call("crm_upsert_lead", always(**LEAD, email="joe@mail.example", value_minor=100)),
    Call("crm_upsert_lead", always(**LEAD, email="joe@umbra.example", value_minor=20_000_000)),
    Call("lockkeep_wait", as_it_was_told),
    LAST_WORDS,
)
RECORDED = [
    ("call.claimed", "crm.search"),
    ("call.settled", "crm.search"),
    ("call.denied", "crm.upsert_lead"),
    ("call.parked", "crm.upsert_lead"),
    ("approval.voted", None),
    ("approval.approved", None),
    ("call.claimed", "crm.upsert_lead"),
    ("call.settled", "crm.upsert_lead"),
]


@dataclass(frozen=True)
class Played:
    """The story from all sides: what the host printed, what the model met, what the gateway's log holds."""

    said: str
    model: Model
    audit: list[dict[str, Any]]
    sound: bool


@dataclass(frozen=True)
class Stage:
    """A gateway, a model, and an empty home for one host."""

    place: Place
    model: Model
    home: Path
    agents: str  # the token of ana's agent
    bos: str  # bo's own token

    async def play(self, program: Sequence[str], environ: Mapping[str, str]) -> str:
        """What the host printed. It has this environment, no stdin, our two ports, and nothing else."""
        ports = (self.place.port, self.model.port)
        env = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "LOCKKEEP_TOKEN": self.agents, **environ}
        output = self.place.folder / "host.log"
        code: int | None = None
        with (
            TemporaryDirectory(prefix="doors-") as doors,
            anyio.fail_after(LIMIT),
        ):  # sockets want short paths
            async with alone.doors(Path(doors), ports), anyio.create_task_group() as tasks:
                tasks.start_soon(self._agree)
                code = await ended(alone.command(Path(doors), ports, program), self.home, env, output)
                tasks.cancel_scope.cancel()
        said = output.read_text(encoding="utf-8")
        assert code == 0, said[-4000:]
        return said

    async def _agree(self) -> None:
        """Bo looks at what is asked, once the model was told that it waits, and agrees to exactly that."""
        approval = approval_in(await self.model.saw(PENDING))
        shown = await self.place.json("approvals", "show", approval, secret=self.bos)
        await self.place.json("approvals", "approve", approval, "--digest", shown["bound"], secret=self.bos)


async def played(
    folder: Path, program: Callable[[Stage], Sequence[str]], environ: Callable[[Stage], Mapping[str, str]]
) -> Played:
    """The whole story by this host, in a fresh folder; everything that was started has ended."""
    home, place_folder = folder / "home", folder / "gateway"
    home.mkdir()
    place_folder.mkdir()
    async with governed(place_folder) as place, scripted(SCRIPT) as model:
        stage = Stage(place, model, home, await place.token("ana", "lead-router"), await place.token("bo"))
        said = await stage.play(program(stage), environ(stage))
        audit = await place.json("audit", "tail", "--count", "100")
        return Played(said, model, audit, (await place.json("audit", "verify"))["sound"])


def assert_governed(seen: Played, *, host: str, denial: str) -> None:
    """What the model was offered and shown, and what the log holds, step by step."""
    tools = {name.removeprefix("mcp__lockkeep__") for name in seen.model.offered}
    assert {"crm_search", "crm_upsert_lead", "lockkeep_wait", "lockkeep_status"} <= tools
    assert "crm_archive" not in tools  # no rule allows it
    shown = seen.model.shown
    assert "led_" in shown[SEARCH]
    assert denial in shown[DENIED]
    assert "pending_approval" in shown[PENDING]
    assert "joe@umbra.example" in shown[WAITED]
    assert LAST_WORDS in seen.said

    story = [each for each in seen.audit if each["call"]]
    assert [(each["type"], each.get("tool")) for each in story] == RECORDED
    assert [each["outcome"] for each in story if "outcome" in each] == ["succeeded", "succeeded"]
    assert [each["person"] for each in story if "person" in each] == ["bo"]
    actors = [each["actor"] for each in story if "actor" in each]
    assert {(each["user"], each["agent"]) for each in actors} == {("ana", "lead-router")}
    assert {each["host"].partition("/")[0] for each in actors} == {host}
    assert seen.sound


async def ended(command: Sequence[str], folder: Path, environ: Mapping[str, str], output: Path) -> int | None:
    """The program's exit code; whatever happens, nothing it started goes on."""
    with output.open("wb") as log:
        process = await anyio.open_process(
            command, cwd=folder, env=environ, stdin=None, stdout=log, stderr=log, start_new_session=True
        )
        try:
            return await process.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with anyio.CancelScope(shield=True):
                await process.wait()


def installed(pattern: str) -> str:
    """The host's own binary; skips where it is not installed, or could reach more than this machine."""
    found = sorted(HOSTS.glob(pattern))
    if not found:
        pytest.skip(f"{pattern.split('/')[0]} is not installed; tests/hosts/install.sh brings it")
    if not alone.possible():
        pytest.skip(alone.WHY_NOT)
    return str(found[0])
