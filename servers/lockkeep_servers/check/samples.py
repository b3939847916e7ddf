"""Arguments made from a schema: sound ones, for servers without cases, and hostile ones."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

Schema = Mapping[str, Any]
FORMATS = {"date-time": "2027-03-02T09:00:00+01:00", "date": "2027-03-02"}


def sample_of(schema: Schema) -> dict[str, Any]:
    """Return the least the schema asks for, as sound as a schema can tell."""
    properties = cast(Mapping[str, Schema], schema.get("properties", {}))
    return {name: value_of(properties.get(name, {})) for name in cast(list[str], schema.get("required", []))}


def value_of(schema: Schema) -> Any:
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return next(each for each in cast(list[Any], schema["enum"]) if each is not None)
    options = cast(list[Schema], schema.get("anyOf", schema.get("oneOf", [])))
    if options:
        return value_of(options[0])
    match kind_of(schema):
        case "integer" | "number":
            low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
            return int(low) + (1 if "exclusiveMinimum" in schema else 0)
        case "boolean":
            return False
        case "array":
            item = cast(Schema, schema.get("items", {}))
            return [value_of(item) for _ in range(schema.get("minItems", 0))]
        case "object":
            return sample_of(schema)
        case _:
            return FORMATS.get(str(schema.get("format")), "x" * max(1, int(schema.get("minLength", 1))))


def kind_of(schema: Schema) -> str:
    """Return the type, leaving null aside."""
    kind: Any = schema.get("type", "string")
    if isinstance(kind, list):
        return next((str(each) for each in cast(list[Any], kind) if each != "null"), "null")
    return str(kind)


def places(schema: Schema, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """Every argument, with those inside objects; of a list, its first entry."""
    for name, part in cast(Mapping[str, Schema], schema.get("properties", {})).items():
        here = (*path, name)
        yield here, part
        if kind_of(part) == "object":
            yield from places(part, here)
        elif kind_of(part) == "array" and "items" in part:
            yield (*here, "0"), cast(Schema, part["items"])
            yield from places(cast(Schema, part["items"]), (*here, "0"))


def put(arguments: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return the arguments with this value at this place; what is missing on the way is made."""
    name, *rest = path
    changed = dict(arguments)
    if not rest:
        changed[name] = value
    elif rest[0] == "0":
        inner: Any = changed.get(name) or [{}]
        first = value if len(rest) == 1 else put(_object(inner[0]), tuple(rest[1:]), value)
        changed[name] = [first, *inner[1:]]
    else:
        changed[name] = put(_object(changed.get(name)), tuple(rest), value)
    return changed


def _object(value: Any) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}
