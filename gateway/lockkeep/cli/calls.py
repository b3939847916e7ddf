"""`lockkeep calls`: what happened, and settling what nobody knows."""

import json
from typing import Annotated, Any

import typer

from lockkeep.cli.here import here, utc_now
from lockkeep.cli.show import AsJson, data, fields, rows, say, when
from lockkeep.errors import Conflict, NotAllowed
from lockkeep.ledger import audit, calls, limits
from lockkeep.model import CallState, Json, stamp
from lockkeep.store import Row, Tx

app = typer.Typer(help="What happened, and settling what nobody knows.", no_args_is_help=True)
COLUMNS = ("id", "at", "state", "tool", "subject", "user", "agent", "decided_by", "reason")
Id = Annotated[str, typer.Argument(help="The call's id, or its beginning if that is enough.")]


@app.command("list")
def list_(
    state: Annotated[CallState | None, typer.Option(help="Only these.")] = None,
    tool: Annotated[str | None, typer.Option(help="As in policies: crm.get")] = None,
    agent: Annotated[str | None, typer.Option(help="Only this agent's.")] = None,
    user: Annotated[str | None, typer.Option(help="Only this person's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """The newest calls first."""
    with here() as place:
        found = place.store.read.all(
            "calls_list", state=state, tool=tool, agent=agent, user=user, count=limit
        )
        rows(COLUMNS, [_line(row) for row in found], as_json, "No calls.")


@app.command()
def show(call: Id, as_json: AsJson = False) -> None:
    """One call: what was asked, what every gate said, what was sent and answered."""
    with here() as place:
        row = calls.find(place.store.read, call)
        payload = place.store.read.one("payload_get", call=row["id"])
        found: dict[str, Json] = {name: row[name] for name in row.keys() if row[name] not in (None, "")}  # noqa: SIM118 - a Row is no dict
        found |= {"verdicts": json.loads(row["verdicts"])}
        found |= {name: when(row[name]) for name in ("at", "claimed_at", "settled_at") if row[name]}
        if payload is not None:
            parts = ("arguments", "sent", "facts", "result")
            found |= {name: json.loads(payload[name]) for name in parts if payload[name]}
        found["audit"] = [entry["seq"] for entry in place.store.read.all("audit_of_call", call=row["id"])]
        if as_json:
            data(found)
        else:
            fields(found, False)


@app.command()
def resolve(
    call: Id,
    evidence: Annotated[str, typer.Option(help="How you know: what you saw, where.")],
    applied: Annotated[bool, typer.Option("--applied/--not-applied", help="Whether it happened.")],
    as_json: AsJson = False,
) -> None:
    """Say what became of a call nobody knows the end of. Never the one who asked for it."""
    with here() as place:
        row = calls.find(place.store.read, call)
        author = place.author("resolve")
        if author == row["user"]:
            raise NotAllowed("whoever asked for a call does not say what became of it")
        state = "succeeded" if applied else "not_applied"

        def work(tx: Tx) -> None:
            now = utc_now()
            if not tx.run("call_resolve", id=row["id"], state=state, reason=evidence, at=stamp(now)):
                raise Conflict(f"the call is {row['state']}; only unknown and needs_human ones are resolved")
            if not applied:
                limits.give_back(tx, row["id"])
            audit.append(
                tx, "call.resolved", now, call=row["id"], outcome=state, by=author, evidence=evidence
            )

        place.store.write_now(work)
        if as_json:
            data({"id": row["id"], "state": state, "by": author})
        else:
            say(f"{row['id']} is {state}, by {author}.")


def _line(row: Row) -> dict[str, Json]:
    deny: dict[str, Any] = json.loads(row["deny"]) if row["deny"] else {}
    return {
        **{name: row[name] for name in ("id", "state", "tool", "subject", "user", "agent")},
        "at": when(row["at"]), "decided_by": deny.get("rule") or deny.get("code") or "", "reason": row["reason"] or "",
    }  # fmt: skip
