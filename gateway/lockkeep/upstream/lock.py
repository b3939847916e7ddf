"""The catalog as accepted: catalog.lock.json, which people read in a diff and keep under version control."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from difflib import SequenceMatcher
from typing import Literal, cast

import jsonschema_rs

from lockkeep.errors import Conflict, LockkeepError
from lockkeep.model import RISKS, Json, Tool, Tools
from lockkeep.upstream.catalog import Proposal, bad_names
from lockkeep.upstream.listing import Listed

FORMAT = 1
NEARLY = 0.75  # of the words of two descriptions
MOST_WORDS = 300  # compared of each; the time for it grows faster than the text
_FIELDS = tuple(f.name for f in fields(Tool))
_SHOWN = ("server_name", "exported", "title", "description", "input", "output", "annotations", "effect")
_NOTHING = "(absent)"


class BadCatalog(LockkeepError):
    """The catalog cannot be used as it is. Mend what is named here, or restore catalog.lock.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """One integration's tools as an admin accepted them."""

    server: str
    version: str
    protocol: str
    tools: Tools


@dataclass(frozen=True, slots=True)
class Lock:
    """Every accepted tool of every integration."""

    integrations: Mapping[str, Accepted] = field(default_factory=dict[str, Accepted])

    @property
    def tools(self) -> Tools:
        """All of them by name, sorted."""
        found = {
            name: tool for accepted in self.integrations.values() for name, tool in accepted.tools.items()
        }
        return {name: found[name] for name in sorted(found)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between what is accepted and what is proposed; details are field -> (old, new)."""

    kind: Literal["added", "removed", "renamed", "changed"]
    tool: str
    details: Mapping[str, tuple[Json, Json]] = field(default_factory=dict[str, tuple[Json, Json]])


def write_lock(lock: Lock) -> str:
    """The same lock gives the same text, whatever order it was built in."""
    integrations = {
        name: {
            "server": accepted.server,
            "version": accepted.version,
            "protocol": accepted.protocol,
            "tools": {tool.name: asdict(tool) for tool in accepted.tools.values()},
        }
        for name, accepted in lock.integrations.items()
    }
    document = {"format": FORMAT, "integrations": integrations}
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read_lock(text: str) -> Lock:
    """The lock in that text, or BadCatalog: half a catalog is none."""
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise BadCatalog(f"format {document['format']!r} was written by another release")
        lock = Lock({name: _accepted(name, each) for name, each in sorted(document["integrations"].items())})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadCatalog(f"catalog.lock.json: {type(error).__name__}") from None
    if errors := bad_names(lock.tools.values()):
        raise BadCatalog(" ".join(errors))
    return lock


def diff(lock: Lock, proposal: Proposal) -> list[Change]:
    """What accepting the proposal would change, by tool."""
    accepted = lock.integrations.get(proposal.integration)
    old = dict(accepted.tools) if accepted else {}
    new = {tool.name: tool for tool in proposal.tools}
    changes = [
        _changed("changed", old[n], new[n]) for n in old.keys() & new.keys() if _differ(old[n], new[n])
    ]
    gone = [old[name] for name in sorted(old.keys() - new.keys())]
    for tool in (new[name] for name in sorted(new.keys() - old.keys())):
        before = _before(tool, gone)
        if before is None:
            changes.append(Change(kind="added", tool=tool.name))
            continue
        gone.remove(before)
        changes.append(_changed("renamed", before, tool))
    changes += [Change(kind="removed", tool=tool.name) for tool in gone]
    return sorted(changes, key=lambda change: (change.tool, change.kind))


def accept(lock: Lock, proposal: Proposal, expect_hash: str) -> Lock:
    """A lock that holds exactly what was looked at; Conflict if the server says something else by now."""
    if proposal.hash != expect_hash:
        raise Conflict(f"{proposal.integration} lists something else than what was shown")
    accepted = Accepted(
        server=proposal.server,
        version=proposal.version,
        protocol=proposal.protocol,
        tools={tool.name: tool for tool in proposal.tools},
    )
    after = Lock({**lock.integrations, proposal.integration: accepted})
    if errors := proposal.errors or bad_names(after.tools.values()):
        raise BadCatalog(" ".join(errors))
    return after


def _accepted(name: str, document: Mapping[str, Json]) -> Accepted:
    return Accepted(
        server=document["server"],
        version=document["version"],
        protocol=document["protocol"],
        tools={key: _tool(name, key, each) for key, each in sorted(document["tools"].items())},
    )


def _tool(integration: str, name: str, entry: Mapping[str, Json]) -> Tool:
    texts = all(isinstance(entry[key], str) for key in ("server_name", "exported", "description", "pin"))
    parts = all(isinstance(entry[key], dict) for key in ("input", "annotations", "effect"))
    placed = (entry["integration"], entry["name"]) == (integration, name)
    if not (texts and parts and placed and entry["effect"]["class"] in RISKS):
        raise BadCatalog(f"the entry of {name} contradicts itself")
    for key in ("input", "output"):
        if entry[key] is not None and not jsonschema_rs.meta.is_valid(entry[key]):
            raise BadCatalog(f"the {key} of {name} is no JSON Schema")
    return Tool(**entry)


def _before(tool: Tool, gone: Sequence[Tool]) -> Tool | None:
    """Which of the tools that are gone this one was: only our alias moved, or all but the name is nearly the same."""
    same = next((each for each in gone if each.server_name == tool.server_name), None)
    if same is not None:
        return same
    close = [each for each in gone if each.risk == tool.risk]
    return max(
        (each for each in close if alike(each, tool) >= NEARLY),
        key=lambda each: alike(each, tool),
        default=None,
    )


def alike(old: Tool, new: Tool | Listed) -> float:
    """0 to 1: how much of its text a tool kept; 0 if it takes or answers something else."""
    if (_untitled(old.input), _untitled(old.output)) != (_untitled(new.input), _untitled(new.output)):
        return 0.0
    if old.description == new.description:
        return 1.0
    words = old.description.split()[:MOST_WORDS], new.description.split()[:MOST_WORDS]
    return SequenceMatcher(None, *words, autojunk=False).ratio()


def _untitled(schema: Mapping[str, Json] | None) -> Mapping[str, Json]:
    """Frameworks write the tool's name into the title of its schema."""
    return {key: value for key, value in (schema or {}).items() if key != "title"}


def _differ(old: Tool, new: Tool) -> bool:
    return any(getattr(old, name) != getattr(new, name) for name in _FIELDS)


def _changed(kind: Literal["renamed", "changed"], old: Tool, new: Tool) -> Change:
    names = ("name", *_SHOWN) if kind == "renamed" else _SHOWN
    details = {
        path: pair for name in names for path, pair in _pairs(name, getattr(old, name), getattr(new, name))
    }
    if not details:  # only what the server itself proposes moved; the accepted manifest hides it
        details = {"pin": (old.pin, new.pin)}
    return Change(kind=kind, tool=new.name, details=details)


def _pairs(path: str, old: Json, new: Json) -> Iterator[tuple[str, tuple[Json, Json]]]:
    if old == new:
        return
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        yield path, (old, new)
        return
    was, now = cast("Mapping[str, Json]", old), cast("Mapping[str, Json]", new)
    for key in sorted(was.keys() | now.keys()):
        yield from _pairs(f"{path}.{key}", was.get(key, _NOTHING), now.get(key, _NOTHING))
