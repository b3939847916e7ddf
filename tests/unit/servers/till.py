"""A shop small enough to count, a caller of it, and processes that call it: run as a program, this file is what they run."""

import atexit
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from tests.unit.servers.desk import MONDAY, Desk
from tests.unit.servers.writes import tables

from lockkeep_servers.commerce import port
from lockkeep_servers.commerce.adapters.embedded import EmbeddedShop
from lockkeep_servers.commerce.adapters.seed import fill
from lockkeep_servers.commerce.server import build
from lockkeep_servers.kit.arguments import parse
from lockkeep_servers.kit.errors import ToolError
from lockkeep_servers.kit.faults import read_fault
from lockkeep_servers.kit.receipts import Attempt
from lockkeep_servers.kit.world.addresses import Address
from lockkeep_servers.kit.world.payments import Payment
from lockkeep_servers.kit.world.shop import Order, OrderLine, Product, StatusChange, Stock

KEY = "step-0001"

NEEDS_KEY = ("reserve_stock", "cancel_order")

LAST, CRATE, LAMP, SCARCE = "LK-1", "LK-2", "LK-3", "LK-4"

STOCK = {
    LAST: {"leipzig": 1},
    CRATE: {"leipzig": 10, "rotterdam": 4},
    LAMP: {"leipzig": 60},
    SCARCE: {"leipzig": 3},
}

BINS = {LAST: "C-01-1", CRATE: "A-02-1", LAMP: "B-03-1", SCARCE: "A-01-9"}

RIVALS = range(21, 33)  # twelve orders, each for the last unit and a lamp

BUYERS = range(41, 53)  # twelve orders, each for one of three scarce ones and two crates of ten

ADDRESS = Address(
    "Ida Falk", None, "Am Kai 1", None, "Hamburg", None, "20457", "DE", None, "ida@kestrel.example"
)

Calls = Sequence[tuple[str, dict[str, Any]]]

Kept = Counter[tuple[str, str]]  # pieces, by warehouse and SKU


# a shop small enough to count


def a_product(sku: str) -> Product:
    stock = tuple(Stock(place, BINS[sku], there, 0, 0, None) for place, there in STOCK[sku].items())
    return Product(
        sku, f"Product {sku}", 1000, "EUR", 250, False, stock, MONDAY - timedelta(days=9), "ops_mia"
    )


def an_order(number: int, lines: Mapping[str, int], status: str = "paid", *, promised_h: int = 48) -> Order:
    placed = MONDAY - timedelta(hours=100 - number)
    total = 1000 * sum(lines.values())
    return Order(
        id=f"ord_{number}", customer_id=f"con_{number % 4 + 1}", email="ida@kestrel.example",
        lines=tuple(OrderLine(sku, qty, 1000) for sku, qty in lines.items()), currency="EUR",
        subtotal_minor=total, discount_minor=0, shipping_minor=0, total_minor=total, status=status,
        placed_at=placed, promised_at=MONDAY + timedelta(hours=promised_h), warehouse="leipzig", ship_to=ADDRESS,
        holds=(), hold_reason=None, comment=None, history=(StatusChange(placed, "shop", None, status, "made"),),
    )  # fmt: skip


def a_payment(number: int) -> Payment:
    return Payment(
        f"pay_{number}", f"ord_{number}", "con_1", 5000, "EUR", "card", "captured", MONDAY, False, ()
    )


ORDERS = (
    an_order(1, {CRATE: 3, LAMP: 2}),
    an_order(2, {LAMP: 1}, "pending_payment"),
    an_order(3, {LAMP: 1}, "delivered", promised_h=-24),
    an_order(4, {LAMP: 1}, "shipped", promised_h=-24),
    an_order(5, {LAMP: 5, CRATE: 1}, promised_h=-1),
    an_order(6, {CRATE: 10}),
    *(an_order(number, {LAST: 1, LAMP: 1}) for number in RIVALS),
    *(an_order(number, {SCARCE: 1, CRATE: 2}) for number in BUYERS),
)


@cache
def shop_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="lockkeep-shop-"))
    atexit.register(shutil.rmtree, folder)
    shop = EmbeddedShop(folder, lambda: MONDAY)
    with shop.database.opened():
        shop.database.write_now(lambda tx: fill(tx, map(a_product, STOCK), ORDERS, [a_payment(1)]))
    return folder


class Till(Desk):
    """Gives a key where one is required, as the gateway does."""

    keys: int = 0

    async def answer(self, tool: str, **arguments: Any) -> tuple[bool, dict[str, Any], str]:
        if tool in NEEDS_KEY:
            self.keys += 1
            arguments.setdefault("idempotency_key", f"till-{id(self)}-{self.keys:04}")
        return await super().answer(tool, **arguments)

    async def reserve(self, order: str, lines: Mapping[str, int], **more: Any) -> dict[str, Any]:
        return await self.ok("reserve_stock", order_id=order, lines=wanted(lines), **more)

    async def move(self, order: str, *steps: str) -> dict[str, Any]:
        receipt: dict[str, Any] = {}
        for step in steps:
            receipt = await self.ok("set_order_status", order_id=order, to=step, reason="test")
        return receipt

    async def order(self, id: str) -> dict[str, Any]:
        return await self.ok("get_order", order_id=id)

    async def available(self, sku: str, warehouse: str = "leipzig") -> int:
        (item,) = (await self.ok("check_stock", skus=[sku], warehouse=warehouse))["items"]
        return item["available"]


def wanted(lines: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"sku": sku, "qty": qty} for sku, qty in lines.items()]


@asynccontextmanager
async def open_till(folder: Path, **settings: str) -> AsyncGenerator[Till]:
    if not list(folder.glob("*.sqlite")):
        shutil.copytree(shop_folder(), folder, dirs_exist_ok=True)
    clock: list[Till] = []
    environ = {f"LOCKKEEP_COMMERCE_{key}": value for key, value in {"DATA": str(folder), **settings}.items()}
    built = build(environ, lambda: clock[0].now if clock else MONDAY)
    async with Client(built) as client:
        clock.append(Till("commerce", folder, MONDAY, client))
        yield clock[0]


def change(folder: Path, statement: str) -> None:
    """What somebody beside the server does to the store."""
    with sqlite3.connect(folder / "commerce.sqlite") as connection:
        connection.execute(statement)
    connection.close()


def books(of: Path | Mapping[str, list[dict[str, Any]]]) -> None:
    """What is reserved is what the holds keep, and it is there; every order being fulfilled has what it needs."""
    found = tables(of) if isinstance(of, Path) else of
    kept, by_order, needs = Kept(), Kept(), Kept()
    for hold in found["holds"]:
        if hold["status"] in ("active", "committed"):
            for line in json.loads(hold["lines"]):
                kept[hold["warehouse"], line["sku"]] += line["qty"]
                by_order[hold["order_id"], line["sku"]] += line["qty"]
    for row in found["stock"]:
        assert row["reserved"] == kept.pop((row["warehouse"], row["sku"]), 0)
        assert 0 <= row["reserved"] <= row["on_hand"]
    assert kept == {}
    for line in found["order_lines"]:
        needs[line["order_id"], line["sku"]] += line["qty"]
    assert by_order <= needs
    status = {order["id"]: order["status"] for order in found["orders"]}
    for place, qty in needs.items():
        if status[place[0]] in ("reserved", "ready_for_fulfilment", "picking", "packed"):
            assert by_order[place] == qty
        if status[place[0]] in ("cancelled", "shipped", "delivered"):
            assert by_order[place] == 0


# picking


async def ready(till: Till, *orders: str) -> None:
    for order in orders:
        lines = {line["sku"]: line["qty"] for line in (await till.order(order))["lines"]}
        await till.reserve(order, lines)
        await till.move(order, "ready_for_fulfilment")


# every writer: key, dry run, undo, versions

Prepared = Callable[[Till], Awaitable[dict[str, Any]]]


def at(order: str, *steps: str, lines: Mapping[str, int] | None = None) -> Prepared:
    """An order that has got so far."""

    async def prepared(till: Till) -> dict[str, Any]:
        for step in steps:
            if step == "reserved":
                await till.reserve(order, lines or {CRATE: 3, LAMP: 2})
            else:
                await till.ok("set_order_status", order_id=order, to=step, reason="before")
        return {"order_id": order}

    return prepared


def away(order: str, *steps: str, restock: bool = True) -> Prepared:
    async def prepared(till: Till) -> dict[str, Any]:
        await at(order, *steps)(till)
        await till.ok("cancel_order", order_id=order, reason="before", restock=restock)
        return {"order_id": order}

    return prepared


async def a_hold(till: Till) -> dict[str, Any]:
    return {"hold_id": (await till.reserve("ord_1", {CRATE: 3, LAMP: 2}))["id"]}


async def two_ready(till: Till) -> dict[str, Any]:
    await ready(till, "ord_1", "ord_41")
    return {"order_ids": ["ord_1", "ord_41"]}


async def nothing(till: Till) -> dict[str, Any]:
    return {}


WHY = {"reason": "because"}

READY = ("reserved", "ready_for_fulfilment")


def rival(number: int) -> dict[str, Any]:
    key = f"rival-{number:03}"
    return {"order_id": f"ord_{number}", "lines": wanted({LAMP: 1, LAST: 1}), "idempotency_key": key}


# processes of their own: this file, run as a program, is what they run


def processes(
    folder: Path | None, work: Sequence[tuple[str, Calls]], folders: Sequence[Path] = ()
) -> list[tuple[int, list[str]]]:
    """One process for each; all let go together. Return how each ended, and what its calls came to."""
    places = folders or [folder] * len(work)
    jobs = [
        {"folder": str(place), "fault": fault, "calls": calls}
        for place, (fault, calls) in zip(places, work, strict=True)
    ]
    root = Path(__file__).parents[3]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    environ = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, __file__], input=json.dumps(jobs), capture_output=True, encoding="utf-8", timeout=120,
        check=False, env=environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [(status, said) for status, said in json.loads(done.stdout)]


ASKS = {
    "reserve_stock": port.ReserveStock,
    "release_stock": port.ReleaseStock,
    "create_pick_list": port.CreatePickList,
    "set_order_status": port.SetOrderStatus,
    "cancel_order": port.CancelOrder,
    "set_price": port.SetPrice,
}


async def work_off(job: Mapping[str, Any]) -> list[str]:
    shop = EmbeddedShop(Path(job["folder"]), lambda: MONDAY, read_fault(job["fault"]))
    said: list[str] = []
    async with shop.session():
        for tool, arguments in job["calls"]:
            ask = parse(ASKS[tool], arguments)
            try:
                await getattr(shop, tool)(ask, Attempt.of(tool, ask))
                said.append("ok")
            except ToolError as error:
                said.append(error.code)
    return said


def main() -> None:
    """Fork once for each job read from stdin; a pipe that closes is the starting gun."""
    jobs: list[dict[str, Any]] = json.load(sys.stdin)
    gun, hand = os.pipe()
    started: list[tuple[int, int]] = []
    for job in jobs:
        hears, says = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(hand)
            os.read(gun, 1)
            os.write(says, json.dumps(anyio.run(work_off, job)).encode())
            os._exit(0)
        os.close(says)
        started.append((child, hears))
    os.close(hand)
    ended: list[tuple[int, list[str]]] = []
    for child, hears in started:
        with open(hears, encoding="utf-8") as pipe:  # noqa: PTH123
            said = pipe.read()
        ended.append((os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), json.loads(said or "[]")))
    sys.stdout.write(json.dumps(ended))


# any order of things


def written(folder: Path) -> tuple[int, int]:
    """When, and how much, was last written to the log of the store: what is rolled back never gets there."""
    (log,) = folder.glob("*.sqlite-wal")
    return log.stat().st_mtime_ns, log.stat().st_size


if __name__ == "__main__":
    main()
