"""What one kind of caller may do with each accepted tool: always, after people agree, it depends, or never."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from lockkeep.model import Json, Tool
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.conditions.checked import Code
from lockkeep.policy.conditions.runtime import STEPS, EvalError
from lockkeep.policy.files.forms import Entry
from lockkeep.policy.rules.compile import operations_of
from lockkeep.policy.rules.rule import Asked, Condition, Rule
from lockkeep.policy.show import policyfiles
from lockkeep.policy.show.truth import ALWAYS, NEVER, Truth, holds

Says = Literal["always", "asks", "depends", "never"]
OF_CALLER = ("user", "agent", "tool")
COLUMNS = ("says", "tool", "class", "asks", "depends_on", "limits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """`user`: a person; None is anybody with these roles."""

    agent: str
    roles: frozenset[str]
    user: str | None = None
    manager: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """One tool, or one thing a wide tool does. `asks`: who always agrees first; `depends`: the conditions in words."""

    tool: str
    risk: str
    says: Says
    asks: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()

    @property
    def row(self) -> dict[str, Json]:
        return {
            "tool": self.tool, "class": self.risk, "says": self.says, "asks": list(self.asks),
            "depends_on": list(self.depends), "limits": list(self.limits),
        }  # fmt: skip


def simulate(rules: PolicySet, caller: Caller, today: date) -> list[Simulated]:
    """Every accepted tool that agents may see, by name."""
    hours = {
        rule: [text.text for when in (item.file.at, item.block.at, item.form.at) for text in when.hours]
        for rule, item in policyfiles.by_id(policyfiles.read(rules.files)).items()
        if isinstance(item.form, Entry)
    }
    tools = [tool for _, tool in sorted(rules.tools.items()) if tool.offered]
    return [
        _Tool(rules, tool, operation, caller, today, hours).simulated
        for tool in tools
        for operation in operations_of(tool) or [None]
    ]


class _Tool:
    """The rules that speak to this caller of this tool."""

    def __init__(
        self, rules: PolicySet, tool: Tool, operation: str | None, caller: Caller, today: date, hours: dict[str, list[str]],
    ) -> None:  # fmt: skip
        self.tool, self.operation, self.caller, self.hours = tool, operation, caller, hours
        about = [
            rule
            for rule in sorted(rules.rules_of(tool.name).rules, key=lambda rule: rule.id)
            if rule.mode == "enforce"
            and rule.operation in (None, operation)
            and rule.applies.to(caller.agent, None)
            and (rule.until is None or rule.until >= today)
        ]
        self.kinds = {
            kind: [rule for rule in about if rule.kind == kind and not self._fires(rule).never]
            for kind in ("allow", "deny", "people", "ask", "limit")
        }
        self.kinds["allow"] = [rule for rule in self.kinds["allow"] if self._fits(rule)]

    @property
    def risk(self) -> str:
        """Of the operation, where the tool does several things."""
        said: Json = self.tool.effect.get("operations") if self.operation else None
        own = [each for each in said if each.get("operation") == self.operation] if said else []
        return str(own[0].get("class", self.tool.risk)) if own else self.tool.risk

    @property
    def simulated(self) -> Simulated:
        other = self.operation not in (None, self.tool.name)
        name = f"{self.operation} (of {self.tool.name})" if other else self.tool.name
        if not self.kinds["allow"] or any(map(self._certain, self.kinds["deny"])):
            return Simulated(tool=name, risk=self.risk, says="never")
        asked = [rule for rule in self.kinds["ask"] if self._certain(rule)]
        asks = tuple(dict.fromkeys(_whom(rule.asked) for rule in asked if rule.asked))
        depends = tuple(self._depends())
        says: Says = "depends" if depends else "asks" if asks else "always"
        return Simulated(
            tool=name,
            risk=self.tool.risk,
            says=says,
            asks=asks,
            depends=depends,
            limits=tuple(self._limits()),
        )

    def _fits(self, rule: Rule) -> bool:
        """Without a person's name, an allow for one person's name does not fit."""
        return rule.who.fits(self.caller.user or "", self.caller.agent, self.caller.roles)

    def _fires(self, rule: Rule) -> Truth:
        found = ALWAYS
        for condition in rule.when:
            found = found.also(self._truth(condition, True))
        if rule.unless:
            fails = NEVER
            for condition in rule.unless:
                fails = fails.otherwise(self._truth(condition, False))
            found = found.also(fails)
        return found

    def _silent(self, rule: Rule) -> Truth:
        silent = ALWAYS if rule.unless else NEVER
        for condition in rule.unless:
            silent = silent.also(self._truth(condition, True))
        for condition in rule.when:
            silent = silent.otherwise(self._truth(condition, False))
        return silent

    def _certain(self, rule: Rule) -> bool:
        return not rule.hours and self._silent(rule).never

    def _truth(self, condition: Condition, yes: bool) -> Truth:
        """What a condition about the caller says is known here."""
        said = _about_caller(condition.code, self._env())
        if said is None:
            return holds(condition, yes)
        return ALWAYS if said == yes else NEVER

    def _env(self) -> dict[str, Any]:
        user: dict[str, Any] = {"roles": sorted(self.caller.roles)}
        if self.caller.user is not None:
            user |= {"id": self.caller.user, "manager": self.caller.manager}
        tool = {
            "name": self.tool.name, "operation": self.operation or self.tool.name,
            "integration": self.tool.integration, "class": self.risk,
        }  # fmt: skip
        return {
            "call": _Known({"user": _Known(user), "agent": self.caller.agent, "tool": tool}),
            STEPS: [1000],
        }

    def _depends(self) -> Iterator[str]:
        """Refusals first, as they win."""
        if not any(map(self._certain, self.kinds["allow"])):
            yield "allowed " + ", or ".join(f"if {self._words(rule)}" for rule in self.kinds["allow"])
        for rule in self.kinds["deny"]:
            yield f"refused if {self._words(rule)}"
        for rule in self.kinds["people"]:
            whom = f"handed to {', '.join(rule.to)}"
            yield whom if self._certain(rule) else f"{whom} if {self._words(rule)}"
        for rule in self.kinds["ask"]:
            if not self._certain(rule):
                yield f"asks {_whom(rule.asked) if rule.asked else 'nobody'} if {self._words(rule)}"

    def _limits(self) -> Iterator[str]:
        for rule in self.kinds["limit"]:
            if rule.counted is None:
                continue
            if rule.counted.to:
                full = f", then handed to {', '.join(rule.counted.to)}"
            else:
                full = f", then asks {_whom(rule.counted.full)}" if rule.counted.full else ""
            when = "" if self._certain(rule) else f" if {self._words(rule)}"
            yield f"{rule.counted.text}{when}{full}"

    def _words(self, rule: Rule) -> str:
        """The conditions as written, on one line, and the hours."""
        hours = " or ".join(self.hours.get(rule.id, []))
        words = [" ".join(rule.words.split())] if rule.words else []
        return " and ".join([*words, *([f"it is {hours}"] if hours else [])])


class _Known(dict[str, Any]):
    """Asked for what is not known here, it says so instead of 'missing'."""

    def get(self, key: str, default: Any = None) -> Any:
        return self[key]


def _about_caller(code: Code, env: dict[str, Any]) -> bool | None:
    """What the condition says if it speaks of the caller alone; None if it does not, or cannot be told."""
    paths = list(_paths(code))
    if not paths or any(
        path[0] != "call" or path[1:2] not in [(name,) for name in OF_CALLER] for path in paths
    ):
        return None
    try:
        return bool(code.run(env))
    except (KeyError, EvalError):
        return None


def _paths(code: Code) -> Iterator[tuple[str, ...]]:
    if code.path is not None:
        yield code.path
    for part in code.parts:
        yield from _paths(part)


def _whom(asked: Asked | None) -> str:
    """`one of lead, finance`, `lead and finance`, `2 of lead`."""
    if asked is None:
        return ""
    demand = asked.demand
    if demand.any_of:
        groups = f"{demand.count if demand.count > 1 else 'one'} of {', '.join(demand.any_of)}"
    else:
        groups = " and ".join(demand.each)
        groups = f"{demand.count} of {groups}" if demand.count > max(1, len(demand.each)) else groups
    return " and ".join([*([groups] if groups else []), *(["the requester"] if demand.confirm else [])])
