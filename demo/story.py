"""The order of events. Start reading at `tell`."""

from collections import Counter
from dataclasses import dataclass, field, replace

from demo.gateway_process import Place
from demo.leads import BadRow, Lead
from demo.orders import STRANGER, orders
from demo.proof import unlike_shipped, unlike_told
from demo.router import Result, Router
from demo.screen import Screen
from lockkeep_client import Denied, GatewayClient, Pending

AFTER_THE_KILL = 2  # leads at the end of the file that come when everything is stopped
PEOPLE_S = 8 * 3600.0  # an approval of the starter policy lasts as long
KILLED = "switch.killed"


@dataclass
class Story:
    """One demo: its gateway, its agent, and what became of each lead so far."""

    place: Place
    client: GatewayClient
    screen: Screen
    rows: list[Lead | BadRow]
    once: bool  # nobody is there: bo decides by command, and every line must come out as expected
    # By line: the last word about a lead, and the digest of what people are asked.
    results: dict[int, Result] = field(default_factory=dict[int, Result])
    bound: dict[int, str] = field(default_factory=dict[int, str])
    surprises: list[str] = field(default_factory=list[str])

    async def tell(self) -> None:
        """Everything was played, checked and summed up."""
        leads = [row for row in self.rows if isinstance(row, Lead)]
        early, late = leads[:-AFTER_THE_KILL], leads[-AFTER_THE_KILL:]
        self.screen.title("1  An agent routes the leads of policies/demo/leads.csv, through the gateway only")
        self.screen.heading()
        await self.play(early)
        for row in self.rows:
            if isinstance(row, BadRow):
                self.screen.bad_row(row)
        await self.obey()
        for waiting in list(self.results.values()):
            if waiting.pending:
                await self.ask_people(waiting, waiting.pending)
        await self.stop(late)
        await self.go_on(late)
        await self.sum_up()

    async def play(self, leads: list[Lead]) -> None:
        router = Router(self.client)
        for lead in leads:
            result = self.results[lead.line] = await router.route(lead)
            if result.pending:  # the agent is told why, people also by which rule
                asked = await self.place.data("approvals", "show", result.pending.approval_id)
                result = self.results[lead.line] = replace(result, rule=", ".join(asked["rules"]))
                self.bound[lead.line] = asked["bound"]
            self.screen.result(result)

    async def obey(self) -> None:
        self.screen.title("2  Texts in leads give orders. The agent above read them as data; this one obeys")
        carrier = next(each for each in self.results.values() if "ignore your rules" in each.lead.note)
        stranger = (await Router(self.client).call("crm.get", kind="lead", id=STRANGER))["record"]
        self.screen.say(f'Line {carrier.lead.line} notes: "{carrier.lead.note}".')
        self.screen.say(f'Lead {STRANGER}, in the CRM before, has as its company: "{stranger["company"]}".')
        for order in orders(carrier.record or ""):
            outcome = await self.client.call(order.tool, order.arguments)
            if isinstance(outcome, Denied):
                word, rule, reason = "denied", outcome.rule or outcome.code, outcome.reason
            else:
                word, rule, reason = type(outcome).__name__.lower(), "", outcome.text
            self.screen.attempt(order.says, order.tool, word, rule, reason)
            if rule != order.rule:
                self.surprises.append(f'"{order.says}" is answered by {rule or word}, not by {order.rule}.')

    async def ask_people(self, waiting: Result, pending: Pending) -> None:
        """Someone decided; if they agreed, the gateway assigned the lead, and the agent books the meeting."""
        self.screen.title(f"3  {waiting.lead.company} waits for bo, the sales lead: {waiting.reason}")
        link = await self.place.command("console", "login", "--as", "bo")
        self.screen.say(f"The inbox: {self.place.url}/inbox. This link signs bo in once, within ten minutes:")
        self.screen.exact(link)
        if self.once:
            digest = self.bound[waiting.lead.line][:12]  # a vote is for exactly what was shown
            vote = ("approvals", "approve", pending.approval_id, "--digest", digest)
            await self.run(
                *vote,
                person="bo",
                note="Nobody needs to click here: bo agrees by command, to exactly what he was shown.",
            )
        else:
            self.screen.say(
                f"Too late for it? {self.place.folder}/lockkeep console login --as bo prints another."
            )
            self.screen.say("Open it and approve, or deny. Waiting for bo … (Ctrl-C ends the demo)")
        outcome = await self.client.wait(pending, PEOPLE_S)
        result = self.results[waiting.lead.line] = await Router(self.client).finish(waiting, outcome)
        self.screen.heading()
        self.screen.result(result, "approved by bo" if result.word == "routed" else "")

    async def stop(self, late: list[Lead]) -> None:
        self.screen.title("4  bo throws the kill switch; what comes now is stopped at the gateway")
        await self.run("kill", "--reason", "The list looks wrong", person="bo")
        self.screen.heading()
        await self.play(late)
        if any(self.results[lead.line].rule != KILLED for lead in late):
            self.surprises.append("A lead was not stopped by the kill switch.")

    async def go_on(self, late: list[Lead]) -> None:
        self.screen.title("5  Somebody else lifts it, and the stopped leads are played again")
        await self.run("resume", "all", "--reason", "Checked with bo", person="ada")
        self.screen.heading()
        await self.play(late)

    async def sum_up(self) -> None:
        self.screen.title("6  The record")
        await self.run("audit", "verify")
        self.surprises += await unlike_told(self.client, self.results.values())
        if self.once:
            self.surprises += unlike_shipped(self.rows, self.results)
        counts = Counter(each.word for each in self.results.values())
        unread = sum(isinstance(row, BadRow) for row in self.rows)
        self.screen.counts({**counts, "unread": unread})
        if not self.surprises:
            self.screen.say("Checked: one CRM record per e-mail, one meeting per routed lead, and no others.")

    async def run(self, *words: str, person: str | None = None, note: str = "") -> None:
        """A command of the command line, shown with what it prints."""
        if note:
            self.screen.say(note)
        self.screen.command(words, person)
        said = await self.place.command(*words, person=person)
        self.screen.say(said, indent=4)
