"""Cases of test files, decided by the engine that decides live calls, and compared with what they expect."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import jsonschema_rs

from lockkeep.model import (
    Allow,
    Basis,
    Deny,
    Divert,
    Json,
    Request,
    RequireApproval,
    Share,
    Tool,
    ToolCall,
    Verdict,
    is_object,
)
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.cases.casefile import CALLER, CASE, GIVEN, RESULT, START, TOP, Case, read
from lockkeep.policy.conditions.currencies import decimals
from lockkeep.policy.conditions.runtime import FailedLookup, is_array, shown
from lockkeep.policy.conditions.types import ANY, Type, of_answer, of_schema
from lockkeep.policy.engine import results
from lockkeep.policy.engine.combining import MILLION
from lockkeep.policy.engine.cutting import value_at
from lockkeep.policy.engine.lookups import LookUps, by_name
from lockkeep.policy.positions import Problem, Problems, nearest
from lockkeep.policy.rules.rule import Counted, ToolRules
from lockkeep.upstream.exported import exported_schema

__all__ = ["CALLER", "CASE", "GIVEN", "RESULT", "START", "TOP", "Case", "Result", "read", "run", "unknown"]
MONEY = re.compile(r"(-?[0-9]{1,15})(?:\.([0-9]{1,9}))? ([A-Z]{3})")
AFTER_THE_SCHEMA = ("arguments.operation", "arguments.mixed")  # as the arguments gate has it
Prepared = Callable[[Request, Tool, frozenset[str]], ToolCall]


@dataclass(frozen=True, slots=True)
class Result:
    """How one case went; `why` is empty if it went as expected."""

    case: Case
    why: str
    fired: tuple[str, ...] = ()
    said: str = ""


@dataclass(frozen=True, slots=True)
class _Decided:
    """The verdict as a live call would get it, and what it rests on."""

    verdict: Verdict
    basis: Basis
    call: ToolCall
    cuts: tuple[str, ...] = ()
    seen: results.Seen | None = None

    @property
    def fired(self) -> tuple[str, ...]:
        ruled = (self.seen.withheld, *self.seen.flagged, *self.seen.touched) if self.seen else ()
        return (*self.basis.fired, *self.cuts, *(rule for rule in ruled if rule is not None))

    @property
    def observed(self) -> tuple[str, ...]:
        """Rules that only observe and would have said something."""
        return (
            *(said.partition(" ")[2] for said in self.basis.observed),
            *(self.seen.observed if self.seen else ()),
        )

    @property
    def sent(self) -> Mapping[str, Json] | None:
        """The arguments that go out, now or once people agree."""
        return self.verdict.arguments if isinstance(self.verdict, Allow | RequireApproval) else None


async def run(rules: PolicySet, case: Case, prepared: Prepared) -> Result:
    """Decide the case and compare. `prepared` makes the call as the gateway does; it lives a layer above."""
    if problems := unknown(rules, case):
        first = problems[0]
        return Result(case, f"{first.message}; {first.hint}".removesuffix("; "))
    tool = rules.tools[str(case.values["call"])]
    call = _call(rules, case, tool, prepared)
    decided = _with_result(rules, case, tool, await _decided(rules, case, tool, call))
    why = _difference(case, tool, decided)
    return Result(case, why, (*decided.fired, *decided.observed), _words(decided.verdict))


def unknown(rules: PolicySet, case: Case) -> list[Problem]:
    """Names the rules do not have, and amounts that are none: such a case would prove nothing."""
    found = Problems()
    name = str(case.values.get("call"))
    tool = rules.tools.get(name)
    if tool is None:
        hint = nearest(name, rules.tools)
        found.add(case.at("call"), f"no accepted tool is called '{name}'", hint, code="unknown-tool")
        return found.found
    user = case.callers[str(case.values["as"])]
    if user["known"] and user["user"] not in rules.people.persons:
        hint = nearest(user["user"], rules.people.persons)
        found.add(case.at("as"), f"there is no person '{user['user']}'", hint, code="unknown-name")
    _unknown_fields(rules, case, tool, found)
    _unknown_rules(rules.rules_of(tool.name), case, tool, found)
    return found.found


def _unknown_fields(rules: PolicySet, case: Case, tool: Tool, found: Problems) -> None:
    takes = of_schema(tool.input)
    arguments = {*takes.names(), *tool.input.get("properties", {})}
    reads = {read for _, read in rules.rules_of(tool.name).lookups}
    wanted: tuple[tuple[str, Iterable[str], set[str], str], ...] = (
        ("with", case.values["with"], arguments, "argument"),
        ("args", case.values.get("args", {}), arguments, "argument"),
        ("read", case.reads, reads, "look-up"),
    )
    for key, given, there, what in wanted:
        for each in given:
            if each not in there:
                message = f"{tool.name} has no {what} '{each}'"
                found.add(case.at(key, each), message, nearest(each, there), code="unknown-name")
    for key in ("with", "args"):
        for each, value in case.values.get(key, {}).items():
            kind = takes.attribute(each)
            if (
                kind is not None
                and kind.kind == "money"
                and value is not None
                and each in _money(each, value)
            ):
                hint = "write it as 50 EUR, or 49.90 EUR"
                found.add(case.at(key, each), f"'{value}' is no amount of money", hint)


def _unknown_rules(rules: ToolRules, case: Case, tool: Tool, found: Problems) -> None:
    limits = {rule.id: rule.counted for rule in rules.rules if rule.counted is not None}
    for key, there, what in (
        ("used", list(limits), "limit"),
        ("by", _ids(rules), "rule"),
        ("observed", _ids(rules), "rule"),
    ):
        for each in case.values.get(key, ()):
            if not any(_means(each, rule) for rule in there):
                hint = nearest(each, {*there, *(rule.rpartition("/")[2] for rule in there)})
                message = f"{tool.name} has no {what} '{each}'"
                found.add(case.at(key, each), message, hint, code="unknown-name")
    for each, said in case.values["used"].items():
        for rule, counted in limits.items():
            if _means(each, rule) and _units(said, counted, "") is None:
                hint = "20 calls are 20, money is 4900 EUR"
                found.add(case.at("used", each), f"'{said}' is nothing this limit counts", hint)


def _ids(rules: ToolRules) -> list[str]:
    return [
        *(rule.id for rule in rules.rules), *(cut.rule for cut in rules.cuts), *(each.rule for each in rules.shown)
    ]  # fmt: skip


def _means(said: str, rule: str) -> bool:
    """`FILE/KEY/NAME`, `KEY/NAME` or `NAME`."""
    return rule == said or rule.endswith(f"/{said}")


# -- the call, decided as the live gates do --------------------------------------------------------------------


def _call(rules: PolicySet, case: Case, tool: Tool, prepared: Prepared) -> ToolCall:
    values = case.values
    caller = case.callers[str(values["as"])]
    user, roles = str(caller["user"]), caller["roles"]
    request = Request(
        id="call_case", tool=tool.exported, arguments=dict(_shaped(values["with"], of_schema(tool.input))), user=user,
        agent=str(caller["agent"]), host="policy test", at=_now(values.get("now")), run=values.get("run"),
    )  # fmt: skip
    own = rules.people.roles(user) if roles is None else frozenset(str(role) for role in roles)
    return prepared(request, tool, own)


async def _decided(rules: PolicySet, case: Case, tool: Tool, call: ToolCall) -> _Decided:
    """Arguments, rules, changes and, where something was changed, arguments and rules once more."""
    if stopped := _stopped(tool, call):
        return _Decided(stopped, Basis(), call)
    answers, used = by_name(_answers(rules, tool, case.values["read"])), case.values["used"]

    def taken(share: Share) -> int:
        return _taken(rules, tool, share, used)

    decision = await rules.decide(call, LookUps(given=answers), taken=taken)
    if decision.changed is None:
        return _Decided(_limited(decision.verdict, decision.basis, taken), decision.basis, call)
    cuts = tuple(
        cut.rule
        for cut in rules.rules_of(tool.name).cuts
        if value_at(decision.changed, cut.path) != value_at(call.arguments, cut.path)
    )
    cut = rules.with_arguments(call, decision.changed)
    wrong = cut.unresolved or _wrong(_faults(tool, cut.arguments))
    if wrong is not None:
        return _Decided(wrong, decision.basis, cut, cuts)
    again = await rules.decide(cut, LookUps(given=answers), taken=taken, changes=False)
    return _Decided(_limited(again.verdict, again.basis, taken), again.basis, cut, cuts)


def _stopped(tool: Tool, call: ToolCall) -> Deny | None:
    """What the arguments gate says before any rule is asked."""
    if call.unresolved is not None and call.unresolved.code not in AFTER_THE_SCHEMA:
        return call.unresolved
    faults = _faults(tool, call.arguments)
    if faults is None:
        return call.unresolved
    return Deny("arguments.invalid", f"The arguments do not fit {tool.name}. {faults}", "", "changed")


def _faults(tool: Tool, arguments: Mapping[str, Json]) -> str | None:
    errors = list(_schema(json.dumps(exported_schema(tool))).iter_errors(dict(arguments)))
    said = [
        f"{'.'.join(map(str, each.instance_path)) or 'arguments'}: {shown(each.message)}" for each in errors
    ]
    return "; ".join(said) or None


@lru_cache(maxsize=256)
def _schema(text: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator(json.loads(text), validate_formats=True, offline=True)


def _wrong(faults: str | None) -> Deny | None:
    return Deny("policy.error", f"A rule's change does not fit the tool: {faults}") if faults else None


def _now(text: Json) -> datetime:
    return datetime.fromisoformat(text) if isinstance(text, str) else START


# -- limits ----------------------------------------------------------------------------------------------------


def _taken(rules: PolicySet, tool: Tool, share: Share, used: Mapping[str, Json]) -> int:
    """How much of the limit the case says is used up, in the share's own units."""
    counted = next((rule.counted for rule in rules.rules_of(tool.name).rules if rule.id == share.rule), None)
    if counted is None:
        return 0
    currency = str(json.loads(share.key)[-1]) if counted.of and not isinstance(counted.most, int) else ""
    said = [_units(value, counted, currency) for name, value in used.items() if _means(name, share.rule)]
    return sum(each for each in said if each is not None)


def _units(said: Json, counted: Counted, currency: str) -> int | None:
    """Calls, millionths of a field, or minor units; money in another currency takes nothing. None: nonsense."""
    if isinstance(said, bool):
        return None
    if isinstance(counted.most, int):
        if counted.of is None:
            return said if isinstance(said, int) else None
        return round(said * MILLION) if isinstance(said, int | float) else None
    match = MONEY.fullmatch(said) if isinstance(said, str) else None
    if match is None or len(match[2] or "") > decimals(match[3]):
        return None
    return _minor(match) if match[3] == currency else 0


def _limited(verdict: Verdict, basis: Basis, taken: Callable[[Share], int]) -> Verdict:
    """Parking or claiming the call would find the limit full."""
    for share in basis.shares:
        if taken(share) + share.units > share.most and not share.over:
            return Deny("policy.limit", f"The limit is reached: {share.text}.", rule=share.rule)
    return verdict


# -- what is written as people write it ------------------------------------------------------------------------


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
        of = kind.attribute(name)
        is_money = of is not None and of.kind == "money"
        found |= _money(name, part) if is_money else {name: _shaped(part, of or ANY)}
    return found


def _money(name: str, value: Json) -> dict[str, Json]:
    match = MONEY.fullmatch(value) if isinstance(value, str) else None
    if match is None or len(match[2] or "") > decimals(match[3]):
        return {name: value}  # no amount: whoever reads it will say so
    return {f"{name}_minor": _minor(match), "currency": match[3]}


def _minor(match: re.Match[str]) -> int:
    return int(match[1] + (match[2] or "").ljust(decimals(match[3]), "0"))


# -- results ---------------------------------------------------------------------------------------------------


def _with_result(rules: PolicySet, case: Case, tool: Tool, decided: _Decided) -> _Decided:
    """What the caller would see of the tool's answer."""
    said = case.values["result"]
    if "answer" not in said or decided.sent is None:
        return decided
    answer = _shaped(said["answer"], of_answer(tool.output or {}))
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    whole: dict[str, Json] = {"content": [{"type": "text", "text": text}]}
    if is_object(answer):
        whole["structuredContent"] = dict(answer)
    found = results.seen(rules.rules_of(tool.name).shown, decided.call, rules.env(decided.call), whole)
    return _Decided(decided.verdict, decided.basis, decided.call, decided.cuts, found)


def _shown(seen: results.Seen) -> Json:
    structured: Json = seen.result.get("structuredContent")
    return seen.result["content"][0]["text"] if structured is None else structured


# -- compared --------------------------------------------------------------------------------------------------


def _difference(case: Case, tool: Tool, decided: _Decided) -> str:
    """Why it is not as expected; empty if it is."""
    looks = (_other_verdict, _other_reason, _other_rules, _other_arguments, _other_result)
    return next((why for look in looks if (why := look(case, tool, decided))), "")


def _other_verdict(case: Case, tool: Tool, decided: _Decided) -> str:
    expected, got, verdict = str(case.values["expect"]), _words(decided.verdict), decided.verdict
    if got == expected or (expected == "to people" and isinstance(verdict, Divert)):
        return ""
    reason = f": {verdict.reason}" if isinstance(verdict, Deny | Divert) else ""
    return f"expected {expected}, got {got}{reason}"


def _other_reason(case: Case, tool: Tool, decided: _Decided) -> str:
    values, verdict = case.values, decided.verdict
    code = verdict.code if isinstance(verdict, Deny) else None
    if "code" in values and values["code"] != code:
        return f"expected code {values['code']}, got {code}"
    told = _told(verdict)
    if "say" in values and values["say"] not in told:
        return f"expected the reason to say '{values['say']}', it is '{told}'"
    return ""


def _other_rules(case: Case, tool: Tool, decided: _Decided) -> str:
    missing = [
        name for name in case.values.get("by", ()) if not any(_means(name, rule) for rule in decided.fired)
    ]
    if missing:
        return f"expected {', '.join(missing)} to fire for {tool.name}"
    if "observed" not in case.values:
        return ""
    wanted: list[str] = case.values["observed"]
    silent = [name for name in wanted if not any(_means(name, rule) for rule in decided.observed)]
    if silent or (not wanted and decided.observed):
        got = ", ".join(decided.observed) or "nothing"
        return f"expected {', '.join(silent) or 'nothing'} to be observed, got {got}"
    return ""


def _other_arguments(case: Case, tool: Tool, decided: _Decided) -> str:
    if "args" not in case.values:
        return ""
    if decided.sent is None:
        return "expected arguments, and nothing is sent"
    wanted: Mapping[str, Json] = _shaped(case.values["args"], of_schema(tool.input))
    other = {
        name: decided.sent.get(name) for name, value in wanted.items() if decided.sent.get(name) != value
    }
    said = ", ".join(
        f"{name} to be {json.dumps(wanted[name])}, it is {json.dumps(got)}" for name, got in other.items()
    )
    return f"expected {said}" if other else ""


def _other_result(case: Case, tool: Tool, decided: _Decided) -> str:
    said, seen = case.values["result"], decided.seen
    expects = [key for key in ("shown", "withheld", "flagged") if key in said]
    if not expects:
        return ""
    if seen is None:
        return (
            "expected a result, and nothing is sent"
            if "answer" in said
            else "result needs answer: what the tool says"
        )
    for key, got in (("withheld", seen.withheld is not None), ("flagged", bool(seen.flagged))):
        if key in said and said[key] != got:
            return f"expected the answer {'' if said[key] else 'not '}to be {key}"
    if "shown" in said:
        wanted, got = _shaped(said["shown"], of_answer(tool.output or {})), _shown(seen)
        if seen.withheld is not None or wanted != got:
            shown_is = "withheld" if seen.withheld is not None else json.dumps(got, ensure_ascii=False)
            return f"expected {json.dumps(wanted, ensure_ascii=False)} to be shown, it is {shown_is}"
    return ""


def _told(verdict: Verdict) -> str:
    if isinstance(verdict, Deny | Divert):
        return verdict.reason
    return "; ".join(demand.why for demand in verdict.demands) if isinstance(verdict, RequireApproval) else ""


def _words(verdict: Verdict) -> str:
    """The verdict as a case expects it."""
    if isinstance(verdict, Allow):
        return "allowed"
    if isinstance(verdict, RequireApproval):
        groups = {group for demand in verdict.demands for group in demand.groups}
        groups |= {"requester"} if any(demand.confirm for demand in verdict.demands) else set()
        return f"asks [{', '.join(sorted(groups))}]"
    if isinstance(verdict, Divert):
        return f"to people [{', '.join(sorted(verdict.to))}]"
    return "denied"
