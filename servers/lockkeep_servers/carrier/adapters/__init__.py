"""Back ends of the carrier; each answers `Carrier` and knows nothing of MCP."""

from collections.abc import Mapping

from lockkeep_servers.carrier.adapters.embedded import EmbeddedCarrier
from lockkeep_servers.carrier.adapters.seed import seed
from lockkeep_servers.carrier.port import Carrier
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.faults import read_fault
from lockkeep_servers.kit.service import EMBEDDED, Factory, adapter_of
from lockkeep_servers.kit.settings import Settings
from lockkeep_servers.kit.world.chosen import data_folder, world_of


def embedded(settings: Settings, clock: Clock) -> Carrier:
    """Return the carrier in its data folder; an empty one holds the parcels of the world the settings ask for."""
    carrier = EmbeddedCarrier(data_folder(settings, "carrier"), clock, read_fault(settings.text("FAULT")))
    world = world_of(settings, clock)
    with carrier.database.opened():
        if world is not None:
            seed(carrier.database, lambda: world.shipments)
        carrier.receipts.forget()
    return carrier


ADAPTERS: Mapping[str, Factory[Carrier]] = {EMBEDDED: embedded}


def open_carrier(settings: Settings, clock: Clock) -> Carrier:
    """Return the back end the settings name."""
    return adapter_of(settings, "carrier", ADAPTERS)(settings, clock)
