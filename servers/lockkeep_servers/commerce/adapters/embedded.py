"""The shop in one SQLite file; several processes may share it."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

from lockkeep_servers.commerce import port
from lockkeep_servers.commerce.adapters import orders, picking, prices, reservations
from lockkeep_servers.commerce.adapters.rows import KEEPING, Rows, pieces_of
from lockkeep_servers.kit.arguments import Writes
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.cursor import read_row, write_cursor
from lockkeep_servers.kit.faults import NO_FAULT, Fault
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import STATEMENTS, Attempt, Effect, GetReceipt, Receipts
from lockkeep_servers.kit.results import Receipt, Receipted
from lockkeep_servers.kit.sqlite import Database, Row, Transaction, read_statements
from lockkeep_servers.kit.times import stamp

HERE = Path(__file__).parent
HOLDS_SHOWN = 20
COMMENT_SHOWN = 2000  # characters
W = TypeVar("W", bound=Writes)


class EmbeddedShop:
    """Answers `Shop` from `commerce.sqlite` in the data folder."""

    def __init__(self, folder: Path, clock: Clock, fault: Fault = NO_FAULT) -> None:
        statements = {**STATEMENTS, **read_statements(HERE / "embedded.sql")}
        self.database = Database(folder / "commerce.sqlite", statements, HERE / "migrations")
        self._clock = clock
        self.receipts = Receipts(self.database, clock, fault)

    def session(self) -> AbstractAsyncContextManager[None]:
        return self.database.session()

    async def examine(self) -> list[Finding]:
        return self.database.examine()

    async def search_orders(self, ask: port.SearchOrders) -> port.Page:
        """Return the orders that match, in order of arrival."""
        filters = ask.model_dump(mode="json", exclude={"cursor", "limit"})
        after = read_row(ask.cursor, filters)
        now = stamp(self._clock())
        rows = self.database.read(
            lambda tx: tx.rows(
                "search_orders",
                statuses=json.dumps(ask.status) if ask.status else None,
                customer_id=ask.customer_id,
                sku=ask.sku,
                placed_after=stamp(ask.placed_after) if ask.placed_after else None,
                late_only=int(ask.late_only),
                now=now,
                after=after,
                limit=ask.limit + 1,
            )
        )
        shown = rows[: ask.limit]
        more = write_cursor(str(shown[-1]["number"]), filters) if len(rows) > ask.limit else None
        return port.Page(items=[_short(_settled(row), now) for row in shown], next_cursor=more)

    async def get_order(self, ask: port.GetOrder) -> port.Order:
        return self.database.read(lambda tx: _order(Rows(tx, "", self._clock()), ask.order_id))

    async def check_stock(self, ask: port.CheckStock) -> port.Stocks:
        return self.database.read(lambda tx: _stocks(tx, ask, stamp(self._clock())))

    async def reserve_stock(self, ask: port.ReserveStock, attempt: Attempt) -> Receipt:
        return await self._write(reservations.reserve_stock, ask, attempt)

    async def release_stock(self, ask: port.ReleaseStock, attempt: Attempt) -> Receipt:
        return await self._write(reservations.release_stock, ask, attempt)

    async def create_pick_list(self, ask: port.CreatePickList, attempt: Attempt) -> Receipt:
        return await self._write(picking.create_pick_list, ask, attempt)

    async def cancel_pick_list(self, ask: port.CancelPickList, attempt: Attempt) -> Receipt:
        return await self._write(picking.cancel_pick_list, ask, attempt)

    async def set_order_status(self, ask: port.SetOrderStatus, attempt: Attempt) -> Receipt:
        return await self._write(orders.set_order_status, ask, attempt)

    async def cancel_order(self, ask: port.CancelOrder, attempt: Attempt) -> Receipt:
        return await self._write(orders.cancel_order, ask, attempt)

    async def set_price(self, ask: port.SetPrice, attempt: Attempt) -> Receipt:
        return await self._write(prices.set_price, ask, attempt)

    async def get_receipt(self, ask: GetReceipt) -> Receipted:
        return await self.receipts.get(ask)

    async def _write(self, effect: Callable[[Rows, W], Effect], ask: W, attempt: Attempt) -> Receipt:
        def work(tx: Transaction) -> Effect:
            rows = Rows(tx, f"tool:{attempt.tool}", self._clock(), getattr(ask, "reason", ""))
            rows.settle()
            return effect(rows, ask)

        return await self.receipts.write(attempt, work)


def _settled(row: Row) -> Row:
    """Return the order as the next writer will find it: the holds whose time is over keep nothing."""
    if not row["lapsed"]:
        return row
    moved = {name: "paid" for name in ("status", "held_from") if row[name] == "reserved"}
    return {**row, **moved, "version": row["version"] + row["lapsed"]}


def _late(row: Row, now: str) -> bool:
    return row["promised"] < now and row["status"] not in ("delivered", "cancelled")


def _short(row: Row, now: str) -> port.Short:
    names = [name for name in port.Short.model_fields if name in row]
    return port.Short.model_validate(
        {**{name: row[name] for name in names}, "version": str(row["version"]), "late": _late(row, now)}
    )


def _order(rows: Rows, id: str) -> port.Order:
    row = _settled(rows.order_now(id))
    holds = [
        {**hold, "status": "expired"}
        if hold["status"] == "active" and hold["expires_at"] <= rows.at
        else hold
        for hold in rows.holds(id)
    ]
    given = {name: row[name] for name in port.Order.model_fields if name in row}
    return port.Order.model_validate({
        **given,
        "version": str(row["version"]),
        "allowed_transitions": orders.open_steps(rows, row),
        "late": _late(row, rows.at),
        "comment": row["comment"][:COMMENT_SHOWN] if row["comment"] else None,
        "ship_to": json.loads(row["ship_to"]),
        "lines": _lines(rows, row, holds),
        "payments": [_part(port.Payment, each) for each in rows.tx.rows("order_payments", order_id=id)],
        "shipments": [_part(port.Shipment, each) for each in rows.tx.rows("order_shipments", order_id=id)],
        "holds": [_part(port.Hold, {**hold, "lines": json.loads(hold["lines"])}) for hold in holds[-HOLDS_SHOWN:]],
        "changes": [_change(each) for each in rows.tx.rows("last_changes", id=id)],
    })  # fmt: skip


def _lines(rows: Rows, row: Row, holds: list[Row]) -> list[dict[str, Any]]:
    kept: dict[str, int] = {}
    for hold in holds:
        for sku, qty in pieces_of(hold).items() if hold["status"] in KEEPING else ():
            kept[sku] = kept.get(sku, 0) + qty
    lines: list[dict[str, Any]] = []
    for line in rows.tx.rows("order_lines", order_id=row["id"]):
        held = min(line["qty"], kept.get(line["sku"], 0))
        kept[line["sku"]] = kept.get(line["sku"], 0) - held
        lines.append({**line, "held": held, "currency": row["currency"], "hazmat": bool(line["hazmat"])})
    return lines


def _part(model: type[Any], row: Row) -> dict[str, Any]:
    return {name: row[name] for name in model.model_fields}


def _change(row: Row) -> dict[str, Any]:
    values = {"from": json.loads(row["old"]), "to": json.loads(row["new"])}
    return {name: row[name] for name in ("at", "by", "field", "reason")} | values


def _stocks(tx: Transaction, ask: port.CheckStock, now: str) -> port.Stocks:
    lapsed = {(row["sku"], row["warehouse"]): row["qty"] for row in tx.rows("lapsed_stock", now=now)}
    skus = list(dict.fromkeys(ask.skus))
    found = {sku: row for sku in skus if (row := tx.row("get_product", sku=sku))}
    items = [
        _stock(
            product, [_place(row, lapsed) for row in tx.rows("stock_of", sku=sku, warehouse=ask.warehouse)]
        )
        for sku, product in found.items()
    ]
    return port.Stocks(items=items, unknown=[sku for sku in skus if sku not in found])


def _stock(product: Row, places: list[port.Place]) -> port.Stock:
    return port.Stock(
        sku=product["sku"],
        name=product["name"],
        version=str(product["version"]),
        price_minor=product["price_minor"],
        currency=product["currency"],
        on_hand=sum(place.on_hand for place in places),
        reserved=sum(place.reserved for place in places),
        available=sum(place.available for place in places),
        incoming=sum(place.incoming for place in places),
        places=places,
    )


def _place(row: Row, lapsed: dict[tuple[str, str], int]) -> port.Place:
    reserved = row["reserved"] - lapsed.get((row["sku"], row["warehouse"]), 0)
    names = ("warehouse", "bin", "on_hand", "incoming", "incoming_on")
    return port.Place(
        **{name: row[name] for name in names}, reserved=reserved, available=row["on_hand"] - reserved
    )
