"""`lockkeep audit prune`, `forget`: what is old, or shall not be kept, goes."""

from datetime import timedelta
from typing import Annotated

import typer

from lockkeep.cli.audit import records, send_heads
from lockkeep.cli.here import Here, here, utc_now
from lockkeep.cli.progress import counted, progress
from lockkeep.cli.show import AsJson, data, fail, say
from lockkeep.errors import Conflict
from lockkeep.ledger import chain, heads, retention
from lockkeep.model import Json
from lockkeep.sinks import sinks_of


def prune(as_json: AsJson = False) -> None:
    """Delete records and payloads older than LOCKKEEP_RETENTION_DAYS, up to a head, and say so in the log."""
    with here() as place:
        author, now = place.author(), utc_now()
        before = now - timedelta(days=place.settings.retention_days)
        upto = retention.end_of(place.store.read, before)
        _sound(place, upto)
        _sent(place)
        deleted = [0, 0]
        with progress("deleting records", upto) as done:
            while True:
                piece = place.store.write_now(
                    lambda tx: retention.prune(
                        tx, heads.make_key(place.settings.data, tx, now), upto=upto, before=before, by=author, now=utc_now()
                    )
                )  # fmt: skip
                if not piece.records and not piece.payloads:
                    break
                deleted = [deleted[0] + piece.records, deleted[1] + piece.payloads]
                done(piece.upto)
        if any(deleted):
            send_heads(place)
        shown: dict[str, Json] = {"records": deleted[0], "payloads": deleted[1], "before": before.isoformat()}
        if as_json:
            data(shown)
        else:
            days = place.settings.retention_days
            say(f"Deleted {deleted[0]} records and {deleted[1]} payloads that were older than {days} days.")


def forget(
    call: Annotated[str, typer.Argument(help="The call's id, or its beginning.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the log.")],
    as_json: AsJson = False,
) -> None:
    """Delete arguments and answer of one call that has ended. Its records stay, and the chain stays whole."""
    with here() as place:
        author = place.author()
        row = retention.find(place.store.read, call)
        place.store.write_now(lambda tx: retention.forget(tx, row, by=author, reason=reason, now=utc_now()))
        data({"call": row["id"], "by": author}) if as_json else say(f"The payload of {row['id']} is deleted.")


def _sound(place: Here, upto: int) -> None:
    """Traces of tampering are not pruned away."""
    if upto:
        found = chain.walked(counted(records(place.store), "checking records", upto))
        if found.tampering:
            for each in found.tampering[:5]:
                fail(f"record {each.seq}: {each.kind}: {each.detail}")
            fail("nothing was deleted: the log was tampered with; keep it as it is, and look")
            raise typer.Exit(1)


def _sent(place: Here) -> None:
    """What is deleted here is attested outside first."""
    sinks = sinks_of(place.settings)
    if not sinks:
        return
    send_heads(place)
    failing = [row["name"] for row in place.store.read.all("sinks_all") if row["failure"]]
    if stuck := [each.name for each in sinks if each.name in failing]:
        raise Conflict(
            f"nothing was deleted: {stuck[0]} takes no heads of the log; mend it, or take it out of the settings"
        )
