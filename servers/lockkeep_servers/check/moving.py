"""What any change moves, and its undo does not move back."""

from collections.abc import Collection, Mapping
from typing import Any, cast

MOVING = frozenset({"version", "sequence", "at", "number"})


def still(shown: Any, ignore: Collection[str] = ()) -> Any:
    """Return it without versions, sequences, time stamps, and what the case declares to move."""
    if isinstance(shown, Mapping):
        items = cast(Mapping[str, Any], shown).items()
        return {name: still(part, ignore) for name, part in items if not moves(name, ignore)}
    if isinstance(shown, list):
        return [still(part, ignore) for part in cast(list[Any], shown)]
    return shown


def moves(name: str, ignore: Collection[str] = ()) -> bool:
    return name in MOVING or name.endswith("_at") or name in ignore
