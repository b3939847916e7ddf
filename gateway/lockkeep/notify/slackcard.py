"""A notice as Slack's blocks: plain text only, nothing that pings, nothing that links but our own address."""

from collections.abc import Iterator

from lockkeep.cards.card import Card
from lockkeep.model import Json
from lockkeep.notify.buttons import value_of
from lockkeep.notify.plain import Part, parts, parts_of, title
from lockkeep.notify.port import Notice

ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
MOST_BLOCKS, LONGEST = 46, 2900  # Slack takes 50 blocks of 3000 characters
APPROVE, DENY, OPEN = "lockkeep_approve", "lockkeep_deny", "lockkeep_open"
TOO_LONG = "… (the rest stands in the inbox)"


def escaped(text: str) -> str:
    """Slack reads no mention, no command and no link out of it."""
    return text.translate(ESCAPES)


def text_of(notice: Notice) -> str:
    """What a phone shows: one line without any text from outside."""
    return escaped(title(notice))


def too_large(card: Card) -> bool:
    """Whether Slack would cut it."""
    lines = [_line(part) for part in parts_of(card)]
    return len(lines) > MOST_BLOCKS or any(len(escaped(line)) > LONGEST for line in lines)


def blocks(notice: Notice) -> list[Json]:
    """Buttons first, then the card in its order."""
    found: list[Json] = [{"type": "header", "text": _plain(title(notice)[:140])}, *_actions(notice)]
    lines = [_line(part) for part in parts(notice)]
    if len(lines) > MOST_BLOCKS:
        lines = [*lines[: MOST_BLOCKS - 1], TOO_LONG]
    return [*found, *({"type": "section", "text": _plain(_short(line))} for line in lines)]


def _actions(notice: Notice) -> Iterator[Json]:
    if notice.card is None:
        return
    link = {"type": "button", "action_id": OPEN, "text": _plain("Open in the inbox"), "url": notice.url}
    if notice.over:
        yield {"type": "actions", "elements": [link]}
        return
    if notice.link_only:
        yield {"type": "section", "text": _plain(f"Decide in the inbox: {notice.link_only}.")}
        yield {"type": "actions", "elements": [link]}
        return
    value = value_of(notice.card)
    yield {
        "type": "actions",
        "elements": [
            {"type": "button", "action_id": APPROVE, "style": "primary", "text": _plain("Approve exactly this"), "value": value},
            {"type": "button", "action_id": DENY, "style": "danger", "text": _plain("Deny"), "value": value},
            link,
        ],
    }  # fmt: skip


def _line(part: Part) -> str:
    return f"{part.label}: {part.text}" if part.label else f"— {part.text} —"


def _short(line: str) -> str:
    """As many characters as Slack takes, never half of an escape."""
    if len(escaped(line)) <= LONGEST:
        return line
    size = LONGEST
    while len(escaped(line[:size])) > LONGEST - len(TOO_LONG):
        size -= 100
    return line[:size] + TOO_LONG


def _plain(text: str) -> Json:
    return {"type": "plain_text", "text": escaped(text) or " ", "emoji": False}
