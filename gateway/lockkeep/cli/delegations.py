"""`lockkeep approvals delegate`: somebody else decides in your place for a while."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from lockkeep.cli.here import here, utc_now
from lockkeep.cli.show import AsJson, fields, rows, say, when
from lockkeep.errors import BadSetting, NotAllowed
from lockkeep.ledger import delegations
from lockkeep.model import Json
from lockkeep.store import Row

COLUMNS = ("id", "who", "stand_in", "groups", "starts", "ends", "reason", "state")


def delegate(
    to: Annotated[str, typer.Option(help="Who decides in your place: a person of people.yaml.")],
    until: Annotated[str, typer.Option(help="The end: a day, or a time with its offset.")],
    start: Annotated[str, typer.Option("--from", help="The beginning; now, if it is left out.")] = "",
    group: Annotated[
        list[str] | None, typer.Option(help="Only as a member of this group of yours; may be given again.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why. It stands in the record.")] = "",
    as_json: AsJson = False,
) -> None:
    """Let somebody else decide in your place. They never decide what you may not, and cannot pass it on."""
    with here() as place:
        person = place.person()
        if person is None:
            raise NotAllowed("only you lend your seat: set LOCKKEEP_TOKEN to your own token")
        now = utc_now()
        starts, ends = _moment(start) if start else now, _moment(until)
        number = place.store.write_now(
            lambda tx: delegations.lend(
                tx, person, to, groups=group or [], starts=starts, ends=ends, reason=reason, people=place.people.persons, now=now
            )
        )  # fmt: skip
        shown: dict[str, Json] = {
            "id": number, "who": person.id, "stand_in": to, "groups": group or [], "starts": starts.isoformat(), "ends": ends.isoformat(),
        }  # fmt: skip
        fields(shown, as_json)


def undelegate(number: Annotated[int, typer.Argument(help="As `delegations` lists it.")]) -> None:
    """End it before its time: you, or a person with the duty `kill`."""
    with here() as place:
        person = place.person()
        anybodys = person is None or place.people.may(person.id, "kill")
        author = person.id if person else place.author("kill")
        place.store.write_now(
            lambda tx: delegations.take_back(tx, number, author, anybodys=anybodys, now=utc_now())
        )
        say(f"Delegation {number} has ended, by {author}.")


def list_delegations(
    limit: Annotated[int, typer.Option(min=1, max=1_000)] = 50, as_json: AsJson = False
) -> None:
    """Who decides in whose place, the newest first."""
    with here() as place:
        found = [_line(row, utc_now()) for row in place.store.read.all("delegations_list", count=limit)]
        rows(COLUMNS, found, as_json, "Nobody stands in for anybody.")


def _line(row: Row, now: datetime) -> dict[str, Json]:
    starts, ends = datetime.fromisoformat(row["starts"]), datetime.fromisoformat(row["ends"])
    state = "ended" if row["revoked_at"] or ends <= now else "to come" if starts > now else "now"
    return {
        **{name: row[name] for name in ("id", "who", "stand_in", "reason")}, "groups": json.loads(row["groups"]),
        "starts": when(row["starts"]), "ends": when(row["ends"]), "state": state,
    }  # fmt: skip


def _moment(text: str) -> datetime:
    """A day ends, or begins, at midnight of this machine's zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadSetting(
            f"'{text}' is no day and no time; write 2026-12-24, or 2026-12-24T18:00+01:00"
        ) from None
    return found.astimezone(UTC)
