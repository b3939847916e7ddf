"""`lockkeep notify`: trying the channels that approvals and alarms are announced in."""

from datetime import datetime
from typing import Annotated

import anyio
import typer

from lockkeep.cli.here import Here, here, random_id, utc_now
from lockkeep.cli.show import AsJson, rows
from lockkeep.errors import NotFound
from lockkeep.model import Json
from lockkeep.policy.files.channels import ChannelEntry

app = typer.Typer(help="Where approvals and alarms are announced.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Where approvals and alarms are announced."""


@app.command("test")
def try_channels(
    channel: Annotated[
        str | None, typer.Argument(help="A channel of gateway.yaml. Default: all of them.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send a test message, and say in plain words what is wrong. Exit 1 if a channel does not take it."""
    with here() as place:
        entries = dict(place.rules.gateway.notify) if place.rules else {}
        if channel is not None and channel not in entries:
            raise NotFound(f"there is no channel {channel} in force (known: {', '.join(entries) or 'none'})")
        if not entries:
            raise NotFound("gateway.yaml names no channel; add notify: to it, and `lockkeep policy activate`")
        wanted = [entry for name, entry in entries.items() if channel in (None, name)]
        found = anyio.run(_all, place, wanted)
    rows(("channel", "kind", "ok", "says"), found, as_json)
    if not all(each["ok"] for each in found):
        raise typer.Exit(1)


async def _all(place: Here, entries: list[ChannelEntry]) -> list[dict[str, Json]]:
    return [await _one(place, entry, utc_now()) for entry in entries]


async def _one(place: Here, entry: ChannelEntry, now: datetime) -> dict[str, Json]:
    """What one channel says of itself, and whether it took the message."""
    from lockkeep.notify.channels import channel_of  # web libraries: no other command waits for them
    from lockkeep.notify.port import Notice, Undelivered

    person, name = place.person(), place.rules.gateway.name if place.rules else "gateway"
    own = [
        each.removeprefix("email:")
        for each in (person.accounts if person else ())
        if each.startswith("email:")
    ]
    notice = Notice(
        id=random_id("ntc"),
        event="test",
        at=now,
        gateway=name,
        url=f"{place.settings.url}/inbox",
        addresses=tuple(own),
    )
    made = channel_of(entry, utc_now)
    try:
        said, ok = await made.examine(), True
        await made.deliver(notice, ())
    except Undelivered as error:
        said, ok = str(error), False
    except Exception as error:  # a package of others
        said, ok = f"it failed: {type(error).__name__}", False
    return {"channel": entry.name, "kind": entry.kind, "ok": ok, "says": said}
