"""Characters that a person does not see and a model reads: where they stand in a text.

Some are needed to write a language or an emoji: joiners, marks of writing direction, one variation selector. In such a
place they are no finding. Every pattern here looks at one character and its neighbours, so time grows with the text only.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import islice

from lockkeep.upstream.finding import MOST, Mark, Severity
from lockkeep.upstream.visible import FILLERS

CONTROLS = (
    "\x00-\x07\x0b\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9a\x9c-\x9f"  # but for those with patterns of their own
)
RIGHT_TO_LEFT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
EMOJI = "\u203c-\u3299\U0001f000-\U0001fbff"
MARKS = "\u200e\u200f\u061c"  # which way the next word runs
TURNING = "\u202a-\u202e\u2066-\u2069"  # the text is read in another order than it is shown
OVERRIDES = "\u202d\u202e"
TAGS = "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"  # a second, unseen alphabet
SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"  # a run of them can spell any text
PRIVATE = "\ue000-\uf8ff\U000f0000-\U0010ffff\ud800-\udfff"
OTHER = (
    f"\u00ad\u180e\u2061-\u2065\u206a-\u206f\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a{FILLERS}"
)

_SELECTED = f"#*0-9\u00a9\u00ae{EMOJI}\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # they come in shapes
_JOINED = f"\ufe0f{EMOJI}\u0600-\u0dff\u0f00-\u109f\u1780-\u18af"  # emoji, and scripts whose letters join
_SPACELESS = "\u0e00-\u109f\u1780-\u17ff\u19e0-\u19ff"  # scripts that mark where a line may break
_NOT_IN_PLACE = "|".join(
    (
        f"(?<![{_JOINED}])[\u200c\u200d]",
        "[\u200c\u200d](?=[\u200c\u200d])",
        f"(?<![{_SPACELESS}])\u200b",
        r"(?<=[\s\S])" + "\ufeff",  # at the very beginning it only says how the text is encoded
        f"(?<![{_SELECTED}])[{SELECTORS}]",
        f"[{SELECTORS}](?=[{SELECTORS}])",
    )
)
_GRAVE = f"\x08\u2060{TAGS}"
_ODD = f"{CONTROLS}{PRIVATE}{OTHER}"
_PATTERNS: Mapping[
    bool, Sequence[tuple[Severity, re.Pattern[str]]]
] = {  # by: is there Hebrew or Arabic in the text?
    False: (
        ("alarm", re.compile(f"(?:[{_GRAVE}{TURNING}]|{_NOT_IN_PLACE})+")),
        ("warn", re.compile(f"[{_ODD}{MARKS}]+")),
    ),
    True: (
        ("alarm", re.compile(f"(?:[{_GRAVE}{OVERRIDES}]|{_NOT_IN_PLACE})+")),
        ("warn", re.compile(f"[{_ODD}{TURNING}]+")),
    ),
}
_CONTROL_BYTES = bytes({*range(32), 127} - set(b"\t\n\f\r"))
_HEBREW_OR_ARABIC = re.compile(f"[{RIGHT_TO_LEFT}]")
_SUSPECT = re.compile(f"[{_GRAVE}{_ODD}\x1b\x9b{MARKS}{TURNING}{SELECTORS}\u200b-\u200d\ufeff]")
_ANY = re.compile(f"{_SUSPECT.pattern}+")
_COLOUR = r"\[(?:[0-79;]|[34]8;){0,20}m"  # 8 alone would hide text
_COLOURS = re.compile(f"\x1b{_COLOUR}")
_ESCAPES = re.compile(f"\x1b(?!{_COLOUR})|\x9b")

_FLAG = "\U0001f3f4"
_FLAGS = tuple(  # England, Scotland and Wales: the only emoji that are spelt with tag characters
    _FLAG + "".join(chr(0xE0000 + ord(letter)) for letter in land) + "\U000e007f"
    for land in ("gbeng", "gbsct", "gbwls")
)


def hidden(text: str) -> Iterator[Mark]:
    """Runs of hidden characters that no language and no emoji accounts for, and codes for terminals."""
    odd = suspects(text)
    if not odd:
        return
    yield from _escapes(text)
    for severity, pattern in _PATTERNS[_HEBREW_OR_ARABIC.search(text) is not None]:
        for run in islice(pattern.finditer(text), MOST):
            yield Mark("hidden", severity, *run.span())
    for char in sorted(filter(_unassigned, odd))[:MOST]:
        yield Mark("hidden", "warn", text.index(char), text.index(char) + 1)


def suspects(text: str) -> Set[str]:
    """Characters that hide, unless a language or an emoji needs them where they stand. Over most texts a quick pass."""
    if text.isascii():
        raw = text.encode()
        return set() if len(raw) == len(raw.translate(None, _CONTROL_BYTES)) else set(text)
    return {char for char in set(text) if _SUSPECT.match(char) or _unassigned(char)}


def _escapes(text: str) -> Iterator[Mark]:
    if "\x1b" in text or "\x9b" in text:
        for code in islice(_ESCAPES.finditer(text), MOST):
            yield Mark("escape", "alarm", *code.span())
        if colour := _COLOURS.search(text):
            yield Mark("escape", "warn", *colour.span())


def without(text: str) -> str:
    """The text as a model may take it: hidden characters gone, so that they cannot cut a word in two."""
    return _ANY.sub("", _COLOURS.sub("", text))


def plain_flags(text: str) -> str:
    """The text with those few flags as black ones: their tag characters are no finding."""
    if _FLAG in text:
        for flag in _FLAGS:
            text = text.replace(flag, _FLAG)
    return text


def spelt(run: str) -> str:
    """What the tag characters of a run say in plain letters; empty if there are none."""
    return "".join(chr(ord(char) - 0xE0000) for char in run if "\U000e0020" <= char <= "\U000e007e")


def _unassigned(char: str) -> bool:
    """No character of this Unicode; blocks in which every year brings new emoji and ideographs are left alone."""
    return (
        unicodedata.category(char) == "Cn"
        and not "\U0001f000" <= char <= "\U0001fbff"
        and not "\U00020000" <= char <= "\U0003ffff"
        and not _SUSPECT.match(char)
    )
