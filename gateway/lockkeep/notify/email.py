"""E-mail with a link to the inbox. No buttons: whoever follows the link signs in, sees the card, and decides there."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lockkeep.errors import BadCredential
from lockkeep.notify.plain import parts, title
from lockkeep.notify.port import Notice, Undelivered
from lockkeep.notify.reach import LOOPBACK
from lockkeep.notify.trust import trusted
from lockkeep.policy.files.channels import ChannelEntry, is_address
from lockkeep.upstream.credentials import resolve

if TYPE_CHECKING:
    import aiosmtplib

WIRE = SMTP.clone(cte_type="7bit", max_line_length=900)  # every server takes it, whatever it offers
LIMIT = 20.0  # seconds for one step
TOLD = {
    "approval.asked": "People are asked about this call. It does not run before they agree.",
    "approval.escalated": "Nobody has decided about this call yet, and you may.",
}
OWN = "there is no `to:` in gateway.yaml; with your own token in LOCKKEEP_TOKEN a test goes to your account email:ADDRESS"
NOBODY = "none of the people who are asked has an account email:ADDRESS in people.yaml; add one, or `to:` in gateway.yaml"


@dataclass(frozen=True)
class EmailChannel:
    """Hands each message to one mail server. Decisions are not mailed: the link shows them."""

    entry: ChannelEntry
    clock: Callable[[], datetime]

    async def deliver(self, notice: Notice, places: tuple[str, ...]) -> str | None:
        if notice.over or notice.event == "approval.decided":
            return None
        recipients = [each for each in self.entry.lists.get("to", ()) or notice.addresses if is_address(each)]
        if not recipients:
            raise Undelivered(NOBODY if notice.event != "test" else OWN)
        letter = compose(notice, self._sender, recipients, self.clock())
        to = [parseaddr(each)[1] for each in recipients]
        client = await self._client()
        try:
            await client.connect()
            await client.sendmail(self._sender.addr_spec, to, letter)
        except Exception as error:
            raise Undelivered(_why(error, self._where)) from None
        finally:
            client.close()
        return None

    async def examine(self) -> str:
        client = await self._client()
        try:
            await client.connect()
            await client.noop()
        except Exception as error:
            raise Undelivered(_why(error, self._where)) from None
        finally:
            client.close()
        return f"{self._where} takes our mail"

    @property
    def _where(self) -> str:
        parts = urlsplit(self.entry.values["server"])
        return f"{parts.hostname}:{self._port}"

    @property
    def _port(self) -> int:
        parts = urlsplit(self.entry.values["server"])
        return parts.port or (465 if parts.scheme == "smtps" else 587)

    @property
    def _sender(self) -> Address:
        name, spec = parseaddr(self.entry.values["from"])
        return Address(display_name=name, addr_spec=spec)

    async def _client(self) -> "aiosmtplib.SMTP":
        """Encrypted, but on this machine."""
        try:
            import aiosmtplib
        except ImportError:
            raise Undelivered("e-mail needs aiosmtplib: pip install 'lockkeep[smtp]'") from None
        parts = urlsplit(self.entry.values["server"])
        implicit = parts.scheme == "smtps"
        try:
            password = resolve(self.entry.values["password"]) if "password" in self.entry.values else None
        except BadCredential as error:
            raise Undelivered(f"password: {error}") from None
        upgrade = None if parts.hostname in LOOPBACK else True  # None: where it is offered
        return aiosmtplib.SMTP(
            hostname=parts.hostname,
            port=self._port,
            username=unquote(parts.username) if parts.username else None,
            password=password,
            local_hostname=self._sender.domain,
            timeout=LIMIT,
            use_tls=implicit,
            start_tls=False if implicit else upgrade,
            tls_context=await trusted("mail", self.entry.values.get("ca_file")),
        )


def compose(notice: Notice, sender: Address, recipients: list[str], now: datetime) -> bytes:
    """The letter. Its id is the notice's: programs show a second copy once."""
    letter = EmailMessage(policy=WIRE)
    letter["From"] = sender
    letter["To"] = ", ".join(parseaddr(each)[1] for each in recipients)
    letter["Subject"] = f"[{notice.gateway}] {title(notice)}"
    letter["Date"] = format_datetime(now)
    letter["Message-ID"] = f"<{notice.id}@{sender.domain}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(body(notice))
    return letter.as_bytes()


def body(notice: Notice) -> str:
    """Plain text: where to decide, then the card."""
    lines = [TOLD.get(notice.event, title(notice) + "."), ""]
    if notice.card is not None:
        lines += [f"Look at it, sign in and decide: {notice.url}", ""]
    for part in parts(notice):
        lines.append(f"{part.label}: {part.text}" if part.label else f"\n{part.text}")
    if notice.card is not None:
        lines += [
            "",
            "Dots that could make a link of somebody else's text stand in brackets.",
            "Opening the link decides nothing.",
        ]
    return "\n".join([*lines, "", notice.id, ""])


def _why(error: Exception, where: str) -> str:
    """What went wrong, without the texts that a server sends."""
    import aiosmtplib

    match error:
        case Undelivered():
            return str(error)
        case aiosmtplib.SMTPAuthenticationError():
            return f"{where} does not take the user and password"
        case aiosmtplib.SMTPRecipientsRefused():
            return f"{where} refuses every address this is for"
        case aiosmtplib.SMTPResponseException():
            return f"{where} answered {error.code}"
        case ssl.SSLError():
            return f"{where} shows a certificate that nobody vouches for; ca_file: names one's own"
        case TimeoutError():
            return f"{where} does not answer in time"
        case aiosmtplib.SMTPException() if not isinstance(error, ConnectionError):
            return f"{where} does not offer encryption, or a way to log in that is known here"
        case _:
            return f"{where} cannot be reached"
