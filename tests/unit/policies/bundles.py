"""Random policy sets as plain values, to be changed in one place and judged again. The same seed draws the same set."""

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

from tests.unit.policies.room import ALL, ARGUMENTS, FOLDER, NOW, LookUps, lock

from lockkeep.gates.policy import policy
from lockkeep.model import (
    Allow,
    Deny,
    Divert,
    Finding,
    Json,
    Request,
    RequireApproval,
    ToolCall,
    Verdict,
    is_object,
)
from lockkeep.policy.bundle import PolicySet, load
from lockkeep.policy.conditions.runtime import is_array
from lockkeep.policy.engine import lookups
from lockkeep.prepare import known_of, prepare

Said = dict[str, Any]
TOOL = "lab.try"
NAMES = (TOOL, "crm.get", "billing.payment", "billing.refund")
CONDITIONS = (
    "b", "not b", "n > 1", "n > 5", "n > most", "n > values.most", "has(perhaps) && perhaps > 1", "n / 0 == 1", "1 / n > 1", 't == "abc"',
    "amount > 100 EUR", "amount > 1 EUR", "amount > cap", "amount > table", "amount > 1 USD", "names.exists(i, i == t)", "amount > 0",
    "numbers.sum(i, i) > 3", "payment.disputed", "payment.refundable > cap", 'has(lead.country) && lead.country == "DE"',
    'user.id == "ana"', "now - at > 1 day", "has(user.manager)", 'agent == "desk" && args.n == 2', 'tool.class == "note"', "t in words",
    "lead.id == t && read.payment.disputed", 'default(perhaps, 0) == 0', 'host == "h"', "has(run)",
)  # fmt: skip
PLAIN = (
    "n > 5",
    "has(perhaps)",
    "amount > 100 EUR",
    "n > most",
    "payment.disputed",
    "lead.country == null",
    'args.u == "x"',
    "not b",
)
CALLERS = ('user.id == "ana"', 'agent == "other"', '"support" in user.roles', "1 / 0 == 1", "true")
LIMITS = (
    "0 per day", "3 per day per agent", "20 per hour per user per t", "cap of amount per day", "table of amount per 24 hours", "50 of n per week",
    "5000 EUR of amount per month per currency",
)  # fmt: skip
HOURS = ("mon-fri 08:00-18:00", "sat-sun", "not mon-fri 08:00-18:00", ["fri 10:00-10:30", "22:00-06:00"])
READ = {"payment": "billing.payment(payment_id=t)", "lead": 'crm.get(kind="lead", id=t)'}
VALUES: Mapping[str, Json] = {
    "most": 3, "cap": "40 EUR", "table": {"EUR": 30, "USD": 33}, "words": ["abc", "x"], "spare": 9,
}  # fmt: skip
ANSWERS: tuple[Any, ...] = (
    {"id": "p", "disputed": True, "refundable_minor": 5, "currency": "EUR"},
    {"id": "p", "disputed": False, "refundable_minor": 20_000, "currency": "EUR"},
    {"id": "abc", "country": "DE", "value_minor": 5, "currency": "EUR"},
    {}, {"disputed": "no"}, None, RuntimeError("down"), 5,
)  # fmt: skip
AMOUNT = re.compile(r'"(\d+ [A-Z]{3})"')  # an amount is no text
LOCK = lock([ALL[name] for name in NAMES])


class Draw:
    """Entries, blocks and files, one after the other."""

    def __init__(self, seed: object) -> None:
        self.chance = Random(str(seed))
        self._made = 0

    def name(self, kind: str) -> str:
        """A name of its own: the place of an entry says nothing then."""
        self._made += 1
        return f"{kind}-{self.chance.randrange(1000):03}x{self._made}"

    def entry(self, kind: str) -> Said:
        """A `deny`, `ask`, `people` or `limit`."""
        chance = self.chance
        said: Said = {"name": self.name(kind)}
        key = chance.choice(("when", "when", "when", "unless"))
        if kind == "deny" or chance.random() < 0.7:
            said[key] = chance.sample(
                CONDITIONS if chance.random() < 0.4 else PLAIN, chance.choice((1, 1, 2))
            )
        if chance.random() < 0.15:
            said["hours"] = chance.choice(HOURS)
        if chance.random() < 0.1:
            said["until"] = chance.choice(("2026-11-19", "2026-11-20", "2031-01-01"))
        if kind == "ask":
            said |= self.asking()
        elif kind == "people":
            said["to"] = [chance.choice(("lead", "finance"))]
        elif kind == "limit":
            said["up_to"] = chance.choice(LIMITS)
            said |= chance.choice(({}, {}, {"ask": {"from": ["lead"]}}, {"people": ["finance"]}))
        elif chance.random() < 0.3:
            said |= {"say": "{n} of {t} at {amount}.", "fix": "Ask for {values.cap}."}
        return said

    def asking(self) -> Said:
        chance = self.chance
        said = chance.choice(
            ({"from": ["lead"]}, {"from": ["lead", "finance"]}, {"any_of": ["lead", "finance"], "count": 1})
        )
        more = chance.choice(
            ({}, {"expires": "2 hours"}, {"recheck": ["payment.disputed"]}, {"reason": "required"})
        )
        return {**said, **more}

    def allow(self) -> Json:
        said = self.chance.choice(("anyone", ["support"], ["finance"], {"agents": ["desk"]}, {}, {}))
        return said or {"when": self.chance.choice(CALLERS)}

    def block(self, *, cuts: bool = True) -> Said:
        chance = self.chance
        said: Said = {"allow": self.allow()} if chance.random() < 0.7 else {}
        for kind, most in (("deny", 2), ("ask", 2), ("people", 1), ("limit", 1)):
            if entries := [self.entry(kind) for _ in range(chance.choice((0, 0, 1, most)))]:
                said[kind] = entries
        if cuts and chance.random() < 0.3:
            said["change"] = chance.choice(
                (
                    {"n": "at_most 1"},
                    {"amount": "at_most cap"},
                    {"amount": "at_most table", "n": "at_most most"},
                )
            )
        return said or {"allow": "anyone"}

    def file(self, name: str, applies: Json = None) -> Said:
        chance = self.chance
        applies = applies or chance.choice(
            ({"everywhere": True}, {"agents": ["desk"]}, {"agents": ["other"]})
        )
        said: Said = {
            "api": "lockkeep/v1", "policy": name, "owner": "lead", "applies_to": applies, "values": dict(VALUES),
            "read": copy.deepcopy(READ), "tools": {TOOL: self.block()},
        }  # fmt: skip
        if chance.random() < 0.2:
            said["read"]["payment"] = {
                "call": READ["payment"], "on_error": {"from": ["finance"]}, "timeout": "2s",
            }  # fmt: skip
        if chance.random() < 0.3:
            said["tools"]["lab.*"] = self.block(cuts=False)
        if chance.random() < 0.15:
            said["hours"] = chance.choice(HOURS)
        return said

    def bundle(self) -> list[Said]:
        """One to three files. Mostly, somebody is allowed."""
        files = [self.file(f"p-{number}") for number in range(self.chance.randint(1, 3))]
        if self.chance.random() < 0.7:
            files[0] |= {"applies_to": {"everywhere": True}}
            files[0]["tools"][TOOL]["allow"] = "anyone"
        return files

    def world(self) -> "World":
        chance = self.chance
        arguments = {
            **ARGUMENTS, "n": chance.choice((0, 1, 2, 7)), "amount_minor": chance.choice((-100, 0, 50, 4500, 50_000)),
            "currency": chance.choice(("EUR", "EUR", "EUR", "USD", "GBP")), "b": chance.random() < 0.5,
            **chance.choice(({}, {"perhaps": 5})),
        }  # fmt: skip
        return World(
            arguments, chance.choice(("ana", "ana", "bo", "cy")), chance.choice(("desk", "desk", "other")),
            chance.choice(ANSWERS), chance.choice(ANSWERS),
        )  # fmt: skip

    def shuffled(self, value: Json) -> Json:
        """The same said in another order: keys of every mapping, entries of every list of entries."""
        if is_object(value):
            names = self.chance.sample(sorted(value), len(value))
            return {name: self.shuffled(value[name]) for name in names}
        if is_array(value) and all(map(is_object, value)):
            return self.chance.sample([self.shuffled(each) for each in value], len(value))
        return value


class World:
    """Who calls with what, and what the integrations answer."""

    def __init__(self, arguments: Said, user: str, agent: str, payment: Any, lead: Any) -> None:
        self.arguments, self.user, self.agent = arguments, user, agent
        self.payment, self.lead = payment, lead

    def call(self, current: PolicySet, more: Mapping[str, Json] | None = None, tool: str = TOOL) -> ToolCall:
        known = known_of(current, current.tools[tool], current.people.roles(self.user))
        request = Request(
            id="call_1", tool=ALL[tool].exported, arguments={**self.arguments, **(more or {})}, user=self.user, agent=self.agent,
            host="h", at=NOW,
        )  # fmt: skip
        return prepare(request, known)

    def look_ups(self) -> LookUps:
        return LookUps(billing_payment=self.payment, crm_get=self.lead)


def files_of(bundle: list[Said], lock: str = LOCK) -> dict[str, str]:
    """As JSON, which is YAML."""
    texts = {f"p{place}.yaml": AMOUNT.sub(r"\1", json.dumps(said)) for place, said in enumerate(bundle)}
    return {**FOLDER, "catalog.lock.json": lock, **texts}


def loads(bundle: list[Said], lock: str = LOCK) -> PolicySet | None:
    """The set, or None where it is an error."""
    return load(files_of(bundle, lock), generation=7)[0]


def loaded(bundle: list[Said], lock: str = LOCK) -> PolicySet:
    found, problems = load(files_of(bundle, lock), generation=7)
    assert found is not None, "\n".join(map(str, problems))
    return found


async def judged(
    current: PolicySet,
    wanted: ToolCall,
    look_ups: LookUps,
    faults: Callable[[ToolCall], str | None] = lambda _: None,
) -> Finding:
    """What the policy gate says, changes and all."""
    return await policy(
        wanted,
        rules=lambda: current,
        look_ups=lambda: lookups.LookUps(look_ups),
        taken=lambda share, call: 0,
        faults=faults,
    )


def strictness(verdict: Verdict) -> int:
    return {Allow: 0, RequireApproval: 1, Divert: 2, Deny: 3}[type(verdict)]


def as_strict(after: Verdict, before: Verdict, *, cut: bool = False) -> bool:
    """Whether nothing passes that did not pass before, and whoever was asked is still asked.

    What people take over is not `cut`: then the two ways of sending nothing count alike.
    """
    if isinstance(before, RequireApproval) and isinstance(after, RequireApproval):
        return {each.rule for each in before.demands} <= {each.rule for each in after.demands}
    return strictness(after) >= strictness(before) or (cut and isinstance(after, Divert))


def with_more(bundle: list[Said], at: int, kind: str, entry: Said, key: str = TOOL) -> list[Said]:
    """The bundle with this entry at the end of that file's block."""
    found = copy.deepcopy(bundle)
    found[at]["tools"].setdefault(key, {}).setdefault(kind, []).append(entry)
    return found


@cache
def lock_of(risk: str) -> str:
    """The same tools, of which one is of another class."""
    tools = [ALL[name] for name in NAMES]
    return lock([replace(each, effect={"class": risk}) if each.name == TOOL else each for each in tools])
