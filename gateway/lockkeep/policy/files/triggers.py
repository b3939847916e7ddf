"""What begins a workflow's runs: a question asked again and again, a webhook, a schedule, documents, or somebody."""

import re
from dataclasses import dataclass

from lockkeep.policy.files.reading import Reader
from lockkeep.policy.files.schedule import Schedule, schedule_of
from lockkeep.policy.positions import Text

TRIGGER = ("poll", "every", "each", "webhook", "schedule", "file", "manual")
WAYS = ("poll", "webhook", "schedule", "file", "manual")
WEBHOOK = ("secret", "each")
FILE = ("folder", "mailbox", "match")
CREDENTIAL = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """`call` is asked every so many seconds; `each` of what it answers is a subject."""

    call: Text
    every: float
    each: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    secret: str  # a reference
    each: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """Documents that arrive in a folder or a mailbox. `match`: their names, with `*` for anything."""

    folder: str | None = None
    mailbox: str | None = None
    match: str = "*"


@dataclass(frozen=True, slots=True)
class Manual:
    """Whoever opens a run names its subject."""


Trigger = Poll | Webhook | Schedule | Inbox | Manual


def read(reader: Reader) -> Trigger | None:
    node, problems = reader.need("trigger"), reader.problems
    if node is None:
        return None
    inner = Reader(node, "trigger", problems, TRIGGER)
    there = [way for way in WAYS if inner.get(way) is not None]
    if len(there) != 1:
        message = "a trigger says one of: poll, webhook, schedule, file, manual: true"
        inner.complain(
            TRIGGER, message, "poll: integration.tool(arguments), every: 1 minute, each: result.items"
        )
        return None
    way = there[0]
    for key in ("every", "each") if way != "poll" else ():
        if (other := inner.get(key)) is not None:
            hint = "write it inside of webhook: {…}" if (way, key) == ("webhook", "each") else "take it out"
            problems.add(other.place, f"'{key}' belongs to a trigger with poll", hint)
    if way == "poll":
        return _poll(inner)
    if way == "webhook":
        return _webhook(Reader(inner.get(way), "webhook", problems, WEBHOOK))
    if way == "file":
        return _inbox(Reader(inner.get(way), "file", problems, FILE))
    if way == "schedule":
        text = inner.text(way)
        return schedule_of(text, problems) if text is not None else None
    return _manual(inner)


def _poll(inner: Reader) -> Poll | None:
    call, every, each = inner.text("poll"), inner.seconds("every"), inner.text("each", needed=True)
    inner.need("every")
    return Poll(call=call, every=every, each=each) if call and every and each else None


def _webhook(inner: Reader) -> Webhook | None:
    secret = inner.text("secret", needed=True)
    if secret is not None and not CREDENTIAL.fullmatch(secret.text):
        message = "a credential is a reference, never the secret itself"
        inner.problems.add(secret.place, message, "write env:NAME or file:PATH", code="secret")
    return Webhook(secret=secret.text, each=inner.text("each")) if secret is not None else None


def _inbox(inner: Reader) -> Inbox:
    folder, mailbox, match = inner.text("folder"), inner.text("mailbox"), inner.text("match")
    if (folder is None) == (mailbox is None):
        message = "documents come from a folder or from a mailbox"
        inner.complain(FILE[:2], message, "file: {folder: PATH}, or file: {mailbox: NAME}")
    return Inbox(
        folder=folder.text if folder else None, mailbox=mailbox.text if mailbox else None,
        match=match.text if match else "*",
    )  # fmt: skip


def _manual(inner: Reader) -> Manual:
    node = inner.get("manual")
    if not inner.flag("manual") and isinstance(node, Text) and node.value is False:
        inner.problems.add(node.place, "then nothing would begin a run", "write manual: true")
    return Manual()
