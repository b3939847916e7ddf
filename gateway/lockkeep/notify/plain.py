"""A notice as parts in the fixed order of the card. Text from outside is quoted already and never becomes a link."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lockkeep.cards.card import Card
from lockkeep.notify.port import Alarm, Notice

DOT = re.compile(r"(?<=[^\W_])[.。．｡](?=[^\W\d_])")
STATES = {
    "pending": "waits for people", "approved": "approved", "consumed": "approved and run", "denied": "denied",
    "expired": "expired", "cancelled": "called off", "superseded": "replaced by another call",
    "void": "void: what would run has changed",
}  # fmt: skip
OUTSIDE = "Would be sent (from the agent or from outside, not checked)"


@dataclass(frozen=True, slots=True)
class Part:
    """One line. An `outside` text is somebody else's word; a line without a label is a heading."""

    label: str
    text: str
    outside: bool = False


def unlinked(text: str) -> str:
    """No program makes a link of it: what looks like the name of a host has its dots in brackets."""
    return DOT.sub("[.]", text.replace("://", "[:]//"))


def title(notice: Notice) -> str:
    """One line without any text from outside."""
    if notice.card is not None:
        card = notice.card
        amount = f", {card.amount}" if card.amount else ""
        return f"{card.tool}{amount} {STATES.get(card.state, card.state)}"
    if notice.alarm is not None:
        alarm = notice.alarm
        if alarm.lifted_by:
            return f"{alarm.mode} of {alarm.scope} lifted by {alarm.lifted_by}"
        return f"{alarm.mode} of {alarm.scope} by {alarm.by}"
    return f"Test message of {notice.gateway}"


def parts(notice: Notice) -> list[Part]:
    """Everything people need, each text from outside unlinked."""
    if notice.card is not None:
        return parts_of(notice.card)
    if notice.alarm is not None:
        return _unlinked(_alarm(notice.alarm))
    return [Part("", "If you can read this, approvals and alarms arrive here.")]


def parts_of(card: Card) -> list[Part]:
    return _unlinked(_card(card))


def _unlinked(found: Iterable[Part]) -> list[Part]:
    return [Part(each.label, unlinked(each.text), True) if each.outside else each for each in found]


def _card(card: Card) -> Iterator[Part]:
    yield Part("Tool", f"{card.tool} ({card.risk.replace('_', ' ')})")
    if card.amount:
        yield Part("Amount", card.amount)
    if card.subject:
        yield Part("About", card.subject, True)
    yield Part("", OUTSIDE)
    for name, value in card.arguments:
        yield Part(unlinked(name), value, True)
    yield Part("Why people are asked", card.reason, True)
    yield Part("Rules", ", ".join(card.rules))
    run = f", run {card.run}" if card.run else ""
    yield Part("Asked by", f"{card.requester}, with agent {card.agent} in {card.host}{run}", True)
    yield Part("", "Read by the gateway" if card.facts else "The rule needed no look-up")
    for name, value in card.facts:
        yield Part(unlinked(name), value, True)
    for vote in card.votes:
        yield Part("Said", vote, True)
    if card.waits_for:
        yield Part("Still needed", ", ".join(card.waits_for))
    if card.state == "pending":
        yield Part("Until", f"{card.expires_at:%Y-%m-%d %H:%M} UTC")
    else:
        yield Part("State", STATES.get(card.state, card.state))
    if card.note:
        yield Part("Ended with", card.note, True)
    yield Part("Bound to", card.bound[:16])


def _alarm(alarm: Alarm) -> Iterator[Part]:
    yield Part("Stopped", f"{alarm.scope} ({alarm.mode})")
    yield Part("By", alarm.by)
    yield Part("Why", alarm.reason, True)
    if alarm.lifted_by:
        yield Part("Lifted by", alarm.lifted_by)
        yield Part("Because", alarm.note or "no reason was given", True)
