"""A look at a text that a server wrote, before a person or a model reads it: hidden characters, and sentences that instruct."""

import re
from collections.abc import Iterator
from itertools import islice

from lockkeep.upstream.finding import MEANING, MOST, Finding, Kind, Mark, Severity
from lockkeep.upstream.folding import folded
from lockkeep.upstream.hidden import hidden, plain_flags, spelt
from lockkeep.upstream.phrases import phrases
from lockkeep.upstream.visible import visible

__all__ = ["MEANING", "Finding", "Kind", "Severity", "scan"]

LONG = 200  # characters in one piece; no word, path or digest is that long
AROUND = 30
LONGEST_QUOTE = 240
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=\r\n"
_PIECE = re.compile(r"[A-Za-z0-9+/\-_=\r\n]+")
_MIX = (re.compile("[a-z]"), re.compile("[A-Z]"), re.compile("[0-9]"))
_LINK = re.compile(r"""https?://[^\s)"'`]+""")
_PLACEHOLDER = re.compile(r"(?:[{<\[]|%7[Bb])\s?([A-Za-z_]{2,40})")
_OF_THE_TALK = re.compile(
    r"(?i)conversation|history|transcript|context|secret|password|credential|memory|prompt|chat|summary|env|everything"
)
_CYRILLIC = re.compile("[\u0400-\u04ff]")
_TWO_ALPHABETS = re.compile("[A-Za-z][\u0400-\u04ff]|[\u0400-\u04ff][A-Za-z]")
_EMPTY = (" " * 300, "\n" * 40)


def scan(text: str) -> tuple[Finding, ...]:
    """What in this text a person should look at; at most ten places of a kind. Takes time in proportion to the text."""
    text = plain_flags(text)
    marks = (
        *hidden(text),
        *_comments(text),
        *_encoded(text),
        *_links(text),
        *_look_alikes(text),
        *_padding(text),
    )
    plain = folded(text)
    found = [_finding(text, mark) for mark in marks]
    found += [_finding(plain, mark) for mark in _gravest(phrases(plain))]
    return tuple(dict.fromkeys(found))


def _comments(text: str) -> Iterator[Mark]:
    start, seen = text.find("<!--"), 0
    while start >= 0 and seen < MOST:
        end = text.find("-->", start + 4)
        end = len(text) if end < 0 else end + 3
        yield Mark("comment", "warn", start, end)
        start, seen = text.find("<!--", end), seen + 1


def _encoded(text: str) -> Iterator[Mark]:
    """A piece longer than LONG covers one of every LONGth places, so only those are looked at."""
    end, seen = 0, 0
    for at in range(0, len(text), LONG):
        if at < end:
            continue
        left = text[max(at - LONG, end) : at]
        piece = _PIECE.match(text, at - len(left) + len(left.rstrip(_BASE64)))
        if piece is None:
            continue
        end = piece.end()
        if len(piece[0]) > LONG and seen < MOST and _looks_encoded(piece[0]):
            seen += 1
            yield Mark("encoded", "warn", *piece.span())


def _looks_encoded(piece: str) -> bool:
    """Capitals, small letters and digits mixed, in long lines: no list of words, no ruler of dashes."""
    return max(map(len, piece.split()), default=0) >= 60 and all(each.search(piece) for each in _MIX)


def _links(text: str) -> Iterator[Mark]:
    """The alarms among them first: many harmless ones do not hide one that asks for the talk itself."""
    found = [(link, names) for link in _LINK.finditer(text) if (names := _asked_for(link[0]))]
    grave = [link for link, names in found if _OF_THE_TALK.search(names)]
    yield from (Mark("link", "alarm", *link.span()) for link in grave[:MOST])
    if not grave:
        yield from (Mark("link", "warn", *link.span()) for link, _ in found[:MOST])


def _asked_for(link: str) -> str:
    """The names of what is to be filled in behind the question mark."""
    _, _, query = link.partition("?")
    return " ".join(_PLACEHOLDER.findall(query)) if query else ""


def _look_alikes(text: str) -> Iterator[Mark]:
    if not text.isascii() and _CYRILLIC.search(text):
        for each in islice(_TWO_ALPHABETS.finditer(text), MOST):
            yield Mark("look-alike", "warn", *each.span())


def _padding(text: str) -> Iterator[Mark]:
    body = text.strip() if any(gap in text for gap in _EMPTY) else ""
    for gap in _EMPTY:
        if gap in body:
            end = text.rfind(gap, 0, len(text.rstrip())) + len(gap)
            yield Mark("padding", "warn", end, end)


def _gravest(places: list[Mark]) -> Iterator[Mark]:
    """Of the rules of a kind that found the same words only one, an alarm before a warning."""
    ends: dict[tuple[Kind, Severity], int] = {}
    alarmed: set[tuple[Kind, int]] = set()
    for place in sorted(places, key=lambda each: (each.severity, each.start)):  # "alarm" < "warn"
        key = place.kind, place.severity
        if place.start < ends.get(key, 0) or not alarmed.isdisjoint(_touched(place)):
            continue
        ends[key] = place.end
        if place.severity == "alarm":
            alarmed.update(_touched(place))
        yield place


def _touched(place: Mark) -> Iterator[tuple[Kind, int]]:
    return ((place.kind, at) for at in range(place.start, place.end))


def _finding(text: str, mark: Mark) -> Finding:
    """The place with some words around it, on one line, safe to show."""
    start, end = max(0, mark.start - AROUND), min(mark.end, mark.start + LONGEST_QUOTE) + AROUND
    line = visible(re.sub(r"[ \t\r\n]+", " ", text[start:end])).strip()
    quote = f"{'… ' if start else ''}{line}{' …' if end < len(text) else ''}"
    said = spelt(text[mark.start : mark.end][:LONGEST_QUOTE]) if mark.kind == "hidden" else ""
    return Finding(mark.kind, mark.severity, f"{quote} (it spells: {said})" if said else quote)
