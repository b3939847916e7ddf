"""The agent: it routes one lead at a time, and reaches every tool through the gateway only.

It holds no rule of its own. What it may do, the gateway answers, call by call.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from demo.leads import Lead
from lockkeep_client import Denied, Failed, GatewayClient, Outcome, Pending, Succeeded

Word = Literal["routed", "denied", "pending", "known", "person", "failed"]
MEETING_MIN = 30
WITHIN = timedelta(days=7)


@dataclass(frozen=True)
class Owner:
    """A representative, as the CRM lists them."""

    id: str
    name: str
    tz: str


@dataclass(frozen=True)
class Result:
    """What became of one lead, and which rule decided."""

    lead: Lead
    word: Word
    rule: str = ""
    reason: str = ""
    record: str | None = None  # its id in the CRM
    owner: Owner | None = None
    starts: datetime | None = None  # in the owner's zone
    pending: Pending | None = None


class Stopped(Exception):
    """A call did not succeed, so this lead goes no further."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome


class Router:
    """Enriches, records, chooses, assigns and books, with one client of the gateway."""

    def __init__(self, client: GatewayClient) -> None:
        self._client = client

    async def route(self, lead: Lead) -> Result:
        """The first answer other than yes ends the way of this lead."""
        done = Result(lead, "person")
        try:
            done = replace(done, record=await self._record(lead))
            record = (await self.call("crm.get", kind="lead", id=done.record))["record"]
            owners = (await self.call("crm.list_owners"))["owners"]
            if "owner_id" in record:
                name = next((each["name"] for each in owners if each["id"] == record["owner_id"]), "somebody")
                return replace(done, word="known", reason=f"in the CRM already, {name} has it")
            owner = choose(owners, lead)
            if owner is None:
                return replace(done, reason=f"no representative sells in {lead.country}")
            done = replace(done, owner=owner)
            why = f"Sells in {lead.country} and has room"
            await self.call("crm.assign_owner", kind="lead", id=done.record, owner_id=owner.id, reason=why)
            return await self._book(done, owner)
        except Stopped as stopped:
            return _ended(done, stopped.outcome)

    async def finish(self, waiting: Result, outcome: Outcome) -> Result:
        """People have decided. If they agreed, the gateway assigned the lead itself; the meeting is left to do."""
        try:
            _value(outcome)
            return await self._book(waiting, waiting.owner) if waiting.owner else waiting
        except Stopped as stopped:
            return _ended(waiting, stopped.outcome)

    async def call(self, tool: str, **args: Any) -> Mapping[str, Any]:
        """The tool's result; anything but success ends this lead."""
        return _value(await self._client.call(tool, args))

    async def _record(self, lead: Lead) -> str:
        """The lead stands in the CRM once, as the company directory writes its company."""
        found = await self._client.call("crm.enrich_company", {"domain": lead.domain})
        # Not every company is listed: that ends nothing. A refusal does.
        listed: Mapping[str, Any] = {} if isinstance(found, Failed) else _value(found)
        made = await self.call(
            "crm.upsert_lead", email=lead.email, company=listed.get("name", lead.company), name=lead.name,
            country=lead.country, source=lead.source, value_minor=lead.value_minor, currency=lead.currency,
        )  # fmt: skip
        return made["id"]

    async def _book(self, done: Result, owner: Owner) -> Result:
        now = datetime.now(UTC).replace(microsecond=0)
        free = await self.call(
            "calendar.find_slots", participants=[owner.id], duration_min=MEETING_MIN, tz=owner.tz, limit=1,
            **{"from": now.isoformat(), "to": (now + WITHIN).isoformat()},
        )  # fmt: skip
        if not free["slots"]:
            return replace(done, word="person", reason=f"{owner.name} has no free time within a week")
        slot = free["slots"][0]
        await self.call(
            "calendar.create_event", calendar=owner.id, title=title_of(done.lead), start=slot["start"],
            end=slot["end"], tz=owner.tz,
        )  # fmt: skip
        starts = datetime.fromisoformat(slot["start"])
        return replace(done, word="routed", starts=starts, rule="", reason="", pending=None)


def title_of(lead: Lead) -> str:
    return f"Outreach: {lead.company} ({lead.email})"


def choose(owners: list[dict[str, Any]], lead: Lead) -> Owner | None:
    """Who sells in the lead's country and has room; several take turns, line by line."""
    able = [
        each for each in owners if lead.country in each["countries"] and each["open_leads"] < each["capacity"]
    ]
    if not able:
        return None
    turn = able[lead.line % len(able)]
    return Owner(turn["id"], turn["name"], turn["tz"])


def _value(outcome: Outcome) -> Mapping[str, Any]:
    if not isinstance(outcome, Succeeded):
        raise Stopped(outcome)
    return outcome.value


def _ended(done: Result, outcome: Outcome) -> Result:
    match outcome:
        case Pending():
            return replace(done, word="pending", reason=outcome.reason, pending=outcome)
        case Denied():
            return replace(done, word="denied", rule=outcome.rule or outcome.code, reason=outcome.reason)
        case _:
            return replace(done, word="failed", rule=type(outcome).__name__.lower(), reason=outcome.text)
