"""A text as its letters look: without accents and hidden characters, in plain Latin where another alphabet imitates it."""

import unicodedata
from functools import lru_cache

from lockkeep.upstream.hidden import suspects, without

_IMITATIONS = dict(
    zip(
        "аеорсухіјѕһԁӏԛԝАВЕКМНОРСТХІЅЈΑΒΕΖΗΙΚΜΝΟΡΤΥΧοιν",
        "aeopcyxijshdlqwABEKMHOPCTXISJABEZHIKMNOPTYXoiv",
        strict=True,
    )
) | {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ı": "i"}  # and letters without parts
_FEW = 40
_LONGEST = 4  # some single characters stand for whole phrases


def folded(text: str) -> str:
    """What a reader takes it for. Signs beyond ASCII become blanks."""
    if suspects(text):
        text = without(text)
    if text.isascii():
        return text
    letters = set(text)
    changed = {char: plain for char in letters if (plain := _folded(char)) != char}
    if len(changed) > _FEW:
        return text.translate({ord(char): changed.get(char, char) for char in letters})
    for char, plain in changed.items():  # a few rare letters: this is the quicker way
        text = text.replace(char, plain)
    return text


@lru_cache(maxsize=20_000)
def _folded(char: str) -> str:
    if char.isascii():
        return char
    if char in _IMITATIONS:
        return _IMITATIONS[char]
    parts = unicodedata.normalize("NFKD", char)
    plain = "".join(part for part in parts if not unicodedata.combining(part))
    if not plain:
        return ""  # an accent on the letter before
    if plain.isascii() and len(plain) <= _LONGEST:
        return plain
    return char if char.isalnum() else " "
