"""`lockkeep init`: a starter folder with policies, a ledger, and one admin token."""

import getpass
import os
import re
from collections.abc import Mapping, Sequence
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
from lockkeep.policy.bundle import GATEWAY, LOCK, PEOPLE
from lockkeep.policy.files import gatewayfile
from lockkeep.policy.positions import Problems, parse
from lockkeep.policy.schema import schema
from lockkeep.settings import from_environment
from lockkeep.upstream import Lock, accept, propose, write_lock

SMALL = (GATEWAY, PEOPLE, "leads.yaml", "tests/leads.test.yaml")
STARTERS = ("leads", "support", "rebooking", "orders", "onboarding", "invoices", "followup")
ALL, ADMIN = "all", "ADMIN"
ENTRY = re.compile(r"  (?P<name>[a-z-]+):.*\n")  # a line of integrations, agents or groups
AGENT = re.compile(r"applies_to: \{agents: \[([a-z-]+)")


def init(
    admin: Annotated[
        str | None, typer.Option(help="Who you are in people.yaml; default: your login name.")
    ] = None,
    starter: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Policies to begin with, also several: {', '.join(STARTERS)}, {ALL}; default: leads, and no more than it needs."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write starter policies and an empty ledger here. Nothing that is there already is touched."""
    settings = from_environment()
    name = admin or re.sub(r"[^a-z0-9-]", "-", getpass.getuser().lower()).strip("-") or "admin"
    if settings.store.exists() or (settings.policies / GATEWAY).exists():
        fail(f"there is a gateway here already ({settings.policies}, {settings.data}); use another folder")
        raise typer.Exit(2)
    if unknown := set(starter or ()) - {*STARTERS, ALL}:
        fail(f"there is no starter {', '.join(sorted(unknown))}; there are: {', '.join((*STARTERS, ALL))}")
        raise typer.Exit(2)
    texts = starter_files(starter or ())
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chmod(settings.data, 0o700)  # noqa: PTH101 - mkdir's mode is masked
    (settings.data / ".gitignore").write_text(
        "*\n", encoding="utf-8"
    )  # the ledger is no part of anybody's repository
    _write(settings.policies, texts, name)
    (settings.policies / LOCK).write_text(
        anyio.run(_lock, settings.policies, settings.data), encoding="utf-8"
    )
    schema.write(settings.policies)  # with the names of the tools
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
    say(f"       lockkeep token create --user {name} --agent {_first_agent(texts):15} a token for an agent")
    say(
        f"       lockkeep console login --as {name}                          a link that signs you in to the inbox"
    )


def starter_files(names: Sequence[str]) -> dict[str, str]:
    """The small folder; or these policies with their tests, and of the large folder's people and gateway what they need."""
    if not names:
        return {path: _shipped(path) for path in SMALL}
    chosen = [name for name in STARTERS if name in names or ALL in names]
    policies = {f"{name}.yaml": _shipped(f"{name}.yaml") for name in chosen}
    tests = {f"tests/{name}.test.yaml": _shipped(f"tests/{name}.test.yaml") for name in chosen}
    spoken_of = _names("".join(policies.values()))
    around = {path: _only(_shipped(f"{ALL}/{path}"), spoken_of) for path in (GATEWAY, PEOPLE)}
    return {**around, **policies, **tests}


def _names(policies: str) -> set[str]:
    """Everything that may be an integration, an agent or a group there: before a dot, in a list, or the owner."""
    listed = ",".join(re.findall(r"\[([^\[\]]*)\]", policies))
    before_a_dot, owners = re.findall(r"\b([a-z]+)\.", policies), re.findall(r"owner: (\S+)", policies)
    return {"admins", *(name.strip() for name in listed.split(",")), *before_a_dot, *owners}


def _only(text: str, names: set[str]) -> str:
    """The text without the entries that nobody speaks of."""
    return ENTRY.sub(lambda line: line[0] if line["name"] in names else "", text)


def _first_agent(texts: Mapping[str, str]) -> str:
    return next(found[1] for text in texts.values() if (found := AGENT.search(text)))


def _shipped(path: str) -> str:
    return files("lockkeep_policies").joinpath(*path.split("/")).read_text(encoding="utf-8")


def _write(folder: Path, texts: Mapping[str, str], admin: str) -> None:
    for path, text in texts.items():
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
