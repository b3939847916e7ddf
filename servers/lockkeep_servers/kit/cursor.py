"""An opaque cursor: where the last page ended, and a digest of the filters it belongs to."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any, cast

from lockkeep_servers.kit.errors import Invalid

MOST_DIGITS = 18  # of a row's number; SQLite holds no more


def write_cursor(place: str, filters: Mapping[str, Any]) -> str:
    raw = json.dumps([place, _mark(filters)], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, filters: Mapping[str, Any]) -> str:
    """Return the place to go on behind, empty for the start; a cursor not ours, or of other filters, is `invalid`."""
    if cursor is None:
        return ""
    try:
        raw: Any = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        raise Invalid({"cursor": "is not a cursor of this tool"}) from None
    parts = cast(list[Any], raw) if isinstance(raw, list) else []
    if len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        raise Invalid({"cursor": "is not a cursor of this tool"})
    if parts[1] != _mark(filters):
        raise Invalid({"cursor": "belongs to other filters"})
    return parts[0]


def read_row(cursor: str | None, filters: Mapping[str, Any]) -> int:
    """Return the number of the row to go on behind, 0 for the start; anything else is `invalid`."""
    place = read_cursor(cursor, filters) or "0"
    if not (place.isascii() and place.isdigit() and len(place) <= MOST_DIGITS):
        raise Invalid({"cursor": "is not a cursor of this tool"})
    return int(place)


def _mark(filters: Mapping[str, Any]) -> str:
    raw = json.dumps(filters, sort_keys=True, default=str)
    return hashlib.sha256(raw.encode()).hexdigest()[:16]
