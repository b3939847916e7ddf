"""What tools answer with: models whose empty optional fields are left out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, WithJsonSchema, model_serializer


class Result(BaseModel):
    """Optional fields without a value are absent; a required field may be null."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_serializer(mode="wrap")
    def _leave_out(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        required = {
            field.alias or name for name, field in type(self).model_fields.items() if field.is_required()
        }
        written: dict[str, Any] = handler(self)
        return {name: value for name, value in written.items() if value is not None or name in required}


class Undo(Result):
    possible: Literal["yes", "until", "no"]
    until: datetime | None = None
    note: str | None = None


class Receipt(Result):
    """The answer of every writer. `before` and `after` hold changed fields only; `before: null` = created."""

    applied: bool
    replayed: bool
    id: str
    version: str
    before: dict[str, Any] | None
    after: dict[str, Any]
    undo: Annotated[Undo, WithJsonSchema({"type": "object"})]  # shown short: seven tools answer with it
    warnings: list[str]


class Receipted(Result):
    """What became of a key."""

    state: Literal["absent", "started", "committed", "unknown", "cancelled"]
    tool: str | None = None
    receipt: Receipt | None = None
    retry_after_s: int | None = None


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both images, cut down to the fields that differ."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}
