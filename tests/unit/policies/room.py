"""Accepted tools, a small folder of policies, and calls to decide: what every test of this room starts from."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from textwrap import dedent, indent
from typing import Any

from lockkeep.model import Json, Request, Tool, ToolCall
from lockkeep.policy.bundle import PolicySet, load
from lockkeep.policy.conditions.check import Checker
from lockkeep.policy.conditions.checked import Code, Scope
from lockkeep.policy.conditions.parser import parse
from lockkeep.policy.conditions.runtime import MOST_STEPS, STEPS, Env
from lockkeep.policy.conditions.types import Type, of_schema
from lockkeep.policy.engine import engine, lookups
from lockkeep.policy.engine.lookups import LookUp
from lockkeep.policy.rules.scope import scope_of
from lockkeep.prepare import known_of, prepare
from lockkeep.upstream import Accepted, Lock, write_lock

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
WHOLE: Json = {"type": "integer"}
TIME: Json = {"type": "string", "format": "date-time"}
MONEY: Json = {"amount_minor": WHOLE, "currency": TEXT}


def fields(properties: Mapping[str, Json], *required: str) -> dict[str, Json]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def tool(name: str, risk: str, takes: Json, gives: Json = None, **effect: Json) -> Tool:
    integration, _, own = name.partition(".")
    return Tool(
        name=name,
        integration=integration,
        server_name=own,
        exported=f"{integration}_{own}",
        title=None,
        description="",
        input=takes,
        output=gives,
        annotations={},
        effect={"class": risk, **effect},
        pin=f"pin of {name}",
    )


LEAD = fields(
    {"kind": {"const": "lead"}, "id": TEXT, "country": TEXT, "value_minor": WHOLE, "currency": TEXT, "at": TIME},
    "kind", "id", "at",
)  # fmt: skip
CONTACT = fields({"kind": {"const": "contact"}, "id": TEXT, "email": TEXT}, "kind", "id", "email")
OWNER = fields({"id": TEXT, "open": WHOLE, "room": WHOLE, "countries": {"type": "array", "items": TEXT}}, "id", "open", "room", "countries")  # fmt: skip
PAYMENT = fields(
    {"id": TEXT, "refundable_minor": WHOLE, "currency": TEXT, "disputed": {"type": "boolean"}, "order_id": TEXT, "at": TIME},
    "id", "refundable_minor", "currency", "disputed", "at",
)  # fmt: skip
LAB = fields(
    {
        "n": NUMBER, "m": NUMBER, "t": TEXT, "u": TEXT, "b": {"type": "boolean"}, "at": TIME, "amount_minor": WHOLE,
        "currency": TEXT, "kind": {"enum": ["lead", "deal"]}, "names": {"type": "array", "items": TEXT}, "x": {}, "y": {},
        "numbers": {"type": "array", "items": NUMBER}, "lines": {"type": "array", "items": fields(
            {"price_minor": WHOLE, "currency": TEXT, "sku": TEXT, "note": TEXT}, "price_minor", "currency", "sku")},
        "perhaps": NUMBER, "nul": {"type": ["string", "null"]},
        "deep": fields({"a": fields({"b": fields({"c": NUMBER})})}), "opt": fields({"size": {"type": "integer", "default": 3}}),
    },
    "n", "m", "t", "u", "b", "at", "amount_minor", "currency", "kind", "names", "numbers", "lines", "nul", "x", "y",
)  # fmt: skip
TOOLS = (
    tool("crm.get", "read", fields({"kind": {"enum": ["lead", "contact"]}, "id": TEXT}, "kind", "id"), {"oneOf": [LEAD, CONTACT]}),
    tool("crm.owners", "read", fields({"active": {"type": "boolean"}}), fields({"owners": {"type": "array", "items": OWNER}}, "owners")),
    tool("crm.assign", "write", fields({"kind": {"enum": ["lead", "deal"]}, "id": TEXT, "owner": TEXT, "why": TEXT}, "kind", "id", "owner"), subject="args.id"),
    tool("crm.receipt", "read", fields({"id": TEXT}, "id"), export=False),
    tool("billing.payment", "read", fields({"payment_id": TEXT}, "payment_id"), PAYMENT),
    tool("billing.refund", "money", fields({"payment_id": TEXT, **MONEY, "why": TEXT}, "payment_id", "amount_minor", "currency"),
         subject="args.payment_id", amount={"minor": "args.amount_minor", "currency": "args.currency"}),
    tool("billing.fee", "money", fields({"share": NUMBER, "of_minor": WHOLE, "currency": TEXT}, "currency"),
         amount={"minor": "args.share * args.of_minor", "currency": "args.currency"}),
    tool("lab.try", "note", LAB),
    tool("lab.clash", "note", fields({"user": TEXT, "now": TEXT, "tool": TEXT, "read": TEXT, "args": TEXT, "call": TEXT}, "user", "now")),
)  # fmt: skip
ALL: Mapping[str, Tool] = {each.name: each for each in TOOLS}


def lock(tools: Sequence[Tool] = TOOLS) -> str:
    found: dict[str, dict[str, Tool]] = {}
    for each in tools:
        found.setdefault(each.integration, {})[each.name] = each
    return write_lock(
        Lock(
            {name: Accepted(server="s", version="1", protocol="p", tools=its) for name, its in found.items()}
        )
    )


GATEWAY = """\
api: lockkeep/v1
gateway: test
time_zone: Europe/Berlin
integrations:
  crm: {in_process: true}
  billing: {url: "https://billing.internal/mcp", auth: {bearer: env:BILLING}}
agents:
  desk: {owner: ana}
  other: {}
"""
PEOPLE = """\
api: lockkeep/v1
people:
  ana: {groups: [support]}
  bo: {groups: [lead], manager: ana}
  cy: {groups: [finance]}
groups:
  support:
  lead: {roles: [support, lead]}
  finance:
"""
HEAD = "api: lockkeep/v1\npolicy: {name}\nowner: lead\napplies_to: {applies}\n"
FOLDER: Mapping[str, str] = {"gateway.yaml": GATEWAY, "people.yaml": PEOPLE, "catalog.lock.json": lock()}


def policy(tools: str, *, read: str = "", name: str = "desk", applies: str = "{agents: [desk]}") -> str:
    """A policy file with these blocks."""
    reads = f"read:\n{indent(dedent(read).strip(chr(10)), '  ')}\n" if read else ""
    body = indent(dedent(tools).strip("\n"), "  ")
    return HEAD.format(name=name, applies=applies) + reads + f"tools:\n{body}\n"


def rules(*policies: str, **other: str) -> PolicySet:
    """The set of these policy files; every problem is a failure of the test."""
    found, problems = load(folder(*policies) | other, generation=7)
    assert found is not None, "\n".join(map(str, problems))
    return found


def folder(*policies: str) -> dict[str, str]:
    return {**FOLDER, **{f"p{number}.yaml": text for number, text in enumerate(policies)}}


def problems(*policies: str) -> list[str]:
    return [str(each) for each in load(folder(*policies))[1]]


def call(
    current: PolicySet,
    name: str,
    *,
    user: str = "ana",
    agent: str = "desk",
    now: datetime = NOW,
    **arguments: Json,
) -> ToolCall:
    request = Request(
        id="call_1", tool=ALL[name].exported, arguments=arguments, user=user, agent=agent, host="h", at=now
    )
    return prepare(request, known_of(current, ALL[name], current.people.roles(user)))


class LookUps:
    """Answers by tool, and every question that was asked. An exception among the answers is raised."""

    def __init__(self, **answers: Json) -> None:
        self.answers = {name.replace("_", ".", 1): answer for name, answer in answers.items()}
        self.asked: list[tuple[str, Mapping[str, Json]]] = []

    async def __call__(self, tool: str, arguments: Mapping[str, Json], timeout: float) -> Json:
        self.asked.append((tool, arguments))
        answer = self.answers[tool]
        if isinstance(answer, BaseException):
            raise answer
        return answer


async def decide(current: PolicySet, wanted: ToolCall, look_up: LookUp | None = None) -> engine.Decision:
    return await current.decide(wanted, lookups.LookUps(look_up or LookUps()))


READS: Mapping[str, Type] = {
    "lead": of_schema(ALL["crm.get"].output).narrowed({"kind": "lead"}),
    "team": of_schema(ALL["crm.owners"].output),
    "payment": of_schema(ALL["billing.payment"].output),
}
ARGUMENTS: Mapping[str, Json] = {
    "n": 2, "m": 3, "t": "abc", "u": "bcd", "b": True, "at": "2026-11-19T09:00:00Z", "amount_minor": 5000, "currency": "EUR",
    "kind": "lead", "names": ["a", "b"], "numbers": [1, 2.5], "nul": None, "x": 1, "y": 1, "lines": [
        {"price_minor": 100, "currency": "EUR", "sku": "x", "note": "n"}, {"price_minor": 250, "currency": "EUR", "sku": "y"}],
}  # fmt: skip
PAID: Json = {"id": "p", "refundable_minor": 90000, "currency": "EUR", "disputed": False, "order_id": "o", "at": "2026-10-01T00:00:00Z"}  # fmt: skip
A_LEAD: Json = {"kind": "lead", "id": "l", "country": "DE", "value_minor": 100, "currency": "EUR", "at": "2026-10-01T00:00:00Z"}  # fmt: skip


def scope(of: str = "lab.try") -> Scope:
    return scope_of(ALL[of], READS)


def checked(text: str, of: str = "lab.try") -> Code:
    return Checker().condition(parse(text), scope(of))


def env(read: Mapping[str, Any] | None = None, now: datetime = NOW, **arguments: Json) -> Env:
    about: Env = {
        "user": {"id": "ana", "roles": ["support"], "manager": None}, "agent": "desk", "host": "h", "now": now, "run": None,
        "tool": {"name": "lab.try", "operation": "lab.try", "integration": "lab", "class": "note"},
    }  # fmt: skip
    return {"args": {**ARGUMENTS, **arguments}, "call": about, "read": dict(read or {}), STEPS: [MOST_STEPS]}


def holds(text: str, read: Mapping[str, Any] | None = None, now: datetime = NOW, **arguments: Json) -> bool:
    """What the condition says for these arguments; raises what it raises."""
    return checked(text).run(env(read, now, **arguments))
