"""A tool result becomes one outcome. What cannot be read for sure is `Unknown`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from lockkeep_client.outcomes import (
    Cancelled,
    Denied,
    Diverted,
    Expired,
    Failed,
    Outcome,
    Pending,
    Shadowed,
    Succeeded,
    Undone,
    Unknown,
)
from lockkeep_client.wire import items_of, record, text_of

CALL = "lockkeep/call"
ASK = "Ask status() what happened; do not send the call again under a new key."


class _Common(TypedDict):
    call_id: str | None
    deduplicated: bool
    text: str


@dataclass(frozen=True)
class _Reading:
    """One result, taken apart."""

    value: Any
    fields: dict[str, Any]
    note: dict[str, Any]  # what the gateway says about the call, in `_meta`
    text: str
    is_error: bool

    def common(self) -> _Common:
        # A result may have a call_id of its own; in an error it is the gateway's.
        named = text_of(self.fields.get("call_id")) if self.is_error else ""
        return {
            "call_id": text_of(self.note.get("id")) or named or None,
            "deduplicated": self.note.get("deduplicated") is True,
            "text": self.text,
        }

    def besides(self, *known: str) -> dict[str, Any]:
        told = {k: v for k, v in self.note.items() if k not in ("id", "outcome", "deduplicated")}
        return told | {k: v for k, v in self.fields.items() if k not in ("status", "call_id", *known)}

    def words(self, *names: str) -> dict[str, str]:
        return {name: text_of(self.fields.get(name)) for name in names}


def outcome_of(result: Mapping[str, Any]) -> Outcome:
    """The outcome a `tools/call` result tells; the word in `_meta` decides where there is one."""
    value = result.get("structuredContent")
    reading = _Reading(
        value=value,
        fields=record(value),
        note=record(record(result.get("_meta")).get(CALL)),
        text=_text(result.get("content")),
        is_error=result.get("isError") is True,
    )
    if result.get("resultType") not in (None, "complete"):
        return _unknown(reading)  # a question to the caller, which this gateway never asks
    word = reading.note.get("outcome")
    if not isinstance(word, str):
        word = _word_without_note(reading)
    return _READERS.get(word, _unknown)(reading)


def _word_without_note(reading: _Reading) -> str:
    """Without the gateway's note an ordinary result is a success and an error is only what it proves."""
    status = text_of(reading.fields.get("status"))
    if status == "pending_approval" and "approval_id" in reading.fields:
        return status
    if not reading.is_error:
        return "succeeded"
    if isinstance(reading.fields.get("error"), dict):
        return "failed"
    return status if status in ("denied", "expired", "cancelled") else "unknown"


def _succeeded(reading: _Reading) -> Outcome:
    if reading.is_error:
        return _unknown(reading)  # the two halves contradict each other
    return Succeeded(value=reading.value, **reading.common(), extra=_told(reading))


def _shadowed(reading: _Reading) -> Outcome:
    return Shadowed(value=reading.value, **reading.common(), extra=_told(reading))


def _failed(reading: _Reading) -> Outcome:
    error = record(reading.fields.get("error"))
    return Failed(error=error, **reading.common(), extra=reading.besides("error"))


def _denied(reading: _Reading) -> Outcome:
    known = ("code", "rule", "reason", "fix", "retry")
    return Denied(**reading.words(*known), **reading.common(), extra=reading.besides(*known))


def _pending(reading: _Reading) -> Outcome:
    known = ("approval_id", "reason", "url", "next")
    words = reading.words(*known)
    expires_at = _moment(reading.fields.get("expires_at"))
    if not words["approval_id"]:
        return _unknown(reading)  # nobody could wait on it
    return Pending(
        **words,
        approvers=tuple(items_of(reading.fields.get("approvers"))),
        expires_at=expires_at,
        **reading.common(),
        extra=reading.besides(*known, "approvers", "resume", *(("expires_at",) if expires_at else ())),
    )


def _unknown(reading: _Reading) -> Outcome:
    word = reading.note.get("outcome", "unknown")
    surprise = {} if word == "unknown" else {"outcome": word}
    next_step = text_of(reading.fields.get("next")) or ASK
    return Unknown(next=next_step, **reading.common(), extra=reading.besides("next") | surprise)


def _ended(
    kind: type[Diverted] | type[Expired] | type[Cancelled] | type[Undone],
) -> Callable[[_Reading], Outcome]:
    def read(reading: _Reading) -> Outcome:
        words = reading.words("reason", "next")
        return kind(**words, **reading.common(), extra=reading.besides("reason", "next"))

    return read


_READERS: Mapping[str, Callable[[_Reading], Outcome]] = {
    "succeeded": _succeeded,
    "failed": _failed,
    "denied": _denied,
    "pending_approval": _pending,
    "unknown": _unknown,
    "shadowed": _shadowed,
    "diverted": _ended(Diverted),
    "expired": _ended(Expired),
    "cancelled": _ended(Cancelled),
    "undone": _ended(Undone),
}


def _told(reading: _Reading) -> dict[str, Any]:
    return {k: v for k, v in reading.note.items() if k not in ("id", "outcome", "deduplicated")}


def _text(content: object) -> str:
    blocks = [record(block) for block in items_of(content)]
    return "\n".join(text_of(block.get("text")) for block in blocks if block.get("type") == "text")


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text_of(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
