"""The types of conditions, taken from JSON Schema. Optional means: not required, or nullable, unless it has a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from lockkeep.model import Json

Kind = Literal["number", "text", "bool", "time", "duration", "money", "list", "object", "any", "null"]
WORDS: dict[str, str] = {
    "number": "a number", "text": "text", "bool": "true or false", "time": "a time", "duration": "a duration",
    "money": "an amount of money", "list": "a list", "object": "an object", "any": "anything", "null": "null",
}  # fmt: skip
DEEPEST = 12


@dataclass(frozen=True, slots=True)
class Type:
    """One type. `maybe`: the value can be missing or null. `variants`: an object of one of several shapes."""

    kind: Kind
    maybe: bool = False
    item: Type | None = None
    fields: Mapping[str, Type] = field(default_factory=dict[str, "Type"])
    open: bool = False
    options: tuple[str, ...] = ()
    variants: tuple[Type, ...] = ()

    def __str__(self) -> str:
        return WORDS[self.kind]

    def sure(self) -> Type:
        return replace(self, maybe=False)

    def attribute(self, name: str) -> Type | None:
        """The type of a field; None if there is none."""
        if self.kind == "any":
            return replace(ANY, maybe=True)
        if self.variants:
            return _joined([variant.attribute(name) for variant in self.variants])
        found = self.fields.get(name)
        return replace(ANY, maybe=True) if found is None and self.open else found

    def names(self) -> list[str]:
        if self.variants:
            return sorted({name for variant in self.variants for name in variant.fields})
        return sorted(self.fields)

    def narrowed(self, given: Mapping[str, Json]) -> Type:
        """The shapes that fit what is literally known of some fields (`kind="lead"`)."""
        fitting = [variant for variant in self.variants if _fits(variant, given)]
        if not fitting or len(fitting) == len(self.variants):
            return self
        return (
            replace(fitting[0], maybe=self.maybe)
            if len(fitting) == 1
            else replace(self, variants=tuple(fitting))
        )


ANY = Type("any")
NUMBER, TEXT, BOOL, TIME, DURATION, MONEY, NULL = (
    Type("number"), Type("text"), Type("bool"), Type("time"), Type("duration"), Type("money"), Type("null"),
)  # fmt: skip


def of_schema(schema: Json, root: Mapping[str, Json] | None = None, depth: int = 0) -> Type:
    """What a value that fits this schema is. What the schema leaves open is `any`."""
    if not isinstance(schema, dict) or depth > DEEPEST:
        return ANY
    root = root if root is not None else schema
    if "$ref" in schema:
        return of_schema(_follow(schema["$ref"], root), root, depth + 1)
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return _union([of_schema(part, root, depth + 1) for part in schema[word]])
    if "const" in schema or "enum" in schema:
        return _of_values(schema.get("enum", [schema.get("const")]))
    kinds = schema.get("type", "object" if "properties" in schema else None)
    names = kinds if isinstance(kinds, list) else [kinds]
    maybe = "null" in names
    known = [name for name in names if name != "null"]
    if len(known) != 1:
        return replace(ANY, maybe=maybe) if known else NULL
    return replace(_plain(known[0], schema, root, depth), maybe=maybe)


def _plain(name: str | None, schema: Mapping[str, Json], root: Mapping[str, Json], depth: int) -> Type:
    if name in ("integer", "number"):
        return NUMBER
    if name == "boolean":
        return BOOL
    if name == "string":
        return TIME if schema.get("format") == "date-time" else TEXT
    if name == "array":
        return Type("list", item=of_schema(schema.get("items", True), root, depth + 1))
    return _object(schema, root, depth) if name == "object" else ANY


def _object(schema: Mapping[str, Json], root: Mapping[str, Json], depth: int) -> Type:
    needed = set(schema.get("required", ()))
    fields: dict[str, Type] = {}
    for name, part in schema.get("properties", {}).items():
        one = of_schema(part, root, depth + 1)
        given = isinstance(part, dict) and part.get("default") is not None
        fields[name] = one if name in needed else replace(one, maybe=one.maybe or not given)
    fields |= _money_views(fields)
    extra = schema.get("additionalProperties", "properties" not in schema)
    return Type("object", fields=fields, open=extra is not False and not fields)


def _money_views(fields: Mapping[str, Type]) -> dict[str, Type]:
    """An integer `X_minor` beside `currency` is shown as the money `X`, unless `X` is there already."""
    currency = fields.get("currency")
    if currency is None or currency.kind != "text":
        return {}
    return {
        name.removesuffix("_minor"): replace(MONEY, maybe=one.maybe or currency.maybe)
        for name, one in fields.items()
        if name.endswith("_minor") and one.kind == "number" and name.removesuffix("_minor") not in fields
    }


def _of_values(values: list[Json]) -> Type:
    maybe = None in values
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, str) for value in known):
        return Type("text", maybe=maybe, options=tuple(known))
    if known and all(isinstance(value, bool) for value in known):
        return Type("bool", maybe=maybe)
    if known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return Type("number", maybe=maybe)
    return replace(ANY, maybe=maybe) if known else NULL


def _union(parts: list[Type]) -> Type:
    maybe = any(part.kind == "null" or part.maybe for part in parts)
    known = [part for part in parts if part.kind != "null"]
    if not known:
        return NULL
    if all(part.kind == "object" for part in known) and len(known) > 1:
        flat = [variant for part in known for variant in (part.variants or (part,))]
        return Type("object", maybe=maybe, variants=tuple(flat))
    kinds = {part.kind for part in known}
    if len(kinds) == 1:
        options = (
            tuple(option for part in known for option in part.options)
            if all(part.options for part in known)
            else ()
        )
        return replace(known[0], maybe=maybe, options=options)
    return replace(ANY, maybe=maybe)


def _joined(found: list[Type | None]) -> Type | None:
    there = [one for one in found if one is not None]
    if not there:
        return None
    joined = _union(list(there))
    return replace(joined, maybe=joined.maybe or len(there) < len(found))


def _fits(variant: Type, given: Mapping[str, Json]) -> bool:
    return all(
        name not in variant.fields
        or not variant.fields[name].options
        or value in variant.fields[name].options
        for name, value in given.items()
    )


def _follow(reference: str, root: Mapping[str, Json]) -> Json:
    found: Json = root
    for step in reference.removeprefix("#/").split("/"):
        found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, dict) else {}
    return found
