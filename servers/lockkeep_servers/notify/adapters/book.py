"""The book: a YAML file with the templates, what is known of recipients, and who must not be written to."""

from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from lockkeep_servers.kit.arguments import Arguments, parse
from lockkeep_servers.kit.errors import Invalid
from lockkeep_servers.kit.manifest import LOADER
from lockkeep_servers.kit.settings import SettingError, Settings
from lockkeep_servers.kit.sqlite import Database, Transaction
from lockkeep_servers.kit.times import Zone
from lockkeep_servers.kit.world import messages
from lockkeep_servers.notify import texts
from lockkeep_servers.notify.adapters.seed import put_recipient, put_suppressed, put_template
from lockkeep_servers.notify.port import Locale, TemplateId


def _subject(text: str) -> str:
    if (fault := texts.header_fault(text)) is not None:
        raise PydanticCustomError("subject", "{fault}", {"fault": fault})
    return text


Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class TemplateEntry(Arguments):
    id: TemplateId
    locale: Locale
    subject: Annotated[str, AfterValidator(_subject)]
    body: Annotated[str, Field(min_length=1, max_length=texts.LARGEST_BODY)]


class RecipientEntry(Arguments):
    email: str
    locale: Locale = texts.FALLBACK
    tz: Zone
    quiet_from: Clock
    quiet_to: Clock


class Book(Arguments):
    templates: list[TemplateEntry] = []  # noqa: RUF012  (pydantic copies defaults)
    recipients: list[RecipientEntry] = []  # noqa: RUF012
    suppressed: list[str] = []  # noqa: RUF012

    def put(self, database: Database, now: datetime) -> None:
        """The store knows what the book says, and nothing of what it said before."""

        def work(tx: Transaction) -> None:
            for name in ("drop_templates", "drop_recipients", "drop_suppressed"):
                tx.run(name)
            for one in self.templates:
                put_template(tx, messages.Template(one.id, one.locale, one.subject, one.body, ()))
            for one in self.recipients:
                quiet = time.fromisoformat(one.quiet_from), time.fromisoformat(one.quiet_to)
                put_recipient(tx, messages.Recipient("", one.email, one.locale, one.tz, *quiet))
            for address in self.suppressed:
                put_suppressed(tx, messages.Suppressed(address, "book", now))

        with database.opened():
            database.write_now(work)


def read_book(settings: Settings) -> Book | None:
    """Return what the file says; one that cannot be used stops the start, and names the place."""
    path, name = settings.text("BOOK"), settings.name("BOOK")
    if path is None:
        return None
    try:
        given: Any = yaml.load(Path(path).read_text(encoding="utf-8"), LOADER)  # noqa: S506  (a safe loader)
    except (OSError, UnicodeDecodeError):
        raise SettingError(f"{name}: the file cannot be read.") from None
    except yaml.YAMLError:
        raise SettingError(f"{name}: the file is not YAML.") from None
    if not isinstance(given, dict):
        raise SettingError(f"{name}: the file holds templates, recipients and suppressed.")
    try:
        return parse(Book, given)  # pyright: ignore[reportUnknownArgumentType]  (parse looks at every part)
    except Invalid as error:
        fault = error.details["fields"][0]
        raise SettingError(f"{name}: {fault['field']} {fault['problem']}.") from None
