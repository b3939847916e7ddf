"""Lists to pick by: what to take from which bin, for orders that are ready."""

import json
from typing import Any

from lockkeep_servers.commerce import checks, port
from lockkeep_servers.commerce.adapters.rows import Rows, pieces_of
from lockkeep_servers.commerce.statuses import underneath
from lockkeep_servers.kit.errors import IllegalTransition, Invalid, NotFound
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.results import Undo
from lockkeep_servers.kit.sqlite import Row


def create_pick_list(rows: Rows, ask: port.CreatePickList) -> Effect:
    """A list says what to take from which bin, in walking order, for orders that are ready."""
    if len(set(ask.order_ids)) < len(ask.order_ids):
        raise Invalid({"order_ids": "names an order twice"})
    if rows.tx.row("warehouse", warehouse=ask.warehouse) is None:
        raise NotFound("warehouse")
    picked = [(row, _to_pick(rows, row, ask.warehouse)) for row in map(rows.order, ask.order_ids)]
    lines = sorted(
        (line for _, holds in picked for hold in holds for line in _bins(rows, hold)),
        key=lambda line: (line["bin"], line["sku"], line["order_id"]),
    )
    id = rows.next_id("pick")
    rows.tx.run("add_pick_list", id=id, warehouse=ask.warehouse, lines=json.dumps(lines), at=rows.at)
    for row, holds in picked:
        _put_on_list(rows, row, holds, id)
    after = {"warehouse": ask.warehouse, "status": "open", "order_ids": ask.order_ids, "lines": lines}
    undo = Undo(possible="yes", note="Until somebody picks.")
    return Effect(id, "1", None, after, undo=undo)


def _to_pick(rows: Rows, row: Row, warehouse: str) -> list[Row]:
    if row["status"] != "ready_for_fulfilment":
        raise checks.order_open("An order here is not ready for fulfilment.", order_id=row["id"])
    holds = [hold for hold in rows.holds(row["id"], "committed") if hold["warehouse"] == warehouse]
    if not holds:
        raise checks.order_open("An order here has nothing set aside in this warehouse.", order_id=row["id"])
    if listed := next((hold["pick_list_id"] for hold in holds if hold["pick_list_id"]), None):
        raise checks.order_open(
            "An order here is on a pick list already.", order_id=row["id"], pick_list_id=listed
        )
    return holds


def _bins(rows: Rows, hold: Row) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for sku, qty in pieces_of(hold).items():
        (place,) = rows.tx.rows("stock_of", sku=sku, warehouse=hold["warehouse"])
        product = rows.tx.rows("get_product", sku=sku)[0]
        line = {"bin": place["bin"], "sku": sku, "name": product["name"], "qty": qty}
        lines.append({**line, "order_id": hold["order_id"]})
    return lines


def _put_on_list(rows: Rows, row: Row, holds: list[Row], pick_list_id: str | None) -> None:
    """The holds stand on that list, or on none; the order shows it, so it has a new version."""
    was = rows.image(row)
    for hold in holds:
        rows.write_hold(hold, pick_list_id=pick_list_id)
    written, _, _ = rows.save(row, was, {})
    old = {"pick_list_id": holds[0]["pick_list_id"]}
    rows.remember(row["id"], written["version"], old, {"pick_list_id": pick_list_id})


def cancel_pick_list(rows: Rows, ask: port.CancelPickList) -> Effect:
    """Nobody picks by this list; its orders may stand on another."""
    found = rows.tx.row("get_pick_list", id=ask.pick_list_id)
    if found is None:
        raise NotFound("pick list")
    holds = rows.tx.rows("holds_of_pick_list", id=found["id"])
    orders = {id: rows.order(id) for id in sorted({hold["order_id"] for hold in holds})}
    reached = {underneath(row["status"], row["held_from"], row["cancelled_from"]) for row in orders.values()}
    if found["status"] != "open" or reached - {"ready_for_fulfilment"}:
        raise IllegalTransition([])
    for id, row in orders.items():
        _put_on_list(rows, row, [hold for hold in holds if hold["order_id"] == id], None)
    rows.run_one("cancel_pick_list", id=found["id"], at=rows.at)
    undo = Undo(possible="no", note="Create a new list instead.")
    version = str(found["version"] + 1)
    return Effect(found["id"], version, {"status": "open"}, {"status": "cancelled"}, undo=undo)
