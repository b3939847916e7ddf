"""`lockkeep audit`: the chain, checked and shown."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import anyio
import typer

from lockkeep.cli.here import Here, here, utc_now
from lockkeep.cli.progress import counted
from lockkeep.cli.show import AsJson, data, fail, rows, say, when
from lockkeep.errors import BadSetting, LockkeepError, Unreadable
from lockkeep.heads import Heads
from lockkeep.ledger import chain, heads
from lockkeep.ledger.chain import Mark, Record, Tampering, Verified
from lockkeep.model import Json
from lockkeep.sinks import sinks_of
from lockkeep.store import Store

app = typer.Typer(help="The tamper-evident log.", no_args_is_help=True)
PAGE, SHOWN = 5_000, 50
HASH = 64


@app.command()
def verify(
    export: Annotated[
        Path | None,
        typer.Option(help="An export (JSON lines) to check instead of the ledger. Needs no ledger."),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            help="Heads that left the machine: a file, or a folder of them. With --size: a hash you noted."
        ),
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            help="The public key, as `lockkeep audit key` prints it; default: the ledger's own. Several, if it changed."
        ),
    ] = None,
    size: Annotated[int | None, typer.Option(help="How many records the noted hash covers.")] = None,
    part: Annotated[
        bool,
        typer.Option("--part", help="The export is a part of the log; miss nothing before and after it."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Walk the whole chain. Exit 0: sound; 1: tampered with, how and where; 2: it cannot be read."""
    keys = [heads.public_key(each) for each in key or ()]
    if export is not None:
        marks, faults = _outside(head, size, keys)
        _told(verified_file(export, marks, part=part), faults, as_json)
        return
    with here() as place:
        if not keys and (own := heads.key_of(place.settings.data)) is not None:
            keys = [own.public]
        marks, faults = _outside(head, size, keys)
        _told(verified(place.store, marks), faults, as_json)


@app.command("key")
def show_key(as_json: AsJson = False) -> None:
    """Print the public key that checks heads. Keep it where the heads go."""
    with here() as place:
        made = place.store.write_now(lambda tx: heads.make_key(place.settings.data, tx, utc_now()))
        public = made.public
        if as_json:
            data({"installation": public.installation, "key": public.pem})
        else:
            say(public.pem.strip())


@app.command("head")
def show_head(as_json: AsJson = False) -> None:
    """Sign the log as it ends now, send that head to every place outside, and print it."""
    with here() as place:
        folder = place.settings.data
        taken = place.store.write_now(
            lambda tx: heads.take(tx, heads.make_key(folder, tx, utc_now()), utc_now())
        )
        send_heads(place)
        data(json.loads(taken.head.text)) if as_json else say(taken.head.text)


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


def send_heads(place: Here) -> None:
    """For commands after which the head shall leave at once. What they did stands, whatever becomes of the head."""
    try:
        sinks = sinks_of(place.settings)
        worker = Heads(store=place.store, folder=place.settings.data, sinks=sinks, clock=utc_now)
        anyio.run(lambda: worker.run_once(at_once=True))
    except (LockkeepError, OSError) as error:
        fail(f"the head of the log was not sent: {error}")


def verified(store: Store, marks: Sequence[Mark] = ()) -> Verified:
    """The ledger's own chain."""
    end = store.read.one("audit_head")
    return chain.walked(counted(records(store), "checking records", end["seq"] if end else 0), marks)


def verified_file(path: Path, marks: Sequence[Mark] = (), *, part: bool = False) -> Verified:
    """An export: each line is the bytes that were hashed."""
    with path.open("rb") as file:
        lines = sum(1 for _ in file)
    found = chain.walked(counted(_lines(path), "checking records", lines), marks, part=part)
    if not found.last and not marks:
        raise Unreadable(f"{path} holds no records; `lockkeep audit export` writes such files")
    return found


def records(store: Store, first: int = 1) -> Iterator[Record]:
    """Every record from this number on, a page at a time."""
    seq = first
    while page := store.read.all("audit_from", seq=seq, count=PAGE):
        for row in page:
            yield row["seq"], row["hash"], row["record"]
        seq = page[-1]["seq"] + 1


def _lines(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for each in file:
            text = each.removesuffix(b"\n").decode("utf-8", "surrogateescape")
            yield None, chain.hashed(text), text


def _outside(
    head: str | None, size: int | None, keys: Sequence[heads.PublicKey]
) -> tuple[list[Mark], list[Tampering]]:
    """What is known outside, and heads whose signature is wrong: those prove nothing."""
    if head is None:
        if size is not None:
            raise BadSetting("--size says how many records a noted hash covers; give it with --head HASH")
        return [], []
    if size is not None:
        if len(head) != HASH:
            raise BadSetting("with --size, --head is the hash you noted: 64 hexadecimal digits")
        return [Mark(size, head)], []
    if not keys:
        raise BadSetting("a head proves nothing without the key it was signed with; give --key FILE")
    found = heads.heads_in(Path(head))
    named = {key.installation: key for key in keys}
    faults = {each: fault for each in found if (fault := named.get(each.installation, keys[0]).fault(each))}
    return [each.mark for each in found if each not in faults], list(faults.values())


def _told(found: Verified, faults: Sequence[Tampering], as_json: bool) -> None:
    tampering = [*faults, *found.tampering]
    shown: dict[str, Json] = {
        "sound": not tampering, "first": found.first, "records": found.last, "head": found.head, "gaps": list(found.gaps),
        "tampering": [{"seq": each.seq, "kind": each.kind, "detail": each.detail} for each in tampering[:SHOWN]],
    }  # fmt: skip
    if as_json:
        data(shown)
    else:
        for gap in found.gaps:
            say(gap)
        if not tampering:
            say(f"Sound: {found.last} records, head {found.head}")
        for each in tampering[:SHOWN]:
            say(f"record {each.seq}: {each.kind}: {each.detail}")
        if len(tampering) > SHOWN:
            say(f"and {len(tampering) - SHOWN} more")
    if tampering:
        raise typer.Exit(1)


def _line(record: dict[str, Json]) -> dict[str, Json]:
    actor: dict[str, Json] = record.get("actor") or {}
    who = (
        record.get("person")
        or record.get("by")
        or "/".join(str(actor[key]) for key in ("user", "agent") if key in actor)
    )
    said = record.get("outcome") or record.get("code") or record.get("decision") or record.get("reason") or ""
    return {**record, "at": when(record["at"]), "who": who, "said": said}
