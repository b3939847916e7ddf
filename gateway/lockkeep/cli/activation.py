"""`lockkeep policy activate`, `agree`, `rollback`: what comes into force, by whom, and with whose consent."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import typer

from lockkeep.cli.here import Here, here, random_id, utc_now
from lockkeep.cli.policy import DoesNotLoad, app, good
from lockkeep.cli.show import AsJson, data, say
from lockkeep.errors import NotAllowed, NotFound
from lockkeep.ledger import generations
from lockkeep.ledger.generations import Proposal
from lockkeep.policy.bundle import load, read_folder

LONGEST_WATCH = timedelta(days=14)
Why = Annotated[str, typer.Option(help="Why; it stays with the set.")]


@app.command()
def activate(
    reason: Why = "",
    observe: Annotated[
        bool, typer.Option(help="First days: most rules only observe, until a date. Two people.")
    ] = False,
    until: Annotated[
        str | None, typer.Option(help="With --observe: the last day, at most 14 days ahead.")
    ] = None,
    enforce: Annotated[bool, typer.Option(help="Ends observing now.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check, test and bring the folder into force, whole or not at all."""
    with here() as place:
        last = _last_day(until, reason) if observe else None if enforce else _watching(place)
        if until is not None and not observe:
            raise typer.BadParameter("--until goes with --observe")
        files = read_folder(place.settings.policies)
        good(files)
        _into_force(place, files, last, reason, as_json, two=observe)


@app.command()
def agree(
    proposal: Annotated[str, typer.Argument(help="The proposal's id, or its beginning.")],
    as_json: AsJson = False,
) -> None:
    """The second person: brings into force exactly what was proposed."""
    with here() as place:
        wanted = generations.proposal(place.store.read, proposal)
        by = place.author("activate")
        _second(place, wanted, by)
        made = place.store.write_now(lambda tx: generations.agree(tx, wanted, by=by, now=utc_now()))
        _told(made.id, made.observe_until, as_json)


@app.command()
def rollback(
    generation: Annotated[
        int | None,
        typer.Argument(help="A number of `lockkeep policy history`; default: the one before this."),
    ] = None,
    reason: Why = "",
    as_json: AsJson = False,
) -> None:
    """An earlier set comes into force again, as a new generation."""
    with here() as place:
        newest = generations.newest(place.store.read)
        wanted = generations.get(place.store.read, newest - 1 if generation is None else generation)
        if wanted is None or wanted.id == newest:
            raise NotFound("there is no earlier set like that; `lockkeep policy history` lists them")
        found, problems = load(wanted.files)
        if found is None:
            raise DoesNotLoad(
                f"set {wanted.id} does not load in this release\n" + "\n".join(map(str, problems))
            )
        why = f"back to {wanted.id}" + (f": {reason}" if reason else "")
        _into_force(place, wanted.files, _watching(place), why, as_json)


def _into_force(
    place: Here, files: Mapping[str, str], last: date | None, reason: str, as_json: bool, *, two: bool = False
) -> None:
    """At once, or as a proposal where a second person has to agree."""
    by, after = place.author("activate"), generations.newest(place.store.read)
    if (
        place.rules is not None
        and dict(place.rules.files) == dict(files)
        and last == place.rules.observe_until
    ):
        _told(after, last, as_json)
        return
    groups = place.people.duties.get("activate", frozenset[str]())
    if two or len(groups) > 1:
        wanted = Proposal(random_id("prp"), after, files, last, by, reason)
        place.store.write_now(lambda tx: generations.propose(tx, wanted, utc_now()))
        next_ = f"lockkeep policy agree {wanted.id}"
        data({"proposal": wanted.id, "next": next_}) if as_json else say(
            f"Not in force yet: a second person has to agree.\n    {next_}"
        )
        return
    made = place.store.write_now(
        lambda tx: generations.activate(
            tx, files, after=after, by=by, reason=reason, now=utc_now(), observe_until=last
        )
    )
    _told(made.id, last, as_json)


def _second(place: Here, wanted: Proposal, by: str) -> None:
    """Another human being; where the duty names two groups, both groups are heard."""
    persons, groups = place.people.persons, place.people.duties.get("activate", frozenset[str]())
    if by == wanted.by:
        raise NotAllowed("a second person agrees, not the one who proposed it")
    if by not in persons or (wanted.by not in persons and len(groups) > 1):
        raise NotAllowed(
            "agreeing takes people of people.yaml, each with a token of their own (LOCKKEEP_TOKEN)"
        )
    first = persons[wanted.by].groups & groups if wanted.by in persons else frozenset[str]()
    second = persons[by].groups & groups
    if len(groups) > 1 and not any(a != b for a in first for b in second):
        raise NotAllowed(f"one person of each of these groups is needed: {', '.join(sorted(groups))}")


def _last_day(text: str | None, reason: str) -> date:
    if text is None or not reason.strip():
        raise typer.BadParameter("--observe needs --until DATE and --reason WHY")
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is no day; write --until 2027-03-31") from None
    today = datetime.now(UTC).date()
    if not today <= found <= today + LONGEST_WATCH:
        raise typer.BadParameter(f"--until lies between today and 14 days ahead, {today + LONGEST_WATCH}")
    return found


def _watching(place: Here) -> date | None:
    """What is being observed goes on until its day."""
    return place.rules.observe_until if place.rules else None


def _told(generation: int, last: date | None, as_json: bool) -> None:
    if as_json:
        data({"policy": generation, "observe_until": last.isoformat() if last else None})
        return
    say(f"Policy generation {generation} is in force.")
    if last is not None:
        say(
            f"Until {last.isoformat()} it only observes reads, notes and writes; money and worse are governed as ever."
        )
