"""Back ends of billing; each answers `Payments`, `Invoices` or both, and knows nothing of MCP."""

from collections.abc import Mapping
from typing import cast

from lockkeep_servers.billing.adapters.embedded import EmbeddedBilling
from lockkeep_servers.billing.adapters.seed import Stock, seed
from lockkeep_servers.billing.both import Billing
from lockkeep_servers.billing.port import Invoices, Payments
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.faults import read_fault
from lockkeep_servers.kit.service import EMBEDDED, Factory, adapter_of
from lockkeep_servers.kit.settings import Settings
from lockkeep_servers.kit.world.chosen import data_folder, world_of


def embedded(settings: Settings, clock: Clock) -> EmbeddedBilling:
    """Return billing in its data folder; an empty one holds the world the settings ask for."""
    fault = read_fault(settings.text("FAULT"))
    billing = EmbeddedBilling(data_folder(settings, "billing"), clock, fault)
    world = world_of(settings, clock)
    with billing.database.opened():
        if world is not None:
            seed(billing.database, lambda: Stock.of(world))
        billing.receipts.forget()
    return billing


PAYMENTS: Mapping[str, Factory[Payments]] = {EMBEDDED: embedded}
INVOICES: Mapping[str, Factory[Invoices]] = {EMBEDDED: embedded}


def open_billing(settings: Settings, clock: Clock) -> Billing:
    """Return the back ends the settings name, one for each port; one that answers both is opened once."""
    pay = adapter_of(settings, "billing.payments", PAYMENTS, _key(settings, "PAYMENTS_ADAPTER"))
    bill = adapter_of(settings, "billing.invoices", INVOICES, _key(settings, "INVOICES_ADAPTER"))
    payments = pay(settings, clock)
    return Billing(payments, cast(Invoices, payments) if pay is bill else bill(settings, clock))


def _key(settings: Settings, own: str) -> str:
    """Return the setting that chooses: the port's own, or ADAPTER for both."""
    return own if settings.text(own) else "ADAPTER"
