"""Both ports as the one thing a server opens; they may be one back end, or two that know nothing of each other."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from lockkeep_servers.billing.port import Invoices, Payments
from lockkeep_servers.kit.errors import IdempotencyConflict
from lockkeep_servers.kit.findings import Finding
from lockkeep_servers.kit.receipts import Attempt, GetReceipt
from lockkeep_servers.kit.results import Receipted

PortName = Literal["payments", "invoices"]
TELLING = ("cancelled", "absent", "started", "unknown", "committed")  # the later, the more it says
NOTHING_BEGUN = TELLING[:2]


@dataclass(frozen=True)
class Billing:
    """Payments and invoices, opened and examined together, with one answer about a key."""

    payments: Payments
    invoices: Invoices

    @property
    def _ports(self) -> tuple[Payments | Invoices, ...]:
        return tuple({id(port): port for port in (self.payments, self.invoices)}.values())

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        async with AsyncExitStack() as opened:
            for port in self._ports:
                await opened.enter_async_context(port.session())
            yield

    async def examine(self) -> list[Finding]:
        return [finding for port in self._ports for finding in await port.examine()]

    async def get_receipt(self, ask: GetReceipt) -> Receipted:
        """Return what either port knows of the key. It is `cancelled` only where it can run in neither."""
        found = [await port.get_receipt(ask.model_copy(update={"fence": False})) for port in self._ports]
        if ask.fence and all(each.state in NOTHING_BEGUN for each in found):
            found = [await port.get_receipt(ask) for port in self._ports]
        return max(found, key=lambda each: TELLING.index(each.state))

    async def unused_elsewhere(self, attempt: Attempt, name: PortName) -> None:
        """The other port has not begun anything with this key. One back end sees to that by itself, exactly."""
        other = self.invoices if name == "payments" else self.payments
        if len(self._ports) > 1 and attempt.key:
            found = await other.get_receipt(GetReceipt(idempotency_key=attempt.key))
            if found.state not in NOTHING_BEGUN:
                raise IdempotencyConflict
