"""What the scripted model does in every host, and what must come of it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
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


def as_it_was_told(shown: Sequence[str]) -> Mapping[str, Any]:
    """The arguments of lockkeep_wait, taken from the pending answer as a model would."""
    return {"approval_id": approval_in(shown[PENDING]), "max_wait_s": 40}


def approval_in(text: str) -> str:
    found = APPROVAL.search(text)
    return found[1] if found else "none was shown"


def always(**arguments: Any) -> Callable[[Sequence[str]], Mapping[str, Any]]:
    return lambda _: arguments


SCRIPT = (
    Call("crm_search", always(kind="lead", stage="new", limit=2)),
    Call("crm_upsert_lead", always(**LEAD, email="joe@mail.example", value_minor=100)),
    Call("crm_upsert_lead", always(**LEAD, email="joe@umbra.example", value_minor=20_000_000)),
    Call("lockkeep_wait", as_it_was_told),
    LAST_WORDS,
)


@dataclass(frozen=True)
class Record:
    """The ledger after the story: every call, oldest first, the one approval, and whether the log is sound."""

    calls: list[dict[str, Any]]
    approval: dict[str, Any]
    sound: bool


@dataclass(frozen=True)
class Played:
    """The story from all sides: what the host printed, what the model met, what the gateway kept."""

    said: str
    model: Model
    record: Record


@dataclass(frozen=True)
class Stage:
    """A gateway, a model, and an empty home for one host."""

    place: Place
    model: Model
    home: Path
    secret: str  # of ana's agent

    async def play(self, program: Sequence[str], environ: Mapping[str, str]) -> str:
        """What the host printed. It has this environment, no stdin, our two ports, and nothing else."""
        ports = (self.place.port, self.model.port)
        doors = self.place.folder / "doors"
        doors.mkdir()
        command = alone.command(doors, ports, program) if alone.possible() else program
        env = {
            "HOME": str(self.home),
            "PATH": "/usr/bin:/bin",
            "LOCKKEEP_TOKEN": self.secret,
            **NOWHERE,
            **environ,
        }
        ended: list[CompletedProcess[bytes]] = []
        with anyio.fail_after(LIMIT):
            async with alone.doors(doors, ports), anyio.create_task_group() as tasks:
                tasks.start_soon(self._agree)
                ended.append(await anyio.run_process(command, cwd=self.home, env=env, check=False))
                tasks.cancel_scope.cancel()
        (done,) = ended
        said = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == 0, said[-4000:]
        return said

    async def _agree(self) -> None:
        """Bo looks at what is asked, once the model was told that it waits, and agrees to exactly that."""
        approval = approval_in(await self.model.saw(PENDING))
        bo = await self.place.token("bo")
        shown = await self.place.json("approvals", "show", approval, secret=bo)
        await self.place.json("approvals", "approve", approval, "--digest", shown["bound"], secret=bo)

    async def record(self) -> Record:
        """What the gateway's own command line says of it all."""
        listed = await self.place.json("calls", "list")
        (approval,) = await self.place.json("approvals", "list", "--all")
        return Record(
            calls=[await self.place.json("calls", "show", each["id"]) for each in reversed(listed)],
            approval=await self.place.json("approvals", "show", approval["id"]),
            sound=(await self.place.json("audit", "verify"))["sound"],
        )


NOWHERE = {  # where no network of its own can be made, what honours these still meets a closed door
    "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1,localhost",
}  # fmt: skip


async def played(
    folder: Path, program: Callable[[Stage], Sequence[str]], environ: Callable[[Stage], Mapping[str, str]]
) -> Played:
    """The whole story by this host, in a fresh folder; everything that was started has ended."""
    home, place_folder = folder / "home", folder / "gateway"
    home.mkdir()
    place_folder.mkdir()
    async with governed(place_folder) as place, scripted(SCRIPT) as model:
        stage = Stage(place, model, home, await place.token("ana", "lead-router"))
        said = await stage.play(program(stage), environ(stage))
        return Played(said, model, await stage.record())


def assert_governed(seen: Played, *, host: str) -> None:
    """What the model was shown, and what the ledger holds, step by step."""
    tools = {name.removeprefix("mcp__lockkeep__") for name in seen.model.offered}
    assert {"crm_search", "crm_upsert_lead", "lockkeep_wait", "lockkeep_status"} <= tools
    assert "crm_archive" not in tools  # no rule allows it
    shown = seen.model.shown; [print("SHOWN", each[:1200]) for each in shown]; print(seen.model.requests, sorted(seen.model.offered))
    assert "led_" in shown[SEARCH]
    assert "DENIED rule=leads/free-mail" in shown[DENIED]
    assert "pending_approval" in shown[PENDING]
    assert "joe@umbra.example" in shown[WAITED]
    assert LAST_WORDS in seen.said

    calls = seen.record.calls
    assert [(each["tool"], each["state"]) for each in calls] == [
        ("crm.search", "succeeded"), ("crm.upsert_lead", "denied"), ("crm.upsert_lead", "succeeded"),
    ]  # fmt: skip
    assert {(each["user"], each["agent"]) for each in calls} == {("ana", "lead-router")}
    assert [each["host"] for each in calls if not each["host"].startswith(host)] == []
    assert (seen.record.approval["state"], seen.record.approval["votes"]) == ("consumed", ["bo: approve"])
    assert seen.record.sound


def installed(pattern: str) -> str:
    """The host's own binary; skips where it is not installed."""
    found = sorted(HOSTS.glob(pattern))
    if not found:
        pytest.skip(
            f"{pattern.split('/')[0]} is not in tests/hosts/node_modules; tests/hosts/install.sh brings it"
        )
    return str(found[0])
