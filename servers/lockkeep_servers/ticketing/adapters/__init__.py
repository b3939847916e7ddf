"""Back ends of the ticketing server; each answers `Tickets` and knows nothing of MCP."""

from collections.abc import Mapping

from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.faults import read_fault
from lockkeep_servers.kit.service import EMBEDDED, Factory, adapter_of
from lockkeep_servers.kit.settings import Settings
from lockkeep_servers.kit.world.chosen import data_folder, world_of
from lockkeep_servers.ticketing.adapters.embedded import EmbeddedTickets
from lockkeep_servers.ticketing.adapters.seed import seed
from lockkeep_servers.ticketing.port import Tickets


def embedded(settings: Settings, clock: Clock) -> Tickets:
    """Return the tickets in their data folder; an empty one holds the support side of the world the settings ask for."""
    fault = read_fault(settings.text("FAULT"))
    tickets = EmbeddedTickets(data_folder(settings, "ticketing"), clock, fault)
    world = world_of(settings, clock)
    with tickets.database.opened():
        if world is not None:
            seed(tickets.database, world)
        tickets.knowledge.index()
        tickets.receipts.forget()
    return tickets


ADAPTERS: Mapping[str, Factory[Tickets]] = {EMBEDDED: embedded}


def open_tickets(settings: Settings, clock: Clock) -> Tickets:
    """Return the back end the settings name."""
    return adapter_of(settings, "ticketing", ADAPTERS)(settings, clock)
