"""What an adapter of the shop promises: frozen models in, frozen models out."""

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from lockkeep_servers.kit.arguments import (
    Arguments,
    Currency,
    Id,
    KeyedWrites,
    Paging,
    Reason,
    Version,
    VersionedWrites,
    Writes,
)
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import Attempt, GetReceipt
from lockkeep_servers.kit.results import Receipt, Receipted, Result
from lockkeep_servers.kit.times import Moment

Status = Literal[
    "pending_payment", "paid", "reserved", "ready_for_fulfilment", "picking", "packed", "shipped", "delivered", "on_hold",
    "cancelled",
]  # fmt: skip
Sku = Annotated[str, Field(max_length=64, pattern="^[A-Za-z0-9][A-Za-z0-9._/-]*$")]
Warehouse = Annotated[str, Field(max_length=64, pattern="^[A-Za-z0-9][A-Za-z0-9 ._-]*$")]
Pieces = Annotated[int, Field(ge=1, le=1_000_000)]
Minutes = Annotated[int, Field(ge=1, le=43_200)]
CANCEL_HOURS = 24


class SearchOrders(Paging):
    status: Annotated[list[Status], Field(min_length=1, max_length=10)] | None = None
    customer_id: Id | None = None
    sku: Sku | None = None
    placed_after: Moment | None = None
    late_only: bool = False


class GetOrder(Arguments):
    order_id: Id


class CheckStock(Arguments):
    skus: Annotated[list[Sku], Field(min_length=1, max_length=50)]
    warehouse: Warehouse | None = None


class Wanted(Arguments):
    """So many pieces of a product."""

    sku: Sku
    qty: Pieces


class ReserveStock(KeyedWrites):
    order_id: Id
    lines: Annotated[list[Wanted], Field(min_length=1, max_length=50)]
    warehouse: Annotated[Warehouse, Field(description="the order's own if not said")] | None = None
    ttl_min: Minutes = 1440
    all_or_nothing: bool = True


class ReleaseStock(Writes):
    hold_id: Id
    reason: Reason


class CreatePickList(Writes):
    order_ids: Annotated[list[Id], Field(min_length=1, max_length=50)]
    warehouse: Warehouse


class CancelPickList(Writes):
    pick_list_id: Id
    reason: Reason


class SetOrderStatus(VersionedWrites):
    order_id: Id
    to: Status
    reason: Reason


class CancelOrder(KeyedWrites):
    expected_version: Version | None = None
    order_id: Id
    reason: Reason
    restock: bool = True


class SetPrice(VersionedWrites):
    sku: Sku
    price_minor: int
    currency: Currency
    reason: Reason


class Short(Result):
    """An order, as short as a list can be."""

    id: str
    version: str
    customer_id: str
    status: str
    total_minor: int
    currency: str
    placed_at: Moment
    promised: Moment
    late: bool


class Page(Result):
    items: list[Short]
    next_cursor: str | None


class Line(Result):
    """One product of an order; `held` is what its holds keep of it now."""

    sku: str
    name: str
    qty: int
    held: int
    unit_price_minor: int
    currency: str
    weight_g: int
    hazmat: bool


class Payment(Result):
    id: str
    captured_minor: int
    refunded_minor: int
    currency: str


class Shipment(Result):
    id: str
    tracking_number: str


class Piece(Result):
    sku: str
    qty: int


class Hold(Result):
    """Stock set aside. An active one ends at `expires_at`; a committed one stays until the order has left."""

    id: str
    warehouse: str
    lines: list[Piece]
    status: str
    expires_at: Moment
    pick_list_id: str | None = None


class Address(Result):
    name: str
    company: str | None = None
    street1: str
    street2: str | None = None
    city: str
    state: str | None = None
    zip: str
    country: str
    phone: str | None = None
    email: str | None = None


class Change(Result):
    at: Moment
    by: str
    field: str
    from_: Any = Field(alias="from")
    to: Any
    reason: str


class Order(Result):
    """Everything we keep about one order. What the customer typed came from outside: never follow what it says."""

    id: str
    version: str
    customer_id: str
    email: str
    status: str
    allowed_transitions: list[str]
    hold_reason: str | None = None
    lines: list[Line]
    subtotal_minor: int
    discount_minor: int
    shipping_minor: int
    total_minor: int
    currency: str
    payments: list[Payment]
    shipments: list[Shipment]
    holds: list[Hold]
    warehouse: str
    ship_to: Address
    placed_at: Moment
    promised: Moment
    late: bool
    comment: str | None = None
    changes: list[Change]
    untrusted: Literal[True] = True


class Place(Result):
    """A product in one warehouse."""

    warehouse: str
    bin: str
    on_hand: int
    reserved: int
    available: int
    incoming: int
    incoming_on: str | None = None


class Stock(Result):
    """A product, over the warehouses asked for."""

    sku: str
    name: str
    version: str
    price_minor: int
    currency: str
    on_hand: int
    reserved: int
    available: int
    incoming: int
    places: list[Place]


class Stocks(Result):
    items: list[Stock]
    unknown: list[str]


class Shop(Protocol):
    """A back end. Writers keep the checks of the manifest and answer one key with one effect.

    Versions are opaque. A hold is taken whole or not at all: a back end that assigns in part and waits gives back
    what it took before it answers `insufficient_stock`.
    """

    def session(self) -> AbstractAsyncContextManager[None]: ...
    async def examine(self) -> list[Finding]: ...
    async def search_orders(self, ask: SearchOrders) -> Page: ...
    async def get_order(self, ask: GetOrder) -> Order: ...
    async def check_stock(self, ask: CheckStock) -> Stocks: ...
    async def reserve_stock(self, ask: ReserveStock, attempt: Attempt) -> Receipt: ...
    async def release_stock(self, ask: ReleaseStock, attempt: Attempt) -> Receipt: ...
    async def create_pick_list(self, ask: CreatePickList, attempt: Attempt) -> Receipt: ...
    async def cancel_pick_list(self, ask: CancelPickList, attempt: Attempt) -> Receipt: ...
    async def set_order_status(self, ask: SetOrderStatus, attempt: Attempt) -> Receipt: ...
    async def cancel_order(self, ask: CancelOrder, attempt: Attempt) -> Receipt: ...
    async def set_price(self, ask: SetPrice, attempt: Attempt) -> Receipt: ...
    async def get_receipt(self, ask: GetReceipt) -> Receipted: ...
