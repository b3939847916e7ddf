"""A day's traffic through the real pipeline and the real ledger, with made-up servers: what a replay is held against."""

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.unit.policies import room

from lockkeep.gates.approval import approval
from lockkeep.gates.arguments import Schemas, arguments
from lockkeep.gates.policy import policy
from lockkeep.gates.switch import switch
from lockkeep.ledger import Ledger, approvals, calls, generations, limits
from lockkeep.model import Answer, Claim, Json, Outcome, Pending, Request
from lockkeep.pipeline import Pipeline
from lockkeep.policy.bundle import PolicySet
from lockkeep.policy.engine.lookups import LookUps
from lockkeep.prepare import Known, known_of
from lockkeep.store import Store

GATEWAY = room.GATEWAY.replace("  desk: {owner: ana}", "  desk: {owner: cy}")
PEOPLE = """\
api: lockkeep/v1
people:
  ana: {groups: [support]}
  bo: {groups: [lead], accounts: ["crm:o2"], manager: cy}
  cy: {groups: [finance]}
  dee: {groups: [lead, finance], accounts: ["crm:o3"]}
groups:
  support:
  lead: {roles: [support, lead], hours: mon-fri 08:00-18:00}
  finance:
"""
DESK = room.policy(
    """
    crm.get, crm.owners, billing.payment: {allow: anyone}
    crm.assign:
      allow: [support]
      deny:
        - name: room
          when: kind == "lead"
          unless: "team.owners.exists(o, o.id == owner && o.open < o.room)"
          say: "{owner} is full."
          fix: Take another.
        - {name: at-night, hours: "22:00-06:00"}
      ask:
        - {name: valued, when: 'kind == "lead" && has(lead.value) && lead.value > 900 EUR', from: ["person:owner"]}
      people:
        - {when: 'default(why, "") == "unsure"', to: [lead]}
      limit:
        - {up_to: 15 per hour per agent, ask: {from: [lead]}}
        - {name: one, up_to: 3 per day per id}
    billing.refund:
      allow: [support]
      deny:
        - {name: disputed, when: payment.disputed}
        - {name: not-enough, when: amount > payment.refundable, fix: Ask for less.}
      ask:
        - {name: large, when: amount > large, from: [lead]}
        - {name: old, when: now - payment.at > 60 days, any_of: [lead, finance], count: 2, recheck: [payment.disputed]}
        - {name: weekend, mode: observe, hours: sat-sun, from: [lead]}
      limit: [40 per day per agent, total per week]
      change: {amount_minor: at_most 60000}
    """,
    read="""
    lead: crm.get(kind="lead", id=id)
    team: crm.owners(active=true)
    payment: {call: billing.payment(payment_id), on_error: {from: [finance]}}
    """,
).replace("read:", "values:\n  large: {EUR: 400, USD: 110}\n  total: {EUR: 9000, USD: 8000}\nread:", 1)
OTHER = room.policy(
    """
    crm.assign:
      allow: {users: [cy]}
      deny: {unless: "size(team.owners) > 1"}
      limit: 4 per minute
    """,
    read="team: crm.owners(active=false)",
    name="other",
    applies="{agents: [other]}",
)
FILES: Mapping[str, str] = {**room.folder(DESK, OTHER), "people.yaml": PEOPLE, "gateway.yaml": GATEWAY}


@dataclass
class Desk:
    """One gateway without a wire. `now` moves on with every call."""

    ledger: Ledger
    rules: PolicySet
    random: Random
    now: datetime = room.NOW
    made: int = 0
    waiting: list[str] = field(default_factory=list[str])
    pipeline: Pipeline = field(init=False)

    def __post_init__(self) -> None:
        schemas, read = Schemas(), self.ledger.store.read
        tool, rules = self.rules.tools.get, lambda: self.rules
        self.pipeline = Pipeline(
            known=self.known,
            ledger=self.ledger,
            gates={
                "switch": partial(switch, switches=self.ledger),
                "arguments": partial(arguments, tool=tool, closed=lambda _: None, schemas=schemas),
                "policy": partial(
                    policy,
                    rules=rules,
                    look_ups=lambda: LookUps(self.look_up),
                    taken=lambda share, call: limits.taken(read, share, call),
                    faults=lambda call: schemas.faults(self.rules.tools[call.tool], call.arguments),
                ),
            },
            approval=partial(approval, rules=rules, store=self.ledger.store),
            send=self.send,
            in_own_task=_at_once,
        )

    async def known(self, request: Request) -> Known:
        tool = self.rules.exported.get(request.tool)
        return known_of(self.rules, tool, self.rules.people.roles(request.user))

    async def look_up(self, tool: str, given: Mapping[str, Json], timeout: float) -> Json:
        """Facts that move, and that cannot be read every now and then."""
        if self.random.random() < 0.04:
            raise TimeoutError
        roll = self.random
        if tool == "crm.owners":
            open_ = [roll.randrange(11) for _ in range(3 if given["active"] else roll.randrange(4))]
            return {"owners": [{"id": f"o{n}", "open": many, "room": 10} for n, many in enumerate(open_)]}
        if tool == "crm.get":
            value = (
                {"value_minor": roll.choice((50000, 50000, 120000)), "currency": "EUR"}
                if roll.random() < 0.6
                else {}
            )
            return {**room.A_LEAD, "id": given["id"], **value}
        then = (self.now - timedelta(days=roll.choice((5, 80)))).isoformat()
        return {
            **room.PAID,
            "disputed": roll.random() < 0.05,
            "refundable_minor": roll.choice((20000, 90000)),
            "at": then,
        }

    async def send(self, claim: Claim) -> Answer:
        state = "failed" if self.random.random() < 0.08 else "succeeded"
        return Answer(state=state, result={"structuredContent": {"ok": True}})

    async def call(self) -> None:
        """The next call of somebody, and what people make of those that wait."""
        self.made += 1
        self.now += timedelta(seconds=self.random.choice((1, 5, 40, 300)))
        outcome = await self.pipeline.run(self.request())
        if isinstance(outcome, Pending):
            self.waiting.append(outcome.approval)
        self.now += timedelta(milliseconds=self.random.randrange(500))
        if self.waiting and self.random.random() < 0.5:
            await self.decided(self.waiting.pop(self.random.randrange(len(self.waiting))))
        if self.made % 50 == 0:
            await self.ledger.expire()

    def request(self) -> Request:
        roll = self.random
        tool = roll.choice(("crm.assign",) * 6 + ("billing.refund",) * 6 + ("crm.get", "crm.nothing"))
        agent = roll.choice(("desk",) * 5 + ("other",))
        user = (
            roll.choice(("ana",) * 9 + ("bo", "cy", "nobody"))
            if agent == "desk"
            else roll.choice(("cy", "ana"))
        )
        return Request(
            id=f"call_{self.made:06}", tool=tool.replace(".", "_"), arguments=self.arguments(tool), user=user, agent=agent,
            host="h", at=self.now, key=f"k{self.made}",
        )  # fmt: skip

    def arguments(self, tool: str) -> Json:
        roll = self.random
        if roll.random() < 0.03:
            return roll.choice(({}, [], {"id": 3}, {"id": "x", "strange": True}))
        found: dict[str, Any] = {
            "kind": roll.choice(("lead", "deal", "contact")),
            "id": f"l{roll.randrange(60)}",
        }
        if tool == "crm.assign":
            return {**found, "owner": f"o{roll.randrange(4)}", "why": roll.choice(("unsure", *("fits",) * 9))}
        if tool == "billing.refund":
            minor, currency = (
                roll.choice((roll.randrange(-50, 9000), roll.randrange(90000))),
                roll.choice(("EUR",) * 6 + ("USD", "GBP")),
            )
            return {"payment_id": f"p{roll.randrange(50)}", "amount_minor": minor, "currency": currency}
        return found

    async def decided(self, approval_id: str) -> None:
        """Everybody who may votes, or nobody; what was agreed to runs, as the gateway's worker runs it."""
        row = approvals.find(self.ledger.store.read, approval_id)
        people, word = (
            self.rules.people.persons,
            self.random.choice(("approve", "approve", "approve", "deny", "nothing")),
        )
        voters = [each for each in people.values() if each.id != row["requester"]]
        for person in voters if word != "nothing" else ():
            await self.ledger.store.write(
                partial(self.vote, approval_id, person.id, word, row["bound"], row["agent"]), durable=False
            )
        for each in self.ledger.store.read.all("approvals_agreed"):
            call = self.ledger.store.read.one("call_get", id=each["call"])
            assert call is not None
            self.now += timedelta(milliseconds=20)
            again = await self.pipeline.run(calls.request_of(self.ledger.store.read, call, self.now))
            if isinstance(again, Pending) and again.approval != each["id"]:
                self.waiting.append(again.approval)

    def vote(self, approval_id: str, person: str, word: Any, bound: str, agent: str, tx: Any) -> None:
        people = self.rules.people.persons
        approvals.vote(
            tx, approval_id, people[person], word, shown=bound, reason="r", channel="test", now=self.now, people=people,
            owner=self.rules.gateway.agents.get(agent),
        )  # fmt: skip


async def _at_once(work: Callable[[], Awaitable[Outcome | None]]) -> Outcome | None:
    return await work()


@contextmanager
def desk(folder: Path, seed: int) -> Generator[Desk]:
    store = Store(folder / "x.db")
    store.write_now(lambda tx: generations.activate(tx, FILES, after=0, by="t", reason="t", now=room.NOW))
    rules = room.load(FILES, generation=1)[0]
    assert rules is not None, room.load(FILES)[1]
    made: list[Desk] = []
    numbers = iter(range(1, 1_000_000))
    ledger = Ledger(
        store, folder=folder, clock=lambda: made[0].now, new_id=lambda kind: f"{kind}_{next(numbers):06}"
    )
    made.append(Desk(ledger, rules, Random(seed)))
    try:
        yield made[0]
    finally:
        store.close()
