"""The world's part that the shop keeps, written into an empty store in one transaction."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from lockkeep_servers.commerce.adapters.rows import lines_of
from lockkeep_servers.kit.sqlite import Database, Transaction
from lockkeep_servers.kit.times import stamp
from lockkeep_servers.kit.world import World
from lockkeep_servers.kit.world.parcels import Shipment
from lockkeep_servers.kit.world.payments import Payment
from lockkeep_servers.kit.world.shop import Hold, Order, Product


def seed(database: Database, world: World) -> None:
    """An empty store holds the world; any other stays as it is."""
    with database.opened():
        database.write_now(
            lambda tx: (
                None
                if tx.rows("count_products")[0]["count"]
                else fill(tx, world.products, world.orders, world.payments, world.shipments)
            )
        )


def fill(
    tx: Transaction,
    products: Iterable[Product],
    orders: Iterable[Order],
    payments: Iterable[Payment] = (),
    shipments: Iterable[Shipment] = (),
) -> None:
    """The store holds these, too. What the stock counts as reserved is what the orders hold."""
    for product in products:
        _add_product(tx, product)
    for order in orders:
        _add_order(tx, order)
    for payment in payments:
        names = ("id", "order_id", "captured_minor", "refunded_minor", "currency")
        tx.run("add_payment", **{name: getattr(payment, name) for name in names})
    for shipment in shipments:
        names = ("id", "order_id", "tracking_number")
        tx.run("add_shipment", **{name: getattr(shipment, name) for name in names})


def _add_product(tx: Transaction, product: Product) -> None:
    names = ("sku", "name", "price_minor", "currency", "weight_g")
    values = {name: getattr(product, name) for name in names}
    changed = stamp(product.price_changed_at)
    tx.run("add_product", **values, hazmat=int(product.hazmat), updated_at=changed)
    for stock in product.stock:
        on = stock.incoming_on.isoformat() if stock.incoming_on else None
        tx.run("add_stock", **{**asdict(stock), "sku": product.sku, "incoming_on": on})


def _add_order(tx: Transaction, order: Order) -> None:
    last = order.history[-1]
    cancelled, held = order.status == "cancelled", order.status == "on_hold"
    names = (
        "id", "customer_id", "email", "status", "hold_reason", "currency", "subtotal_minor", "discount_minor",
        "shipping_minor", "total_minor", "warehouse", "comment",
    )  # fmt: skip
    tx.run(
        "add_order",
        **{name: getattr(order, name) for name in names},
        held_from=last.old if held else None,
        cancelled_from=last.old if cancelled else None,
        cancelled_at=stamp(last.at) if cancelled else None,
        restocked=1 if cancelled else None,
        ship_to=json.dumps(asdict(order.ship_to), ensure_ascii=False),
        placed_at=stamp(order.placed_at),
        promised=stamp(order.promised_at),
        updated_at=stamp(last.at),
    )
    for place, line in enumerate(order.lines, start=1):
        tx.run("add_order_line", order_id=order.id, place=place, **asdict(line))
    for hold in order.holds:
        _add_hold(
            tx, hold, "active" if "reserved" in (order.status, last.old if held else "") else "committed"
        )
    for step in order.history:
        _changed(
            tx, order.id, {"at": stamp(step.at), "by": step.by, "reason": step.reason}, step.old, step.new
        )


def _add_hold(tx: Transaction, hold: Hold, status: str) -> None:
    tx.run(
        "add_hold",
        id=hold.id,
        order_id=hold.order_id,
        warehouse=hold.warehouse,
        lines=json.dumps(lines_of(dict(hold.lines))),
        status=status,
        made_at=stamp(hold.made_at),
        expires_at=stamp(hold.expires_at),
    )


def _changed(tx: Transaction, id: str, said: dict[str, Any], old: str | None, new: str) -> None:
    texts = {"old": json.dumps(old), "new": json.dumps(new)}
    tx.run("add_change", subject_id=id, version=1, field="status", **said, **texts)
