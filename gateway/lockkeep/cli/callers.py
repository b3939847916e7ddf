"""`lockkeep people`, `token`, `console`: who may call, who may decide, and signing in."""

import re
from typing import Annotated

import typer

from lockkeep.cli.here import Here, here, random_id, utc_now
from lockkeep.cli.policy import activate_folder
from lockkeep.cli.show import AsJson, data, fields, rows, say, when
from lockkeep.errors import BadPolicySet, NotAllowed, NotFound
from lockkeep.ledger import audit, callers
from lockkeep.model import Json
from lockkeep.policy.bundle import PEOPLE, read_folder
from lockkeep.policy.files.editing import with_entry

people = typer.Typer(help="Who is known. Everything stands in people.yaml.", no_args_is_help=True)
token = typer.Typer(help="API tokens: one user and one agent each.", no_args_is_help=True)
console = typer.Typer(help="Signing in to the inbox.", no_args_is_help=True)
NAME = re.compile(r"[a-z][a-z0-9._-]{0,62}")


@people.command("add")
def add_person(
    name: Annotated[str, typer.Argument(help="a-z, 0-9 and - . _")],
    group: Annotated[list[str], typer.Option(help="A group of people.yaml; may be given again.")],
    as_json: AsJson = False,
) -> None:
    """Write a person into people.yaml and bring the file into force."""
    if not NAME.fullmatch(name):
        raise BadPolicySet(f"'{name}' is no name: a-z, 0-9 and - . _, beginning with a letter")
    with here() as place:
        author = place.author("activate")
        path = place.settings.policies / PEOPLE
        before = read_folder(place.settings.policies).get(PEOPLE)
        if before is None:
            raise NotFound(f"{path} is missing; `lockkeep init` makes a starter folder")
        after = with_entry(PEOPLE, before, "people", name, f"{{groups: [{', '.join(group)}]}}")
        generation = activate_folder(place, reason=f"people add {name}", by=author, changed={PEOPLE: after})
        path.write_text(after, encoding="utf-8")
        place.store.write_now(
            lambda tx: audit.append(tx, "people.added", utc_now(), person=name, groups=list(group), by=author)
        )
        fields({"person": name, "groups": list(group), "policy": generation}, as_json)


@people.command("list")
def list_people(as_json: AsJson = False) -> None:
    """Everybody, with groups and roles."""
    with here() as place:
        found = [
            {"person": each.id, "groups": sorted(each.groups), "roles": sorted(each.roles)}
            for each in place.people.persons.values()
        ]
        rows(("person", "groups", "roles"), found, as_json, "people.yaml names nobody.")


@token.command("create")
def create_token(
    user: Annotated[str, typer.Option(help="A person of people.yaml.")],
    agent: Annotated[
        str | None,
        typer.Option(help="An agent of gateway.yaml. Without it: the person's own token, to decide with."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """A new token, printed once."""
    with here() as place:
        author = place.author("activate")
        _known(place, user, agent)
        token_id = random_id("tok")
        secret = place.store.write_now(
            lambda tx: callers.create_token(
                tx, token_id=token_id, user=user, agent=agent, by=author, now=utc_now()
            )
        )
        if as_json:
            data({"id": token_id, "token": secret, "user": user, "agent": agent})
        else:
            say(secret)


@token.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """All tokens, never their secrets."""
    with here() as place:
        found: list[dict[str, Json]] = [
            {**dict(row), "at": when(row["at"]), "revoked_at": when(row["revoked_at"])}
            for row in place.store.read.all("tokens_list")
        ]
        rows(("id", "user", "agent", "by", "at", "revoked_at"), found, as_json, "No tokens.")


@token.command("revoke")
def revoke_token(token_id: Annotated[str, typer.Argument(help="tok_…")], as_json: AsJson = False) -> None:
    """The token ends at once."""
    with here() as place:
        author = place.author("activate")
        place.store.write_now(lambda tx: callers.revoke(tx, token_id, by=author, now=utc_now()))
        fields({"id": token_id, "revoked_by": author}, as_json)


@console.command("login")
def login(
    person: Annotated[
        str | None, typer.Option("--as", help="A person of people.yaml; default: the person of your token.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """A link that signs a person in to the inbox once, within ten minutes."""
    with here() as place:
        own = place.person()
        if own is not None and person not in (None, own.id):
            raise NotAllowed(f"this token is {own.id}'s; nobody signs in as somebody else")
        name = own.id if own else person
        if name is None:
            raise NotFound("say who you are: --as NAME, or set LOCKKEEP_TOKEN")
        _known(place, name, None)
        code = place.store.write_now(
            lambda tx: callers.create_link(tx, person=name, by=place.author(), now=utc_now())
        )
        link = f"{place.settings.url}/sign-in?code={code}"
        data({"person": name, "link": link}) if as_json else say(link)


def _known(place: Here, user: str, agent: str | None) -> None:
    rules = place.rules
    if user not in place.people.persons:
        raise NotFound(f"{user} is not in people.yaml; add: lockkeep people add {user} --group GROUP")
    if agent is not None and (rules is None or agent not in rules.gateway.agents):
        known = ", ".join(rules.gateway.agents) if rules else "none"
        raise NotFound(f"agent {agent} is not in gateway.yaml (known: {known})")
