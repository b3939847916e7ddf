"""Back ends of the calendar; each answers `Diary` and knows nothing of MCP."""

from collections.abc import Mapping

from lockkeep_servers.calendar.adapters.embedded import EmbeddedCalendar
from lockkeep_servers.calendar.adapters.seed import seed
from lockkeep_servers.calendar.port import Diary
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.faults import read_fault
from lockkeep_servers.kit.service import EMBEDDED, Factory, adapter_of
from lockkeep_servers.kit.settings import Settings
from lockkeep_servers.kit.world.chosen import data_folder, world_of


def embedded(settings: Settings, clock: Clock) -> Diary:
    """Return the calendar in its data folder; an empty one holds the diaries of the world the settings ask for."""
    diary = EmbeddedCalendar(data_folder(settings, "calendar"), clock, read_fault(settings.text("FAULT")))
    world = world_of(settings, clock)
    if world is not None:
        seed(diary.database, world.seed, world.day)
    diary.receipts.forget()
    return diary


ADAPTERS: Mapping[str, Factory[Diary]] = {EMBEDDED: embedded}


def open_diary(settings: Settings, clock: Clock) -> Diary:
    """Return the back end the settings name."""
    return adapter_of(settings, "calendar", ADAPTERS)(settings, clock)
