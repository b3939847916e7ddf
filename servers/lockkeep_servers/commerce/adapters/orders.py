"""The way of an order: from status to status, out of it, and back. Its holds go with it."""

from datetime import timedelta
from typing import Any

from lockkeep_servers.commerce import checks, port
from lockkeep_servers.commerce.adapters.rows import KEEPING, Rows, pieces_of, refunded, summed
from lockkeep_servers.commerce.statuses import LEFT, allowed
from lockkeep_servers.kit.errors import IllegalTransition, InsufficientStock, WindowClosed
from lockkeep_servers.kit.receipts import Effect
from lockkeep_servers.kit.results import Undo
from lockkeep_servers.kit.sqlite import Row
from lockkeep_servers.kit.times import parse_time, stamp

CANCEL_WINDOW = timedelta(hours=port.CANCEL_HOURS)


def set_order_status(rows: Rows, ask: port.SetOrderStatus) -> Effect:
    """The order has this status, and its holds go with it."""
    row = rows.order(ask.order_id)
    rows.expect(row["id"], row["version"], ask.expected_version)
    if ask.to == row["status"]:
        return Effect(row["id"], str(row["version"]), {}, {})
    if ask.to not in (steps := possible(rows, row)):
        raise IllegalTransition(steps)
    was = rows.image(row)
    written, before, after = rows.save(row, was, _moved(rows, row, ask.to))
    undo = _undo_of_step(rows, row, ask.to)
    return Effect(row["id"], str(written["version"]), before, after, undo=undo)


def possible(rows: Rows, row: Row) -> list[str]:
    """Return where the order may go: an order on a pick list does not fall back behind it."""
    steps = allowed(row["status"], row["held_from"], row["cancelled_from"])
    if any(hold["pick_list_id"] for hold in rows.holds(row["id"], "committed")):
        return [step for step in steps if (row["status"], step) != ("ready_for_fulfilment", "reserved")]
    return steps


def open_steps(rows: Rows, row: Row) -> list[str]:
    """Return the steps of `possible` that would not be refused now: for readers."""
    if row["status"] == "cancelled" and not _may_come_back(rows, row):
        return []
    over = any(hold["expires_at"] <= rows.at for hold in rows.holds(row["id"], "committed"))
    return [step for step in possible(rows, row) if not (over and step == "reserved")]


def _may_come_back(rows: Rows, row: Row) -> bool:
    in_time = rows.now - parse_time(row["cancelled_at"]) <= CANCEL_WINDOW
    return in_time and not refunded(rows.tx.rows("order_payments", order_id=row["id"]))


def _moved(rows: Rows, row: Row, to: str) -> dict[str, Any]:
    """Move what the step moves beside the order, and return what it changes of it."""
    match (row["status"], to):
        case ("cancelled", _):
            return _take_back(rows, row)
        case (_, "on_hold"):
            return {"status": to, "held_from": row["status"], "hold_reason": rows.reason}
        case ("on_hold", _):
            return {"status": to, "held_from": None, "hold_reason": None}
        case ("reserved", "ready_for_fulfilment"):
            for hold in rows.holds(row["id"], "active"):
                rows.write_hold(hold, status="committed")
        case ("ready_for_fulfilment", "reserved"):
            for hold in rows.holds(row["id"], "committed"):
                if hold["expires_at"] <= rows.at:
                    raise checks.hold_active("The time of a hold is over, so the order cannot go back to it.")
                rows.write_hold(hold, status="active")
        case ("packed", "shipped"):
            for hold in rows.holds(row["id"], "committed"):
                rows.move_out(hold["warehouse"], pieces_of(hold))
                rows.write_hold(hold, status="shipped")
        case _:
            pass
    return {"status": to}


def _undo_of_step(rows: Rows, row: Row, to: str) -> Undo | None:
    if to in LEFT:
        return Undo(possible="no", note="The order has left.")
    if (row["status"], to) == ("reserved", "ready_for_fulfilment"):
        ends = [hold["expires_at"] for hold in rows.holds(row["id"], "committed")]
        return Undo(possible="until", until=parse_time(min(ends))) if ends else None
    return None


def _take_back(rows: Rows, row: Row) -> dict[str, Any]:
    """The order is open again with what its holds kept; the time it was away does not count for them."""
    away = rows.now - parse_time(row["cancelled_at"])
    if away > CANCEL_WINDOW:
        raise WindowClosed(CANCEL_WINDOW.days)
    if refunded(rows.tx.rows("order_payments", order_id=row["id"])):
        raise checks.order_open("The customer has got money back.", "Let them order again.")
    holds = rows.holds(row["id"], "cancelled")
    if row["restocked"]:
        _all_there(rows, holds)
    for hold in holds:
        again = rows.take if row["restocked"] else rows.move_in
        again(hold["warehouse"], pieces_of(hold))
        expires = stamp(parse_time(hold["expires_at"]) + away)
        rows.write_hold(hold, status=hold["cancelled_from"], cancelled_from=None, expires_at=expires)
    gone = dict.fromkeys(("cancelled_from", "cancelled_at", "restocked"))
    return {"status": row["cancelled_from"], **gone}


def _all_there(rows: Rows, holds: list[Row]) -> None:
    by_warehouse: dict[str, dict[str, int]] = {}
    for (warehouse, sku), qty in summed(holds).items():
        by_warehouse.setdefault(warehouse, {})[sku] = qty
    short = [each for place, pieces in by_warehouse.items() for each in rows.short_of(place, pieces)]
    if short:
        raise InsufficientStock(short)


def cancel_order(rows: Rows, ask: port.CancelOrder) -> Effect:
    """The order is cancelled and its holds keep nothing; without restock their goods are out of the books."""
    row = rows.order(ask.order_id)
    rows.expect(row["id"], row["version"], ask.expected_version)
    if row["status"] == "cancelled" or row["status"] in LEFT:
        raise checks.order_open("The order has left, or is cancelled already.")
    was = rows.image(row)
    warnings = _beside(rows, row)
    for hold in rows.holds(row["id"], *KEEPING):
        move = rows.give_back if ask.restock else rows.move_out
        move(hold["warehouse"], pieces_of(hold))
        rows.write_hold(hold, status="cancelled", cancelled_from=hold["status"])
    changes = {
        "status": "cancelled",
        "cancelled_from": row["status"],
        "cancelled_at": rows.at,
        "restocked": int(ask.restock),
    }
    written, before, after = rows.save(row, was, changes)
    undo = Undo(
        possible="until", until=parse_time(rows.at) + CANCEL_WINDOW, note="If the goods are still there."
    )
    if refunded(rows.tx.rows("order_payments", order_id=row["id"])):
        undo = Undo(possible="no", note="The customer has got money back.")
    return Effect(row["id"], str(written["version"]), before, after, undo=undo, warnings=tuple(warnings))


def _beside(rows: Rows, row: Row) -> list[str]:
    """What cancelling an order does not do, and somebody has to."""
    payments = rows.tx.rows("order_payments", order_id=row["id"])
    owed = [each["id"] for each in payments if each["captured_minor"] > each["refunded_minor"]]
    lists = {hold["pick_list_id"] for hold in rows.holds(row["id"], *KEEPING) if hold["pick_list_id"]}
    return [f"not refunded by this: {id}" for id in owed] + [
        f"still on pick list {id}" for id in sorted(lists)
    ]
