"""Signed messages to an address of one's own: JSON, an HMAC over its bytes and the time, no redirect followed."""

import hmac
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime

import httpx2

from lockkeep.errors import BadCredential
from lockkeep.model import Json, stamp
from lockkeep.notify.plain import title
from lockkeep.notify.port import Notice, Undelivered
from lockkeep.notify.reach import Target, target
from lockkeep.notify.trust import trusted
from lockkeep.policy.files.channels import ChannelEntry
from lockkeep.upstream.credentials import resolve

SIGNATURE, ID = "Lockkeep-Signature", "Lockkeep-Notice"
LIMIT = 10.0  # seconds
LONGEST_REST = 3600.0


@dataclass(frozen=True)
class WebhookChannel:
    """Any answer of 200 to 299 means that the message was taken."""

    entry: ChannelEntry
    clock: Callable[[], datetime]

    async def deliver(self, notice: Notice, places: tuple[str, ...]) -> str | None:
        body = json.dumps(message(notice), ensure_ascii=False).encode("utf-8", "replace")
        where = await target(self.entry.values["url"], self.entry.lists.get("allow", ()))
        seconds = int(self.clock().timestamp())
        headers = {
            "Host": where.authority,
            "Content-Type": "application/json",
            "User-Agent": "lockkeep",
            ID: notice.id,
            SIGNATURE: f"t={seconds},v1={signed(self._secret(), seconds, body)}",
        }
        await self._post(where, body, headers)
        return None

    async def examine(self) -> str:
        self._secret()
        where = await target(self.entry.values["url"], self.entry.lists.get("allow", ()))
        return f"{where.host} is {where.address}"

    def _secret(self) -> str:
        try:
            return resolve(self.entry.values["secret"])
        except BadCredential as error:
            raise Undelivered(f"secret: {error}") from None

    async def _post(self, where: Target, body: bytes, headers: dict[str, str]) -> None:
        """What the other side says is its number alone: its text is not read."""
        secure = where.scheme == "https"
        verify = await trusted("http", self.entry.values.get("ca_file")) if secure else False
        try:
            async with (
                httpx2.AsyncClient(
                    timeout=LIMIT,
                    follow_redirects=False,
                    trust_env=False,
                    verify=verify,
                ) as http,
                http.stream(
                    "POST",
                    where.url,
                    content=body,
                    headers=headers,
                    extensions={"sni_hostname": where.host},
                ) as answer,
            ):
                status, after = answer.status_code, answer.headers.get("retry-after", "")
        except httpx2.HTTPError as error:
            raise Undelivered(f"{where.host} does not answer: {type(error).__name__}") from None
        if 300 <= status < 400:
            raise Undelivered(
                f"{where.host} answered {status}; redirects are not followed: write the address it means"
            )
        if not 200 <= status < 300:
            rest = min(float(after), LONGEST_REST) if after.isascii() and after.isdigit() else None
            raise Undelivered(f"{where.host} answered {status}", rest)


def message(notice: Notice) -> dict[str, Json]:
    """The body. Texts from outside are quoted as on every card."""
    said: dict[str, Json] = {
        "id": notice.id, "event": notice.event, "at": stamp(notice.at), "gateway": notice.gateway, "url": notice.url,
        "title": title(notice),
    }  # fmt: skip
    if notice.card is not None:
        card = asdict(notice.card)
        card |= {"asked_at": stamp(notice.card.asked_at), "expires_at": stamp(notice.card.expires_at)}
        card |= {"arguments": dict(notice.card.arguments), "facts": dict(notice.card.facts)}
        del card["may"]
        said["approval"] = card
    if notice.alarm is not None:
        said["switch"] = asdict(notice.alarm)
    return said


def signed(secret: str, seconds: int, body: bytes) -> str:
    """HMAC-SHA256 over `SECONDS.BODY`, in hex."""
    return hmac.new(secret.encode(), f"{seconds}.".encode() + body, "sha256").hexdigest()
