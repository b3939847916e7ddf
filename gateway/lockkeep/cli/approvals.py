"""`lockkeep approvals`: what waits for people, and deciding it."""

import time
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from lockkeep.cards.card import card
from lockkeep.cards.changes import change
from lockkeep.cli.here import Here, here, random_id, utc_now
from lockkeep.cli.show import AsJson, data, fail, fields, rows, say, terminal, when
from lockkeep.errors import BadSetting, NotAllowed
from lockkeep.ledger import approvals, calls, edits, fatigue
from lockkeep.ledger.approvals import Decision, Refusal, Voted
from lockkeep.model import ApprovalState, Json, Person
from lockkeep.store import Row

app = typer.Typer(help="What waits for people, and deciding it.", no_args_is_help=True)
COLUMNS = ("id", "state", "tool", "reason", "requester", "agent", "waits_for", "expires_at")
Id = Annotated[str, typer.Argument(help="The approval's id, or its beginning if that is enough.")]
Reason = Annotated[str, typer.Option(help="Why. The agent is told.")]
Digest = Annotated[str, typer.Option(help="The first 12 or more characters of `bound` that `show` printed.")]


@app.command("list")
def list_(
    state: Annotated[ApprovalState, typer.Option(help="Only these.")] = "pending",
    everything: Annotated[bool, typer.Option("--all", help="All states.")] = False,
    as_json: AsJson = False,
) -> None:
    """What people are asked."""
    with here() as place:
        found = place.store.read.all("approvals_list", state=None if everything else state, count=200)
        rows(COLUMNS, [_line(place, row) for row in found], as_json, "Nothing waits for people.")


@app.command()
def show(approval: Id, as_json: AsJson = False) -> None:
    """One approval with everything to decide on."""
    with here() as place:
        row = approvals.find(place.store.read, approval)
        if (person := _voter(place)[0]) is not None:
            place.store.write_now(lambda tx: fatigue.opened(tx, row["id"], person.id, utc_now()))
        owner = place.rules.gateway.agents.get(row["agent"]) if place.rules else None
        found = card(place.store.read, row["id"], None, place.people.persons, owner)
        shown: dict[str, Json] = {
            "id": found.id, "state": found.state, "tool": found.tool, "class": found.risk, "amount": found.amount,
            "subject": found.subject, "reason": found.reason, "rules": list(found.rules), "requester": found.requester,
            "agent": found.agent, "host": found.host, "waits_for": list(found.waits_for), "votes": list(found.votes),
            "expires_at": when(row["expires_at"]), "bound": found.bound, "note": found.note,
        }  # fmt: skip
        if as_json:
            data({**shown, "facts": dict(found.facts), "arguments": dict(found.arguments)})
            return
        fields(shown, False)
        say("\nread by the gateway:")
        fields(dict(found.facts), False, exact=True)
        say("\nwould be sent (texts from outside, not checked):")
        fields(dict(found.arguments), False, exact=True)
        say(f"\nlockkeep approvals approve {found.id} --digest {found.bound[:12]}")


@app.command()
def approve(approval: Id, digest: Digest, reason: Reason = "", as_json: AsJson = False) -> None:
    """Agree to exactly what `show` showed, with your own token."""
    _vote(approval, "approve", digest, reason, as_json)


@app.command()
def confirm(approval: Id, digest: Digest, reason: Reason = "", as_json: AsJson = False) -> None:
    """Your own yes to a call your agent asks for, where a rule says `confirm: requester`."""
    _vote(approval, "confirm", digest, reason, as_json)


@app.command()
def withdraw(approval: Id, reason: Reason = "", as_json: AsJson = False) -> None:
    """Take your own yes back, as long as the call has not run."""
    with here() as place:
        person = _person(place)
        row = approvals.find(place.store.read, approval)
        said = place.store.write_now(
            lambda tx: approvals.withdraw(tx, row["id"], person, reason=reason, now=utc_now())
        )
        _tell(row, said, as_json)


@app.command()
def revoke(approval: Id, reason: Reason, as_json: AsJson = False) -> None:
    """Call off what waits for people or was agreed to, as long as the call has not run. Needs the duty `kill`."""
    with here() as place:
        author = place.author("kill")
        row = approvals.find(place.store.read, approval)
        said = place.store.write_now(
            lambda tx: approvals.revoke(tx, row["id"], author, reason=reason, now=utc_now())
        )
        _tell(row, said, as_json)


@app.command()
def edit(
    approval: Id,
    digest: Digest,
    set_: Annotated[
        list[str], typer.Option("--set", help="NAME=VALUE, as in amount='50 EUR'. Several may stand.")
    ],
    as_json: AsJson = False,
) -> None:
    """Change what the rules let an approver change. Another call takes its place, decided anew; you do not vote on it."""
    with here() as place:
        person = _person(place)
        row = approvals.find(place.store.read, approval)
        owner = place.rules.gateway.agents.get(row["agent"]) if place.rules else None
        changes = {name: value for text in set_ for name, value in _change(text).items()}
        successor = random_id("call")
        said = place.store.write_now(
            lambda tx: edits.edit(
                tx, row["id"], person, changes, successor=successor, shown=digest, now=utc_now(), people=place.people.persons,
                owner=owner,
            )
        )  # fmt: skip
        if isinstance(said, Refusal):
            fail(f"nothing was changed: {said.reason}")
            raise typer.Exit(1)
        shown: dict[str, Json] = {
            "id": row["id"],
            "state": "superseded",
            "call": said.successor,
            "said": said.said,
        }
        fields(shown, as_json)


@app.command()
def deny(approval: Id, reason: Reason, digest: Digest = "", as_json: AsJson = False) -> None:
    """Say no. One no ends it."""
    _vote(approval, "deny", digest, reason, as_json)


@app.command()
def watch(every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.2)] = 2.0) -> None:
    """A list that stays current, until Ctrl-C."""
    with here() as place, Live(console=terminal(), auto_refresh=False) as live:
        try:
            while True:
                place.in_force.refresh()
                live.update(_table(place), refresh=True)
                time.sleep(every)  # noqa: TID251 - a screen for people, no event loop here
        except KeyboardInterrupt:
            return


def _table(place: Here) -> Table:
    table = Table(box=None, header_style="bold", title="Waiting for people")
    for column in COLUMNS:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in place.store.read.all("approvals_list", state="pending", count=50):
        table.add_row(*(str(value or "") for value in _line(place, row).values()))
    return table


def _line(place: Here, row: Row) -> dict[str, Json]:
    waits = (
        approvals.waits_for(place.store.read, row, place.people.persons, utc_now())
        if row["state"] == "pending"
        else ()
    )
    found = {name: row[name] for name in COLUMNS if name not in ("waits_for", "expires_at")}
    return {**found, "waits_for": ", ".join(waits), "expires_at": when(row["expires_at"])}


def _voter(place: Here) -> tuple[Person | None, str]:
    """Whose token it is, or why it is nobody's who votes: such a try is on the record, too."""
    try:
        return place.person(), ""
    except NotAllowed as error:
        return None, str(error)


def _person(place: Here) -> Person:
    person = place.person()
    if person is None:
        raise NotAllowed(
            "this needs your own token: set LOCKKEEP_TOKEN, or LOCKKEEP_TOKEN_FILE to a file of mode 600"
        )
    return person


def _change(text: str) -> dict[str, Json]:
    """`amount=50 EUR` is what stands behind it; other values are JSON, or text."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise BadSetting(f"--set '{text}' is no NAME=VALUE")
    return change(name.strip(), value)


def _tell(row: Row, said: Voted | Refusal, as_json: bool) -> None:
    if isinstance(said, Refusal):
        fail(f"nothing was changed: {said.reason}")
        raise typer.Exit(1)
    fields({"id": row["id"], "tool": row["tool"], "state": said.state}, as_json)


def _vote(approval: str, decision: Decision, digest: str, reason: str, as_json: bool) -> None:
    with here() as place:
        person, why = _voter(place)
        if person is None and not why:
            raise NotAllowed(
                "a vote needs your own token: set LOCKKEEP_TOKEN, or LOCKKEEP_TOKEN_FILE to a file of mode 600"
            )
        row = approvals.find(place.store.read, approval)
        owner = place.rules.gateway.agents.get(row["agent"]) if place.rules else None
        said = place.store.write_now(
            lambda tx: approvals.vote(
                tx, row["id"], person, decision, shown=digest or row["bound"], reason=reason, channel="cli", now=utc_now(),
                people=place.people.persons, owner=owner,
            )
        )  # fmt: skip
        if isinstance(said, Refusal):
            fail(f"the vote was not taken: {why or said.reason}")
            raise typer.Exit(2 if why else 1)
        tool = calls.find(place.store.read, row["call"])["tool"]
        shown: dict[str, Json] = {
            "id": row["id"],
            "tool": tool,
            "state": said.state,
            "waits_for": list(said.waits_for),
        }
        fields(shown, as_json)
