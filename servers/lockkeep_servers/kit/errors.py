"""The closed set of errors a tool may answer with.

All but `in_progress` and `unknown_outcome` promise that nothing was applied.
No text here may quote what a caller or a record said: errors are read by models.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

Code = Literal[
    "invalid", "not_found", "conflict", "idempotency_conflict", "cancelled", "window_closed", "auth", "forbidden",
    "unsupported", "check_failed", "duplicate", "illegal_transition", "insufficient_stock", "rate_expired",
    "price_above_max", "rate_limited", "unavailable", "in_progress", "unknown_outcome",
]  # fmt: skip


class ToolError(Exception):
    """The tool did not do what it was asked; the code says why."""

    code: ClassVar[Code]
    retry: str = "no"  # no | after:SECONDS | same-key | verify

    def __init__(self, message: str, *, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details: dict[str, Any] = details

    def as_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "message": self.message,
            "retry": self.retry,
            "hint": self.hint,
            "details": self.details,
        }

    def as_text(self) -> str:
        lines = [f"ERROR code={self.code} retry={self.retry}", self.message, self.hint]
        fields: Sequence[Mapping[str, str]] = self.details.get("fields", ())
        lines += [f"{fault['field']}: {fault['problem']}" for fault in fields]
        return "\n".join(line for line in lines if line)


class Invalid(ToolError):
    """The arguments cannot be used; every faulty field is named at once."""

    code = "invalid"

    def __init__(self, faults: Mapping[str, str]) -> None:
        fields = [{"field": field, "problem": problem} for field, problem in faults.items()]
        super().__init__(
            "The arguments are not valid.", hint="Correct every field named here.", fields=fields
        )


class NotFound(ToolError):
    """Nothing has that id."""

    code = "not_found"

    def __init__(self, kind: str) -> None:
        super().__init__(f"There is no {kind} with this id.", hint="Search for it first.", kind=kind)


class Conflict(ToolError):
    """Somebody changed it meanwhile; nothing was written."""

    code = "conflict"

    def __init__(self, version: str | None, changed: Sequence[str]) -> None:
        super().__init__(
            "It changed since the version you expected.",
            hint="Read it again and decide again.",
            version=version,
            changed=list(changed),
        )


class IdempotencyConflict(ToolError):
    """The key already names another call."""

    code = "idempotency_conflict"

    def __init__(self) -> None:
        super().__init__("This key was used with another tool or other arguments.", hint="Use a new key.")


class Cancelled(ToolError):
    """The key was fenced; it never runs."""

    code = "cancelled"

    def __init__(self) -> None:
        super().__init__("This key was closed before it ran.", hint="Use a new key if it is still wanted.")


class InProgress(ToolError):
    """The same key is running now."""

    code = "in_progress"
    retry = "verify"

    def __init__(self) -> None:
        super().__init__("A call with this key is running.", hint="Ask get_receipt what became of it.")


class UnknownOutcome(ToolError):
    """It was begun, and whether it happened is not known."""

    code = "unknown_outcome"
    retry = "verify"

    def __init__(self, **details: Any) -> None:
        super().__init__(
            "Whether this was applied is not known.", hint="Ask get_receipt; do not repeat it.", **details
        )


class Unavailable(ToolError):
    """The back end refused or could not be reached; nothing was applied."""

    code = "unavailable"
    retry = "same-key"

    def __init__(self, message: str = "The back end did not answer.", **details: Any) -> None:
        super().__init__(message, hint="Try again with the same key.", **details)


class NotApplied(Exception):
    """Our own code failed inside a transaction, which was rolled back: nothing was applied. Its cause says where."""


class CheckFailed(ToolError):
    """An integrity check said no."""

    code = "check_failed"

    def __init__(self, check: str, message: str, *, hint: str = "", **details: Any) -> None:
        super().__init__(message, hint=hint, check=check, **details)


class Duplicate(ToolError):
    """Something else holds the natural key."""

    code = "duplicate"

    def __init__(self, kind: str, existing_id: str) -> None:
        super().__init__(
            f"Another {kind} holds this key.",
            hint="Use the existing one.",
            existing_id=existing_id,
            check="no_duplicate",
        )


class IllegalTransition(ToolError):
    """The state machine has no such step."""

    code = "illegal_transition"

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(
            "This step is not possible from here.", hint="See details.allowed.", allowed=list(allowed)
        )


class WindowClosed(ToolError):
    """Too late to undo."""

    code = "window_closed"

    def __init__(self, days: int) -> None:
        super().__init__(
            f"This can be undone for {days} days only.", hint="Make the change by hand.", days=days
        )


class Unsupported(ToolError):
    """A declared gap of the adapter."""

    code = "unsupported"


class InsufficientStock(ToolError):
    """There is less than was asked for; nothing was taken."""

    code = "insufficient_stock"

    def __init__(self, short: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(
            "There is not enough in stock.",
            hint="See details.short; take less, or another warehouse.",
            check="stock_available",
            short=[dict(each) for each in short],  # sku, asked, available
        )


class RateExpired(ToolError):
    """The quoted price is no longer good."""

    code = "rate_expired"

    def __init__(self) -> None:
        super().__init__("This quote has expired.", hint="Quote again.", check="rate_valid")


class PriceAboveMax(ToolError):
    """It costs more than the caller allowed."""

    code = "price_above_max"

    def __init__(self, amount_minor: int, currency: str) -> None:
        super().__init__(
            "It costs more than the most you allowed.",
            hint="Quote again, or allow more.",
            check="within_max",
            amount_minor=amount_minor,
            currency=currency,
        )


class RateLimited(ToolError):
    """The back end wants a pause; nothing was applied."""

    code = "rate_limited"

    def __init__(self, after_s: int) -> None:
        super().__init__("The back end asks for a pause.", hint="Wait, then use the same key.")
        self.retry = f"after:{after_s}"


class Auth(ToolError):
    """The back end does not take our credential."""

    code = "auth"

    def __init__(self) -> None:
        super().__init__(
            "The back end refused our credential.", hint="An administrator runs this server's doctor."
        )


class Forbidden(ToolError):
    """The credential is good, but may not do this."""

    code = "forbidden"

    def __init__(self) -> None:
        super().__init__(
            "Our credential may not do this at the back end.",
            hint="An administrator runs this server's doctor.",
        )
