"""The world's support desk, written into an empty store in one transaction."""

import json

from lockkeep_servers.kit.sqlite import Database, Transaction
from lockkeep_servers.kit.times import stamp
from lockkeep_servers.kit.world import World
from lockkeep_servers.kit.world.people import GROUPS, agents
from lockkeep_servers.kit.world.tickets import Message, Ticket
from lockkeep_servers.ticketing.adapters.rows import due_of

IMPORTED = "import"  # who made a ticket that came in: no tool of ours


def seed(database: Database, world: World) -> None:
    """An empty store holds the world; any other stays as it is."""
    with database.opened():
        database.write_now(lambda tx: None if tx.rows("count_people")[0]["count"] else _fill(tx, world))


def _fill(tx: Transaction, world: World) -> None:
    for group in GROUPS:
        tx.run("add_group", id=group)
    for agent in agents():
        tx.run("add_agent", id=agent.id, name=agent.name, group_id=agent.team, active=int(agent.active))
    for contact in world.contacts:
        tx.run("add_person", id=contact.id, name=contact.name, email=contact.email)
    for ticket in world.tickets:
        _add(tx, ticket)
    for article in world.articles:
        values = {"title": article.title, "body": article.body, "url": article.url}
        tx.run("add_article", id=article.id, updated_at=stamp(article.updated_at), **values)


def _add(tx: Transaction, ticket: Ticket) -> None:
    replies = [one for one in ticket.messages if one.public and one.author != ticket.requester_email]
    row = {
        **{
            name: getattr(ticket, name)
            for name in ("id", "subject", "status", "priority", "type", "resolution")
        },
        **{name: getattr(ticket, name) for name in ("requester_id", "requester_name", "requester_email")},
        **{name: getattr(ticket, name) for name in ("external_id", "order_id", "shipment_id")},
        "version": 1,
        "group_id": ticket.group,
        "assignee_id": ticket.assignee,
        "tags": json.dumps(list(ticket.tags)),
        "first_replied_at": stamp(replies[0].at) if replies else None,
        "made_by": IMPORTED,
        "withdrawn_at": None,
        "created_at": stamp(ticket.created_at),
        "updated_at": stamp(ticket.updated_at),
    }
    tx.run("add_ticket", **row, **due_of(row))
    customer = ticket.requester_id or ticket.requester_email
    first = {"kind": "request", "by": customer, "body": ticket.body, "at": stamp(ticket.created_at)}
    tx.run("add_message", id=f"tmsg_{ticket.id.removeprefix('tkt_')}-0", ticket_id=ticket.id, **first)
    for message in ticket.messages:
        _say(tx, ticket, message, customer)
    for change in ticket.history:
        values = {"at": stamp(change.at), "by": change.by, "field": change.field, "reason": None}
        texts = {"old": json.dumps(change.old), "new": json.dumps(change.new)}
        tx.run("add_change", ticket_id=ticket.id, version=1, **values, **texts)


def _say(tx: Transaction, ticket: Ticket, message: Message, customer: str) -> None:
    asked = message.author == ticket.requester_email
    tx.run(
        "add_message",
        id=message.id.replace("msg-", "tmsg_", 1),
        ticket_id=ticket.id,
        kind="note" if not message.public else "request" if asked else "reply",
        by=customer if asked else message.author,
        body=message.body,
        at=stamp(message.at),
    )
