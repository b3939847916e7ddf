"""What an editor offers in one policies folder: its own tools, groups, people, agents and workflows. Nothing of it is enforced."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from lockkeep.errors import LockkeepError
from lockkeep.model import Json, Tool, is_object
from lockkeep.policy.bundle import GATEWAY, LOCK, PEOPLE, read_folder
from lockkeep.policy.files import gatewayfile, people, workflowfile
from lockkeep.policy.positions import Node, Problems, parse
from lockkeep.policy.rules.compile import operations_of
from lockkeep.policy.schema.schemaparts import OFFERS, Part
from lockkeep.upstream.lock import read_lock

Offers = Mapping[str, Sequence[str]]  # "group" -> the names that there are


@dataclass(frozen=True, slots=True)
class _Folder:
    files: Mapping[str, str] = field(default_factory=dict[str, str])

    def node(self, name: str) -> Node | None:
        return parse(name, self.files[name], Problems()) if name in self.files else None


def of_folder(policies: Path) -> Offers:
    """As far as its files can be read: somebody may be in the middle of writing one."""
    try:
        folder = _Folder(read_folder(policies))
    except LockkeepError:
        return {}
    return {
        name: found
        for name, found in {**_of_tools(folder), **_of_people(folder), **_of_gateway(folder)}.items()
        if found
    }


def _of_tools(folder: _Folder) -> Offers:
    try:
        tools = [tool for tool in read_lock(folder.files.get(LOCK, "")).tools.values() if tool.offered]
    except LockkeepError:
        return {}
    names = [tool.name for tool in tools]
    operations = [name for tool in tools for name in operations_of(tool)]
    reading = [tool for tool in tools if tool.reads]
    groups = [f"{name}.@read" for name in dict.fromkeys(tool.integration for tool in reading)]
    return {
        "tool": names,
        "block": [*dict.fromkeys([*names, *operations]), *groups],
        "read": [_call(tool) for tool in reading],
    }


def _call(tool: Tool) -> str:
    """A look-up that says every argument it needs, by names that a condition may have for them."""
    return f"{tool.name}({', '.join(cast('list[str]', tool.input.get('required', [])))})"


def _of_people(folder: _Folder) -> Offers:
    node = folder.node(PEOPLE)
    if node is None:
        return {}
    found = people.read(node, Problems())
    roles = frozenset[str]().union(*found.groups.values())
    return {"group": sorted(found.groups), "role": sorted(roles), "person": sorted(found.persons)}


def _of_gateway(folder: _Folder) -> Offers:
    node = folder.node(GATEWAY)
    found = gatewayfile.read(node, Problems()) if node is not None else None
    agents, integrations = (found.agents, found.integrations) if found is not None else ((), ())
    workflows = [workflowfile.id_of(name) for name in folder.files if _is_workflow(name)]
    return {"agent": sorted(agents), "integration": sorted(integrations), "workflow": workflows}


def _is_workflow(name: str) -> bool:
    return name.startswith(workflowfile.FOLDER) and name.endswith(".yaml")


def offering(part: Json, offers: Offers) -> Json:
    """The schema with these names where it says that it offers some; without the mark itself."""
    if isinstance(part, list):
        return [offering(each, offers) for each in cast("list[Json]", part)]
    if not is_object(part):
        return part
    plain: Part = {key: offering(value, offers) for key, value in part.items() if key != OFFERS}
    found = offers.get(str(part.get(OFFERS)), ()) if OFFERS in part else ()
    if not found:
        return plain
    return _with_keys(plain, found) if plain["type"] == "object" else _with_values(plain, found)


def _with_keys(plain: Part, found: Iterable[str]) -> Part:
    """Editors offer the keys they know by name; any other one is as good."""
    return {**plain, "properties": dict.fromkeys(found, plain["additionalProperties"])}


def _with_values(plain: Part, found: Iterable[str]) -> Part:
    said = {key: plain[key] for key in ("description",) if key in plain}
    rest = {key: value for key, value in plain.items() if key not in said}
    return {**said, "anyOf": [{"enum": list(found)}, rest]}
