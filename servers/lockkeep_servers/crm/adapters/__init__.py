"""Back ends of the CRM; each answers `Crm` and knows nothing of MCP."""

from collections.abc import Mapping

from lockkeep_servers.crm.adapters.embedded import EmbeddedCrm
from lockkeep_servers.crm.adapters.seed import seed
from lockkeep_servers.crm.port import Crm
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.faults import read_fault
from lockkeep_servers.kit.service import EMBEDDED, Factory, adapter_of
from lockkeep_servers.kit.settings import Settings
from lockkeep_servers.kit.world.chosen import data_folder, world_of


def embedded(settings: Settings, clock: Clock) -> Crm:
    """Return the CRM in its data folder; an empty one holds the world the settings ask for."""
    crm = EmbeddedCrm(data_folder(settings, "crm"), clock, read_fault(settings.text("FAULT")))
    world = world_of(settings, clock)
    with crm.database.opened():
        if world is not None:
            seed(crm.database, world)
        crm.receipts.forget()
    return crm


ADAPTERS: Mapping[str, Factory[Crm]] = {EMBEDDED: embedded}


def open_crm(settings: Settings, clock: Clock) -> Crm:
    """Return the back end the settings name."""
    return adapter_of(settings, "crm", ADAPTERS)(settings, clock)
