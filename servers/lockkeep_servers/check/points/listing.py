"""TC1, what is listed: schemas standard and slim, annotations as the manifest says, budgets kept."""

import json
from collections.abc import Mapping
from typing import Any, cast

from mcp_types import Tool

from lockkeep_servers.check.desk import effect_of
from lockkeep_servers.check.results import Book
from lockkeep_servers.check.scene import Room, standard
from lockkeep_servers.kit.manifest import names_in, read_manifest
from lockkeep_servers.kit.schema import KEYWORDS

MOST_TOOLS, MOST_DESCRIPTION, MOST_INPUTS, MOST_LISTED = 10, 160, 7 * 1024, 18 * 1024
VALUES = ("enum", "const", "default", "required")  # hold values or names, no schemas


def look(room: Room, book: Book) -> None:
    """Everything that can be seen without a call."""
    for tool in room.tools.values():
        _schemas(tool, book)
        _annotations(tool, book)
    _as_written(room, book)
    _budgets(room, book)


def _schemas(tool: Tool, book: Book) -> None:
    for which, schema in (("input", tool.input_schema), ("output", tool.output_schema)):
        if schema is None:
            book.expect(
                False, f"{which} schema", "The tool has no output schema.", tool=tool.name,
                fix="Say what the tool returns, as a model.",
            )  # fmt: skip
            continue
        strange = sorted(words_of(schema) - KEYWORDS)
        book.expect(
            standard(schema) and schema.get("type") == "object" and not strange, f"{which} schema",
            f"The {which} schema is not standard and slim.", tool=tool.name,
            expected="JSON Schema 2020-12 without titles and references", got=", ".join(strange) or "not valid",
            fix="Take these words out of the schema.",
        )  # fmt: skip
    book.expect(
        tool.input_schema.get("additionalProperties") is False, "closed input",
        "The input schema lets unknown arguments through.", tool=tool.name,
        expected="additionalProperties: false", got=tool.input_schema.get("additionalProperties"),
        fix="Close the object of arguments.",
    )  # fmt: skip
    book.expect(
        not _null_default(tool.input_schema), "no null defaults",
        "An optional argument has null as its default.", tool=tool.name, fix="Leave the default out.",
    )  # fmt: skip


def words_of(schema: Any) -> set[str]:
    """Return the keywords of a schema, but not the names of properties."""
    found: set[str] = set()
    if isinstance(schema, list):
        for part in cast(list[Any], schema):
            found |= words_of(part)
    elif isinstance(schema, Mapping):
        for key, part in cast(Mapping[str, Any], schema).items():
            found.add(key)
            if key == "properties":
                found |= words_of(list(part.values()))
            elif key not in VALUES:
                found |= words_of(part)
    return found


def _null_default(schema: Any) -> bool:
    properties = cast(Mapping[str, Any], schema.get("properties", {}))
    return any(
        isinstance(part, Mapping) and cast(Mapping[str, Any], part).get("default", "") is None
        for part in properties.values()
    )


def _annotations(tool: Tool, book: Book) -> None:
    """Annotations say no less than the manifest; a host may know nothing else."""
    effect, hints = effect_of(tool), tool.annotations
    risk = effect.get("class")
    required = bool(cast(Mapping[str, Any], effect.get("idempotency") or {}).get("required"))
    wanted: dict[str, bool] = {"readOnlyHint": risk == "read"}
    wanted |= {"destructiveHint": True} if risk in ("money", "irreversible") else {}
    wanted |= {"openWorldHint": True} if risk == "customer_visible" else {}
    wanted |= {"idempotentHint": True} if required and risk != "read" else {}
    said = hints.model_dump(by_alias=True) if hints is not None else {}
    shown = {name: said.get(name) for name in wanted}
    book.expect(
        shown == wanted, "annotations", "The annotations do not say what the manifest says.", tool=tool.name,
        expected=wanted, got=shown, fix="Correct `hints` of the manifest; annotations are made from it.",
    )  # fmt: skip


def _as_written(room: Room, book: Book) -> None:
    """What is published equals the manifest file, where there is one."""
    path = room.target.folder / "manifest.yaml" if room.target.folder else None
    if path is None or not path.exists() or room.target.reference.endswith(".py"):
        return
    written = read_manifest(path, room.target.name, names_in(path))
    for name, tool in room.tools.items():
        entry = written.get(name)
        same = entry is not None and dict(entry.effect) == dict(effect_of(tool))
        book.expect(
            same and entry is not None and entry.annotations == tool.annotations, "manifest",
            "What the server publishes is not what its manifest.yaml says.", tool=name,
            fix="Publish the manifest's entry and the annotations made from it.",
        )  # fmt: skip


def _budgets(room: Room, book: Book) -> None:
    exported = [tool for tool in room.tools.values() if effect_of(tool).get("export", True)]
    listed = [tool.model_dump(by_alias=True, exclude_none=True, mode="json") for tool in exported]
    sizes = {
        "tools": (len(exported), MOST_TOOLS, "Split the server into toolsets."),
        "bytes of inputs": (
            sum(_bytes(each["inputSchema"]) for each in listed),
            MOST_INPUTS,
            "Shorten them.",
        ),
        "bytes of tools/list": (_bytes(listed), MOST_LISTED, "Shorten schemas and descriptions."),
    }
    for what, (got, most, fix) in sizes.items():
        book.expect(
            got <= most, f"budget: {what}", f"The exported tools are over the budget of {what}.",
            expected=f"at most {most}", got=got, fix=fix,
        )  # fmt: skip
    for tool in room.tools.values():
        length = len(tool.description or "")
        book.expect(
            0 < length <= MOST_DESCRIPTION, "budget: description", "The description is too long, or missing.",
            tool=tool.name, expected=f"1 to {MOST_DESCRIPTION} characters", got=length, fix="Say it shorter.",
        )  # fmt: skip


def _bytes(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")).encode())
