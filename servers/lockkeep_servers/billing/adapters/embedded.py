"""Payments and invoices in one SQLite file; several processes may share it."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

from lockkeep_servers.billing import checks, port
from lockkeep_servers.billing.adapters import bills, refunds
from lockkeep_servers.billing.adapters.books import Books, invoice_listed, payment_listed
from lockkeep_servers.kit.arguments import Paging, Writes
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.cursor import read_cursor, write_cursor
from lockkeep_servers.kit.errors import NotFound
from lockkeep_servers.kit.faults import NO_FAULT, Fault
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import STATEMENTS, Attempt, Effect, GetReceipt, Receipts
from lockkeep_servers.kit.results import Receipt, Receipted
from lockkeep_servers.kit.sqlite import Database, Row, read_statements
from lockkeep_servers.kit.times import stamp

HERE = Path(__file__).parent
T = TypeVar("T")
W = TypeVar("W", bound=Writes)


class EmbeddedBilling:
    """Answers `Payments` and `Invoices` from `billing.sqlite` in the data folder."""

    def __init__(self, folder: Path, clock: Clock, fault: Fault = NO_FAULT) -> None:
        statements = {**STATEMENTS, **read_statements(HERE / "embedded.sql")}
        self.database = Database(folder / "billing.sqlite", statements, HERE / "migrations")
        self._clock = clock
        self.receipts = Receipts(self.database, clock, fault)

    def session(self) -> AbstractAsyncContextManager[None]:
        return self.database.session()

    async def examine(self) -> list[Finding]:
        return self.database.examine()

    async def search_payments(self, ask: port.SearchPayments) -> port.PaymentPage:
        """Return the payments that match, in order of arrival."""
        rows, more = self._page(
            "search_payments",
            ask,
            order_id=ask.order_id,
            customer_id=ask.customer_id,
            status=json.dumps(ask.status) if ask.status else None,
            since=stamp(ask.since) if ask.since else None,
        )
        return port.PaymentPage(items=[payment_listed(row) for row in rows], next_cursor=more)

    async def get_payment(self, ask: port.GetPayment) -> port.Payment:
        return self._read(lambda books: books.payment_seen(books.payment(ask.payment_id)))

    async def create_refund(self, ask: port.CreateRefund, attempt: Attempt) -> Receipt:
        return await self._write(refunds.create_refund, ask, attempt)

    async def cancel_refund(self, ask: port.CancelRefund, attempt: Attempt) -> Receipt:
        return await self._write(refunds.cancel_refund, ask, attempt)

    async def search_invoices(self, ask: port.SearchInvoices) -> port.InvoicePage:
        """Return the invoices that match, in order of arrival."""
        rows, more = self._page(
            "search_invoices",
            ask,
            vendor_id=ask.vendor_id,
            number_key=checks.number_key(ask.number) if ask.number is not None else None,
            status=json.dumps(ask.status) if ask.status else None,
            due_before=ask.due_before.isoformat() if ask.due_before else None,
        )
        return port.InvoicePage(items=[invoice_listed(row) for row in rows], next_cursor=more)

    async def get_invoice(self, ask: port.GetInvoice) -> port.Invoice:
        return self._read(lambda books: books.invoice_seen(books.invoice(ask.invoice_id)))

    async def get_purchase_order(self, ask: port.GetPurchaseOrder) -> port.PurchaseOrder:
        found = self._read(lambda books: books.order(ask.po_number))
        if found is None:
            raise NotFound("purchase order")
        return found

    async def record_invoice(self, ask: port.RecordInvoice, attempt: Attempt) -> Receipt:
        return await self._write(bills.record_invoice, ask, attempt)

    async def submit_invoice(self, ask: port.SubmitInvoice, attempt: Attempt) -> Receipt:
        return await self._write(bills.submit_invoice, ask, attempt)

    async def void_invoice(self, ask: port.VoidInvoice, attempt: Attempt) -> Receipt:
        return await self._write(bills.void_invoice, ask, attempt)

    async def withdraw_invoice(self, ask: port.WithdrawInvoice, attempt: Attempt) -> Receipt:
        return await self._write(bills.withdraw_invoice, ask, attempt)

    async def get_receipt(self, ask: GetReceipt) -> Receipted:
        return await self.receipts.get(ask)

    def _page(self, statement: str, ask: Paging, **values: Any) -> tuple[list[Row], str | None]:
        filters = ask.model_dump(mode="json", exclude={"cursor", "limit"})
        after = int(read_cursor(ask.cursor, filters) or 0)
        rows = self.database.read(lambda tx: tx.rows(statement, **values, after=after, limit=ask.limit + 1))
        shown = rows[: ask.limit]
        more = write_cursor(str(shown[-1]["number"]), filters) if len(rows) > ask.limit else None
        return shown, more

    def _read(self, work: Callable[[Books], T]) -> T:
        return self.database.read(lambda tx: work(Books(tx, self._clock())))

    async def _write(self, effect: Callable[[Books, W], Effect], ask: W, attempt: Attempt) -> Receipt:
        return await self.receipts.write(
            attempt, lambda tx: effect(Books(tx, self._clock(), attempt.tool), ask)
        )
