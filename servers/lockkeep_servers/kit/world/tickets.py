"""The support desk of the world: tickets, what was said in them, and the articles agents look things up in.

Times are aware and in UTC. `requester_id` is a contact (`con_N`), assignees are `people.STAFF`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from lockkeep_servers.kit.world import library, parcels, sales, shop, wares
from lockkeep_servers.kit.world.addresses import LOCALE
from lockkeep_servers.kit.world.affairs import Affair, Money, Triage, affairs
from lockkeep_servers.kit.world.dice import Dice
from lockkeep_servers.kit.world.letters import ANSWERED, ASKED, DECLINED, DONE, letter
from lockkeep_servers.kit.world.library import Article
from lockkeep_servers.kit.world.sizes import room
from lockkeep_servers.kit.world.times import at
from lockkeep_servers.kit.world.wares import printed
from lockkeep_servers.kit.world.work import CHECKERS, Work

PRIORITIES = ("low", "normal", "high", "urgent")
TICKET_STATUSES = ("new", "open", "pending", "hold", "solved", "closed")
TYPES = ("question", "problem", "refund", "delivery", "invoice", "account")
SLA_H: Mapping[str, tuple[int, int]] = {
    "low": (24, 120),
    "normal": (8, 72),
    "high": (4, 24),
    "urgent": (1, 8),
}
"""Hours from creation to the first reply, and to the solution."""
MEMBERS: Mapping[str, tuple[str, ...]] = {
    "support": ("agt_1", "agt_2", "agt_3", "agt_4"), "logistics": ("agt_5", "agt_6"), "billing": ("agt_7", "agt_3"),
}  # fmt: skip
WITH_PARCEL = ("where", "late_money", "damaged", "wrong_item")
STRANGERS = (
    ("Kim Vale", "kim@new-ventures.example"),
    ("SEO Team", "grow@ranking.example"),
    ("", "no-reply@auto.example"),
)


@dataclass(frozen=True)
class Message:
    """What somebody wrote after the ticket came in. The customer reads only what is public."""

    id: str  # unique in the world: "tmsg_7-2" is the second of tkt_7
    author: str  # a person of STAFF, or the requester's e-mail
    at: datetime
    public: bool
    body: str  # untrusted where a customer wrote it


@dataclass(frozen=True)
class Change:
    """One field as a person changed it; texts as the field holds them, None for nothing."""

    at: datetime
    by: str
    field: str  # status | priority | type | group | assignee
    old: str | None
    new: str | None


@dataclass(frozen=True)
class Ticket:
    id: str  # tkt_N
    requester_id: str | None  # None: nobody we know, see requester_email
    requester_email: str
    requester_name: str
    subject: str
    body: str  # untrusted
    priority: str | None  # None until triaged
    type: str | None
    group: str | None
    assignee: str | None  # agt_N
    status: str
    tags: tuple[str, ...]
    external_id: str | None  # key of the system it came from; unique where there is one
    order_id: str | None  # what the customer means, where it is known
    shipment_id: str | None
    created_at: datetime
    updated_at: datetime
    reply_due: datetime | None  # by SLA_H; None until triaged
    solve_due: datetime | None
    solved_at: datetime | None
    resolution: str | None  # where solved or closed
    messages: tuple[Message, ...]  # oldest first
    history: tuple[Change, ...]  # oldest first; ends in what the fields say


def tickets(seed: int, day: date, size: str) -> tuple[Ticket, ...]:
    """Return the tickets of the last 90 days, by number."""
    orders = shop.orders(seed, day, size)
    known = sales.contacts(seed, size)
    found = affairs(seed, day, size, orders, parcels.shipments(seed, day, size))
    return tuple(_ticket(seed, day, affair, known) for affair in found)


def articles() -> tuple[Article, ...]:
    """Return the help centre; it is the same in every world."""
    return library.ARTICLES


def _ticket(seed: int, day: date, affair: Affair, known: tuple[sales.Contact, ...]) -> Ticket:
    dice = Dice(seed, "ticket", affair.number)
    contact = _requester(dice, affair, known)
    name, email = (contact.name, contact.email) if contact else STRANGERS[affair.number % len(STRANGERS)]
    words = _words(affair, name)
    subject, body = letter(
        dice, affair.number, affair.scene, LOCALE.get(contact.country, "en") if contact else "en", words
    )
    life = _Life(affair, dice, day, email, words)
    history, messages = life.told()
    stands = {change.field: change.new for change in history}
    priority, status = stands.get("priority"), stands.get("status") or "new"
    ended = status in ("solved", "closed")
    return Ticket(
        id=f"tkt_{affair.number}",
        requester_id=contact.id if contact else None,
        requester_email=email,
        requester_name=name,
        subject=subject,
        body=body,
        priority=priority,
        type=stands.get("type"),
        group=stands.get("group"),
        assignee=stands.get("assignee"),
        status=status,
        tags=_tags(dice, affair),
        external_id=f"mail-{affair.number:05d}" if dice.chance(0.5) else None,
        order_id=affair.order.id if affair.order else None,
        shipment_id=affair.shipment.id if affair.shipment and affair.scene in WITH_PARCEL else None,
        created_at=affair.created_at,
        updated_at=max(
            [affair.created_at, *(change.at for change in history), *(said.at for said in messages)]
        ),
        reply_due=affair.created_at + timedelta(hours=SLA_H[priority][0]) if priority else None,
        solve_due=affair.created_at + timedelta(hours=SLA_H[priority][1]) if priority else None,
        solved_at=max(change.at for change in history if change.new == "solved") if ended else None,
        resolution=life.resolution if ended else None,
        messages=messages,
        history=history,
    )


def _requester(dice: Dice, affair: Affair, known: tuple[sales.Contact, ...]) -> sales.Contact | None:
    if affair.order:
        return known[int(affair.order.customer_id.removeprefix("con_")) - 1]
    if affair.scene == "spam":
        return None
    return known[dice.below(room("tickets", affair.number, "contacts"))]


def _words(affair: Affair, name: str) -> dict[str, str]:
    order, money = affair.order, affair.money
    return {
        "name": name,
        "order": order.id if order else "",
        "item": wares.ware(int(order.lines[0].sku.removeprefix("LK-")) - 1000)[0] if order else "",
        "tracking": affair.shipment.tracking_number if affair.shipment else "the link",
        "amount": printed(money.asked_minor, order.currency) if money and order else "",
    }


def _tags(dice: Dice, affair: Affair) -> tuple[str, ...]:
    tags = {"where": ("wismo",), "damaged": ("photo",), "cancel": ("before-shipping",)}.get(affair.scene, ())
    return (*tags, "vip") if dice.chance(0.06) else tags


@dataclass
class _Life:
    """How a ticket went through the desk, told step by step; what the desk never touched tells nothing."""

    affair: Affair
    dice: Dice
    day: date
    email: str
    words: dict[str, str]
    resolution: str = ""

    def told(self) -> tuple[tuple[Change, ...], tuple[Message, ...]]:
        self.history, self.said = list[Change](), list[tuple[str, datetime, bool, str]]()
        work, chosen = self.affair.triaged, self.affair.chosen
        if work and chosen:
            self._triage(work, chosen)
            self._answer(work)
        self.history.sort(key=lambda change: change.at)
        self.said.sort(key=lambda each: each[1])
        number = self.affair.number
        return tuple(self.history), tuple(
            Message(f"tmsg_{number}-{place}", author, at, public, body)
            for place, (author, at, public, body) in enumerate(self.said, 1)
        )

    def _triage(self, work: Work, chosen: Triage) -> None:
        self.assignee = self.dice.pick(MEMBERS[self.affair.right.group])
        self._change(work.done_at, work.person, "status", "new", "open")
        for field in ("priority", "type", "group"):
            self._change(work.done_at, work.person, field, None, getattr(chosen, field))
        self._change(work.done_at, work.person, "assignee", None, self.assignee)
        if work.corrected_at:
            for field in ("priority", "group"):
                old, new = getattr(chosen, field), getattr(self.affair.right, field)
                if old != new:
                    self._change(work.corrected_at, CHECKERS["ticket_triage"], field, old, new)

    def _answer(self, work: Work) -> None:
        """Money waits for its decision; other tickets are answered within days, or still open."""
        money, now = self.affair.money, at(self.day, 0, 0)
        decided = money.decided if money else None
        solved = decided.done_at if decided else work.done_at + timedelta(minutes=self.dice.between(20, 4000))
        if (money and not decided) or solved > now:
            return
        if self.dice.chance(0.3) and solved - work.done_at > timedelta(hours=1):
            self._ask(work.done_at, solved)
        if not decided and self.dice.chance(0.08):
            waits = self.dice.pick(("pending", "hold"))
            self._change(solved, self.assignee, "status", "open", waits)
            self._say(solved, False, "Waiting for the carrier." if waits == "hold" else "Asked the customer.")
            return
        self._solve(solved, decided, now)

    def _solve(self, solved: datetime, decided: Work | None, now: datetime) -> None:
        scene, money, order = self.affair.scene, self.affair.money, self.affair.order
        by = decided.person if decided else self.assignee
        text = DONE.get(scene, "Done.")
        if money and order:
            paid = money.chosen_minor or 0
            text = text.format(amount=printed(paid, order.currency)) if paid else DECLINED
            self.said.append(
                (
                    by,
                    solved - timedelta(minutes=1),
                    False,
                    f"Looked at pay_{order.id[4:]}: {order.total_minor} {order.currency} captured.",
                )
            )
            self._put_right(money, order)
        self.said.append((by, solved, True, text))
        self.resolution = text
        self._change(solved, by, "status", "open", "solved")
        if solved + timedelta(days=7) < now:
            self._change(solved + timedelta(days=7), "desk", "status", "solved", "closed")

    def _put_right(self, money: Money, order: shop.Order) -> None:
        if money.decided and money.decided.corrected_at:
            paid, due = (
                printed(minor, order.currency) for minor in (money.chosen_minor or 0, money.right_minor)
            )
            note = f"This was a mistake: {paid} went back, {due} was right."
            self.said.append((CHECKERS["refund_request"], money.decided.corrected_at, False, note))

    def _ask(self, since: datetime, until: datetime) -> None:
        way = until - since
        self._say((since + way / 4).replace(microsecond=0), True, ASKED)
        body = self.dice.pick(ANSWERED).format_map(self.words)
        self.said.append((self.email, (since + way / 2).replace(microsecond=0), True, body))

    def _say(self, moment: datetime, public: bool, body: str) -> None:
        self.said.append((self.assignee, moment, public, body))

    def _change(self, moment: datetime, by: str, field: str, old: str | None, new: str | None) -> None:
        self.history.append(Change(moment, by, field, old, new))
