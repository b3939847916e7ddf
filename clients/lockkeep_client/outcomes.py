"""How a call ended, or stands: a closed set. Match on the class.

match await client.call("crm.assign_owner", {...}):
    case Succeeded(value=value): ...
    case Pending() as pending: outcome = await client.wait(pending, timeout=600)
    case Denied(reason=reason, fix=fix): ...
    case Unknown(call_id=id): ...   # it may have happened: ask, never send it again
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


def _nothing() -> dict[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What every outcome carries; `extra` keeps the fields this client does not know."""

    call_id: str | None = None
    deduplicated: bool = False  # the recorded outcome of an earlier, identical call
    text: str = ""  # what a model would read
    extra: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, kw_only=True)
class Succeeded(Answer):
    """It happened, once. `value` is the tool's structured result."""

    value: Any = None


@dataclass(frozen=True, kw_only=True)
class Failed(Answer):
    """The tool refused or failed, and nothing was changed."""

    error: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, kw_only=True)
class Denied(Answer):
    """Not allowed, and nothing was sent. `fix` says what would be, `retry` when to try again."""

    code: str = ""
    rule: str = ""
    reason: str = ""
    fix: str = ""
    retry: str = ""


@dataclass(frozen=True, kw_only=True)
class Pending(Answer):
    """People must agree first. Wait on it; sending the identical call again attaches to this one."""

    approval_id: str
    reason: str = ""
    approvers: tuple[Any, ...] = ()
    expires_at: datetime | None = None
    url: str = ""
    next: str = ""


@dataclass(frozen=True, kw_only=True)
class Unknown(Answer):
    """It may have happened. Ask `status`; never send it again under a new key."""

    next: str = ""


@dataclass(frozen=True, kw_only=True)
class Shadowed(Answer):
    """All rules spoke, nothing was sent; `value` is simulated."""

    value: Any = None


@dataclass(frozen=True, kw_only=True)
class Diverted(Answer):
    """People do this one; nothing was sent."""

    reason: str = ""
    next: str = ""


@dataclass(frozen=True, kw_only=True)
class Expired(Answer):
    """Nobody agreed in time; nothing was sent."""

    reason: str = ""
    next: str = ""


@dataclass(frozen=True, kw_only=True)
class Cancelled(Answer):
    """The request was taken back before it ran; nothing was sent."""

    reason: str = ""
    next: str = ""


@dataclass(frozen=True, kw_only=True)
class Undone(Answer):
    """It happened, and was taken back since."""

    reason: str = ""
    next: str = ""


# Closed: an outcome word the client does not know reads as Unknown.
Outcome = Succeeded | Failed | Denied | Pending | Unknown | Shadowed | Diverted | Expired | Cancelled | Undone
