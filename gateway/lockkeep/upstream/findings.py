"""What the scan finds in the tools of one server: every text of a tool that people or models will read."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from lockkeep.model import Integration, Json, Tool, is_object
from lockkeep.upstream.finding import Finding, ToolFinding
from lockkeep.upstream.listing import Listed, Listing
from lockkeep.upstream.scan import scan
from lockkeep.upstream.visible import visible

CALLS = re.compile(r"(?i)\b(call|use|invoke|run|execute|trigger)\b[^.!?\n]{0,40}\Z")
_NAME = re.compile(r"\w+(?:[.-]\w+)*")
_INNER = re.compile(r"[_.-]|[a-z][A-Z]")  # `search` may be any word; `send_email` is a name
MOST = 20  # findings of one tool
DEEPEST = 6  # names of a place


def examine(integration: Integration, listing: Listing, accepted: Iterable[Tool] = ()) -> list[ToolFinding]:
    """Everything found in what the server lists, also in tools that stay closed. `accepted` are all tools of the catalog."""
    foreign = _foreign(integration.name, accepted, {tool.name for tool in listing.tools})
    return [
        ToolFinding(f"{integration.name}.{integration.alias.get(tool.name, tool.name)}", where, finding)
        for tool in listing.tools
        for where, finding in _few(_of(tool, foreign))
    ]


def _of(tool: Listed, foreign: Mapping[str, str]) -> Iterator[tuple[str, Finding]]:
    for where, text in texts(tool):
        for finding in (*scan(text), *_others(text, foreign)):
            yield where, finding


def _few(found: Iterable[tuple[str, Finding]]) -> list[tuple[str, Finding]]:
    """Alarms first, and no more than somebody reads."""
    return sorted(dict.fromkeys(found), key=lambda each: each[1].severity)[:MOST]


def texts(tool: Listed) -> Iterator[tuple[str, str]]:
    """(where, text) of everything a server says about a tool, names included."""
    yield "name", _spaced(tool.name)
    yield "title", tool.title or ""
    yield "description", tool.description
    yield from _strings(tool.input, "argument", "arguments")
    yield from _strings(tool.output, "answer's field", "answer")
    yield from _strings(tool.annotations, "annotation", "annotations")
    yield from _strings(tool.effect, "manifest's", "manifest")


def _strings(root: Json, each: str, whole: str) -> Iterator[tuple[str, str]]:
    """Every key and every text of a schema, however deep; a stack, because a server decides how deep."""
    waiting: list[tuple[tuple[str, ...], Json]] = [((), root)]
    while waiting:
        path, value = waiting.pop()
        where = f"{each} {'.'.join(path)}" if path else whole
        if isinstance(value, str):
            yield where, value
        elif is_object(value):
            for key, inner in value.items():
                yield where, _spaced(key)
                waiting.append((_deeper(path, key), inner))
        elif isinstance(value, list):
            waiting += [(path, item) for item in cast("list[Json]", value)]


def _deeper(path: tuple[str, ...], key: str) -> tuple[str, ...]:
    """As a person would name the place: without the words of JSON Schema in between."""
    between = (
        "properties",
        "items",
        "anyOf",
        "oneOf",
        "allOf",
        "enum",
        "const",
        "default",
        "required",
        "$defs",
    )
    return path if key in between or len(path) == DEEPEST else (*path, visible(key)[:40])


def _spaced(name: str) -> str:
    """A name can be a sentence, too: ignore_previous_instructions."""
    return re.sub(r"[_-]+", " ", name) if len(name) > 20 else name


def _foreign(own: str, accepted: Iterable[Tool], ours: set[str]) -> dict[str, str]:
    """Whatever tools of other integrations are called, by hosts, in policies and by their servers -> as in policies."""
    found: dict[str, str] = {}
    for tool in accepted:
        if tool.integration != own:
            names = {tool.name, tool.exported, tool.server_name}
            found |= {name.lower(): tool.name for name in names - ours if _INNER.search(name)}
    return found


def _others(text: str, foreign: Mapping[str, str]) -> Iterator[Finding]:
    """Where the text names a tool of somebody else's server; to tell the agent to call it is an alarm."""
    if not foreign:
        return
    for word in _NAME.finditer(text):
        if word[0].lower() in foreign:
            told = CALLS.search(text[max(0, word.start() - 60) : word.start()])
            quote = visible(text[max(0, word.start() - 40) : word.end() + 20]).replace("\n", " ")
            yield Finding("other-tool", "alarm" if told else "warn", f"{quote} ({foreign[word[0].lower()]})")
