"""Back ends of the fleet; each answers `Fleet` and knows nothing of MCP."""

from collections.abc import Mapping

from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.faults import read_fault
from lockkeep_servers.kit.service import EMBEDDED, Factory, adapter_of
from lockkeep_servers.kit.settings import Settings
from lockkeep_servers.kit.world.chosen import data_folder
from lockkeep_servers.new.fleet.adapters.embedded import EmbeddedFleet
from lockkeep_servers.new.fleet.port import Fleet


def embedded(settings: Settings, clock: Clock) -> Fleet:
    """Return the fleet in its data folder; an empty one gets a few vans if WORLD asks for them."""
    fleet = EmbeddedFleet(data_folder(settings, "fleet"), clock, read_fault(settings.text("FAULT")))
    with fleet.database.opened():
        if settings.choice("WORLD", ("none", "demo"), "none") == "demo":
            fleet.seed()
        fleet.receipts.forget()
    return fleet


ADAPTERS: Mapping[str, Factory[Fleet]] = {EMBEDDED: embedded}


def open_fleet(settings: Settings, clock: Clock) -> Fleet:
    """Return the back end the settings name."""
    return adapter_of(settings, "fleet", ADAPTERS)(settings, clock)
