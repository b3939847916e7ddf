"""Reads nodes into plain values; every mistake becomes a sentence with its place, and reading goes on."""

import re
from collections.abc import Callable, Iterable
from collections.abc import Mapping as Mapping_
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from lockkeep.policy.positions import Listing, Mapping, Node, Place, Problems, Text, nearest

T = TypeVar("T")
ID = re.compile(r"[a-z][a-z0-9-]{1,62}")
INTEGRATION = re.compile(r"[a-z][a-z0-9_]{0,24}")
DURATION = re.compile(r"([0-9]{1,6}) *(seconds?|minutes?|hours?|days?|weeks?|s|m|h|d)")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
CALL_OR_SPACE = re.compile(r"[()=<>&|\"' ]")
API = "lockkeep/v1"


class Reader:
    """One mapping: takes known keys out, names the unknown ones.

    `form` shows how it is written, for who wrote no mapping; `instead` are keys of its neighbours, and ours for them.
    """

    def __init__(
        self,
        node: Node | None,
        what: str,
        problems: Problems,
        keys: Iterable[str],
        place: Place | None = None,
        *,
        form: str = "",
        instead: Mapping_[str, str] | None = None,
    ) -> None:
        self.problems, self.what = problems, what
        self.keys = tuple(keys)
        self.meant: set[str] = set()  # known keys that an unknown one was probably meant to be
        self.node = node if isinstance(node, Mapping) else None
        self.place = node.place if node is not None else place or Place("?", 1, 1)
        if self.node is None:
            problems.add(
                self.place,
                f"{what} is {node.kind if node else 'missing'}; a mapping (key: value) is expected",
                form,
            )
            return
        if was_cut(self.node, problems):
            self.node = None  # what is left of it says nothing
            return
        for key, _ in self.node.entries:
            if key.text not in self.keys:
                hint = self._meant((instead or {}).get(key.text), key.text)
                problems.add(key.place, f"unknown key '{key.text}' in {what}", hint, code="unknown-key")

    def _meant(self, ours: str | None, said: str) -> str:
        """The hint at an unknown key; what it was probably meant to be is not missed as well."""
        if ours is not None:
            self.meant.add(ours)
            return f"write {ours}: instead"
        hint = nearest(said, self.keys)
        if hint.startswith("did you mean"):
            self.meant.add(hint.removeprefix("did you mean ").removesuffix("?"))
        return hint or "nothing stands here; take it out"

    def get(self, key: str) -> Node | None:
        return self.node.get(key) if self.node else None

    def need(self, key: str) -> Node | None:
        found = self.get(key)
        if found is None and self.node is not None and key not in self.meant:
            self.problems.add(
                self.place, f"{self.what} needs '{key}'", f"add a line {key}: …", code="missing-key"
            )
        return found

    def complain(self, about: Iterable[str], message: str, hint: str = "") -> None:
        """Says what is wrong with these keys together, unless one of them was only misspelt."""
        if self.node is not None and not self.meant & set(about):
            self.problems.add(self.place, message, hint)

    def text(self, key: str, *, needed: bool = False) -> Text | None:
        node = self.need(key) if needed else self.get(key)
        return None if node is None else text_of(node, f"'{key}'", self.problems)

    def flag(self, key: str) -> bool:
        node = self.get(key)
        if node is None:
            return False
        if isinstance(node, Text) and isinstance(node.value, bool):
            return node.value
        self.problems.add(node.place, f"'{key}' is true or false, this is {_kind(node)}", f"{key}: true")
        return False

    def number(self, key: str, low: int, high: int, default: int) -> int:
        node = self.get(key)
        if node is None:
            return default
        value = node.value if isinstance(node, Text) else None
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.problems.add(node.place, f"'{key}' is a whole number from {low} to {high}", f"{key}: {low}")
        return default

    def texts(self, key: str) -> tuple[Text, ...]:
        """A list of texts, or one text for a list of one."""
        node = self.get(key)
        return () if node is None else texts_of(node, f"'{key}'", self.problems)

    def some(self, key: str) -> tuple[Text, ...]:
        """`texts`, and where the key stands there is at least one: nothing is not everything."""
        node = self.get(key)
        if isinstance(node, Listing) and not node.items:
            self.problems.add(node.place, f"'{key}' is an empty list", f"name something, or leave {key} out")
        return self.texts(key)

    def names(self, key: str) -> tuple[Text, ...]:
        """`some`, each of them once: a group named twice does not stand for two people."""
        found = self.some(key)
        seen: set[str] = set()
        for text in found:
            if text.text in seen:
                message = f"'{text.text}' stands twice here"
                self.problems.add(text.place, message, "take one out", code="duplicate")
            seen.add(text.text)
        return found

    def seconds(self, key: str) -> float | None:
        node = self.text(key)
        return None if node is None else seconds_of(node, self.problems)

    def each(self, key: str, read: Callable[[Node], T | None]) -> tuple[T, ...]:
        """Every item of a list; a single item may stand without one."""
        node = self.get(key)
        if node is None:
            return ()
        items = node.items if isinstance(node, Listing) else (node,)
        return tuple(item for item in map(read, items) if item is not None)


def was_cut(node: Mapping, problems: Problems) -> bool:
    """Whether a comma inside { } tore a text in two: its rest looks like a key without a value."""
    for key, value in node.entries:
        if isinstance(value, Text) and value.value is None and CALL_OR_SPACE.search(key.text):
            hint = "inside { } a text with a comma needs quotes"
            problems.add(key.place, f"a comma cut this off: {key.text}", hint, code="yaml")
            return True
    return False


def text_of(node: Node, what: str, problems: Problems) -> Text | None:
    if isinstance(node, Text) and node.value is not None:
        return node
    hint = (
        'a text that begins with { [ @ * or holds ": " or " #" needs quotes'
        if not isinstance(node, Text)
        else ""
    )
    problems.add(node.place, f"{what} is {_kind(node)}; text is expected", hint)
    return None


def texts_of(node: Node, what: str, problems: Problems) -> tuple[Text, ...]:
    items = node.items if isinstance(node, Listing) else (node,)
    return tuple(text for text in (text_of(item, what, problems) for item in items) if text is not None)


def seconds_of(node: Text, problems: Problems) -> float | None:
    """`8 hours`, or short `8h 30d 15m 60s`."""
    seconds = span(node.text)
    if seconds is None:
        problems.add(node.place, f"'{node.text}' is no duration", "write 8 hours, 8h, 30d, 15m or 60s")
    elif not seconds:
        problems.add(node.place, "a duration of nothing", "leave it out, or write at least 1s")
    return seconds or None


def span(text: str) -> float | None:
    """The seconds of `30d` or `8 hours`; None if it is no duration."""
    match = DURATION.fullmatch(text.strip())
    return float(int(match[1]) * SECONDS[match[2][0]]) if match else None


def zone_of(node: Text, problems: Problems) -> ZoneInfo | None:
    """An IANA time zone, or None and what is wrong."""
    try:
        return ZoneInfo(node.text)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        close = nearest(node.text, available_timezones())
        hint = close if close.startswith("did you mean") else "write an IANA name, as in Europe/Berlin"
        problems.add(node.place, f"'{node.text}' is no time zone", hint)
        return None


def version(reader: Reader) -> None:
    """`api: lockkeep/v1`."""
    api = reader.text("api", needed=True)
    if api is not None and api.text != API:
        reader.problems.add(api.place, f"this release reads {API}, not {api.text}", f"api: {API}")


def begins(reader: Reader, kind: str) -> str | None:
    """`api: lockkeep/v1` and the file's own id; a manifest's is the name of its integration."""
    version(reader)
    name = reader.text(kind, needed=True)
    if name is None:
        return None
    form, said = (
        (INTEGRATION, "a-z, 0-9 and _, beginning with a letter, at most 25 characters")
        if kind == "manifest"
        else (ID, "a-z, 0-9 and -, beginning with a letter, 2 to 63 characters")
    )
    if not form.fullmatch(name.text):
        reader.problems.add(name.place, f"'{name.text}' is no id", said)
    return name.text


def _kind(node: Node) -> str:
    return node.kind
