"""What customers are written to: templates, who may not be written to or not now, and what waits in the queue.

Times are aware and in UTC, but quiet hours are wall time in the recipient's zone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from lockkeep_servers.kit.world import payments, sales
from lockkeep_servers.kit.world.addresses import LOCALE, TZ
from lockkeep_servers.kit.world.dice import Dice, drawn
from lockkeep_servers.kit.world.parcels import Shipment, shipments
from lockkeep_servers.kit.world.rescues import rescues
from lockkeep_servers.kit.world.times import at
from lockkeep_servers.kit.world.wares import printed

LOCALES = ("en", "de", "fr", "ja")
CHANNELS = ("ops", "support", "logistics", "sales")  # those `post` may write to
REASONS = ("unsubscribed", "bounced", "bounced", "complained")
SILENT, ASLEEP = 19, 5  # numbers of the planted contacts
VARIABLES: Mapping[str, tuple[str, ...]] = {
    "welcome": ("name", "plan"), "day_3": ("name",), "delay_notice": ("name", "order", "date"),
    "refund_notice": ("name", "order", "amount"),
}  # fmt: skip
TEXTS: Mapping[str, Mapping[str, tuple[str, str]]] = {  # template, locale: subject, body
    "welcome": {
        "en": (
            "Welcome, {name}",
            "Hello {name},\n\nyour {plan} account is ready.\n\nYour Lockkeep Supply team",
        ),
        "de": (
            "Willkommen, {name}",
            "Hallo {name},\n\nIhr Konto ({plan}) ist eingerichtet.\n\nIhr Lockkeep-Supply-Team",
        ),
        "fr": (
            "Bienvenue, {name}",
            "Bonjour {name},\n\nvotre compte {plan} est prêt.\n\nL'équipe Lockkeep Supply",
        ),
        "ja": (
            "{name} 様、ようこそ",
            "{name} 様\n\n{plan} アカウントの準備ができました。\n\nLockkeep Supply",
        ),
    },
    "day_3": {
        "en": (
            "How is it going?",
            "Hello {name},\n\nthree days in: here are the three things most people ask.",
        ),
        "de": ("Wie läuft es?", "Hallo {name},\n\nnach drei Tagen: die drei häufigsten Fragen."),
        "fr": (
            "Tout va bien ?",
            "Bonjour {name},\n\naprès trois jours : les trois questions les plus fréquentes.",
        ),
        "ja": ("ご利用はいかがですか", "{name} 様\n\nよくある三つの質問をお送りします。"),
    },
    "delay_notice": {
        "en": ("Your order {order} is delayed", "Hello {name},\n\nwe are sorry: {order} arrives on {date}."),
        "de": (
            "Ihre Bestellung {order} verspätet sich",
            "Hallo {name},\n\nes tut uns leid: {order} kommt am {date}.",
        ),
        "fr": (
            "Votre commande {order} a du retard",
            "Bonjour {name},\n\nnous sommes désolés : {order} arrive le {date}.",
        ),
        "ja": ("ご注文 {order} の遅延について", "{name} 様\n\n{order} のお届けは {date} になります。"),
    },
    "refund_notice": {
        "en": ("Your refund for {order}", "Hello {name},\n\nwe have refunded {amount} for {order}."),
        "de": ("Ihre Erstattung zu {order}", "Hallo {name},\n\nwir haben {amount} zu {order} erstattet."),
        "fr": (
            "Votre remboursement pour {order}",
            "Bonjour {name},\n\nnous avons remboursé {amount} pour {order}.",
        ),
        "ja": ("{order} の返金について", "{name} 様\n\n{order} について {amount} を返金しました。"),
    },
}
MESSAGE_STATES = ("queued", "sent", "failed", "cancelled", "expired")


@dataclass(frozen=True)
class Template:
    """One text in one language. `{name}` is filled from the variables; all of `variables` are needed."""

    id: str  # welcome | day_3 | delay_notice | refund_notice
    locale: str
    subject: str
    body: str
    variables: tuple[str, ...]


@dataclass(frozen=True)
class Suppressed:
    """An address nobody may write to."""

    address: str
    reason: str  # unsubscribed | bounced | complained
    since: datetime


@dataclass(frozen=True)
class Recipient:
    """How a contact wants to be written to; one for every contact."""

    contact_id: str
    email: str
    locale: str
    tz: str
    quiet_from: time  # until the next `quiet_to`, over midnight
    quiet_to: time


@dataclass(frozen=True)
class Queued:
    """A message in the queue, or one that left it."""

    id: str  # msg_N
    to: str
    ref: str  # what it is about: acc_N, ord_N, shp_N, pay_N, con_N
    template_id: str
    locale: str
    variables: Mapping[str, str]
    state: str
    queued_at: datetime
    schedule_at: datetime  # not before; in the future where queued
    settled_at: datetime | None  # when sent, failed, cancelled or expired
    by: str


def templates() -> tuple[Template, ...]:
    """Return every template in every locale."""
    return tuple(
        Template(id, locale, subject, body, VARIABLES[id])
        for id, by_locale in TEXTS.items()
        for locale, (subject, body) in by_locale.items()
    )


def suppressed(seed: int, day: date, size: str) -> tuple[Suppressed, ...]:
    """Return the addresses nobody may write to: the planted one, and a few in a hundred others."""
    made = list[Suppressed]()
    for number, contact in enumerate(sales.contacts(seed, size), 1):
        if number == SILENT or (number > 24 and drawn(seed, "suppressed", number, 1, 40)):
            dice = Dice(seed, "suppressed", number)
            since = at(day, dice.between(3, 400), dice.below(600))
            reason = "unsubscribed" if number == SILENT else dice.pick(REASONS)
            made.append(Suppressed(contact.email.casefold(), reason, since))
    return tuple(made)


def recipients(seed: int, day: date, size: str) -> tuple[Recipient, ...]:
    """Return every contact's language, zone and quiet hours, by number."""
    return tuple(
        _recipient(seed, number, contact) for number, contact in enumerate(sales.contacts(seed, size), 1)
    )


def _recipient(seed: int, number: int, contact: sales.Contact) -> Recipient:
    """The planted one sleeps while the demo day begins: it lives where it is past midnight then."""
    dice = Dice(seed, "recipient", number)
    away = number == ASLEEP or dice.chance(0.03)
    return Recipient(
        contact_id=contact.id,
        email=contact.email,
        locale=LOCALE.get(contact.country, "en"),
        tz="America/Los_Angeles" if away else TZ[contact.country],
        quiet_from=time(dice.pick((20, 21, 22))),
        quiet_to=time(dice.pick((7, 8))),
    )


def queue(seed: int, day: date, size: str) -> tuple[Queued, ...]:
    """Return the messages that wait, and those that left: welcomes, delays, refunds."""
    people = recipients(seed, day, size)
    silent = {one.address for one in suppressed(seed, day, size)}
    made = [
        *(
            message
            for account in sales.accounts(seed, day, size)
            for message in _welcome(seed, day, account, people)
        ),
        *_delays(seed, day, shipments(seed, day, size), people),
        *_refunds(seed, day, payments.payments(seed, day, size), people),
    ]
    return tuple(
        replace(one, state="cancelled") if one.to.casefold() in silent and one.state == "sent" else one
        for one in made
    )


def _welcome(seed: int, day: date, account: sales.Account, people: Sequence[Recipient]) -> list[Queued]:
    """A welcome soon after the account was made, and three days later how it goes. The first one's is still to come."""
    now, to = at(day, 0, 0), people[_number(account.customer_id)]
    due = now + timedelta(minutes=45) if account.id == "acc_1" else account.created_at + timedelta(minutes=30)
    name = to_name(to)
    plan = (
        ("welcome", {"name": name, "plan": account.plan}, due),
        ("day_3", {"name": name}, due + timedelta(days=3)),
    )
    return [
        _message(
            seed,
            f"msg_acc-{account.id[4:]}-{part}",
            account.id,
            template,
            words,
            to,
            account.created_at,
            when,
            now,
        )
        for part, (template, words, when) in enumerate(plan, 1)
    ]


def _delays(
    seed: int, day: date, found: Sequence[Shipment], people: Sequence[Recipient]
) -> list[Queued]:  # fmt: skip
    """The customer was told when the case was done, or when somebody noticed that nobody had."""
    made, now = list[Queued](), at(day, 0, 0)
    for rescue in rescues(seed, day, found):
        shipment, done = rescue.shipment, rescue.work
        to = people[_number(shipment.customer_id)]
        told = done.corrected_at if rescue.chosen == "nothing" and done.corrected_at else done.done_at
        expected = (rescue.again or shipment).delivered_at or told + timedelta(days=5)
        words = {"order": shipment.order_id, "date": expected.date().isoformat(), "name": to_name(to)}
        id = f"msg_{shipment.id.replace('_', '-')}"
        made.append(_message(seed, id, shipment.id, "delay_notice", words, to, told, told, now))
    return made


def _refunds(
    seed: int, day: date, found: Sequence[payments.Payment], people: Sequence[Recipient]
) -> list[Queued]:
    made, now = list[Queued](), at(day, 0, 0)
    for payment in found:
        for refund in payment.refunds:
            if refund.status == "succeeded":
                to = people[_number(payment.customer_id)]
                words = {
                    "order": payment.order_id,
                    "amount": printed(refund.amount_minor, refund.currency),
                    "name": to_name(to),
                }
                made.append(
                    _message(
                        seed,
                        f"msg_{refund.id.replace('_', '-')}",
                        payment.id,
                        "refund_notice",
                        words,
                        to,
                        refund.created_at,
                        refund.created_at,
                        now,
                    )
                )
    return made


def _message(
    seed: int, id: str, ref: str, template: str, words: Mapping[str, str], to: Recipient, queued: datetime,
    due: datetime, now: datetime,
) -> Queued:  # fmt: skip
    dice = Dice(seed, "message", id)
    left = due + timedelta(seconds=dice.between(61, 140))
    gone = left <= now
    state = "failed" if gone and dice.chance(0.02) else "sent" if gone else "queued"
    by = dice.pick(("ops_mia", "agt_5", "agt_7"))
    return Queued(
        id, to.email, ref, template, to.locale, words, state, queued, due, left if gone else None, by
    )


def to_name(to: Recipient) -> str:
    """Return how the letter calls them: mailings know the address, not the name."""
    return to.email.partition(".")[0].capitalize()


def _number(contact_id: str) -> int:
    return int(contact_id.removeprefix("con_")) - 1
