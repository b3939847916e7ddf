"""The channels of gateway.yaml as things that take notices."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import entry_points

from lockkeep.notify.email import EmailChannel
from lockkeep.notify.port import Channel, Notice, Undelivered
from lockkeep.notify.slack import SlackChannel
from lockkeep.notify.webhook import WebhookChannel
from lockkeep.policy.files.channels import GROUP, ChannelEntry


@dataclass(frozen=True)
class MissingChannel:
    """What a channel is that could not be made: it takes nothing and says why."""

    why: str

    async def deliver(self, notice: Notice, places: tuple[str, ...]) -> str | None:
        raise Undelivered(self.why)

    async def examine(self) -> str:
        raise Undelivered(self.why)


def channel_of(entry: ChannelEntry, clock: Callable[[], datetime]) -> Channel:
    """Ours by their kind; others by the entry point of that name, called with their part of gateway.yaml."""
    match entry.kind:
        case "slack":
            return SlackChannel(entry)
        case "email":
            return EmailChannel(entry, clock)
        case "webhook":
            return WebhookChannel(entry, clock)
        case _:
            return _installed(entry)


def _installed(entry: ChannelEntry) -> Channel:
    found = {each.name: each for each in entry_points(group=GROUP)}
    if entry.kind not in found:
        there = ", ".join(sorted(found)) or "none"
        return MissingChannel(f"no package brings channels of kind {entry.kind}; installed: {there}")
    try:
        return found[entry.kind].load()(entry)
    except Exception as error:  # a package of others
        return MissingChannel(f"the channel of kind {entry.kind} cannot be made: {type(error).__name__}")
