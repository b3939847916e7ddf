"""A gateway's folder made ready by the command line, as a person would."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from lockkeep.store import Store

LOCKKEEP = Path(sys.executable).with_name("lockkeep")
RULES = "rules.yaml"
LIMIT = 60.0


def lockkeep(folder: Path, *command: str, environ: Mapping[str, str] | None = None) -> str:
    """What the command printed; its own words if it fails."""
    done = subprocess.run(
        [LOCKKEEP, *command], cwd=folder, env=environment(environ), capture_output=True, encoding="utf-8", timeout=LIMIT, check=False
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"lockkeep {' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def environment(ours: Mapping[str, str] | None = None) -> dict[str, str]:
    """Without what a developer may have set for a gateway of their own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCKKEEP_")}
    return {**kept, **(ours or {})}


def set_up(
    folder: Path, policies: Path, *, port: int | None = None, environ: Mapping[str, str] | None = None
) -> None:
    """These policies are in force in the folder, and every tool their integrations list with a manifest is accepted."""
    data, ours = folder / ".lockkeep", folder / "policies"
    data.mkdir(mode=0o700)
    Store(data / "lockkeep.db").close()  # `lockkeep init` would bring the starter's policies, too
    # Rules may only name accepted tools, so they come after the tools.
    shutil.copytree(policies, ours, ignore=shutil.ignore_patterns(RULES))
    gateway = ours / "gateway.yaml"
    gateway.write_text(gateway.read_text(encoding="utf-8").replace("PORT", str(port)), encoding="utf-8")
    for seen in json.loads(lockkeep(folder, "catalog", "pull", "--json", environ=environ)):
        lockkeep(folder, "catalog", "accept", seen["integration"], "--expect", seen["hash"], environ=environ)
    shutil.copy(policies / RULES, ours)
    lockkeep(folder, "policy", "activate", "--reason", "tests", environ=environ)


def token(folder: Path, user: str, agent: str | None = None) -> str:
    """A new token of this person, for this agent or to decide with."""
    whose = ("--user", user, *(("--agent", agent) if agent else ()))
    return lockkeep(folder, "token", "create", *whose).strip()
