"""`lockkeep init`: a starter folder with policies, a ledger, and one admin token."""

import getpass
import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import anyio
import typer

from lockkeep.cli.here import here, random_id, utc_now
from lockkeep.cli.policy import activate_folder
from lockkeep.cli.show import AsJson, data, fail, say
from lockkeep.errors import IntegrationDown
from lockkeep.ledger import callers
from lockkeep.policy import gatewayfile
from lockkeep.policy.bundle import GATEWAY, LOCK, PEOPLE
from lockkeep.policy.positions import Problems, parse
from lockkeep.settings import from_environment
from lockkeep.upstream import Lock, accept, propose, write_lock

STARTER = (GATEWAY, PEOPLE, "leads.yaml", "tests/leads.test.yaml")
ADMIN = "ADMIN"


def init(
    admin: Annotated[
        str | None, typer.Option(help="Who you are in people.yaml; default: your login name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write starter policies and an empty ledger here. Nothing that is there already is touched."""
    settings = from_environment()
    name = admin or re.sub(r"[^a-z0-9-]", "-", getpass.getuser().lower()).strip("-") or "admin"
    if settings.store.exists() or (settings.policies / GATEWAY).exists():
        fail(f"there is a gateway here already ({settings.policies}, {settings.data}); use another folder")
        raise typer.Exit(2)
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chmod(settings.data, 0o700)  # noqa: PTH101 - mkdir's mode is masked
    (settings.data / ".gitignore").write_text(
        "*\n", encoding="utf-8"
    )  # the ledger is no part of anybody's repository
    _write(settings.policies, name)
    (settings.policies / LOCK).write_text(
        anyio.run(_lock, settings.policies, settings.data), encoding="utf-8"
    )
    with here(must_exist=False) as place:
        generation = activate_folder(place, reason="lockkeep init", by=f"local:{getpass.getuser()}")
        secret = place.store.write_now(
            lambda tx: callers.create_token(
                tx, token_id=random_id("tok"), user=name, agent=None, by="init", now=utc_now()
            )
        )
    if as_json:
        data(
            {
                "policies": str(settings.policies),
                "data": str(settings.data),
                "admin": name,
                "token": secret,
                "policy": generation,
            }
        )
        return
    say(
        f"Policies in {settings.policies}/, ledger in {settings.data}/, policy generation {generation} is in force."
    )
    say(
        f"Your own token, {name}, to decide and administer with (shown once; agents get their own):\n\n  {secret}\n"
    )
    say("Next:  lockkeep serve")
    say(f"       lockkeep token create --user {name} --agent lead-router     a token for an agent")
    say(
        f"       lockkeep console login --as {name}                          a link that signs you in to the inbox"
    )


def _write(folder: Path, admin: str) -> None:
    source = files("lockkeep_policies")
    for path in STARTER:
        text = source.joinpath(*path.split("/")).read_text(encoding="utf-8")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(re.sub(rf"\b{ADMIN}\b", admin, text), encoding="utf-8")


async def _lock(folder: Path, data_folder: Path) -> str:
    """The embedded servers' tools as they are in this release: whoever installed us accepts them by that."""
    # the gateway's half: only commands that ask servers wait for its imports
    from lockkeep.app import embedded_environment
    from lockkeep.upstream import Supervisor

    root = parse(GATEWAY, (folder / GATEWAY).read_text(encoding="utf-8"), Problems())
    if root is None:
        raise IntegrationDown(GATEWAY)
    integrations = gatewayfile.read(root, Problems()).integrations
    supervisor = Supervisor(
        integrations.values(), on_change=lambda _: None, environ=embedded_environment(data_folder)
    )
    lock = Lock()
    async with supervisor.running():
        await supervisor.wait_ready(15)
        for each in integrations.values():
            listing = supervisor.listing(each.name)
            if listing is None:
                raise IntegrationDown(f"{each.name}: {supervisor.state(each.name).reason}")
            proposal = propose(each, listing)
            lock = accept(lock, proposal, proposal.hash)
    return write_lock(lock)
