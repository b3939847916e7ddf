"""A change of the catalog in words: for the person who has to decide, and who may not read JSON Schema."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import cast

from lockkeep.model import RISKS, Json, Tool, is_object
from lockkeep.upstream.catalog import Proposal
from lockkeep.upstream.listing import Listing
from lockkeep.upstream.lock import NEARLY, Change, Lock, alike
from lockkeep.upstream.visible import visible

LONGEST = 600  # characters of one text; the lock holds the whole
MOST_LINES = 200
DEEPEST = 12
MEANS: Mapping[str, str] = {
    "read": "changes nothing",
    "note": "adds something only colleagues see",
    "write": "changes records",
    "money": "moves money",
    "customer_visible": "a customer sees it",
    "irreversible": "cannot be taken back",
}
HINTS: Mapping[str, tuple[str, str]] = {
    "readOnlyHint": ("that it only reads", "that it does more than read"),
    "destructiveHint": ("that it destroys", "that it destroys nothing"),
    "idempotentHint": ("that a repeat changes nothing more", "that a repeat does it again"),
    "openWorldHint": ("that it reaches the outside world", "that it stays within the server's own data"),
}
GUARDS = (
    "verify",
    "idempotency",
    "pii",
    "before",
    "hidden",
    "operations",
    "queue",
)  # without them less is known or held
_PIECES = re.compile(r"(?<=[.!?])\s+|\n")


def in_words(change: Change, lock: Lock, proposal: Proposal, listing: Listing) -> tuple[str, ...]:
    """What the change means, one sentence a line; everything the server wrote is safe to show."""
    accepted = lock.integrations.get(proposal.integration)
    old = accepted.tools.get(was(change)) if accepted else None
    new = next((tool for tool in proposal.tools if tool.name == change.tool), None)
    if new is None:
        return tuple(_gone(old, proposal, listing)) if old else ()
    if old is None:
        return tuple(_added(new))
    return tuple(_differences(old, new)) or tuple(_bare(change))


def was(change: Change) -> str:
    """The name under which the tool was accepted."""
    old = change.details.get("name", (change.tool, None))[0]
    return str(old)


def news(lock: Lock, proposal: Proposal) -> tuple[str, ...]:
    """What is different about the server itself. Its tools stay as they are accepted."""
    accepted = lock.integrations.get(proposal.integration)
    if accepted is None:
        return ()
    pairs = (
        ("calls itself", accepted.server, proposal.server),
        ("is version", accepted.version, proposal.version),
        ("speaks", accepted.protocol, proposal.protocol),
    )
    return tuple(
        f"the server {verb} {_text(new)} now; accepted was {_text(old)}"
        for verb, old, new in pairs
        if old != new
    )


def aliased(tool: Tool) -> bool:
    """Whether gateway.yaml calls it something else than the server does."""
    return tool.name != f"{tool.integration}.{tool.server_name}"


def _bare(change: Change) -> Iterator[str]:
    """What has no sentence of its own is shown as it stands: no change goes unsaid."""
    if list(change.details) == ["pin"]:
        yield "only the manifest that the server itself proposes changed; yours stays"
        return
    for path, (old, new) in change.details.items():
        yield f"{visible(path)} is {_text(new)} now, and was {_text(old)}"


def _added(tool: Tool) -> Iterator[str]:
    yield f"class {tool.risk}: {MEANS[tool.risk]}"
    if tool.description:
        yield f"says: {_text(tool.description)}"
    properties = _object(tool.input, "properties")
    needed = _needed(tool.input)
    for name, schema in properties.items():
        yield f"takes {_text(name)} ({_kind(schema)}{', needed' if name in needed else ''})"
    if not tool.offered:
        yield "is for the gateway only; agents do not see it"


def _gone(old: Tool, proposal: Proposal, listing: Listing) -> Iterator[str]:
    if old.server_name in proposal.left_out:
        yield f"can no longer be used: {proposal.left_out[old.server_name]}"
        return
    yield "the server no longer lists it; calls are denied"
    for listed in listing.tools:
        if listed.name in proposal.left_out and alike(old, listed) >= NEARLY:
            also = (
                f", and the same name at alias of {old.integration} in gateway.yaml" if aliased(old) else ""
            )
            yield (
                f"the server lists {_text(listed.name)}, which is nearly the same. Was it renamed? Then rename the entry "
                f"{_text(old.server_name)} in manifests/{old.integration}.yaml{also}"
            )


def _differences(old: Tool, new: Tool) -> Iterator[str]:
    if old.server_name != new.server_name:
        yield f"the server calls it {_text(new.server_name)} now, and called it {_text(old.server_name)}"
        if aliased(old) and not aliased(new):
            ours = old.name.partition(".")[2]
            yield (
                f"the alias in gateway.yaml still says {_text(old.server_name)}: "
                f"write {_text(new.server_name)}: {ours} there, and your rules stay as they are"
            )
    elif old.name != new.name:
        yield f"your alias calls it {new.name} now, and called it {old.name}"
    if old.title != new.title:
        yield _moved("the title", old.title, new.title)
    yield from _texts("the description", old.description, new.description)
    for verb, before, after in (
        ("takes", old.input, new.input),
        ("answers with", old.output or {}, new.output or {}),
    ):
        yield from _schema("", _retitled(before, old, new), after, verb, 0)
    yield from _annotations(old.annotations, new.annotations)
    yield from _manifest(old.effect, new.effect)


def _texts(what: str, old: str, new: str) -> Iterator[str]:
    """Sentence by sentence, so that one new sentence in a long text stands out."""
    if old == new:
        return
    before, after = _PIECES.split(old)[:MOST_LINES], _PIECES.split(new)[:MOST_LINES]
    gone: list[str] = []
    come: list[str] = []
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            gone += before[a:b]
            come += after[c:d]
    lost = [f"{what} no longer says: {_text(each)}" for each in gone if each.strip()]
    said = [f"{what} now says: {_text(each)}" for each in come if each.strip()]
    yield from lost + said or [f"{what} differs in empty space only, or far below"]


def _schema(
    path: str, old: Mapping[str, Json], new: Mapping[str, Json], verb: str, depth: int
) -> Iterator[str]:
    """The arguments of a tool, or the fields of its answer, one by one; then all else of the schema."""
    if old == new:
        return
    if depth > DEEPEST:
        yield f"{path or 'the schema'} differs deep inside"
        return
    what = "argument" if verb == "takes" else "field"
    was_needed, is_needed = _needed(old), _needed(new)
    before, after = _object(old, "properties"), _object(new, "properties")
    for name in sorted(after.keys() - before.keys()):
        needed = ", needed" if name in is_needed else ""
        yield f"{verb} a new {what} {_at(path, name)} ({_kind(after[name])}{needed})"
        yield from _said_of(after[name])
    for name in sorted(before.keys() - after.keys()):
        yield f"no longer {verb} the {what} {_at(path, name)}"
    for name in sorted((was_needed ^ is_needed) - (before.keys() ^ after.keys())):
        yield f"{_at(path, name)} {'is needed now' if name in is_needed else 'can be left out now'}"
    for name in sorted(before.keys() & after.keys()):
        yield from _argument(_at(path, name), before[name], after[name], verb, depth)
    if path:
        yield from _else(path, old, new)
    else:
        yield from _else(
            f"what it {'takes' if verb == 'takes' else 'answers'}", old, new, ("properties", "required")
        )


def _retitled(schema: Mapping[str, Json], old: Tool, new: Tool) -> Mapping[str, Json]:
    """Frameworks write the tool's name into the title of its schema: a new name there is no news of its own."""
    title = schema.get("title")
    return (
        {**schema, "title": title.replace(old.server_name, new.server_name)}
        if isinstance(title, str)
        else schema
    )


def _argument(path: str, old: Json, new: Json, verb: str, depth: int) -> Iterator[str]:
    if old == new:
        return
    if not (is_object(old) and is_object(new)):
        yield _moved(path, old, new)
        return
    if _type(old) != _type(new):
        yield f"{path} is {_type(new)} now, and was {_type(old)}"
    yield from _texts(
        f"the description of {path}", _string(old.get("description")), _string(new.get("description"))
    )
    yield from _choices(path, old.get("enum"), new.get("enum"))
    for key, name in (("title", "title"), ("default", "default"), ("const", "only value")):
        if old.get(key) != new.get(key):
            yield _moved(f"the {name} of {path}", old.get(key), new.get(key))
    if is_object(old.get("items")) and is_object(new.get("items")):
        yield from _argument(f"each of {path}", old["items"], new["items"], verb, depth + 1)
    yield from _schema(path, old, new, verb, depth + 1) if _nested(old, new) else _else(path, old, new)


def _nested(old: Mapping[str, Json], new: Mapping[str, Json]) -> bool:
    return "properties" in old or "properties" in new


def _choices(path: str, old: Json, new: Json) -> Iterator[str]:
    if old == new:
        return
    if not (isinstance(old, list) and isinstance(new, list)):
        yield _moved(f"the values of {path}", old, new)
        return
    before, after = cast("list[Json]", old), cast("list[Json]", new)
    if come := [each for each in after if each not in before]:
        yield f"{path} may also be {', '.join(map(_text, come))} now"
    if gone := [each for each in before if each not in after]:
        yield f"{path} may no longer be {', '.join(map(_text, gone))}"


_SPOKEN_OF = ("properties", "required", "description", "enum", "title", "default", "const", "items", "type")


def _else(
    path: str, old: Mapping[str, Json], new: Mapping[str, Json], spoken_of: Sequence[str] = _SPOKEN_OF
) -> Iterator[str]:
    """Whatever else the schema says: limits, patterns, and words that this page has no sentence for."""
    for key in sorted(old.keys() | new.keys()):
        spoken = key in spoken_of and not (
            key == "items" and not (is_object(old.get(key)) and is_object(new.get(key)))
        )
        if not spoken and old.get(key) != new.get(key):
            yield _moved(f"{path}, {_text(key)}", old.get(key), new.get(key))


def _annotations(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[str]:
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if key not in HINTS or not isinstance(after, bool | None):
            yield _moved(f"the annotation {_text(key)}", before, after)
        elif after is None:
            yield f"the server no longer says {HINTS[key][0 if before else 1]}"
        else:
            yield f"the server now says {HINTS[key][0 if after else 1]}"


def _manifest(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[str]:
    for key in sorted(old.keys() | new.keys(), key=lambda key: (key != "class", key)):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if key == "class" and before in RISKS and after in RISKS:
            turn = "graver" if RISKS.index(after) > RISKS.index(before) else "WEAKER"
            yield f"manifest: the class is {after} now ({MEANS[after]}), and was {before}: {turn}"
        elif key == "export":
            yield f"manifest: agents {'do not see it any more' if after is False else 'see it now'}"
        elif after is None:
            yield f"manifest: {key} is gone{': WEAKER' if key in GUARDS else ''}; it was {_text(before)}"
        else:
            yield _moved(f"manifest: {_text(key)}", before, after)


def _moved(what: str, old: Json, new: Json) -> str:
    if old is None:
        return f"{what} is new: {_text(new)}"
    return (
        f"{what} is gone; it was {_text(old)}"
        if new is None
        else f"{what} is {_text(new)} now, and was {_text(old)}"
    )


def _said_of(schema: Json) -> Iterator[str]:
    if is_object(schema) and _string(schema.get("description")):
        yield f"    it says: {_text(schema['description'])}"


def _kind(schema: Json) -> str:
    """`string`, `array of integer`, `string or null`, `one of a, b`."""
    if is_object(schema) and isinstance(enum := schema.get("enum"), list):
        return f"one of {', '.join(map(_text, cast('list[Json]', enum)[:20]))}"
    return _type(schema)


def _type(schema: Json) -> str:
    if not is_object(schema):
        return "anything"
    said: Json = schema.get("type")
    if isinstance(said, list):
        return " or ".join(map(_text, cast("list[Json]", said)))
    if said == "array" and is_object(schema.get("items")):
        return f"array of {_type(schema['items'])}"
    choice: Json = schema.get("anyOf") or schema.get("oneOf")
    if said is None and isinstance(choice, list):
        return " or ".join(_type(each) for each in cast("list[Json]", choice)[:8])
    return "anything" if said is None else _text(said)


def _object(schema: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    found: Json = schema.get(key)
    return found if is_object(found) else {}


def _needed(schema: Mapping[str, Json]) -> set[str]:
    found: Json = schema.get("required")
    return {str(each) for each in cast("list[Json]", found)} if isinstance(found, list) else set()


def _at(path: str, name: str) -> str:
    return f"{path}.{_text(name)}" if path else _text(name)


def _string(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _text(value: Json) -> str:
    """On one line, with hidden characters as code points; cut, with its length."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    line = visible(" ".join(text.split("\n")).strip() if len(text) <= LONGEST else text[:LONGEST])
    return line if len(text) <= LONGEST else f"{line}… ({len(text)} characters)"
