"""What carries the mailroom's messages; each answers `Mail` or `Chat` and knows nothing of MCP."""

import re
from collections.abc import Mapping
from pathlib import Path

from lockkeep_servers.kit.clock import Clock
from lockkeep_servers.kit.faults import read_fault
from lockkeep_servers.kit.receipts import STATEMENTS
from lockkeep_servers.kit.service import EMBEDDED, Factory, adapter_of
from lockkeep_servers.kit.settings import SettingError, Settings
from lockkeep_servers.kit.sqlite import Database, read_statements
from lockkeep_servers.kit.world.chosen import data_folder, world_of
from lockkeep_servers.kit.world.messages import CHANNELS
from lockkeep_servers.notify.adapters.book import read_book
from lockkeep_servers.notify.adapters.embedded import EmbeddedMail
from lockkeep_servers.notify.adapters.mailroom import QueuedMailroom
from lockkeep_servers.notify.adapters.seed import seed
from lockkeep_servers.notify.port import Chat, Mail, Mailroom

HERE = Path(__file__).parent
MAILS = (EMBEDDED, "smtp")
CHATS = (EMBEDDED, "slack")
KEYS = (
    "CHAT_ADAPTER", "SMTP_URL", "SMTP_PASSWORD", "SMTP_FROM", "SMTP_CA", "SLACK_TOKEN", "SLACK_URL", "CHANNELS",
    "HOLD_S", "BOOK",
)  # fmt: skip
HOLD_S, LONGEST_HOLD_S = 60, 86_400
CHANNEL = re.compile(r"([a-z0-9][a-z0-9_-]{0,79})(?:=(\S+))?")


def store(folder: Path) -> Database:
    """Return the mailroom's file in that folder; it is made if there is none."""
    statements = {**STATEMENTS, **read_statements(HERE / "embedded.sql")}
    return Database(folder / "notify.sqlite", statements, HERE / "migrations")


def open_mailroom(settings: Settings, clock: Clock) -> Mailroom:
    """Return the mailroom in its data folder, with the transports the settings name."""
    channels = _channels(settings)
    hold_s = settings.whole("HOLD_S", HOLD_S)
    if hold_s > LONGEST_HOLD_S:
        raise SettingError(f"{settings.name('HOLD_S')} may be {LONGEST_HOLD_S} at most.")
    book = read_book(settings)
    database = store(data_folder(settings, "notify"))
    mail = _mail(settings, clock, database)
    world = world_of(settings, clock)
    mailroom = QueuedMailroom(
        database,
        clock,
        mail=mail,
        chat=_chat(settings, clock, channels),
        channels=channels,
        hold_s=hold_s,
        fault=read_fault(settings.text("FAULT")),
    )
    with database.opened():
        if world is not None:
            queue = isinstance(mail, EmbeddedMail)  # made-up mail does not go to a real server
            seed(database, world, queue=queue)
        if book is not None:
            book.put(database, clock())
        mailroom.receipts.forget()
    return mailroom


def _mail(settings: Settings, clock: Clock, database: Database) -> Mail:
    built_in: Mapping[str, Factory[Mail]] = {
        EMBEDDED: lambda _, clock: EmbeddedMail(database, clock),
        "smtp": _smtp,
    }
    return adapter_of(settings, "notify", built_in)(settings, clock)


def _chat(settings: Settings, clock: Clock, channels: Mapping[str, str]) -> Chat | None:
    """Return the chat service; None for the board in our own file."""
    key = "CHAT_ADAPTER"
    if (settings.text(key) or EMBEDDED) == EMBEDDED:
        return None

    def slack(settings: Settings, _: Clock) -> Chat:
        return _slack(settings, channels)

    built_in: Mapping[str, Factory[Chat]] = {EMBEDDED: slack, "slack": slack}  # the first only to be named
    return adapter_of(settings, "notify", built_in, key)(settings, clock)


def _smtp(settings: Settings, clock: Clock) -> Mail:
    try:
        from lockkeep_servers.notify.adapters.smtp import read_smtp
    except ModuleNotFoundError as error:
        raise _needs(settings, "ADAPTER=smtp", error, "aiosmtplib") from None
    return read_smtp(settings, clock)


def _slack(settings: Settings, channels: Mapping[str, str]) -> Chat:
    try:
        from lockkeep_servers.notify.adapters.slack import read_slack
    except ModuleNotFoundError as error:
        raise _needs(settings, "CHAT_ADAPTER=slack", error, "slack_sdk") from None
    return read_slack(settings, channels)


def _needs(settings: Settings, choice: str, error: ModuleNotFoundError, library: str) -> Exception:
    if (error.name or "").partition(".")[0] != library:
        return error
    extra = choice.partition("=")[2]
    return SettingError(f"{settings.name(choice)} needs {library}: pip install 'lockkeep[{extra}]'.")


def _channels(settings: Settings) -> dict[str, str]:
    """Return the names that may be posted to, and what the chat service calls them."""
    text = settings.text("CHANNELS")
    if text is None:
        demo = settings.text("WORLD") == "demo"
        return {name: name for name in CHANNELS} if demo else {}
    found: dict[str, str] = {}
    for entry in text.replace(",", " ").split():
        named = CHANNEL.fullmatch(entry)
        if named is None:
            raise SettingError(
                f"{settings.name('CHANNELS')} takes NAME or NAME=ID, space between: ops=C0123ABCD."
            )
        found[named[1]] = named[2] or named[1]
    return found
