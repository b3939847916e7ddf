"""`lockkeep audit`: the chain, checked and shown."""

import json
from typing import Annotated

import typer

from lockkeep.cli.here import here
from lockkeep.cli.show import AsJson, data, rows, say, when
from lockkeep.ledger import audit
from lockkeep.model import Json
from lockkeep.store import Store

app = typer.Typer(help="The tamper-evident log.", no_args_is_help=True)
PAGE = 5_000


@app.command()
def verify(
    size: Annotated[
        int | None, typer.Option(help="How many records the head that left this machine covers.")
    ] = None,
    head: Annotated[str | None, typer.Option(help="The hash of that head.")] = None,
    as_json: AsJson = False,
) -> None:
    """Walk the whole chain. Exit 0: sound; 1: tampered with, and where."""
    with here() as place:
        found = audit.verify(_records(place.store), size=size, head=head)
        last = place.store.read.one("audit_head")
        shown: dict[str, Json] = {
            "sound": not found, "records": last["seq"] if last else 0, "head": last["hash"] if last else audit.GENESIS,
            "tampering": [{"seq": each.seq, "kind": each.kind, "detail": each.detail} for each in found[:50]],
        }  # fmt: skip
        if as_json:
            data(shown)
        elif not found:
            say(f"Sound: {shown['records']} records, head {shown['head']}")
        else:
            for each in found[:50]:
                say(f"record {each.seq}: {each.kind}: {each.detail}")
        if found:
            raise typer.Exit(1)


@app.command()
def tail(
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=10_000)] = 20, as_json: AsJson = False
) -> None:
    """The newest records."""
    with here() as place:
        found = [
            json.loads(row["record"]) for row in reversed(place.store.read.all("audit_tail", count=count))
        ]
        if as_json:
            data(found)
            return
        rows(
            ("seq", "at", "type", "tool", "call", "who", "said"),
            [_line(each) for each in found],
            False,
            "No records.",
        )


def _line(record: dict[str, Json]) -> dict[str, Json]:
    actor: dict[str, Json] = record.get("actor") or {}
    who = (
        record.get("person")
        or record.get("by")
        or "/".join(str(actor[key]) for key in ("user", "agent") if key in actor)
    )
    said = record.get("outcome") or record.get("code") or record.get("decision") or record.get("reason") or ""
    return {**record, "at": when(record["at"]), "who": who, "said": said}


def _records(store: Store):
    seq = 1
    while page := store.read.all("audit_from", seq=seq, count=PAGE):
        for row in page:
            yield row["seq"], row["hash"], row["record"]
        seq = page[-1]["seq"] + 1
