"""Rows of the embedded shop: read, compared, written with their history. What a hold keeps moves here, and only here."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lockkeep_servers.kit.errors import Conflict, InsufficientStock, NotFound
from lockkeep_servers.kit.results import changed
from lockkeep_servers.kit.sqlite import Row, Transaction
from lockkeep_servers.kit.times import stamp

KEEPING = ("active", "committed")  # such a hold keeps stock
Pieces = Mapping[str, int]  # by SKU


def pieces_of(hold: Row) -> dict[str, int]:
    return {line["sku"]: line["qty"] for line in json.loads(hold["lines"])}


def lines_of(pieces: Pieces) -> list[dict[str, Any]]:
    return [{"sku": sku, "qty": qty} for sku, qty in pieces.items()]


@dataclass(frozen=True)
class Rows:
    """The rows of one transaction, as one tool changes them at one time, for one reason."""

    tx: Transaction
    by: str
    now: datetime
    reason: str = ""

    @property
    def at(self) -> str:
        return stamp(self.now)

    def run_one(self, statement: str, **values: Any) -> None:
        """The statement changed its one row; anything else is our own mistake, and ends the transaction."""
        if self.tx.run(statement, **values) != 1:
            raise RuntimeError(f"{statement} did not find its row")

    # orders

    def order(self, id: str) -> Row:
        row = self.tx.row("get_order", id=id)
        if row is None:
            raise NotFound("order")
        return row

    def order_now(self, id: str) -> Row:
        """The same for a reader, who settles nothing; `lapsed` says how many holds a writer would."""
        row = self.tx.row("get_order_now", id=id, now=self.at)
        if row is None:
            raise NotFound("order")
        return row

    def expect(self, id: str, version: int, expected: str | None) -> None:
        """The caller decided on this version, or named none."""
        if expected is not None and expected != str(version):
            known = expected.isascii() and expected.isdigit()
            since = min(int(expected), version) if known else version
            fields = self.tx.rows("changed_since", id=id, version=since)
            raise Conflict(str(version), [field["field"] for field in fields])

    def image(self, row: Row) -> dict[str, Any]:
        """What a caller sees of an order that a writer can move."""
        holds = {
            hold["id"]: hold["status"]
            for hold in self.holds(row["id"])
            if hold["status"] in (*KEEPING, "cancelled")
        }
        restock = None if row["restocked"] is None else bool(row["restocked"])
        names = ("status", "hold_reason", "cancelled_at")
        return {**{name: row[name] for name in names}, "restock": restock, "holds": holds}

    def save(
        self, row: Row, was: Mapping[str, Any], changes: Mapping[str, Any]
    ) -> tuple[Row, dict[str, Any], dict[str, Any]]:
        """Write the order and its history; `was` is its image from before anything about it moved."""
        written = {**row, **changes}
        self.run_one("write_order", **{**written, "updated_at": self.at})
        before, after = changed(was, self.image(written))
        written["version"] += 1
        self.remember(row["id"], written["version"], before, after)
        return written, before, after

    def remember(self, id: str, version: int, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        for name, value in after.items():
            self.tx.run(
                "add_change",
                subject_id=id,
                version=version,
                at=self.at,
                by=self.by,
                field=name,
                old=json.dumps(before.get(name)),
                new=json.dumps(value),
                reason=self.reason,
            )

    def wanted(self, order_id: str) -> dict[str, int]:
        """Return what the order still needs, by SKU: all it has, less what its holds keep."""
        needs: dict[str, int] = {}
        for line in self.tx.rows("order_lines", order_id=order_id):
            needs[line["sku"]] = needs.get(line["sku"], 0) + line["qty"]
        for hold in self.holds(order_id, *KEEPING):
            for sku, qty in pieces_of(hold).items():
                needs[sku] = needs.get(sku, 0) - qty
        return needs

    # holds

    def holds(self, order_id: str, *statuses: str) -> list[Row]:
        rows = self.tx.rows("order_holds", order_id=order_id)
        return [row for row in rows if not statuses or row["status"] in statuses]

    def write_hold(self, hold: Row, **changes: Any) -> None:
        self.run_one("write_hold", **{**hold, **changes, "updated_at": self.at})

    def next_id(self, kind: str) -> str:
        return f"{kind}_{self.tx.rows('next_number', kind=kind)[0]['last']}"

    def settle(self) -> None:
        """The holds whose time is over keep nothing, and an order that stood on one is `paid` again."""
        for hold in self.tx.rows("lapsed_holds", now=self.at):
            self.give_back(hold["warehouse"], pieces_of(hold))
            row = self.order(hold["order_id"])
            was = self.image(row)
            self.write_hold(hold, status="expired")
            names = [name for name in ("status", "held_from") if row[name] == "reserved"]
            clock = Rows(self.tx, "clock", self.now, "its time was over")
            clock.save(row, was, dict.fromkeys(names, "paid"))

    # stock

    def available(self, warehouse: str, sku: str) -> int:
        rows = self.tx.rows("stock_of", sku=sku, warehouse=warehouse)
        return sum(row["on_hand"] - row["reserved"] for row in rows)

    def short_of(self, warehouse: str, pieces: Pieces) -> list[dict[str, Any]]:
        """Return what there is too little of: SKU, asked, available."""
        free = {sku: self.available(warehouse, sku) for sku in pieces}
        return [
            {"sku": sku, "asked": qty, "available": free[sku]}
            for sku, qty in pieces.items()
            if free[sku] < qty
        ]

    def take(self, warehouse: str, pieces: Pieces) -> None:
        """All of it is reserved, or the transaction ends here."""
        for sku, qty in pieces.items():
            if self.tx.run("take_stock", sku=sku, warehouse=warehouse, qty=qty) != 1:
                raise InsufficientStock(self.short_of(warehouse, pieces))

    def give_back(self, warehouse: str, pieces: Pieces) -> None:
        self._each("give_stock_back", warehouse, pieces)

    def move_out(self, warehouse: str, pieces: Pieces) -> None:
        self._each("move_stock_out", warehouse, pieces)

    def move_in(self, warehouse: str, pieces: Pieces) -> None:
        self._each("move_stock_in", warehouse, pieces)

    def _each(self, statement: str, warehouse: str, pieces: Pieces) -> None:
        for sku, qty in pieces.items():
            self.run_one(statement, sku=sku, warehouse=warehouse, qty=qty)


def summed(holds: Iterable[Row]) -> dict[tuple[str, str], int]:
    """Return what holds keep together, by warehouse and SKU."""
    total: dict[tuple[str, str], int] = {}
    for hold in holds:
        for sku, qty in pieces_of(hold).items():
            place = (hold["warehouse"], sku)
            total[place] = total.get(place, 0) + qty
    return total


def refunded(payments: Sequence[Row]) -> bool:
    return any(payment["refunded_minor"] > 0 for payment in payments)
