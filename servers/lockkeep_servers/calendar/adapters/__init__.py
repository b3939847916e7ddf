"""Back ends of the calendar; each answers `Diary` and knows nothing of MCP."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from lockkeep_servers.calendar.adapters.embedded import EmbeddedCalendar
from lockkeep_servers.calendar.adapters.seed import seed
from lockkeep_servers.calendar.port import Diary
from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.faults import read_fault
from lockkeep_servers.kit.http import Http
from lockkeep_servers.kit.service import EMBEDDED, Factory, adapter_of
from lockkeep_servers.kit.settings import SettingError, Settings
from lockkeep_servers.kit.world.chosen import data_folder, world_of

KEYS = ("URL", "USER", "PASSWORD")  # of a back end that is reached over the network


def embedded(settings: Settings, clock: Clock) -> Diary:
    """Return the calendar in its data folder; an empty one holds the diaries of the world the settings ask for."""
    diary = EmbeddedCalendar(data_folder(settings, "calendar"), clock, read_fault(settings.text("FAULT")))
    world = world_of(settings, clock)
    with diary.database.opened():
        if world is not None:
            seed(diary.database, world.seed, world.day)
        diary.receipts.forget()
    return diary


def caldav(settings: Settings, clock: Clock) -> Diary:
    """Return the calendars of a CalDAV server.

    Raises:
        SettingError: a setting is missing or cannot be meant, or `icalendar` is not installed.
    """
    url, auth = _server(settings)
    if (settings.text("WORLD") or "none") != "none":
        raise SettingError(f"{settings.name('WORLD')} fills the embedded back end only. Leave it out.")
    try:
        from lockkeep_servers.calendar.adapters.caldav import CalDavCalendar  # it needs an extra
    except ModuleNotFoundError as error:
        if error.name != "icalendar":
            raise
        raise SettingError("The caldav back end needs icalendar: install lockkeep[caldav].") from None
    folder, fault = data_folder(settings, "calendar"), read_fault(settings.text("FAULT"))
    diary = CalDavCalendar(folder, clock, Http([url], auth=auth), url, fault)
    diary.receipts.forget()
    return diary


def _server(settings: Settings) -> tuple[str, tuple[str, str]]:
    url, user, password = (settings.text(key) for key in KEYS)
    for key, value in zip(KEYS, (url, user, password), strict=True):
        if not value:
            raise SettingError(f"The caldav back end needs {settings.name(key)}.")
    _check_address(settings.name("URL"), url or "")
    return url or "", (user or "", password or "")


def _check_address(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable, parts = False, urlsplit("")
    if not usable or parts.username is not None or parts.query or parts.fragment:
        raise SettingError(f"{name} must be https://HOST/PATH, without user and password.")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise SettingError(f"{name}: beyond this machine a password goes over https only.")


ADAPTERS: Mapping[str, Factory[Diary]] = {EMBEDDED: embedded, "caldav": caldav}


def open_diary(settings: Settings, clock: Clock) -> Diary:
    """Return the back end the settings name."""
    return adapter_of(settings, "calendar", ADAPTERS)(settings, clock)
