"""Text of callers and servers with nothing unseen in it."""

import unicodedata

CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"  # letters and marks by category, and nothing to see


def visible(text: str) -> str:
    """The text with every unseen character as its code point."""
    return "".join(f"⟨U+{ord(char):04X}⟩" if unseen(char) else char for char in text)


def unseen(char: str) -> bool:
    return (
        unicodedata.category(char) in CATEGORIES
        or char in FILLERS
        or "\ufe00" <= char <= "\ufe0e"
        or "\U000e0100" <= char <= "\U000e01ef"
    )
