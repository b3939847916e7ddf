"""A row of the outbox becomes a notice: with the approval, or the switch, as it is now."""

from collections.abc import Mapping
from datetime import datetime

from lockkeep.cards.card import Card, card
from lockkeep.cards.quoted import quoted
from lockkeep.ledger import approvals, calls, delegations
from lockkeep.model import Amount, Person, moment
from lockkeep.notify.buttons import link_only
from lockkeep.notify.port import Alarm, Notice
from lockkeep.notify.slackcard import too_large
from lockkeep.policy.bundle import PolicySet
from lockkeep.store import Row, Tx

ADDRESS = "email:"


def notice_of(read: Tx, row: Row, rules: PolicySet, url: str, now: datetime) -> Notice | None:
    """None if what it is about is gone."""
    about = row["about"]
    if row["event"].startswith("switch."):
        return _alarm(read, row, rules, url)
    found = read.one("approval_get", id=about)
    return _card(read, row, found, rules, url, now) if found is not None else None


def _card(read: Tx, row: Row, approval: Row, rules: PolicySet, url: str, now: datetime) -> Notice:
    persons = delegations.seated(read, rules.people.persons, now)
    owner = rules.gateway.agents.get(approval["agent"])
    shown = card(read, approval["id"], None, rules.people.persons, owner, now)
    demands = calls.demands_of(approval)
    asked = approvals.eligible(demands, persons, frozenset({approval["requester"], owner or ""}))
    return Notice(
        id=row["id"],
        event=row["event"],
        at=moment(row["at"]),
        gateway=rules.gateway.name,
        url=f"{url}/inbox/{approval['id']}",
        card=shown,
        link_only=why_link_only(read, approval, shown),
        addresses=_addresses({name: persons[name] for name in asked}),
    )


def why_link_only(read: Tx, approval: Row, shown: Card) -> str:
    """Why no button decides this approval; worked out anew for every press."""
    call = read.one("call_get", id=approval["call"])
    if call is None:
        return "its call is gone"
    amount = None
    if call["amount_minor"] is not None:
        amount = Amount(minor=call["amount_minor"], currency=call["currency"])
    return link_only(calls.demands_of(approval), call["risk"], amount, shown.cut or too_large(shown))


def _alarm(read: Tx, row: Row, rules: PolicySet, url: str) -> Notice | None:
    switch = read.one("switch_get", id=int(row["about"]))
    if switch is None:
        return None
    lifted = row["event"] == "switch.lifted"
    may = {
        name: person
        for name, person in rules.people.persons.items()
        if rules.people.may(name, "kill") or rules.people.may(name, "resume")
    }
    alarm = Alarm(
        scope=quoted(switch["scope"]),
        mode=switch["mode"],
        reason=quoted(switch["reason"]),
        by=quoted(switch["by"]),
        lifted_by=quoted(switch["lifted_by"] or "") if lifted else "",
        note=quoted(switch["lift_note"] or "") if lifted else "",
    )
    return Notice(
        id=row["id"],
        event=row["event"],
        at=moment(row["at"]),
        gateway=rules.gateway.name,
        url=f"{url}/inbox",
        alarm=alarm,
        addresses=_addresses(may),
    )


def _addresses(persons: Mapping[str, Person]) -> tuple[str, ...]:
    """The first e-mail account of each of them."""
    found: list[str] = []
    for name in sorted(persons):
        own = [account for account in persons[name].accounts if account.startswith(ADDRESS)]
        found += [account.removeprefix(ADDRESS) for account in own[:1]]
    return tuple(dict.fromkeys(found))
