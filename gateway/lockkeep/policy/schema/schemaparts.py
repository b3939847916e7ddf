"""What the JSON Schemas of the policy files are made of: closed objects, and values as people write them."""

from collections.abc import Iterable, Mapping

from lockkeep.model import Json
from lockkeep.policy.files.reading import API, DURATION, ID

Part = dict[str, Json]
Said = Mapping[
    str, tuple[Part, str]
]  # key -> what its value is, and one sentence for the person who writes it

OFFERS = (
    "x-offers"  # of what kind the names are that an editor may offer here; `offers` puts them in its place
)
TEXT: Part = {"type": "string"}
FLAG: Part = {"type": "boolean"}
WHOLE: Part = {"type": "integer", "minimum": 1}
SCALAR: Part = {"type": ["string", "number", "boolean"]}
CONDITION: Part = {"type": ["string", "boolean"]}
OBJECT: Part = {"type": "object"}
SPAN: Part = {
    "type": "string",
    "pattern": f"^ *{DURATION.pattern} *$",
    "examples": ["8 hours", "30 minutes", "4h", "30d"],
}
DAY: Part = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "examples": ["2027-03-31"]}
IDENTIFIER: Part = {"type": "string", "pattern": f"^{ID.pattern}$"}
CALL: Part = {
    "type": "string",
    "pattern": "^[a-z][a-z0-9_]*\\.[A-Za-z_]",
    "examples": ["crm.get(id)", 'crm.get(kind="lead", id=id)'],
}
REFERENCE: Part = {
    "type": "string",
    "pattern": "^(env:|file:)",
    "examples": ["env:NAME", "file:/run/secrets/NAME"],
}
PER_CENT: Part = {"type": "number", "minimum": 0, "maximum": 100}
AMOUNT: Part = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? *[A-Z]{3}$", "examples": ["75 USD"]}
VERSION: tuple[Part, str] = ({"const": API}, "The form of the file; this release reads one.")


def names(*options: str, empty: bool = False) -> Part:
    """One, or a list of them, each once."""
    return _some({"enum": list(options)} if options else TEXT, empty=empty)


def _some(one: Part, *, empty: bool) -> Part:
    many: Part = {"type": "array", "items": one, "uniqueItems": True, **({} if empty else {"minItems": 1})}
    return {"anyOf": [one, many]}


def known(kind: str) -> Part:
    """A name of something that the folder has: editors offer those, and take any other."""
    return {**TEXT, OFFERS: kind}


def known_names(kind: str, *, empty: bool = False) -> Part:
    return _some(known(kind), empty=empty)


def conditions() -> Part:
    return {"anyOf": [CONDITION, {"type": "array", "items": CONDITION, "minItems": 1}]}


def one_of(*options: Json) -> Part:
    return {"enum": list(options)}


def each(name: str) -> Part:
    """A list of these; a single one may stand without a list."""
    return {"anyOf": [ref(name), {"type": "array", "items": ref(name)}]}


def ref(name: str) -> Part:
    return {"$ref": f"#/$defs/{name}"}


def closed(keys: Iterable[str], said: Said, *needed: str, **more: Json) -> Part:
    """An object with exactly the reader's keys. A key that nobody described is allowed, and a test asks for its words."""
    properties = {key: {**said[key][0], "description": said[key][1]} if key in said else {} for key in keys}
    found: Part = {"type": "object", "properties": properties, "additionalProperties": False, **more}
    return {**found, "required": list(needed)} if needed else found


def by_name(of: Part, pattern: str | None = None) -> Part:
    """Names of one's own, each with such a value."""
    found: Part = {"type": "object", "additionalProperties": of}
    return {**found, "propertyNames": {"pattern": f"^{pattern}$"}} if pattern else found


def some(*keys: str) -> list[Json]:
    """`anyOf`: at least one of these keys."""
    return [{"required": [key]} for key in keys]


def snippet(label: str, body: Json, description: str) -> Json:
    """What the VS Code extension for YAML offers to write."""
    return {"label": label, "description": description, "body": body}
