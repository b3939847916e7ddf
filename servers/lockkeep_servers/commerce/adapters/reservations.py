"""Goods set aside for an order, and given back. Checks that need the store stand here, before the effect."""

import json
from datetime import timedelta
from typing import Any

from lockkeep_servers.commerce import checks, port
from lockkeep_servers.commerce.adapters.rows import Pieces, Rows, lines_of, pieces_of
from lockkeep_servers.kit.errors import InsufficientStock, Invalid, NotFound
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.results import Undo, changed
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import parse_time, stamp


def reserve_stock(rows: Rows, ask: port.ReserveStock) -> Effect:
    """The pieces are set aside for the order, all or what there is; an order that has everything it needs is `reserved`."""
    checks.once_each(ask.lines)
    row = rows.order(ask.order_id)
    if row["status"] != "paid":
        raise checks.order_open("Stock is reserved for an order that is paid and has not got it yet.")
    warehouse = ask.warehouse or row["warehouse"]
    if rows.tx.row("warehouse", warehouse=warehouse) is None:
        raise NotFound("warehouse")
    asked = {line.sku: line.qty for line in ask.lines}
    _within_need(rows, ask)
    short = rows.short_of(warehouse, asked)
    taken = asked
    if short:
        there = {each["sku"]: each["available"] for each in short}
        taken = {sku: qty for sku, each in asked.items() if (qty := there.get(sku, each)) > 0}
        if ask.all_or_nothing or not taken:
            raise InsufficientStock(short)
    was = rows.image(row)
    rows.take(warehouse, taken)
    hold = _add_hold(rows, ask, warehouse, taken)
    full = all(left <= 0 for left in rows.wanted(ask.order_id).values())
    written, _, _ = rows.save(row, was, {"status": "reserved"} if full else {})
    after = {**hold, "status": "active", "order_status": written["status"], "short": short}
    undo = Undo(possible="until", until=parse_time(hold["expires_at"]))
    warnings = [f"stock_available: {each['available']} of {each['asked']} {each['sku']}" for each in short]
    return Effect(hold["hold_id"], "1", None, after, undo=undo, warnings=tuple(warnings))


def _within_need(rows: Rows, ask: port.ReserveStock) -> None:
    needs = rows.wanted(ask.order_id)
    faults: dict[str, str] = {}
    for place, line in enumerate(ask.lines):
        if line.sku not in needs:
            faults[f"lines.{place}.sku"] = "is not in this order"
        elif line.qty > needs[line.sku]:
            faults[f"lines.{place}.qty"] = f"is more than the order still needs ({needs[line.sku]})"
    if faults:
        raise Invalid(faults)


def _add_hold(rows: Rows, ask: port.ReserveStock, warehouse: str, pieces: Pieces) -> dict[str, Any]:
    id, expires = rows.next_id("hold"), stamp(rows.now + timedelta(minutes=ask.ttl_min))
    lines = lines_of(pieces)
    rows.tx.run(
        "add_hold",
        id=id,
        order_id=ask.order_id,
        warehouse=warehouse,
        lines=json.dumps(lines),
        status="active",
        made_at=rows.at,
        expires_at=expires,
    )
    held = {"order_id": ask.order_id, "warehouse": warehouse, "lines": lines}
    return {"hold_id": id, "held": held, "expires_at": expires}


def release_stock(rows: Rows, ask: port.ReleaseStock) -> Effect:
    """What the hold kept may be sold to others; its order waits for stock again."""
    hold = rows.tx.row("get_hold", id=ask.hold_id)
    if hold is None:
        raise NotFound("hold")
    if hold["status"] != "active":
        raise checks.hold_active(
            "This hold is no longer active: it was released, its time is over, or the order is being fulfilled."
        )
    row = rows.order(hold["order_id"])
    was = rows.image(row)
    pieces = pieces_of(hold)
    rows.give_back(hold["warehouse"], pieces)
    rows.write_hold(hold, status="released")
    written, _, _ = rows.save(row, was, _without_stock(row))
    held = {"order_id": row["id"], "warehouse": hold["warehouse"], "lines": lines_of(pieces)}
    before, after = changed(
        {"held": held, "status": "active", "order_status": row["status"]},
        {"held": None, "status": "released", "order_status": written["status"]},
    )
    undo = Undo(possible="yes", note="A new hold; others may have taken the goods meanwhile.")
    return Effect(hold["id"], str(hold["version"] + 1), before, after, undo=undo)


def _without_stock(row: Row) -> dict[str, Any]:
    return {name: "paid" for name in ("status", "held_from") if row[name] == "reserved"}
