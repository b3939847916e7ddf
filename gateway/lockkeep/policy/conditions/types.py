"""The types of conditions, taken from JSON Schema. Optional means: not required, or nullable, unless it has a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from lockkeep.model import Json
from lockkeep.policy.conditions.runtime import is_array, is_object

Kind = Literal[
    "number", "text", "bool", "time", "duration", "money", "table", "list", "object", "any", "null"
]
WORDS: dict[str, str] = {
    "number": "a number", "text": "text", "bool": "true or false", "time": "a time", "duration": "a duration",
    "money": "an amount of money", "table": "a table of amounts", "list": "a list", "object": "an object", "any": "anything", "null": "null",
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
ERROR: Json = {"required": ["error"]}
NUMBER, TEXT, BOOL, TIME, DURATION, MONEY, TABLE, NULL = (
    Type("number"), Type("text"), Type("bool"), Type("time"), Type("duration"), Type("money"), Type("table"), Type("null"),
)  # fmt: skip


def of_schema(schema: Json) -> Type:
    """What a value that fits this schema is. What the schema leaves open is `any`."""
    return _Schema(schema if is_object(schema) else {}).type(schema)


def of_answer(schema: Json) -> Type:
    """What a good answer that fits this output schema is: where the schema makes room for an error, that is left out."""
    if not is_object(schema) or not is_array(schema.get("anyOf")):
        return of_schema(schema)
    good = [part for part in schema["anyOf"] if part != ERROR]
    if len(good) != 1 or not is_object(good[0]) or list(good[0]) != ["required"]:
        return of_schema(schema)
    rest = {key: part for key, part in schema.items() if key != "anyOf"}
    return of_schema({**rest, **good[0]})


class _Schema:
    """One document; each of its definitions is worked out once, and one that leads back to itself stays open."""

    def __init__(self, root: Mapping[str, Json]) -> None:
        self.root = root
        self.refs: dict[str, Type] = {}

    def type(self, schema: Json, depth: int = 0) -> Type:
        if not is_object(schema) or depth > DEEPEST:
            return ANY
        if "$ref" in schema:
            return self.referred(str(schema["$ref"]), depth)
        for word in ("oneOf", "anyOf"):
            if word in schema:
                return self.one_of(schema, [self.type(part, depth + 1) for part in schema[word]], depth)
        if "const" in schema or "enum" in schema:
            return _of_values(schema["enum"] if "enum" in schema else [schema["const"]])
        said: Json = schema.get("type", "object" if "properties" in schema else None)
        names: list[Json] = said if is_array(said) else [said]
        known = [name for name in names if name != "null"]
        if len(known) != 1:
            return replace(ANY, maybe="null" in names) if known else NULL
        return replace(self.plain(known[0], schema, depth), maybe="null" in names)

    def one_of(self, schema: Mapping[str, Json], parts: list[Type], depth: int) -> Type:
        """One of several shapes; what stands beside them holds for all. Branches that only require say no more."""
        if "properties" not in schema:
            return _union(parts)
        base = self.object(schema, depth)
        if any(part.kind != "object" for part in parts):
            return base
        return _union([replace(part, fields={**base.fields, **part.fields}, open=False) for part in parts])

    def referred(self, reference: str, depth: int) -> Type:
        if reference not in self.refs:
            self.refs[reference] = ANY
            self.refs[reference] = self.type(_follow(reference, self.root), depth + 1)
        return self.refs[reference]

    def plain(self, name: Json, schema: Mapping[str, Json], depth: int) -> Type:
        if name in ("integer", "number"):
            return NUMBER
        if name == "boolean":
            return BOOL
        if name == "string":
            return TIME if schema.get("format") == "date-time" else TEXT
        if name == "array":
            return Type("list", item=self.type(schema.get("items", True), depth + 1))
        return self.object(schema, depth) if name == "object" else ANY

    def object(self, schema: Mapping[str, Json], depth: int) -> Type:
        needed: set[str] = set(schema.get("required", ()))
        fields: dict[str, Type] = {}
        properties: Mapping[str, Json] = schema.get("properties", {})
        for name, part in properties.items():
            one = self.type(part, depth + 1)
            given = (
                depth == 0 and is_object(part) and part.get("default") is not None
            )  # only those are filled in
            fields[name] = one if name in needed else replace(one, maybe=one.maybe or not given)
        fields |= money_views(fields)
        extra = schema.get("additionalProperties", "properties" not in schema)
        return Type("object", fields=fields, open=extra is not False and not fields)


def money_views(fields: Mapping[str, Type]) -> dict[str, Type]:
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
        items = [part.item for part in known if part.item is not None]
        item = _union(items) if len(items) > 1 else known[0].item
        return replace(known[0], maybe=maybe, options=options, item=item)
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
        found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if is_object(found) else {}
    return found
