"""`manifest.yaml`: what each tool does. The one source of annotations and of `_meta["lockkeep/effect"]`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import yaml
from mcp_types import ToolAnnotations

EFFECT = "lockkeep/effect"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, in C where it was built
CLASSES = ("read", "note", "write", "money", "customer_visible", "irreversible")
HINTS = frozenset({"destructive", "idempotent", "open_world"})


class ManifestError(ValueError):
    """The manifest and the tools do not fit. The sentence names the tool and what is missing."""


@dataclass(frozen=True)
class Entry:
    """What one tool does, and the hints hosts are shown."""

    effect: Mapping[str, Any]
    hints: frozenset[str]

    @property
    def writes(self) -> bool:
        return self.effect["class"] != "read"

    @property
    def annotations(self) -> ToolAnnotations:
        if not self.writes:  # the other two mean nothing for a read
            return ToolAnnotations(read_only_hint=True, open_world_hint="open_world" in self.hints)
        return ToolAnnotations(
            read_only_hint=False,
            destructive_hint="destructive" in self.hints,
            idempotent_hint="idempotent" in self.hints,
            open_world_hint="open_world" in self.hints,
        )


def read_manifest(
    path: Path, server: str, tools: Collection[str], *, some: bool = False
) -> Mapping[str, Entry]:
    """Return one entry for each tool; a tool without one, or an entry without its tool, stops the start.

    With `some`, not every tool is served: a toolset was chosen.
    """
    entries = _parsed(path.read_text(encoding="utf-8"))
    unmatched = sorted(set(tools) - set(entries) if some else set(tools) ^ set(entries))
    if unmatched:
        raise ManifestError(f"{server}: {unmatched[0]} stands in the manifest or in the code, not in both.")
    return {name: entry_of(server, name, entry) for name, entry in entries.items() if name in tools}


def names_in(path: Path) -> list[str]:
    """Return the tools that have an entry, whether they are served or not."""
    return list(_parsed(path.read_text(encoding="utf-8")))


@lru_cache(maxsize=16)
def _parsed(text: str) -> Mapping[str, Mapping[str, Any]]:
    """What the file says of each tool; parsing it costs more than the rest of a start. Nobody changes it."""
    return cast(Mapping[str, Mapping[str, Any]], yaml.load(text, LOADER)["tools"])  # noqa: S506  (a safe loader)


def entry_of(server: str, name: str, said: Mapping[str, Any]) -> Entry:
    """Return one tool's entry; raises ManifestError if it says too little."""
    entry = {key: value for key, value in said.items() if key != "hints"}
    hints = frozenset(cast(list[str], said.get("hints", [])))
    if unknown := hints - HINTS:
        raise ManifestError(f"{server}.{name}: {min(unknown)} is no hint.")
    if entry.get("class") not in CLASSES:
        raise ManifestError(f"{server}.{name}: class must be one of {', '.join(CLASSES)}.")
    if entry["class"] != "read" and "undo" not in entry:
        raise ManifestError(
            f"{server}.{name}: a tool that writes says how it is undone (undo: none if it is not)."
        )
    return Entry(entry, hints)  # without `operation` it is SERVER.TOOL
