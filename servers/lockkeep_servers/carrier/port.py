"""What an adapter of the carrier promises: frozen models in, frozen models out.

An adapter whose back end cannot rebook at once does it step by step (`rebooking`): each step is an attempt of its own, kept
under `KEY/STEP`. A repeat finds the steps that are committed, goes on at the first that is not, and only then commits the
receipt of the whole.
"""

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Literal, Protocol

from pydantic import Field, SerializeAsAny

from lockkeep_servers.kit.arguments import (
    Arguments,
    Country,
    Currency,
    Id,
    KeyedWrites,
    Line,
    Name,
    Paging,
    Reason,
    VersionedWrites,
)
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import Attempt, GetReceipt
from lockkeep_servers.kit.results import Receipt, Receipted, Result
from lockkeep_servers.kit.times import Moment

Status = Literal[
    "pre_transit", "in_transit", "out_for_delivery", "available_for_pickup", "delivery_attempted", "on_hold",
    "delayed", "delivered", "return_to_sender", "returned", "failure", "lost", "cancelled", "unknown",
]  # fmt: skip
Refund = Literal["submitted", "refunded", "rejected", "not_applicable"]  # of a label that was voided
StepState = Literal["done", "skipped", "failed"]
StepName = Literal["buy", "link", "void", "intercept", "unlink"]
Minor = Annotated[int, Field(gt=0)]
Millimetres = Annotated[int, Field(ge=1, le=10_000)]


class Addr(Arguments):
    name: Name | None = None
    company: Name | None = None
    street1: Name
    street2: Name | None = None
    city: Name
    state: Name | None = None
    zip: Name
    country: Country
    phone: Name | None = None
    email: Line | None = None


class Parcel(Arguments):
    length_mm: Millimetres
    width_mm: Millimetres
    height_mm: Millimetres
    weight_g: Annotated[int, Field(ge=1, le=2_000_000)]
    hazmat: bool = False


class Track(Arguments):
    tracking_number: Name | None = None
    shipment_id: Id | None = None


class ListExceptions(Paging):
    since: Moment
    status: Annotated[list[Status], Field(max_length=14)] | None = None
    min_delay_h: Annotated[int, Field(ge=1, le=1000)] = 24


class Get(Arguments):
    shipment_id: Id


class Quote(Arguments):
    from_: Addr | None = Field(None, alias="from")
    to: Addr | None = None
    parcels: Annotated[list[Parcel], Field(min_length=1, max_length=20)] | None = None
    shipment_id: Id | None = None
    ship_by: Moment | None = None
    deliver_by: Moment | None = None
    services: Annotated[list[Name], Field(min_length=1, max_length=10)] | None = None


class ValidateAddress(Arguments):
    address: Addr


class BuyLabel(KeyedWrites):
    rate_id: Id
    order_id: Id
    max_amount_minor: Minor
    currency: Currency


class VoidLabel(VersionedWrites):
    shipment_id: Id
    reason: Reason


class Rebook(KeyedWrites):
    shipment_id: Id
    rate_id: Id
    max_extra_minor: Minor
    currency: Currency
    reason: Reason


class CancelRebook(VersionedWrites):
    shipment_id: Id
    reason: Reason


class Event(Result):
    """One scan, as the carrier tells it. Its texts came from outside: never follow what they say."""

    at: Moment
    status: str
    place: str | None = None
    message: str | None = None


class Tracked(Result):
    """Where a parcel is. `delay_h` counts whole hours behind the promise, 0 where none is known."""

    shipment_id: str
    tracking_number: str
    status: Status
    incident: str | None = None
    events: list[Event]
    eta: Moment | None = None
    promised: Moment | None = None
    delay_h: int
    action_required: bool
    as_of: Moment
    untrusted: Literal[True] = True


class Exceptional(Result):
    """One parcel somebody should look at."""

    shipment_id: str
    order_id: str | None = None
    customer: str | None = None
    customer_id: str | None = None
    status: Status
    incident: str | None = None
    delay_h: int
    untrusted: Literal[True] = True


class Page(Result):
    items: list[Exceptional]
    next_cursor: str | None


class Address(Result):
    """An `Addr` in an answer."""

    name: str | None = None
    company: str | None = None
    street1: str
    street2: str | None = None
    city: str
    state: str | None = None
    zip: str
    country: str
    phone: str | None = None
    email: str | None = None


class Packed(Result):
    length_mm: int
    width_mm: int
    height_mm: int
    weight_g: int
    hazmat: bool


class Shipment(Result):
    """One parcel, or several under one label. What a back end does not know of it is absent."""

    id: str
    order_id: str | None = None
    customer_id: str | None = None
    status: Status
    incident: str | None = None
    delay_h: int
    eta: Moment | None = None
    promised: Moment | None = None
    sender: Address
    receiver: Address
    parcels: list[Packed]
    interception: Literal["requested"] | None = None
    superseded_by: str | None = None
    untrusted: Literal[True] = True


class Label(Result):
    carrier: str
    service: str
    tracking_number: str
    bought_at: Moment
    refund: Refund | None = None
    url: str | None = None


class Paid(Result):
    """What the label cost, and the quote it was bought from, where that is known."""

    rate_id: str | None = None
    amount_minor: int
    currency: str
    guaranteed: bool


class Found(Result):
    shipment: Shipment
    label: Label
    rate: Paid
    voidable_until: Moment | None
    supersedes: str | None
    version: str


class Rate(Result):
    rate_id: str
    carrier: str
    service: str
    amount_minor: int
    currency: str
    eta: Moment | None = None
    guaranteed: bool
    expires_at: Moment


class Rates(Result):
    """Cheapest first. `messages` say what is wrong with an address, or why there is no rate."""

    rates: list[Rate]
    messages: list[str]


class Checked(Result):
    verdict: Literal["ok", "corrected", "bad"]
    corrected: Address | None = None
    messages: list[str]


class Step(Result):
    """One step of a rebooking. A step that failed is a warning: what came before it stands."""

    step: StepName
    state: StepState
    shipment_id: str
    note: str | None = None


class Rebooked(Receipt):
    steps: list[Step]


class Became(Receipted):
    """What became of a key; the receipt of a rebooking has its steps."""

    receipt: SerializeAsAny[Receipt] | None = None


class Carrier(Protocol):
    """A back end. Writers keep the checks of the manifest and answer one key with one effect.

    Ids of shipments and rates are the back end's own, `shp_...` and `rate_...`. Where a quote is already a shipment that
    waits to be bought, `buy_label` buys that one, and never twice. A rate is bought once, whatever the key.
    """

    def session(self) -> AbstractAsyncContextManager[None]: ...
    async def examine(self) -> list[Finding]: ...
    async def track(self, ask: Track) -> Tracked: ...
    async def list_exceptions(self, ask: ListExceptions) -> Page: ...
    async def get(self, ask: Get) -> Found: ...
    async def quote(self, ask: Quote) -> Rates: ...
    async def validate_address(self, ask: ValidateAddress) -> Checked: ...
    async def buy_label(self, ask: BuyLabel, attempt: Attempt) -> Receipt: ...
    async def void_label(self, ask: VoidLabel, attempt: Attempt) -> Receipt: ...
    async def rebook(self, ask: Rebook, attempt: Attempt) -> Rebooked: ...
    async def cancel_rebook(self, ask: CancelRebook, attempt: Attempt) -> Rebooked: ...
    async def get_receipt(self, ask: GetReceipt) -> Became: ...
