"""Text of callers and servers, made safe to look at: nothing unseen in it, alphabets told apart, cut with its length and digest."""

import hashlib
import json
import re
import unicodedata

from lockkeep.model import Json
from lockkeep.upstream.visible import visible

LONGEST = 500
WORD = re.compile(r"[^\W\d_]{2,}")
EAST = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "FULLWIDTH", "HALFWIDTH", "KATAKANA-HIRAGANA"})  # fmt: skip


def quoted(value: Json) -> str:
    """One line of at most 500 characters; what cannot be seen is shown as its code point."""
    text = _text(value)
    shown = visible(text[: LONGEST * 2])
    if is_cut(value):
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        shown = f"{shown[:LONGEST]}… ({len(text)} characters, sha256 {digest})"
    alphabets = _mixed(text[:LONGEST])
    return f"{shown} [mixes {alphabets} letters]" if alphabets else shown


def is_cut(value: Json) -> bool:
    """Whether people see less than the whole."""
    text = _text(value)
    return len(text) > LONGEST * 2 or len(visible(text)) > LONGEST


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _mixed(text: str) -> str:
    """The alphabets that one word mixes, as in a Cyrillic letter that looks like a Latin one; mostly none."""
    if text.isascii():
        return ""
    for word in WORD.findall(text):
        found = {alphabet for char in word if (alphabet := _alphabet(char))}
        if len(found) > 1 and not (found <= EAST | {"LATIN"} and found & EAST - {"FULLWIDTH", "HALFWIDTH"}):
            return " and ".join(sorted(name.capitalize() for name in found))
    return ""


def _alphabet(char: str) -> str:
    """LATIN, CYRILLIC and so on; empty for signs that stand in any text."""
    first, _, rest = unicodedata.name(char, "").partition(" ")
    letter = "LETTER" in rest or first in ("CJK", "MATHEMATICAL", "HANGUL")
    return first if letter else ""
