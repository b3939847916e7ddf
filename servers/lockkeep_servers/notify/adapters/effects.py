"""What each writer of the mailroom does inside its transaction."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lockkeep_servers.kit.errors import IllegalTransition, Invalid, NotFound, Unavailable, WindowClosed
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.results import Undo, changed
from lockkeep_servers.kit.sqlite import Row, Transaction
from lockkeep_servers.kit.times import parse_time, stamp
from lockkeep_servers.notify import checks, port, texts
from lockkeep_servers.notify.texts import Template

QUEUE_ID = "queue"
NO_WAY_BACK = Undo(possible="no", note="A cancelled message is not queued again. Send it anew.")


class TooLate(WindowClosed):
    """The message has gone, or is going."""

    def __init__(self, state: str) -> None:
        super().__init__(0)
        self.message = "The message is out, or on its way; it cannot be called back."
        self.hint = "Write again to correct it."
        self.args = (self.message,)
        self.details = {"state": state}


@dataclass(frozen=True)
class Room:
    """One transaction in the mailroom, and when it happens."""

    tx: Transaction
    now: datetime
    hold_s: int

    def message(self, id: str) -> Row:
        row = self.tx.row("get_message", id=id)
        if row is None:
            raise NotFound("message")
        return row

    def next_id(self) -> str:
        return f"msg_{self.tx.rows('next_number')[0]['last']}"

    def text_of(self, template_id: str, locale: str | None) -> tuple[Template, list[str]]:
        rows = self.tx.rows("get_template", id=template_id)
        if not rows:
            raise NotFound("template")
        return texts.chosen({row["locale"]: template_of(row) for row in rows}, locale)


def template_of(row: Row) -> Template:
    return Template(
        row["id"], row["locale"], row["subject"], row["body"], frozenset(row["variables"].split())
    )


def reference_of(tool: str, key: str | None) -> str:
    """Return the name a message has everywhere outside: one key, one name; without a key nobody can guess it."""
    named = f"{tool}\n{key}" if key is not None else secrets.token_hex(32)
    return hashlib.sha256(f"lockkeep-notify\n{named}".encode()).hexdigest()[:40]


def send(room: Room, ask: port.Send) -> Effect:
    """The mail is queued, and waits until it is due."""
    to = checks.usable_address(ask.to)
    due = checks.due(room.now, room.hold_s, ask.schedule_at)
    key = checks.address_key(to)
    recipient = room.tx.row("get_recipient", address=key)
    subject, body, warnings = _wording(room, ask, recipient)
    checks.not_suppressed(room.tx.row("get_suppressed", address=key))
    checks.not_quiet_hours(recipient, due)
    if recipient is None:
        warnings.append("not_quiet_hours: the quiet hours of this address are not known")
    if _queue(room)["paused"]:
        warnings.append("The queue is paused: it goes when somebody lets the queue go on.")
    id = room.next_id()
    room.tx.run(
        "add_message",
        **_row(room, id, "send", ask.idempotency_key),
        kind="mail",
        recipient=to,
        ref=ask.ref,
        subject=subject,
        body=body,
        template_id=ask.template_id,
        status="queued",
        due_at=stamp(due),
        not_before=stamp(due),
    )
    after = {"state": "queued", "to": to, "ref": ask.ref, "subject": subject, "due_at": stamp(due)}
    undo = Undo(possible="until", until=due, note="Once it has gone it cannot be called back.")
    if due <= room.now:
        undo = Undo(possible="no", note="It goes at once.")
    return Effect(id, "1", None, after, undo, tuple(warnings))


def post(room: Room, ask: port.Post, reference: str, place: str | None) -> Effect:
    """The post stands on record: sent where it was made in this transaction, else on its way."""
    if not ask.text.strip():
        raise Invalid({"text": "must not be empty"})
    id = room.next_id()
    row = _row(room, id, "post", None) | {"reference": reference, "place": place}
    room.tx.run(
        "add_message",
        **row,
        kind="chat",
        recipient=ask.channel,
        ref=ask.ref,
        subject=None,
        body=ask.text,
        template_id=None,
        status="sending" if place is None else "sent",
        due_at=stamp(room.now),
        not_before=stamp(room.now),
    )
    after = {"state": "sent", "channel": ask.channel} | ({"ref": ask.ref} if ask.ref else {})
    return Effect(id, "1", None, after, Undo(possible="yes", note="Who read it has read it."))


def cancel_queued(room: Room, ask: port.Cancel) -> Effect:
    """What was queued does not go."""
    if ask.ref is not None:
        return _cancel_all(room, ask.ref)
    row = room.message(ask.message_id or "")
    if row["status"] == "cancelled":
        return _nothing(row["id"], row["version"])
    if row["status"] in ("failed", "expired"):
        raise IllegalTransition([])
    if room.tx.run("cancel_queued", id=row["id"], now=stamp(room.now)) == 0:
        raise TooLate(row["status"])
    return _cancelled(row)


def cancel_post(row: Row) -> Effect:
    """The post is to be deleted; whoever calls this does it, and then says so."""
    if row["status"] == "cancelled":
        return _nothing(row["id"], row["version"])
    if row["status"] == "sending":
        raise Unavailable("The post is on its way.")
    return _cancelled(row)


def pause(room: Room, ask: port.PauseQueue) -> Effect:
    """Nothing is sent while the queue is paused; when it goes on, what is still wanted goes once."""
    queue = _queue(room)
    before, after = changed({"paused": bool(queue["paused"])}, {"paused": ask.paused})
    if not after:
        return _nothing(QUEUE_ID, queue["version"])
    room.tx.run("put_queue", paused=int(ask.paused), reason=ask.reason, now=stamp(room.now))
    return Effect(QUEUE_ID, str(queue["version"] + 1), before, after, warnings=_on_the_wire(room, ask.paused))


def preview(room: Room, ask: port.Preview) -> port.Previewed:
    """Return the text as it would go; variables that are missing stay in braces."""
    template, warnings = room.text_of(ask.template_id, ask.locale)
    _few(ask.vars)
    subject, body = texts.fill(template.subject, ask.vars), texts.fill(template.body, ask.vars)
    if (fault := texts.header_fault(subject)) is not None:
        warnings.append(f"The subject {fault}: it would be refused.")
    if len(body) > texts.LARGEST_BODY:
        warnings.append("The text is too long: it would be refused.")
    return port.Previewed(
        subject=subject,
        body=body,
        locale=template.locale,
        missing=texts.missing(template, ask.vars),
        warnings=[*warnings, *texts.unused(template, ask.vars)],
    )


def view(row: Row) -> port.Message:
    return port.Message(
        message_id=row["id"],
        kind=row["kind"],
        state=row["status"],
        at=parse_time(row["updated_at"]),
        to=row["recipient"],
        ref=row["ref"],
        subject=row["subject"],
        due_at=parse_time(row["due_at"]),
        why=row["why"],
    )


def one_named(ask: port.Cancel | port.Status) -> None:
    if (ask.message_id is None) == (ask.ref is None):
        raise Invalid({"message_id": "give either message_id or ref"})


def _wording(room: Room, ask: port.Send, recipient: Row | None) -> tuple[str, str, list[str]]:
    written = ask.subject is not None or ask.body is not None
    if (ask.template_id is None) == (not written) or (ask.vars is not None and ask.template_id is None):
        raise Invalid({"template_id": "give either template_id with vars, or subject and body"})
    if ask.template_id is None:
        return (*_own_words(ask.subject, ask.body), [])
    given = ask.vars or {}
    _few(given)
    template, warnings = room.text_of(ask.template_id, recipient["locale"] if recipient else None)
    checks.vars_complete(texts.missing(template, given))
    subject, body = texts.fill(template.subject, given), texts.fill(template.body, given)
    if (fault := texts.header_fault(subject)) is not None:
        raise Invalid({"vars": f"the subject {fault}"})
    if len(body) > texts.LARGEST_BODY:
        raise Invalid({"vars": f"make the text longer than {texts.LARGEST_BODY} characters"})
    return subject, body, [*warnings, *texts.unused(template, given)]


def _own_words(subject: str | None, body: str | None) -> tuple[str, str]:
    faults = {
        name: "is required with the other"
        for name, value in (("subject", subject), ("body", body))
        if value is None
    }
    if faults or subject is None or body is None:
        raise Invalid(faults)
    if (fault := texts.header_fault(subject)) is not None:
        raise Invalid({"subject": fault})
    if not body.strip():
        raise Invalid({"body": "must not be empty"})
    return subject, body


def _few(given: Mapping[str, str]) -> None:
    if len(given) > texts.MOST_VARS:
        raise Invalid({"vars": f"has more than {texts.MOST_VARS} entries"})


def _row(room: Room, id: str, tool: str, key: str | None) -> dict[str, Any]:
    return {
        "id": id,
        "reference": reference_of(tool, key),
        "claimed_by": None,
        "lease_until": None,
        "place": None,
        "created_at": stamp(room.now),
    }


def _cancel_all(room: Room, ref: str) -> Effect:
    """Of a ref only what is queued is cancelled; the receipt says what was out already."""
    known = room.tx.rows("messages_of_ref", ref=ref, limit=1)
    if not known:
        raise NotFound("message")
    queued = room.tx.rows("queued_of_ref", ref=ref)
    for row in queued:
        room.tx.run("cancel_queued", id=row["id"], now=stamp(room.now))
    if not queued:
        return _nothing(ref, 1, "Nothing of this ref was queued; what has gone cannot be called back.")
    ids = [row["id"] for row in queued]
    return Effect(ref, "1", {"state": "queued"}, {"state": "cancelled", "message_ids": ids}, NO_WAY_BACK)


def _cancelled(row: Row) -> Effect:
    version = str(row["version"] + 1)
    return Effect(row["id"], version, {"state": row["status"]}, {"state": "cancelled"}, NO_WAY_BACK)


def _nothing(id: str, version: int, *warnings: str) -> Effect:
    return Effect(id, str(version), {}, {}, warnings=warnings)


def _queue(room: Room) -> Row:
    return room.tx.rows("get_queue")[0]


def _on_the_wire(room: Room, paused: bool) -> tuple[str, ...]:
    counts = {row["status"]: row["count"] for row in room.tx.rows("count_status")}
    sending = counts.get("sending", 0)
    return (f"{sending} messages were already on their way.",) if paused and sending else ()
