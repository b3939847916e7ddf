"""The manifests that come with lockkeep for the vendors' own MCP servers, and which of them fits a server."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files

from lockkeep.model import Json
from lockkeep.policy.positions import Listing, Node, Problems, Text, parse
from lockkeep.policy.positions import Mapping as Node_
from lockkeep.policy.rules import manifest

FOLDER = "vendors"
ENOUGH = 0.5  # of the tools a server lists, the manifest knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """One manifest. `servers` are the names under which the vendor's server introduces itself."""

    name: str
    text: str
    servers: tuple[str, ...]
    entries: Mapping[str, Mapping[str, Json]]

    def named(self, integration: str) -> str:
        """The file for an integration of that name, comments and all."""
        return self.text.replace(f"\nmanifest: {self.name}\n", f"\nmanifest: {integration}\n", 1)

    def knows(self, tools: Collection[str]) -> int:
        return len(self.entries.keys() & set(tools))


def shipped() -> Iterator[Shipped]:
    """All of them, by name. One that cannot be read is a fault of the release, and raises."""
    folder = files("lockkeep_policies").joinpath(FOLDER)
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml"):
            yield _read(file.name, file.read_text(encoding="utf-8"))


def fitting(server: str, tools: Collection[str]) -> Shipped | None:
    """The one whose server has this name and that knows most of its tools; none if it knows less than half."""
    same = [each for each in shipped() if server.casefold() in each.servers]
    best = max(same, key=lambda each: each.knows(tools), default=None)
    return best if best is not None and best.knows(tools) >= max(1, ENOUGH * len(tools)) else None


def _read(file: str, text: str) -> Shipped:
    problems = Problems()
    root = parse(file, text, problems)
    read = manifest.read(root, problems) if root is not None else None
    if read is None or problems or not isinstance(root, Node_):
        raise ValueError("\n".join(str(each) for each in problems.found) or file)
    name, entries = read
    return Shipped(name=name, text=text, servers=_texts(root.get("servers")), entries=entries)


def _texts(node: Node | None) -> tuple[str, ...]:
    items = node.items if isinstance(node, Listing) else ()
    return tuple(str(item.value).casefold() for item in items if isinstance(item, Text))
