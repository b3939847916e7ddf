"""tests/*.yaml: a test file's nodes become cases, not yet held against the rules."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lockkeep.model import Json
from lockkeep.policy.files.reading import Reader, begins
from lockkeep.policy.positions import Listing, Node, Place, Problems, Text, nearest, parse
from lockkeep.policy.positions import Mapping as Node_
from lockkeep.policy.rules.manifest import plain

GIVEN = ("as", "call", "with", "read", "now", "used", "run", "earlier", "result")
TOP = ("api", "test", "now", "callers", "given", "cases")
CASE = ("name", *GIVEN, "expect", "code", "by", "say", "args", "observed")
CALLER = ("user", "roles", "agent")
RESULT = ("answer", "shown", "withheld", "flagged")
MAPPINGS = ("with", "read", "used", "result")
OF_CALL = ("with", "result")  # in `given` they belong to its own call
PLAIN = (*MAPPINGS, "args")
TEXTS = ("as", "call", "now", "run", "expect", "code", "say")
NAMES = ("by", "observed")
ASKS = re.compile(r"asks \[([^\]]*)\]")
TO_PEOPLE = re.compile(r"to people(?: \[([^\]]*)\])?")
EXPECT = "expect is: allowed, denied, asks [group, …], or to people [group, …]"
START = datetime(2026, 1, 5, 9, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Case:
    """One case with everything of `given` merged in."""

    file: str
    place: Place
    name: str
    values: Mapping[str, Json]
    callers: Mapping[str, Mapping[str, Json]]
    reads: tuple[str, ...] = ()  # the look-ups it answers itself
    places: Mapping[str, Place] = field(default_factory=dict[str, Place])  # `with.amount` -> where it stands

    def at(self, key: str, name: str = "") -> Place:
        """Where this word of the case stands; the case itself if it is not written out."""
        return self.places.get(f"{key}.{name}") or self.places.get(key) or self.place


def read(files: Mapping[str, str], problems: Problems) -> list[Case]:
    """Every case of every test file of the set."""
    found: list[Case] = []
    for name, text in sorted(files.items()):
        if name.startswith("tests/") and (root := parse(name, text, problems)) is not None:
            found += _file(name, root, problems)
    return found


def _file(name: str, root: Node, problems: Problems) -> list[Case]:
    reader = Reader(root, "a test file", problems, TOP)
    begins(reader, "test")
    there = reader.get("given")
    given = _values(Reader(there, "given", problems, GIVEN), problems) if there is not None else {}
    places = dict(_places(there)) if there is not None else {}
    if (now := reader.text("now")) is not None:
        given = {"now": now.text, **given}
        _moment(now, problems)
    callers = _callers(reader.get("callers"), problems)
    cases = reader.need("cases")
    if cases is not None and not (isinstance(cases, Listing) and cases.items):
        problems.add(cases.place, "'cases' is a list of cases, and not empty", "- name: what it shows")
    if not isinstance(cases, Listing) or callers is None:
        return []
    made = [_case(name, item, given, callers, places, problems) for item in cases.items]
    return [case for case in made if case is not None]


def _callers(node: Node | None, problems: Problems) -> dict[str, Mapping[str, Json]] | None:
    if node is None:
        return {}
    if not isinstance(node, Node_):
        problems.add(
            node.place, f"'callers' is {node.kind}; name: {{roles, agent}} is expected", "NAME: {agent: …}"
        )
        return None
    found: dict[str, Mapping[str, Json]] = {}
    for key, value in node.entries:
        inner = Reader(value, f"caller {key.text}", problems, CALLER)
        agent, user, roles = inner.text("agent"), inner.text("user"), inner.get("roles")
        found[key.text] = {
            "user": user.text if user else key.text, "known": user is not None,
            "roles": None if roles is None else [text.text for text in inner.texts("roles")],
            "agent": agent.text if agent else "",
        }  # fmt: skip
    return found


def _values(reader: Reader, problems: Problems) -> dict[str, Json]:
    """What is said there, every part of the kind it must be."""
    found: dict[str, Json] = {}
    for key in reader.keys:
        value = reader.get(key)
        if value is None:
            continue
        if key in PLAIN and not isinstance(value, Node_):
            problems.add(value.place, f"'{key}' is {value.kind}; name: value is expected", f"{key}: {{…}}")
        elif key == "earlier":
            hint = "take it out; rules of a sequence are tried once runs exist"
            problems.add(
                value.place, "this release runs no workflows, so 'earlier' would decide nothing", hint
            )
        elif key in TEXTS:
            if (text := reader.text(key)) is not None:
                found[key] = text.text
                _moment(text, problems) if key == "now" else None
        elif key == "result":
            found[key] = _result(value, problems)
        else:
            found[key] = [text.text for text in reader.texts(key)] if key in NAMES else plain(value)
    return found


def _result(node: Node, problems: Problems) -> dict[str, Json]:
    """What the tool answers, and what becomes of it."""
    reader = Reader(node, "result", problems, RESULT)
    found: dict[str, Json] = {}
    for key in RESULT:
        value = reader.get(key)
        if value is not None:
            found[key] = reader.flag(key) if key in ("withheld", "flagged") else plain(value)
    return found


def _moment(text: Text, problems: Problems) -> None:
    try:
        found = datetime.fromisoformat(text.text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        problems.add(text.place, f"'{text.text}' is no time", "write it as 2026-11-20T10:00:00+01:00")


def _case(
    file: str,
    node: Node,
    given: Mapping[str, Json],
    callers: Mapping[str, Mapping[str, Json]],
    places: Mapping[str, Place],
    problems: Problems,
) -> Case | None:
    reader = Reader(node, "a case", problems, CASE)
    name, expect = reader.text("name", needed=True), reader.need("expect")
    if name is None or expect is None:
        return None
    expected = _expected(expect)
    if expected is None:
        problems.add(expect.place, EXPECT, "expect: asks [sales-lead]")
        return None
    before = len(problems.found)
    own: dict[str, Json] = {**_values(reader, problems), "expect": expected}
    merged: dict[str, Json] = {**given, **own}
    other_tool = "call" in given and merged.get("call") != given["call"]
    for key in MAPPINGS:
        before_it: Mapping[str, Json] = {} if other_tool and key in OF_CALL else given.get(key, {})
        merged[key] = {**before_it, **own.get(key, {})}
    caller = str(merged.get("as"))
    if len(problems.found) == before and caller not in callers:
        at = reader.get("as") or node
        problems.add(
            at.place, f"'{caller}' is not among callers", nearest(caller, callers), code="unknown-name"
        )
    if len(problems.found) > before:
        return None
    there = {**places, **dict(_places(node))}
    return Case(file, node.place, name.text, merged, callers, tuple(own.get("read", ())), there)


def _expected(node: Node) -> str | None:
    """As it is compared later: groups sorted, one blank after each comma."""
    if not isinstance(node, Text):
        return None
    said = " ".join(node.text.split())
    if said in ("allowed", "denied", "to people"):
        return said
    match = ASKS.fullmatch(said) or TO_PEOPLE.fullmatch(said)
    if match is None:
        return None
    groups = sorted(part.strip() for part in match[1].split(",") if part.strip())
    return f"{said.partition(' [')[0]} [{', '.join(groups)}]"


def _places(node: Node) -> Iterator[tuple[str, Place]]:
    """Where the words of a case stand, so that one nobody knows is told with its line."""
    for key, value in node.entries if isinstance(node, Node_) else ():
        yield key.text, value.place
        if isinstance(value, Node_):
            yield from ((f"{key.text}.{name.text}", name.place) for name, _ in value.entries)
        elif isinstance(value, Listing):
            yield from (
                (f"{key.text}.{item.text}", item.place) for item in value.items if isinstance(item, Text)
            )
