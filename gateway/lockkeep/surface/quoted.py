"""Text of callers and servers, made safe to look at: no control, bidi, zero-width or tag characters; cut, with its length."""

import json
import unicodedata

from lockkeep.model import Json

LONGEST = 500
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def quoted(value: Json) -> str:
    """One line of at most 500 characters; what cannot be seen is shown as its code point."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    shown = "".join(
        f"⟨U+{ord(char):04X}⟩" if unicodedata.category(char) in HIDDEN else char
        for char in text[: LONGEST * 2]
    )
    return (
        shown
        if len(shown) <= LONGEST and len(text) <= LONGEST * 2
        else f"{shown[:LONGEST]}… ({len(text)} characters)"
    )
