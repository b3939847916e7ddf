"""Slim, standard JSON Schema 2020-12 out of the models: no generated titles, no null defaults, no references."""

from functools import cache
from typing import Any, cast

from pydantic import BaseModel

from lockkeep_servers.kit.arguments import Arguments

_KEYWORDS = """
type properties required additionalProperties items enum const minimum maximum exclusiveMinimum
exclusiveMaximum minLength maxLength pattern format minItems maxItems uniqueItems minProperties default
description anyOf oneOf
"""
KEYWORDS = frozenset(_KEYWORDS.split())
Schema = dict[str, Any]


class NonStandard(TypeError):
    """A schema holds a keyword no validator enforces. Put `Field(...)` before the validator in `Annotated`."""


@cache
def input_schema(model: type[Arguments]) -> Schema:
    """Unknown names are refused; optional fields show no null."""
    return _slim(model)


@cache
def output_schema(model: type[BaseModel]) -> Schema:
    """Fields without a value are left out of an answer, so they are optional here.

    The TypeScript SDK holds errors against this schema, too, so there is room for one.
    """
    schema = _opened(_slim(model))
    required = schema.pop("required", None)
    return (
        schema if required is None else {**schema, "anyOf": [{"required": required}, {"required": ["error"]}]}
    )


def _opened(schema: Any) -> Any:
    """Answers may grow: only arguments are closed."""
    if isinstance(schema, list):
        return [_opened(part) for part in cast(list[Any], schema)]
    if not isinstance(schema, dict):
        return schema
    parts = cast(Schema, schema).items()
    return {
        key: _opened(part) for key, part in parts if key != "additionalProperties" or isinstance(part, dict)
    }


def _slim(model: type[BaseModel]) -> Schema:
    generated = model.model_json_schema(mode="validation")
    definitions = cast(dict[str, Schema], generated.pop("$defs", {}))
    schema = _walk(generated, definitions)
    schema.pop("description", None)  # a docstring is for readers of the code
    if schema.get("type") != "object":
        raise NonStandard(f"{model.__name__} is no object")
    return schema


def _walk(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    if "$ref" in schema:
        target = dict(definitions[schema["$ref"].rpartition("/")[2]])
        target.pop("description", None)
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    slim: Schema = {}
    for key, value in schema.items():
        if key == "title" or (key == "default" and value is None):
            continue
        if key not in KEYWORDS and key != "keep_null":
            raise NonStandard(key)
        slim[key] = _part(key, value, definitions)
    if "properties" in slim:
        slim["properties"] = _properties(slim)
    slim.pop("keep_null", None)
    return _nullable(slim)


def _part(key: str, value: Any, definitions: dict[str, Schema]) -> Any:
    match key:
        case "properties":
            return {name: _walk(part, definitions) for name, part in value.items()}
        case "items" | "additionalProperties" if isinstance(value, dict):
            return _walk(cast(Schema, value), definitions)
        case "anyOf" | "oneOf":
            return [_walk(part, definitions) for part in value]
        case _:
            return value


def _properties(schema: Schema) -> dict[str, Schema]:
    """An optional field's null means absent, so it is not shown, unless null clears here."""
    required = cast(list[str], schema.get("required", []))
    properties = cast(dict[str, Schema], schema["properties"])
    if schema.get("keep_null"):
        return properties
    return {name: part if name in required else _without_null(part) for name, part in properties.items()}


def _without_null(schema: Schema) -> Schema:
    if isinstance(schema.get("type"), list):
        kinds = [kind for kind in schema["type"] if kind != "null"]
        enum = {"enum": [value for value in schema["enum"] if value is not None]} if "enum" in schema else {}
        return {**schema, "type": kinds[0] if len(kinds) == 1 else kinds, **enum}
    return schema


def _nullable(schema: Schema) -> Schema:
    """`anyOf: [X, null]` says the same as `type: [x, null]`, in more bytes."""
    options = cast(list[Schema], schema.get("anyOf", []))
    plain = [option for option in options if option != {"type": "null"}]
    if len(options) != 2 or len(plain) != 1 or not isinstance(plain[0].get("type"), str):
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    enum = {"enum": [*plain[0]["enum"], None]} if "enum" in plain[0] else {}
    return {**plain[0], "type": [plain[0]["type"], "null"], **enum, **rest}
