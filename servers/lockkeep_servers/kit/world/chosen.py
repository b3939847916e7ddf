"""Which world the settings ask for, and where a server keeps its data."""

from datetime import date
from pathlib import Path

from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.settings import SettingError, Settings
from lockkeep_servers.kit.world import SIZES, World, build_world

SEED = 42


def data_folder(settings: Settings, server: str) -> Path:
    return Path(settings.text("DATA") or Path(".lockkeep") / server)


def world_of(settings: Settings, clock: Clock) -> World | None:
    """Return the world to seed an empty store with; None unless WORLD=demo."""
    if settings.choice("WORLD", ("none", "demo"), "none") == "none":
        return None
    return build_world(
        settings.whole("WORLD_SEED", SEED),
        world_day(settings, clock),
        settings.choice("WORLD_SIZE", SIZES, "demo"),
    )


def world_day(settings: Settings, clock: Clock) -> date:
    """Return the demo day: as set, else today."""
    text = settings.text("WORLD_DAY")
    if text is None:
        return clock().date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingError(f"{settings.name('WORLD_DAY')} must be a day such as 2026-03-02.") from None
