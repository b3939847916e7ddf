"""Back ends of the shop; each answers `Shop` and knows nothing of MCP."""

from collections.abc import Mapping

from lockkeep_servers.commerce.adapters.embedded import EmbeddedShop
from lockkeep_servers.commerce.adapters.seed import seed
from lockkeep_servers.commerce.port import Shop
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.faults import read_fault
from lockkeep_servers.kit.service import EMBEDDED, Factory, adapter_of
from lockkeep_servers.kit.settings import Settings
from lockkeep_servers.kit.world.chosen import data_folder, world_of


def embedded(settings: Settings, clock: Clock) -> Shop:
    """Return the shop in its data folder; an empty one holds the orders and the stock of the world the settings ask for."""
    shop = EmbeddedShop(data_folder(settings, "commerce"), clock, read_fault(settings.text("FAULT")))
    world = world_of(settings, clock)
    with shop.database.opened():
        if world is not None:
            seed(shop.database, world)
        shop.receipts.forget()
    return shop


ADAPTERS: Mapping[str, Factory[Shop]] = {EMBEDDED: embedded}


def open_shop(settings: Settings, clock: Clock) -> Shop:
    """Return the back end the settings name."""
    return adapter_of(settings, "commerce", ADAPTERS)(settings, clock)
