"""Arguments as they come from a model become typed values, or one refusal that names every faulty field."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from lockkeep_servers.kit.errors import Invalid

DEEPEST = 20  # objects and lists within each other
LARGEST = 2**53 - 1  # beyond it JSON readers disagree about whole numbers
ID = re.compile(r"[a-z]{3,4}_[A-Za-z0-9-]{1,64}")
CONTROL = {chr(n) for n in (*range(32), 127, *range(0x80, 0xA0))}
HIDDEN = set("\u200b\u200c\u200d\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """A validator: no control and no invisible characters."""
    if any(sign in CONTROL or sign in HIDDEN for sign in text):
        raise PydanticCustomError("controls", "must not hold control or invisible characters")
    return text


def _one_line(text: str) -> str:
    if "\r" in text or "\n" in text:
        raise PydanticCustomError("line_break", "must be one line")
    return text


def _an_id(text: str) -> str:
    if not ID.fullmatch(text):
        raise PydanticCustomError("id", "is not an id of ours, such as led_7")
    return text


Name = Annotated[str, Field(max_length=200), AfterValidator(printable)]
Line = Annotated[str, Field(max_length=500), AfterValidator(_one_line)]
Body = Annotated[str, Field(min_length=1, max_length=8000)]
Reason = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_one_line)]
Id = Annotated[str, Field(max_length=69), AfterValidator(_an_id)]
Country = Annotated[str, Field(pattern="^[A-Z]{2}$")]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$")]
Version = Annotated[str, Field(max_length=40)]
Key = Annotated[str, Field(min_length=8, max_length=128)]
Limit = Annotated[int, Field(ge=1, le=50)]


class Arguments(BaseModel):
    """What one tool takes. An optional null means absent; a required nullable field means its null."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Changes(Arguments):
    """Fields to set; what is absent stays, null clears."""

    model_config = ConfigDict(json_schema_extra={"keep_null": True})

    def given(self) -> dict[str, Any]:
        return {
            name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set
        }


class Paging(Arguments):
    cursor: Annotated[str, Field(max_length=600)] | None = None
    limit: Limit = 20


class Writes(Arguments):
    """What every writer takes beside its own arguments."""

    idempotency_key: Key | None = None
    dry_run: bool = False


class KeyedWrites(Writes):
    """What a writer takes that never runs without a key: money, customers, stock."""

    idempotency_key: Key = Field(...)  # pyright: ignore[reportIncompatibleVariableOverride] - frozen: narrower is sound


class VersionedWrites(Writes):
    expected_version: Version | None = None


A = TypeVar("A", bound=Arguments)


def parse(model: type[A], given: Mapping[str, Any] | None) -> A:
    """Return the typed arguments, or raise one `Invalid` with a sentence for every faulty field."""
    faults: dict[str, str] = {}
    clean = _canonical(dict(given or {}), (), faults)
    optional = {field.alias or name for name, field in model.model_fields.items() if not field.is_required()}
    clean = {name: value for name, value in clean.items() if value is not None or name not in optional}
    try:
        parsed = model.model_validate(clean)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            faults.setdefault(
                _path(fault["loc"]), _problem(fault["type"], fault["msg"], fault.get("ctx", {}))
            )
        raise Invalid(faults) from None
    if faults:
        raise Invalid(faults)
    return parsed


def digest(arguments: Arguments) -> str:
    """Two calls have one digest if, and only if, they ask for the same thing."""
    asked = arguments.model_dump(mode="json", exclude={"idempotency_key", "dry_run"}, exclude_unset=False)
    for name, value in arguments:
        if isinstance(value, Changes):  # here absent and null differ
            asked[name] = value.model_dump(mode="json", exclude_unset=True)
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any, loc: tuple[int | str, ...], faults: dict[str, str]) -> Any:
    """`2500.0` becomes 2500; what no JSON reader could agree on becomes a fault."""
    match value:
        case dict() | list() if len(loc) >= DEEPEST:
            faults[_path(loc)] = "is nested too deeply"
            return None
        case bool() | None:
            return value
        case float() if value.is_integer() and abs(value) <= LARGEST:
            return int(value)
        case int() if abs(value) > LARGEST:
            faults[_path(loc)] = "is too large a number"
            return 0
        case str() if "\x00" in value or not _encodable(value):
            faults[_path(loc)] = "holds characters that cannot be stored"
            return "?"
        case dict():
            items = cast(dict[Any, Any], value).items()
            return {_name(name): _canonical(part, (*loc, str(name)), faults) for name, part in items}
        case list():
            parts = cast(list[Any], value)
            return [_canonical(part, (*loc, place), faults) for place, part in enumerate(parts)]
        case _:
            return value


def _name(given: object) -> str:
    """Return a name as it can be shown: no argument of ours is called otherwise."""
    return str(given).encode(errors="replace").decode()


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(loc: tuple[int | str, ...]) -> str:
    """Where the fault is. A name the caller made up is shortened, and stripped of everything but letters."""
    return ".".join(
        "".join(sign for sign in str(part) if sign.isalnum() or sign in "_-")[:40] for part in loc
    )


SENTENCES = {
    "missing": "is required",
    "extra_forbidden": "is not an argument of this tool",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "string_pattern_mismatch": "does not have the right form ({pattern})",
    "string_too_short": "needs at least {min_length} characters",
    "string_too_long": "has more than {max_length} characters",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be more than {gt}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be one of {expected}",
    "too_long": "has too many entries (at most {max_length})",
    "too_short": "needs at least {min_length} entries",
}


def _problem(kind: str, message: str, context: Mapping[str, Any]) -> str:
    return SENTENCES[kind].format(**context) if kind in SENTENCES else message
