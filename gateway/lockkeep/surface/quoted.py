"""Text of callers and servers, made safe to look at: no control, bidi, zero-width or tag characters; cut, with its length."""

import json

from lockkeep.model import Json
from lockkeep.upstream.visible import visible

LONGEST = 500


def quoted(value: Json) -> str:
    """One line of at most 500 characters; what cannot be seen is shown as its code point."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    shown = visible(text[: LONGEST * 2])
    return (
        shown
        if len(shown) <= LONGEST and len(text) <= LONGEST * 2
        else f"{shown[:LONGEST]}… ({len(text)} characters)"
    )
