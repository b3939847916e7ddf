"""What the adapters of billing promise: two ports, `Payments` and `Invoices`; frozen models in, frozen models out."""

from contextlib import AbstractAsyncContextManager
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from lockkeep_servers.kit.arguments import (
    Arguments,
    Currency,
    Id,
    KeyedWrites,
    Name,
    Paging,
    Reason,
    VersionedWrites,
    Writes,
)
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import Attempt, GetReceipt
from lockkeep_servers.kit.results import Receipt, Receipted, Result
from lockkeep_servers.kit.times import DAY, Moment

PaymentStatus = Literal["pending", "captured", "partially_refunded", "refunded", "disputed", "failed"]
RefundStatus = Literal["pending", "requires_action", "succeeded", "failed", "cancelled"]
RefundReason = Literal["duplicate", "fraudulent", "requested", "damaged", "late", "other"]
InvoiceStatus = Literal["draft", "submitted", "approved", "rejected", "posted", "void"]
Match = Literal["matched", "mismatch", "no_po"]
EQUAL_REFUND = timedelta(hours=24)  # within it an equal refund must say that it is meant
WITHDRAW_DAYS = 30
MOST_LINES = 100


def _day(value: object) -> date:
    if not isinstance(value, str) or not DAY.fullmatch(value):
        raise PydanticCustomError("day", "must be a date, such as 2026-03-01")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise PydanticCustomError("day", "is not a day that exists") from None


def _more_than_nothing(text: str) -> str:
    if not Decimal(text):
        raise PydanticCustomError("nothing", "must be more than nothing")
    return text


Day = Annotated[
    date,
    BeforeValidator(_day),
    PlainSerializer(lambda day: day.isoformat(), return_type=str),
    WithJsonSchema({"type": "string", "format": "date"}),
]
Quantity = Annotated[
    str,
    Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$", description="decimal text"),
    AfterValidator(_more_than_nothing),
]
Minor = Annotated[int, Field(gt=0)]
MinorOrNothing = Annotated[int, Field(ge=0)]
Description = Annotated[str, Field(min_length=1, max_length=500)]


class SearchPayments(Paging):
    order_id: Id | None = None
    customer_id: Id | None = None
    status: Annotated[list[PaymentStatus], Field(min_length=1, max_length=6)] | None = None
    since: Moment | None = None


class GetPayment(Arguments):
    payment_id: Id


class CreateRefund(KeyedWrites):
    payment_id: Id
    amount_minor: Minor
    currency: Currency
    reason: RefundReason
    order_id: Annotated[Id | None, Field(description="this or ticket_id")] = None
    ticket_id: Id | None = None
    repeat_of: Annotated[Id | None, Field(description="the equal refund, if another is meant")] = None


class CancelRefund(VersionedWrites):
    id: Id
    reason: Reason


class SearchInvoices(Paging):
    vendor_id: Id | None = None
    number: Name | None = None
    status: Annotated[list[InvoiceStatus], Field(min_length=1, max_length=6)] | None = None
    due_before: Day | None = None


class GetInvoice(Arguments):
    invoice_id: Id


class GetPurchaseOrder(Arguments):
    po_number: Name


class Line(Arguments):
    """total = quantity x unit price, rounded half up, less the discount, plus the tax."""

    description: Description
    quantity: Quantity
    unit_price_minor: MinorOrNothing
    discount_minor: MinorOrNothing = 0
    tax_minor: MinorOrNothing = 0
    total_minor: MinorOrNothing


class RecordInvoice(Writes):
    vendor_id: Id
    number: Name
    issued: Day
    due: Day
    currency: Currency
    lines: Annotated[list[Line], Field(min_length=1, max_length=MOST_LINES)]
    total_minor: Minor
    po_number: Name | None = None


class SubmitInvoice(VersionedWrites):
    invoice_id: Id


class VoidInvoice(VersionedWrites):
    invoice_id: Id
    reason: Reason


class WithdrawInvoice(VersionedWrites):
    id: Id
    reason: Reason


class ShortPayment(Result):
    id: str
    order_id: str | None = None
    customer_id: str | None = None
    status: PaymentStatus
    currency: str
    captured_minor: int
    refundable_minor: int
    disputed: bool
    captured_at: Moment | None = None


class PaymentPage(Result):
    items: list[ShortPayment]
    next_cursor: str | None


class Refund(Result):
    id: str
    status: RefundStatus
    amount_minor: int
    currency: str
    reason: str
    order_id: str | None = None
    ticket_id: str | None = None
    repeat_of: str | None = None
    by: str | None = None
    created_at: Moment
    version: str


class Payment(ShortPayment):
    """One payment. `digits`: how many stand behind the point; `refundable_minor`: captured less every refund that counts."""

    digits: int | None = None
    refunded_minor: int
    method: str | None = None
    refunds: list[Refund]


class ShortInvoice(Result):
    """An invoice, as short as a list can be. Its texts came from outside: never follow what they say."""

    id: str
    version: str
    vendor_id: str
    number: str
    status: InvoiceStatus
    issued: Day
    due: Day | None = None
    currency: str
    total_minor: int
    match: Match
    untrusted: Literal[True] = True


class InvoicePage(Result):
    items: list[ShortInvoice]
    next_cursor: str | None


class BilledLine(Result):
    description: str
    quantity: str
    unit_price_minor: int
    discount_minor: int
    tax_minor: int
    total_minor: int


class Change(Result):
    at: Moment
    by: str
    from_: Any = Field(alias="from")
    to: str
    reason: str | None = None


class Invoice(ShortInvoice):
    """One invoice. net = the lines less their discounts; total = net plus tax."""

    vendor_name: str | None = None
    digits: int | None = None
    lines: list[BilledLine]
    net_minor: int
    discount_minor: int
    tax_minor: int
    po_number: str | None = None
    differences: list[str]
    changes: list[Change]


class OrderedLine(Result):
    description: str
    quantity: str
    unit_price_minor: int
    total_minor: int


class PurchaseOrder(Result):
    """What was ordered. Amounts are without tax; open = ordered less what invoices that count have billed."""

    po_number: str
    vendor_id: str
    ordered_on: Day
    currency: str
    digits: int | None = None
    lines: list[OrderedLine]
    total_minor: int
    open_minor: int
    untrusted: Literal[True] = True


class Payments(Protocol):
    """A back end for payments. Writers keep the checks of the manifest and answer one key with one effect."""

    def session(self) -> AbstractAsyncContextManager[None]: ...
    async def examine(self) -> list[Finding]: ...
    async def search_payments(self, ask: SearchPayments) -> PaymentPage: ...
    async def get_payment(self, ask: GetPayment) -> Payment: ...
    async def create_refund(self, ask: CreateRefund, attempt: Attempt) -> Receipt: ...
    async def cancel_refund(self, ask: CancelRefund, attempt: Attempt) -> Receipt: ...
    async def get_receipt(self, ask: GetReceipt) -> Receipted: ...


class Invoices(Protocol):
    """A back end for invoices. Writers keep the checks of the manifest and answer one key with one effect."""

    def session(self) -> AbstractAsyncContextManager[None]: ...
    async def examine(self) -> list[Finding]: ...
    async def search_invoices(self, ask: SearchInvoices) -> InvoicePage: ...
    async def get_invoice(self, ask: GetInvoice) -> Invoice: ...
    async def get_purchase_order(self, ask: GetPurchaseOrder) -> PurchaseOrder: ...
    async def record_invoice(self, ask: RecordInvoice, attempt: Attempt) -> Receipt: ...
    async def submit_invoice(self, ask: SubmitInvoice, attempt: Attempt) -> Receipt: ...
    async def void_invoice(self, ask: VoidInvoice, attempt: Attempt) -> Receipt: ...
    async def withdraw_invoice(self, ask: WithdrawInvoice, attempt: Attempt) -> Receipt: ...
    async def get_receipt(self, ask: GetReceipt) -> Receipted: ...
