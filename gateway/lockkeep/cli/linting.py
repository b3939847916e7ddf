"""`lockkeep policy lint`, `simulate`: what the files may not mean, and what one kind of caller may do."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import Annotated

import typer

from lockkeep.cli.here import Here, here, utc_now
from lockkeep.cli.policy import DoesNotLoad, Folder, checked, run_cases
from lockkeep.cli.problems import AsFormat, Format, tell
from lockkeep.cli.show import AsJson, rows, say
from lockkeep.errors import NotFound
from lockkeep.ledger import generations
from lockkeep.model import moment
from lockkeep.policy import simulate as simulating
from lockkeep.policy.bundle import PolicySet, read_folder
from lockkeep.policy.lint import lint as findings
from lockkeep.policy.lint.times import observed
from lockkeep.policy.positions import nearest
from lockkeep.settings import from_environment

FARTHEST = 200  # generations that are looked at


def lint(
    folder: Folder = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if anything is found.")] = False,
    form: AsFormat = Format.text,
    as_json: AsJson = False,
) -> None:
    """Warn of what loads and may not be meant. `# lint: allow ID WHY` on a line silences one."""
    where = folder or from_environment().policies
    files = read_folder(where)
    form = Format.json if as_json else form
    loaded, problems = checked(files, ends=False)
    if loaded is None or problems:
        tell(problems, files, where, form)
        raise typer.Exit(3)
    fired = {rule for each in run_cases(loaded) for rule in each.fired}
    found = findings(loaded, _today(loaded), since=_since(files), fired=fired)
    tell(found, files, where, form)
    if form is Format.text:
        say(f"{len(found)} warning{'' if len(found) == 1 else 's'} in {len(files)} files.")
    if found and strict:
        raise typer.Exit(1)


def simulate(
    agent: Annotated[str, typer.Option(help="The agent that calls.")],
    role: Annotated[
        list[str] | None, typer.Option(help="A role of the caller; several times for several.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="A person of people.yaml; brings their roles.")] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """For each accepted tool what such a caller may do: always, after people agree, it depends, or never."""
    files = read_folder(folder or from_environment().policies)
    loaded, problems = checked(files, ends=False)
    if loaded is None or problems:
        raise DoesNotLoad("the policy files do not load\n" + "\n".join(map(str, problems)))
    caller = _caller(loaded, agent, role or [], user)
    found = simulating.simulate(loaded, caller, _today(loaded))
    rows(simulating.COLUMNS, [each.row for each in found], as_json, "No tool is accepted.")


def _caller(loaded: PolicySet, agent: str, roles: list[str], user: str | None) -> simulating.Caller:
    """Names nobody knows would make an answer that means nothing."""
    people = loaded.people
    known = frozenset[str]().union(*people.groups.values())
    if not roles and user is None:
        raise typer.BadParameter("say who: --role ROLE, or --user PERSON")
    for name, there, what in (
        (agent, loaded.gateway.agents, "agent"),
        *((role, known, "role") for role in roles),
        *(((user, people.persons, "person"),) if user is not None else ()),
    ):
        if name not in there:
            raise NotFound(f"there is no {what} '{name}'; {nearest(name, there)}")
    person = people.persons.get(user or "")
    own = frozenset(roles) | (person.roles if person else frozenset[str]())
    return simulating.Caller(agent=agent, roles=own, user=user, manager=person.manager if person else None)


def _today(loaded: PolicySet) -> date:
    return utc_now().astimezone(loaded.zone).date()


def _since(files: Mapping[str, str]) -> dict[str, date] | None:
    """Since when each rule only observes, as far as the store tells; None without a store."""
    watching = observed(files)
    if not watching:
        return {}
    with suppress(NotFound), here() as place:
        return observed_since(place, watching)
    return None


def observed_since(place: Here, watching: set[str]) -> dict[str, date]:
    """Back through the sets that were in force, as long as the rule only observed."""
    found: dict[str, date] = {}
    for row in place.store.read.all("generations_list", count=FARTHEST):
        stored = generations.get(place.store.read, row["id"])
        watching = watching & observed(stored.files) if stored else set[str]()
        if not watching:
            break
        at: datetime = moment(row["at"])
        found |= dict.fromkeys(watching, at.date())
    return found
