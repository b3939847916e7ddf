"""The world's templates, recipients and messages, written into an empty store in one transaction."""

from lockkeep_servers.kit.sqlite import Database, Transaction
from lockkeep_servers.kit.times import stamp
from lockkeep_servers.kit.world import World
from lockkeep_servers.kit.world.messages import Queued, Recipient, Suppressed, Template, templates
from lockkeep_servers.notify.adapters.effects import reference_of, template_of
from lockkeep_servers.notify.checks import address_key
from lockkeep_servers.notify.texts import chosen, fill


def seed(database: Database, world: World, *, queue: bool) -> None:
    """An empty store holds what the world says; any other stays as it is. Without `queue` no message waits in it."""
    with database.opened():
        database.write_now(
            lambda tx: None if tx.rows("count_templates")[0]["count"] else _fill(tx, world, queue)
        )


def _fill(tx: Transaction, world: World, queue: bool) -> None:
    for template in templates():
        put_template(tx, template)
    for recipient in world.recipients:
        put_recipient(tx, recipient)
    for one in world.suppressed:
        put_suppressed(tx, one)
    for message in world.queue:
        if queue or message.state != "queued":
            _add(tx, message)


def put_template(tx: Transaction, one: Template) -> None:
    words = " ".join(one.variables)
    tx.run("put_template", id=one.id, locale=one.locale, subject=one.subject, body=one.body, variables=words)


def put_recipient(tx: Transaction, one: Recipient) -> None:
    tx.run(
        "put_recipient",
        address=address_key(one.email),
        locale=one.locale,
        tz=one.tz,
        quiet_from=one.quiet_from.isoformat(),
        quiet_to=one.quiet_to.isoformat(),
    )


def put_suppressed(tx: Transaction, one: Suppressed) -> None:
    tx.run("put_suppressed", address=address_key(one.address), reason=one.reason, since=stamp(one.since))


def _add(tx: Transaction, one: Queued) -> None:
    rows = {row["locale"]: template_of(row) for row in tx.rows("get_template", id=one.template_id)}
    template, _ = chosen(rows, one.locale)
    tx.run(
        "add_past",
        id=one.id,
        recipient=one.to,
        ref=one.ref,
        subject=fill(template.subject, one.variables),
        body=fill(template.body, one.variables),
        template_id=one.template_id,
        reference=reference_of("world", one.id),
        status=one.state,
        due_at=stamp(one.schedule_at),
        attempts=int(one.state in ("sent", "failed")),
        created_at=stamp(one.queued_at),
        updated_at=stamp(one.settled_at or one.queued_at),
    )
