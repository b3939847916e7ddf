"""Test files of policies: cases with an expected verdict, decided by the engine that decides live calls."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lockkeep.model import Allow, Deny, Json, Request, RequireApproval, Tool, ToolCall, Verdict
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.engine import Decision
from lockkeep.policy.lexer import EXPONENTS
from lockkeep.policy.manifest import plain
from lockkeep.policy.positions import Listing, Node, Place, Problems, Text, nearest, parse
from lockkeep.policy.positions import Mapping as Node_
from lockkeep.policy.reading import Reader, begins
from lockkeep.policy.runtime import FailedLookup

CASE = ("name", "as", "call", "with", "read", "now", "used", "run", "expect", "code", "by", "say")
GIVEN = ("as", "call", "with", "read", "now", "used", "run")
MONEY = re.compile(r"(-?\d+)(?:\.(\d+))? ([A-Z]{3})")
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
    values = case.values
    tool = rules.tools.get(str(values.get("call")))
    if tool is None:
        return Result(
            case,
            f"no accepted tool is called '{values.get('call')}'; {nearest(str(values.get('call')), rules.tools)}",
        )
    caller = case.callers.get(str(values.get("as")), {})
    roles = frozenset(str(role) for role in caller.get("roles", ()))
    request = Request(
        id="call_case", tool=tool.exported, arguments=_arguments(tool, values.get("with") or {}), user=str(values.get("as")),
        agent=str(caller.get("agent", "")), host="policy test", at=_now(values.get("now")), run=values.get("run"),
    )  # fmt: skip
    call = prepared(request, tool, roles)
    decision = await rules.decide(call, _nothing, given=_answers(values.get("read") or {}))
    verdict = _limited(decision, values.get("used") or {})
    return Result(case, _difference(values, verdict, decision, call), decision.basis.fired)


async def _nothing(tool: str, arguments: Mapping[str, Json], timeout: float) -> Json:
    raise LookupError(tool)


def _file(name: str, root: Node, problems: Problems) -> list[Case]:
    reader = Reader(root, "a test file", problems, ("api", "test", "now", "callers", "given", "cases"))
    begins(reader, "test")
    given: dict[str, Json] = {}
    if (node := reader.get("given")) is not None:
        Reader(node, "given", problems, GIVEN)
        given = plain(node)
    if (now := reader.text("now")) is not None:
        given.setdefault("now", now.text)
    callers = reader.get("callers")
    people: Mapping[str, Mapping[str, Json]] = plain(callers) if isinstance(callers, Node_) else {}
    cases = reader.need("cases")
    if not isinstance(cases, Listing):
        return []
    return [case for item in cases.items if (case := _case(name, item, given, people, problems)) is not None]


def _case(
    file: str,
    node: Node,
    given: Mapping[str, Json],
    callers: Mapping[str, Mapping[str, Json]],
    problems: Problems,
) -> Case | None:
    inner = Reader(node, "a case", problems, CASE)
    name, expect = inner.text("name", needed=True), inner.get("expect")
    if expect is None and inner.node is not None:
        inner.need("expect")
    if name is None or expect is None:
        return None
    if not isinstance(expect, Text) or not (
        expect.text in ("allowed", "denied") or ASKS.fullmatch(expect.text)
    ):
        problems.add(expect.place, "expect is: allowed, denied, or asks [group, …]")
        return None
    own: dict[str, Json] = plain(node)
    merged: dict[str, Json] = {**given, **own}
    for key in ("with", "read", "used"):
        if isinstance(given.get(key), dict) and isinstance(own.get(key), dict):
            merged[key] = {**given[key], **own[key]}
    if str(merged.get("as")) not in callers:
        problems.add(
            node.place, f"'{merged.get('as')}' is not among callers", nearest(str(merged.get("as")), callers)
        )
        return None
    return Case(file, node.place, name.text, merged, callers)


def _arguments(tool: Tool, given: Mapping[str, Json]) -> dict[str, Json]:
    """`amount: 50 EUR` stands for `amount_minor` and `currency`, where the tool has those."""
    declared = tool.input.get("properties", {})
    found: dict[str, Json] = {}
    for name, value in given.items():
        found |= (
            _money(name, value) if name not in declared and f"{name}_minor" in declared else {name: value}
        )
    return found


def _money(name: str, value: Json) -> dict[str, Json]:
    match = MONEY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return {name: value}
    digits = EXPONENTS.get(match[3], 2)
    return {
        f"{name}_minor": int(match[1] + (match[2] or "").ljust(digits, "0")[:digits]),
        "currency": match[3],
    }


def _answers(given: Mapping[str, Json]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, answer in given.items():
        failed = isinstance(answer, dict) and set(answer) == {"error"}  # pyright: ignore[reportUnknownArgumentType]
        found[name] = FailedLookup(name, str(answer["error"])) if failed else _with_money(answer)
    return found


def _with_money(value: Json) -> Json:
    if isinstance(value, dict):
        found: dict[str, Json] = {}
        for key, part in value.items():  # pyright: ignore[reportUnknownVariableType]
            found |= _money(key, part) if isinstance(part, str) else {key: _with_money(part)}  # pyright: ignore[reportUnknownArgumentType]
        return found
    return [_with_money(part) for part in value] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]


def _now(text: Json) -> datetime:
    return datetime.fromisoformat(text) if isinstance(text, str) else START


def _limited(decision: Decision, used: Mapping[str, Json]) -> Verdict:
    """The claim would find the limit full."""
    for share in decision.basis.shares:
        if used.get(share.rule, 0) >= share.most:
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
    if "say" in values and isinstance(verdict, Deny) and values["say"] not in verdict.reason:
        return f"expected the reason to say '{values['say']}', it is '{verdict.reason}'"
    names = {rule.rsplit("/", 1)[-1] for rule in decision.basis.fired}
    missing = [
        name for name in values.get("by", ()) if name not in names and name not in decision.basis.fired
    ]
    return f"expected {', '.join(missing)} to fire for {call.tool}" if missing else ""


def _words(verdict: Verdict) -> str:
    if isinstance(verdict, Allow):
        return "allowed"
    if isinstance(verdict, RequireApproval):
        groups = {group for demand in verdict.demands for group in demand.groups}
        groups |= {"requester"} if any(demand.confirm for demand in verdict.demands) else set()
        return f"asks [{', '.join(sorted(groups))}]"
    return "denied"
