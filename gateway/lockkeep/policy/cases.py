"""Test files of policies: cases with an expected verdict, decided by the engine that decides live calls."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lockkeep.model import Allow, Deny, Json, Request, RequireApproval, Tool, ToolCall, Verdict, is_object
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.currencies import decimals
from lockkeep.policy.engine import Decision
from lockkeep.policy.manifest import plain
from lockkeep.policy.positions import Listing, Node, Place, Problems, Text, nearest, parse
from lockkeep.policy.positions import Mapping as Node_
from lockkeep.policy.reading import Reader, begins
from lockkeep.policy.runtime import FailedLookup, is_array
from lockkeep.policy.types import ANY, Type, of_answer, of_schema

CASE = ("name", "as", "call", "with", "read", "now", "used", "run", "expect", "code", "by", "say")
GIVEN = ("as", "call", "with", "read", "now", "used", "run")
MAPPINGS = ("with", "read", "used")
TEXTS = ("as", "call", "now", "run", "expect", "code", "say")
MONEY = re.compile(r"(-?[0-9]{1,15})(?:\.([0-9]{1,9}))? ([A-Z]{3})")
ASKS = re.compile(r"asks \[([^\]]*)\]")
Prepared = Callable[[Request, Tool, frozenset[str]], ToolCall]
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


@dataclass(frozen=True, slots=True)
class Result:
    """How one case went; `why` is empty if it went as expected."""

    case: Case
    why: str
    fired: tuple[str, ...] = ()


def read(files: Mapping[str, str], problems: Problems) -> list[Case]:
    """Every case of every test file of the set."""
    found: list[Case] = []
    for name, text in sorted(files.items()):
        if name.startswith("tests/") and (root := parse(name, text, problems)) is not None:
            found += _file(name, root, problems)
    return found


async def run(rules: PolicySet, case: Case, prepared: Prepared) -> Result:
    """Decide the case and compare. `prepared` makes the call as the gateway does; it lives a layer above."""
    values, name = case.values, str(case.values.get("call"))
    tool = rules.tools.get(name)
    if tool is None:
        return Result(case, f"no accepted tool is called '{name}'; {nearest(name, rules.tools)}")
    if why := _unknown(rules, tool, case):
        return Result(case, why)
    caller = case.callers.get(str(values.get("as")), {})
    request = Request(
        id="call_case", tool=tool.exported, arguments=_arguments(tool, values["with"]), user=str(values.get("as")),
        agent=str(caller.get("agent", "")), host="policy test", at=_now(values.get("now")), run=values.get("run"),
    )  # fmt: skip
    call = prepared(request, tool, frozenset(_list(caller.get("roles"))))
    decision = await rules.decide(call, _nothing, given=_answers(rules, tool, values["read"]))
    verdict = call.unresolved or _limited(decision, values["used"])
    return Result(case, _difference(values, verdict, decision, call), decision.basis.fired)


def _unknown(rules: PolicySet, tool: Tool, case: Case) -> str:
    """A name the rules do not have would make a case that proves nothing."""
    names = {*of_schema(tool.input).names(), *tool.input.get("properties", {})}
    of_rules = rules.rules_of(tool.name)
    reads = {read for _, read in of_rules.lookups}
    limits = {rule.id for rule in of_rules.rules if rule.kind == "limit"}
    with_, used = case.values["with"], case.values["used"]
    for known, what, given in (
        (names, "argument", with_),
        (reads, "look-up", case.reads),
        (limits, "limit", used),
    ):
        for name in given:
            if name not in known:
                return f"{tool.name} has no {what} '{name}'; {nearest(name, known)}"
    for name in case.values.get("by", ()):
        if not any(name in (rule.id, rule.id.rsplit("/", 1)[-1]) for rule in of_rules.rules):
            return f"{tool.name} has no rule '{name}'"
    return ""


async def _nothing(tool: str, arguments: Mapping[str, Json], timeout: float) -> Json:
    raise LookupError(tool)


def _file(name: str, root: Node, problems: Problems) -> list[Case]:
    reader = Reader(root, "a test file", problems, ("api", "test", "now", "callers", "given", "cases"))
    begins(reader, "test")
    there = reader.get("given")
    given = _values(Reader(there, "given", problems, GIVEN), problems) if there is not None else {}
    if (now := reader.text("now")) is not None:
        given = {"now": now.text, **given}
        _moment(now, problems)
    callers = _callers(reader.get("callers"), problems)
    cases = reader.need("cases")
    if cases is not None and not (isinstance(cases, Listing) and cases.items):
        problems.add(cases.place, "'cases' is a list of cases, and not empty", "- name: what it shows")
    if not isinstance(cases, Listing) or callers is None:
        return []
    return [case for item in cases.items if (case := _case(name, item, given, callers, problems)) is not None]


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
        inner = Reader(value, f"caller {key.text}", problems, ("roles", "agent"))
        agent = inner.text("agent")
        found[key.text] = {
            "roles": [text.text for text in inner.texts("roles")],
            "agent": agent.text if agent else "",
        }
    return found


def _values(reader: Reader, problems: Problems) -> dict[str, Json]:
    """What is said there, every part of the kind it must be."""
    found: dict[str, Json] = {}
    for key in reader.keys:
        value = reader.get(key)
        if value is None:
            continue
        if key in MAPPINGS and not isinstance(value, Node_):
            problems.add(value.place, f"'{key}' is {value.kind}; name: value is expected", f"{key}: {{…}}")
        elif key in TEXTS:
            if (text := reader.text(key)) is not None:
                found[key] = text.text
                _moment(text, problems) if key == "now" else None
        else:
            found[key] = [text.text for text in reader.texts(key)] if key == "by" else plain(value)
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
    problems: Problems,
) -> Case | None:
    reader = Reader(node, "a case", problems, CASE)
    name, expect = reader.text("name", needed=True), reader.need("expect")
    if name is None or expect is None:
        return None
    if not isinstance(expect, Text) or not (
        expect.text in ("allowed", "denied") or ASKS.fullmatch(expect.text)
    ):
        message = "expect is: allowed, denied, or asks [group, …]"
        problems.add(expect.place, message, "expect: asks [sales-lead]")
        return None
    before = len(problems.found)
    own = _values(reader, problems)
    merged: dict[str, Json] = {**given, **own}
    for key in MAPPINGS:
        merged[key] = {**given.get(key, {}), **own.get(key, {})}
    caller = str(merged.get("as"))
    if len(problems.found) == before and caller not in callers:
        at = reader.get("as") or node
        problems.add(
            at.place, f"'{caller}' is not among callers", nearest(caller, callers), code="unknown-name"
        )
    if len(problems.found) > before:
        return None
    return Case(file, node.place, name.text, merged, callers, tuple(own.get("read", ())))


def _arguments(tool: Tool, given: Mapping[str, Json]) -> dict[str, Json]:
    """`amount: 50 EUR` stands for `amount_minor` and `currency`, where the tool has those."""
    shaped = _shaped(given, of_schema(tool.input))
    return dict(shaped)


def _answers(rules: PolicySet, tool: Tool, given: Mapping[str, Json]) -> dict[str, Json]:
    """The look-ups' answers in the shape their tools give them."""
    lookups = {name: lookup.tool for (_, name), lookup in rules.rules_of(tool.name).lookups.items()}
    found: dict[str, Json] = {}
    for name, answer in given.items():
        if is_object(answer) and set(answer) == {"error"}:
            found[name] = FailedLookup(name, str(answer["error"]))
            continue
        reader = rules.tools.get(lookups.get(name, ""))
        found[name] = _shaped(answer, of_answer(reader.output or {}) if reader else ANY)
    return found


def _shaped(value: Json, kind: Type) -> Json:
    """Money written as people write it becomes the fields it is a view of; everything else stays."""
    if is_array(value):
        return [_shaped(part, kind.item or ANY) for part in value]
    if not is_object(value) or kind.kind not in ("object", "any"):
        return value
    found: dict[str, Json] = {}
    for name, part in value.items():
        field = kind.attribute(name)
        is_money = field is not None and field.kind == "money"
        found |= _money(name, part) if is_money else {name: _shaped(part, field or ANY)}
    return found


def _money(name: str, value: Json) -> dict[str, Json]:
    match = MONEY.fullmatch(value) if isinstance(value, str) else None
    if match is None or len(match[2] or "") > decimals(match[3]):
        return {name: value}  # no amount: the rule that reads it will say so
    minor = int(match[1] + (match[2] or "").ljust(decimals(match[3]), "0"))
    return {f"{name}_minor": minor, "currency": match[3]}


def _now(text: Json) -> datetime:
    return datetime.fromisoformat(text) if isinstance(text, str) else START


def _list(value: Json) -> list[str]:
    return [str(each) for each in value] if is_array(value) else []


def _limited(decision: Decision, used: Mapping[str, Json]) -> Verdict:
    """The claim would find the limit full."""
    for share in decision.basis.shares:
        taken: Json = used.get(share.rule, 0)
        if not isinstance(taken, int) or taken >= share.most:
            return Deny("policy.limit", f"The limit is reached: {share.text}.", rule=share.rule)
    return decision.verdict


def _difference(values: Mapping[str, Json], verdict: Verdict, decision: Decision, call: ToolCall) -> str:
    said = _words(verdict)
    expected = str(values["expect"])
    if match := ASKS.fullmatch(expected):
        expected = (
            "asks [" + ", ".join(sorted(part.strip() for part in match[1].split(",") if part.strip())) + "]"
        )
    if said != expected:
        reason = f": {verdict.reason}" if isinstance(verdict, Deny) else ""
        return f"expected {expected}, got {said}{reason}"
    code = verdict.code if isinstance(verdict, Deny) else None
    if "code" in values and values["code"] != code:
        return f"expected code {values['code']}, got {code}"
    if "say" in values and values["say"] not in _told(verdict):
        return f"expected the reason to say '{values['say']}', it is '{_told(verdict)}'"
    names = {rule.rsplit("/", 1)[-1] for rule in decision.basis.fired}
    missing = [
        name for name in values.get("by", ()) if name not in names and name not in decision.basis.fired
    ]
    return f"expected {', '.join(missing)} to fire for {call.tool}" if missing else ""


def _told(verdict: Verdict) -> str:
    if isinstance(verdict, Deny):
        return verdict.reason
    return "; ".join(demand.why for demand in verdict.demands) if isinstance(verdict, RequireApproval) else ""


def _words(verdict: Verdict) -> str:
    if isinstance(verdict, Allow):
        return "allowed"
    if isinstance(verdict, RequireApproval):
        groups = {group for demand in verdict.demands for group in demand.groups}
        groups |= {"requester"} if any(demand.confirm for demand in verdict.demands) else set()
        return f"asks [{', '.join(sorted(groups))}]"
    return "denied"
