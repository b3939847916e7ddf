"""The input schema hosts see: the pinned one, without what the gateway fills in, and closed."""

from collections.abc import Mapping
from typing import cast

from lockkeep.model import Json, Tool

ALWAYS_HIDDEN = frozenset({"idempotency_key", "dry_run"})
_HEADER = "x-mcp-header"
_BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_DATA = frozenset({"const", "enum", "default", "examples"})
_COMBINED = frozenset({"allOf", "anyOf", "oneOf", "if", "then", "else", "$ref", "dependentSchemas"})


def hidden_arguments(tool: Tool) -> frozenset[str]:
    """The arguments that are the gateway's alone."""
    return ALWAYS_HIDDEN | frozenset(tool.hidden)


def exported_schema(tool: Tool) -> dict[str, Json]:
    """The pinned input without hidden arguments and headers; no undeclared argument fits it."""
    hidden = hidden_arguments(tool)
    schema = cast("dict[str, Json]", _without_headers(tool.input))
    if "properties" in schema:
        schema["properties"] = {k: v for k, v in schema["properties"].items() if k not in hidden}
    if "required" in schema:
        schema["required"] = [name for name in schema["required"] if name not in hidden]
    if not schema.get("required", True):
        del schema["required"]
    # Properties that only a branch declares would be refused by a plain `additionalProperties`.
    closing = "unevaluatedProperties" if _COMBINED & schema.keys() else "additionalProperties"
    schema.pop("additionalProperties", None)
    return schema | {"type": "object", closing: False}


def _without_headers(schema: Json) -> Json:
    if isinstance(schema, list):
        return [_without_headers(each) for each in cast("list[Json]", schema)]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: _part(key, part) for key, part in cast("Mapping[str, Json]", schema).items() if key != _HEADER
    }


def _part(keyword: str, part: Json) -> Json:
    if keyword in _DATA:
        return part
    if keyword in _BY_NAME and isinstance(part, Mapping):
        named = cast("Mapping[str, Json]", part)
        return {
            name: _without_headers(each) for name, each in named.items()
        }  # names of arguments, not keywords
    return _without_headers(part)
