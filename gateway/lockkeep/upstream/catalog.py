"""From what a server lists to tools that an admin may accept. Nothing here is accepted yet."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import cast

import jsonschema_rs

from lockkeep.model import RISKS, Integration, Json, Tool, is_object
from lockkeep.upstream import pins
from lockkeep.upstream.listing import Listed, Listing

Manifests = Mapping[str, Mapping[str, Mapping[str, Json]]]  # integration -> the server's tool name -> entry
LONGEST_NAME = 40
_LEGAL = re.compile(rf"[a-z0-9_]{{1,{LONGEST_NAME}}}")

NO_MANIFEST = "no manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What accepting would put into the catalog, what stays out and why, and what a person must look at."""

    integration: str
    server: str
    version: str
    protocol: str
    tools: tuple[Tool, ...]
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])  # server tool name -> why
    reviews: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()  # while there are any, nothing can be accepted

    @property
    def hash(self) -> str:
        """What `accept` must be told: exactly what was looked at."""
        return pins.digest(asdict(self))


def propose(integration: Integration, listing: Listing, manifests: Manifests | None = None) -> Proposal:
    """The tools with a manifest, under their exported names; all others are left out with the reason."""
    ours = (manifests or {}).get(integration.name, {})
    tools: list[Tool] = []
    left_out: dict[str, str] = {}
    reviews: list[str] = []
    for listed in listing.tools:
        entry, whose = (ours[listed.name], "ours") if listed.name in ours else (listed.effect, "the server's")
        if reason := _unusable(listed, entry):
            left_out[listed.name] = reason
            continue
        effect, raised = _raised(cast("Mapping[str, Json]", entry), listed.annotations)
        if effect.get("queue") is not None:
            reviews.append(
                f"REVIEW {integration.name}.{listed.name}: the gateway calls it by itself, to pause a queue."
            )
        tools.append(_tool(integration, listed, effect))
        if raised:
            reviews.append(f"REVIEW {tools[-1].name}: {raised} ({whose} manifest says {entry['class']}).")
    unlisted = sorted(ours.keys() - {listed.name for listed in listing.tools})
    reviews += [
        f"REVIEW {integration.name}: the manifest describes {name}, which the server does not list."
        for name in unlisted
    ]
    return Proposal(
        integration=integration.name,
        server=listing.server,
        version=listing.version,
        protocol=listing.protocol,
        tools=tuple(sorted(tools, key=lambda tool: tool.name)),
        left_out=left_out,
        reviews=tuple(reviews),
        errors=bad_names(tools),
    )


def bad_names(tools: Iterable[Tool]) -> tuple[str, ...]:
    """One sentence per exported name that hosts would cut, change or mix up, each with a legal alias."""
    tools = tuple(tools)
    collapsed = Counter(_collapse(tool.exported) for tool in tools)
    first: dict[str, Tool] = {}
    errors: list[str] = []
    for tool in sorted(tools, key=lambda tool: tool.name):
        other = first.setdefault(_collapse(tool.exported), tool)
        if tool.exported.startswith("lockkeep_"):
            errors.append(
                f"{tool.name}: names that begin with lockkeep_ are the gateway's own. Rename the integration."
            )
        elif not _LEGAL.fullmatch(tool.exported):
            errors.append(
                f"{tool.name}: {tool.exported!r} is not 1 to {LONGEST_NAME} of a-z, 0-9 and _. "
                f"{_remedy(tool, collapsed)}"
            )
        elif other is not tool:
            errors.append(
                f"{tool.name} and {other.name} would both be {_collapse(tool.exported)} to hosts. "
                f"{_remedy(tool, collapsed)}"
            )
    return tuple(errors)


def _tool(integration: Integration, listed: Listed, effect: Mapping[str, Json]) -> Tool:
    ours = integration.alias.get(listed.name, listed.name)
    return Tool(
        name=f"{integration.name}.{ours}",
        integration=integration.name,
        server_name=listed.name,
        exported=f"{integration.name}_{ours}",
        title=listed.title,
        description=listed.description,
        input=listed.input,
        output=listed.output,
        annotations=listed.annotations,
        effect=effect,
        pin=pins.pin(pins.said(listed), effect),
    )


def _unusable(listed: Listed, entry: Json) -> str | None:
    if entry is None:
        return NO_MANIFEST
    if not isinstance(entry, Mapping) or cast("Mapping[str, Json]", entry).get("class") not in RISKS:
        return f"its manifest names no class (one of {', '.join(RISKS)})"
    if cast("Mapping[str, Json]", entry).get("review") is True:
        return "its manifest says review: true; a person has to look first"
    try:
        pins.digest([pins.said(listed), entry])
    except ValueError:
        return "its description has no canonical form (a whole number past 2^53, or broken text)"
    for what, schema in (("input", listed.input), ("output", listed.output)):
        if schema is not None and not _compiles(schema):
            return f"its {what} schema cannot be used"
    return None


def _compiles(schema: Mapping[str, Json]) -> bool:
    try:
        jsonschema_rs.validator_for(dict(schema), offline=True)
    except (ValueError, jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError):
        return False
    return True


def _raised(entry: Mapping[str, Json], hints: Mapping[str, Json]) -> tuple[dict[str, Json], str]:
    """The entry, with its class raised where the server's own annotations speak of more risk. Never lowered."""
    effect = dict(entry)
    denies = hints.get("readOnlyHint") is False or hints.get("destructiveHint") is True
    if denies and isinstance(parts := effect.get("operations"), list):
        effect["operations"] = [_no_read(part) for part in cast("list[Json]", parts)]
        if effect["operations"] != parts:
            return effect, "the server says it is not read-only; its reading operations are treated as write"
    if effect["class"] == "read" and hints.get("readOnlyHint") is False:
        return effect | {"class": "write"}, "the server says it is not read-only; it is treated as write"
    if effect["class"] in ("read", "note") and hints.get("destructiveHint") is True:
        return effect | {"class": "write"}, "the server says it is destructive; it is treated as write"
    return effect, ""


def _no_read(operation: Json) -> Json:
    if not is_object(operation) or operation.get("class") not in ("read", "note"):
        return operation
    return {**operation, "class": "write"}


def _collapse(name: str) -> str:
    return re.sub(r"_+", "_", name.lower())


def aliases(integration: str, tools: Iterable[str]) -> dict[str, str]:
    """A legal name for every tool whose own one hosts would cut, change or mix up."""
    taken: dict[str, int] = {}
    found: dict[str, str] = {}
    for tool in tools:
        exported = f"{integration}_{tool}"
        if not _LEGAL.fullmatch(exported) or _collapse(exported) in taken:
            found[tool] = _alias(integration, tool, taken)
            exported = f"{integration}_{found[tool]}"
        taken[_collapse(exported)] = 1
    return found


def _remedy(tool: Tool, taken: Mapping[str, int]) -> str:
    room = LONGEST_NAME - len(tool.integration) - 1
    if room < 4 or not _LEGAL.fullmatch(tool.integration):
        return "Rename the integration: shorter, of a-z, 0-9 and _."
    alias = _alias(tool.integration, tool.server_name, taken)
    return f"Write  alias: {{{tool.server_name}: {alias}}}  at {tool.integration} in gateway.yaml."


def _alias(integration: str, tool: str, taken: Mapping[str, int]) -> str:
    room = LONGEST_NAME - len(integration) - 1
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", tool)
    stem = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_") or "tool"
    candidates = (stem[: room - 3].rstrip("_") + suffix for suffix in ("", *(f"_{n}" for n in range(2, 100))))
    return next(c for c in candidates if _collapse(f"{integration}_{c}") not in taken)
